"""Stops along loops, figure eights and streets that are driven both ways."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dispatch import network_geometry
from dispatch.network_geometry import Paths, StopRows, along, place_stops

Points = list[tuple[float, float]]


def paths_of(*lines: Points) -> Paths:
    start = np.cumsum([0, *(len(line) for line in lines)]).astype(np.int32)
    x_m, y_m = (np.array([point[axis] for line in lines for point in line], dtype=float) for axis in (0, 1))
    return Paths(start, x_m, y_m, along(start, x_m, y_m))


def rows_of(*patterns: Points, expected: list[float] | None = None) -> StopRows:
    start = np.cumsum([0, *(len(stops) for stops in patterns)]).astype(np.int32)
    x_m, y_m = (np.array([stop[axis] for stops in patterns for stop in stops], dtype=float) for axis in (0, 1))
    hints = np.full(len(x_m), np.nan) if expected is None else np.array(expected)
    return StopRows(np.arange(len(patterns), dtype=np.int32), start, x_m, y_m, hints)


def places(line: Points, stops: Points, expected: list[float] | None = None) -> list[float]:
    place_m, _ = place_stops(paths_of(line), rows_of(stops, expected=expected))
    return [round(float(place), 6) for place in place_m]


SQUARE: Points = [(0, 0), (100, 0), (100, 100), (0, 100), (0, 0)]


def test_a_loop_ends_where_it_began() -> None:
    assert places(SQUARE, [(0, 0), (100, 50), (50, 100), (0, 0)]) == [0, 150, 250, 400]


def test_a_street_driven_both_ways_gives_each_stop_its_own_side_of_the_journey() -> None:
    out_and_back: Points = [(0, 0), (1000, 0), (0, 0)]
    stops: Points = [(0, 3), (400, -3), (1000, 0), (700, 3), (300, 3), (0, 3)]
    assert places(out_and_back, stops) == [0, 400, 1000, 1300, 1700, 2000]


def test_a_figure_eight_passes_its_middle_twice() -> None:
    eight: Points = [(0, 0), (100, 100), (200, 0), (100, -100), (0, 0), (-100, 100), (-200, 0), (-100, -100), (0, 0)]
    side = 100 * np.sqrt(2)
    found = places(eight, [(0, 0), (200, 0), (0, 0), (-200, 0), (0, 0)])
    assert found == pytest.approx([0, 2 * side, 4 * side, 6 * side, 8 * side])


def test_the_timetable_decides_where_the_shape_cannot() -> None:
    out_and_back: Points = [(0, 0), (1000, 0), (0, 0)]
    stops: Points = [(0, 0), (400, 0), (0, 0)]
    assert places(out_and_back, stops, expected=[0.0, 0.2, 1.0]) == [0, 400, 2000]
    assert places(out_and_back, stops, expected=[0.0, 0.8, 1.0]) == [0, 1600, 2000]


def test_the_timetable_never_outweighs_the_street() -> None:
    out_and_back: Points = [(0, 10), (1000, 10), (1000, -10), (0, -10)]
    assert places(out_and_back, [(0, 10), (400, -15), (0, -10)], expected=[0.0, 0.2, 1.0])[1] == 1620


def test_stops_against_the_order_of_the_shape_never_go_backwards() -> None:
    found = places([(0, 0), (1000, 0)], [(800, 0), (200, 0)])
    assert found[0] <= found[1]


def test_points_of_a_shape_may_stand_still() -> None:
    assert places([(0, 0), (0, 0), (100, 0), (100, 0)], [(0, 5), (50, 5), (100, 5)]) == [0, 50, 100]


def test_a_pattern_beyond_reason_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network_geometry, "CELLS_MAX_OF_ONE", 5)
    place_m, _ = place_stops(paths_of(SQUARE, [(0, 0), (9, 0)]), rows_of([(0, 0), (100, 0)], [(0, 0), (9, 0)]))
    assert np.isnan(place_m[:2]).all()
    assert place_m[2:].tolist() == [0, 9]


coordinate = st.integers(-500, 500).map(float)
line = st.lists(st.tuples(coordinate, coordinate), min_size=2, max_size=9).filter(lambda points: len(set(points)) > 1)
shares = st.lists(st.floats(0, 1), min_size=2, max_size=7).map(sorted)
shake = st.floats(-20, 20)


def at(points: Points, share: float) -> NDArray[np.float64]:
    paths = paths_of(points)
    place_m = share * paths.along_m[-1]
    return np.array([np.interp(place_m, paths.along_m, column) for column in (paths.x_m, paths.y_m)])


@settings(max_examples=80, deadline=None)
@given(line, shares)
def test_stops_on_the_line_in_order_are_placed_on_it_in_order(points: Points, where: list[float]) -> None:
    stops = [tuple(at(points, share)) for share in where]
    place_m, offset_m = place_stops(paths_of(points), rows_of(stops))
    assert (np.diff(place_m) >= 0).all()
    assert offset_m == pytest.approx(0, abs=1e-6)


@settings(max_examples=80, deadline=None)
@given(line, shares, st.data())
def test_no_order_of_true_places_is_better_by_more_than_the_pushes(
    points: Points, where: list[float], data: st.DataObject
) -> None:
    # The true places are in order, so what is found must not cost more: but for stops that push one another within a
    # segment, where the first keeps its place, which costs at most twice the shaking of each.
    noise = [data.draw(st.tuples(shake, shake)) for _ in where]
    stops = [tuple(at(points, share) + by) for share, by in zip(where, noise, strict=True)]
    place_m, offset_m = place_stops(paths_of(points), rows_of(stops))
    assert (np.diff(place_m) >= 0).all()
    assert place_m[0] >= 0
    assert place_m[-1] <= paths_of(points).along_m[-1] + 1e-6
    assert offset_m.sum() <= 3 * np.hypot(*np.array(noise).T).sum() + 1e-6


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(line, shares), min_size=2, max_size=6))
def test_patterns_of_a_batch_do_not_touch_one_another(patterns: list[tuple[Points, list[float]]]) -> None:
    lines = [points for points, _ in patterns]
    stops = [[tuple(at(points, share) + 3.0) for share in where] for points, where in patterns]
    # Offsets, not places: where two passings of a street cost the same, the last bit of a distance decides.
    _, together_m = place_stops(paths_of(*lines), rows_of(*stops))
    alone_m = [place_stops(paths_of(line), rows_of(calls))[1] for line, calls in zip(lines, stops, strict=True)]
    assert together_m == pytest.approx(np.concatenate(alone_m), abs=1e-6)
