"""Binary GTFS-Realtime on the position topic, told from JSON."""

import json

import pytest
from google.transit import gtfs_realtime_pb2 as gtfs
from hypothesis import given
from hypothesis import strategies as st

from gateway.position import Position
from gateway.protobuf import decode_any_position, decode_vehicle_position
from gateway.refusal import Reason, Refusal


def vehicle(lat: float = 50.25, lon: float = 30.5, ts: int = 1771257482) -> gtfs.VehiclePosition:
    message = gtfs.VehiclePosition()
    message.position.latitude = lat
    message.position.longitude = lon
    message.timestamp = ts
    return message


def test_all_that_a_vehicle_position_says_is_read() -> None:
    message = vehicle()
    message.position.speed, message.position.bearing, message.position.odometer = 8.5, 121, 120345
    message.trip.trip_id, message.trip.route_id, message.trip.direction_id = "t1", "r1", 1
    message.trip.start_date, message.trip.start_time = "20260711", "25:10:00"
    message.occupancy_status = gtfs.VehiclePosition.FEW_SEATS_AVAILABLE
    assert decode_any_position(message.SerializeToString()) == Position(
        1771257482.0,
        50.25,
        30.5,
        8.5,
        121.0,
        None,
        120345.0,
        "t1",
        "r1",
        1,
        "20260711",
        "25:10:00",
        None,
        "FEW_SEATS_AVAILABLE",
    )


def test_what_it_does_not_say_is_unknown() -> None:
    assert decode_any_position(vehicle().SerializeToString()) == Position(1771257482.0, 50.25, 30.5)


@given(
    st.floats(-90, 90, width=32).filter(lambda lat: abs(lat) > 1e-3),
    st.floats(-180, 180, width=32),
    st.integers(0, 10**10),
    st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=128),
)
def test_every_vehicle_position_is_told_from_json(lat: float, lon: float, ts: int, trip_id: str) -> None:
    message = vehicle(lat, lon, ts)
    message.trip.trip_id = trip_id
    fix = decode_any_position(message.SerializeToString())
    assert isinstance(fix, Position)
    assert (fix.lat, fix.lon, fix.ts, fix.trip_id) == (
        lat,
        lon,
        ts,
        trip_id or None,
    )


@pytest.mark.parametrize("space", ["", " ", "\n", "\r\n", "\t", "\n\n   "])
def test_json_is_told_from_protobuf_whatever_space_precedes_it(space: str) -> None:
    payload = (space + json.dumps({"ts": 1.5, "lat": 2, "lon": 3})).encode()
    assert decode_any_position(payload) == Position(1.5, 2.0, 3.0)


def test_a_feed_of_one_vehicle_is_taken_and_of_two_refused() -> None:
    feed = gtfs.FeedMessage()
    feed.header.gtfs_realtime_version = "2.0"
    feed.entity.add(id="1").vehicle.CopyFrom(vehicle())
    assert isinstance(decode_any_position(feed.SerializeToString()), Position)
    assert isinstance(decode_any_position(feed.entity[0].SerializeToString()), Position)
    feed.entity.add(id="2").vehicle.CopyFrom(vehicle())
    refusal = decode_any_position(feed.SerializeToString())
    assert isinstance(refusal, Refusal)
    assert refusal.reason is Reason.NOT_ONE_VEHICLE


def without(name: str) -> bytes:
    message = vehicle()
    if name == "timestamp":
        message.ClearField("timestamp")
    else:
        message.position.ClearField(name)
    return message.SerializePartialToString()


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", Reason.EMPTY),
        (b"\xff\xfe\x00", Reason.MALFORMED_PROTOBUF),
        (b"hello", Reason.MALFORMED_PROTOBUF),
        (vehicle().SerializeToString()[:-3], Reason.MALFORMED_PROTOBUF),
        (b"\x0a" * (1 << 20), Reason.TOO_LARGE),
        (b"\x0a\x00", Reason.NOT_ONE_VEHICLE),
        (without("timestamp"), Reason.MISSING_FIELD),
        (without("latitude"), Reason.NOT_ONE_VEHICLE),
        (without("longitude"), Reason.NOT_ONE_VEHICLE),
        (vehicle(0, 0).SerializeToString(), Reason.NO_PLACE),
        (vehicle(float("nan")).SerializeToString(), Reason.NO_PLACE),
        (vehicle(50, float("inf")).SerializeToString(), Reason.NO_PLACE),
        (vehicle(91).SerializeToString(), Reason.OUT_OF_RANGE),
        (vehicle(ts=2**64 - 1).SerializeToString(), Reason.OUT_OF_RANGE),
        (b"[1]", Reason.MALFORMED_PROTOBUF),
    ],
)
def test_garbage_is_refused_for_its_reason(payload: bytes, reason: Reason) -> None:
    refusal = decode_any_position(payload)
    assert isinstance(refusal, Refusal)
    assert refusal.reason is reason


def test_ids_that_are_too_long_or_not_utf8_are_refused() -> None:
    message = vehicle()
    message.trip.trip_id = "x" * 129
    assert isinstance(decode_any_position(message.SerializeToString()), Refusal)
    message.trip.trip_id = "xyz"
    broken = message.SerializeToString().replace(b"xyz", b"\xff\xfe\xfd")
    assert isinstance(decode_any_position(broken), Refusal)


@given(st.binary(max_size=200))
def test_no_bytes_raise(data: bytes) -> None:
    decode_any_position(data)
    decode_vehicle_position(data)


@given(st.integers(0, 60), st.binary(min_size=1, max_size=4))
def test_no_damaged_vehicle_position_raises(at: int, damage: bytes) -> None:
    message = vehicle()
    message.trip.trip_id = "1_173113_10_0"
    payload = message.SerializeToString()
    decode_any_position(payload[:at] + damage + payload[at + len(damage) :])
