"""Decisions: what was decided on advice, with what was known then, and what became of the instruction."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import msgspec

from dispatch.advice import Open
from dispatch.effects import known_of
from dispatch.history_rows import Decision
from dispatch.instructions import Instruction

FOLLOWED_MAX = 5000


@dataclass(slots=True)
class Decisions:
    """Tells `decide` of each decision, and again when its instruction has come to its end."""

    decide: Callable[[Decision], None]
    following: OrderedDict[str, Decision] = field(default_factory=OrderedDict)  # by instruction

    def record(
        self,
        one: Open,
        made: tuple[str, str | None, float],
        names: Callable[[int], str],
        now_s: float,
        instruction: Instruction | None = None,
    ) -> None:
        """Keep a decision with what was known when it was taken; `made` is what was decided, by whom, and its hold."""
        advice, (state, by, hold_s) = one.advice, made
        known = {
            **known_of(one.case, advice.law, advice.hold_s, names),
            "hold_s": hold_s,
            "trip_id": advice.trip_id,
            "stop_id": advice.stop_id,
            "reason": advice.reason,
        }
        if advice.decline_reason is not None:
            known["decline_reason"] = advice.decline_reason
        if advice.switched_by is not None:
            known["switched_by"] = advice.switched_by
        line = (advice.route_id, advice.direction_id)
        decision = Decision(advice.id, advice.kind, state, advice.key, now_s, by or "", known, *line)
        self.keep(decision, instruction)

    def record_by_hand(self, instruction: Instruction, now_s: float) -> None:
        """Keep that a dispatcher has sent an instruction of his own."""
        known = {name: getattr(instruction, name) for name in ("text", "until_ts", "id")}
        line = (instruction.route_id, instruction.direction_id)
        made = Decision(
            instruction.id, instruction.kind, "by_hand", instruction.key, now_s, instruction.by, known, *line
        )
        self.keep(made, instruction)

    def keep(self, decision: Decision, instruction: Instruction | None) -> None:
        """Tell of a decision, and follow its instruction."""
        self.decide(decision)
        if instruction is not None:
            self.following[instruction.id] = decision
            if len(self.following) > FOLLOWED_MAX:
                self.following.popitem(last=False)

    def follow(self, changed: Iterable[Instruction]) -> None:
        """Tell history what has become of the instructions of decisions, once they are at their end."""
        for one in changed:
            decision = self.following.get(one.id)
            if decision is None or one.is_open:
                continue
            del self.following[one.id]
            times = {name: getattr(one, name) for name in ("delivered_at", "read_at", "done_at", "expired_at")}
            came = {"id": one.id, "state": one.state, "created_at": one.created_at, **times}
            self.decide(msgspec.structs.replace(decision, known={**decision.known, "instruction": came}))
