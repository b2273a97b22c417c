"""The passenger's page asks how its tickets stand: whoever shows a fresh proof of the ticket's own device may know.

A ticket's id stands in its code, so whoever once saw the code knows the id: it opens nothing here. The device's key
does, and it cannot be copied, so nobody who photographed a ticket can follow where it is used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from sql import query
from ticketing.books import Books
from ticketing.claims import Credential
from ticketing.credential import read_credential
from ticketing.errors import CredentialError, Problem
from ticketing.keyset import KeySet
from ticketing.proof import ProofLimits, stale
from ticketing.routes import Route
from ticketing.service import Ticketing
from ticketing.verdict import Verdict

TICKETS_AT_ONCE_MAX = 20


class Shown(Struct, forbid_unknown_fields=True):
    """Codes as they are shown, each with a fresh proof of its device: base45, or JWT~proof."""

    tokens: Annotated[list[Annotated[str, Meta(max_length=8192)]], Meta(min_length=1, max_length=TICKETS_AT_ONCE_MAX)]


class WalletTicket(Struct, frozen=True):
    """How a ticket stands: the verdict of a tap now, passback aside. Times in Unix seconds; last_place is
    operator/vehicle; refunded_minor is what was given back for it, if anything was. All null where the code itself is
    refused."""

    verdict: Verdict
    id: str | None = None
    valid_from: float | None = None
    valid_until: float | None = None
    uses: int | None = None
    uses_allowed: int | None = None
    last_used_at: float | None = None
    last_place: str | None = None
    refunded_minor: int | None = None
    refunded_at: float | None = None
    currency: str | None = None


class WalletTickets(Struct, frozen=True):
    """One answer a code, in their order; as_of is the server's clock, by which a page sets its own."""

    as_of: float
    tickets: list[WalletTicket]


class _Row(Struct):
    verdict: Verdict
    id: UUID
    valid_from: float
    valid_until: float
    uses: int
    uses_allowed: int | None
    last_used_at: float | None
    last_place: str | None
    refunded_minor: int | None
    refunded_at: float | None
    currency: str


class WalletApi:
    """The operations of the passenger's page beside products and purchases.

    may_ask says how long (s) an address has to wait before it asks about so many codes, 0 for not at all.
    """

    def __init__(self, service: Ticketing, may_ask: Callable[[str, int], float]) -> None:
        self._service = service
        self._may_ask = may_ask
        self._books = Books(service.store)

    def routes(self) -> list[Route]:
        """The operations."""
        return [Route("POST", "/api/v1/wallet/tickets", "public", self.show)]

    async def show(self, *, body: Shown, request: Any) -> WalletTickets:
        """How the tickets of a passenger's device stand; each code must carry a fresh proof of its device."""
        if self._may_ask(str(request.remote), len(body.tokens)) > 0:
            raise Problem(429, "Too many codes", "too many codes are asked about from here: wait a little")
        now_s = self._service.clock()
        readers = self._service.readers
        read = [_read(token, readers.keys, now_s, readers.proof) for token in body.tokens]
        ids = [one.claims.ticket_id for one in read if isinstance(one, Credential)]
        rows = await self._rows(ids, now_s) if ids else {}
        return WalletTickets(now_s, [_told(one, rows) for one in read])

    async def _rows(self, ids: list[UUID], now_s: float) -> dict[UUID, _Row]:
        async with self._books.reading() as connection:
            found = await connection.fetch(query("wallet.states"), ids, now_s)
        rows = [msgspec.convert({**dict(row), "id": str(row["id"])}, _Row) for row in found]
        return {row.id: row for row in rows}


def _read(token: str, keys: KeySet, now_s: float, limits: ProofLimits) -> Credential | Verdict:
    """The credential of a code that its device vouches for now, or the verdict that refuses it."""
    try:
        credential = read_credential(token, keys)
    except CredentialError as error:
        return Verdict(error.verdict)
    return Verdict.STALE_PROOF if stale(credential, now_s, demanded=True, limits=limits) else credential


def _told(one: Credential | Verdict, rows: dict[UUID, _Row]) -> WalletTicket:
    if isinstance(one, Verdict):
        return WalletTicket(one)
    row = rows.get(one.claims.ticket_id)
    if row is None:
        return WalletTicket(Verdict.UNKNOWN)
    return WalletTicket(
        row.verdict,
        str(row.id),
        row.valid_from,
        row.valid_until,
        row.uses,
        row.uses_allowed,
        row.last_used_at,
        row.last_place,
        row.refunded_minor,
        row.refunded_at,
        row.currency,
    )
