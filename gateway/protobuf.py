"""Binary GTFS-Realtime positions: one `VehiclePosition`, bare or as the only entity of a feed message.

JSON and protobuf share a topic. A message that begins with `{` is JSON: as a protobuf tag that byte would open a group
numbered 15, which no GTFS-Realtime message has. Everything else is tried as protobuf first, because a line feed and a
space, which may precede JSON, are tags that VehiclePosition does have.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

from gateway.payload import EMPTY
from gateway.position import POSITION_BYTES_MAX, Position, decode_position, finite_place
from gateway.refusal import Reason, Refusal

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
        return Refusal(Reason.TOO_LARGE, f"at most {POSITION_BYTES_MAX} bytes")
    read_error, bindings = _bindings()
    # None of the three can be mistaken for another: in the field that holds a bare position's place, a feed message has
    # an entity, whose first field is no latitude, and an entity has a flag.
    readers: tuple[Callable[[bytes], Any], ...] = (
        bindings.VehiclePosition.FromString,
        lambda data: _only_vehicle(bindings.FeedMessage.FromString(data)),
        lambda data: bindings.FeedEntity.FromString(data).vehicle,
    )
    refusal = Refusal(Reason.MALFORMED_PROTOBUF)
    for read in readers:
        try:
            vehicle = read(payload)
        except read_error:
            continue
        if vehicle is not None and _has_place(vehicle):
            return _position(vehicle, bindings)
        refusal = Refusal(Reason.NOT_ONE_VEHICLE, "no single position with latitude and longitude")
    return refusal


def _only_vehicle(message: Any) -> Any:
    if not message.HasField("header") or message.header.gtfs_realtime_version[:2] not in ("1.", "2."):
        return None
    return message.entity[0].vehicle if len(message.entity) == 1 else None


def _has_place(vehicle: Any) -> bool:
    place = vehicle.position
    return bool(vehicle.HasField("position") and place.HasField("latitude") and place.HasField("longitude"))


def _position(vehicle: Any, bindings: Any) -> Position | Refusal:
    place, trip = vehicle.position, vehicle.trip
    if not vehicle.HasField("timestamp"):
        return Refusal(Reason.MISSING_FIELD, "timestamp")
    wrong = finite_place(place.latitude, place.longitude)
    if wrong is not None:
        return wrong
    if vehicle.timestamp > _UNIX_TIME_MAX_S:
        return Refusal(Reason.OUT_OF_RANGE, "timestamp")
    texts = (trip.trip_id, trip.route_id, trip.start_date, trip.start_time)
    if not all(isinstance(text, str) for text in texts):  # what is not UTF-8 is left as bytes
        return Refusal(Reason.INVALID_UTF8, "trip")
    if any(len(text) > _ID_CHARS_MAX or "\x00" in text for text in texts):
        return Refusal(Reason.OUT_OF_RANGE, "trip")
    return Position(
        ts=float(vehicle.timestamp),
        lat=place.latitude,
        lon=place.longitude,
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
