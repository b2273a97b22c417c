"""Binary GTFS-Realtime positions: one `VehiclePosition`, bare or as the only entity of a feed message.

JSON and protobuf share a topic. A message that begins with `{` is JSON: as a protobuf tag that byte would open a group
numbered 15, which no GTFS-Realtime message has. Everything else is tried as protobuf first, because a line feed and a
space, which may precede JSON, are tags that VehiclePosition does have.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

from gateway.refusal import Reason, Refusal
from gateway.wire import (
    EMPTY,
    POSITION_BYTES_MAX,
    Position,
    decode_position,
    finite_place,
)

_OPENS_JSON: Final = b"{"
_UNIX_TIME_MAX_S: Final = 10**11
_ID_CHARS_MAX: Final = 128


def decode_any_position(payload: bytes) -> Position | Refusal:
    """A vehicle's position in JSON or in binary GTFS-Realtime; never raises, whatever the bytes."""
    if payload[:1] == _OPENS_JSON:
        return decode_position(payload)
    fix = decode_vehicle_position(payload)
    if isinstance(fix, Refusal) and payload[:64].lstrip(b" \t\r\n")[:1] == _OPENS_JSON:
        return decode_position(payload)
    return fix


def decode_vehicle_position(payload: bytes) -> Position | Refusal:
    """One binary VehiclePosition (or a FeedMessage or FeedEntity that holds exactly one)."""
    if not payload:
        return EMPTY
    if len(payload) > POSITION_BYTES_MAX:
        return Refusal(Reason.TOO_LARGE, f"{len(payload)} bytes, at most {POSITION_BYTES_MAX}")
    read_error, bindings = _bindings()
    try:
        # The wrappers cannot be mistaken for a bare position: their field 2 is of another wire type or holds no place.
        vehicle = bindings.VehiclePosition.FromString(payload)
        if not vehicle.HasField("position"):
            vehicle = _unwrap(bindings, payload, read_error) or vehicle
        return _position(vehicle, bindings)
    except read_error as error:
        return Refusal(Reason.MALFORMED_PROTOBUF, str(error))
    except UnicodeDecodeError:  # proto2 strings are checked when they are read
        return Refusal(Reason.INVALID_UTF8)


def _unwrap(bindings: Any, payload: bytes, read_error: type[Exception]) -> Any:
    """The vehicle inside a FeedMessage or FeedEntity, or None where the bytes are neither."""
    readers: tuple[Callable[[bytes], Any], ...] = (
        lambda data: _only_entity(bindings.FeedMessage.FromString(data)),
        bindings.FeedEntity.FromString,
    )
    for read in readers:
        try:
            entity = read(payload)
        except read_error:
            continue
        if entity is not None and entity.HasField("id") and entity.HasField("vehicle"):
            return entity.vehicle
    return None


def _only_entity(message: Any) -> Any:
    if not message.HasField("header") or message.header.gtfs_realtime_version[:2] not in ("1.", "2."):
        return None
    return message.entity[0] if len(message.entity) == 1 else None


def _position(vehicle: Any, bindings: Any) -> Position | Refusal:
    place, trip = vehicle.position, vehicle.trip
    if not (vehicle.HasField("position") and place.HasField("latitude") and place.HasField("longitude")):
        return Refusal(Reason.NOT_ONE_VEHICLE, "no position with latitude and longitude")
    if not vehicle.HasField("timestamp"):
        return Refusal(Reason.MISSING_FIELD, "timestamp")
    wrong = finite_place(place.latitude, place.longitude)
    if wrong is not None:
        return wrong
    if vehicle.timestamp > _UNIX_TIME_MAX_S:
        return Refusal(Reason.OUT_OF_RANGE, "timestamp")
    texts = (trip.trip_id, trip.route_id, trip.start_date, trip.start_time)
    if any(len(text) > _ID_CHARS_MAX or "\x00" in text for text in texts):
        return Refusal(Reason.OUT_OF_RANGE, "trip")
    return Position(
        ts=float(vehicle.timestamp),
        # 32-bit floats hold seven digits: what stands on the wire, without the noise of widening it.
        lat=round(place.latitude, 6),
        lon=round(place.longitude, 6),
        speed_mps=place.speed if place.HasField("speed") else None,
        bearing_deg=place.bearing if place.HasField("bearing") else None,
        odometer_m=place.odometer if place.HasField("odometer") else None,
        trip_id=trip.trip_id or None,
        route_id=trip.route_id or None,
        direction_id=trip.direction_id if trip.HasField("direction_id") else None,
        start_date=trip.start_date or None,
        start_time=trip.start_time or None,
        occupancy=_occupancy(vehicle, bindings),
    )


def _occupancy(vehicle: Any, bindings: Any) -> str | None:
    if not vehicle.HasField("occupancy_status"):
        return None
    name: str = bindings.VehiclePosition.OccupancyStatus.Name(vehicle.occupancy_status)
    return name


@functools.cache
def _bindings() -> tuple[type[Exception], Any]:
    """The generated classes, imported when the first binary position comes: most fleets send none."""
    from google.protobuf.message import DecodeError
    from google.transit import gtfs_realtime_pb2

    return DecodeError, gtfs_realtime_pb2
