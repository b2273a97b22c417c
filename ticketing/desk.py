"""The desk: tickets sold, shown, revoked, suspended, resumed and refunded."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Meta

from sql import query
from ticketing import ledger, qr
from ticketing.account_rows import card_account
from ticketing.books import Books, Done, audit, book
from ticketing.card import parse_uid
from ticketing.config import TicketingSettings
from ticketing.credential import Claims, issue_jwt, issue_qr
from ticketing.days import service_day
from ticketing.errors import Problem
from ticketing.keys import IssuerKeys
from ticketing.keyset import DeviceKey, device_key_from_jwk, new_device_key
from ticketing.masking import mask_text
from ticketing.money import Money
from ticketing.payment_rows import return_purchase
from ticketing.refunds import Held, back_minor
from ticketing.tariff import Product, Tariff

LIST_SIZE = 1 << 20
"""Indices of one status list; half of them are given out, at random, so that an index tells nothing."""
SLOT_TRIES_MAX = 40
CLOCK_ERROR_S = 60.0
START_PAST_S_MAX, START_AHEAD_S_MAX = 86400, 366 * 86400


class SoldTicket(msgspec.Struct, frozen=True):
    """A ticket just sold, ready to be shown; times in Unix seconds, the price in minor units.

    token, jwt and qr_svg are null for a ticket on a city card: a code of it would be a second medium, free to copy.
    """

    id: str
    product_id: str
    token: str | None
    jwt: str | None
    valid_from: int
    valid_until: int
    qr_svg: str | None
    price_minor: int
    currency: str


class Ticket(msgspec.Struct, frozen=True):
    """A ticket as it stands in the books; times in Unix seconds, uses_allowed null for a pass.

    refunded_minor: what was given back for it, null where nothing was.
    """

    id: str
    product_id: str
    status: str
    valid_from: float
    valid_until: float
    uses: int
    uses_allowed: int | None
    networks: list[str]
    price_minor: int
    currency: str
    sold_at: float
    sold_by: str
    last_used_at: float | None
    last_place: str | None
    card_uid: str | None
    reason: str | None
    token: str | None
    jwt: str | None
    refunded_minor: int | None = None


class Change(msgspec.Struct):
    """Why a ticket or card is changed."""

    reason: Annotated[str, Meta(min_length=1, max_length=500)]


class Refunding(Change):
    """Why a ticket is given back; override (an admin's): all of its price, whatever the tariff says."""

    override: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """What is bought: a product from an instant on, on a passenger's device, a city card or neither; and from whom."""

    product: Product
    start_s: int
    subject: str
    device: DeviceKey | None = None
    card_uid: bytes | None = None
    paid_into: str = ledger.CASH


class Desk:
    """Everything that a cashier does with tickets; every method raises Problem for what cannot be done as asked."""

    def __init__(
        self,
        books: Books,
        keys: IssuerKeys,
        tariff: Tariff,
        settings: TicketingSettings,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._books = books
        self._keys = keys
        self._tariff = tariff
        self._settings = settings
        self._clock = clock
        self._lists_uri = f"{settings.public_url.rstrip('/')}/status-lists"

    @property
    def currency(self) -> str:
        """The currency of all prices."""
        return self._tariff.currency

    async def sell(
        self,
        product_id: str,
        *,
        subject: str,
        device_key: Mapping[str, object] | None = None,
        valid_from: float | None = None,
        card_uid: str | None = None,
        idempotency_key: str | None = None,
    ) -> SoldTicket:
        """Sell one ticket for cash; the same key and request again get the same ticket."""
        order = self.order(product_id, subject, device_key, valid_from, card_uid)

        async def sale(connection: Any) -> SoldTicket:
            return await self.sell_in(connection, order)

        asked = ("sell", product_id, device_key, valid_from, card_uid)
        return await self._books.once(subject, idempotency_key, asked, SoldTicket, sale)

    def order(
        self,
        product_id: str,
        subject: str,
        device_key: Mapping[str, object] | None,
        valid_from: float | None,
        card_uid: str | None = None,
    ) -> Order:
        """What is bought, checked; Problem says what is wrong with it."""
        product = self.get_product(product_id)
        now_s = self._clock()
        start_s = now_s if valid_from is None else valid_from
        if not now_s - START_PAST_S_MAX <= start_s <= now_s + START_AHEAD_S_MAX:
            raise Problem(422, "Validity out of range", "valid_from lies more than a day back or a year ahead")
        device = _device_key(device_key, product)
        return Order(product, int(start_s), subject, device, parse_card_uid(card_uid) if card_uid else None)

    async def get_ticket(self, ticket_id: str) -> Ticket:
        """A ticket with its credentials, made again from the books: they are a function of what was sold."""
        async with self._books.reading() as connection:
            row = await connection.fetchrow(query("tickets.get"), parse_ticket_id(ticket_id))
        if row is None:
            raise Problem(404, "No such ticket", f"no ticket {ticket_id} was sold here")
        fields = dict(row)
        device_key, number, index = (fields.pop(name) for name in ("device_key", "status_list", "status_index"))
        fields.pop("last_tap")
        token = jwt = None
        if row["card_uid"] is None:
            device = device_key_from_jwk(msgspec.json.decode(device_key)) if device_key else None
            claims = Claims(
                self._settings.issuer,
                UUID(bytes=row["id"].bytes),
                row["product_id"],
                int(row["valid_from"]),
                int(row["valid_until"]),
                tuple(row["networks"]),
                number,
                index,
                device_key=device,
            )
            token, jwt = self._credentials(claims)
        fields |= {"id": str(row["id"]), "card_uid": row["card_uid"] and row["card_uid"].hex()}
        return Ticket(**fields, token=token, jwt=jwt)

    async def last_end_s(self, sold_s: float) -> float | None:
        """When the last ticket ends of those sold until an instant and shown as a code; None where there is none."""
        async with self._books.reading() as connection:
            end_s: float | None = await connection.fetchval(query("tickets.last_end"), sold_s + CLOCK_ERROR_S)
        return end_s

    async def change_ticket(
        self, ticket_id: str, action: str, reason: str, *, subject: str, idempotency_key: str | None = None
    ) -> Ticket:
        """Revoke, suspend or resume a ticket."""
        uuid = parse_ticket_id(ticket_id)
        wanted = {"revoke": "revoked", "suspend": "suspended", "resume": "valid"}[action]

        async def change(connection: Any) -> Done:
            ticket = await self._lock(connection, uuid)
            if ticket["status"] == "revoked" and action in ("suspend", "resume"):
                raise Problem(409, "Ticket revoked", f"ticket {uuid} is revoked, and that is for good: sell a new one")
            await connection.execute(query("tickets.set_status"), uuid, wanted, mask_text(reason))
            if action == "resume" and ticket["status_s"] is not None:
                await self._rate_again(connection, ticket["card_uid"], ticket["status_s"])
            await audit(connection, subject, action, f"ticket:{uuid}", reason=reason)
            return Done()

        await self._books.once(subject, idempotency_key, (action, ticket_id, reason), Done, change)
        return await self.get_ticket(ticket_id)

    async def refund(
        self, ticket_id: str, wanted: Refunding, *, subject: str, idempotency_key: str | None = None
    ) -> Ticket:
        """Revoke a ticket and give back what the tariff says, the way it was paid; Problem 409 says why nothing is."""
        uuid = parse_ticket_id(ticket_id)

        async def give(connection: Any) -> Done:
            ticket = await self._lock(connection, uuid)
            sale = await _sale_to_reverse(connection, uuid)
            await _check_not_carried(connection, ticket["card_uid"])
            minor = self._back_minor(ticket, wanted.override)
            amount = Money(minor, sale["currency"])
            first = ledger.Transfer(
                ledger.Kind(sale["kind"]), sale["debit"], sale["credit"], Money(sale["amount_minor"], sale["currency"])
            )
            back = ledger.reversal(first, amount)
            await book(connection, back, subject, ticket_id=uuid, reverses=sale["id"])
            await return_purchase(connection, uuid, amount, self._clock())
            await connection.execute(query("tickets.give_back"), uuid, mask_text(wanted.reason))
            if not ticket["uses"]:
                await self._rate_again(connection, ticket["card_uid"], ticket["from_s"])
            said = {"reason": wanted.reason, "uses": ticket["uses"], "amount_minor": minor}
            action = "refund_override" if wanted.override else "refund"
            await audit(connection, subject, action, f"ticket:{uuid}", **said)
            return Done()

        asked = ("refund", ticket_id, wanted.reason, *((True,) if wanted.override else ()))
        await self._books.once(subject, idempotency_key, asked, Done, give)
        return await self.get_ticket(ticket_id)

    def _back_minor(self, ticket: Any, override: bool) -> int:
        if override:
            return int(ticket["price_minor"])
        held = Held(*(ticket[name] for name in Held._fields))
        back = back_minor(self._tariff.refund_of(ticket["product_id"]), held, self._clock())
        if isinstance(back, str):
            raise Problem(
                409,
                "Not refundable",
                f"{ticket['product_id']!r} brings nothing back: {back}. An admin may refund it all the same, with a "
                "reason (override)",
            )
        return back

    async def _rate_again(self, connection: Any, card_uid: bytes | None, since_s: float) -> None:
        """What a card, which is locked, holds has changed for the time since an instant: rides may cost otherwise."""
        now_s = self._clock()
        if card_uid is not None and since_s < now_s:
            day = service_day(since_s, self._tariff.service_day_start, self._tariff.zone)
            await connection.execute(query("rating.look_again"), card_account(card_uid), day, now_s)

    async def _lock(self, connection: Any, ticket_id: UUID) -> Any:
        await connection.fetchval(query("tickets.lock_card"), ticket_id)
        ticket = await connection.fetchrow(query("tickets.lock"), ticket_id)
        if ticket is None:
            raise Problem(404, "No such ticket", f"no ticket {ticket_id} was sold here")
        return ticket

    async def sell_in(self, connection: Any, order: Order) -> SoldTicket:
        """Sell within a transaction that is open already: ticket, ledger line and audit row."""
        sold = await self.place(connection, order)
        await audit(connection, order.subject, "sell", f"ticket:{sold.id}", product_id=sold.product_id)
        return sold

    async def place(self, connection: Any, order: Order) -> SoldTicket:
        """A sale but for its audit row, which the caller writes last of all."""
        product = order.product
        if product.categories and order.card_uid is not None:
            await self._check_category(connection, product, order.card_uid)
        if order.card_uid is not None:
            await connection.fetchval(query("cards.lock"), order.card_uid)
            await check_in_use(connection, order.card_uid)
        until_s = self._tariff.valid_until_s(product, order.start_s)
        ticket_id = UUID(bytes=secrets.token_bytes(16), version=4)
        number, index = await self._insert(connection, order, ticket_id, until_s)
        await self._rate_again(connection, order.card_uid, order.start_s)
        if product.price_minor:
            sale = ledger.sale(Money(product.price_minor, self._tariff.currency), order.paid_into)
            await book(connection, sale, order.subject, ticket_id=ticket_id, card_uid=order.card_uid)
        price = (product.price_minor, self._tariff.currency)
        if order.card_uid is not None:
            return SoldTicket(str(ticket_id), product.id, None, None, order.start_s, until_s, None, *price)
        claims = Claims(
            self._settings.issuer,
            ticket_id,
            product.id,
            order.start_s,
            until_s,
            product.networks,
            number,
            index,
            device_key=order.device,
        )
        token, jwt = self._credentials(claims)
        return SoldTicket(str(ticket_id), product.id, token, jwt, order.start_s, until_s, qr.svg(token), *price)

    def check_unseen(self, product: Product) -> None:
        """Problem 409 where a product is for a concession and nobody is there to see who has it."""
        if not self._tariff.may_hold(product, None):
            raise Problem(
                409,
                "Sold at desks",
                f"{product.id!r} is for {', '.join(product.categories)}: a desk sees who may have it",
            )

    async def _check_category(self, connection: Any, product: Product, card_uid: bytes) -> None:
        """A concession's product goes on a card whose holder has it: validators see no more than the card."""
        card = await connection.fetchrow(query("rating.account_exists"), card_uid)
        if card is not None and not self._tariff.may_hold(product, card["category"]):
            has = f"has the category {card['category']!r}" if card["category"] else "has no category"
            raise Problem(
                409,
                "Wrong category",
                f"{product.id!r} is for {', '.join(product.categories)}, and this card {has}: set it first",
            )

    def get_product(self, product_id: str) -> Product:
        """A product of the tariff; Problem 404 names those that there are."""
        product = self._tariff.products.get(product_id)
        if product is None:
            names = ", ".join(self._tariff.products)
            raise Problem(
                404, "No such product", f"product_id {product_id[:40]!r} is not in the tariff; it has: {names}"
            )
        return product

    async def _insert(self, connection: Any, order: Order, ticket_id: UUID, until_s: int) -> tuple[int, int]:
        """Insert a ticket at a random free place of the current status list: (list, index)."""
        product = order.product
        number = 1 + await connection.fetchval(query("tickets.next_slot")) // (LIST_SIZE // 2)
        jwk = msgspec.json.encode(order.device.jwk()).decode() if order.device else None
        terms = (order.start_s, until_s, product.rides, list(product.networks), product.passback_minutes)
        sale = (product.price_minor, self._tariff.currency, jwk, order.subject, product.riders)
        for _ in range(SLOT_TRIES_MAX):
            index = secrets.randbelow(LIST_SIZE)
            row = (ticket_id, product.id, order.card_uid, *terms, number, index, *sale)
            try:
                if await connection.fetchval(query("tickets.insert"), *row):
                    return number, index
            except asyncpg.ForeignKeyViolationError:
                raise Problem(404, "No such card", "this card is not enrolled here: enrol it first") from None
        raise Problem(503, "Status list crowded", "no free place was found in the status list: try again")

    def _credentials(self, claims: Claims) -> tuple[str, str]:
        return issue_qr(claims, self._keys.signer), issue_jwt(claims, self._keys.signer, self._lists_uri)


def parse_card_uid(text: str) -> bytes:
    """The 7 bytes of a card's UID; Problem 422 for anything else."""
    try:
        return parse_uid(text)
    except ValueError as error:
        raise Problem(422, "No card UID", str(error)) from None


def parse_ticket_id(text: str) -> UUID:
    """A ticket's id; Problem 404 for a text that cannot be one, since no ticket has it."""
    try:
        return UUID(text)
    except ValueError:
        raise Problem(404, "No such ticket", f"{text[:64]!r} is no ticket id") from None


def _device_key(jwk: Mapping[str, object] | None, product: Product) -> DeviceKey | None:
    if jwk is None:
        if product.proof:
            raise Problem(422, "Device key needed", f"{product.id!r} is shown with a device's proof: send device_key")
        return None
    try:
        return new_device_key(jwk)
    except ValueError as error:
        raise Problem(422, "Bad device key", str(error)) from None


async def check_in_use(connection: Any, uid: bytes) -> None:
    """Problem 409 for a card that has given way to another: nothing is put on it or taken off it any more."""
    if await connection.fetchval(query("replacing.is_replaced"), uid):
        raise Problem(409, "Card replaced", f"card {uid.hex()} was replaced by another one and is over")


async def _check_not_carried(connection: Any, card_uid: bytes | None) -> None:
    """Problem 409 where a card has given way to another: what its tickets were worth is there."""
    if card_uid is not None and await connection.fetchval(query("replacing.is_replaced"), card_uid):
        raise Problem(
            409, "Ticket carried", f"card {card_uid.hex()} was replaced, and what its tickets held is on the new card"
        )


async def _sale_to_reverse(connection: Any, ticket_id: UUID) -> Any:
    """The transfer by which a ticket was paid; Problem 409 where there is none, or it was given back."""
    sale = await connection.fetchrow(query("ledger.sale_of_ticket"), ticket_id)
    if sale is None:
        raise Problem(409, "Nothing to refund", f"ticket {ticket_id} was free of charge")
    if sale["reversed_by"] is not None:
        raise Problem(409, "Refunded already", f"the sale of ticket {ticket_id} has been reversed before")
    return sale
