"""The benchmark measures what it says, on a fleet small enough for a test."""

import numpy as np
import pytest

from deploy.bench.dispatch import measure
from deploy.bench.lattice import make_network
from dispatch.engine import Engine


def test_it_gives_the_figures_of_the_contract():
    report = measure(fixes=2000, fleets=(100, 200), ticks=1)
    figures = report["figures"]
    assert {"matching_fixes_per_s", "tick_100_vehicles_ms", "tick_200_vehicles_ms", "bytes_per_vehicle"} <= set(figures)
    assert {"take_state_100_vehicles_ms", "write_state_100_vehicles_ms", "state_100_vehicles_mb"} <= set(figures)
    assert 200 < figures["bytes_per_vehicle"] < 5000
    pytest.importorskip("shapely")
    ratio = figures["matching_fixes_per_s"] / figures["shapely_fixes_per_s"]
    assert report["ratios"]["matching_to_shapely"] == pytest.approx(ratio, rel=0.01)


def test_its_network_is_one_that_the_engine_can_follow():
    network = make_network(3, np.random.default_rng(1))
    assert len(Engine(network).roads.lines.line_route) == 3
    assert (np.diff(network.arrival_s.reshape(-1, 30), axis=1) > 0).all()
