"""Two dispatch processes that hear the same city over a backbone each: what the one says, the other must say."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
import os
import random
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from deploy import mapping
from deploy.embedded_broker import BrokerSettings, embedded_broker
from deploy.instance import Instance
from deploy.links import EVENTS, FIXES, PUBLICATION, Links, linked
from deploy.remote_control import RemoteControl
from deploy.remote_desk import RemoteDesk
from deploy.retold import Lately
from dispatch.board import Publication
from dispatch.ground import fingerprint
from dispatch.network import Network
from dispatch.state import State
from dispatch.state_file import from_bytes
from dispatch.timetable import point_at, running_at, scheduled_place
from gateway.batch import FixBatch
from tests.acceptance.product import clean_environment

DAY = dt.date(2026, 11, 16)
PUBLISHED = msgspec.msgpack.Decoder(Publication)


class City:
    """Vehicles on the runs that are under way, each with a delay of its own; every fourth does not say its trip.

    `now_s` is when it begins, where that is not now; of a `silent` city nobody says a trip.
    """

    def __init__(
        self, network: Network, vehicles: int, seed: int, now_s: float | None = None, *, silent: bool = False
    ) -> None:
        self.network, self.silent = network, silent
        now_s = time.time() if now_s is None else now_s
        runs = running_at(network, now_s + 120.0)
        begun = np.flatnonzero(runs.start_s < now_s)
        self.rows = random.Random(seed).sample(begun.tolist(), min(vehicles, len(begun)))
        self.runs = runs
        self.late_s = np.array([random.Random(seed + i).uniform(0, 90) for i in range(len(self.rows))])
        self.noise = np.random.default_rng(seed)

    def batch(self, now_s: float) -> FixBatch:
        """A fix of each vehicle whose turn it is: half of them every second."""
        turn = [i for i in range(len(self.rows)) if (i + int(now_s)) % 2]
        at = np.array([self.rows[i] for i in turn])
        trip = self.runs.trip[at]
        zero_s = self.runs.day_start_s[self.runs.day[at]] + self.runs.offset_s[at]
        place_m = scheduled_place(self.network, trip, now_s - zero_s - self.late_s[turn])
        x_m, y_m = point_at(self.network, self.network.pattern_path[self.network.trip_pattern[trip]], place_m)
        lat_deg, lon_deg = self.network.unproject(x_m, y_m + self.noise.normal(0.0, 2.0, len(at)))
        size = len(at)
        unknown, now = np.full(size, np.nan), np.full(size, now_s)
        ids = [self.network.trip_id[i] for i in trip.tolist()]
        claims = [
            (name, None, None, None, None, None) if i % 4 and not self.silent else None
            for i, name in zip(turn, ids, strict=True)
        ]
        keys = [f"town/{i}" for i in turn]
        columns = (now, now, lat_deg, lon_deg, unknown, unknown, unknown, unknown)
        return FixBatch(keys, **dict(zip(mapping.COLUMNS, columns, strict=True)), **_said(claims))


def _said(claims: list[Any]) -> dict[str, Any]:
    return {"descriptor": claims, "occupancy": [None] * len(claims)}


@dataclass
class Twin:
    """One dispatch process, its backbone, and what it has said."""

    folder: Path
    links: Links
    config: Path
    lately: Lately = field(default_factory=Lately)
    said: list[Publication] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    process: asyncio.subprocess.Process | None = None

    @property
    def desk(self) -> RemoteDesk:
        return RemoteDesk(self.links, lambda _key, _down: True)

    @property
    def control(self) -> RemoteControl:
        return RemoteControl(self.links)

    async def start(self) -> None:
        """Begin the process; what it has said is heard as it comes."""
        log = (self.folder / "out.log").open("ab")
        words = ("-m", "deploy", "run", "dispatch", "--config", str(self.config))
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, *words, stdout=log, stderr=log, env=clean_environment()
        )
        log.close()

    async def listen(self) -> None:
        def hear(data: bytes) -> None:
            self.said.append(PUBLISHED.decode(data))
            self.news.set()

        await self.links.receive(PUBLICATION, hear)
        await self.lately.serve(self.links)

    async def tell(self, subject: str, data: bytes) -> None:
        """As the gateway does it: remembered, and sent."""
        self.lately.note(subject, data)
        await self.links.send(subject, data)

    async def until(self, holds: Callable[[Twin], Any], what: str) -> None:
        """Wait for something to be heard."""
        try:
            async with asyncio.timeout(60):
                while not holds(self):
                    assert self.process is None or self.process.returncode is None, self.log()
                    self.news.clear()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self.news.wait(), 1.0)
        except TimeoutError:
            raise AssertionError(f"{what}: not seen\n{self.log()}") from None

    async def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        await self.process.wait()

    async def stop(self) -> None:
        """End it in order; its state is in its folder then."""
        if self.process is not None and self.process.returncode is None:
            self.process.terminate()
            await asyncio.wait_for(self.process.wait(), 30)

    def state(self, network: Network) -> State:
        """What it wrote down at the end."""
        return from_bytes((self.folder / "data" / "dispatch-state.bin").read_bytes(), fingerprint(network), time.time())

    def log(self) -> str:
        found = [self.folder / "out.log", *(self.folder / "data" / "logs").glob("dispatch.*")]
        return "\n".join(path.read_text(errors="replace")[-3000:] for path in found if path.exists())


@contextlib.asynccontextmanager
async def twin(folder: Path, feed: Path, shift_s: float) -> AsyncIterator[Twin]:
    """A backbone with one dispatch on it."""
    instance = Instance.open(folder / "backbone")
    with instance.locked():
        async with embedded_broker(instance, BrokerSettings(mqtt_port=0)) as broker:
            credentials = f"nats://{broker.user}:{broker.password}@{broker.nats_url.removeprefix('nats://')}"
            config = folder / "dispatch.json"
            settings = {"feed": str(feed), "data_dir": str(folder / "data"), "timetable_shift_s": shift_s}
            config.write_text(json.dumps({**settings, "nats_url": credentials}))
            config.chmod(0o600)
            async with linked(broker.nats_url, broker.user, broker.password, "twins") as links:
                one = Twin(folder, links, config)
                await one.listen()
                await one.start()
                try:
                    yield one
                finally:
                    await one.stop()


async def play(city: City, twins: tuple[Twin, ...], over: asyncio.Event) -> None:
    """Tell both of the city, a batch in the middle of every second, until it is over."""
    while not over.is_set():
        await asyncio.sleep((0.5 - time.time()) % 1.0)
        data = mapping.encode_fixes(city.batch(time.time()))
        for one in twins:
            await one.tell(FIXES, data)


async def happens(event: dict[str, Any], twins: tuple[Twin, ...]) -> None:
    """Tell both of a vehicle's event."""
    for one in twins:
        await one.tell(EVENTS, msgspec.msgpack.encode(event))


