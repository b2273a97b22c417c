"""Who is judged next: riders first, and a backlog that always moves on."""

from __future__ import annotations

from gateway.refusal import Reason, Refusal
from gateway.taps import LATE_MAX, Line, Pending
from gateway.wire import Offline, Tap


def pending(name: str, offline: bool) -> Pending:
    said = Offline("accepted") if offline else None
    tap = Tap(name, "a", 1, 0.0, "qr", "T", None, None, None, None, None, said, "op", "v", 0.0, b"")
    return Pending((1, 1), b"", "topic", name.encode(), "op", "v", tap)


def line(live: int, late: int) -> Line:
    made = Line()
    for number in range(late):
        made.append(pending(f"late{number}", offline=True))
    for number in range(live):
        made.append(pending(f"live{number}", offline=False))
    return made


def names(batch: list[Pending]) -> list[str]:
    return [each.payload.decode() for each in batch]


def test_riders_go_first_and_the_backlog_has_its_share() -> None:
    made = line(live=100, late=100)
    assert names(made.take(8)) == [*(f"live{n}" for n in range(6)), "late0", "late1"]
    assert len(made) == 192


def test_a_backlog_alone_comes_in_short_batches() -> None:
    made = line(live=0, late=100)
    assert len(made.take(8)) == 8
    assert len(made.take(512)) == LATE_MAX


def test_room_that_the_backlog_does_not_need_is_the_riders() -> None:
    assert names(line(live=8, late=1).take(8)) == [*(f"live{n}" for n in range(7)), "late0"]
    assert len(line(live=20, late=0).take(8)) == 8


def test_taken_one_by_one_both_have_their_turns() -> None:
    made = line(live=3, late=3)
    taken = [names(made.take(1)) for _ in range(6)]
    assert sorted(taken) == [["late0"], ["late1"], ["late2"], ["live0"], ["live1"], ["live2"]]
    assert taken[:2] in ([["live0"], ["late0"]], [["late0"], ["live0"]])


def test_what_is_put_back_comes_again_in_its_order() -> None:
    made = line(live=4, late=4)
    batch = made.take(8)
    made.put_back(batch)
    assert names(made.take(8)) == names(batch)


def test_what_cannot_be_read_goes_with_the_riders() -> None:
    made = line(live=0, late=10)
    refused = pending("bad", offline=False)
    refused.tap = Refusal(Reason.EMPTY)
    made.append(refused)
    assert names(made.take(4))[0] == "bad"
