"""Ticketing over HTTP: what desks ask about tickets and cards, and the other operations beside it.

deploy.web binds `routes()`; each handler's annotations are its schema, its docstring's first line its summary.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from ticketing.books import Books, Change
from ticketing.card import CardKeys
from ticketing.cards import Card, CardDesk, EnrolledCard
from ticketing.city_sales import Refund, Valid
from ticketing.city_schema import EVERYWHERE, Name
from ticketing.desk import Desk, Ticket
from ticketing.errors import Problem
from ticketing.inspection import Inspector
from ticketing.keys_api import KeysApi
from ticketing.lists import Lists
from ticketing.lists_api import ListsApi
from ticketing.refund_booking import Refunding
from ticketing.refunds_owed import PayOut, RefundsOwedApi
from ticketing.replacing import ReplacingApi
from ticketing.routes import Route
from ticketing.sales import Jwk, SoldTicket, Start, unix_s
from ticketing.service import Ticketing
from ticketing.shifts import Shifts
from ticketing.shifts_api import ShiftsApi
from ticketing.taps_api import TapsApi
from ticketing.tariff import Product, Tariff

Uid = Annotated[str, Meta(min_length=14, max_length=20)]


class ProductOffer(Struct, frozen=True):
    """A product as it is offered; rides null for a pass, proof true where it is shown with a device's proof.

    riders: how many travel on it together, by one use. valid: how long it lasts from its start, in one of five units.
    refund: what it brings when it is given back. categories: the concessions that it is for, empty for everybody.
    online: whether the passenger's page may sell it.
    """

    id: str
    name: Name
    price_minor: int
    currency: str
    rides: int | None
    networks: list[str]
    network_names: list[Name]
    passback_minutes: int
    proof: bool
    riders: int
    valid: Valid
    refund: Refund
    categories: list[str]
    online: bool


class Products(Struct, frozen=True):
    """The tariff's products; former: those of tariffs before, sold no more, of which tickets may still be valid."""

    products: list[ProductOffer]
    former: list[ProductOffer]


class Sale(Struct, forbid_unknown_fields=True):
    """What is bought; device_key is a JWK (OKP Ed25519, or EC P-256), valid_from Unix seconds or RFC 3339."""

    product_id: Annotated[str, Meta(max_length=64)]
    device_key: Jwk | None = None
    valid_from: Start | None = None
    card_uid: Uid | None = None


class Enrolment(Struct, forbid_unknown_fields=True):
    """Cards to enrol: under the newest key version where none is named, each with a product where one is."""

    uids: Annotated[list[Uid], Meta(min_length=1, max_length=1000)]
    key_version: int | None = None
    product_id: str | None = None


class Issue(Struct, forbid_unknown_fields=True):
    """A card that was written beforehand, to be given to a rider: under the newest key version where none is named."""

    key_version: int | None = None


class EnrolledCards(Struct, frozen=True):
    """The cards with the keys to write to them, shown this once."""

    cards: list[EnrolledCard]


class TopUp(Struct, forbid_unknown_fields=True):
    """Money for a card's purse, in minor units."""

    amount_minor: Annotated[int, Meta(gt=0, le=10**12)]


