"""Reassignment: who was taken for the wrong run is given the right one, and who merely runs early keeps his."""

import numpy as np
import pytest

from dispatch.assignment import assign
from dispatch.engine import Engine
from dispatch.fleet import GIVEN, INFERRED
from dispatch.reassignment import misfit

STRAIGHT = ((0, 0), (4000, 0))
STOPS = (0, 1000, 2000, 3000, 4000)


@pytest.fixture
def line(road, pattern):
    """A road of 4 km that takes 40 minutes, a trip every twelve."""
    trips = {"a": 3600, "b": 3600 + 720, "c": 3600 + 1440}
    return road(pattern(STRAIGHT, STOPS, trips, pace_s_per_m=0.6))


def follow(engine, line, trips, starts_s, *, by=INFERRED, seconds=900):
    """Vehicles 1, 2, ... taken for `trips`, who in truth left at `starts_s`; their trips at the end."""
    began = max(starts_s)
    for now_s in range(began, began + seconds, 20):
        places = [(now_s - start_s) / 0.6 for start_s in starts_s]
        named = [(trip, None, None, None, None, None) if by == GIVEN else None for trip in trips]
        rows = [(str(i + 1), claim, now_s, x, 0) for i, (x, claim) in enumerate(zip(places, named, strict=True))]
        engine.ingest(line.fixes(*rows))
        if now_s == began and by == INFERRED:
            engine.fleet.rows_of([f"op/{i + 1}" for i in range(len(trips))], 10)
            for row, trip in enumerate(trips):
                assign(engine.fleet, engine.timetable, row, line.network.trip_id.index(trip), line.zero_s, by)
        snapshot = engine.tick(line.zero_s + now_s)
    return [row.trip_id for row in sorted(snapshot.vehicles, key=lambda row: row.vehicle_id)]


def test_who_left_long_before_the_time_drives_the_trip_before(line):
    engine = Engine(line.network)
    assert follow(engine, line, ["b"], [3660]) == ["a"]
    assert engine.counters["trips_exchanged"] == 1
    assert engine.look(line.zero_s + 4560).vehicles[0].deviation_s == pytest.approx(60, abs=25)


def test_two_that_were_taken_for_each_other_are_exchanged(line):
    assert follow(Engine(line.network), line, ["c", "b"], [4320 + 30, 5040 + 30]) == ["b", "c"]


def test_who_is_a_little_early_keeps_his_trip(line):
    assert follow(Engine(line.network), line, ["b"], [4320 - 200]) == ["b"]


def test_a_run_that_another_drives_is_not_taken_from_him(line):
    assert follow(Engine(line.network), line, ["b", "a"], [3660, 3640]) == ["b", "a"]


def test_what_a_device_claims_is_never_exchanged(line):
    assert follow(Engine(line.network), line, ["b"], [3660], by=GIVEN) == ["b"]


def test_nobody_leaves_early_but_may_become_so():
    early = misfit(np.array([-400.0, -400.0, 400.0]), np.array([0.0, 3600.0, 0.0]))
    assert early[0] > 9 > early[1]
    assert early[2] == 1.0
