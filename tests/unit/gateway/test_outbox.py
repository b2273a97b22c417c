"""What goes down: at once where there is a way; instructions and lists wait, bounded, for one."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.outbox import Outbox
from gateway.wire import Answer, Instruction


@dataclass
class Line:
    """A connection that can be up or down, and what was sent on it."""

    up: bool = True
    sent: list[tuple[str, dict[str, object], int, bool]] = field(default_factory=list)
    on_acks: list[Callable[[], None] | None] = field(default_factory=list)

    def publish(
        self,
        topic: str,
        payload: bytes,
        qos: int = 0,
        retain: bool = False,
        on_ack: Callable[[], None] | None = None,
    ) -> bool:
        if self.up:
            self.sent.append((topic, json.loads(payload), qos, retain))
            self.on_acks.append(on_ack)
        return self.up


def make(line: Line, now_s: float = 0.0) -> Outbox:
    return Outbox(line, 2, Counter(), lambda: now_s)


def test_a_verdict_goes_to_its_validator() -> None:
    line = Line()
    make(line).verdict("kpt", "v7", Answer("i", "accepted"))
    assert line.sent[0][0] == "validator/v1/kpt/v7/verdict"


def test_a_verdict_without_a_way_is_counted_and_not_kept() -> None:
    line = Line(up=False)
    outbox = make(line)
    outbox.verdict("kpt", "v7", Answer("i", "accepted"))
    line.up = True
    outbox.drain()
    assert line.sent == []
    assert outbox.counts["verdicts_unsent"] == 1


def test_an_instruction_waits_for_a_way() -> None:
    line = Line(up=False)
    outbox = make(line)
    assert outbox.instruct("kpt/4582", Instruction("i1", 0.0, "message", text="Hello"))
    line.up = True
    outbox.drain()
    assert [(topic, qos, retain) for topic, _, qos, retain in line.sent] == [
        ("fleet/v1/kpt/4582/instruction", 1, False)
    ]


def test_an_instruction_whose_time_has_passed_is_dropped() -> None:
    line = Line()
    outbox = make(line, now_s=100.0)
    outbox.instruct("kpt/4582", Instruction("i1", 0.0, "hold", until_ts=99.0))
    assert line.sent == []
    assert outbox.counts["instructions_expired"] == 1


def test_the_queue_is_bounded() -> None:
    outbox = make(Line(up=False))
    taken = [outbox.instruct("kpt/4582", Instruction(str(number), 0.0, "message")) for number in range(3)]
    assert taken == [True, True, False]
    assert outbox.counts["outbox_full"] == 1


def test_no_instruction_goes_to_a_name_that_is_none() -> None:
    line = Line()
    assert not make(line).instruct("kpt/#", Instruction("i", 0.0, "message"))
    assert not make(line).instruct("kpt", Instruction("i", 0.0, "message"))
    assert line.sent == []


def test_lists_are_retained() -> None:
    line = Line()
    make(line).lists("kpt", {"keys": {"version": 3}})
    assert line.sent == [("validator/v1/kpt/all/lists", {"keys": {"version": 3}}, 1, True)]


def telling(line: Line, now_s: float = 0.0) -> tuple[Outbox, list[tuple[str, bool]]]:
    told: list[tuple[str, bool]] = []
    return Outbox(line, 2, Counter(), lambda: now_s, lambda *what: told.append(what)), told


def test_the_brokers_acknowledgement_is_told_with_the_instructions_id() -> None:
    line = Line()
    outbox, told = telling(line)
    outbox.instruct("kpt/4582", Instruction("i1", 0.0, "hold"))
    assert told == []
    (on_ack,) = line.on_acks
    assert on_ack is not None
    on_ack()
    assert told == [("i1", True)]


def test_an_instruction_that_will_not_be_sent_is_told() -> None:
    line = Line(up=False)
    outbox, told = telling(line, now_s=100.0)
    outbox.instruct("kpt/#", Instruction("bad key", 0.0, "hold"))
    for number in range(3):
        outbox.instruct("kpt/4582", Instruction(f"i{number}", 0.0, "hold", until_ts=99.0 if number == 0 else None))
    assert told == [("bad key", False), ("i0", False)]
    assert len(line.sent) == 0
