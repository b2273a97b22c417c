"""Where vehicles are, from dispatch's snapshot to ticketing's question about a tap."""

from __future__ import annotations

import uuid

import msgspec
import pytest

from deploy.whereabouts import LastPlaces, told
from dispatch.engine import Engine
from sql.pool import open_pool
from tests.integration.ticket_city import issuer_keys
from tests.integration.web_running import fixes, network_now
from ticketing.api import TicketingApi
from ticketing.seams import Seams
from ticketing.service import Ticketing
from ticketing.tariff import parse_tariff
from ticketing.verdict import Offline, Tap

NOW_S = 1_771_257_600.0


def tap(vehicle: str | None, at_s: float, *, offline: bool = False) -> Tap:
    decided = Offline("accepted") if offline else None
    received_s = NOW_S if offline else at_s
    told_by = ("bus", f"v-{vehicle}", received_s)
    return Tap(str(uuid.uuid4()), "a", 1, at_s, "card", "", None, vehicle, None, None, None, decided, *told_by)


@pytest.fixture
def message() -> bytes:
    """Vehicle 1 on a trip of line r1, vehicle 2 on none."""
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
    assert (two.route_id, two.direction_id, two.stop_id) == (None, None, None)
    unknown = [tap(None, NOW_S), tap("3", NOW_S), tap("1", NOW_S + 90), tap("1", NOW_S - 3600, offline=True)]
    assert await places.places(unknown) == [None] * 4


@pytest.mark.parametrize(
    ("lon", "stop"),
    [(30.5, "s1"), (30.5125, "s1"), (30.5135, "s2"), (30.515, "s2"), (30.53, "s3")],  # s2 lies at 30.514
)
async def test_who_taps_boards_at_the_stop_reached_last_or_just_ahead(lon: float, stop: str) -> None:
    engine = Engine(network_now(NOW_S))
    engine.ingest(fixes({"bus/1": ("t1", lon)}, NOW_S))
    places = LastPlaces()
    places.take(told(engine.tick(NOW_S)))
    (place,) = await places.places([tap("1", NOW_S)])
    assert place is not None
    assert place.stop_id == stop


async def test_nobody_knows_before_dispatch_has_spoken_and_after_it_spoke_nonsense() -> None:
    places = LastPlaces()
    for spoiled in (b"", b"\xc1", b"\x93\x01\x02\x03"):
        with pytest.raises(msgspec.DecodeError):
            places.take(spoiled)
    assert await places.places([tap("1", NOW_S)]) == [None]


TWO_NETWORKS = """
version = 1
currency = "UAH"
timezone = "Europe/Kyiv"
service_day_starts = "04:00"
purse = { fare_minor = 800 }

[[network]]
id = "night"
routes = ["n1"]

[[network]]
id = "day"
routes = ["r1"]

[[product]]
id = "night-only"
name = { uk = "Нічний", en = "Night" }
price_minor = 1600
valid = { hours = 24 }
networks = ["night"]
rides = 3
"""


async def test_a_ticket_of_another_network_is_refused_on_the_line_where_the_vehicle_really_is(
    database: str, message: bytes
) -> None:
    places = LastPlaces()
    places.take(message)
    pool = await open_pool(database)
    try:
        tariff = parse_tariff(TWO_NETWORKS, "tariff.toml")
        async with Ticketing(
            pool, issuer_keys(), tariff, seams=Seams(whereabouts=places), clock=lambda: NOW_S
        ) as service:
            ticket = await TicketingApi(service).desk.sell("night-only", subject="desk1")

            async def verdict(vehicle: str | None, seq: int) -> str:
                at = tap(vehicle, NOW_S + seq)
                (answer,) = await service.validate(
                    [msgspec.structs.replace(at, medium="qr", token=ticket.token, seq=seq)]
                )
                return answer.verdict.value

            assert await verdict("1", 1) == "wrong_service"
            assert await verdict("2", 2) == "accepted"  # it is on no trip: nobody knows its line
            assert await verdict(None, 3) == "accepted"
        rows = await pool.fetch("SELECT route_id, direction_id, verdict::text FROM tap ORDER BY seq")
        assert [tuple(row) for row in rows][:2] == [("r1", 0, "wrong_service"), (None, None, "accepted")]
        stops = [row["stop_id"] for row in await pool.fetch("SELECT stop_id FROM tap ORDER BY seq")]
        assert stops == ["s1", None, None]  # the vehicle's, where the validator says none
    finally:
        pool.terminate()
