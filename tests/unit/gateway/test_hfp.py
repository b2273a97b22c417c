"""HFP v2: its own signs, directions and clock, turned into GTFS's."""

import datetime as dt
import json
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import topics
from gateway.hfp import decode_hfp, start_time
from gateway.position import Position
from gateway.refusal import Reason, Refusal

HELSINKI = ZoneInfo("Europe/Helsinki")
ADDRESS = topics.HfpAddress("vp", "0018", "00423", "2159", "2")
BODY: dict[str, Any] = {
    "desi": "159",
    "dir": "2",
    "oper": 6,
    "veh": 423,
    "tst": "2024-03-05T06:40:28.500Z",
    "spd": 21.5,
    "hdg": 67,
    "lat": 60.15,
    "long": 24.68,
    "dl": -21,
    "odo": None,
    "oday": "2024-03-05",
    "start": "08:32",
    "route": "2159",
}


def decode(**changed: object) -> Position | Refusal:
    return decode_hfp(ADDRESS, json.dumps({"VP": BODY | changed}).encode(), HELSINKI)


def test_a_vehicle_position_in_gtfs_words() -> None:
    fix = decode()
    assert isinstance(fix, Position)
    assert fix.ts == dt.datetime(2024, 3, 5, 6, 40, 28, 500_000, dt.UTC).timestamp()
    assert (fix.lat, fix.lon, fix.speed_mps, fix.bearing_deg) == (60.15, 24.68, 21.5, 67.0)
    assert (fix.route_id, fix.direction_id, fix.start_date, fix.start_time) == ("2159", 1, "20240305", "08:32:00")


def test_late_is_positive_for_us_and_negative_for_hfp() -> None:
    late, early = decode(dl=-21), decode(dl=179)
    assert isinstance(late, Position)
    assert isinstance(early, Position)
    assert (late.delay_s, early.delay_s) == (21.0, -179.0)


@pytest.mark.parametrize(("hfp", "gtfs"), [("1", 0), ("2", 1), ("3", None), ("", 1)])
def test_directions_count_from_nought(hfp: str, gtfs: int | None) -> None:
    fix = decode(dir=hfp)
    assert isinstance(fix, Position)
    assert fix.direction_id == gtfs  # "" falls back on the topic's


@pytest.mark.parametrize(
    ("start", "seen", "expected"),
    [
        ("08:32", "2024-03-05T08:40", "08:32:00"),
        ("23:50", "2024-03-06T00:20", "23:50:00"),
        ("00:32", "2024-03-06T00:40", "24:32:00"),
        ("04:10", "2024-03-06T04:10", "28:10:00"),
        ("00:32", "2024-03-05T00:33", "00:32:00"),
        ("00:32", "2024-03-05T23:59", "24:32:00"),  # long before its start, but longer after the other one
        ("25:10", "2024-03-06T01:15", "25:10:00"),
        ("8:32", "2024-03-05T08:40", None),
        ("", "2024-03-05T08:40", None),
    ],
)
def test_a_start_after_midnight_belongs_to_the_day_before(start: str, seen: str, expected: str | None) -> None:
    ts_s = dt.datetime.fromisoformat(seen).replace(tzinfo=HELSINKI).timestamp()
    assert start_time(dt.date(2024, 3, 5), start, ts_s, HELSINKI) == expected


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"lat": None}, Reason.NO_PLACE),
        ({"lat": 0, "long": 0}, Reason.NO_PLACE),
        ({"lat": 99}, Reason.OUT_OF_RANGE),
        ({"tst": "2024-03-05T06:40:28"}, Reason.OUT_OF_RANGE),
        ({"tst": "yesterday"}, Reason.WRONG_TYPE),
        ({"tst": None}, Reason.WRONG_TYPE),
        ({"oday": "2024-13-05"}, Reason.WRONG_TYPE),
    ],
)
def test_what_cannot_be_used_is_refused(changed: dict[str, object], reason: Reason) -> None:
    refusal = decode(**changed)
    assert isinstance(refusal, Refusal)
    assert refusal.reason is reason


@pytest.mark.parametrize("payload", [b"", b"{}", b"[]", b"\xff", b'{"VP": {}}', b'{"VP": 1}', b'{"VP":' * 1000])
def test_garbage_is_refused(payload: bytes) -> None:
    assert isinstance(decode_hfp(ADDRESS, payload, HELSINKI), Refusal)


def test_one_message_tells_of_one_event() -> None:
    refusal = decode_hfp(ADDRESS, json.dumps({"VP": BODY, "DUE": BODY}).encode(), HELSINKI)
    assert isinstance(refusal, Refusal)
    assert refusal.reason is Reason.NOT_ONE_VEHICLE


@given(st.binary(max_size=200), st.dates(), st.text(max_size=6))
def test_nothing_raises(data: bytes, oday: dt.date, start: str) -> None:
    decode_hfp(ADDRESS, data, HELSINKI)
    decode(oday=oday.isoformat(), start=start, tst="0001-01-01T00:00:00Z")
    decode(oday=oday.isoformat(), start=start, tst="9999-12-31T23:59:59Z")


def test_recorded_messages_are_read(shared: Path) -> None:
    lines = (shared / "data/hfp/hfp_samples.jsonl").read_text().splitlines()
    for line in lines:
        message = json.loads(line)
        address = topics.parse_hfp(message["topic"])
        assert address is not None
        body = message["payload"]["VP"]
        fix = decode_hfp(address, json.dumps(message["payload"]).encode(), HELSINKI)
        assert isinstance(fix, Position)
        assert int(fix.ts) == body["tsi"]
        assert (fix.lat, fix.lon, fix.delay_s) == (body["lat"], body["long"], -body["dl"])
        assert fix.direction_id == int(body["dir"]) - 1
        assert fix.start_time == body["start"] + ":00"
