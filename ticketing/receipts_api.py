"""An account's day over HTTP: which rule, which fact, when and how much, for the desk and for the rider.

A rider needs no login: who has the receipt's id may read that receipt, and who holds the card may read its days.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable
from datetime import date, timedelta
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from sql import query
from ticketing.account_rows import CARD, TapPlace, card_account, fare_tap, rating_of, uid_of
from ticketing.accounts import Accounts
from ticketing.books import Books, audit
from ticketing.card_checks import parse_card_uid
from ticketing.city_tariff import CityTariff
from ticketing.day_receipt import DayReceipt, day_receipt
from ticketing.days import day_bounds_s, service_day
from ticketing.debits import PlannedDebit, plan_debits
from ticketing.editions import Editions
from ticketing.errors import Problem
from ticketing.inspection import spend_message
from ticketing.paid import read_paid
from ticketing.rated import Account, DayRating, Step, named, with_lines
from ticketing.rating import rate_day
from ticketing.reading import Readers, read_shown
from ticketing.routes import Route
from ticketing.sales import SoldTicket
from ticketing.store import AWAY, RETRIED, Store
from ticketing.tariff_file import flat_minor, media_of
from ticketing.trips_desk import TripsDesk

_BANK = re.compile(r"bank:[A-Za-z0-9_-]{1,64}")
_LOOK_BACK_DAYS = 8
CATEGORY_BACK_DAYS = 31
"""As far as validators may tell of late rides; what was before is kept as it was paid."""
# A day beyond these is a slip of the keyboard, and the calendar itself ends where its neighbours are looked for.
FIRST_DAY, LAST_DAY = date(2000, 1, 1), date(2200, 1, 1)

Day = Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")]


class CardProof(Struct, forbid_unknown_fields=True):
    """A message that the card has just made (`p=...&c=...`, as a phone reads it), and the day that is asked for."""

    token: Annotated[str, Meta(max_length=256)]
    date: Day | None = None


class TripsSale(Struct, forbid_unknown_fields=True):
    """How many trips are bought at once."""

    trips: Annotated[int, Meta(gt=0, le=10_000)]


class CategoryChange(Struct, forbid_unknown_fields=True, rename={"from_": "from"}):
    """The holder's category by its id in the tariff (null: none), from now on or from a service day's beginning."""

    category: Annotated[str, Meta(min_length=1, max_length=32)] | None
    from_: Day | None = None


class CardCategory(Struct, frozen=True):
    """A card and its holder's category."""

    uid: str
    category: str | None


