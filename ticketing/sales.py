"""Sales of tickets: what may be bought, and how it is entered into the books, within a transaction that is open."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Meta

from sql import query
from ticketing import ledger, qr
from ticketing.account_rows import card_account
from ticketing.books import audit, book
from ticketing.card_checks import check_in_use, parse_card_uid
from ticketing.claims import Claims
from ticketing.config import TicketingSettings
from ticketing.days import service_day
from ticketing.device_key import DeviceKey, new_device_key
from ticketing.errors import Problem
from ticketing.keys import IssuerKeys
from ticketing.money import Money
from ticketing.status_places import take_place
from ticketing.tariff import Product, Tariff
from ticketing.ticket_cwt import issue_qr
from ticketing.ticket_jwt import issue_jwt

START_PAST_S_MAX, START_AHEAD_S_MAX = 86400, 366 * 86400

Jwk = dict[str, Any]
"""A JWK (RFC 7517): members that a ticket has no use for are ignored, such as `key_ops` and `ext` of browsers."""
Start = Annotated[float, Meta(ge=-1e11, le=1e11)] | Annotated[datetime, Meta(tz=True)]
"""When a ticket begins: Unix seconds, or RFC 3339."""


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


def unix_s(start: Start | None) -> float | None:
    """A beginning in Unix seconds, however it was written."""
    return start.timestamp() if isinstance(start, datetime) else start


@dataclass(frozen=True, slots=True)
class Order:
    """What is bought: a product from an instant on, on a passenger's device, a city card or neither; and from whom."""

    product: Product
    start_s: int
    subject: str
    device: DeviceKey | None = None
    card_uid: bytes | None = None
    paid_into: str = ledger.CASH


class Sales:
    """What desks, the online shop and the enrolment of cards sell alike; Problem says what cannot be done as asked."""

    def __init__(
        self,
        keys: IssuerKeys,
        tariff: Tariff,
        settings: TicketingSettings,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.tariff = tariff
        self.issuer = settings.issuer
        self._keys = keys
        self._clock = clock
        self._lists_uri = f"{settings.public_url.rstrip('/')}/status-lists"

    @property
    def currency(self) -> str:
        """The currency of all prices."""
        return self.tariff.currency

    def get_product(self, product_id: str) -> Product:
        """A product of the tariff; Problem 404 names those that there are."""
        product = self.tariff.products.get(product_id)
        if product is None:
            names = ", ".join(self.tariff.products)
            raise Problem(
                404, "No such product", f"product_id {product_id[:40]!r} is not in the tariff; it has: {names}"
            )
        return product

    def check_unseen(self, product: Product) -> None:
        """Problem 409 where a product is for a concession and nobody is there to see who has it."""
        if not self.tariff.may_hold(product, None):
            raise Problem(
                409,
                "Sold at desks",
                f"{product.id!r} is for {', '.join(product.categories)}: a desk sees who may have it",
            )

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

    async def sell(self, connection: Any, order: Order) -> SoldTicket:
        """Enter a sale into the books: ticket, ledger line and audit row."""
        sold = await self.enter(connection, order)
        await audit(connection, order.subject, "sell", f"ticket:{sold.id}", product_id=sold.product_id)
        return sold

    async def enter(self, connection: Any, order: Order) -> SoldTicket:
        """Enter a sale but for its audit row, which the caller writes last of all."""
        product = order.product
        if product.categories and order.card_uid is not None:
            await self._check_category(connection, product, order.card_uid)
        if order.card_uid is not None:
            await connection.fetchval(query("cards.lock"), order.card_uid)
            await check_in_use(connection, order.card_uid)
        until_s = self.tariff.valid_until_s(product, order.start_s)
        ticket_id = UUID(bytes=secrets.token_bytes(16), version=4)
        number, index = await self._insert(connection, order, ticket_id, until_s)
        await self.rate_again(connection, order.card_uid, order.start_s)
        if product.price_minor:
            sale = ledger.sale(Money(product.price_minor, self.tariff.currency), order.paid_into)
            await book(connection, sale, order.subject, ticket_id=ticket_id, card_uid=order.card_uid)
        price = (product.price_minor, self.tariff.currency)
        if order.card_uid is not None:
            return SoldTicket(str(ticket_id), product.id, None, None, order.start_s, until_s, None, *price)
        claims = Claims(
            self.issuer,
            ticket_id,
            product.id,
            order.start_s,
            until_s,
            product.networks,
            number,
            index,
            device_key=order.device,
        )
        token, jwt = self.credentials(claims)
        return SoldTicket(str(ticket_id), product.id, token, jwt, order.start_s, until_s, qr.svg(token), *price)

    async def _insert(self, connection: Any, order: Order, ticket_id: UUID, until_s: int) -> tuple[int, int]:
        """Insert a ticket; its place in the status lists."""
        product, device = order.product, order.device
        jwk = msgspec.json.encode(device.jwk()).decode() if device else None
        terms = (order.start_s, until_s, product.rides, list(product.networks), product.passback_minutes)
        sale = (product.price_minor, self.tariff.currency, jwk, order.subject, product.riders)

        def insert(*place: int) -> Any:
            row = (ticket_id, product.id, order.card_uid, *terms, *place, *sale)
            return connection.fetchval(query("tickets.insert"), *row)

        try:
            return await take_place(connection, insert)
        except asyncpg.ForeignKeyViolationError:
            raise Problem(404, "No such card", "this card is not enrolled here: enrol it first") from None

    def credentials(self, claims: Claims) -> tuple[str, str]:
        """A ticket as it is shown: the text of its QR code, and its JWT."""
        return issue_qr(claims, self._keys.signer), issue_jwt(claims, self._keys.signer, self._lists_uri)

    async def rate_again(self, connection: Any, card_uid: bytes | None, since_s: float) -> None:
        """What a card, which is locked, holds has changed for the time since an instant: rides may cost otherwise."""
        now_s = self._clock()
        if card_uid is not None and since_s < now_s:
            day = service_day(since_s, self.tariff.service_day_start, self.tariff.zone)
            await connection.execute(query("rating.look_again"), card_account(card_uid), day, now_s)

    async def _check_category(self, connection: Any, product: Product, card_uid: bytes) -> None:
        """A concession's product goes on a card whose holder has it: validators see no more than the card."""
        card = await connection.fetchrow(query("rating.account_exists"), card_uid)
        if card is not None and not self.tariff.may_hold(product, card["category"]):
            has = f"has the category {card['category']!r}" if card["category"] else "has no category"
            raise Problem(
                409,
                "Wrong category",
                f"{product.id!r} is for {', '.join(product.categories)}, and this card {has}: set it first",
            )


def _device_key(jwk: Mapping[str, object] | None, product: Product) -> DeviceKey | None:
    if jwk is None:
        if product.proof:
            raise Problem(422, "Device key needed", f"{product.id!r} is shown with a device's proof: send device_key")
        return None
    try:
        return new_device_key(jwk)
    except ValueError as error:
        raise Problem(422, "Bad device key", str(error)) from None
