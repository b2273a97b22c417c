"""Advice: what a holding law asks of a vehicle about to leave a control stop, in seconds, why, and what it does.

An advice is made once for each visit of a vehicle to a control stop. While it is open it follows what is known, in
steps that a person can follow; it is *withdrawn* when nothing is to be asked any more, and *expired* when the vehicle
has left before anybody decided. *Applied* and *declined* are a dispatcher's, or at once those of a line that runs
automatically.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

import msgspec

from dispatch.effects import Effect, effect_of, helps, reason_of
from dispatch.fleet import Fleet
from dispatch.holding import LAWS, Limits, held_s
from dispatch.network import Network
from dispatch.situations import Case, Visit

AdviceState = Literal["open", "applied", "declined", "expired", "withdrawn"]
DEFAULT_LAW: Final = "optimal"
HEADWAY_SHARE_MAX = 1.0
CHANGE_S_MIN = 20.0  # a smaller change of an open advice is no news
LISTED_S = 600.0
DECIDED_S = 2 * 3600.0  # a run takes no longer from one control stop to where it ends
UNSEEN_S = 10.0  # predictions move: one that is a second too far away is not withdrawn for that
OPEN_MAX = 2000


class Advice(msgspec.Struct):
    """A row of GET /api/v1/advice; instants are Unix seconds."""

    id: str
    route_id: str
    direction_id: int
    operator_id: str
    vehicle_id: str
    trip_id: str
    stop_id: str
    stop_name: str
    kind: Literal["hold", "depart"]
    law: str
    hold_s: float
    depart_at: float
    made_at: float
    expires_at: float
    state: AdviceState
    reason: dict[str, str]
    effect: Effect
    decided_by: str | None = None
    decided_at: float | None = None
    instruction_id: str | None = None
    decline_reason: str | None = None
    switched_by: str | None = None  # who had set the line to automatic that sent this by itself

    @property
    def key(self) -> str:
        """`<operator>/<vehicle>`."""
        return f"{self.operator_id}/{self.vehicle_id}"


def hold_of(case: Case, law: str, limits: Limits) -> float:
    """What a law asks of a case, within what a driver can be asked for; 0: nothing.

    Nobody is held until the headway ahead is longer than the timetable has it: laws that look at a hole in the line far
    behind would slow down all who are ahead of it, and the riders of this hour would pay for those of the next.
    """
    room_s = HEADWAY_SHARE_MAX * case.situation.scheduled_headway_s - case.ahead_s
    return held_s(min(LAWS[law](case.situation, case.gains), room_s), limits, terminal=case.is_terminal)


def text_for_driver(advice: Advice, hold_s: float, clock: str) -> str:
    """What stands on the driver's display; `clock` is the time of departure, for terminals."""
    if advice.kind == "depart":
        return f"{advice.stop_name}: відправлення о {clock} / depart at {clock}"
    return f"{advice.stop_name}: зачекайте {hold_s:.0f} с / hold {hold_s:.0f} s"


@dataclass(slots=True)
class Open:
    """An advice that is open, and the case that it was last made from."""

    advice: Advice
    case: Case
    seen_s: float


