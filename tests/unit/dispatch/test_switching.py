"""A new feed at noon: vehicles, orders and what was learnt go on; a bad one changes nothing."""

from dataclasses import replace

import numpy as np
import pytest

from dispatch.engine import Engine

STRAIGHT = ((0, 0), (4000, 0))
STOPS = (0, 1000, 2000, 3000, 4000)


@pytest.fixture
def line(road, pattern):
    return road(pattern(STRAIGHT, STOPS, {"a": 3600, "b": 4200}, pace_s_per_m=0.6))


def drive(engine, line, trips, from_s, to_s):
    for now_s in range(from_s, to_s + 1, 20):
        rows = [(name, trip, now_s, (now_s - start_s) / 0.6, 0) for name, (trip, start_s) in trips.items()]
        engine.ingest(line.fixes(*rows))
        snapshot = engine.tick(line.zero_s + now_s)
    return snapshot


def test_vehicles_go_on_where_they_were(line, road, pattern):
    more = road(
        pattern(((0, 500), (900, 500)), (0, 900), {"other": 3600}, route="Q"),
        pattern(STRAIGHT, STOPS, {"new": 3000, "a": 3600, "b": 4200}, pace_s_per_m=0.6),
    )
    # The pattern's id is the same in both versions, as it is made of what the pattern is.
    network = replace(more.network, pattern_id=["Q:0:0", line.network.pattern_id[0]])
    engine = Engine(line.network)
    before = drive(engine, line, {"1": ("a", 3600)}, 3600, 4400)
    learnt = engine.running.outlook(line.zero_s + 4400).run_s
    engine.cancel("b", (None, None), "anna", line.zero_s + 4400)
    assert engine.switch(network) == 1
    after = engine.look(line.zero_s + 4400)
    assert after.network is network
    old, new = before.vehicles[0], after.vehicles[0]
    assert (new.trip_id, new.state, new.distance_m) == ("a", "on_trip", old.distance_m)
    assert new.next_stop_sequence == old.next_stop_sequence
    assert [order.trip_id for order in after.cancelled] == ["b"]
    assert np.array_equal(engine.running.outlook(line.zero_s + 4400).run_s[2:], learnt)
    seen = len(engine.passage_log.all())
    last = drive(engine, line, {"1": ("a", 3600)}, 4420, 5400)
    assert last.vehicles[0].trip_id == "a"
    assert len(engine.passage_log.all()) > seen > 0


def test_a_vehicle_whose_trip_is_gone_is_not_lost(line, road, pattern):
    fewer = road(pattern(STRAIGHT, STOPS, {"b": 4200}, pace_s_per_m=0.6))
    engine = Engine(line.network)
    drive(engine, line, {"1": ("a", 3600), "2": ("b", 4200)}, 4200, 4400)
    assert engine.switch(fewer.network) == 1
    shown = {row.vehicle_id: row.trip_id for row in engine.tick(line.zero_s + 4410).vehicles}
    assert shown == {"1": None, "2": "b"}
    drive(engine, line, {"1": ("a", 3600), "2": ("b", 4200)}, 4420, 4500)


def test_a_network_that_cannot_be_driven_changes_nothing(line):
    engine = Engine(line.network)
    before = drive(engine, line, {"1": ("a", 3600)}, 3600, 3700).vehicles
    empty = replace(line.network, trip_id=[])
    broken = replace(line.network, pattern_path=np.array([7], dtype=np.int32))
    for bad in (empty, broken):
        with pytest.raises(ValueError, match="stays"):
            engine.switch(bad)
    assert engine.network is line.network
    assert engine.look(line.zero_s + 3700).vehicles == before
