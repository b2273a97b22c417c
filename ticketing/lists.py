"""What validators fetch to decide alone: status lists of tickets and the deny list of media."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import msgspec

from sql import query
from ticketing.books import Books
from ticketing.errors import Problem
from ticketing.keys import IssuerKeys
from ticketing.signing import Signer
from ticketing.status_places import LIST_SIZE
from ticketing.statuslist import INVALID, SUSPENDED, StatusList, issue_list_cwt, issue_list_jwt, pack

TTL_S = 15
LIFE_S = 3600
"""How long a list that could not be fetched again stays of use."""
ENTRIES_MAX = 10_000
_CACHED_MAX = 64
ANNOUNCED_MAX = 64
VERSION_DIGITS = 16
_STATUS = {"revoked": INVALID, "suspended": SUSPENDED}


class DenyEntry(msgspec.Struct, frozen=True):
    """One change of the deny list: a ticket's id, or the SHA-256 (hex) of a card's UID or a bank card's token.

    removed: allowed again.
    """

    seq: int
    kind: str
    medium: str
    removed: bool
    at: float


class DenyList(msgspec.Struct, frozen=True):
    """The changes after a number, in order; sequence is the number to ask after next."""

    sequence: int
    entries: list[DenyEntry]


@dataclass(slots=True)
class _Made:
    """A status list as it was signed; checked_s is when the books were last asked whether it is still right."""

    array: bytes
    kid: bytes
    issued_s: float
    checked_s: float
    jwt: str
    cwt: bytes


class Lists:
    """Lists made from the books, each checked every TTL_S at most, so that a thousand validators cost one query.

    A list is signed anew when something in it changed, or when a quarter of its life is over: until then it is the same
    to the byte, and whoever has it is told so by its ETag.
    """

    def __init__(self, books: Books, keys: IssuerKeys, lists_uri: str, clock: Callable[[], float] = time.time) -> None:
        self._books = books
        self._keys = keys
        self._lists_uri = lists_uri
        self._clock = clock
        self._made: dict[int, _Made] = {}
        self._deny_asked_s: float | None = None
        self._deny_sequence = 0
        self._lock = asyncio.Lock()
        self.products: Callable[[], bytes] | None = None  # as validators fetch them; they are told when these change

    def gauges(self) -> dict[str, float]:
        """Ages in seconds of what validators fetch: since the books were asked; and the deny list's last number."""
        now_s = self._clock()
        oldest_s = min((made.checked_s for made in self._made.values()), default=None)
        return {
            "status_lists": len(self._made),
            "status_list_age_seconds": 0.0 if oldest_s is None else now_s - oldest_s,
            "deny_list_age_seconds": 0.0 if self._deny_asked_s is None else now_s - self._deny_asked_s,
            "deny_list_sequence": self._deny_sequence,
        }

    async def status_list(self, number: int) -> str:
        """The signed status list of a number as JWT, at most TTL_S behind; Problem 404 where there is none."""
        return (await self._list(number)).jwt

    async def status_list_cwt(self, number: int) -> bytes:
        """The same list as CWT."""
        return (await self._list(number)).cwt

    async def _list(self, number: int) -> _Made:
        async with self._lock:
            made = self._made.get(number)
            now_s = self._clock()
            if made is None or not 0 <= now_s - made.checked_s < TTL_S:
                made = await self._make(number, now_s, made)
                if len(self._made) >= _CACHED_MAX:
                    self._made.clear()
                self._made[number] = made
            return made

    async def versions(self) -> dict[str, Any]:
        """What validators are told of all lists: versions, which change whenever the content does, and addresses."""
        keys = hashlib.sha256(b"".join(sorted(key.kid for key in self._keys.key_set.keys))).hexdigest()
        async with self._books.reading() as connection:
            denied = await connection.fetchval(query("lists.deny_last"))
        statuses = []
        for number in range(1, ANNOUNCED_MAX + 1):
            try:
                made = await self._list(number)
            except Problem as problem:
                if problem.status == 404:
                    break
                raise
            version = hashlib.sha256(made.array).hexdigest()[:VERSION_DIGITS]
            statuses.append({"id": number, "version": version, "uri": f"{self._lists_uri}/{number}"})
        base = self._lists_uri.rpartition("/")[0]
        products = hashlib.sha256(self.products()).hexdigest() if self.products is not None else ""
        return {
            "products": {"version": products[:VERSION_DIGITS], "uri": f"{base}/api/v1/products"},
            "keys": {
                "version": keys[:VERSION_DIGITS],
                "cose": f"{base}/.well-known/cose-keys",
                "jwks": f"{base}/.well-known/jwks.json",
            },
            "status_lists": statuses,
            "deny_list": {"sequence": denied, "uri": f"{base}/deny-list"},
        }

    async def deny_list(self, after: int) -> DenyList:
        """The changes of the deny list after a number, at most ENTRIES_MAX at once."""
        async with self._books.reading() as connection:
            rows = await connection.fetch(query("lists.deny_since"), after, ENTRIES_MAX)
        entries = [
            DenyEntry(row["seq"], row["kind"], _public(row["kind"], row["medium"]), row["removed"], row["at"])
            for row in rows
        ]
        self._deny_asked_s = self._clock()
        self._deny_sequence = max(self._deny_sequence, entries[-1].seq if entries else 0)
        return DenyList(entries[-1].seq if entries else after, entries)

    async def _make(self, number: int, now_s: float, last: _Made | None) -> _Made:
        async with self._books.reading() as connection:
            if not 0 < number < 2**31 or not await connection.fetchval(query("tickets.list_exists"), number):
                raise Problem(404, "No such list", f"there is no status list {number}")
            rows = await connection.fetch(query("tickets.statuses_of_list"), number)
        statuses = [(row["status_index"], _STATUS[row["status"]]) for row in rows]
        signer, uri = self._keys.signer, f"{self._lists_uri}/{number}"
        # A list unfolds to 256 KiB; packing and deflating that is work for a thread.
        return await asyncio.to_thread(_sign, statuses, signer, uri, now_s, last)


def _sign(statuses: list[tuple[int, int]], signer: Signer, uri: str, now_s: float, last: _Made | None) -> _Made:
    array = pack(statuses, LIST_SIZE)
    if last is not None and (last.array, last.kid) == (array, signer.kid) and 0 <= now_s - last.issued_s < LIFE_S / 4:
        return replace(last, checked_s=now_s)
    published = StatusList(uri, array, int(now_s), TTL_S, LIFE_S)
    jwt, cwt = issue_list_jwt(published, signer), issue_list_cwt(published, signer)
    return _Made(array, signer.kid, now_s, now_s, jwt, cwt)


def _public(kind: str, medium: bytes) -> str:
    """How a medium is named in a public list: a ticket's id says nothing about anyone, a card's UID might.

    Of a bank card's token we keep only the hash that the list shows.
    """
    match kind:
        case "ticket":
            return str(UUID(bytes=medium))
        case "bank":
            return medium.hex()
        case _:
            return hashlib.sha256(medium).hexdigest()
