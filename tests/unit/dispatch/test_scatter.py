"""Scatter: the band holds as many of the errors as it says, by line and time left, and begins with a guess."""

import numpy as np
import pytest

from dispatch.scatter import DRIVEN, FOLLOWS, SHARE, Scatter, guess_s

LEFT_S = np.array([20.0, 200.0, 800.0])


def fill(scatter, line, left_s, error_s, kind=DRIVEN, now_s=1e9):
    size = len(error_s)
    scatter.add(np.full(size, kind), np.full(size, line), np.full(size, left_s), error_s, now_s)


def test_before_any_error_was_seen_it_is_the_guess():
    scatter = Scatter(2)
    assert scatter.uncertainty_s(DRIVEN, np.zeros(3, dtype=np.int32), LEFT_S) == pytest.approx(
        guess_s(LEFT_S), rel=0.05
    )


@pytest.mark.parametrize("sd_s", [10.0, 40.0, 150.0])
def test_the_band_holds_two_thirds_of_normal_errors(sd_s):
    scatter = Scatter(1)
    error_s = np.random.default_rng(1).normal(0.0, sd_s, 20_000)
    fill(scatter, 0, 200.0, error_s)
    band_s = scatter.uncertainty_s(DRIVEN, np.zeros(1, dtype=np.int32), np.array([200.0]))[0]
    assert np.mean(np.abs(error_s) <= band_s) == pytest.approx(SHARE, abs=0.03)


def test_lines_and_kinds_are_told_apart_and_a_new_line_is_like_all_others():
    scatter = Scatter(3)
    rng = np.random.default_rng(2)
    fill(scatter, 0, 200.0, rng.normal(0.0, 10.0, 5000))
    fill(scatter, 1, 200.0, rng.normal(0.0, 80.0, 5000))
    fill(scatter, 0, 200.0, rng.normal(0.0, 200.0, 5000), kind=FOLLOWS)
    calm, wild, new = scatter.uncertainty_s(DRIVEN, np.arange(3, dtype=np.int32), np.full(3, 200.0))
    assert calm < 15 < new < wild < 100
    assert scatter.uncertainty_s(FOLLOWS, np.zeros(1, dtype=np.int32), np.full(1, 200.0))[0] > 150


def test_absurd_errors_and_times_stay_within_the_bins():
    scatter = Scatter(1)
    fill(scatter, 0, -50.0, np.array([0.0, 1e9, -1e9]))
    fill(scatter, 0, 1e9, np.array([0.0, 1e9, -1e9]))
    assert np.isfinite(scatter.uncertainty_s(DRIVEN, np.zeros(2, dtype=np.int32), np.array([-50.0, 1e9]))).all()


def test_old_counts_fade():
    scatter = Scatter(1)
    fill(scatter, 0, 200.0, np.full(1000, 5.0), now_s=1e9)
    fill(scatter, 0, 200.0, np.full(1000, 60.0), now_s=1e9 + 60 * 86_400)
    assert scatter.uncertainty_s(DRIVEN, np.zeros(1, dtype=np.int32), np.full(1, 200.0))[0] > 50
