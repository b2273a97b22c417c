"""From readings to what is said to each tap: prices asked for, judged and booked in the database, faults kept apart.

City cards' and QR taps are judged by one statement; where prices depend on the taps before, a quote is asked for first
and given up when another tap of the card was booked meanwhile. Bank cards have a judge of their own.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import asyncpg

from ticketing.late_codes import owe_by_codes
from ticketing.owing import note_let_in, owe
from ticketing.reading import Quote, Reading
from ticketing.righting import Righting
from ticketing.seams import ALONE, Pricing, Row, Seams
from ticketing.store import AWAY, RETRIED, Store
from ticketing.tariff import Tariff
from ticketing.verdict import Verdict

ATTEMPTS_MAX = 4
QUOTES_MAX = 3
"""How often a stale quote is asked for again; then the tap is booked at the purse's fare and rated with its day."""
PLACES_S_MAX = 0.1
"""Where a vehicle was is good to know; no tap waits longer for it."""
SPECIAL_MAX = 65_536
"""How many cards that are not simple are remembered before all are forgotten: it saves a question, decides nothing."""
UNSTORABLE = Row(Verdict.MALFORMED, "unstorable", None, None, None, False, 0)

Judged = tuple[list[Row], list[int | None]]


class Outcome:
    """What came of a batch: a row and a receipt for each tap, or why there is none."""

    __slots__ = ("failure", "rows", "through", "unavailable")

    def __init__(self, size: int) -> None:
        self.rows: list[Row | None] = [None] * size
        self.through: list[int | None] = [None] * size
        self.unavailable: list[str] = ["fault"] * size
        self.failure: BaseException | None = None


