"""What stood beside the positions at an instant of the past: headways measured, alerts that were open, decisions taken.

Headways are those that dispatchers saw beside the positions; where none is stored, a vehicle has the one measured when
it left its last stop, until it is old or the vehicle drives another trip. Alerts and decisions are shown as they were
then: what was written on them later is left out, so nobody reads an acknowledgement before it was given or an
instruction as done before its driver said so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from dispatch.alerts import Alert
from dispatch.control_api import DecisionRow, decision_row
from dispatch.fleet_documents import Headway
from dispatch.headway import HEADWAY_STATES, HeadwayLimits, judge

HEADWAY_KEPT_S = 900.0  # a vehicle that has left no stop for so long has no headway that is worth a colour
CLOSED_SHOWN_S = 900.0  # as long as the live list keeps what is over
DECISIONS_SHOWN_S = 900.0
CAME = ("delivered", "read", "done", "expired")  # what becomes of an instruction, in this order

_ALERT = msgspec.json.Decoder(Alert)


@dataclass(frozen=True, slots=True)
class Measured:
    """A headway as dispatchers saw it, or as it was measured when a vehicle left a stop."""

    at_s: float
    key: str  # "<operator>/<vehicle>"
    leader_id: str | None
    trip_id: str
    route_id: str
    direction_id: int
    stop_id: str | None
    headway_s: float
    scheduled_s: float | None
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class PastAlert:
    """An alert with the instants that changed it; None where that never came."""

    opened_s: float
    closed_s: float | None
    acknowledged_s: float | None
    alert: Alert


def read_headway(row: Mapping[str, Any]) -> Measured:
    """A row of the query playback.headways."""
    of = [row[name] for name in ("trip_id", "route_id", "direction_id", "stop_id", "headway_s", "scheduled_s")]
    return Measured(row["at"], row["vehicle"], row["leader"].partition("/")[2], *of)


def read_alert(row: Mapping[str, Any]) -> PastAlert:
    """A row of the query playback.alerts."""
    return PastAlert(row["opened_s"], row["closed_s"], row["acknowledged_s"], _ALERT.decode(row["detail"]))


def alert_at(past: PastAlert, at_s: float) -> Alert | None:
    """The alert as it was at an instant; None before it opened, and when it has been over for long."""
    if past.opened_s > at_s or (past.closed_s is not None and at_s - past.closed_s > CLOSED_SHOWN_S):
        return None
    changed = (past.opened_s, past.acknowledged_s, past.closed_s)
    updated_s = max(one for one in changed if one is not None and one <= at_s)
    alert = msgspec.structs.replace(past.alert, state="open", updated_at=updated_s, shelved_by=None, shelved_until=None)
    if past.acknowledged_s is None or past.acknowledged_s > at_s:
        alert.acknowledged_by = alert.acknowledged_at = None
    else:
        alert.state = "acknowledged"
    if past.closed_s is None or past.closed_s > at_s:
        alert.closed_at = alert.closed_by = alert.close_reason = None
    else:
        alert.state = "closed"
    return alert


def decision_at(decision: DecisionRow, at_s: float) -> DecisionRow | None:
    """The decision as it was at an instant: how far its instruction had come by then; None before it was taken."""
    if decision.at > at_s:
        return None
    came = decision.known.get("instruction")
    if not isinstance(came, dict):
        return decision
    times = {f"{name}_at": came.get(f"{name}_at") for name in CAME}
    then = {name: at if at is not None and at <= at_s else None for name, at in times.items()}
    state = next((name for name in reversed(CAME) if then[f"{name}_at"] is not None), "sent")
    if came.get("state") == "failed" and not any(at is not None and at > at_s for at in times.values()):
        state = "failed"
    return msgspec.structs.replace(decision, known={**decision.known, "instruction": {**came, **then, "state": state}})


@dataclass(slots=True)
class Story:
    """Headways, alerts and decisions of one stretch of time after another; a headway a vehicle is kept."""

    limits: HeadwayLimits = field(default_factory=HeadwayLimits)
    _newest: dict[str, Measured] = field(default_factory=dict)
    _headways: list[Measured] = field(default_factory=list)
    _folded: int = 0
    _alerts: list[PastAlert] = field(default_factory=list)
    _decisions: list[DecisionRow] = field(default_factory=list)

    def load(self, headways: Iterable[Any], alerts: Iterable[Any], decisions: Iterable[Any]) -> None:
        """The rows of the next stretch; alerts and decisions take the place of those before."""
        rest = self._headways[self._folded :]
        self._headways, self._folded = [*rest, *(read_headway(row) for row in headways)], 0
        self._alerts = [read_alert(row) for row in alerts]
        self._decisions = [decision_row(row) for row in decisions]

    def fold(self, at_s: float) -> None:
        """Take the headways up to an instant; the newest of each vehicle is kept, until it is too old to tell."""
        while self._folded < len(self._headways) and self._headways[self._folded].at_s <= at_s:
            one = self._headways[self._folded]
            self._newest[one.key] = one
            self._folded += 1
        for key in [key for key, one in self._newest.items() if at_s - one.at_s > HEADWAY_KEPT_S]:
            del self._newest[key]

    def headways(self, at_s: float, trips: Mapping[str, str | None], seen: Iterable[Measured] = ()) -> list[Headway]:
        """Headways at an instant, those that were `seen` first; another trip's than `trips` says is not a vehicle's."""
        self.fold(at_s)
        known = self._newest | {one.key: one for one in seen}
        shown = [one for key, one in sorted(known.items()) if trips.get(key, one.trip_id) == one.trip_id]
        planned = np.abs([one.scheduled_s or 0.0 for one in shown])
        told = planned >= self.limits.scheduled_s_min
        ratio = np.where(told, [one.headway_s for one in shown] / np.where(told, planned, 1.0), np.nan)
        states = judge(ratio, self.limits).tolist()
        return [
            _headway(one, share, HEADWAY_STATES[state])
            for one, share, state in zip(shown, ratio.tolist(), states, strict=True)
        ]

    def alerts(self, at_s: float) -> list[Alert]:
        """Alerts at an instant, the newest first. Of one cause the newest counts: an older one was lost, not open."""
        found: dict[tuple[Any, ...], Alert] = {}
        for past in sorted(self._alerts, key=lambda one: -one.opened_s):
            alert = alert_at(past, at_s)
            if alert is not None:
                cause = (alert.kind, alert.vehicle_id, alert.route_id, alert.direction_id)
                key = (*cause, alert.id) if alert.state == "closed" else cause
                found.setdefault(key, alert)
        return list(found.values())

    def decisions(self, at_s: float) -> list[DecisionRow]:
        """Decisions of the last quarter of an hour before an instant, the newest first."""
        recent = (one for one in self._decisions if at_s - one.at <= DECISIONS_SHOWN_S)
        return [then for one in recent for then in (decision_at(one, at_s),) if then is not None]


def _headway(one: Measured, ratio: float, state: str) -> Headway:
    told = ratio == ratio  # noqa: PLR0124  nan where the timetable says nothing
    return Headway(
        route_id=one.route_id,
        direction_id=one.direction_id,
        pattern_id="",  # the database keeps trips; the feed of then may be another
        vehicle_id=one.key.partition("/")[2],
        trip_id=one.trip_id,
        leader_id=one.leader_id,
        stop_id=one.stop_id,
        headway_s=round(one.headway_s, 1),
        scheduled_headway_s=None if one.scheduled_s is None else round(one.scheduled_s, 1),
        deviation_s=round(one.headway_s - abs(one.scheduled_s), 1) if told and one.scheduled_s is not None else None,
        ratio=round(ratio, 3) if told else None,
        estimated=one.estimated,
        state=state,
        gap_m=None,
        since_s=one.at_s,
    )
