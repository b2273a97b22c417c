"""Taps wait by device: in order, in turn, and never in two batches at once."""

from typing import NamedTuple

from ticketing.waiting import TURN_TAPS, Lane, Turns


class One(NamedTuple):
    device: str
    tap_id: str

    @property
    def device_key(self) -> tuple[str, str]:
        return ("op", self.device)


def room(*words: str) -> Lane[One]:
    waiting: Lane[One] = Lane()
    for word in words:
        waiting.add(One(word[0], word[1:]))
    return waiting


def names(batch: list[One]) -> list[str]:
    return [one.device + one.tap_id for one in batch]


def test_first_come_first_served_within_a_device():
    batch, devices = room("a1", "a2", "b1", "a3").take(10)
    assert names(batch) == ["a1", "a2", "a3", "b1"]
    assert devices == {("op", "a"), ("op", "b")}


def test_a_device_is_in_one_batch_at_a_time():
    waiting = room("a1", "a2", "b1")
    first, devices = waiting.take(1)
    waiting.add(One("a", "3"))
    second, others = waiting.take(10)
    assert (names(first), names(second)) == (["a1"], ["b1"])
    assert waiting.take(10) == ([], set())
    assert not waiting.ready
    waiting.done(devices)
    assert names(waiting.take(10)[0]) == ["a2", "a3"]
    waiting.done(others)
    assert len(waiting) == 0


def test_one_id_is_once_in_a_batch():
    waiting = room("a1", "a1", "a2", "b1")
    batch, devices = waiting.take(10)
    assert names(batch) == ["a1", "b1"]
    waiting.done(devices)
    assert names(waiting.take(10)[0]) == ["a1", "a2"]


def test_a_long_queue_takes_turns_with_the_others():
    waiting = room(*(f"a{n}" for n in range(1000)), "b1", "c1")
    batch, _ = waiting.take(TURN_TAPS * 2)
    assert names(batch)[TURN_TAPS : TURN_TAPS + 2] == ["b1", "c1"]
    assert len(batch) == TURN_TAPS * 2


def test_whoever_comes_while_its_device_is_judged_waits_for_the_end_of_it():
    waiting = room("a1")
    _, devices = waiting.take(10)
    waiting.add(One("a", "2"))
    assert not waiting.ready
    waiting.done(devices)
    assert waiting.ready


def test_everybody_can_be_sent_away():
    waiting = room("a1", "b1", "a2")
    assert sorted(names(waiting.take_all())) == ["a1", "a2", "b1"]
    assert (len(waiting), waiting.ready) == (0, False)


def lanes_of(turns: Turns, live: bool, late: bool, times: int = 4) -> list[bool | None]:
    return [turns.late(live, late) for _ in range(times)]


def test_the_first_worker_is_there_for_riders_alone():
    turns = Turns(0, workers=2)
    assert lanes_of(turns, live=False, late=True) == [None] * 4
    assert lanes_of(turns, live=True, late=True) == [False] * 4


def test_any_other_worker_serves_a_backlog_each_second_time_while_riders_wait():
    turns = Turns(1, workers=2)
    assert lanes_of(turns, live=True, late=True) == [True, False, True, False]
    assert lanes_of(turns, live=False, late=True) == [True] * 4
    assert lanes_of(turns, live=True, late=False) == [False] * 4
    assert lanes_of(turns, live=False, late=False) == [None] * 4


def test_a_worker_alone_starves_neither_lane():
    assert lanes_of(Turns(0, workers=1), live=True, late=True) == [True, False, True, False]
