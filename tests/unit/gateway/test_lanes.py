"""Taps wait in their lane, in order, and come out in batches of a bounded size."""

from __future__ import annotations

from gateway.taps import Lane, Pending
from gateway.wire import Tap


def pending(name: str, device: str) -> Pending:
    tap = Tap(name, "a", 1, 0.0, "qr", "T", None, None, None, None, None, None, "op", device, 0.0, b"")
    return Pending((1, 1), b"", f"takt/v1/validators/op/{device}/tap", name.encode(), len(name), "op", device, tap)


def lane(count: int, size_max: int = 512) -> Lane:
    made = Lane(size_max)
    for number in range(count):
        made.append(pending(f"tap{number}", f"device{number}"))
    return made


def names(batch: list[Pending]) -> list[str]:
    return [each.payload.decode() for each in batch]


def test_first_come_first_served() -> None:
    made = lane(5)
    assert names(made.take(2)) == ["tap0", "tap1"]
    assert names(made.take(9)) == ["tap2", "tap3", "tap4"]
    assert made.take(9) == []


def test_a_lane_has_its_own_bound() -> None:
    made = lane(100, size_max=64)
    assert len(made.take(512)) == 64
    assert len(made.take(8)) == 8
    assert len(made) == 28


def test_what_is_put_back_comes_again_in_its_order_and_wakes_the_lane() -> None:
    made = lane(4)
    batch = made.take(3)
    made.filled.clear()
    made.put_back(batch)
    made.done(batch)
    assert made.filled.is_set()
    assert names(made.take(8)) == ["tap0", "tap1", "tap2", "tap3"]


def test_a_device_waits_while_another_batch_has_its_taps_and_comes_first_then() -> None:
    made = Lane(512)
    for name, device in (("a1", "a"), ("b1", "b"), ("a2", "a"), ("a3", "a"), ("c1", "c")):
        made.append(pending(name, device))
    first = made.take(2)
    assert names(first) == ["a1", "b1"]
    second = made.take(8)
    assert names(second) == ["c1"]
    assert made.take(8) == []
    made.done(second)
    assert made.take(8) == []
    made.filled.clear()
    made.done(first)
    assert made.filled.is_set()
    assert names(made.take(8)) == ["a2", "a3"]


def test_the_taps_of_one_device_share_a_batch() -> None:
    made = Lane(512)
    for number in range(3):
        made.append(pending(f"a{number}", "a"))
    assert names(made.take(8)) == ["a0", "a1", "a2"]
