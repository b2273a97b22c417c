"""Orders of a dispatcher: a vehicle is put on a trip whatever it says, and a cancelled trip is promised to nobody."""

import msgspec
import pytest
from google.transit import gtfs_realtime_pb2 as rt

from dispatch import realtime
from dispatch.engine import Engine
from dispatch.orders import Assignment, Cancellation

STRAIGHT = ((0, 0), (4000, 0))
STOPS = (0, 1000, 2000, 3000, 4000)


@pytest.fixture
def line(road, pattern):
    """A road of 4 km that takes 40 minutes; trips a, b and c ten minutes apart, b and c in one block."""
    trips = {name: 3600 + 600 * i for i, name in enumerate("abc")}
    return road(pattern(STRAIGHT, STOPS, trips, pace_s_per_m=0.6, blocks={"b": "B", "c": "B"}))


def drive(engine, line, claim, from_s, to_s, *, start_s=3600):
    for now_s in range(from_s, to_s + 1, 20):
        engine.ingest(line.fixes(("1", claim, now_s, (now_s - start_s) / 0.6, 0)))
        snapshot = engine.tick(line.zero_s + now_s)
    return snapshot


def test_what_a_dispatcher_says_outweighs_what_the_vehicle_says(line):
    engine = Engine(line.network)
    drive(engine, line, "a", 3600, 3700)
    order = engine.assign("op/1", "b", "20260713", "anna", line.zero_s + 3700)
    assert order == Assignment("1", "op", "b", "20260713", "anna", line.zero_s + 3700)
    vehicle = drive(engine, line, "a", 3720, 3900).vehicles[0]
    assert (vehicle.trip_id, vehicle.assigned) == ("b", "given")
    vehicle = drive(engine, line, "c", 3920, 4000).vehicles[0]  # it says something else: still held to b
    assert vehicle.trip_id == "b"


def test_a_vehicle_that_says_nothing_is_put_on_a_trip(line):
    engine = Engine(line.network)
    drive(engine, line, (None, "R", 1, None, None, None), 3600, 3620)
    engine.assign("op/1", "a", None, "anna", line.zero_s + 3620)
    assert drive(engine, line, None, 3640, 3800).vehicles[0].trip_id == "a"


def test_an_order_taken_back_lets_the_vehicle_speak_for_itself(line):
    engine = Engine(line.network)
    drive(engine, line, "a", 3600, 3700)
    engine.assign("op/1", "b", None, "anna", line.zero_s + 3700)
    engine.assign("op/1", None, None, "anna", line.zero_s + 3720)
    assert drive(engine, line, "a", 3740, 3800).vehicles[0].trip_id == "a"


def test_what_cannot_be_is_said(line):
    engine = Engine(line.network)
    drive(engine, line, "a", 3600, 3620)
    now_s = line.zero_s + 3620
    assert engine.assign("op/9", "b", None, "anna", now_s) == "unknown_vehicle"
    assert engine.assign("op/1", "zzz", None, "anna", now_s) == "unknown_trip"
    assert engine.assign("op/1", "b", "20260701", "anna", now_s) == "trip_not_due"
    assert engine.restore("b", (None, None), now_s) == "not_cancelled"
    engine.cancel("b", (None, None), "anna", now_s)
    assert engine.assign("op/1", "b", None, "anna", now_s) == "trip_cancelled"


def test_a_cancelled_trip_is_told_of_and_no_longer_predicted(line):
    engine = Engine(line.network)
    assert "a" in {update.trip_id for update in drive(engine, line, "a", 3600, 3700).trip_updates}
    order = engine.cancel("a", ("20260713", None), "anna", line.zero_s + 3700, "no driver")
    assert isinstance(order, Cancellation)
    snapshot = drive(engine, line, "a", 3720, 3760)
    assert "a" not in {update.trip_id for update in snapshot.trip_updates}
    assert snapshot.cancelled == [order]
    engine.restore("a", ("20260713", None), line.zero_s + 3760)
    assert "a" in {update.trip_id for update in drive(engine, line, "a", 3780, 3800).trip_updates}


def test_the_feed_says_that_a_trip_is_cancelled(line):
    engine = Engine(line.network)
    drive(engine, line, "a", 3600, 3700)
    engine.cancel("c", (None, None), "anna", line.zero_s + 3700)
    snapshot = drive(engine, line, "a", 3720, 3740)
    context = realtime.context_of(snapshot.vehicles, int(snapshot.as_of_s), realtime.place_of(line.network))
    feed = rt.FeedMessage()
    feed.ParseFromString(realtime.trip_updates(snapshot.trip_updates, context, snapshot.cancelled))
    (cancelled,) = [
        entity.trip_update
        for entity in feed.entity
        if entity.trip_update.trip.schedule_relationship == rt.TripDescriptor.CANCELED
    ]
    assert (cancelled.trip.trip_id, cancelled.trip.start_date, len(cancelled.stop_time_update)) == ("c", "20260713", 0)


def test_a_cancelled_trip_is_given_to_nobody_and_missed_by_nobody(line):
    engine = Engine(line.network)
    engine.cancel("a", (None, None), "anna", line.zero_s + 3500)
    snapshot = drive(engine, line, None, 3600, 4500)
    assert "a" not in {vehicle.trip_id for vehicle in snapshot.vehicles}
    assert not [alert for alert in snapshot.alerts if alert.kind == "missing"]


def test_orders_are_plain_to_encode(line):
    engine = Engine(line.network)
    order = engine.cancel("a", (None, None), "anna", line.zero_s + 3500)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(order), type=Cancellation | str) == order