class Judge:
    """Judges batches of readings; expected outcomes are rows, and a database that is away is an outcome as well."""

    def __init__(self, store: Store, tariff: Tariff, counters: Counter[str], seams: Seams = ALONE) -> None:
        self._store = store
        self._tariff = tariff
        self._counters = counters
        self._pricing, self._bank, self._whereabouts = seams.pricing, seams.bank, seams.whereabouts
        self._righting = Righting(store)
        self._special: set[bytes] = set()

    async def close(self) -> None:
        """Wait for what is being written down beside the taps."""
        await self._righting.close()

    async def judge(self, readings: Sequence[Reading]) -> Outcome:
        """The answer to each tap, committed.

        Never raises for a database that is away, nor for a tap that it cannot store in any form.
        """
        outcome = Outcome(len(readings))
        await self._locate(readings)
        self._counters["clocks_righted"] += await self._righting.put_right(readings)
        indices = list(range(len(readings)))
        if self._bank is not None:
            banks = [at for at in indices if readings[at].tap.medium == "bank" and readings[at].preset is None]
            if banks:
                await self._book(readings, banks, outcome, self._judge_bank)
                taken = set(banks)
                indices = [at for at in indices if at not in taken]
        if self._pricing is None or self._pricing.flat:
            await self._book(readings, indices, outcome, self._judge_all)
        else:
            await self._book_quoted(self._pricing, readings, indices, outcome)
        if any(reading.tap.offline is not None for reading in readings):
            await self._owe(readings, indices, outcome)
        return outcome

    async def _judge_all(self, readings: Sequence[Reading]) -> Judged:
        """Most taps are of cards that pay from their purse: those in one simple statement, what is left in another."""
        simple = self._simple(readings)
        if not simple:
            return await self._store.judge(readings, self._tariff)
        rows: list[Row | None] = [None] * len(readings)
        through: list[int | None] = [None] * len(readings)
        said, receipts = await self._store.judge_cards([readings[at] for at in simple], self._tariff)
        for at, row, receipt in zip(simple, said, receipts, strict=True):
            rows[at], through[at] = row, receipt
            if row is None:
                self._remember(readings[at])
        left = [at for at, row in enumerate(rows) if row is None]
        if left:
            others, receipts = await self._store.judge([readings[at] for at in left], self._tariff)
            for at, row, receipt in zip(left, others, receipts, strict=True):
                rows[at], through[at] = row, receipt
        return [row for row in rows if row is not None], through

    def _simple(self, readings: Sequence[Reading]) -> list[int]:
        """Online taps of cards that may pay from their purse, one a card; a card's taps are not judged out of order."""
        cards = Counter(reading.card_uid for reading in readings)
        return [
            at
            for at, reading in enumerate(readings)
            if reading.card_uid is not None
            and reading.preset is None
            and not reading.history
            and cards[reading.card_uid] == 1
            and _for_the_purse(reading.quote)
            and reading.card_uid not in self._special
        ]

    def _remember(self, reading: Reading) -> None:
        """A card that was left over has a ticket, no money, or is not welcome: asked about it at once the next time."""
        if len(self._special) >= SPECIAL_MAX:
            self._special.clear()
        if reading.card_uid is not None:
            self._special.add(reading.card_uid)

    async def _judge_bank(self, readings: Sequence[Reading]) -> Judged:
        assert self._bank is not None
        return await self._store.judge_bank(self._bank, readings)

    async def _locate(self, readings: Sequence[Reading]) -> None:
        """Note where each tap was made, as it says itself or else as its vehicle was; an unknown place is no fault."""
        places: Sequence[Any] = ()
        if self._whereabouts is not None:
            try:
                async with asyncio.timeout(PLACES_S_MAX):
                    places = await self._whereabouts.places([reading.tap for reading in readings])
            except TimeoutError:
                self._counters["whereabouts_late"] += 1
            except Exception:  # what another part does not know must not keep a rider out
                self._counters["whereabouts_faults"] += 1
        for reading, place in zip(readings, places, strict=False):
            if place is not None:
                reading.lat, reading.lon = place.lat, place.lon
                reading.route_id, reading.direction_id = place.route_id, place.direction_id
                reading.stop_id = reading.tap.stop_id or place.stop_id
        for reading in readings:
            tap = reading.tap
            if tap.lat is not None and tap.lon is not None and _on_earth(tap.lat, tap.lon):
                reading.lat, reading.lon = tap.lat, tap.lon

    async def _book_quoted(
        self, pricing: Pricing, readings: Sequence[Reading], indices: list[int], outcome: Outcome
    ) -> None:
        """Ask for prices and book; once more for what became stale meanwhile, or waits for another tap of its card."""
        for _ in range(QUOTES_MAX):
            now, later = _one_live_tap_a_card(readings, indices)
            await self._quote(pricing, [readings[at] for at in now])
            await self._book(readings, now, outcome, self._judge_all)
            stale = [at for at in now if (row := outcome.rows[at]) is not None and row.reason == "stale_quote"]
            self._counters["stale_quotes"] += len(stale)
            indices = sorted(stale + later)
            if not indices or outcome.failure is not None:
                break
        else:
            for at in indices:
                readings[at].quote, readings[at].rating_due = None, readings[at].card_uid is not None
            self._counters["unquoted"] += len(indices)
            await self._book(readings, indices, outcome, self._judge_all)
        for at in indices if outcome.failure is not None else ():
            outcome.rows[at], outcome.unavailable[at] = None, "database"

    async def _owe(self, readings: Sequence[Reading], indices: list[int], outcome: Outcome) -> None:
        """A ride that was refused is paid or becomes a debt; where that cannot be written, the tap is sent again."""
        asked, rows = [readings[at] for at in indices], [outcome.rows[at] for at in indices]
        try:
            noted = await note_let_in(self._store, asked, rows, self._pricing is not None)
            for at, row in zip(indices, noted, strict=True):
                outcome.rows[at] = row
            self._counters["clocks_doubted"] += await self._righting.flag(asked, noted)
            self._counters["owed"] += await owe_by_codes(self._store, asked, noted, self._tariff.purse.fare_minor)
            if self._pricing is not None:
                self._counters["owed"] += await owe(self._store, asked, noted, self._pricing.flat)
        except (asyncpg.PostgresError, *AWAY) as error:
            outcome.failure = outcome.failure or error
            refused = [at for at, one in zip(indices, asked, strict=True) if _let_in(one, outcome.rows[at])]
            self._refuse(refused, outcome, "database")

    async def _quote(self, pricing: Pricing, readings: Sequence[Reading]) -> None:
        """Set prices; a fault of the pricing books the purse's fare, which the day's rating puts right."""
        asked = [reading for reading in readings if reading.card_uid is not None and reading.preset is None]
        if not asked:
            return
        try:
            quotes = await pricing.quotes(asked)
        except Exception:  # whatever it is, riders ride
            self._counters["pricing_faults"] += 1
            for reading in asked:
                reading.quote, reading.rating_due = None, True
            return
        for reading, quote in zip(asked, quotes, strict=True):
            reading.quote = quote

    async def _book(
        self,
        readings: Sequence[Reading],
        indices: list[int],
        outcome: Outcome,
        judge: Callable[[Sequence[Reading]], Awaitable[Judged]],
    ) -> None:
        """Judge in the database; a batch that it cannot take is halved until the tap at fault stands alone."""
        if not indices:
            return
        for _ in range(ATTEMPTS_MAX):
            try:
                rows, through = await judge([readings[at] for at in indices])
            except RETRIED:
                self._counters["retried_batches"] += 1
                continue
            except AWAY as error:
                outcome.failure = error
                self._refuse(indices, outcome, "database")
            except (asyncpg.PostgresError, ValueError, OverflowError):
                if len(indices) == 1:
                    self._counters["unstorable"] += 1
                    outcome.rows[indices[0]] = UNSTORABLE
                else:
                    middle = len(indices) // 2
                    await self._book(readings, indices[:middle], outcome, judge)
                    await self._book(readings, indices[middle:], outcome, judge)
            else:
                for at, row, receipt in zip(indices, rows, through, strict=True):
                    outcome.rows[at], outcome.through[at] = row, receipt
            return
        self._refuse(indices, outcome, "contention")

    @staticmethod
    def _refuse(indices: list[int], outcome: Outcome, reason: str) -> None:
        for at in indices:
            outcome.rows[at], outcome.unavailable[at] = None, reason


def _one_live_tap_a_card(readings: Sequence[Reading], indices: list[int]) -> tuple[list[int], list[int]]:
    """Those that can be quoted together, and those whose price depends on another of them."""
    seen: set[bytes] = set()
    now: list[int] = []
    later: list[int] = []
    for at in indices:
        uid = readings[at].card_uid
        if uid is None or readings[at].preset is not None:
            now.append(at)
        elif uid not in seen or readings[at].history:
            seen.add(uid)
            now.append(at)
        else:
            later.append(at)
    return now, later


def _let_in(reading: Reading, row: Row | None) -> bool:
    """Whether a validator let a rider in by itself whom we refuse."""
    offline = reading.tap.offline
    return row is not None and offline is not None and Verdict.ACCEPTED.value == offline.verdict != row.verdict


def _for_the_purse(quote: Quote | None) -> bool:
    """Whether the price is the purse's alone, and good only while nothing else is booked."""
    return quote is None or (quote.ticket_id is None and quote.taps_seen is not None)


def _on_earth(lat: float, lon: float) -> bool:
    """Whether a place can be one; devices without a fix say 0, 0."""
    return math.isfinite(lat) and math.isfinite(lon) and abs(lat) <= 90 and abs(lon) <= 180 and (lat, lon) != (0, 0)
