"""A position in JSON: what it needs, what is refused and why, and what is only left out."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.position import OCCUPANCIES, Position, decode_position
from gateway.refusal import Reason, Refusal

FIX = {"ts": 1771257482.0, "lat": 50.4501, "lon": 30.5234}


def encode(value: object) -> bytes:
    return json.dumps(value).encode()


def test_a_position_needs_only_time_and_place() -> None:
    assert decode_position(encode(FIX)) == Position(1771257482.0, 50.4501, 30.5234)


def test_unknown_fields_are_ignored_and_of_doubled_keys_the_last_counts() -> None:
    payload = b'{"ts": 1, "lat": 1, "lon": 2, "lat": 3, "firmware": {"major": 7}}'
    assert decode_position(payload) == Position(1.0, 3.0, 2.0)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"lat": 0, "lon": 0}, Reason.NO_PLACE),
        ({"lat": 90.1}, Reason.OUT_OF_RANGE),
        ({"lon": -181}, Reason.OUT_OF_RANGE),
        ({"ts": 10**400}, Reason.OUT_OF_RANGE),
        ({"ts": 1e300}, Reason.OUT_OF_RANGE),
        ({"direction_id": 10**400}, Reason.OUT_OF_RANGE),
        ({"trip_id": "x" * 129}, Reason.OUT_OF_RANGE),
        ({"ts": "1771257482"}, Reason.WRONG_TYPE),
        ({"ts": None}, Reason.WRONG_TYPE),
        ({"ts": True}, Reason.WRONG_TYPE),
        ({"trip_id": 7}, Reason.WRONG_TYPE),
    ],
)
def test_a_position_out_of_bounds_is_refused(changed: dict[str, object], reason: Reason) -> None:
    refusal = decode_position(encode(FIX | changed))
    assert isinstance(refusal, Refusal)
    assert refusal.reason is reason


@pytest.mark.parametrize("missing", FIX)
def test_a_position_without_time_or_place_names_what_is_missing(missing: str) -> None:
    refusal = decode_position(encode({name: value for name, value in FIX.items() if name != missing}))
    assert isinstance(refusal, Refusal)
    assert refusal.reason is Reason.MISSING_FIELD
    assert missing in refusal.detail


def test_text_that_is_not_utf8_is_refused() -> None:
    refusal = decode_position(b'{"ts": 1, "lat": 1, "lon": 2, "trip_id": "\xff"}')
    assert refusal == Refusal(Reason.INVALID_UTF8)


positions = st.builds(
    Position,
    ts=st.floats(-1e9, 4e9),
    lat=st.floats(0.1, 90),
    lon=st.floats(-180, 180),
    speed_mps=st.none() | st.floats(0, 50),
    trip_id=st.none() | st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1),
    direction_id=st.none() | st.integers(0, 1),
)


@given(positions)
def test_a_position_comes_back_as_it_was_sent(position: Position) -> None:
    payload = msgspec.json.encode(position)
    if len(position.trip_id or "") <= 128:
        assert decode_position(payload) == position


@pytest.mark.parametrize("word", ["NOPE", "full", "7", "FULL "])
def test_an_occupancy_that_is_none_is_not_told(word: str) -> None:
    fix = decode_position(encode(FIX | {"occupancy": word}))
    assert isinstance(fix, Position)
    assert fix.occupancy is None


def test_the_occupancies_are_those_of_gtfs_realtime() -> None:
    from google.transit import gtfs_realtime_pb2

    assert set(gtfs_realtime_pb2.VehiclePosition.OccupancyStatus.keys()) == OCCUPANCIES
