"""A vehicle's position: what every profile of it ends in, and its own JSON.

Binary GTFS-Realtime and HFP v2 have modules of their own, which end in the same `Position`.
"""

from __future__ import annotations

import math
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from gateway.payload import Id, Lat, Lon, Number, UnixTime, decode_json
from gateway.refusal import Reason, Refusal

POSITION_BYTES_MAX: Final = 8 * 1024

NULL_ISLAND: Final = Refusal(Reason.NO_PLACE, "0/0")

OCCUPANCIES: Final = frozenset(
    {
        "EMPTY",
        "MANY_SEATS_AVAILABLE",
        "FEW_SEATS_AVAILABLE",
        "STANDING_ROOM_ONLY",
        "CRUSHED_STANDING_ROOM_ONLY",
        "FULL",
        "NOT_ACCEPTING_PASSENGERS",
        "NO_DATA_AVAILABLE",
        "NOT_BOARDABLE",
    }
)


class Position(msgspec.Struct, gc=False):
    """One fix as a vehicle tells it: time, place, motion, and what it claims to serve. None where it does not say."""

    ts: UnixTime
    lat: Lat
    lon: Lon
    speed_mps: Number | None = None
    bearing_deg: Number | None = None
    accuracy_m: Number | None = None
    odometer_m: Annotated[float, Meta(ge=-1e12, le=1e12)] | None = None
    trip_id: Id | None = None
    route_id: Id | None = None
    direction_id: Annotated[int, Meta(ge=-1, le=2**15)] | None = None
    start_date: Id | None = None  # YYYYMMDD
    start_time: Id | None = None  # HH:MM:SS, may pass 24 h
    block_id: Id | None = None
    occupancy: Id | None = None  # the name of a GTFS-Realtime OccupancyStatus; any other word is dropped
    delay_s: Number | None = None  # by the vehicle's own estimate; late is positive


_position = msgspec.json.Decoder(Position)


def decode_position(payload: bytes) -> Position | Refusal:
    """A vehicle's position in JSON."""
    fix = decode_json(_position, payload, POSITION_BYTES_MAX)
    if type(fix) is not Position:
        return fix
    if fix.lat == 0 and fix.lon == 0:
        return NULL_ISLAND
    if fix.occupancy is not None and fix.occupancy not in OCCUPANCIES:
        fix.occupancy = None  # an unknown word is no reason to lose the position
    return fix


def finite_place(lat_deg: float, lon_deg: float) -> Refusal | None:
    """Why a place cannot be one: not a number, off the globe, or the 0/0 of a receiver that has no fix."""
    if not (math.isfinite(lat_deg) and math.isfinite(lon_deg)):
        return Refusal(Reason.NO_PLACE, "not a number")
    if not (-90 <= lat_deg <= 90 and -180 <= lon_deg <= 180):
        return Refusal(Reason.OUT_OF_RANGE, "off the globe")
    return NULL_ISLAND if lat_deg == 0 and lon_deg == 0 else None