class ReceiptsApi:
    """Receipts, trips bought ahead and categories: what the rating needs people for."""

    def __init__(
        self,
        store: Store,
        editions: Editions,
        accounts: Accounts,
        trips: TripsDesk,
        readers: Callable[[], Readers],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._books = Books(store)
        self._editions = editions
        self._accounts = accounts
        self._trips = trips
        self._readers = readers
        self._clock = clock

    def routes(self) -> list[Route]:
        """The operations."""
        return [
            Route("GET", "/api/v1/accounts/{account}/days/{day}", "accounts:read", self.day),
            Route("GET", "/api/v1/receipts/{receipt_id}", "public", self.by_id),
            Route("GET", "/api/v1/receipts/{receipt_id}/text", "public", self.text),
            Route("POST", "/api/v1/receipts", "public", self.by_card),
            Route("POST", "/api/v1/cards/{uid}/trips", "tickets:sell", self.sell_trips, 201),
            Route("POST", "/api/v1/cards/{uid}/category", "tickets:change", self.set_category),
        ]

    async def day(self, account: str, day: str) -> DayReceipt:
        """The receipt of an account's service day (or "today"); account is card:<uid>, bank:<id> or a card's UID."""
        return await self._receipt(_account(account), self._date(day))

    async def by_id(self, receipt_id: str) -> DayReceipt:
        """A receipt by its id, which nobody can guess."""
        return await self._by_id(receipt_id)

    async def text(
        self, receipt_id: str, *, lang: Literal["uk", "en"] = "uk"
    ) -> Annotated[str, "text/plain; charset=utf-8", "no-store"]:
        """A receipt by its id, in words."""
        words = (await self._by_id(receipt_id)).text
        return words.uk if lang == "uk" else words.en

    async def by_card(self, *, body: CardProof) -> DayReceipt:
        """The receipt of a card's day (today's where none is named) for whoever holds the card to a phone now."""
        reading = read_shown("card", body.token, self._clock(), self._readers())
        if reading.card_uid is None:
            raise Problem(422, "No card message", "token is what a card of this city gives a phone: p=...&c=...")
        async with self._books.writing() as connection:
            if not await spend_message(connection, reading):
                raise Problem(403, "Read before", "this message of the card was used before: hold the card there again")
        return await self._receipt(card_account(reading.card_uid), self._date(body.date or "today"))

    async def sell_trips(self, uid: str, *, body: TripsSale, subject: str, idempotency_key: str | None) -> SoldTicket:
        """Sell trips ahead onto a city card, priced by how many are bought at once."""
        return await self._trips.sell(uid, body.trips, subject=subject, idempotency_key=idempotency_key)

    async def set_category(self, uid: str, *, body: CategoryChange, subject: str) -> CardCategory:
        """Say which concession a card's holder has; rides from now on are priced by it, and none of before.

        From the beginning of a day that has begun, the rides since are priced anew.
        """
        tariff = self._editions.current.tariff
        known = _categories(tariff)
        if body.category is not None and body.category not in known:
            names = ", ".join(sorted(known)) or "none"
            raise Problem(422, "No such category", f"category: the tariff has {names}")
        card, now_s = parse_card_uid(uid), self._clock()
        from_s = now_s if body.from_ is None else self._beginning(self._date(body.from_), now_s)
        async with self._books.writing() as connection:
            if await connection.fetchval(query("cards.lock"), card) is None:
                raise Problem(404, "No such card", f"no card {card.hex()} is enrolled here")
            await connection.execute(query("rating.set_category"), card, body.category, from_s)
            # A ride of this moment may have been rated already, and earlier ones are as soon as they are told of.
            day = service_day(from_s, tariff.day_start, tariff.zone)
            await connection.execute(query("rating.look_again"), card_account(card), day, now_s)
            said = {} if body.from_ is None else {"from": body.from_}
            await audit(connection, subject, "category", f"card:{card.hex()}", category=body.category, **said)
        return CardCategory(card.hex(), body.category)

    def _beginning(self, day: date, now_s: float) -> float:
        """When a service day began (Unix seconds); Problem 422 for one that is too long ago, or has not begun."""
        tariff = self._editions.current.tariff
        begin_s = float(day_bounds_s(day, tariff.day_start, tariff.zone)[0])
        if not now_s - CATEGORY_BACK_DAYS * 86_400.0 <= begin_s <= now_s:
            raise Problem(422, "No such time", f"from: a day that has begun, {CATEGORY_BACK_DAYS} days back at most")
        return begin_s

    def _date(self, text: str) -> date:
        """A service day; Problem 422 for a text that is none."""
        if text == "today":
            tariff = self._editions.current.tariff
            return service_day(self._clock(), tariff.day_start, tariff.zone)
        try:
            day = date.fromisoformat(text)
        except ValueError:
            day = date.max
        if not FIRST_DAY <= day < LAST_DAY:
            raise Problem(422, "No date", f"day: {text[:20]!r} is no date such as 2026-03-04")
        return day

    async def _by_id(self, receipt_id: str) -> DayReceipt:
        try:
            wanted = uuid.UUID(receipt_id)
        except ValueError:
            raise _no_receipt() from None
        async with self._books.reading() as connection:
            row = await connection.fetchrow(query("rating.day_of_receipt"), wanted)
        if row is None:
            raise _no_receipt()
        return await self._receipt(row["account"], row["service_date"])

    async def _receipt(self, account: str, day: date) -> DayReceipt:
        uid = uid_of(account)
        async with self._books.reading() as connection:
            card = await connection.fetchrow(query("rating.account_exists"), uid) if uid is not None else None
        if uid is not None and card is None:
            raise Problem(404, "No such account", f"no card {uid.hex()} is enrolled here")
        category = card["category"] if card is not None else None
        await self._rate(account)
        async with self._books.reading() as connection:
            if uid is None and not await connection.fetchval(query("rating.bank_account_exists"), account):
                raise Problem(404, "No such account", f"no {account} has ever been used here")
            row = await connection.fetchrow(query("rating.day"), account, day)
            if row is None:
                rating = await self._as_charged(connection, account, day, category)
                paid = await read_paid(connection, account, day, rating)
                return day_receipt(account, rating, self._editions.current.tariff, paid)
            rating = rating_of(row["rating"])
            if uid is not None and flat_minor(self._editions.of_day(day, row["tariff_id"]).tariff) is not None:
                rating = with_lines(rating, await self._as_charged(connection, account, day, category))
            debits = () if uid is not None else await self._debits(connection, account, day, rating)
            paid = await read_paid(connection, account, day, rating)
        tariff = self._editions.of_day(day, row["tariff_id"]).tariff
        receipt_id = str(row["receipt_id"])
        told = {"receipt_id": receipt_id, "version": row["version"], "debits": debits}
        return day_receipt(account, rating, tariff, paid, **told)

    async def _rate(self, account: str) -> None:
        """What is due of the account is rated first; where another process is at it, what stands is shown."""
        try:
            await self._accounts.rate(account)
        except AWAY:
            raise Problem(503, "Database away", "the database cannot be asked now: try again in a moment") from None
        except RETRIED:
            return

    async def _as_charged(self, connection: Any, account: str, day: date, category: str | None) -> DayRating:
        """A day that was not rated, since every ride had one price: its taps with what each was told."""
        tariff = self._editions.current.tariff
        from_s, until_s = day_bounds_s(day, tariff.day_start, tariff.zone)
        rows = await connection.fetch(query("rating.taps_of_day"), account, float(from_s), float(until_s))
        taps = [
            fare_tap(
                tariff,
                str(row["id"]),
                row["at_s"],
                TapPlace(row["operator"], stop_id=row["stop_id"], route_id=row["route_id"]),
            )
            for row in rows
        ]
        payer = Account(media_of(tariff, "card"), category)
        lines = []
        for row, tap in zip(rows, taps, strict=True):
            line = rate_day([tap], tariff, payer).lines[0]
            if row["product_id"] is not None:
                line = msgspec.structs.replace(line, charge_minor=0, explanation=(Step("pass", 0, row["product_id"]),))
            elif line.charge_minor != row["charged_minor"]:
                steps = (Step("fare", row["charged_minor"], line.explanation[0].rule),)
                line = msgspec.structs.replace(line, charge_minor=row["charged_minor"], explanation=steps)
            lines.append(line)
        empty = rate_day((), tariff, payer, day=day)
        return named(msgspec.structs.replace(empty, lines=tuple(lines)), tariff)

    async def _debits(self, connection: Any, account: str, day: date, rating: DayRating) -> tuple[PlannedDebit, ...]:
        """The debits of a bank card's day; an odd trip of the evening before may wait for one of this day."""
        media = media_of(self._editions.current.tariff, "bank")
        since = day - timedelta(days=_LOOK_BACK_DAYS)
        rows = {row["service_date"]: row for row in await connection.fetch(query("rating.days"), [account], [since])}
        waiting: tuple[Any, ...] = ()
        for back in range(_LOOK_BACK_DAYS, 0, -1):
            before = rows.get(day - timedelta(days=back))
            if before is None:
                waiting = ()
                continue
            tariff = self._editions.of_day(before["service_date"], before["tariff_id"]).tariff
            waiting = plan_debits(rating_of(before["rating"]), tariff, media, waiting).waiting
        edition = self._editions.of_day(day, rows[day]["tariff_id"] if day in rows else None)
        return plan_debits(rating, edition.tariff, media, waiting).debits


def _account(text: str) -> str:
    """The account that is meant; Problem 422 for a text that names none."""
    if _BANK.fullmatch(text):
        return text
    return card_account(parse_card_uid(text.removeprefix(CARD)))


def _categories(tariff: CityTariff) -> set[str]:
    """The categories that a tariff names: in entries of its own, or by a price in the city's feed."""
    prices = (price for table in tariff.tables for prices in table.products.values() for price in prices)
    return {*tariff.categories, *(price.category for price in prices if price.category)}


def _no_receipt() -> Problem:
    return Problem(404, "No such receipt", "no receipt has this id")
