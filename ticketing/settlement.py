"""Settlement of a business day: what it came to by operator, product and route, from taps and the ledger alone.

The same rows give the same document to the byte, whenever it is made, so that any party can make it again and compare
the hash. A tap belongs to the day in which it was received, a transfer to the day in which it was booked: each stands
in one settlement, and what comes late stands in the next.
"""

from __future__ import annotations

import hashlib
from datetime import date, timedelta
from typing import Any

import asyncpg
import msgspec

from sql import query
from ticketing.books import Books, audit
from ticketing.days import day_bounds_s, service_day
from ticketing.errors import Problem
from ticketing.settlement_document import (
    FORMAT,
    AccountLine,
    Document,
    FareLine,
    SalesLine,
    TapsLine,
    canonical,
    faults,
    share_sales,
)
from ticketing.tariff import Tariff

DAYS_LISTED_MAX = 400
DAYS_BACK_MAX = 400
"""Days that have not been settled are looked for so far back."""
MAKING_S_MAX = 300.0
_TABLES: tuple[tuple[str, Any], ...] = (
    ("taps", tuple[TapsLine, ...]),
    ("fares", tuple[FareLine, ...]),
    ("sales", tuple[SalesLine, ...]),
)


class Settlement(msgspec.Struct, frozen=True):
    """A version of a day's settlement; hash is the SHA-256 (hex) of its document as canonical JSON."""

    day: str
    version: int
    made_at: float
    made_by: str
    hash: str
    document: Document


class SettledDay(msgspec.Struct, frozen=True):
    """A day that has been settled, and the hash of its newest version."""

    day: str
    version: int
    made_at: float
    made_by: str
    hash: str


class Settlements:
    """Makes settlements and stores them."""

    def __init__(self, books: Books, tariff: Tariff) -> None:
        self._books = books
        self._tariff = tariff

    def last_day(self, now_s: float) -> date:
        """The newest business day that is over."""
        today = service_day(now_s, self._tariff.service_day_start, self._tariff.zone)
        return date.fromordinal(today.toordinal() - 1)

    async def first_day(self) -> date:
        """The business day in which the instance began: there is nothing to settle before."""
        async with self._books.reading() as connection:
            begun_s = await connection.fetchval(query("settlement.begun"))
        return service_day(begun_s, self._tariff.service_day_start, self._tariff.zone)

    async def unsettled(self, last: date) -> list[date]:
        """The days until `last` that have not been settled and still can be, oldest first."""
        first = max(await self.first_day(), last - timedelta(days=DAYS_BACK_MAX))
        async with self._books.reading() as connection:
            days = [row["day"] for row in await connection.fetch(query("settlement.unsettled"), first, last)]
        return [day for day in days if not await self._is_forgotten(day, settled=False)]

    async def settled_until_s(self, now_s: float) -> float:
        """Up to when everything received has been settled, day by day; the distant past where nothing has.

        A day that was left out, and can be settled still, ends it, whatever was settled after that day.
        """
        async with self._books.reading() as connection:
            row = await connection.fetchrow(query("settlement.last"))
        if row["day"] is None:
            return 0.0
        left_out = await self.unsettled(row["day"])
        day, end = (left_out[0], 0) if left_out else (row["day"], 1)
        return float(min(day_bounds_s(day, self._tariff.service_day_start, self._tariff.zone)[end], now_s))

    async def make(self, day: date) -> Document:
        """A day's settlement from what is booked now; it is not stored."""
        from_s, until_s = day_bounds_s(day, self._tariff.service_day_start, self._tariff.zone)
        async with (
            self._books.reading() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            rows = [
                msgspec.convert([dict(row) for row in await self._rows(connection, name, from_s, until_s)], kind)
                for name, kind in _TABLES
            ]
            accounts = await self._rows(connection, "accounts", from_s, until_s)
        taps, fares, sales = rows
        return Document(
            FORMAT,
            day.isoformat(),
            from_s,
            until_s,
            taps,
            fares,
            sales,
            share_sales(sales, taps),
            tuple(AccountLine(*row) for row in accounts),
        )

    async def settle(self, day: date, subject: str, now_s: float) -> Settlement:
        """Make a day's settlement and store it, as a new version where it differs from the newest one.

        Raises:
            Problem: 409 where the day is not over, or before the instance's first; 500 where it does not add up;
                503 while the database is away.
        """
        if day > self.last_day(now_s):
            raise Problem(409, "Day not over", f"{day} is not over; the last one that is: {self.last_day(now_s)}")
        first = await self.first_day()
        if day < first:
            raise Problem(409, "Day before the first", f"this instance began on {first}: there is nothing in {day}")
        kept = await self.find(day)
        if await self._is_forgotten(day, settled=kept is not None):
            if kept is not None:
                return kept
            raise Problem(
                409, "Taps forgotten", f"some taps of {day} are no longer kept: it cannot be settled any more"
            )
        document = await self.make(day)
        wrong = faults(document)
        if wrong:
            raise Problem(500, "Does not add up", f"{day}: {'; '.join(wrong)}. See: takt doctor")
        data = canonical(document)
        hash_ = hashlib.sha256(data).digest()
        async with self._books.writing() as connection:
            await connection.execute(query("settlement.claim"), day)
            before = await connection.fetchrow(query("settlement.newest"), day)
            if before is None or before["hash"] != hash_:
                version = before["version"] + 1 if before else 1
                await connection.execute(query("settlement.insert"), day, version, subject, hash_, data.decode())
                await audit(connection, subject, "settle", f"day {day}", version=version, hash=hash_.hex())
            row = await connection.fetchrow(query("settlement.newest"), day)
        return _settlement(row)

    async def _is_forgotten(self, day: date, *, settled: bool) -> bool:
        """Whether taps of a day have been forgotten. Of one that has not been settled none is, so what was forgotten
        in an hour that it shares with the day before was that day's."""
        from_s, until_s = day_bounds_s(day, self._tariff.service_day_start, self._tariff.zone)
        span = float(from_s), float(until_s)
        async with self._books.reading() as connection:
            return bool(await connection.fetchval(query("settlement.forgotten"), *span, not settled))

    async def find(self, day: date) -> Settlement | None:
        """The newest version of a day's settlement; None where it has not been settled."""
        async with self._books.reading() as connection:
            row = await connection.fetchrow(query("settlement.newest"), day)
        return _settlement(row) if row else None

    async def list_days(self) -> list[SettledDay]:
        """The days that have been settled, newest first."""
        async with self._books.reading() as connection:
            rows = await connection.fetch(query("settlement.days"), DAYS_LISTED_MAX)
        return [
            SettledDay(row["day"].isoformat(), row["version"], row["made_at"], row["made_by"], row["hash"].hex())
            for row in rows
        ]

    async def _rows(self, connection: Any, name: str, from_s: int, until_s: int) -> list[asyncpg.Record]:
        rows: list[asyncpg.Record] = await connection.fetch(
            query(f"settlement.{name}"), float(from_s), float(until_s), timeout=MAKING_S_MAX
        )
        return rows


def _settlement(row: Any) -> Settlement:
    return Settlement(
        row["day"].isoformat(),
        row["version"],
        row["made_at"],
        row["made_by"],
        row["hash"].hex(),
        msgspec.json.decode(row["document"], type=Document),
    )