def differences(a: Publication, b: Publication) -> list[str]:
    """What two publications of one second say differently of vehicles, headways and alerts."""
    found = []
    shown = ("trip_id", "state", "ts", "distance_m", "next_stop_sequence", "deviation_s", "assigned")
    for part, row_key, names in (
        ("vehicles", "vehicle_id", shown),
        ("headways", "vehicle_id", ("trip_id", "leader_id", "headway_s", "scheduled_headway_s", "estimated")),
        ("alerts", "id", ("kind", "vehicle_id", "state", "acknowledged_by", "shelved_by", "closed_by")),
    ):
        mine, theirs = (
            {_key(part, row, row_key): [row[name] for name in names] for row in json.loads(getattr(one, part))[part]}
            for one in (a, b)
        )
        for key in sorted(mine.keys() | theirs.keys()):
            if not _same(mine.get(key), theirs.get(key)):
                found.append(f"{part} {key}: {mine.get(key)} / {theirs.get(key)}")
    return found


def _key(part: str, row: dict[str, Any], name: str) -> str:
    # An alert's id ends in the second in which it was opened, which may be the next one for the other.
    return row[name].rpartition(".")[0] if part == "alerts" else row[name]


def _same(a: list[Any] | None, b: list[Any] | None) -> bool:
    if a is None or b is None:
        return a is b
    return all(
        abs(x - y) <= 0.11 if isinstance(x, float) and isinstance(y, float) else x == y
        for x, y in zip(a, b, strict=True)
    )


def passages_of(state: State) -> dict[tuple[str, int, float, int], tuple[float, float]]:
    """When each vehicle came to each stop of its runs, and when it left."""
    names = ("vehicle", "trip", "zero_s", "stop", "arrival_s", "departure_s")
    rows = zip(*(state.arrays[f"passages.{name}"].tolist() for name in names), strict=True)
    return {(state.facts.key[v], trip, zero, stop): times for v, trip, zero, stop, *times in rows}  # type: ignore[misc]
