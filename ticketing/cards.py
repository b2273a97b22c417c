"""City cards at the desk: enrolled with the keys to write to them, topped up, blocked, shown."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from sql import query
from ticketing import ledger
from ticketing.auto_top_up import AutoTopUp, read_auto_top_up
from ticketing.books import Act, Books, Done, audit, audit_all, book
from ticketing.card import CardKeys
from ticketing.card_checks import check_in_use, is_replaced, parse_card_uid
from ticketing.errors import Problem
from ticketing.masking import mask_text
from ticketing.money import Money
from ticketing.sales import Order, Sales
from ticketing.tariff import Tariff

CARDS_AT_ONCE_MAX = 1000


class EnrolledCard(msgspec.Struct, frozen=True):
    """A card and the keys to be written to it, in hex; they are shown this once."""

    uid: str
    key_version: int
    meta_read_key: str
    file_read_key: str


class CardTicket(msgspec.Struct, frozen=True):
    """A ticket that a city card holds."""

    id: str
    product_id: str
    status: str
    valid_from: float
    valid_until: float
    uses: int
    uses_allowed: int | None


class Card(msgspec.Struct, frozen=True):
    """A city card as it stands in the books; counter is the highest read counter seen, -1 before the first tap.

    debt_minor: what rides cost that the purse could not pay any more; the next top-up pays it first. category: the
    holder's, by its id in the tariff. auto_top_up: null where the card is topped up by hand alone.
    """

    uid: str
    key_version: int
    status: str
    counter: int
    balance_minor: int
    currency: str
    enrolled_at: float
    last_used_at: float | None
    last_place: str | None
    tickets: list[CardTicket]
    debt_minor: int = 0
    category: str | None = None
    auto_top_up: AutoTopUp | None = None


class CardDesk:
    """Everything that a person does with cards; every method raises Problem for what cannot be done as asked."""

    def __init__(self, books: Books, sales: Sales, tariff: Tariff, clock: Callable[[], float] = time.time) -> None:
        self._books = books
        self._sales = sales
        self._tariff = tariff
        self._clock = clock

    async def enrol(
        self, uids: Sequence[str], keys: CardKeys, *, subject: str, product_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> list[EnrolledCard]:  # fmt: skip
        """Enrol cards under a key version, all or none, each with a product where one is named.

        The answer holds keys and is never stored: asked again under the same key, it is derived anew.
        """
        if not 0 < len(uids) <= CARDS_AT_ONCE_MAX:
            raise Problem(422, "Too many cards", f"uids holds 1 to {CARDS_AT_ONCE_MAX} UIDs")
        product = self._sales.get_product(product_id) if product_id else None
        cards = [parse_card_uid(uid) for uid in uids]

        async def put(connection: Any) -> Done:
            for uid in cards:
                if not await connection.fetchval(query("cards.enrol"), uid, keys.version, self._tariff.currency):
                    raise Problem(409, "Card exists", f"card {uid.hex()} is enrolled already: none was enrolled now")
            orders = [Order(product, int(self._clock()), subject, card_uid=uid) for uid in cards if product]
            sold = [await self._sales.enter(connection, order) for order in orders]
            acts: list[Act] = [("enrol", f"card:{uid.hex()}", {"key_version": keys.version}) for uid in cards]
            acts += [("sell", f"ticket:{ticket.id}", {"product_id": ticket.product_id}) for ticket in sold]
            # Everybody's audit rows wait for each other until the end of the transaction: all at once, and last.
            await audit_all(connection, subject, acts)
            return Done()

        asked = ("enrol", cards, keys.version, product_id)
        await self._books.once(subject, idempotency_key, asked, Done, put)
        meta_read = keys.meta_read.hex()
        return [EnrolledCard(uid.hex(), keys.version, meta_read, keys.file_read_key(uid).hex()) for uid in cards]

    async def get_card(self, uid_text: str) -> Card:
        """A card with what it holds."""
        uid = parse_card_uid(uid_text)
        async with self._books.reading() as connection:
            row = await connection.fetchrow(query("cards.get"), uid)
            tickets = await connection.fetch(query("tickets.of_card"), uid)
            auto_top_up = await read_auto_top_up(connection, uid)
            replaced = await is_replaced(connection, uid)
        if row is None:
            raise _no_card(uid)
        fields = dict(row)
        status = "blocked" if fields.pop("denied") else row["status"]
        fields |= {"uid": uid.hex(), "status": "replaced" if replaced else status}
        held = [CardTicket(**{**ticket, "id": str(ticket["id"])}) for ticket in tickets]
        return Card(**fields, tickets=held, auto_top_up=auto_top_up)

    async def top_up(
        self, uid_text: str, amount_minor: int, *, subject: str, idempotency_key: str | None = None
    ) -> Card:
        """Put money on a card, taken in cash; what is owed on it is paid first."""
        uid = parse_card_uid(uid_text)
        rules = self._tariff.top_ups

        async def put(connection: Any) -> Done:
            await self._check_amount(connection, uid, amount_minor)
            row = await connection.fetchrow(query("cards.top_up"), uid, amount_minor)
            if row is None:
                raise _no_card(uid)
            transfer = ledger.top_up(uid, Money(amount_minor, row["currency"]))
            await book(connection, transfer, subject, card_uid=uid)
            await settle_debt(connection, uid, subject)
            # What an auto-top-up is about to put there has its room already: the bank may have paid it by now.
            coming_minor = await connection.fetchval(query("top_ups.under_way"), uid)
            held = Money(await connection.fetchval(query("cards.balance"), uid) + coming_minor, row["currency"])
            if held.minor > rules.balance_max_minor:
                most, room = Money(rules.balance_max_minor, held.currency), held.minor - rules.balance_max_minor
                fits = Money(max(0, amount_minor - room), held.currency)
                raise Problem(
                    409, "Purse full", f"a purse holds {most} at most, and this one had {held} with it: {fits} fit in"
                )
            await audit(connection, subject, "top_up", f"card:{uid.hex()}", amount_minor=amount_minor)
            return Done()

        await self._books.once(subject, idempotency_key, ("top_up", uid_text, amount_minor), Done, put)
        return await self.get_card(uid_text)

    async def _check_amount(self, connection: Any, uid: bytes, amount_minor: int) -> None:
        """Lock a card and see what may be put on it: a replaced one, where late rides are owed, takes just that."""
        rules, currency = self._tariff.top_ups, self._tariff.currency
        await connection.fetchval(query("cards.lock"), uid)
        row = await connection.fetchrow(query("rating.account_exists"), uid)
        owed = row["debt_minor"] if row is not None else 0
        if await is_replaced(connection, uid):
            if owed and amount_minor == owed:
                return
            pay = f"; it owes {Money(owed, currency)}: put exactly that on it" if owed else ""
            raise Problem(409, "Card replaced", f"card {uid.hex()} was replaced by another one and is over{pay}")
        if not rules.min_minor <= amount_minor <= rules.max_minor:
            least, most = Money(rules.min_minor, currency), Money(rules.max_minor, currency)
            raise Problem(422, "Amount out of range", f"amount_minor: {least} to {most} can be put on a card at once")

    async def block(self, uid_text: str, reason: str, *, subject: str, removed: bool = False) -> Card:
        """Put a card on the deny list, or take it off."""
        uid = parse_card_uid(uid_text)
        await self.get_card(uid_text)
        async with self._books.writing() as connection:
            await check_in_use(connection, uid)
            await connection.fetchval(query("lists.deny"), "card", uid, removed, mask_text(reason))
            await audit(connection, subject, "unblock" if removed else "block", f"card:{uid.hex()}", reason=reason)
        return await self.get_card(uid_text)


async def settle_debt(connection: Any, uid: bytes, subject: str) -> None:
    """Pay what is owed on a card from its purse, as far as that goes; within a transaction that put money there."""
    row = await connection.fetchrow(query("rating.settle_debt"), uid)
    if row is not None:
        paid = ledger.debt_paid(uid, Money(row["amount_minor"], row["currency"]))
        await book(connection, paid, subject, card_uid=uid)


def _no_card(uid: bytes) -> Problem:
    return Problem(404, "No such card", f"no card {uid.hex()} is enrolled here")
