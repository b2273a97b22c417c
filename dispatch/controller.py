"""The controller: after each tick it advises on the lines that somebody controls, and follows what comes of it.

Everything here runs between two ticks, in the thread of the engine, and waits for nothing: instructions to send are put
into a queue that somebody else empties, decisions go to whoever keeps history, and what readers see is encoded as soon
as it changes. A tick that controls no line costs nothing but a look at a table.
"""

from __future__ import annotations

import datetime as dt
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol
from zoneinfo import ZoneInfo

import msgspec
import numpy as np

from dispatch.advice import Advice, AdviceDesk, Open, has_left, known_of, text_for_driver
from dispatch.claims import Timetable
from dispatch.control import OFFERED, PASSAGES_MAX, ControlTable, LineControl, Mode, measure_routes, recent_pairs
from dispatch.control_stops import ControlStops, place_controls
from dispatch.fleet import Fleet
from dispatch.history_rows import Decision
from dispatch.instructions import Instruction, Instructions, InstructionsMemory
from dispatch.network import Flags, Network
from dispatch.passages import PassageLog
from dispatch.situations import Departures, Hold, Scene, SituationLimits, Visit, call_up, find_cases
from dispatch.snapshot import Snapshot
from dispatch.tracks import Roads

AUTOMATIC: Final = "automatic"
MARGIN_S = 30.0  # a vehicle may come later than predicted; its hold is not cut short for that
MEASURED_EVERY_S = 30.0
HEARD_S_MAX = 60.0  # a vehicle that never said whether it is online is, while fixes come
HOLD_S_MIN, HOLD_S_MAX = 10.0, 600.0
ORDERS_WAITING_MAX = 1000
DECISIONS_FOLLOWED_MAX = 5000
ROWS_MAX = 1000
VEHICLES_MAX = 200_000

_ENCODE = msgspec.json.Encoder().encode


class EngineLike(Protocol):
    """The engine as the controller reads it, between two ticks."""

    @property
    def network(self) -> Network:
        """The feed in use."""

    @property
    def timetable(self) -> Timetable:
        """What runs when."""

    @property
    def fleet(self) -> Fleet:
        """The state of all vehicles."""

    @property
    def roads(self) -> Roads:
        """The network to moving vehicles."""

    @property
    def passage_log(self) -> PassageLog:
        """The newest passages."""


class ControlState(msgspec.Struct, frozen=True):
    """What readers see: three JSON lists, each encoded when it last changed."""

    as_of_s: float
    advice: bytes = b"[]"
    instructions: bytes = b"[]"
    control: bytes = b"[]"


class ControlMemory(msgspec.Struct):
    """A controller as it stood, for a restart on the same network; vehicles are their rows."""

    instructions: InstructionsMemory
    lines: list[LineControl]
    open: list[tuple[Visit, Advice]]
    closed: list[Advice]
    decided: list[tuple[Visit, float]]
    holds: list[tuple[int, Hold]]
    online: list[tuple[str, bool]]
    following: list[tuple[str, Decision]]
    counts: dict[str, int]


