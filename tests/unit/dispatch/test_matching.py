"""Matching against a projection that tries every segment, and on shapes where the nearest place is the wrong one."""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatch.matching import UNKNOWN_SPREAD_M, match, prepare_paths


def paths_of(*lines):
    points = [np.array(line, dtype=float) for line in lines]
    along = [np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(p, axis=0).T)))) for p in points]
    everything = np.concatenate(points)
    return prepare_paths(
        SimpleNamespace(
            point_x_m=everything[:, 0],
            point_y_m=everything[:, 1],
            point_along_m=np.concatenate(along),
            path_start=np.concatenate(([0], np.cumsum([len(p) for p in points]))).astype(np.int32),
        )
    )


def place(paths, x, y, *, path=0, window=(0.0, np.inf), expected=0.0, spread=UNKNOWN_SPREAD_M, bearing=np.nan):
    found = match(
        paths,
        np.array([path], np.int32),
        *(np.array([float(value)]) for value in (x, y, *window, expected, spread, bearing)),
    )
    return float(found.along_m[0]), float(found.offset_m[0])


def nearest(line, x, y):
    """Every segment, one after the other."""
    best, gone_m = np.inf, 0.0
    for (x0, y0), (x1, y1) in pairwise(line):
        length_m = float(np.hypot(x1 - x0, y1 - y0))
        share = 0.0 if length_m == 0 else ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / length_m**2
        share = min(max(share, 0.0), 1.0)
        best = min(best, float(np.hypot(x0 + share * (x1 - x0) - x, y0 + share * (y1 - y0) - y)))
        gone_m += length_m
    return best


metres = st.floats(-2000, 2000).map(lambda value: round(value, 1))


@given(st.lists(st.tuples(metres, metres), min_size=2, max_size=12), metres, metres)
@settings(max_examples=200, deadline=None)
def test_over_the_whole_path_the_offset_is_that_of_the_nearest_segment(line, x, y):
    paths = paths_of(line)
    along_m, offset_m = place(paths, x, y)
    assert offset_m == pytest.approx(nearest(line, x, y), abs=1e-6)
    assert -1e-9 <= along_m <= paths.path_m[0] + 1e-6


@given(st.lists(st.tuples(metres, metres), min_size=2, max_size=12), st.floats(0, 1), st.floats(1, 300))
@settings(max_examples=200, deadline=None)
def test_a_fix_on_the_path_is_found_in_a_window_around_it(line, share, half_m):
    paths = paths_of(line)
    length_m = float(paths.path_m[0])
    at_m = share * length_m
    along = np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(np.array(line, float), axis=0).T))))
    x, y = np.interp(at_m, along, [p[0] for p in line]), np.interp(at_m, along, [p[1] for p in line])
    along_m, offset_m = place(paths, x, y, window=(at_m - half_m, at_m + half_m), expected=at_m, spread=1.0)
    assert offset_m < 1e-3 + 0.2 * abs(along_m - at_m) + 1e-6
    assert along_m == pytest.approx(at_m, abs=0.5)


def test_out_and_back_on_one_road_is_told_apart_by_the_window():
    paths = paths_of([(0, 0), (1000, 0), (0, 0)])
    assert place(paths, 400, 3, window=(300, 500)) == pytest.approx((400, 3))
    assert place(paths, 400, 3, window=(1500, 1700)) == pytest.approx((1600, 3))


def test_out_and_back_on_one_road_is_told_apart_by_the_heading():
    paths = paths_of([(0, 0), (1000, 0), (0, 0)])
    assert place(paths, 400, 3, bearing=90)[0] == pytest.approx(400)
    assert place(paths, 400, 3, bearing=270)[0] == pytest.approx(1600)


def test_a_loop_that_ends_where_it_begins_is_told_apart_by_what_is_expected():
    paths = paths_of([(0, 0), (500, 0), (500, 500), (0, 500), (0, 0)])
    assert place(paths, 1, 1, expected=0, spread=300)[0] == pytest.approx(1)
    assert place(paths, 1, 1, expected=2000, spread=300)[0] == pytest.approx(1999)


def test_a_figure_eight_is_crossed_straight_on():
    paths = paths_of([(0, 0), (1000, 1000), (1000, 0), (0, 1000)])
    here_m = float(np.hypot(500, 500))
    assert place(paths, 500, 501, window=(600, 800), expected=here_m, spread=30)[0] == pytest.approx(here_m, abs=1)


def test_fixes_of_many_paths_at_once_do_not_touch_one_another():
    rng = np.random.default_rng(3)
    lines = [np.cumsum(rng.normal(0, 100, (rng.integers(2, 40), 2)), axis=0).tolist() for _ in range(50)]
    paths = paths_of(*lines)
    path = rng.integers(0, 50, 5000).astype(np.int32)
    x, y = rng.normal(0, 400, (2, 5000))
    everywhere = np.zeros(5000)
    unknown = np.full(5000, np.nan)
    found = match(
        paths, path, x, y, everywhere, everywhere + np.inf, everywhere, everywhere + UNKNOWN_SPREAD_M, unknown
    )
    for i in rng.integers(0, 5000, 100):
        assert found.offset_m[i] == pytest.approx(nearest(lines[path[i]], x[i], y[i]), abs=1e-6)


def test_points_that_lie_on_one_another_are_no_obstacle():
    assert place(paths_of([(0, 0), (0, 0), (100, 0), (100, 0)]), 50, 5) == pytest.approx((50, 5))


def test_nothing_in_nothing_out():
    none = np.zeros(0)
    assert len(match(paths_of([(0, 0), (1, 0)]), none.astype(np.int32), *[none] * 7).along_m) == 0
