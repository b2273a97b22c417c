"""Traffic is shared by those near by, and never a surprise of a second."""

from __future__ import annotations

import numpy as np
import pytest

from simulators.traffic import CELL_M, PERIOD_S, make_traffic


def test_its_mean_is_one_and_its_variation_the_setting() -> None:
    traffic = make_traffic(np.random.default_rng(1), 0.2)
    cell = np.arange(32.0) * CELL_M
    factors = np.array(
        [traffic.factor(cell, np.full(32, y), np.full(32, p * PERIOD_S)) for y in cell for p in range(40)]
    )

    assert factors.mean() == pytest.approx(1.0, abs=0.01)
    assert factors.std() == pytest.approx(0.2, abs=0.01)


def test_vehicles_of_one_district_share_it() -> None:
    traffic = make_traffic(np.random.default_rng(1), 0.2)
    x_m = np.array([100.0, 900.0, 5 * CELL_M])

    near, also_near, far = traffic.factor(x_m, np.zeros(3), np.full(3, 1e9))

    assert near == also_near != far


def test_it_changes_smoothly() -> None:
    traffic = make_traffic(np.random.default_rng(1), 0.2)
    at_s = 1.7e9 + np.arange(7_200.0)
    factors = traffic.factor(np.zeros(7_200), np.zeros(7_200), at_s)

    assert np.abs(np.diff(factors)).max() < 0.005


def test_without_variation_roads_are_as_usual() -> None:
    traffic = make_traffic(np.random.default_rng(1), 0.0)

    assert (traffic.factor(np.arange(9.0) * 1e4, -np.arange(9.0) * 1e4, np.full(9, 1e9)) == 1.0).all()
