"""Feeds change: a new version is read beside the one in use, and at its time every part goes over to it.

A version that cannot be used is refused whole, with file and line, and the one in use stays. Which version is in use is
kept in the data folder, so that a restart goes on with it, until the settings name another feed.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime as dt
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
import structlog

from deploy.config import Settings
from deploy.errors import UserError
from deploy.feed_fares import keep_next_fares, use_next_fares
from deploy.feed_switch import SwitchOrder, SwitchReply, load_ordered
from deploy.instance import Instance
from deploy.links import FEED_SWITCH, FEED_SWITCHED, LinkError, Links
from deploy.private_files import read_json, write_private
from deploy.problems import Problem
from dispatch.network import Network
from dispatch.network_file import NetworkFileError, load_network

AHEAD_S_MAX = 92 * 86_400.0
LOOK_S = 1.0  # the wall clock may step: the time left is looked at again so often
RUNS_WITHIN_DAYS = 14
SHARE_MIN = 0.25  # of the trips in use; a feed with fewer is a mistake until somebody says otherwise
SWITCH_S_MAX = 30.0

log = structlog.get_logger("feeds")


class FeedInUse(msgspec.Struct, frozen=True):
    """Which version of the feed is in use instead of the one that was configured at first."""

    configured: str
    source: str
    feed_version: str
    since: float
    by: str


class NextFeed(msgspec.Struct, frozen=True):
    """A version that is ready and waits for its time."""

    source: str
    feed_version: str
    at: float
    by: str
    routes: int
    trips: int
    trips_kept: int
    """Trips of the version in use that this one has as well."""


class RefusedFeed(msgspec.Struct, frozen=True):
    """The last version that could not be used, and why."""

    source: str
    at: float
    by: str
    reason: str


class FeedStatus(msgspec.Struct, frozen=True):
    """GET /api/v1/feed."""

    feed_version: str
    source: str
    since: float | None
    routes: int
    trips: int
    next: NextFeed | None
    refused: RefusedFeed | None
    vehicles_kept: int | None
    """How many vehicles kept their trip at the last switch."""


class FeedRequest(msgspec.Struct):
    """POST /api/v1/feed: a zip, a folder or a URL, as the instance's own machine sees it; at: Unix seconds, or now."""

    source: str
    at: float | None = None
    force: bool = False


def network_in_use(settings: Settings, instance: Instance) -> Network | None:
    """The network that was switched to before a restart; None where the settings' own feed is in use."""
    chosen = _read_record(instance)
    if chosen is None or chosen.configured != settings.feed:
        return None
    try:
        network = load_network(_in_use_path(instance))
    except (FileNotFoundError, NetworkFileError) as error:
        log.warning("feed_in_use_not_read", source=chosen.source, error=str(error))
        return None
    return dataclasses.replace(network, shift_s=settings.timetable_shift_s)


def switched_from(settings: Settings, instance: Instance) -> bool:
    """Whether another feed is in use than the one of the settings."""
    chosen = _read_record(instance)
    return chosen is not None and chosen.configured == settings.feed


