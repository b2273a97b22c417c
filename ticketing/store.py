"""Every call that ticketing makes to PostgreSQL, as typed functions over named queries."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, NamedTuple

import asyncpg

from sql import query
from ticketing.masking import mask, mask_text
from ticketing.reading import Reading
from ticketing.tariff import Tariff

RETRIED = (asyncpg.UniqueViolationError, asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
"""Two batches met over one tap or medium: judged again, the second sees what the first one booked."""
AWAY = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.PostgresSystemError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.LockNotAvailableError,
)
"""The database cannot be asked now: nothing was decided, and trying again may help."""

_JUDGE = query("taps.judge")


class Row(NamedTuple):
    """What the database says to one tap."""

    verdict: str
    reason: str | None
    until_s: float | None
    charged_minor: int | None
    currency: str | None
    conflict: bool


class DeadLetter(NamedTuple):
    """What a device sent and nobody could read; received_s in Unix seconds."""

    operator: str
    device: str
    topic: str
    reason: str
    detail: str
    payload: bytes
    received_s: float


class Store:
    """The tables of ticketing behind a bounded pool; every wait has an end."""

    def __init__(self, pool: Any, statement_s_max: float = 5.0) -> None:
        self._pool = pool
        self._statement_s_max = statement_s_max

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        """A connection for a few statements; one that has timed out is thrown away, since its state is unknown."""
        connection = await self._pool.acquire(timeout=self._statement_s_max)
        try:
            yield connection
        except (TimeoutError, asyncio.CancelledError):
            connection.terminate()
            raise
        finally:
            await self._pool.release(connection, timeout=self._statement_s_max)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        """A connection in a transaction, rolled back when the body raises."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    async def ping(self) -> None:
        """Returns when the database answers."""
        async with self.connection() as connection:
            await connection.fetchval("SELECT 1", timeout=self._statement_s_max)

    async def forget_answers(self) -> None:
        """Drop the answers kept for retries of sales that are two days old."""
        async with self.connection() as connection:
            await connection.execute(query("desk.forget"), timeout=self._statement_s_max)

    async def judge(self, readings: Sequence[Reading], tariff: Tariff) -> tuple[list[Row], list[int | None]]:
        """Judge and book a batch in one round trip: what is said to each tap, and its boot's cumulative receipt."""
        columns = _columns(readings, tariff)
        passback = timedelta(minutes=tariff.purse.passback_minutes)
        async with self.connection() as connection:
            records = await connection.fetch(_JUDGE, *columns, tariff.currency, passback, timeout=self._statement_s_max)
        rows: list[Row | None] = [None] * len(readings)
        through: dict[tuple[str, str, str], int | None] = {}
        for ord_, verdict, reason, until_s, charged_minor, currency, conflict, seq_through in records:
            if ord_ < 0:
                tap = readings[-ord_ - 1].tap
                through[tap.operator, tap.device, mask_text(tap.boot)] = seq_through
            else:
                rows[ord_ - 1] = Row(verdict, reason, until_s, charged_minor, currency, conflict)
        receipts = [through.get((r.tap.operator, r.tap.device, mask_text(r.tap.boot))) for r in readings]
        return [row for row in rows if row is not None], receipts

    async def store_dead_letters(self, letters: Sequence[DeadLetter], quota: int) -> int:
        """Keep unreadable messages up to a quota a device and day, count the others; how many were kept."""
        columns = (
            [letter.operator for letter in letters],
            [letter.device for letter in letters],
            [mask_text(letter.topic) for letter in letters],
            [letter.reason for letter in letters],
            [mask_text(letter.detail) for letter in letters],
            [mask(letter.payload) for letter in letters],
            [letter.received_s for letter in letters],
        )
        async with self.connection() as connection:
            return int(await connection.fetchval(query("dead_letters.insert"), *columns, quota))


def _columns(readings: Sequence[Reading], tariff: Tariff) -> tuple[list[Any], ...]:
    """The columns of the judging function, in its order; rounds number the taps of one medium."""
    taps = [reading.tap for reading in readings]
    seen: Counter[object] = Counter()
    rounds = []
    for reading in readings:
        medium = reading.medium
        if medium is not None:
            seen[medium] += 1
        rounds.append(seen[medium] or 1)
    networks = {operator: _array_literal(tariff.networks_of(operator)) for operator in {tap.operator for tap in taps}}
    return (
        list(range(1, len(taps) + 1)),
        rounds,
        [tap.operator for tap in taps],
        [tap.device for tap in taps],
        [tap.id for tap in taps],
        [mask_text(tap.boot) for tap in taps],
        [tap.seq for tap in taps],
        [tap.ts for tap in taps],
        [tap.received_s for tap in taps],
        [reading.at_s for reading in readings],
        [tap.medium for tap in taps],
        [reading.preset for reading in readings],
        [reading.reason for reading in readings],
        [reading.ticket_id for reading in readings],
        [reading.card_uid for reading in readings],
        [reading.counter for reading in readings],
        [reading.key_version for reading in readings],
        [tap.vehicle and mask_text(tap.vehicle) for tap in taps],
        [tap.stop_id and mask_text(tap.stop_id) for tap in taps],
        [tap.lat for tap in taps],
        [tap.lon for tap in taps],
        [tap.offline.verdict if tap.offline else None for tap in taps],
        [tap.offline.rules_version if tap.offline else None for tap in taps],
        [reading.content_hash for reading in readings],
        [networks[tap.operator] for tap in taps],
        [tariff.purse.fare_minor] * len(taps),
    )


def _array_literal(words: Sequence[str]) -> str:
    """A PostgreSQL array literal; the words are network ids, which hold no quote or backslash."""
    return "{" + ",".join(f'"{word}"' for word in words) + "}"
