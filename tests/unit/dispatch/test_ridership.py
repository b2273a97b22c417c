"""Riders counted by taps: busy lines and quiet ones, and what taps that cannot be placed do, which is nothing."""

import numpy as np
import pytest

from dispatch.control_stops import place_controls
from dispatch.fleet import Fleet
from dispatch.lines import draw_lines
from dispatch.passages import Passages
from dispatch.ridership import A_HALT_MAX, A_HALT_MIN, Ridership

STOPS = tuple(range(0, 5001, 500))
USUAL = 3.0


class Counted:
    """Two lines, one vehicle on each, `stop` being the one that both come to next."""

    def __init__(self, road, pattern, share=None):
        lines = [pattern(((0, y), (5000, y)), STOPS, {f"t{y}": 0}, route=f"R{y}") for y in (0, 900)]
        network = road(*lines).network
        self.riders = Ridership(network, place_controls(network, draw_lines(network)), share)
        self.fleet = Fleet()
        self.fleet.rows_of(["town/0", "town/1"], 2)
        self.fleet.trip[:2] = [0, 1]
        self.fleet.next_stop[:2] = 2

    def rows(self, line):
        return int(self.riders.network.pattern_stop_start[line])

    def work(self, taps, visits=100, now_s=0.0):
        """So many taps on each vehicle, and departures from its first stops."""
        self.riders.take([(f"town/{n}", now_s, count) for n, count in enumerate(taps)], self.fleet, now_s)
        n = np.arange(visits)
        for vehicle in (0, 1):
            whole = np.full(visits, vehicle, np.int32)
            times = np.full(visits, now_s)
            self.riders.visit(Passages(whole, whole, times * 0, (n % 3).astype(np.int32), times, times), now_s)


@pytest.fixture
def counted(road, pattern):
    return Counted(road, pattern)


def test_before_enough_has_been_seen_nothing_is_known(counted) -> None:
    assert counted.riders.a_halt(counted.rows(0), USUAL) is None
    counted.work([30, 10])
    assert counted.riders.a_halt(counted.rows(0), USUAL) is None


def test_a_busy_line_has_more_riders_than_the_rule_of_thumb_and_a_quiet_one_fewer(counted) -> None:
    counted.work([300, 100])
    busy, quiet = (counted.riders.a_halt(counted.rows(line), USUAL) for line in (0, 1))
    assert busy is not None
    assert quiet is not None
    assert busy > USUAL > quiet
    assert busy + quiet == pytest.approx(2 * USUAL)


def test_where_the_share_that_taps_is_known_riders_are_counted_outright(road, pattern) -> None:
    counted = Counted(road, pattern, share=0.5)
    counted.work([200, 200])
    assert counted.riders.a_halt(counted.rows(0), USUAL) == pytest.approx(4.0)  # two taps a visit, half of all riders


def test_who_taps_after_the_doors_have_closed_got_on_at_the_stop_before(counted) -> None:
    counted.fleet.enter_s[0] = 10.0  # stands at its stop 2; the other is on its way to it
    counted.riders.take([("town/0", 0.0, 5), ("town/1", 0.0, 7)], counted.fleet, 0.0)
    counts = counted.riders._taps[counted.riders._index]
    assert [counts[counted.rows(0) + 2], counts[counted.rows(1) + 1], counts.sum()] == [5, 7, 12]


def test_taps_that_cannot_be_placed_are_counted_as_such_and_change_nothing(counted) -> None:
    counted.fleet.trip[1] = -1
    taps = [("town/1", 0.0, 1), ("nobody", 0.0, 1), ("town/0", -500.0, 1), ("town/0", 900.0, 1), ("", 0.0, 1)]
    counted.riders.take(taps, counted.fleet, 0.0)
    assert counted.riders.ignored == 5
    assert counted.riders._taps.sum() == 0


def test_vehicles_without_validators_do_not_make_a_line_look_empty(counted) -> None:
    counted.riders.take([("town/0", 0.0, 400)], counted.fleet, 0.0)  # the other has never taken a tap
    counted.work([0, 0], visits=0)
    counted.riders._tapped_s.pop(1)
    n = np.arange(200)
    both = (n % 2).astype(np.int32)
    counted.riders.visit(Passages(both, both, n * 0.0, (n % 3).astype(np.int32), n * 0.0, n * 0.0), 0.0)
    assert counted.riders._visits.sum() == 100
    assert counted.riders.a_halt(counted.rows(1), USUAL) == pytest.approx(USUAL)  # nothing is known of its riders


def test_what_was_counted_fades_and_a_clock_set_back_harms_nothing(counted) -> None:
    counted.work([300, 100])
    counted.riders.take([], counted.fleet, 3600.0)
    assert counted.riders._taps.sum() == pytest.approx(400 / np.e)
    counted.riders.take([], counted.fleet, 0.0)
    assert counted.riders._taps.sum() == pytest.approx(400 / np.e)
    counted.riders.take([], counted.fleet, 1e9)
    assert counted.riders.a_halt(counted.rows(0), USUAL) is None


def test_riders_stay_within_what_can_be(counted) -> None:
    counted.work([1_000_000, 1])
    assert counted.riders.a_halt(counted.rows(0), 40.0) == A_HALT_MAX
    assert counted.riders.a_halt(counted.rows(1), 0.1) == A_HALT_MIN
