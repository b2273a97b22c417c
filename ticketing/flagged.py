"""Taps that somebody has to look at: let in offline against our word, told too late, made where nobody can be."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated

import msgspec
from msgspec import Meta

from sql import query
from ticketing.books import Books
from ticketing.errors import Problem
from ticketing.routes import Route

LISTED_MAX = 500
SPAN_S_MAX = 32 * 86_400.0
YEAR_10000_S = 253_402_300_800.0


class FlaggedTap(msgspec.Struct, frozen=True):
    """A tap and why it is here; times in Unix seconds, `at` as it was judged.

    conflict: its validator let the rider in, and our verdict is another. flags: owed (the ride is paid from the card,
    or a debt on it, or on the ticket of a code), late (told after its time, without a decision of the validator's),
    elsewhere (the medium was too far away just before). account: of a card, who pays; null for a code. refunded_minor:
    what was given back for its ticket, and before_change: the ride was made before its ticket was taken back. clock:
    the validator's clock is wrong, and `at` is ours; clock_unknown: only a clock that nobody knows makes it valid.
    """

    id: str
    at: float
    received_at: float
    operator: str
    device: str
    vehicle: str | None
    route_id: str | None
    medium: str
    verdict: str
    reason: str | None
    conflict: bool
    flags: list[str]
    account: str | None
    ticket_id: str | None
    product_id: str | None
    conflict_with: str | None
    refunded_minor: int | None
    currency: str | None
    before_change: bool


class FlaggedTaps(msgspec.Struct, frozen=True):
    """The newest flagged taps received in [from, to), newest first."""

    taps: list[FlaggedTap]


class FlaggedApi:
    """What desks and keepers of the books look through."""

    def __init__(self, books: Books, clock: Callable[[], float] = time.time) -> None:
        self._books = books
        self._clock = clock

    def routes(self) -> list[Route]:
        """The operation."""
        return [Route("GET", "/api/v1/flagged-taps", "accounts:read", self.list_flagged)]

    async def list_flagged(
        self,
        *,
        from_: float | None = None,
        to: float | None = None,
        operator: Annotated[str, Meta(max_length=64)] | None = None,
    ) -> FlaggedTaps:
        """List the taps that somebody has to look at, by when they came in: of the last day where nothing is said."""
        until_s = self._clock() + 1.0 if to is None else to
        since_s = until_s - 86_400.0 if from_ is None else from_
        if not (0 <= since_s < until_s <= YEAR_10000_S and until_s - since_s <= SPAN_S_MAX):
            raise Problem(422, "No such time", f"from comes before to, by {SPAN_S_MAX / 86_400:.0f} days at most")
        async with self._books.reading() as connection:
            rows = await connection.fetch(query("flagged.list"), since_s, until_s, operator, LISTED_MAX)
        return FlaggedTaps([FlaggedTap(**dict(row)) for row in rows])
