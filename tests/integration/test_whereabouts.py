"""Where vehicles are, from dispatch's snapshot to ticketing's question about a tap."""

from __future__ import annotations

import uuid

import msgspec
import pytest

from deploy.whereabouts import LastPlaces, told
from dispatch.engine import Engine
from tests.integration.web_running import fixes, network_now
from ticketing.verdict import Offline, Tap

NOW_S = 1_771_257_600.0


def tap(vehicle: str | None, at_s: float, *, offline: bool = False) -> Tap:
    decided = Offline("accepted") if offline else None
    received_s = NOW_S if offline else at_s
    told_by = ("bus", "v1", received_s)
    return Tap(str(uuid.uuid4()), "a", 1, at_s, "card", "", None, vehicle, None, None, None, decided, *told_by)


@pytest.fixture
def message() -> bytes:
    """Vehicle 1 on a trip, vehicle 2 on none."""
    engine = Engine(network_now(NOW_S))
    engine.ingest(fixes({"bus/1": ("t1", 30.505), "bus/2": ("no_such_trip", 30.5)}, NOW_S))
    return told(engine.tick(NOW_S))


async def test_a_tap_is_put_where_its_vehicle_is(message: bytes) -> None:
    places = LastPlaces()
    places.take(message)
    one, two = await places.places([tap("1", NOW_S + 5), tap("2", NOW_S)])
    assert one is not None
    assert two is not None
    assert (one.route_id, one.direction_id) == ("r1", 0)
    assert (one.lat, one.lon) == pytest.approx((50.45, 30.505))
    assert (two.route_id, two.direction_id) == (None, None)
    unknown = [tap(None, NOW_S), tap("3", NOW_S), tap("1", NOW_S + 90), tap("1", NOW_S - 3600, offline=True)]
    assert await places.places(unknown) == [None] * 4


async def test_nobody_knows_before_dispatch_has_spoken_and_after_it_spoke_nonsense() -> None:
    places = LastPlaces()
    for spoiled in (b"", b"\xc1", b"\x93\x01\x02\x03"):
        with pytest.raises(msgspec.DecodeError):
            places.take(spoiled)
    assert await places.places([tap("1", NOW_S)]) == [None]