@dataclass(slots=True)
class AdviceDesk:
    """All advice of the last minutes; `new_id` gives ids that nobody else gives."""

    new_id: Callable[[], str]
    limits: Limits = field(default_factory=Limits)
    counts: Counter[str] = field(default_factory=Counter)
    version: int = 0  # rises with every change
    open: dict[Visit, Open] = field(default_factory=dict)
    decided: dict[Visit, float] = field(default_factory=dict)  # when
    _closed: list[Advice] = field(default_factory=list)
    _refused: dict[Visit, tuple[str, float]] = field(default_factory=dict)

    def consider(
        self, case: Case, law: str, network: Network, names: Callable[[int], str], now_s: float
    ) -> Open | None:
        """Make, follow or withdraw the advice of a case; the advice if it is new."""
        try:
            hold_s = hold_of(case, law, self.limits)
            if hold_s and not helps(case, hold_s):
                self.note_refused({case.visit: "no_gain"}, now_s)
                hold_s = 0.0
        except RuntimeError:  # a plan that scipy gives up on
            self.note_refused({case.visit: "law_failed"}, now_s)
            return None
        known = self.open.get(case.visit)
        if known is None:
            if not hold_s or len(self.open) >= OPEN_MAX:
                return None
            self.open[case.visit] = made = Open(self._make(case, law, hold_s, network, names, now_s), case, now_s)
            self.counts["made"] += 1
            self.version += 1
            return made
        advice = known.advice
        known.seen_s = now_s
        if not hold_s:
            self.close(case.visit, "withdrawn", None, now_s)
        elif abs(hold_s - advice.hold_s) >= CHANGE_S_MIN or law != advice.law:
            known.case = case
            advice.law, advice.hold_s = law, hold_s
            advice.effect = effect_of(case, hold_s)
            advice.reason = reason_of(case, advice.effect, names)
            self.version += 1
        if abs(advice.expires_at - case.situation.ready_s) >= CHANGE_S_MIN:
            advice.expires_at = round(case.situation.ready_s, 1)
            self.version += 1
        advice.depart_at = round(case.situation.ready_s + advice.hold_s, 1)
        return None

    def find(self, advice_id: str) -> tuple[Visit, Open] | None:
        """An open advice by its id."""
        return next(((visit, one) for visit, one in self.open.items() if one.advice.id == advice_id), None)

    def is_known(self, advice_id: str) -> bool:
        """Whether an advice of this id is listed, open or not."""
        return self.find(advice_id) is not None or any(advice.id == advice_id for advice in self._closed)

    def close(self, visit: Visit, state: AdviceState, by: str | None, now_s: float) -> Advice:
        """Decide on an open advice, or let it end; what was decided is not advised on again."""
        advice = self.open.pop(visit).advice
        advice.state, advice.decided_by, advice.decided_at = state, by, now_s
        if state != "withdrawn":
            self.decided[visit] = now_s
        self.counts[state] += 1
        self.version += 1
        self._closed.append(advice)
        return advice

    def note_refused(self, refused: Mapping[Visit, str], now_s: float) -> None:
        """Count why there is no advice, once for each visit and reason."""
        for visit, reason in refused.items():
            if self._refused.get(visit, ("", 0.0))[0] != reason:
                self.counts[f"none.{reason}"] += 1
            self._refused[visit] = (reason, now_s)

    def look(self, fleet: Fleet, now_s: float) -> list[Open]:
        """Withdraw what is advised on no more, forget what is long over; returns what has expired undecided."""
        expired = []
        for visit, one in list(self.open.items()):
            if has_left(fleet, visit) or now_s > one.advice.expires_at + 60.0:
                self.close(visit, "expired", None, now_s)
                expired.append(one)
            elif not 0 <= now_s - one.seen_s <= UNSEEN_S:
                self.close(visit, "withdrawn", None, now_s)
        listed = [one for one in self._closed if 0 <= now_s - (one.decided_at or 0.0) <= LISTED_S]
        if len(listed) != len(self._closed):
            self._closed = listed
            self.version += 1
        if len(self.decided) > OPEN_MAX or len(self._refused) > OPEN_MAX:
            self.decided = {v: at for v, at in self.decided.items() if 0 <= now_s - at <= DECIDED_S}
            self._refused = {v: why for v, why in self._refused.items() if 0 <= now_s - why[1] <= DECIDED_S}
        return expired

    def rows(self) -> list[Advice]:
        """What is open, the most urgent first, and what has been decided in the last minutes, the newest first."""
        waiting = sorted((one.advice for one in self.open.values()), key=lambda advice: advice.expires_at)
        return [*waiting, *reversed(self._closed)]

    def resume(self, closed: Iterable[Advice], decided: Iterable[tuple[Visit, float]]) -> None:
        """Know what was decided before a restart; what was open is advised again by the next tick."""
        self._closed.extend(closed)
        self.decided.update(decided)
        self.version += 1

    def clear(self, now_s: float) -> None:
        """Withdraw everything: what vehicles and stops are called by here holds no more."""
        for visit in list(self.open):
            self.close(visit, "withdrawn", None, now_s)
        self.decided.clear()
        self._refused.clear()

    def _make(
        self, case: Case, law: str, hold_s: float, network: Network, names: Callable[[int], str], now_s: float
    ) -> Advice:
        pattern = int(network.trip_pattern[case.trip])
        stop = int(network.pattern_stop[case.row])
        operator_id, _, vehicle_id = case.key.partition("/")
        ready_s = case.situation.ready_s
        effect = effect_of(case, hold_s)
        return Advice(
            id=self.new_id(),
            route_id=network.route_id[int(network.pattern_route[pattern])],
            direction_id=int(network.pattern_direction[pattern]),
            operator_id=operator_id,
            vehicle_id=vehicle_id,
            trip_id=network.trip_id[case.trip],
            stop_id=network.stop_id[stop],
            stop_name=network.stop_name[stop],
            kind="depart" if case.is_terminal else "hold",
            law=law,
            hold_s=hold_s,
            depart_at=round(ready_s + hold_s, 1),
            made_at=now_s,
            expires_at=round(ready_s, 1),
            state="open",
            reason=reason_of(case, effect, names),
            effect=effect,
        )


def has_left(fleet: Fleet, visit: Visit) -> bool:
    """Whether a vehicle has left the stop of a visit, as far as can be seen."""
    vehicle, trip, zero_s, stop = visit
    on_it = int(fleet.trip[vehicle]) == trip and float(fleet.zero_s[vehicle]) == zero_s
    return on_it and int(fleet.next_stop[vehicle]) > stop
