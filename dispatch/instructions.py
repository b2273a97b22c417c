"""Instructions: what vehicles have been asked, and how far each has come, by a table of states.

An instruction is *sent* once it is on its way, *delivered* when the broker has confirmed it while the vehicle's session
was online, *read* and *done* when the vehicle says so. What is not answered in time is *expired*, and what could not be
sent has *failed*. A vehicle has one open instruction: a newer one takes the older one's place. A message in words asks
for nothing, so it ends once it is read.

Answers come from devices, so all of it may be wrong: an id that nobody knows, another vehicle's id, `done` before
`read`, everything twice. What changes nothing is counted with its reason. Times are those of dispatch's own clock, for
a device's may be a day off; a clock that was set back ends what it makes immortal.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final, Literal

import msgspec

State = Literal["sent", "delivered", "read", "done", "expired", "failed"]
Kind = Literal["hold", "depart", "message"]
Step = Literal["confirmed", "read", "done", "refused", "over"]

# (state, step) -> next state; what is not here changes nothing.
TRANSITIONS: Final[dict[tuple[State, Step], State]] = {
    ("sent", "confirmed"): "delivered",
    ("sent", "read"): "read",
    ("sent", "done"): "done",
    ("sent", "refused"): "failed",
    ("sent", "over"): "expired",
    ("delivered", "read"): "read",
    ("delivered", "done"): "done",
    ("delivered", "over"): "expired",
    ("read", "done"): "done",
    ("read", "over"): "expired",
}
STATES: Final[tuple[State, ...]] = ("sent", "delivered", "read", "done", "expired", "failed")
OPEN: Final = frozenset({"sent", "delivered", "read"})


@dataclass(frozen=True, slots=True)
class InstructionLimits:
    """How long an instruction may stay open, how long a closed one is listed, and how many are kept."""

    grace_s: float = 120.0  # after until_ts: drivers answer when they have left
    open_s_max: float = 3600.0  # whatever until_ts says
    listed_s: float = 3600.0
    kept_max: int = 20_000
    clock_back_s: float = 60.0


class Instruction(msgspec.Struct):
    """A row of GET /api/v1/instructions; instants are Unix seconds."""

    id: str
    operator_id: str
    vehicle_id: str
    route_id: str | None
    direction_id: int | None
    kind: Kind
    text: str | None
    hold_s: float | None
    stop_id: str | None
    until_ts: float | None
    state: State
    created_at: float
    by: str
    delivered_at: float | None = None
    read_at: float | None = None
    done_at: float | None = None
    expired_at: float | None = None
    depart_at: float | None = None
    advice_id: str | None = None
    law: str | None = None
    automatic: bool = False
    trip_id: str | None = None

    @property
    def key(self) -> str:
        """`<operator>/<vehicle>`."""
        return f"{self.operator_id}/{self.vehicle_id}"

    @property
    def is_open(self) -> bool:
        """Whether anything is still expected of it; a message that was read is at its end."""
        return self.state in OPEN and not (self.kind == "message" and self.state == "read")


class InstructionsMemory(msgspec.Struct):
    """All instructions that are listed, in their order, and what has been counted."""

    listed: list[Instruction]
    counts: dict[str, int]
    read_s_sum: float


@dataclass(slots=True)
class Instructions:
    """All instructions of the last hour, in the order in which they were made."""

    limits: InstructionLimits = field(default_factory=InstructionLimits)
    counts: Counter[str] = field(default_factory=Counter)
    read_s_sum: float = 0.0  # from made to read, of all that were read
    version: int = 0  # rises with every change
    _by_id: dict[str, Instruction] = field(default_factory=dict)
    _open_of: dict[str, str] = field(default_factory=dict)  # vehicle key -> id
    _changed: list[Instruction] = field(default_factory=list)

    def add(self, instruction: Instruction, now_s: float) -> None:
        """Take a new instruction in; an older one of the same vehicle that is still open is over."""
        if instruction.id in self._by_id:
            self.counts["answers.known_id"] += 1
            return
        older = self.open_of(instruction.key)
        if older is not None:
            self.counts["replaced"] += 1
            self._take(older, "over", now_s)
        while len(self._by_id) >= self.limits.kept_max:
            self._drop(next(iter(self._by_id.values())), now_s)
        self._by_id[instruction.id] = instruction
        self._open_of[instruction.key] = instruction.id
        self._note(instruction)

    def confirmed(self, instruction_id: str, now_s: float, *, online: bool) -> None:
        """The broker has confirmed it; to a vehicle that is not online it is not delivered by that."""
        if not online:
            self.counts["confirmed_offline"] += 1
            return
        found = self._by_id.get(instruction_id)
        if found is not None:  # one that was sent while dispatch was away
            self._take(found, "confirmed", now_s)

    def refused(self, instruction_id: str, now_s: float) -> None:
        """It could not be sent."""
        found = self._by_id.get(instruction_id)
        if found is not None:
            self._take(found, "refused", now_s)

    def answered(self, key: str, instruction_id: object, done: bool, now_s: float) -> Instruction | None:
        """A vehicle says that it has read or done an instruction; None where that changes nothing."""
        found = self._by_id.get(instruction_id) if isinstance(instruction_id, str) else None
        if found is None:
            self.counts["answers.unknown_id"] += 1
            return None
        if found.key != key:
            self.counts["answers.another_vehicle"] += 1
            return None
        if not self._take(found, "done" if done else "read", now_s):
            self.counts["answers.nothing_new" if found.state in ("read", "done") else "answers.too_late"] += 1
            return None
        return found

    def look(self, now_s: float) -> None:
        """End what is past its time, and forget what has been listed for long enough."""
        back_s, limits = self.limits.clock_back_s, self.limits
        for one in [self._by_id[found] for found in self._open_of.values()]:
            if now_s >= self._deadline_s(one) or now_s < one.created_at - back_s:
                self._take(one, "over", now_s)
        gone = []
        for one in self._by_id.values():
            if not one.is_open and not -back_s <= now_s - one.created_at <= limits.listed_s:
                gone.append(one)
        for one in gone:
            self._drop(one, now_s)

    def open_of(self, key: str) -> Instruction | None:
        """The open instruction of a vehicle."""
        found = self._open_of.get(key)
        return None if found is None else self._by_id[found]

    def get(self, instruction_id: str) -> Instruction | None:
        """An instruction that is still listed."""
        return self._by_id.get(instruction_id)

    def rows(self) -> list[Instruction]:
        """All that are listed, the newest first."""
        return list(reversed(self._by_id.values()))

    def memory(self) -> InstructionsMemory:
        """What stands: copies, so that what comes later does not change it."""
        listed = [msgspec.structs.replace(one) for one in self._by_id.values()]
        return InstructionsMemory(listed, dict(self.counts), self.read_s_sum)

    def resume(self, memory: InstructionsMemory) -> None:
        """Go on from where others stood; these are still none."""
        for one in memory.listed[-self.limits.kept_max :]:
            self._by_id[one.id] = one
            if one.is_open:
                self._open_of[one.key] = one.id
        self.counts.update(memory.counts)
        self.read_s_sum += memory.read_s_sum
        self.version += 1

    def take_changed(self) -> list[Instruction]:
        """What has changed since this was asked last, each once."""
        changed, self._changed = self._changed, []
        return list({one.id: one for one in changed}.values())

    @property
    def counters(self) -> dict[str, float]:
        """Counters by name; they only rise."""
        return {
            **{f"instructions.{name}": float(number) for name, number in self.counts.items() if "." not in name},
            **{f"instruction_{name}": float(number) for name, number in self.counts.items() if "." in name},
            "instruction_read_seconds": self.read_s_sum,
        }

    @property
    def gauges(self) -> dict[str, float]:
        """How many are listed, by state."""
        states = Counter(one.state for one in self._by_id.values())
        return {f"instructions_listed.{state}": float(states[state]) for state in STATES}

    def _deadline_s(self, one: Instruction) -> float:
        latest_s = one.created_at + self.limits.open_s_max
        return latest_s if one.until_ts is None else min(latest_s, one.until_ts + self.limits.grace_s)

    def _take(self, one: Instruction, step: Step, now_s: float) -> bool:
        next_state = TRANSITIONS.get((one.state, step))
        if next_state is None or not one.is_open:
            return False
        one.state = next_state
        if step in ("confirmed", "read", "done") and one.delivered_at is None:
            one.delivered_at = now_s  # whoever answers has got it
        if step in ("read", "done") and one.read_at is None:
            one.read_at = now_s
            self.read_s_sum += max(0.0, now_s - one.created_at)
        if step == "done":
            one.done_at = now_s
        if step in ("over", "refused"):
            one.expired_at = now_s
        self._note(one)
        return True

    def _note(self, one: Instruction) -> None:
        self.counts[one.state] += 1
        self.version += 1
        self._changed.append(one)
        if not one.is_open and self._open_of.get(one.key) == one.id:
            del self._open_of[one.key]

    def _drop(self, one: Instruction, now_s: float) -> None:
        if one.is_open:
            self._take(one, "over", now_s)
        self._open_of = {key: found for key, found in self._open_of.items() if found != one.id}
        del self._by_id[one.id]
        self.version += 1