class Feeds:
    """The feed in use and the next one: `async with Feeds(...)` switches when the time has come.

    `followers` are called with the network after dispatch has gone over to it.
    """

    def __init__(self, settings: Settings, instance: Instance, links: Links, network: Network) -> None:
        self.network = network
        self.followers: list[Callable[[Network], None]] = []
        self._settings, self._instance, self._links = settings, instance, links
        self._next: NextFeed | None = None
        self._refused: RefusedFeed | None = None
        self._kept: int | None = None
        self._changed = asyncio.Event()
        self._door = asyncio.Lock()
        self._task: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="feed switch")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def routes(self) -> list[tuple[Any, ...]]:
        """The operations."""
        return [
            ("GET", "/api/v1/feed", "public", self.show),
            ("POST", "/api/v1/feed", "feed:change", self.offer),
            ("DELETE", "/api/v1/feed/next", "feed:change", self.withdraw),
        ]

    async def show(self) -> FeedStatus:
        """Show which version of the feed is in use, which one comes next, and the last one that was refused."""
        record = _read_record(self._instance)
        in_use = record if record is not None and record.configured == self._settings.feed else None
        return FeedStatus(
            self.network.feed_version,
            Path(in_use.source if in_use else self._settings.feed or "").name,
            in_use.since if in_use else None,
            len(self.network.route_id),
            len(self.network.trip_id),
            self._next,
            self._refused,
            self._kept,
        )

    async def offer(self, body: FeedRequest, *, subject: str) -> FeedStatus:
        """Read a version of the feed beside the one in use, and switch to it at its time; now, where none is given.

        One that cannot be used is refused whole with file and line, and nothing changes.
        """
        now_s = time.time()
        at_s = body.at if body.at is not None else now_s
        if not now_s - 60 <= at_s <= now_s + AHEAD_S_MAX:
            raise Problem(422, f"at: is not within the next {AHEAD_S_MAX / 86_400:.0f} days; leave it out for: now")
        async with self._door:
            try:
                network = await self._read(body.source)
                self._check(network, max(at_s, now_s), body.force)
                await asyncio.to_thread(keep_next_fares, body.source, self._settings, self._instance)
                await asyncio.to_thread(self._put_beside, network)
            except (UserError, OSError) as error:
                self._refused = RefusedFeed(body.source, now_s, subject, str(error))
                log.warning("feed_refused", source=body.source, by=subject, reason=str(error))
                raise Problem(422, f"{error}. The feed in use stays as it is.") from None
            kept = len(set(self.network.trip_id) & set(network.trip_id))
            self._next = NextFeed(
                body.source, network.feed_version, at_s, subject, len(network.route_id), len(network.trip_id), kept
            )
            log.info("feed_next", source=body.source, feed_version=network.feed_version, at=at_s, by=subject)
            if at_s <= now_s:
                await self._switch(self._next)
            else:
                self._changed.set()
        return await self.show()

    async def withdraw(self, *, subject: str) -> FeedStatus:
        """Take back the version that waits for its time."""
        async with self._door:
            if self._next is None:
                raise Problem(404, "No version of the feed is waiting for its time.")
            log.info("feed_withdrawn", source=self._next.source, by=subject)
            self._next = None
            self._changed.set()
        return await self.show()

    async def _read(self, source: str) -> Network:
        from deploy.wiring import read_feed_network

        return await read_feed_network(source, self._settings, self._instance)

    def _check(self, network: Network, at_s: float, force: bool) -> None:
        """Refuse a version that would empty the road.

        Raises:
            UserError: says what is wrong with it.
        """
        from dispatch.timetable import runs_on, service_date

        if network.timezone != self.network.timezone:
            raise UserError(
                f"its time zone is {network.timezone}, here it is {self.network.timezone}: is it another city's feed?"
            )
        day = service_date(network, at_s)
        days = [day + dt.timedelta(days=n) for n in range(RUNS_WITHIN_DAYS)]
        trips = max(len(runs_on(network, date).trip) for date in days)
        now = max(len(runs_on(self.network, date).trip) for date in days)
        if not trips:
            raise UserError(f"nothing runs in it in the {RUNS_WITHIN_DAYS} days from {day}: is it an old one?")
        if trips < SHARE_MIN * now and not force:
            raise UserError(
                f"it runs {trips} trips on its busiest day, the feed in use {now}: is it a part only? "
                'If it is meant: --force, or "force": true'
            )

    def _put_beside(self, network: Network) -> None:
        from dispatch.network_file import save_network

        save_network(network, _next_path(self._instance))

    async def _run(self) -> None:
        while True:
            self._changed.clear()
            waiting = self._next
            if waiting is None:
                await self._changed.wait()
                continue
            left_s = waiting.at - time.time()
            if left_s > 0:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(left_s, LOOK_S)):
                        await self._changed.wait()
                continue
            async with self._door:
                if self._next is waiting:
                    with contextlib.suppress(Problem):  # it stands in the status, and in the log
                        await self._switch(waiting)

    async def _switch(self, chosen: NextFeed) -> None:
        """Go over to the version that is ready: dispatch first, which may refuse, then everything else."""
        self._next = None
        path = _next_path(self._instance)
        order = msgspec.msgpack.encode(SwitchOrder(str(path)))
        try:
            answer = await self._links.ask(FEED_SWITCH, order, SWITCH_S_MAX)
            reply = msgspec.msgpack.decode(answer, type=SwitchReply)
        except LinkError as error:
            reply = SwitchReply(refused=f"dispatch did not take it over ({error}); try again")
        if reply.refused is not None:
            self._refused = RefusedFeed(chosen.source, time.time(), chosen.by, reply.refused)
            log.error("feed_not_switched", source=chosen.source, reason=reply.refused)
            raise Problem(422, f"{reply.refused}. The feed in use stays as it is.")
        network = load_ordered(str(path), self._settings.timetable_shift_s)
        record = FeedInUse(self._settings.feed or "", chosen.source, network.feed_version, time.time(), chosen.by)
        path.replace(_in_use_path(self._instance))
        use_next_fares(self._instance)
        write_private(_record_path(self._instance), msgspec.json.encode(record))
        self.network, self._kept, self._refused = network, reply.kept, None
        for follow in self.followers:
            follow(network)
        await self._links.send(FEED_SWITCHED, msgspec.msgpack.encode(SwitchOrder(str(_in_use_path(self._instance)))))
        log.info("feed_switched", feed_version=network.feed_version, vehicles_kept=reply.kept, by=chosen.by)


def _read_record(instance: Instance) -> FeedInUse | None:
    path = _record_path(instance)
    return read_json(path, FeedInUse) if path.exists() else None


def _record_path(instance: Instance) -> Path:
    return instance.folder / "feed.json"


def _in_use_path(instance: Instance) -> Path:
    return instance.network_dir / "in-use.network"


def _next_path(instance: Instance) -> Path:
    return instance.network_dir / "next.network"
