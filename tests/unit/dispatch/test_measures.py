"""The measures against the check values that their sources publish."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from dispatch.accuracy import accurate, score_buckets
from dispatch.measures import (
    LOS_BOUNDS,
    headway_adherence,
    level_of_service,
    mean_wait,
    on_time,
    regular,
    wait_assessment,
)


def minutes(*values):
    return np.array(values, dtype=float) * 60


@pytest.mark.parametrize(
    ("headways", "wait"),
    [((10,) * 6, 5.0), ((10, 15, 5, 10, 10, 10), 5.4167), ((10, 10, 10, 28, 1, 1), 9.05)],
)
def test_mean_wait_is_that_of_the_published_examples(headways, wait):
    assert mean_wait(minutes(*headways)) / 60 == pytest.approx(wait, abs=5e-5)


@pytest.mark.parametrize(("c_vh", "share"), [(0.21, 0.017), (0.30, 0.096), (0.39, 0.200), (0.52, 0.336), (0.74, 0.499)])
def test_the_bounds_of_the_levels_are_those_of_tcqsm(c_vh, share):
    assert c_vh in [bound for bound, _ in LOS_BOUNDS]
    assert 2 * (1 - norm.cdf(0.5 / c_vh)) == pytest.approx(share, abs=5e-4)


def test_adherence_is_the_spread_of_deviations_over_the_mean_headway():
    assert headway_adherence(minutes(8, 12), minutes(10, 10)) == pytest.approx(0.2)
    assert headway_adherence(minutes(11, 11), minutes(10, 10)) == 0


def test_adherence_does_not_mix_stops():
    h, scheduled = minutes(11, 11, 9, 9), minutes(10, 10, 10, 10)
    assert headway_adherence(h, scheduled, np.array([1, 1, 2, 2])) == 0
    assert headway_adherence(h, scheduled) == pytest.approx(0.1)


def test_the_letter_is_given_for_frequent_service_alone():
    assert [level_of_service(c, 300) for c in (0.21, 0.22, 0.39, 0.52, 0.74, 0.75)] == ["A", "B", "C", "D", "E", "F"]
    assert level_of_service(0.1, 601) is None
    assert level_of_service(float("nan"), 300) is None


def test_both_ends_of_the_window_are_on_time():
    assert on_time(np.array([-61, -60, 0, 300, 301.0]), -60, 300) == pytest.approx((0.6, 0.2, 0.2))


def test_wait_assessment_allows_three_minutes_in_the_peak_and_five_off_it():
    h, scheduled = minutes(13, 13.1, 15, 15.1), minutes(10, 10, 10, 10)
    assert wait_assessment(h, scheduled, np.array([True, True, False, False])) == 0.5


def test_regular_is_from_half_to_one_and_a_half():
    assert regular(minutes(4.9, 5, 15, 15.1), minutes(10, 10, 10, 10)) == 0.5


def test_nothing_has_no_measure():
    none = np.zeros(0)
    assert np.isnan([headway_adherence(none, none), mean_wait(none), regular(none, none)]).all()


@given(st.lists(st.floats(1, 5000), min_size=1, max_size=50))
def test_uneven_headways_never_wait_less_than_even_ones(headways):
    h = np.array(headways)
    assert mean_wait(h) >= h.mean() / 2 - 1e-6


def test_predictions_are_accurate_up_to_both_bounds_of_their_bucket():
    left = np.array([0, 0, 0, 179, 180, 180, 599, 600, 899, 900.0])
    error = np.array([-30, -31, 90, 91, 150, 151, 210, 270, -91, 0.0])
    assert accurate(left, error).tolist() == [True, False, True, False, True, False, True, True, False, False]


def test_the_score_is_the_plain_mean_of_the_buckets():
    left, error = np.array([10, 20, 200, 400, 700.0]), np.array([0, 500, 0, 0, 999.0])
    scores, total = score_buckets(left, error)
    assert [score.within for score in scores] == [0.5, 1, 1, 0]
    assert total == 0.625
