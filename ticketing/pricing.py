"""What a city card's tap costs on top of its account's day, asked before the judge books it.

One query reads what a batch needs: each card's rated days, what came in since, and the tickets it holds. Between the
query and the judge another tap of the card may be booked: the judge compares the card's number of taps with the one
seen here and gives a stale price back (ticketing.judging).
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta
from uuid import UUID

from sql import query
from ticketing.account_rows import (
    TapPlace,
    card_account,
    days_of_json,
    due_of_json,
    fare_tap,
    former_of_json,
    handed_on_of_json,
    tickets_of_json,
)
from ticketing.days import day_bounds_s, service_day
from ticketing.editions import Editions
from ticketing.journeys import FareTap
from ticketing.reading import Quote, Reading
from ticketing.rerating import DueTap, Holder, apart, price_of
from ticketing.store import Store
from ticketing.tariff_file import Sold, flat_minor, media_of

LOOP_S_MAX = 0.005
"""Longer than this prices are not worked out without letting the loop answer others."""


class DayPricing:
    """Implements `ticketing.seams.Pricing`; under a flat tariff every answer is None, and nothing is asked."""

    def __init__(self, store: Store, editions: Editions, statement_s_max: float = 5.0) -> None:
        self._store = store
        self._editions = editions
        self._statement_s_max = statement_s_max
        self._fare_minor = editions.sold.tariff.purse.fare_minor
        self._looked_at: tuple[Sold, bool] | None = None
        self.counters: Counter[str] = Counter()

    @property
    def flat(self) -> bool:
        """Whether the judge's own price is right for every ride: one price, and the one that it was started with."""
        sold = self._editions.sold
        if self._looked_at is None or self._looked_at[0] is not sold:
            self._looked_at = sold, flat_minor(sold.city) == self._fare_minor
        return self._looked_at[1]

    async def quotes(self, readings: Sequence[Reading]) -> list[Quote | None]:
        """A price for each tap, in order: that of its line on the day's receipt. None: the purse's fare."""
        if self.flat:
            return [None] * len(readings)
        asked = [at for at, reading in enumerate(readings) if reading.card_uid is not None and _rides(reading)]
        quotes: list[Quote | None] = [None] * len(readings)
        if not asked:
            return quotes
        holders = await self._holders([readings[at] for at in asked])
        until = time.perf_counter() + LOOP_S_MAX
        for at in asked:
            reading = readings[at]
            known = holders.get(card_account(reading.card_uid or b""))
            if known is None:
                continue
            if time.perf_counter() > until:
                await asyncio.sleep(0)
                until = time.perf_counter() + LOOP_S_MAX
            quotes[at] = known.price(reading, self._editions)
            reading.rating_due = True
        self.counters["quotes"] += len(asked)
        return quotes

    async def _holders(self, readings: Sequence[Reading]) -> dict[str, _Known]:
        since: dict[bytes, date] = {}
        tariff = self._editions.current.tariff
        media = media_of(tariff, "card")
        for reading in readings:
            day = service_day(reading.at_s, tariff.day_start, tariff.zone) - timedelta(days=1)
            uid = reading.card_uid or b""
            since[uid] = min(day, since.get(uid, day))
        first_s = day_bounds_s(min(since.values()), tariff.day_start, tariff.zone)[0]
        accounts = [card_account(uid) for uid in since]
        async with self._store.connection() as connection:
            rows = await connection.fetch(
                query("rating.quoted"),
                list(since),
                accounts,
                list(since.values()),
                float(first_s),
                timeout=self._statement_s_max,
            )
        found = {}
        for row in rows:
            days = days_of_json(row["days"])
            due = apart(due_of_json(row["due"], tariff), [tap for one in days for tap in one.taps])
            tickets = tickets_of_json(row["tickets"])
            rider = (former_of_json(row["former"]), handed_on_of_json(row["handed_on"]))
            holder = Holder(row["account"], media, row["category"], days, tuple(due), tickets, *rider)
            found[row["account"]] = _Known(holder, row["taps"])
        return found


class _Known:
    """An account while the taps of one batch are priced: each counts on those before it."""

    def __init__(self, holder: Holder, taps_seen: int) -> None:
        self._holder = holder
        self._taps_seen = taps_seen

    def price(self, reading: Reading, editions: Editions) -> Quote:
        given = reading.tap
        place = TapPlace(given.operator, given.vehicle, reading.stop_id, reading.route_id, reading.direction_id)
        tap = fare_tap(editions.current.tariff, given.id.lower(), reading.at_s, place)
        known = {one.id for day in self._holder.days for one in day.taps} | {due.tap.id for due in self._holder.due}
        if tap.id in known:  # sent again: the judge gives the answer that it had
            return Quote(0, None)
        minor, held = price_of(self._holder, tap, editions.of_day)
        self._add(tap, minor, held)
        return Quote(minor, None if reading.history else self._taps_seen, UUID(held) if held else None)

    def _add(self, tap: FareTap, minor: int, held: str | None) -> None:
        holder = self._holder
        tickets = tuple(one._replace(uses=one.uses + 1) if one.id == held else one for one in holder.tickets)
        self._holder = holder._replace(due=(*holder.due, DueTap(tap, minor, held)), tickets=tickets)


def _rides(reading: Reading) -> bool:
    """Whether the tap is a ride unless the judge says no: what a validator refused by itself is none."""
    return reading.tap.offline is None or reading.tap.offline.verdict == "accepted"
