"""A tiny city with a real engine behind a real web server, for tests that ask over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import io
import time
import zipfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from prometheus_client import CollectorRegistry

from deploy.auth import BearerGate, Claims, Tokens
from deploy.sessions import Access, Sessions
from deploy.status import InstanceInfo, StatusApi
from deploy.users import Users
from deploy.web import WebServer, WebSettings
from dispatch.alerts import Alert
from dispatch.api import DispatchApi
from dispatch.board import Board
from dispatch.engine import Engine
from dispatch.feed import read_feed
from dispatch.network import Network
from dispatch.observations import Observations
from dispatch.orders import Assignment, Cancellation
from dispatch.schemas import CancelRequest, Instruction, MeasuresReply
from dispatch.service import DispatchService
from dispatch.stream import StreamSettings
from dispatch.timetable import move_to

DATE = dt.date(2026, 7, 13)
AT_S = 8 * 3600.0 + 480  # eight minutes past eight: trip t1 is 8 minutes under way, t2 3 minutes

_STOPS = [("s1", "One", 30.500), ("s2", "Two", 30.514), ("s3", "Three", 30.528), ("s4", "Four", 30.542)]


def _times(trip: str, start_min: int) -> str:
    rows = []
    for nth, (stop, _, _) in enumerate(_STOPS):
        clock = f"08:{start_min + 5 * nth:02}:00"
        rows.append(f"{trip},{clock},{clock},{stop},{nth + 1}\n")
    return "".join(rows)


FEED = {
    "agency.txt": "agency_id,agency_name,agency_url,agency_timezone\na,City,https://www.example.org,Europe/Kyiv\n",
    "routes.txt": "route_id,agency_id,route_short_name,route_long_name,route_type,route_color\nr1,a,1,First,3,aa0000\n",
    "stops.txt": "stop_id,stop_name,stop_lat,stop_lon\n"
    + "".join(f"{stop},{name},50.45,{lon}\n" for stop, name, lon in _STOPS),
    "calendar.txt": (
        "service_id,monday,tuesday,wednesday,thursday,friday,saturday,sunday,start_date,end_date\n"
        "w,1,1,1,1,1,0,0,20260701,20260731\n"
    ),
    "trips.txt": (
        "route_id,service_id,trip_id,trip_headsign,direction_id,shape_id,block_id\n"
        + "".join(f"r1,w,t{n},East,0,p,b{n}\n" for n in (1, 2, 3))
    ),
    "stop_times.txt": "trip_id,arrival_time,departure_time,stop_id,stop_sequence\n"
    + "".join(_times(f"t{n}", 5 * (n - 1)) for n in (1, 2, 3)),
    "shapes.txt": "shape_id,shape_pt_lat,shape_pt_lon,shape_pt_sequence\n"
    + "".join(f"p,50.45,{lon},{nth}\n" for nth, (_, _, lon) in enumerate(_STOPS, 1)),
}


def feed_zip() -> bytes:
    """The city as a GTFS zip."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in FEED.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def network_now(now_s: float) -> Network:
    """The city's network with its timetable moved to 08:08 at `now_s`."""
    return move_to(read_feed(feed_zip()).network, DATE, AT_S, now_s)


def fixes(vehicles: dict[str, tuple[str, float]], ts_s: float) -> Observations:
    """One fix for each vehicle: "<operator>/<vehicle>" -> trip and longitude."""
    count = len(vehicles)
    unknown = np.full(count, np.nan)
    return Observations(
        vehicle_key=list(vehicles),
        ts_s=np.full(count, ts_s),
        received_s=np.full(count, ts_s),
        lat_deg=np.full(count, 50.45),
        lon_deg=np.array([lon for _, lon in vehicles.values()]),
        speed_mps=np.full(count, 8.0),
        bearing_deg=np.full(count, 90.0),
        accuracy_m=unknown,
        odometer_m=unknown,
        descriptor=[(trip, "r1", 0, f"{DATE:%Y%m%d}", None, None) for trip, _ in vehicles.values()],
        occupancy=[None] * count,
    )


