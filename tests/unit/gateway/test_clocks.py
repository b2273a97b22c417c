"""Clocks of devices: what shows that one is wrong, and what only looks like it."""

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.admission import Limits
from gateway.clock_words import clock_warning, span
from gateway.clocks import CLOCKS_MAX, LATELY_S, Clocks

NOW_S = 1_771_257_600.0
DAY_S = 86_400.0
LIMITS = Limits()
WRONG = {
    "ten minutes ahead": 600.0,
    "a day behind": -DAY_S,
    "1970": -NOW_S,
    "1024 weeks behind": -1024 * 7 * DAY_S,
    "2038": 2.0**31 - NOW_S,
}
MANY, NOBODY = 1000, 0  # vehicles whose positions are admitted: their clocks are right


class Device:
    """A vehicle: fixes as (taken by its clock, received by ours), both counted from NOW_S."""

    def __init__(self, clocks: Clocks | None = None, heard: int = MANY, key: str = "op/a") -> None:
        self.clocks = clocks or Clocks()
        self.news: list[tuple[str, float | None]] = []
        self._heard = heard
        self._key = key

    def send(self, taken_s: float, received_s: float) -> float:
        """When the fix was taken by our clock, counted from NOW_S."""
        ts_s, now_s = np.array([NOW_S + taken_s]), NOW_S + received_s
        righted = self.clocks.put_right([self._key], ts_s, now_s, LIMITS, lambda: self._heard)
        self.news += righted.news
        assert righted.changed.tolist() == (righted.ts_s != ts_s).tolist()
        return float(righted.ts_s[0]) - NOW_S

    def drive(self, ahead_s: float, seconds: Iterable[float], delay_s: float = 0.2) -> list[float]:
        return [self.send(second + ahead_s, second + delay_s) for second in seconds]


@pytest.mark.parametrize("ahead_s", WRONG.values(), ids=WRONG)
def test_a_wrong_clock_is_known_after_twenty_seconds_and_put_right(ahead_s: float) -> None:
    device = Device()
    told = device.drive(ahead_s, range(0, 60, 5))
    assert told[:4] == [second + ahead_s for second in range(0, 20, 5)]
    assert told[4:] == pytest.approx([second + 0.2 for second in range(20, 60, 5)])
    assert device.clocks.wrong(NOW_S + 60) == 1
    (key, off_s), *again = device.news
    assert key == "op/a"
    assert off_s == pytest.approx(ahead_s - 0.2)
    assert len(again) == 1  # after half a minute


def test_a_right_clock_is_left_alone_and_costs_no_memory() -> None:
    device = Device()
    assert device.drive(0.0, range(100)) == list(range(100))
    assert device.send(101 - 400, 101) == 101 - 400  # held back for long: stale
    assert device.send(102, 102) == 102
    assert device.news == []
    assert device.clocks.wrong(NOW_S) == len(device.clocks._by_key) == 0


def test_the_quickest_way_through_the_network_says_most() -> None:
    rng = np.random.default_rng(3)
    device = Device()
    told = [device.send(s + 600, s + 0.1 + float(rng.exponential(0.8))) - s for s in range(120)]
    assert max(told[60:]) <= 0.1 + 1.0
    assert min(told[60:]) >= 0.0


def test_what_comes_late_by_a_wrong_clock_stays_late_and_twice_is_told_twice_alike() -> None:
    device = Device()
    device.drive(-DAY_S, range(30))
    assert device.send(40 - DAY_S, 100) == pytest.approx(40.2)
    assert device.send(99 - DAY_S, 100) == device.send(99 - DAY_S, 100.3)


def test_a_clock_that_is_set_right_is_believed_at_once() -> None:
    device = Device()
    device.drive(600, range(0, 40, 5))
    assert device.send(41, 41.2) == 41
    assert device.news[-1] == ("op/a", None)
    assert device.clocks.wrong(NOW_S + 42) == 0


def test_a_clock_that_is_set_wrong_in_another_way_is_learnt_anew() -> None:
    device = Device()
    device.drive(-NOW_S, range(0, 60, 5))
    begun = device.drive(-NOW_S - 3_600, range(60, 120, 5))  # began to count again
    assert begun[-1] == pytest.approx(115.2)
    ahead = device.drive(DAY_S, range(120, 180, 5))
    assert ahead[-1] == pytest.approx(175.2)


def test_a_clock_that_drifts_is_followed() -> None:
    for slope in (1e-4, -1e-4):
        device = Device()
        told = [device.send(s * (1 + slope) + 600, s + 0.2) - s for s in range(0, 36_000, 10)]
        assert max(abs(late_s) for late_s in told[10:]) < 1.0


def test_a_backlog_sent_in_one_go_is_no_clock() -> None:
    device = Device()
    hours = [device.send(5.0 * n - 10_800, n * 0.1) - (5.0 * n - 10_800) for n in range(2000)]
    assert not any(hours)
    assert device.news == []


def test_some_minutes_behind_may_be_the_network() -> None:
    device = Device()
    assert device.drive(0.0, range(0, 120, 5), delay_s=900.0) == list(range(0, 120, 5))


