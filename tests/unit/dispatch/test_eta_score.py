"""The live score: the horizons and shares of hand-made predictions, a day that passes, and labels that stay few."""

import numpy as np
import pytest

from dispatch.eta_score import HOURS, OTHER, ROUTES_MAX, ROUTES_NAMED, LiveScore

NOW_S = 1_771_257_600.0
BANDS = np.full(12, 20.0)


def add(score, route_id, left_s, error_s, baseline_error_s, now_s=NOW_S):
    row = np.repeat(score.rows_of([route_id]), len(left_s))
    band_s = np.full(len(left_s), 20.0)
    score.add(row, np.array(left_s), np.array(error_s), np.array(baseline_error_s), band_s, now_s)


def test_errors_and_shares_by_horizon():
    score = LiveScore()
    add(score, "1", [30.0, 59.0, 90.0, 899.0], [5.0, -35.0, 7.0, 300.0], [50.0, 70.0, 91.0, 0.0])
    first, second, *_, last = score.reply(BANDS, 0, NOW_S).horizons
    assert (first.n, first.mae_s, first.within, first.baseline_mae_s, first.baseline_within) == (
        2,
        20.0,
        0.5,
        60.0,
        1.0,
    )
    assert (second.mae_s, second.within, second.baseline_within) == (7.0, 1.0, 0.0)
    assert (first.within_uncertainty, last.within_uncertainty) == (0.5, 0.0)
    assert (last.from_s, last.to_s, last.within, last.baseline_within) == (600, 900, 0.0, 1.0)


def test_the_score_is_the_mean_of_the_buckets_that_have_any():
    score = LiveScore()
    add(score, "1", [30.0, 300.0, 340.0], [0.0, 0.0, 151.0], [0.0, 0.0, 0.0])
    reply = score.reply(BANDS, 3, NOW_S)
    assert (reply.score, reply.baseline_score, reply.waiting) == (0.75, 1.0, 3)
    assert [route.route_id for route in reply.routes] == ["1"]


def test_nothing_scored_yet():
    reply = LiveScore().reply(BANDS, 0, NOW_S)
    assert (reply.score, reply.routes, reply.horizons[0].mae_s) == (None, [], None)
    assert reply.uncertainty[0].uncertainty_s == 20.0
    assert reply.uncertainty[-1].to_s is None


@pytest.mark.parametrize("left_s", [-1.0, 900.0, 1e9])
def test_what_is_outside_the_quarter_of_an_hour_is_not_scored(left_s):
    score = LiveScore()
    add(score, "1", [left_s], [1.0], [1.0])
    assert score.reply(BANDS, 0, NOW_S).score is None


def test_a_day_old_hour_is_forgotten_and_the_counters_are_not():
    score = LiveScore()
    add(score, "1", [30.0], [5.0], [50.0])
    add(score, "1", [30.0], [7.0], [50.0], NOW_S + (HOURS - 1) * 3600.0)
    assert score.reply(BANDS, 0, NOW_S + (HOURS - 1) * 3600.0).horizons[0].n == 2
    assert score.reply(BANDS, 0, NOW_S + HOURS * 3600.0).horizons[0].n == 1
    assert score.reply(BANDS, 0, NOW_S + 100 * HOURS * 3600.0).horizons[0].n == 0
    assert [(row.route_id, row.horizon, row.n, row.error_s) for row in score.counted()] == [("1", "0-60", 2.0, 12.0)]


def test_a_clock_that_goes_back_loses_nothing():
    score = LiveScore()
    add(score, "1", [30.0], [5.0], [50.0])
    add(score, "1", [30.0], [5.0], [50.0], NOW_S - 7200.0)
    assert score.reply(BANDS, 0, NOW_S).horizons[0].n == 2


def test_many_routes_share_a_label_and_more_than_can_be_kept_a_row():
    score = LiveScore()
    names = [f"r{i}" for i in range(ROUTES_MAX + 50)]
    rows = score.rows_of(names)
    size = len(names)
    score.add(rows, np.full(size, 30.0), np.ones(size), np.ones(size), np.ones(size), NOW_S)
    labels = score.counted()
    assert len(labels) == ROUTES_NAMED + 1
    assert labels[-1].route_id == OTHER
    assert sum(row.n for row in labels) == size
    assert [row.route_id for row in score.counted()] == [row.route_id for row in labels]
