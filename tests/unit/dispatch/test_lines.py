"""Marks of road that patterns share, and places on the line."""

import numpy as np
import pytest

from dispatch.headway import BUNCHED, GAPPED, LONG, REGULAR, SHORT, UNKNOWN, HeadwayLimits, MarkMemory, judge
from dispatch.lines import SHARED_M, _nearest, draw_lines

STOPS = (0, 1000, 2000)


def marks(lines, pattern):
    way = lines.pattern_way[pattern]
    rows = slice(lines.way_start[way], lines.way_start[way + 1])
    return lines.way_mark[rows], lines.way_along_m[rows]


def test_a_branch_takes_over_the_marks_of_the_trunk_and_goes_on_with_its_own(road, pattern):
    network = road(
        pattern(((0, 0), (1000, 0), (2000, 0)), STOPS, {"a": 0, "b": 600}),
        pattern(((0, 0), (1000, 0), (1000, 1000)), STOPS, {"c": 0}),
    ).network
    lines = draw_lines(network)
    main, branch = marks(lines, 0)[0], marks(lines, 1)[0]
    shared = np.intersect1d(main, branch)
    assert 38 <= len(shared) <= 42
    assert lines.line_pattern.tolist() == [0]
    place_m, is_main = lines.line_m_at(lines.pattern_way[[1, 1]], np.array([500.0, 1500.0]))
    assert place_m == pytest.approx([500, 1500], abs=1)
    assert is_main.tolist() == [True, False]


def test_a_late_join_is_placed_where_it_joins(road, pattern):
    network = road(
        pattern(((0, 0), (2000, 0)), STOPS, {"a": 0, "b": 600}),
        pattern(((1000, -500), (1000, 0), (2000, 0)), (0, 500, 1500), {"c": 0}),
    ).network
    lines = draw_lines(network)
    place_m, is_main = lines.line_m_at(lines.pattern_way[[1, 1]], np.array([100.0, 1200.0]))
    assert place_m == pytest.approx([600, 1700], abs=15)
    assert is_main.tolist() == [False, True]


def test_a_crossing_and_the_other_way_are_not_shared(road, pattern):
    network = road(
        pattern(((0, 0), (2000, 0)), STOPS, {"a": 0, "b": 600}),
        pattern(((1000, -1000), (1000, 1000)), STOPS, {"c": 0}),
        pattern(((2000, 0), (0, 0)), STOPS, {"d": 0}),
    ).network
    lines = draw_lines(network)
    for other in (1, 2):
        assert len(np.intersect1d(marks(lines, 0)[0], marks(lines, other)[0])) == 0


def test_directions_and_routes_share_nothing(road, pattern):
    network = road(
        pattern(((0, 0), (2000, 0)), STOPS, {"a": 0}),
        pattern(((0, 0), (2000, 0)), STOPS, {"b": 0}, direction=1),
        pattern(((0, 0), (2000, 0)), STOPS, {"c": 0}, route="Q"),
    ).network
    lines = draw_lines(network)
    assert len(set(lines.pattern_line.tolist())) == 3
    assert len(np.unique(lines.way_mark)) == len(lines.way_mark)


def test_every_way_is_in_ascending_order(road, pattern):
    zigzag = tuple((100 * i, 300 * (i % 2)) for i in range(20))
    lines = draw_lines(road(pattern(zigzag, STOPS, {"a": 0})).network)
    assert (np.diff(lines.way_axis_m) >= 0).all()


def ints(*values):
    return np.array(values, np.int32)


def test_a_mark_remembers_its_last_passers():
    memory = MarkMemory(1)
    for vehicle, at_s in ((1, 100.0), (2, 200.0), (3, 300.0)):
        memory.add(ints(0), ints(vehicle), ints(vehicle), np.array([at_s]), np.array([at_s]))
    assert memory.before(ints(0), ints(3))[0].tolist() == [2]
    assert memory.before(ints(0), ints(9))[0].tolist() == [3]


def test_whoever_passed_after_a_vehicle_is_not_its_leader():
    memory = MarkMemory(1)
    for vehicle, at_s in ((1, 100.0), (2, 200.0), (3, 215.0)):
        memory.add(ints(0), ints(vehicle), ints(vehicle), np.array([at_s]), np.array([at_s]))
    leaders = memory.before(ints(0, 0, 0), ints(1, 2, 3))[0].tolist()
    assert leaders == [-1, 1, 2]  # 3 is close behind 2, and 2 still follows 1


def test_order_of_arrival_does_not_matter_to_a_mark():
    rows = [(1, 100.0), (2, 200.0), (3, 300.0), (2, 201.0), (1, 99.0)]
    for order in ([0, 1, 2], [2, 1, 0], [1, 2, 0]):
        memory = MarkMemory(1)
        for i in order:
            vehicle, at_s = rows[i]
            memory.add(ints(0), ints(vehicle), ints(vehicle), np.array([at_s]), np.array([at_s]))
        assert memory.vehicle[:, 0].tolist() == [3, 2, 1]
        assert memory.time_s[:, 0].tolist() == [300, 200, 100]


def test_many_vehicles_at_one_mark_in_one_tick_are_taken_in_order():
    memory = MarkMemory(1)
    at_s = np.array([30.0, 10.0, 20.0])
    memory.add(ints(0, 0, 0), ints(3, 1, 2), ints(3, 1, 2), at_s, at_s)
    assert memory.vehicle[:, 0].tolist() == [3, 2, 1]


def test_what_a_vehicle_says_again_of_the_same_trip_replaces_what_it_said():
    memory = MarkMemory(1)
    for at_s in (100.0, 104.0):
        memory.add(ints(0), ints(1), ints(5), np.array([at_s]), np.array([at_s]))
    assert memory.time_s[:, 0].tolist() == [104, -np.inf, -np.inf]


def test_states_are_bounded_as_defined():
    ratio = np.array([0.0, 0.249, 0.25, 0.499, 0.5, 1.5, 1.501, 2.0, 2.001, np.nan])
    wanted = [BUNCHED, BUNCHED, SHORT, SHORT, REGULAR, REGULAR, LONG, LONG, GAPPED, UNKNOWN]
    assert judge(ratio, HeadwayLimits()).tolist() == wanted


def test_the_nearest_place_is_found_as_by_looking_at_all_of_them():
    rng = np.random.default_rng(3)
    place = rng.uniform(-300, 300, (400, 4)) * (1, 1, 0.1, 0.1)
    wanted = rng.uniform(-330, 330, (500, 4)) * (1, 1, 0.1, 0.1)
    distance_m = np.sqrt(((wanted[:, None] - place[None]) ** 2).sum(axis=2))
    expected = np.where(distance_m.min(axis=1) < SHARED_M, distance_m.argmin(axis=1), -1)
    assert (_nearest(place, wanted, SHARED_M) == expected).all()
    assert (expected >= 0).sum() > 50
    assert _nearest(place[:0], wanted, SHARED_M).tolist() == [-1] * 500
