"""The online sale: a ticket is paid at the acquirer first and issued then, exactly once whatever gets lost between.

A purchase and its payment are written down before anything is asked. The ticket is issued in the transaction that books
the acquirer's answer, by whoever gets it: the request that asked, its retry, or the worker that asks again later.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from sql import query
from ticketing import ledger, qr
from ticketing.books import Books
from ticketing.city_schema import Name
from ticketing.desk import Desk
from ticketing.device_key import device_key_from_jwk
from ticketing.errors import Problem
from ticketing.money import Money
from ticketing.operations import IN_HAND_S, Operations
from ticketing.payment import Approved, Declined, bad_token, in_letters, letters, medium_key, operation_key
from ticketing.payment_rows import ONLINE, Operation, book_payment, write_down
from ticketing.routes import Route
from ticketing.sales import Jwk, Order, Start, unix_s
from ticketing.tariff import Product

TRIES_AT_ONCE_MAX = 100
"""Purchases under way at once; one more is told to wait."""

PaymentState = Literal["pending", "approved", "declined", "returned"]


class Method(Struct, forbid_unknown_fields=True):
    """How it is paid: the acquirer's token of the card, never its number."""

    method_token: Annotated[str, Meta(min_length=1, max_length=128)]


class PurchaseOrder(Struct, forbid_unknown_fields=True):
    """What is bought; device_key is a JWK (OKP Ed25519, or EC P-256), valid_from Unix seconds or RFC 3339."""

    product_id: Annotated[str, Meta(max_length=64)]
    payment: Method
    device_key: Jwk | None = None
    valid_from: Start | None = None


class PurchaseReceipt(Struct, frozen=True):
    """What was paid for what, and when (Unix seconds)."""

    number: str
    product: Name
    amount_minor: int
    currency: str
    paid_at: float


class Purchase(Struct, frozen=True):
    """A purchase, and its ticket (id, token, jwt, ...) once it is paid: those are null while the payment is pending."""

    purchase_id: str
    payment: PaymentState
    product_id: str
    price_minor: int
    currency: str
    id: str | None = None
    token: str | None = None
    jwt: str | None = None
    valid_from: float | None = None
    valid_until: float | None = None
    qr_svg: str | None = None
    receipt: PurchaseReceipt | None = None
    reason: str | None = None


class _Request:
    """What a client asks for and under which key, if any.

    payment_key follows from both: where a backup was restored that does not know the purchase, the acquirer does, and
    its client's retry is not paid for again.
    """

    def __init__(self, wanted: PurchaseOrder, client_key: str | None) -> None:
        self.wanted = wanted
        self.hash = hashlib.sha256(msgspec.msgpack.encode(wanted)).digest()
        self.client_key: bytes | None = None
        self.payment_key: str | None = None
        if client_key:
            self.client_key = hashlib.sha256(client_key.encode()).digest()
            self.payment_key = operation_key("purchase", self.client_key.hex(), self.hash.hex())


