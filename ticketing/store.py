"""What the judge of taps asks of PostgreSQL, as typed functions over named queries; every wait has an end."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, NamedTuple

import asyncpg

from sql import query
from ticketing.masking import mask, mask_text
from ticketing.reading import Reading
from ticketing.seams import BankJudge, Row
from ticketing.tariff import Tariff
from ticketing.verdict import Tap, Verdict

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
_JUDGE_CARDS = query("taps.judge_cards")
_NO_QUOTE = (None, None, None)
Boot = tuple[str, str, str]
"""Operator, device and boot, as they are stored."""


class DeadLetter(NamedTuple):
    """What a device sent and nobody could read; received_s in Unix seconds."""

    operator: str
    device: str
    topic: str
    reason: str
    detail: str
    payload: bytes
    received_s: float


async def warm(connection: Any) -> None:
    """Let a new connection learn our types and make the judge's plans, so that no rider waits for that.

    A tap that nobody made is judged and undone. A database that has not our tables yet is no fault here.
    """
    tap = Tap(str(uuid.uuid4()), "", 0, 0.0, "", "", None, None, None, None, None, None, "", "", 0.0)
    reading = Reading(tap, 0.0, b"", Verdict.MALFORMED)
    terms: tuple[object, ...] = ([], [], [], [], 0, "UAH", timedelta(0), 0.0)
    undone = connection.transaction()
    await undone.start()
    try:
        await connection.fetch(_JUDGE_CARDS, [], *terms)
        await connection.fetch(_JUDGE, [_row(0, 1, reading, "{}")], *terms)
    except (asyncpg.UndefinedObjectError, asyncpg.UndefinedFunctionError):
        pass
    finally:
        await undone.rollback()


class Store:
    """The tables of ticketing behind a bounded pool; every wait has an end."""

    def __init__(self, pool: Any, statement_s_max: float = 5.0, elsewhere_kmh: float = 120.0) -> None:
        self._pool = pool
        self._elsewhere_kmh = elsewhere_kmh
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

    async def ping(self, connections: int = 1) -> None:
        """Returns when the database answers, over so many connections at once."""
        answers = await asyncio.gather(*(self._ping() for _ in range(connections)), return_exceptions=True)
        for answer in answers:
            if answer is not None:
                raise answer

    async def _ping(self) -> None:
        async with self.connection() as connection:
            await connection.execute("SELECT 1", timeout=self._statement_s_max)

    async def forget_answers(self) -> None:
        """Drop the answers kept for retries of sales that are two days old."""
        async with self.connection() as connection:
            await connection.execute(query("desk.forget"), timeout=self._statement_s_max)

    async def judge(self, readings: Sequence[Reading], tariff: Tariff) -> tuple[list[Row], list[int | None]]:
        """Judge and book a batch in one round trip: what is said to each tap, and its boot's cumulative receipt.

        A row of no verdict is a tap given back: its quote was stale, and nothing was decided.
        """
        return _said(readings, await self._ask(_JUDGE, _rows(readings, tariff), readings, tariff))

    async def judge_cards(
        self, readings: Sequence[Reading], tariff: Tariff
    ) -> tuple[list[Row | None], list[int | None]]:
        """The same for online taps of city cards, one a card, for half the work; None: to be judged as any other."""
        records = await self._ask(_JUDGE_CARDS, _card_rows(readings), readings, tariff)
        fare_minor, currency = tariff.purse.fare_minor, tariff.currency
        usual = Row("accepted", None, None, fare_minor, currency, False)
        rows: list[Row | None] = [
            usual if (quote := reading.quote) is None else usual._replace(charged_minor=quote.amount_minor)
            for reading in readings
        ]
        for at in records[0][0]:
            rows[at] = None
        return rows, _receipts(readings, {(record[1], record[2], record[3]): record[4] for record in records[1:]})

    def _terms(self, tariff: Tariff) -> tuple[int, str, timedelta, float]:
        purse = tariff.purse
        return (purse.fare_minor, tariff.currency, timedelta(minutes=purse.passback_minutes), self._elsewhere_kmh)

    async def _ask(
        self, statement: str, rows: list[tuple[object, ...]], readings: Sequence[Reading], tariff: Tariff
    ) -> list[Any]:
        return await self._fetch(statement, (rows, *_columns(_answered(readings)), *self._terms(tariff)))

    async def _fetch(self, statement: str, arguments: tuple[object, ...]) -> list[Any]:
        async with self.connection() as connection:
            records: list[Any] = await connection.fetch(statement, *arguments, timeout=self._statement_s_max)
            return records

    async def judge_bank(self, bank: BankJudge, readings: Sequence[Reading]) -> tuple[list[Row], list[int | None]]:
        """The same for taps of bank cards, by a statement of their own."""
        arguments = (*bank.arguments(readings), *_columns(_answered(readings)))
        return _said(readings, await self._fetch(bank.statement, arguments))

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


def _said(readings: Sequence[Reading], records: Sequence[Any]) -> tuple[list[Row], list[int | None]]:
    """What a judging statement says: a row for each tap by its place in the batch, and rows without one for boots."""
    rows: list[Row | None] = [None] * len(readings)
    through: dict[Boot, int | None] = {}
    for ord_, *said, operator, device, boot, seq_through in records:
        if ord_ is None:
            through[operator, device, boot] = seq_through
        else:
            rows[ord_] = Row(*said)
    return [row for row in rows if row is not None], _receipts(readings, through)


def boot_of(reading: Reading) -> Boot:
    """A tap's boot, as it is stored."""
    tap = reading.tap
    boot = tap.boot
    return tap.operator, tap.device, boot if len(boot) < 13 else mask_text(boot)


