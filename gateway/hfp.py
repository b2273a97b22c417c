"""HFP v2, the high-frequency positioning of Helsinki's region, read from a broker of its own.

Its payload is one object under the event's name: {"VP": {...}}. What differs from GTFS: directions are 1 and 2; `dl`
is negative when late; `start` is on a 24-hour clock although the operating day passes midnight; the vehicle is named
by its topic, since `oper` in the payload is who runs the trip, not who owns the bus.
Source: digitransit.fi, "High-frequency positioning", version 2.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from gateway.payload import Id, Lat, Lon, Number, decode_json
from gateway.position import POSITION_BYTES_MAX, Position, finite_place
from gateway.refusal import Reason, Refusal
from gateway.topics import HfpAddress

_HALF_DAY_S: Final = 43_200
_DIRECTIONS: Final = {"1": 0, "2": 1}
_START = re.compile(r"([01]\d|2\d):([0-5]\d)", re.ASCII)


class _Body(msgspec.Struct, gc=False):
    tst: dt.datetime
    lat: Lat | None = None
    long: Lon | None = None
    spd: Number | None = None
    hdg: Number | None = None
    acc: Number | None = None  # an acceleration, not an accuracy: read so that its type is checked, then left alone
    odo: Number | None = None
    dl: Number | None = None
    dir: Annotated[str, Meta(max_length=4)] | None = None
    oday: dt.date | None = None
    start: Annotated[str, Meta(max_length=8)] | None = None
    route: Id | None = None


_decoder = msgspec.json.Decoder(dict[Annotated[str, Meta(max_length=8)], _Body])


def decode_hfp(address: HfpAddress, payload: bytes, zone: ZoneInfo) -> Position | Refusal:
    """The position in an HFP v2 message of any event; `zone` is that of its operating days. Never raises."""
    outer = decode_json(_decoder, payload, POSITION_BYTES_MAX)
    if isinstance(outer, Refusal):
        return outer
    if len(outer) != 1:
        return Refusal(Reason.NOT_ONE_VEHICLE, f"{len(outer)} events in one message")
    (body,) = outer.values()
    if body.lat is None or body.long is None:
        return Refusal(Reason.NO_PLACE, "no GPS fix")
    if body.tst.tzinfo is None:
        return Refusal(Reason.OUT_OF_RANGE, "tst has no time zone")
    wrong = finite_place(body.lat, body.long)
    if wrong is not None:
        return wrong
    ts_s = body.tst.timestamp()
    return Position(
        ts=ts_s,
        lat=body.lat,
        lon=body.long,
        speed_mps=body.spd,
        bearing_deg=body.hdg,
        odometer_m=body.odo,
        route_id=body.route or address.route_id[:128] or None,
        direction_id=_DIRECTIONS.get(body.dir or address.direction),
        start_date=None if body.oday is None else body.oday.strftime("%Y%m%d"),
        start_time=start_time(body.oday, body.start, ts_s, zone),
        delay_s=None if body.dl is None else -body.dl,
    )


def start_time(oday: dt.date | None, start: str | None, ts_s: float, zone: ZoneInfo) -> str | None:
    """GTFS start_time of a journey of operating day `oday` that starts at clock time `start` ("HH:MM").

    A start more than half a day before the fix is one after midnight: 00:32 of the 15th, seen on the 16th, is 24:32:00.
    """
    clock = _START.fullmatch(start) if start is not None else None
    if oday is None or clock is None:
        return None
    hour, minute = int(clock[1]), int(clock[2])
    midnight = dt.datetime.combine(oday, dt.time(), zone).timestamp()
    if hour < 24 and ts_s - midnight - 3600 * hour - 60 * minute > _HALF_DAY_S:
        hour += 24
    return f"{hour:02}:{minute:02}:00"