class Purchases:
    """Sells over the passenger's page; books what the acquirer says about it."""

    def __init__(self, books: Books, desk: Desk, operations: Operations) -> None:
        self._books = books
        self._desk = desk
        self._operations = operations
        self._under_way = 0
        operations.of_purchases = self

    async def buy(self, wanted: PurchaseOrder, client_key: str | None) -> Purchase:
        """Pay and issue; the same key and order again is the same purchase. Problem 402 where it was declined."""
        if why := bad_token(wanted.payment.method_token):
            raise Problem(422, "Bad payment token", f"payment.method_token: {why}")
        if self._under_way >= TRIES_AT_ONCE_MAX:
            raise Problem(503, "Busy", "too many purchases are under way: try again in a moment")
        request = _Request(wanted, client_key)
        self._under_way += 1
        try:
            # First whether it was bought before: that holds whatever is sold by now.
            purchase_id = await self._find(request) or await self._write_down(request)
            await self._operations.ask_now(request.payment_key or purchase_id)
        finally:
            self._under_way -= 1
        purchase = await self.get(purchase_id)
        if purchase.payment == "declined":
            raise Problem(402, "Payment declined", f"the card was declined ({purchase.reason}): nothing was bought")
        return purchase

    async def get(self, purchase_id: str) -> Purchase:
        """A purchase as it stands; Problem 404 where there is none."""
        async with self._books.reading() as connection:
            row = await connection.fetchrow(query("payments.get_purchase"), purchase_id)
        if row is None:
            raise Problem(404, "No such purchase", "there is no purchase under this id")
        purchase = Purchase(
            row["id"], row["state"], row["product_id"], row["price_minor"], row["currency"], reason=row["reason"]
        )
        if row["ticket_id"] is None:
            return purchase
        ticket = await self._desk.get_ticket(str(row["ticket_id"]))
        assert ticket.token is not None  # it is on no city card
        product = msgspec.json.decode(row["product"], type=Product)
        return msgspec.structs.replace(
            purchase,
            id=ticket.id,
            token=ticket.token,
            jwt=ticket.jwt,
            valid_from=ticket.valid_from,
            valid_until=ticket.valid_until,
            qr_svg=qr.svg(ticket.token),
            receipt=PurchaseReceipt(row["id"], product.name, row["price_minor"], row["currency"], row["done_at"]),
        )

    async def settle(self, connection: Any, operation: Operation, outcome: Approved | Declined) -> None:
        """Issue what was paid, or let it be; what was given back needs nothing more, but where the bank refuses it."""
        if operation.kind == "refund" and isinstance(outcome, Declined):
            await self._owe(connection, operation, outcome)
        if operation.kind != "charge":
            return
        row = await connection.fetchrow(query("payments.lock_purchase"), operation.purchase_id)
        if row["state"] != "pending":
            return
        now_s = self._operations.clock()
        if isinstance(outcome, Declined):
            await connection.execute(
                query("payments.settle_purchase"), row["id"], "declined", outcome.reason, None, None, now_s
            )
            return
        await self._issue(connection, row, outcome, now_s)

    async def _owe(self, connection: Any, operation: Operation, outcome: Declined) -> None:
        """A refund was booked when it was given, and has not happened: the books say whose the money is."""
        assert operation.amount is not None
        reason = (operation.purchase_id, outcome.reason)
        ticket_id = await connection.fetchval(query("payments.note_refund_declined"), *reason)
        owed = ledger.refund_declined(operation.amount)
        await book_payment(connection, owed, operation.key, ticket_id=ticket_id)

    async def _issue(self, connection: Any, row: Any, outcome: Approved, now_s: float) -> None:
        """The ticket as it was offered when it was paid for, whatever the tariff says by now."""
        product = msgspec.json.decode(row["product"], type=Product)
        device = device_key_from_jwk(msgspec.json.decode(row["device_key"])) if row["device_key"] else None
        order = Order(product, self._start_s(product, row, now_s), ONLINE, device, paid_into=ledger.ACQUIRER)
        sold = await self._desk.sales.sell(connection, order)
        done = ("approved", None, UUID(sold.id), in_letters(outcome.id), now_s)
        await connection.execute(query("payments.settle_purchase"), row["id"], *done)

    def _start_s(self, product: Product, row: Any, now_s: float) -> int:
        """When a ticket begins: as it was ordered, and now where the bank's answer took so long that time was lost."""
        start_s = int(row["start_s"])
        at_once = start_s <= row["made_s"]
        over = self._desk.sales.tariff.valid_until_s(product, start_s) <= now_s
        return int(now_s) if now_s > row["made_s"] + IN_HAND_S and (at_once or over) else start_s

    async def _find(self, request: _Request) -> str | None:
        """The purchase of the same client key; Problem 422 where that was another one."""
        if request.client_key is None:
            return None
        async with self._books.reading() as connection:
            before = await connection.fetchrow(query("payments.find_purchase"), request.client_key)
        if before is not None and before["request_hash"] != request.hash:
            raise Problem(422, "Idempotency-Key reused", "it was used for another request: make a new one")
        return before and str(before["id"])

    async def _write_down(self, request: _Request) -> str:
        """The purchase's id: a new one with its payment, or that of the same client key, made meanwhile."""
        now_s, wanted, sales = self._operations.clock(), request.wanted, self._desk.sales
        order = sales.order(wanted.product_id, ONLINE, wanted.device_key, unix_s(wanted.valid_from))
        product, currency = order.product, sales.currency
        sales.check_unseen(product)
        purchase_id = letters(secrets.token_bytes(16))
        jwk = msgspec.json.encode(order.device.jwk()).decode() if order.device else None
        row = (purchase_id, request.client_key, request.hash)
        terms = (product.id, msgspec.json.encode(product).decode(), product.price_minor, currency, order.start_s, jwk)
        async with self._books.writing() as connection:
            made = await connection.fetchval(query("payments.insert_purchase"), *row, *terms, now_s)
            if made is not None and product.price_minor:
                token = in_letters(wanted.payment.method_token)
                amount = Money(product.price_minor, currency)
                key = request.payment_key or purchase_id
                await write_down(connection, Operation(key, "charge", amount, token, purchase_id=purchase_id), now_s)
            elif made is not None:
                purchase = await connection.fetchrow(query("payments.lock_purchase"), purchase_id)
                await self._issue(connection, purchase, Approved("free"), now_s)
        if made is not None:
            return purchase_id
        found = await self._find(request)
        assert found is not None  # it was there, and purchases stay
        return found


class PurchaseApi:
    """The online sale over HTTP. may_ask says how long (s) a caller by its name has to wait, 0 for not at all."""

    def __init__(self, purchases: Purchases | None, may_ask: Callable[[str], float]) -> None:
        self._purchases = purchases
        self._may_ask = may_ask

    def routes(self) -> list[Route]:
        """The operations."""
        return [
            Route("POST", "/api/v1/purchases", "public", self.buy, 201),
            Route("GET", "/api/v1/purchases/{purchase_id}", "public", self.get),
        ]

    async def buy(
        self, *, body: PurchaseOrder, request: Any, idempotency_key: str | None
    ) -> Annotated[Purchase, "no-store"]:
        """Buy a ticket with a payment card; `payment` is pending where the acquirer has yet to answer: ask again."""
        purchases = self._open()
        # Whoever tries out stolen cards tries many from one place, or one in many places.
        card = medium_key(body.payment.method_token).hex()
        for caller in (f"address {request.remote}", f"card {card}"):
            if self._may_ask(caller) > 0:
                raise Problem(
                    429, "Too many purchases", "too many purchases from here or with this card: wait a little"
                )
        return await purchases.buy(body, idempotency_key)

    async def get(self, purchase_id: Annotated[str, Meta(pattern="^[a-p]{32}$")]) -> Annotated[Purchase, "no-store"]:
        """A purchase as it stands; its id is known to the buyer alone."""
        return await self._open().get(purchase_id)

    def _open(self) -> Purchases:
        if self._purchases is None:
            raise Problem(503, "Online sale off", "no acquirer is set here: set payments.url to sell online")
        return self._purchases
