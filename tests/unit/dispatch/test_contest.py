"""Contest: who was taken for a line of the next street is held to the one whose street he drives along."""

import numpy as np
import pytest

from dispatch.assignment import assign
from dispatch.engine import Engine
from dispatch.fleet import GIVEN, INFERRED
from dispatch.nearby import PathGrid

STOPS = (0, 1000, 2000, 3000, 4000)


@pytest.fixture
def streets(road, pattern):
    """Two lines along streets 30 m apart, with a trip each at the same time."""
    return road(
        pattern(((0, 0), (4000, 0)), STOPS, {"a": 3600}, route="A"),
        pattern(((0, 30), (4000, 30)), STOPS, {"b": 3600}, route="B"),
    )


def drive(streets, north_m, *, taken_for="a", by=INFERRED, seconds=360):
    """The trip that a vehicle has at the end that drives `north_m` beside the first street."""
    engine = Engine(streets.network)
    said = (taken_for, None, None, None, None, None) if by == GIVEN else None
    for now_s in range(3600, 3600 + seconds, 15):
        engine.ingest(streets.fixes(("1", said, now_s, (now_s - 3600) * 10.0, north_m)))
        if now_s == 3600 and by == INFERRED:
            engine.fleet.rows_of(["op/1"], 10)
            assign(engine.fleet, engine.timetable, 0, streets.network.trip_id.index(taken_for), streets.zero_s, by)
        snapshot = engine.tick(streets.zero_s + now_s)
    return snapshot.vehicles[0].trip_id


def test_who_drives_along_the_other_street_is_held_to_its_line(streets):
    assert drive(streets, 28) == "b"


def test_who_is_between_two_streets_stays_with_what_he_has(streets):
    assert drive(streets, 14) == "a"
    assert drive(streets, 15) == "a"


def test_what_a_device_claims_stands(streets):
    assert drive(streets, 28, by=GIVEN) == "a"


def test_the_grid_finds_the_paths_near_a_place_and_no_others(road, pattern):
    network = road(
        pattern(((0, 0), (4000, 0)), STOPS, {"a": 0}, route="A"),
        pattern(((0, 400), (4000, 400)), STOPS, {"b": 0}, route="B"),
        pattern(((-900, -900), (-900, 3000)), (0, 3900), {"c": 0}, route="C"),
    ).network
    grid = PathGrid(network)
    at, path = grid.near(np.array([1990.0, 1234.0, -890.0, 9e6]), np.array([45.0, 399.0, 50.0, 9e6]))
    assert list(zip(at.tolist(), path.tolist(), strict=True)) == [(0, 0), (1, 1), (2, 2)]
    assert all(len(part) == 0 for part in grid.near(np.zeros(0), np.zeros(0)))


def test_who_turns_round_stays_on_his_route(road, pattern):
    way = ((0, 0), (4000, 0))
    network = road(
        pattern(way[::-1], STOPS, {"b": 4300}, route="B"),
        pattern(way, STOPS, {"there": 3600}, route="A"),
        pattern(way[::-1], STOPS, {"back": 4300}, route="A", direction=1),
    )
    engine = Engine(network.network)
    said = []
    for now_s in range(3600, 4600, 15):
        x_m = min((now_s - 3600) * 10.0, 4000.0) if now_s < 4300 else 4000.0 - (now_s - 4300) * 10.0
        engine.ingest(network.fixes(("1", None, now_s, x_m, 0.0)))
        said.append(engine.tick(network.zero_s + now_s).vehicles[0].trip_id)
    assert said[20] == "there"
    assert said[-1] == "back"