class TicketingApi:
    """The operations over one judge of taps: the desk's here, each other kind in a module of its own."""

    def __init__(self, service: Ticketing) -> None:
        self._service = service
        books = Books(service.store)
        settings, clock = service.settings, service.clock
        lists_uri = f"{settings.public_url.rstrip('/')}/status-lists"
        self.desk = Desk(books, service.keys, service.tariff, settings, clock)
        self.cards = CardDesk(books, self.desk.sales, service.tariff, clock)
        self.lists = Lists(books, service.keys, lists_uri, clock)
        self.lists.products = lambda: msgspec.json.encode(self._offers())
        service.gauge_sources.append(self.lists.gauges)
        self.shifts = ShiftsApi(Shifts(books, service.tariff.currency))
        self.inspector = Inspector(books, lambda: service.readers, clock)
        taps, keys = TapsApi(service, self.inspector), KeysApi(service, self.desk)
        self.replacing = ReplacingApi(books, self.cards, clock)
        self._others = (self.shifts, taps, keys, ListsApi(self.lists), self.replacing, RefundsOwedApi(books))

    def routes(self) -> list[Route]:
        """All the operations: the desk's own, and those on shifts, taps, keys and lists."""
        ticket, card = "/api/v1/tickets/{ticket_id}", "/api/v1/cards/{uid}"
        return [
            Route("GET", "/api/v1/products", "public", self.list_products),
            Route("POST", "/api/v1/tickets", "tickets:sell", self.sell, 201),
            Route("GET", ticket, "tickets:read", self.get_ticket),
            Route("POST", f"{ticket}/revoke", "tickets:change", self.revoke),
            Route("POST", f"{ticket}/suspend", "tickets:change", self.suspend),
            Route("POST", f"{ticket}/resume", "tickets:change", self.resume),
            Route("POST", f"{ticket}/refund", "tickets:change", self.refund),
            Route("POST", f"{ticket}/pay", "tickets:sell", self.pay),
            Route("POST", f"{ticket}/pay-out", "tickets:change", self.pay_out),
            Route("POST", "/api/v1/cards", "cards:manage", self.enrol, 201),
            Route("GET", card, "tickets:read", self.get_card),
            Route("POST", f"{card}/enrol", "tickets:change", self.enrol_one, 201),
            Route("POST", f"{card}/top-up", "tickets:sell", self.top_up),
            Route("POST", f"{card}/block", "tickets:change", self.block),
            Route("POST", f"{card}/unblock", "tickets:change", self.unblock),
            *(route for api in self._others for route in api.routes()),
        ]

    async def list_products(self) -> Annotated[Products, "public, max-age=0, must-revalidate"]:
        """What is sold, for how much."""
        return self._offers()

    def _offers(self) -> Products:
        tariff = self._service.tariff
        sold, former = (
            [_offer(tariff, product) for product in products.values()] for products in (tariff.products, tariff.former)
        )
        return Products(sold, former)

    async def sell(self, *, body: Sale, subject: str, role: str, idempotency_key: str | None) -> SoldTicket:
        """Sell a ticket: its credentials, and the QR code to show."""
        return await self.desk.sell(
            body.product_id,
            subject=subject,
            device_key=body.device_key,
            valid_from=unix_s(body.valid_from),
            card_uid=body.card_uid,
            unseen=role == "vendor",
            idempotency_key=idempotency_key,
        )

    async def get_ticket(self, ticket_id: str) -> Ticket:
        """A ticket as it stands in the books."""
        return await self.desk.get_ticket(ticket_id)

    async def revoke(self, ticket_id: str, *, body: Change, subject: str, idempotency_key: str | None) -> Ticket:
        """Revoke a ticket for good."""
        return await self._change(ticket_id, "revoke", body, subject, idempotency_key)

    async def suspend(self, ticket_id: str, *, body: Change, subject: str, idempotency_key: str | None) -> Ticket:
        """Suspend a ticket until it is resumed."""
        return await self._change(ticket_id, "suspend", body, subject, idempotency_key)

    async def resume(self, ticket_id: str, *, body: Change, subject: str, idempotency_key: str | None) -> Ticket:
        """Let a suspended ticket count again."""
        return await self._change(ticket_id, "resume", body, subject, idempotency_key)

    async def refund(
        self, ticket_id: str, *, body: Refunding, subject: str, role: str, idempotency_key: str | None
    ) -> Ticket:
        """Revoke a ticket and give back what the tariff says for it; an admin may give back all of it (override)."""
        if body.override and role != "admin":
            raise Problem(403, "Admins only", "override refunds against the tariff's rule: ask an admin")
        return await self.desk.refund(ticket_id, body, subject=subject, idempotency_key=idempotency_key)

    async def pay(self, ticket_id: str, *, subject: str, idempotency_key: str | None) -> Ticket:
        """Take in cash what a ticket that was given back owes for rides of before which were told of after that."""
        return await self.desk.take_owed(ticket_id, subject=subject, idempotency_key=idempotency_key)

    async def pay_out(self, ticket_id: str, *, body: PayOut, subject: str, idempotency_key: str | None) -> Ticket:
        """Pay in cash, out of one's open shift, what a ticket's bank would not take back."""
        return await self.desk.pay_out(ticket_id, body, subject=subject, idempotency_key=idempotency_key)

    async def enrol(self, *, body: Enrolment, subject: str, idempotency_key: str | None) -> EnrolledCards:
        """Enrol city cards; the answer holds the keys to write to them. Admins only."""
        keys = self._card_keys(body.key_version)
        cards = await self.cards.enrol(
            body.uids, keys, subject=subject, product_id=body.product_id, idempotency_key=idempotency_key
        )
        return EnrolledCards(cards)

    async def enrol_one(self, uid: str, *, body: Issue, subject: str, idempotency_key: str | None) -> Card:
        """Enrol at the desk a city card that was written beforehand; its keys are not told."""
        keys = self._card_keys(body.key_version)
        await self.cards.enrol([uid], keys, subject=subject, idempotency_key=idempotency_key)
        return await self.cards.get_card(uid)

    def _card_keys(self, version: int | None) -> CardKeys:
        """The keys of a version, of the newest where none is named; Problem 422 where there are none."""
        versions = {keys.version: keys for keys in self._service.card_keys}
        chosen = version if version is not None else max(versions, default=0)
        if chosen not in versions:
            known = ", ".join(str(number) for number in sorted(versions)) or "none"
            raise Problem(422, "No such key version", f"key_version {chosen} has no card keys here; there are: {known}")
        return versions[chosen]

    async def get_card(self, uid: str) -> Card:
        """A city card as it stands in the books."""
        return await self.cards.get_card(uid)

    async def top_up(self, uid: str, *, body: TopUp, subject: str, idempotency_key: str | None) -> Card:
        """Put money on a city card, taken in cash."""
        return await self.cards.top_up(uid, body.amount_minor, subject=subject, idempotency_key=idempotency_key)

    async def block(self, uid: str, *, body: Change, subject: str) -> Card:
        """Put a city card on the deny list."""
        return await self.cards.block(uid, body.reason, subject=subject)

    async def unblock(self, uid: str, *, body: Change, subject: str) -> Card:
        """Take a city card off the deny list."""
        return await self.cards.block(uid, body.reason, subject=subject, removed=True)

    async def _change(self, ticket_id: str, action: str, body: Change, subject: str, key: str | None) -> Ticket:
        return await self.desk.change_ticket(ticket_id, action, body.reason, subject=subject, idempotency_key=key)


def _offer(tariff: Tariff, product: Product) -> ProductOffer:
    return ProductOffer(
        product.id,
        product.name,
        product.price_minor,
        tariff.currency,
        product.rides,
        list(product.networks),
        [_network_name(tariff, network) for network in product.networks],
        product.passback_minutes,
        product.proof,
        product.riders,
        product.valid,
        product.refund,
        list(product.categories),
        product.id in tariff.products and tariff.may_hold(product, None),
    )


def _network_name(tariff: Tariff, network: str) -> Name:
    """What riders call a network; "*" is all of them."""
    if network == EVERYWHERE:
        return Name("Уся мережа", "The whole network")
    known = tariff.networks.get(network)  # a product that is sold no more may be of one that is gone, too
    return (known and known.name) or Name(network, network)
