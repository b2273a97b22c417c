"""What the gateway remembers for a dispatch that begins anew: the last minute, in order, within a bound."""

from __future__ import annotations

from deploy.retold import KEPT_S, Lately


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def test_what_was_sent_since_comes_again_in_its_order() -> None:
    clock = Clock()
    lately = Lately(clock=clock)
    for n in range(5):
        clock.now_s = 1000.0 + n
        lately.note("fixes" if n % 2 else "events", bytes([n]))
    assert lately.since(1003.0) == [("fixes", b"\x03"), ("events", b"\x04")]
    assert [data[0] for _, data in lately.since(0.0)] == [0, 1, 2, 3, 4]


def test_what_is_older_than_a_minute_is_forgotten_and_known_to_be() -> None:
    clock = Clock()
    lately = Lately(clock=clock)
    lately.note("fixes", b"old")
    clock.now_s += KEPT_S + 1
    lately.note("fixes", b"new")
    assert lately.since(0.0) == [("fixes", b"new")]
    assert (lately.forgotten_s, lately.bytes) == (1000.0, 3)


def test_a_flood_is_held_to_the_bound_and_the_newest_win() -> None:
    lately = Lately(bytes_max=1000, clock=Clock())
    for n in range(10_000):
        lately.note("fixes", bytes([n % 256]) * 10)
    assert lately.bytes <= 1000
    assert lately.since(0.0)[-1] == ("fixes", bytes([9999 % 256]) * 10)


def test_one_that_is_larger_than_the_bound_is_not_kept() -> None:
    lately = Lately(bytes_max=10, clock=Clock())
    lately.note("fixes", bytes(11))
    assert (lately.since(0.0), lately.bytes) == ([], 0)


def test_a_clock_that_is_set_back_makes_nothing_immortal() -> None:
    clock = Clock()
    lately = Lately(clock=clock)
    lately.note("fixes", b"a")
    clock.now_s -= 3600
    lately.note("fixes", b"b")
    assert lately.since(-1e9) == [("fixes", b"b")]
