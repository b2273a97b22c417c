"""What readers get from a snapshot: the fields of the contract, nulls where nothing is known, and no NaN."""

import msgspec
import pytest

from dispatch.engine import Engine
from dispatch.fleet_documents import HeadwaysDocument, TripUpdatesDocument, VehiclesDocument

STOPS = (0, 500, 1000, 1500, 2000)


@pytest.fixture
def snapshot(road, pattern):
    line = road(pattern(((0, 0), (2000, 0)), STOPS, {"a": 3600, "b": 3900}, dwell_s=10))
    engine = Engine(line.network)
    engine.ingest(
        line.fixes(
            *[("1", "a", 3600 + s, 9 * s, 0) for s in range(0, 150, 10)],
            *[("2", "b", 3900 + s, 9 * s, 0) for s in range(0, 100, 10)],
            ("3", None, 3990, 9000, 9000),
        )
    )
    return engine.tick(line.zero_s + 3990)


def test_headways_have_the_fields_of_the_contract(snapshot):
    document = msgspec.json.decode(snapshot.headways_json())
    assert {"as_of", "feed_version", "headways"} == set(document)
    assert {
        *("route_id", "direction_id", "pattern_id", "vehicle_id", "trip_id", "leader_id", "stop_id", "headway_s"),
        *("scheduled_headway_s", "deviation_s", "ratio", "estimated", "state"),
    } <= set(document["headways"][0])
    follower = next(row for row in document["headways"] if row["vehicle_id"] == "2")
    assert follower["deviation_s"] == pytest.approx(follower["headway_s"] - follower["scheduled_headway_s"], abs=0.11)
    assert follower["ratio"] == pytest.approx(follower["headway_s"] / follower["scheduled_headway_s"], abs=0.01)


def test_every_document_is_read_back_as_its_own_type(snapshot):
    vehicles = msgspec.json.decode(snapshot.vehicles_json(), type=VehiclesDocument)
    assert [row.state for row in vehicles.vehicles] == ["silent", "on_trip", "unassigned"]
    assert msgspec.json.decode(snapshot.headways_json(), type=HeadwaysDocument).headways == snapshot.headways
    assert msgspec.json.decode(snapshot.trip_updates_json(), type=TripUpdatesDocument).feed_version == "tiny"


def test_what_is_not_known_is_null(snapshot):
    unassigned = msgspec.json.decode(snapshot.vehicles_json())["vehicles"][2]
    unknown = ("trip_id", "route_id", "direction_id", "distance_m", "deviation_s", "next_stop_id", "assigned")
    assert [unassigned[name] for name in unknown] == [None] * len(unknown)
    assert b"NaN" not in snapshot.vehicles_json()


def test_predictions_go_on_from_the_stop_that_is_next_in_order_of_time(snapshot):
    (update,) = [update for update in snapshot.trip_updates if update.trip_id == "b"]
    assert [stop.stop_sequence for stop in update.stops] == [3, 4, 5]
    times = [at for stop in update.stops for at in (stop.arrival_at, stop.departure_at)]
    assert times == sorted(times)
    assert times[0] >= update.ts
    for stop in update.stops:
        assert stop.delay_s == pytest.approx(stop.arrival_at - stop.scheduled_at, abs=0.11)


def test_rows_are_made_once(snapshot):
    assert snapshot.vehicles is snapshot.vehicles
