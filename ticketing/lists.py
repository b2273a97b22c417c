"""What validators fetch to decide alone: status lists of tickets and the deny list of media."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from uuid import UUID

import msgspec

from sql import query
from ticketing.books import Books
from ticketing.desk import LIST_SIZE
from ticketing.errors import Problem
from ticketing.keys import IssuerKeys
from ticketing.statuslist import INVALID, SUSPENDED, issue_list_jwt, pack

TTL_S = 15
ENTRIES_MAX = 10_000
_CACHED_MAX = 64
_STATUS = {"revoked": INVALID, "suspended": SUSPENDED}


class DenyEntry(msgspec.Struct, frozen=True):
    """One change of the deny list: a ticket's id, or the SHA-256 (hex) of a card's UID; removed: allowed again."""

    seq: int
    kind: str
    medium: str
    removed: bool
    at: float


class DenyList(msgspec.Struct, frozen=True):
    """The changes after a number, in order; sequence is the number to ask after next."""

    sequence: int
    entries: list[DenyEntry]


class Lists:
    """Lists made from the books, each kept for TTL_S so that a thousand validators cost one query."""

    def __init__(self, books: Books, keys: IssuerKeys, lists_uri: str, clock: Callable[[], float] = time.time) -> None:
        self._books = books
        self._keys = keys
        self._lists_uri = lists_uri
        self._clock = clock
        self._made: dict[int, tuple[float, str]] = {}
        self._lock = asyncio.Lock()

    async def status_list(self, number: int) -> str:
        """The signed status list of a number, at most TTL_S old; Problem 404 where there is none."""
        async with self._lock:
            made_s, text = self._made.get(number, (0.0, ""))
            now_s = self._clock()
            if not 0 <= now_s - made_s < TTL_S:
                text = await self._make(number, int(now_s))
                if len(self._made) >= _CACHED_MAX:
                    self._made.clear()
                self._made[number] = (now_s, text)
            return text

    async def deny_list(self, after: int) -> DenyList:
        """The changes of the deny list after a number, at most ENTRIES_MAX at once."""
        async with self._books.reading() as connection:
            rows = await connection.fetch(query("lists.deny_since"), after, ENTRIES_MAX)
        entries = [
            DenyEntry(row["seq"], row["kind"], _public(row["kind"], row["medium"]), row["removed"], row["at"])
            for row in rows
        ]
        return DenyList(entries[-1].seq if entries else after, entries)

    async def _make(self, number: int, now_s: int) -> str:
        async with self._books.reading() as connection:
            if not 0 < number < 2**31 or not await connection.fetchval(query("tickets.list_exists"), number):
                raise Problem(404, "No such list", f"there is no status list {number}")
            rows = await connection.fetch(query("tickets.statuses_of_list"), number)
        statuses = [(row["status_index"], _STATUS[row["status"]]) for row in rows]
        uri = f"{self._lists_uri}/{number}"
        # A list unfolds to 256 KiB; packing and deflating that is work for a thread.
        return await asyncio.to_thread(
            lambda: issue_list_jwt(pack(statuses, LIST_SIZE), self._keys.signer, uri, now_s, TTL_S)
        )


def _public(kind: str, medium: bytes) -> str:
    """How a medium stands in a public list: a ticket's id says nothing about anyone, a card's UID might."""
    return str(UUID(bytes=medium)) if kind == "ticket" else hashlib.sha256(medium).hexdigest()