def feed_engine(engine: Engine, now_s: float) -> None:
    """Two vehicles on their way, the follower close behind its leader, a driver's alarm, and another's vehicle."""
    for back_s in (90, 60, 30, 2):
        along = 0.0056 * (90 - back_s) / 120  # degrees of longitude since the first fix
        engine.ingest(
            fixes({"kp/101": ("t1", 30.5200 + along), "kp/102": ("t2", 30.5150 + along)}, now_s - back_s),
        )
        engine.tick(now_s - back_s)
    engine.ingest(fixes({"other/101": ("t3", 30.5005)}, now_s - 1))
    engine.event({"vehicle_key": "kp/102", "ts_s": now_s - 1, "event": "alarm"})


@dataclass
class LocalDesk:
    """The desk of one process: the service beside it, and instructions kept for the test to read."""

    service: DispatchService
    sent: list[Instruction] = field(default_factory=list)

    async def acknowledge(self, alert_id: str, by: str) -> Alert | None:
        return await self.service.acknowledge(alert_id, by)

    async def shelve(self, alert_id: str, by: str, minutes: float) -> Alert | None:
        return await self.service.shelve(alert_id, by, minutes)

    async def close_alert(self, alert_id: str, by: str, reason: str) -> Alert | None:
        return await self.service.close_alert(alert_id, by, reason)

    async def assign(self, vehicle_key: str, trip_id: str | None, start_date: str | None, by: str) -> Assignment | str:
        return await self.service.assign(vehicle_key, trip_id, start_date, by)

    async def cancel(self, trip_id: str, order: CancelRequest, by: str) -> Cancellation | str:
        return await self.service.cancel(trip_id, order, by)

    async def restore(self, trip_id: str, order: CancelRequest) -> Cancellation | str:
        return await self.service.restore(trip_id, order)

    async def measures(self, from_s: float, to_s: float, route_id: str | None) -> MeasuresReply:
        return await self.service.measures(from_s, to_s, route_id)

    async def instruct(self, instruction: Instruction) -> None:
        self.sent.append(instruction)


@dataclass
class Running:
    """Everything that a test may want to look at."""

    server: WebServer
    board: Board
    api: DispatchApi
    desk: LocalDesk
    tokens: Tokens
    sessions: Sessions
    registry: CollectorRegistry
    reasons: list[str]

    @property
    def url(self) -> str:
        return self.server.url

    def bearer(self, role: str, subject: str = "test") -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens.issue(role, subject, time.time(), 3600)}"}

    def client(self, **options: Any) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(self.url, timeout=aiohttp.ClientTimeout(20), **options)


@contextlib.asynccontextmanager
async def running_web(
    folder: Path,
    *,
    more: list[Any] | None = None,
    stream: StreamSettings | None = None,
    why_refused: Callable[[Claims], str | None] = lambda _: None,
    **settings: Any,
) -> AsyncIterator[Running]:
    """The whole of dispatch behind the web server, on a port of its own."""
    now_s = time.time()
    network = await asyncio.to_thread(network_now, now_s)
    engine = Engine(network)
    feed_engine(engine, now_s)
    board, registry = Board(), CollectorRegistry()
    tokens = Tokens(Ed25519PrivateKey.generate(), "takt:test")
    users = Users(folder / "users.json")
    sessions = Sessions(users, tokens, time.time)
    reasons: list[str] = []
    info = InstanceInfo("Takt", "0", network.feed_version, network.timezone, True, str(DATE), network.shift_s, "UAH")
    async with DispatchService(engine, board.publish) as service:
        desk = LocalDesk(service)
        api = DispatchApi(board, network, desk, stream=stream or StreamSettings(heartbeat_s=0.2))
        status = StatusApi([lambda: reasons, lambda: board.reasons(time.time())], registry, lambda: info)
        options = WebSettings(**{"port": 0, "drain_s_max": 1.0, **settings})
        access = Access(BearerGate(tokens, time.time, why_refused), sessions)
        async with WebServer([status, api, *(more or [])], options, access, registry) as server:
            yield Running(server, board, api, desk, tokens, sessions, registry, reasons)
