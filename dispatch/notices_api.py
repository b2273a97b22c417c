"""Notices over HTTP: dispatchers write and close them, everybody reads them, and GTFS-Realtime carries them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from typing import Annotated, Any

import msgspec

from dispatch import realtime
from dispatch.errors import Problem
from dispatch.history_read import HistoryAwayError
from dispatch.network import Network
from dispatch.notices import TEMPLATES, Known, Notice, NoticeRequest, Template, is_over, write
from dispatch.notices_store import NoticeStore

OPEN_MAX = 500  # notices that stand at once: more nobody reads
SHOWN_S = 86_400.0  # how long a dispatcher still sees what is over
FRESH_S = 5.0  # another process may have written one: the database is asked again after so long
_WRITE = "notices:write"


class NoticesReply(msgspec.Struct, frozen=True):
    """GET /api/v1/notices: those that stand, or will; for dispatchers also those of the last day."""

    as_of: float
    notices: list[Notice]


class TemplatesReply(msgspec.Struct, frozen=True):
    """GET /api/v1/notices/templates."""

    templates: list[Template]


class NoticesApi:
    """The notices that stand, kept in a store that other processes may write to as well."""

    def __init__(self, store: NoticeStore, network: Network, clock: Callable[[], float]) -> None:
        self._store, self._clock = store, clock
        self._held: dict[str, tuple[int, Notice]] = {}
        self._read_s = -FRESH_S
        self._turn = asyncio.Lock()
        self._feed: tuple[tuple[Any, ...], bytes] = ((), b"")
        self.counters = {"written": 0, "closed": 0, "not_read": 0}
        self.use_network(network)

    def routes(self) -> list[tuple[Any, ...]]:
        """The operations."""
        return [
            ("GET", "/api/v1/notices", "public", self.list_notices),
            ("GET", "/api/v1/notices/templates", "public", self.list_templates),
            ("POST", "/api/v1/notices", _WRITE, self.create, 201),
            ("POST", "/api/v1/notices/{id}/close", _WRITE, self.close),
        ]

    def use_network(self, network: Network) -> None:
        """Take ids of this feed from now on."""
        self._known = Known(frozenset(network.route_id), frozenset(network.stop_id), frozenset(network.trip_id))

    async def list_notices(self, *, permissions: frozenset[str]) -> Annotated[NoticesReply, "no-store"]:
        """List what dispatchers tell passengers, the newest first."""
        await self._refresh()
        now_s, staff = self._clock(), _WRITE in permissions
        rows = [notice for _, notice in self._held.values() if staff or not is_over(notice, now_s)]
        rows.sort(key=lambda notice: (-notice.created_at, notice.id))
        return NoticesReply(now_s, rows if staff else [msgspec.structs.replace(row, created_by=None) for row in rows])

    async def list_templates(self) -> Annotated[TemplatesReply, "public, max-age=300"]:
        """List the templates, each with the values that its texts need."""
        return TemplatesReply(list(TEMPLATES))

    async def create(self, *, body: NoticeRequest, subject: str) -> Notice:
        """Tell passengers something, in both languages, from now on or from a time set."""
        await self._refresh()
        now_s = self._clock()
        made = write(body, self._known, uuid.uuid4().hex, subject, now_s)
        if isinstance(made, list):
            raise Problem(422, "Invalid request", "; ".join(made) + ".")
        if sum(not is_over(notice, now_s) for _, notice in self._held.values()) >= OPEN_MAX:
            raise Problem(409, "Too many", f"{OPEN_MAX} notices stand; close what is over first.")
        await self._write(made, 1, "created", subject)
        self.counters["written"] += 1
        return made

    async def close(self, id: str, *, subject: str) -> Notice:
        """Take a notice back; doing it twice changes nothing."""
        await self._refresh(now=True)
        version, notice = self._held.get(id, (0, None))
        if notice is None:
            raise Problem(404, "No such notice", f"There is no notice {id}; GET /api/v1/notices lists them.")
        if notice.closed_at is not None:
            return notice
        closed = msgspec.structs.replace(notice, closed_at=self._clock())
        if not await self._write(closed, version + 1, "closed", subject):
            await self._refresh(now=True)  # somebody else has just closed it
            return self._held[id][1]
        self.counters["closed"] += 1
        return closed

    async def entities(self) -> bytes:
        """The notices that stand, as entities to be put behind those of a GTFS-Realtime message."""
        await self._refresh()
        now_s = self._clock()
        stand = [notice for _, notice in sorted(self._held.values(), key=_by_id) if not is_over(notice, now_s)]
        key = tuple(notice.id for notice in stand)
        if key != self._feed[0]:
            self._feed = (key, realtime.notice_entities(stand))
        return self._feed[1]

    async def _write(self, notice: Notice, version: int, what: str, by: str) -> bool:
        try:
            written = await self._store.append(notice, version, what, by, self._clock())
        except HistoryAwayError as error:
            raise Problem(503, "Not ready", "The database does not answer; nothing was changed. Try again.") from error
        if written:
            self._held[notice.id] = (version, notice)
        return written

    async def _refresh(self, *, now: bool = False) -> None:
        """Read what others may have written; while the database is away, what is known stands."""
        async with self._turn:
            at_s = self._clock()
            if not now and 0 <= at_s - self._read_s < FRESH_S:
                return
            self._read_s = at_s
            try:
                self._held = await self._store.load(at_s - SHOWN_S)
            except HistoryAwayError:
                self.counters["not_read"] += 1


def _by_id(held: tuple[int, Notice]) -> str:
    return held[1].id