def _answered(readings: Sequence[Reading]) -> dict[Boot, str]:
    """The numbers that are answered by this batch, as a literal of type int8multirange, by boot."""
    numbers: defaultdict[Boot, list[int]] = defaultdict(list)
    for reading in readings:
        numbers[boot_of(reading)].append(reading.tap.seq)
    return {boot: _multirange(seqs) for boot, seqs in numbers.items()}


def _multirange(numbers: list[int]) -> str:
    """A literal of type int8multirange; neighbours become one range, which the database need not join again."""
    numbers.sort()
    ranges: list[str] = []
    first = last = numbers[0]
    for number in numbers:
        if number > last + 1:
            ranges.append(f"[{first},{last}]")
            first = number
        last = number
    ranges.append(f"[{first},{last}]")
    return "{" + ",".join(ranges) + "}"


def _columns(answered: dict[Boot, str]) -> tuple[list[str], ...]:
    """Operators, devices, boots and their numbers, as mark_answered takes them."""
    return (*([boot[number] for boot in answered] for number in range(3)), list(answered.values()))


def _receipts(readings: Sequence[Reading], through: dict[Boot, int | None]) -> list[int | None]:
    return [through.get(boot_of(reading)) for reading in readings]


def _rows(readings: Sequence[Reading], tariff: Tariff) -> list[tuple[object, ...]]:
    """The batch as rows of the database's type tap_given; rounds number the taps of one medium."""
    seen: Counter[object] = Counter()
    networks: dict[tuple[str, str | None], str] = {}
    rows: list[tuple[object, ...]] = []
    for ord_, reading in enumerate(readings):
        tap, medium = reading.tap, reading.medium
        if medium is not None:
            seen[medium] += 1
        line = (tap.operator, reading.route_id)
        if line not in networks:
            networks[line] = _array_literal(tariff.networks_of(*line))
        rows.append(_row(ord_, seen[medium] or 1, reading, networks[line]))
    return rows


def _row(ord_: int, round_: int, reading: Reading, networks: str) -> tuple[object, ...]:
    """A row of the database's type tap_given."""
    tap, offline = reading.tap, reading.tap.offline
    return (
        ord_,
        round_,
        tap.operator,
        tap.device,
        tap.id,
        mask_text(tap.boot),
        tap.seq,
        tap.ts,
        tap.received_s,
        reading.at_s,
        tap.medium,
        reading.preset,
        reading.reason,
        reading.ticket_id,
        reading.card_uid,
        reading.counter,
        reading.key_version,
        tap.vehicle and mask_text(tap.vehicle),
        reading.stop_id and mask_text(reading.stop_id),
        tap.lat,
        tap.lon,
        offline.verdict if offline else None,
        offline.rules_version if offline else None,
        reading.content_hash,
        networks,
        *(reading.quote or _NO_QUOTE),
        reading.rating_due,
        reading.route_id,
        reading.direction_id,
        reading.lat,
        reading.lon,
    )


def _card_rows(readings: Sequence[Reading]) -> list[tuple[object, ...]]:
    """The batch as rows of the database's type card_tap_given, in the order in which cards are locked."""
    rows: list[tuple[object, ...]] = []
    for ord_ in sorted(range(len(readings)), key=lambda at: readings[at].card_uid or b""):
        reading = readings[ord_]
        tap, quote, vehicle = reading.tap, reading.quote, reading.tap.vehicle
        operator, device, boot = boot_of(reading)
        rows.append(
            (
                ord_,
                operator,
                device,
                tap.id,
                boot,
                tap.seq,
                tap.ts,
                tap.received_s,
                reading.card_uid,
                reading.counter,
                reading.key_version,
                vehicle if vehicle is None or len(vehicle) < 13 else mask_text(vehicle),
                reading.stop_id and mask_text(reading.stop_id),
                tap.lat,
                tap.lon,
                reading.content_hash,
                quote and quote.amount_minor,
                quote and quote.taps_seen,
                reading.rating_due,
                reading.route_id,
                reading.direction_id,
                reading.lat,
                reading.lon,
            )
        )
    return rows


def _array_literal(words: Sequence[str]) -> str:
    """A PostgreSQL array literal; the words are network ids, which hold no quote or backslash."""
    return "{" + ",".join(f'"{word}"' for word in words) + "}"