def test_a_clock_that_stands_counts_as_none_where_its_time_was_never_ours() -> None:
    stopped = Device()
    told = [stopped.send(-NOW_S, second) for second in range(0, 60, 5)]
    assert told[5:] == list(range(25, 60, 5))
    told = [stopped.send(second - NOW_S, second) for second in range(60, 120, 5)]  # it runs at last
    assert told[6:] == pytest.approx(list(range(90, 120, 5)))
    kept = Device()  # a message of yesterday that a broker gives out with each connection
    assert {kept.send(-DAY_S, second) for second in range(0, 60, 5)} == {-DAY_S}


def test_where_most_disagree_with_us_it_is_our_clock() -> None:
    for heard, believed in ((NOBODY, False), (1, True)):
        device = Device(heard=heard)
        assert (device.drive(3_600, range(0, 60, 5))[-1] == pytest.approx(55.2)) is believed
    for ahead_s in (WRONG["1024 weeks behind"], WRONG["2038"], WRONG["1970"]):  # a whole fleet of one make
        assert Device(heard=NOBODY).drive(ahead_s, range(0, 60, 5))[-1] == pytest.approx(55.2)


def test_of_a_fleet_only_as_many_are_put_right_as_agree_with_us() -> None:
    clocks = Clocks()
    keys = [f"op/{n}" for n in range(10)]
    for second in range(0, 60, 5):
        ts_s = np.full(10, NOW_S + second + 600.0)
        heard = 4 + clocks.wrong(NOW_S + second)  # four are right, and those put right are admitted, too
        righted = clocks.put_right(keys, ts_s, NOW_S + second, LIMITS, lambda heard=heard: heard)
    assert np.count_nonzero(righted.changed) == clocks.wrong(NOW_S + 60) == 4


def test_no_more_are_remembered_than_the_limit() -> None:
    clocks = Clocks()
    for n in range(3):
        keys = [f"op/{n}/{i}" for i in range(CLOCKS_MAX // 2)]
        clocks.put_right(keys, np.zeros(len(keys)), NOW_S, LIMITS, lambda: MANY)
    assert len(clocks._by_key) == CLOCKS_MAX
    assert clocks.forgotten == CLOCKS_MAX // 2


@given(st.lists(st.tuples(st.floats(-1e11, 1e11), st.floats(-10, 4e5)), max_size=60), st.integers(0, 3))
def test_whatever_comes_no_time_lies_ahead_of_ours_unless_the_device_said_so(
    sent: list[tuple[float, float]], heard: int
) -> None:
    device = Device(heard=heard)
    for taken_s, received_s in sent:
        told_s = device.send(taken_s, received_s)
        assert np.isfinite(told_s)
        assert told_s == (NOW_S + taken_s) - NOW_S or told_s <= received_s + 5.0


# --- what a person is told -------------------------------------------------------------------------------------------


def test_a_fleet_that_disagrees_as_one_is_no_clock_s_error_of_its_own_but_is_told() -> None:
    clocks = Clocks()
    fleet = [Device(clocks, NOBODY, f"op/{number}") for number in range(5)]
    for second in range(0, 40, 5):
        for device in fleet:
            device.send(second + 3600, second + 0.2)
    assert clocks.wrong(NOW_S + 40) == 0
    assert clocks.disputed(NOW_S + 40) == pytest.approx([3599.8] * 5)
    assert clocks.disputed(NOW_S + 40 + LATELY_S) == []


def test_minutes_behind_that_may_be_the_network_are_told_as_well() -> None:
    device = Device()
    device.drive(-600, range(0, 40, 5))
    assert device.clocks.disputed(NOW_S + 40) == pytest.approx([-600.2])


def test_what_is_put_right_sent_in_one_go_or_right_again_is_not_told() -> None:
    for ahead_s, seconds in ((600.0, range(0, 60, 5)), (0.0, range(0, 60, 5))):
        device = Device()
        device.drive(ahead_s, seconds)
        assert device.clocks.disputed(NOW_S + 60) == []
    backlog = Device()
    for number in range(200):
        backlog.send(number * 5 - 4000, number * 0.01)
    assert backlog.clocks.disputed(NOW_S + 2) == []
    back = Device(heard=NOBODY)
    back.drive(3600, range(0, 40, 5))
    back.send(41, 41)
    assert back.clocks.disputed(NOW_S + 42) == []


def test_the_sentence_says_by_how_much_whose_it_may_be_and_what_to_do() -> None:
    assert clock_warning([], 7, NOW_S) is None
    fleet = clock_warning([3600.0, 3598.0, 3601.0], 1, NOW_S)
    assert fleet is not None
    assert fleet.startswith("3 vehicles tell times that are 1 h 0 min ahead of ours, only 1 agrees with us")
    assert "it says 2026-02-16 16:00:00 UTC. Compare it with a time server" in fleet
    assert fleet.endswith("(local time is sent where UTC belongs)")
    alone = clock_warning([-700.0], 40, NOW_S)
    assert alone is not None
    assert alone.startswith("1 vehicle tells times that are 12 min behind ours and agree among themselves")
    assert "server" in str(clock_warning([1000.0] * 9, 0, NOW_S))


def test_a_span_of_time_is_told_in_its_two_largest_units() -> None:
    told = [span(seconds) for seconds in (61, -660, 3600, -7260, 1024 * 7 * DAY_S)]
    assert told == ["1 min ahead of", "11 min behind", "1 h 0 min ahead of", "2 h 1 min behind", "7168 d 0 h ahead of"]