@dataclass(slots=True)
class _Place:
    """What depends on the network alone, and what is remembered of the lines that are watched."""

    network: Network
    controls: ControlStops
    departures: Departures
    watched: Flags  # by line
    taken: int  # passages


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
    desk: AdviceDesk = field(init=False)
    _engine: EngineLike | None = None
    _place: _Place | None = None
    _holds: dict[int, Hold] = field(default_factory=dict)
    _online: OrderedDict[str, bool] = field(default_factory=OrderedDict)
    _following: OrderedDict[str, Decision] = field(default_factory=OrderedDict)  # by instruction
    _measured_s: float = -np.inf
    _versions: tuple[int, int, int] = (-1, -1, -1)
    _before: dict[Visit, Advice] = field(default_factory=dict)  # open when the process before this one ended

    def __post_init__(self) -> None:
        self.desk = AdviceDesk(self.new_id)

    # -- after each tick -------------------------------------------------------------------------------------------

    def observe(self, engine: EngineLike, snapshot: Snapshot) -> None:
        """Advise on the fleet as this tick has it, and end what is over."""
        now_s = snapshot.as_of_s
        place = self._settle(engine, now_s)
        self.instructions.look(now_s)
        if self._watch(engine, place):
            self._advise(engine, snapshot, place)
        for one in self.desk.look(engine.fleet, now_s):
            self._record(one, "expired", None, now_s, one.advice.hold_s)
        # Reading 10,000 passages takes some 15 ms: the more there are, the rarer.
        every_s = MEASURED_EVERY_S * max(1.0, min(engine.passage_log.written, PASSAGES_MAX) / 10_000)
        if not 0 <= now_s - self._measured_s < every_s:
            self._measure(now_s, "")
        self._follow()
        self._publish(now_s)

    def _settle(self, engine: EngineLike, now_s: float) -> _Place:
        """Begin anew where the network is another one: stops, runs and lines are numbered differently there."""
        self._engine = engine
        is_first = self._place is None
        if self._place is None or self._place.network is not engine.network:
            network = engine.network
            controls = place_controls(network, engine.roads.lines)
            watched = np.zeros(len(engine.roads.lines.line_route), dtype=np.bool_)
            self._place = _Place(network, controls, Departures(controls, network), watched, engine.passage_log.written)
            if not is_first:  # what was taken up from before a restart is of this network
                self.desk.clear(now_s)
                self._holds.clear()
                self._before.clear()
            self.table.use_network(network)
        return self._place

    def _watch(self, engine: EngineLike, place: _Place) -> bool:
        """Remember who has left the stops of the lines that are controlled; whether there is any such line."""
        network, lines, log = place.network, engine.roads.lines, engine.passage_log
        on = [self.table.mode_of(route_id) != "off" for route_id in network.route_id]
        watched = np.array(on, dtype=np.bool_)[lines.line_route]
        if (watched & ~place.watched).any():  # a line that is new: what has passed lately is in the log
            place.departures = Departures(place.controls, network)
            place.taken = max(0, log.written - 50_000)
        place.watched = watched
        if log.written < place.taken:
            place.taken = 0
        if watched.any() and log.written > place.taken:
            place.departures.add(log.since(place.taken), watched)
        place.taken = log.written
        return bool(watched.any())

    def _advise(self, engine: EngineLike, snapshot: Snapshot, place: _Place) -> None:
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
            list(self._following.items()),
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
        self._following = OrderedDict(memory.following)

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
        self._record(one, "declined", by, now_s, one.advice.hold_s)
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

    def note(self, instruction: Instruction, now_s: float) -> None:
        """Follow an instruction that a dispatcher has sent by hand."""
        instruction = self._placed(instruction)
        self.instructions.add(instruction, now_s)
        known = {name: getattr(instruction, name) for name in ("text", "until_ts", "id")}
        line = (instruction.route_id, instruction.direction_id)
        made = Decision(
            instruction.id, instruction.kind, "by_hand", instruction.key, now_s, instruction.by, known, *line
        )
        self._keep(made, instruction.id)
        self._follow()
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
        return {**advice, **none, **self.instructions.counters}

    @property
    def gauges(self) -> dict[str, float]:
        """What stands now."""
        modes = [line.mode for line in self.table.lines.values()]
        lines = {f"control_lines.{mode}": float(modes.count(mode)) for mode in ("off", "advise", "automatic")}
        return {"advice_open": float(len(self.desk.open)), **lines, **self.instructions.gauges}

    # -- how -------------------------------------------------------------------------------------------------------

    def _apply(self, one: Open, by: str, hold_s: float | None, now_s: float) -> Advice:
        advice, case = one.advice, one.case
        automatic = by == AUTOMATIC
        chosen_s = advice.hold_s if hold_s is None else hold_s
        ready_s = max(case.situation.ready_s, now_s)
        leaves_s = round(ready_s + chosen_s)
        depart_at = float(leaves_s) if advice.kind == "depart" else None
        instruction = Instruction(
            id=self.new_id(),
            operator_id=advice.operator_id,
            vehicle_id=advice.vehicle_id,
            route_id=advice.route_id,
            direction_id=advice.direction_id,
            kind=advice.kind,
            text=text_for_driver(advice, chosen_s, self._clock(leaves_s)),
            hold_s=chosen_s,
            stop_id=advice.stop_id,
            until_ts=leaves_s + MARGIN_S,
            state="sent",
            created_at=now_s,
            by=by,
            depart_at=depart_at,
            advice_id=advice.id,
            law=advice.law,
            automatic=automatic,
            trip_id=advice.trip_id,
        )
        advice.instruction_id, advice.depart_at = instruction.id, float(leaves_s)
        state = AUTOMATIC if automatic else "applied" if chosen_s == advice.hold_s else "changed"
        self.desk.close(case.visit, "applied", by, now_s)
        self.desk.counts[f"by_{state}"] += 1
        self.table.count(advice.route_id, "applied")
        self._holds[case.vehicle] = Hold(case.trip, case.zero_s, case.stop, float(leaves_s))
        self.instructions.add(instruction, now_s)
        self.orders.append(instruction)
        self._record(one, state, by, now_s, chosen_s, instruction)
        return advice

    def _record(
        self,
        one: Open,
        state: str,
        by: str | None,
        now_s: float,
        hold_s: float,
        instruction: Instruction | None = None,
    ) -> None:
        """Keep a decision with what was known when it was taken."""
        advice = one.advice
        known = {
            **known_of(one.case, advice.law, advice.hold_s, self._name),
            "hold_s": hold_s,
            "trip_id": advice.trip_id,
            "stop_id": advice.stop_id,
            "reason": advice.reason,
        }
        if advice.decline_reason is not None:
            known["decline_reason"] = advice.decline_reason
        made = Decision(
            advice.id,
            advice.kind,
            state,
            advice.key,
            now_s,
            by or "",
            known,
            advice.route_id,
            advice.direction_id,
        )
        self._keep(made, None if instruction is None else instruction.id)

    def _keep(self, decision: Decision, instruction_id: str | None) -> None:
        self.decide(decision)
        if instruction_id is not None:
            self._following[instruction_id] = decision
            if len(self._following) > DECISIONS_FOLLOWED_MAX:
                self._following.popitem(last=False)

    def _follow(self) -> None:
        """Tell history what has become of the instructions of decisions, once they are at their end."""
        for one in self.instructions.take_changed():
            decision = self._following.get(one.id)
            if decision is None or one.is_open:
                continue
            del self._following[one.id]
            times = {name: getattr(one, name) for name in ("delivered_at", "read_at", "done_at", "expired_at")}
            came = {"id": one.id, "state": one.state, "created_at": one.created_at, **times}
            self.decide(msgspec.structs.replace(decision, known={**decision.known, "instruction": came}))

    def _release(self, key: str) -> None:
        row = self._engine.fleet.index.get(key) if self._engine is not None else None
        if row is not None:
            self._holds.pop(row, None)

    def _placed(self, instruction: Instruction) -> Instruction:
        """The instruction with the route that its vehicle drives now."""
        engine = self._engine
        row = engine.fleet.index.get(instruction.key) if engine is not None else None
        if engine is None or row is None or int(engine.fleet.trip[row]) < 0:
            return instruction
        network, pattern = engine.network, int(engine.fleet.pattern[row])
        return msgspec.structs.replace(
            instruction,
            route_id=network.route_id[int(network.pattern_route[pattern])],
            direction_id=int(network.pattern_direction[pattern]),
            trip_id=network.trip_id[int(engine.fleet.trip[row])],
        )

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
        versions = (self.desk.version, self.instructions.version, self.table.version)
        last, self._versions = self._versions, versions
        advice, instructions, control = self.published.advice, self.published.instructions, self.published.control
        if versions[0] != last[0]:
            advice = _ENCODE(self.desk.rows()[:ROWS_MAX])
        if versions[1] != last[1]:
            instructions = _ENCODE(self.instructions.rows()[:ROWS_MAX])
        if versions[2] != last[2] and network is not None:
            control = _ENCODE(self.table.rows(network))
        self.published = ControlState(now_s, advice, instructions, control)

    def _name(self, vehicle: int) -> str:
        assert self._engine is not None
        return self._engine.fleet.key[vehicle].partition("/")[2]

    def _clock(self, at_s: float) -> str:
        zone = ZoneInfo(self._place.network.timezone) if self._place is not None else dt.UTC
        return dt.datetime.fromtimestamp(at_s, zone).strftime("%H:%M:%S")
