"""The controller: after each tick it advises on the lines that somebody controls, and follows what comes of it.

Everything here runs between two ticks, in the thread of the engine, and waits for nothing: instructions to send are put
into a queue that somebody else empties, decisions go to whoever keeps history, and what readers see is encoded as soon
as it changes. A tick that controls no line costs nothing but a look at a table.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from dispatch.advice import Advice, AdviceDesk, Open, has_left
from dispatch.calls import Hold, call_up
from dispatch.control import OFFERED, ControlTable, LineControl, Mode
from dispatch.control_measures import PASSAGES_MAX, measure_routes, recent_pairs
from dispatch.control_state import ControlMemory, ControlState, Encoder
from dispatch.control_stops import StopList, find_strangers, list_stops
from dispatch.decisions import Decisions
from dispatch.history_rows import Decision
from dispatch.instructing import AUTOMATIC, instruct, placed
from dispatch.instructions import Instruction, Instructions
from dispatch.ridership import Tap
from dispatch.situations import Scene, SituationLimits, Visit, find_cases
from dispatch.snapshot import Snapshot
from dispatch.watched import EngineLike, Watched

MEASURED_EVERY_S = 30.0
HEARD_S_MAX = 60.0  # a vehicle that never said whether it is online is, while fixes come
HOLD_S_MIN, HOLD_S_MAX = 10.0, 600.0
ORDERS_WAITING_MAX = 1000
TAPS_WAITING_MAX = 20_000  # of one tick, of all vehicles; the oldest go
VEHICLES_MAX = 200_000


@dataclass(slots=True)
class Controller:
    """Advice, modes and instructions of one engine. `decide` keeps a decision; `new_id` gives ids."""

    decide: Callable[[Decision], None]
    new_id: Callable[[], str]
    limits: SituationLimits = field(default_factory=SituationLimits)
    table: ControlTable = field(default_factory=ControlTable)
    instructions: Instructions = field(default_factory=Instructions)
    published: ControlState = field(default_factory=lambda: ControlState(0.0))
    orders: deque[Instruction] = field(default_factory=lambda: deque(maxlen=ORDERS_WAITING_MAX))
    taps: deque[Tap] = field(default_factory=lambda: deque(maxlen=TAPS_WAITING_MAX))  # anybody's thread may add to it
    tapping_share: float | None = None  # of riders; None: not known
    desk: AdviceDesk = field(init=False)
    decisions: Decisions = field(init=False)
    _engine: EngineLike | None = None
    _place: Watched | None = None
    _holds: dict[int, Hold] = field(default_factory=dict)
    _online: OrderedDict[str, bool] = field(default_factory=OrderedDict)
    _measured_s: float = -np.inf
    _encoder: Encoder = field(default_factory=Encoder)
    _before: dict[Visit, Advice] = field(default_factory=dict)  # open when the process before this one ended

    def __post_init__(self) -> None:
        self.desk = AdviceDesk(self.new_id)
        self.decisions = Decisions(self.decide)

    # -- after each tick -------------------------------------------------------------------------------------------

    def observe(self, engine: EngineLike, snapshot: Snapshot) -> None:
        """Advise on the fleet as this tick has it, and end what is over."""
        now_s = snapshot.as_of_s
        place = self._settle(engine, now_s)
        self.instructions.look(now_s)
        place.count([self.taps.popleft() for _ in range(len(self.taps))], engine, now_s)
        if place.watch(engine.passage_log, lambda route_id: self.table.mode_of(route_id) != "off"):
            self._advise(engine, snapshot, place)
        for one in self.desk.look(engine.fleet, now_s):
            self.decisions.record(one, ("expired", None, one.advice.hold_s), self._name, now_s)
        # Reading 10,000 passages takes some 15 ms: the more there are, the rarer.
        every_s = MEASURED_EVERY_S * max(1.0, min(engine.passage_log.written, PASSAGES_MAX) / 10_000)
        if not 0 <= now_s - self._measured_s < every_s:
            self._measure(now_s, "")
        self.decisions.follow(self.instructions.take_changed())
        self._publish(now_s)

    def _settle(self, engine: EngineLike, now_s: float) -> Watched:
        """Begin anew where the network is another one: stops, runs and lines are numbered differently there."""
        self._engine = engine
        is_first = self._place is None
        if self._place is None or self._place.network is not engine.network:
            self._place = Watched.begin(engine, self.table.own_stops(), self.tapping_share)
            if not is_first:  # what was taken up from before a restart is of this network
                self.desk.clear(now_s)
                self._holds.clear()
                self._before.clear()
            self.table.use_network(engine.network)
        return self._place

    def _advise(self, engine: EngineLike, snapshot: Snapshot, place: Watched) -> None:
        """Make, follow and withdraw advice; what a line that is automatic is advised is sent."""
        now_s, network = snapshot.as_of_s, place.network
        self._holds = {
            vehicle: hold
            for vehicle, hold in self._holds.items()
            if now_s < hold.until_s + 60.0 and not has_left(engine.fleet, (vehicle, hold.trip, hold.zero_s, hold.stop))
        }
        calls = call_up(snapshot.predictions, engine.fleet, network, place.controls, place.watched, self._holds)
        scene = Scene(
            network,
            engine.timetable,
            engine.fleet,
            snapshot.fleet,
            place.controls,
            place.departures,
            calls,
            now_s,
            self.limits,
            place.riders,
        )
        cases, refused = find_cases(scene, self.desk.decided.keys())
        self.desk.note_refused(refused, now_s)
        for case in cases:
            route_id = network.route_id[int(engine.roads.lines.line_route[case.line])]
            line = self.table.lines[route_id]
            made = self.desk.consider(case, line.law, network, self._name, now_s)
            earlier = self._before.pop(case.visit, None)
            if made is not None and earlier is not None:
                made.advice.id, made.advice.made_at = earlier.id, earlier.made_at
            elif made is not None:
                self.table.count(route_id, "advised")
            waiting = self.desk.open.get(case.visit)
            if waiting is not None and line.mode == "automatic":
                if self.is_online(case.key, now_s):
                    self._apply(waiting, AUTOMATIC, None, now_s)
                else:
                    self.desk.note_refused({case.visit: "offline"}, now_s)

    # -- over a restart --------------------------------------------------------------------------------------------

    def memory(self) -> ControlMemory:
        """What stands: copies, so that what comes later does not change it."""
        copy = msgspec.structs.replace
        return ControlMemory(
            self.instructions.memory(),
            [copy(line) for line in self.table.lines.values()],
            [(visit, copy(one.advice)) for visit, one in self.desk.open.items()],
            [copy(advice) for advice in self.desk.rows() if advice.state != "open"][::-1],
            list(self.desk.decided.items()),
            list(self._holds.items()),
            list(self._online.items()),
            list(self.decisions.following.items()),
            dict(self.desk.counts),
        )

    def resume(self, memory: ControlMemory) -> None:
        """Go on from where another controller stood; modes and laws are those of their own file."""
        self.instructions.resume(memory.instructions)
        for line in memory.lines:
            mine = self.table.lines.setdefault(line.route_id, line)
            if mine.since == line.since:
                self.table.lines[line.route_id] = line
        self._before = dict(memory.open)
        self.desk.resume(memory.closed, memory.decided)
        self.desk.counts.update(memory.counts)
        self._holds, self._online = dict(memory.holds), OrderedDict(memory.online)
        self.decisions.following = OrderedDict(memory.following)

    # -- what people and vehicles do -------------------------------------------------------------------------------

    def apply(self, advice_id: str, hold_s: float | None, by: str, now_s: float) -> Advice | str:
        """Send what is advised, or another hold; a string is the reason why that cannot be."""
        found = self.desk.find(advice_id)
        if found is None:
            return "closed" if self.desk.is_known(advice_id) else "unknown"
        advice = self._apply(found[1], by, hold_s, now_s)
        self._publish(now_s)
        return advice

    def decline(self, advice_id: str, by: str, reason: str | None, now_s: float) -> Advice | str:
        """Note that a dispatcher does not follow an advice; a string is the reason why that cannot be."""
        found = self.desk.find(advice_id)
        if found is None:
            return "closed" if self.desk.is_known(advice_id) else "unknown"
        visit, one = found
        one.advice.decline_reason = reason
        self.desk.close(visit, "declined", by, now_s)
        self.table.count(one.advice.route_id, "declined")
        self.decisions.record(one, ("declined", by, one.advice.hold_s), self._name, now_s)
        self._publish(now_s)
        return one.advice

    def set_mode(self, route_id: str, mode: Mode, law: str | None, by: str, now_s: float) -> LineControl | str:
        """Switch a line off, to advice or to automatic; a string is the reason why that cannot be."""
        if route_id not in self.table.lines:
            return "unknown_route"
        if law is not None and law not in OFFERED:
            return "unknown_law"
        if mode != "off" and self.table.mode_of(route_id) == "off":
            self._measure(now_s, route_id)
        line = self.table.set(route_id, mode, law, by, now_s)
        if mode == "off":
            for visit, one in list(self.desk.open.items()):
                if one.advice.route_id == route_id:
                    self.desk.close(visit, "withdrawn", None, now_s)
        known = {"mode": mode, "law": line.law, "ewt_s": line.ewt_s, "c_vh": line.c_vh}
        self.decide(Decision(self.new_id(), "mode", mode, "", now_s, by, known, route_id))
        self._publish(now_s)
        return line

    def set_stops(self, route_id: str, stop_ids: Sequence[str] | None, by: str, now_s: float) -> StopList | str:
        """List a route's own control stops, or none of its own (None); a string is the reason why that cannot be."""
        if self._place is None or route_id not in self._place.network.route_id:
            return "unknown_route"
        stranger = find_strangers(self._place.network, route_id, stop_ids or ())
        if stranger is not None:
            return f"unknown_stop:{stranger}"
        line = self.table.set_stops(route_id, stop_ids)
        self._place.place_anew(self.table.own_stops())
        known = {"stop_ids": line.stop_ids}
        self.decide(
            Decision(
                self.new_id(), "stops", "rule" if line.stop_ids is None else "listed", "", now_s, by, known, route_id
            )
        )
        self._publish(now_s)
        return self.stops(route_id)

    def stops(self, route_id: str) -> StopList | str:
        """Where a route's vehicles may be held, and why there; a string is the reason why that cannot be said."""
        if self._place is None or route_id not in self._place.network.route_id:
            return "unknown_route"
        return list_stops(self._place.network, self._place.controls, route_id, self.table.lines[route_id].stop_ids)

    def note(self, instruction: Instruction, now_s: float) -> None:
        """Follow an instruction that a dispatcher has sent by hand."""
        instruction = placed(instruction, self._engine)
        self.instructions.add(instruction, now_s)
        self.decisions.record_by_hand(instruction, now_s)
        self.decisions.follow(self.instructions.take_changed())
        self._publish(now_s)

    def event(self, event: Mapping[str, Any], now_s: float) -> None:
        """Take a vehicle's event: that it is online or not, and answers to instructions."""
        key, kind = str(event.get("vehicle_key", "")), event.get("event")
        if kind in ("online", "offline"):
            self._online[key] = kind == "online"
            self._online.move_to_end(key)
            if len(self._online) > VEHICLES_MAX:
                self._online.popitem(last=False)
        elif kind in ("instruction_read", "instruction_done"):
            done = kind == "instruction_done"
            answered = self.instructions.answered(key, event.get("instruction_id"), done, now_s)
            if answered is not None and done:
                self._release(key)

    def progress(self, instruction_id: str, confirmed: bool, now_s: float) -> None:
        """The broker has confirmed an instruction, or it will not be sent."""
        found = self.instructions.get(instruction_id)
        if found is None:
            return
        if confirmed:
            self.instructions.confirmed(instruction_id, now_s, online=self.is_online(found.key, now_s))
        else:
            self.instructions.refused(instruction_id, now_s)
            self._release(found.key)

    def is_online(self, key: str, now_s: float) -> bool:
        """Whether a vehicle's session is there: as its status says, else by the age of its newest fix."""
        told = self._online.get(key)
        if told is not None or self._engine is None:
            return bool(told)
        row = self._engine.fleet.index.get(key)
        return row is not None and now_s - float(self._engine.fleet.ts_s[row]) <= HEARD_S_MAX

    @property
    def counters(self) -> dict[str, float]:
        """Counters by name and reason; they only rise."""
        counts = self.desk.counts
        advice = {f"advice.{name}": float(number) for name, number in counts.items() if "." not in name}
        none = {f"advice_{name}": float(number) for name, number in counts.items() if "." in name}
        taps = {"taps_unplaced": float(self._place.riders.ignored) if self._place is not None else 0.0}
        return {**advice, **none, **taps, **self.instructions.counters}

    @property
    def gauges(self) -> dict[str, float]:
        """What stands now."""
        modes = [line.mode for line in self.table.lines.values()]
        lines = {f"control_lines.{mode}": float(modes.count(mode)) for mode in ("off", "advise", "automatic")}
        return {"advice_open": float(len(self.desk.open)), **lines, **self.instructions.gauges}

    # -- how -------------------------------------------------------------------------------------------------------

    def _apply(self, one: Open, by: str, hold_s: float | None, now_s: float) -> Advice:
        """Send what is advised, or another hold, and keep the decision."""
        advice, case = one.advice, one.case
        chosen_s = advice.hold_s if hold_s is None else hold_s
        leaves_s = round(max(case.situation.ready_s, now_s) + chosen_s)
        timezone = "UTC" if self._place is None else self._place.network.timezone
        instruction = instruct(advice, chosen_s, leaves_s, by, (self.new_id(), now_s, timezone))
        advice.instruction_id, advice.depart_at = instruction.id, float(leaves_s)
        advice.switched_by = self.table.lines[advice.route_id].by if instruction.automatic else None
        state = AUTOMATIC if instruction.automatic else "applied" if chosen_s == advice.hold_s else "changed"
        self.desk.close(case.visit, "applied", by, now_s)
        self.desk.counts[f"by_{state}"] += 1
        self.table.count(advice.route_id, "applied")
        self._holds[case.vehicle] = Hold(case.trip, case.zero_s, case.stop, float(leaves_s))
        self.instructions.add(instruction, now_s)
        self.orders.append(instruction)
        self.decisions.record(one, (state, by, chosen_s), self._name, now_s, instruction)
        return advice

    def _release(self, key: str) -> None:
        row = self._engine.fleet.index.get(key) if self._engine is not None else None
        if row is not None:
            self._holds.pop(row, None)

    def _measure(self, now_s: float, route_id: str) -> None:
        """Say how regular lines are, those that are controlled and this route in any case."""
        engine = self._engine
        if engine is None or self._place is None:
            return
        self._measured_s = now_s
        lines = engine.roads.lines
        named = np.array([name == route_id for name in engine.network.route_id], dtype=np.bool_)
        wanted = self._place.watched | named[lines.line_route]
        pairs = recent_pairs(engine.passage_log, engine.network, lines, engine.timetable, now_s, wanted)
        self.table.measure(measure_routes(pairs, lines, engine.network.route_id))

    def _publish(self, now_s: float) -> None:
        """Encode what has changed since the last time."""
        network = self._place.network if self._place is not None else None
        parts = (self.desk, self.instructions, self.table)
        self.published = self._encoder.state(self.published, parts, network, now_s)

    def _name(self, vehicle: int) -> str:
        assert self._engine is not None
        return self._engine.fleet.key[vehicle].partition("/")[2]
