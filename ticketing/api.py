"""Ticketing over HTTP: what desks, validators, controllers and third parties ask, as typed operations.

deploy.web binds `routes()`; each handler's annotations are its schema, its docstring's first line its summary.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from ticketing.activity import Activity
from ticketing.books import Books
from ticketing.cards import Card, CardDesk, EnrolledCard
from ticketing.city_schema import EVERYWHERE, Name, Refund, Valid
from ticketing.desk import Change, Desk, Refunding, SoldTicket, Ticket
from ticketing.errors import KeyFileError, Problem
from ticketing.inspection import Inspection, Inspector
from ticketing.lists import DenyList, Lists
from ticketing.routes import Route
from ticketing.service import Ticketing
from ticketing.shifts import Shift, Shifts
from ticketing.tariff import Tariff
from ticketing.verdict import Answer, Bank, Offline, Say, Tap, Verdict

TAPS_AT_ONCE_MAX = 1000
_UUID = "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"

Id = Annotated[str, Meta(min_length=1, max_length=128)]
UnixTime = Annotated[float, Meta(ge=-1e11, le=1e11)]
Uid = Annotated[str, Meta(min_length=14, max_length=20)]


class ProductOffer(Struct, frozen=True):
    """A product as it is offered; rides null for a pass, proof true where it is shown with a device's proof.

    riders: how many travel on it together, by one use. valid: for how long from its start, one of the five. refund:
    what it brings when it is given back. categories: the concessions that it is for, empty for everybody; online:
    whether the passenger's page may sell it.
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
    """The tariff's products."""

    products: list[ProductOffer]


class Sale(Struct, forbid_unknown_fields=True):
    """What is bought; device_key is a JWK (OKP Ed25519, or EC P-256), valid_from Unix seconds."""

    product_id: Annotated[str, Meta(max_length=64)]
    device_key: dict[str, str] | None = None
    valid_from: UnixTime | None = None
    card_uid: Uid | None = None


class TapBody(Struct):
    """A tap as validators send it, the same as over MQTT."""

    id: Annotated[str, Meta(pattern=_UUID)]
    boot: Annotated[str, Meta(min_length=1, max_length=64)]
    seq: Annotated[int, Meta(ge=0, le=2**53)]
    ts: UnixTime
    medium: Literal["qr", "card", "bank"]
    token: Annotated[str, Meta(max_length=8192)]
    bank: Bank | None = None
    vehicle: Id | None = None
    stop_id: Id | None = None
    lat: Annotated[float, Meta(ge=-90, le=90)] | None = None
    lon: Annotated[float, Meta(ge=-180, le=180)] | None = None
    offline: Offline | None = None


class AnswerBody(Struct, frozen=True):
    """What a tap is told, the same as over MQTT; reason only where there is one."""

    id: str
    verdict: Verdict
    retry: bool
    until_ts: float | None
    charged_minor: int | None
    currency: str | None
    say: Say
    reason: str | UnsetType = UNSET


class InspectionBody(Struct):
    """A medium to look at, and the vehicle on which the controller stands."""

    token: Annotated[str, Meta(max_length=8192)]
    medium: Literal["qr", "card"] = "qr"
    vehicle: Id | None = None


class Enrolment(Struct, forbid_unknown_fields=True):
    """Cards to enrol: under the newest key version where none is named, each with a product where one is."""

    uids: Annotated[list[Uid], Meta(min_length=1, max_length=1000)]
    key_version: int | None = None
    product_id: str | None = None


class EnrolledCards(Struct, frozen=True):
    """The cards with the keys to write to them, shown this once."""

    cards: list[EnrolledCard]


class TopUp(Struct, forbid_unknown_fields=True):
    """Money for a card's purse, in minor units."""

    amount_minor: Annotated[int, Meta(gt=0, le=10**12)]


class ShiftOpening(Struct, forbid_unknown_fields=True):
    """The cash in the drawer at the start, in minor units."""

    float_minor: Annotated[int, Meta(ge=0, le=10**12)] = 0


class ShiftClosing(Struct, forbid_unknown_fields=True):
    """The cash counted in the drawer at the end, in minor units."""

    counted_minor: Annotated[int, Meta(ge=0, le=10**12)]


class ShiftList(Struct, frozen=True):
    """Shifts, newest first."""

    shifts: list[Shift]


class CardKeyVersions(Struct, frozen=True):
    """The card key versions in use, newest first."""

    versions: list[int]


class IssuerKeyState(Struct, frozen=True):
    """An issuer key: next, signing or old; needed_until is when the last ticket that it may have signed ends."""

    kid: str
    signing: bool
    needed_until: float | None


class IssuerKeyStates(Struct, frozen=True):
    """The issuer's keys."""

    keys: list[IssuerKeyState]


class Jwks(Struct, frozen=True):
    """A JWK set (RFC 7517)."""

    keys: list[dict[str, str]]


class TicketingApi:
    """The operations over one judge of taps and its desk."""

    def __init__(self, service: Ticketing) -> None:
        self._service = service
        books = Books(service.store)
        settings, clock = service.settings, service.clock
        lists_uri = f"{settings.public_url.rstrip('/')}/status-lists"
        self.desk = Desk(books, service.keys, service.tariff, settings, clock)
        self.cards = CardDesk(books, self.desk, service.tariff, clock)
        self.lists = Lists(books, service.keys, lists_uri, clock)
        service.gauge_sources.append(self.lists.gauges)
        self.shifts = Shifts(books, service.tariff.currency)
        self.inspector = Inspector(books, lambda: service.readers, clock)

    def routes(self) -> list[Route]:
        """The operations."""
        ticket, card = "/api/v1/tickets/{ticket_id}", "/api/v1/cards/{uid}"
        return [
            Route("GET", "/api/v1/products", "public", self.list_products),
            Route("POST", "/api/v1/tickets", "tickets:sell", self.sell, 201),
            Route("GET", ticket, "tickets:read", self.get_ticket),
            Route("POST", f"{ticket}/revoke", "tickets:change", self.revoke),
            Route("POST", f"{ticket}/suspend", "tickets:change", self.suspend),
            Route("POST", f"{ticket}/resume", "tickets:change", self.resume),
            Route("POST", f"{ticket}/refund", "tickets:change", self.refund),
            Route("POST", "/api/v1/shifts", "tickets:sell", self.open_shift, 201),
            Route("GET", "/api/v1/shifts", "tickets:sell", self.list_shifts),
            Route("GET", "/api/v1/shifts/{shift_id}", "tickets:sell", self.get_shift),
            Route("POST", "/api/v1/shifts/{shift_id}/close", "tickets:sell", self.close_shift),
            Route("POST", "/api/v1/validations", "validations:create", self.validate),
            Route("POST", "/api/v1/inspections", "inspections:create", self.inspect),
            Route("POST", "/api/v1/cards", "cards:manage", self.enrol, 201),
            Route("POST", "/api/v1/card-keys/reload", "cards:manage", self.reload_card_keys),
            Route("GET", "/api/v1/issuer-keys", "cards:manage", self.issuer_keys),
            Route("POST", "/api/v1/issuer-keys/reload", "cards:manage", self.reload_issuer_keys),
            Route("GET", card, "tickets:read", self.get_card),
            Route("POST", f"{card}/top-up", "tickets:sell", self.top_up),
            Route("POST", f"{card}/block", "tickets:change", self.block),
            Route("POST", f"{card}/unblock", "tickets:change", self.unblock),
            Route("GET", "/api/v1/ticketing/activity", "activity:read", self.activity),
            Route("GET", "/.well-known/jwks.json", "public", self.jwks),
            Route("GET", "/.well-known/cose-keys", "public", self.cose_keys),
            Route("GET", "/status-lists/{list_id}", "public", self.status_list),
            Route("GET", "/status-lists/{list_id}/cwt", "public", self.status_list_cwt),
            Route("GET", "/deny-list", "public", self.deny_list),
        ]

    async def list_products(self) -> Products:
        """What is sold, for how much."""
        tariff = self._service.tariff
        return Products(
            [
                ProductOffer(
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
                    tariff.may_hold(product, None),
                )
                for product in tariff.products.values()
            ]
        )

    async def sell(self, *, body: Sale, subject: str, role: str, idempotency_key: str | None) -> SoldTicket:
        """Sell a ticket: its credentials, and the QR code to show."""
        if role == "vendor" and body.card_uid is None:
            self.desk.check_unseen(self.desk.get_product(body.product_id))
        return await self.desk.sell(
            body.product_id,
            subject=subject,
            device_key=body.device_key,
            valid_from=body.valid_from,
            card_uid=body.card_uid,
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

    async def open_shift(self, *, body: ShiftOpening, subject: str) -> Shift:
        """Open a cashier's shift: what the cashier sells and refunds from now on belongs to it."""
        return await self.shifts.open(subject, body.float_minor)

    async def list_shifts(self, *, subject: str, role: str) -> ShiftList:
        """One's own shifts, newest first; an admin sees everybody's."""
        return ShiftList(await self.shifts.list_shifts(whose=_whose(subject, role)))

    async def get_shift(self, shift_id: int, *, subject: str, role: str) -> Shift:
        """A shift's report from the ledger; one's own, an admin sees everybody's."""
        return await self.shifts.get(shift_id, whose=_whose(subject, role))

    async def close_shift(self, shift_id: int, *, body: ShiftClosing, subject: str, role: str) -> Shift:
        """Close a shift by counting the drawer; a difference to the ledger is booked and shown."""
        whose = _whose(subject, role)
        return await self.shifts.close(shift_id, body.counted_minor, subject=subject, whose=whose)

    async def validate(self, *, body: TapBody | list[TapBody], subject: str) -> AnswerBody | list[AnswerBody]:
        """Judge one tap, or a list of them: one answer each, in order. A refused tap is a verdict, not an error."""
        bodies = body if isinstance(body, list) else [body]
        if len(bodies) > TAPS_AT_ONCE_MAX:
            raise Problem(422, "Too many taps", f"a request holds at most {TAPS_AT_ONCE_MAX} taps")
        operator, _, device = subject.rpartition(":")
        now_s = self._service.clock()
        taps = [_tap(tap, operator, device, now_s) for tap in bodies]
        answers = await self._service.validate(taps)
        if isinstance(body, list):
            return [_answer(answer) for answer in answers]
        if answers[0].reason == "id_reused":
            raise Problem(409, "Tap id reused", f"this device sent another tap under the id {body.id}: make a new id")
        return _answer(answers[0])

    async def inspect(self, *, body: InspectionBody) -> Inspection:
        """What a controller sees of a ticket or card: is it good, and where was it last used."""
        return await self.inspector.inspect(body.medium, body.token, body.vehicle)

    async def enrol(self, *, body: Enrolment, subject: str) -> EnrolledCards:
        """Enrol city cards; the answer holds the keys to write to them. Admins only."""
        versions = {keys.version: keys for keys in self._service.card_keys}
        chosen = body.key_version if body.key_version is not None else max(versions, default=0)
        if chosen not in versions:
            known = ", ".join(str(version) for version in sorted(versions)) or "none"
            raise Problem(422, "No such key version", f"key_version {chosen} has no card keys here; there are: {known}")
        cards = await self.cards.enrol(body.uids, versions[chosen], subject=subject, product_id=body.product_id)
        return EnrolledCards(cards)

    async def reload_card_keys(self) -> CardKeyVersions:
        """Read the card key file again, after an import. Admins only."""
        self._service.reload_card_keys()
        return CardKeyVersions([keys.version for keys in self._service.card_keys])

    async def issuer_keys(self, *, replaced_at: UnixTime | None = None) -> IssuerKeyStates:
        """The issuer's keys, and until when those replaced at an instant (now, where none is named) are needed."""
        keys = self._service.keys
        at_s = self._service.clock() if replaced_at is None else replaced_at
        needed_until_s = await self.desk.last_end_s(at_s)
        return IssuerKeyStates(
            [IssuerKeyState(key.kid.hex(), key.kid == keys.signer.kid, needed_until_s) for key in keys.key_set.keys]
        )

    async def reload_issuer_keys(self) -> IssuerKeyStates:
        """Read the issuer's keys again, after one was published, used or retired. Admins only."""
        try:
            self._service.reload_issuer_keys()
        except KeyFileError as error:
            raise Problem(409, "Keys unreadable", str(error)) from None
        return await self.issuer_keys()

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

    async def activity(self) -> Activity:
        """How many taps a minute, and since when judging has been impossible, if it is."""
        return self._service.activity()

    async def jwks(self) -> Annotated[bytes, Jwks, "public, max-age=300"]:
        """The issuer's public keys as a JWK set."""
        return msgspec.json.encode(self._service.keys.key_set.jwks())

    async def cose_keys(self) -> Annotated[bytes, "application/cose-key-set", "public, max-age=300"]:
        """The issuer's public keys as a COSE key set."""
        return self._service.keys.key_set.cose_keys()

    async def status_list(self, list_id: int) -> Annotated[str, "application/statuslist+jwt", "public, max-age=15"]:
        """A token status list: two bits a ticket, signed."""
        return await self.lists.status_list(list_id)

    async def status_list_cwt(
        self, list_id: int
    ) -> Annotated[bytes, "application/statuslist+cwt", "public, max-age=15"]:
        """The same status list as a CWT."""
        return await self.lists.status_list_cwt(list_id)

    async def deny_list(self, *, after: int = 0) -> DenyList:
        """The media refused everywhere, as changes after a number."""
        return await self.lists.deny_list(max(after, 0))

    async def _change(self, ticket_id: str, action: str, body: Change, subject: str, key: str | None) -> Ticket:
        return await self.desk.change_ticket(ticket_id, action, body.reason, subject=subject, idempotency_key=key)


def _network_name(tariff: Tariff, network: str) -> Name:
    """What riders call a network; "*" is all of them."""
    if network == EVERYWHERE:
        return Name("Уся мережа", "The whole network")
    return tariff.networks[network].name or Name(network, network)


def _whose(subject: str, role: str) -> str | None:
    """Whose shifts may be seen: an admin's None is everybody's."""
    return None if role == "admin" else subject


def _tap(body: TapBody, operator: str, device: str, received_s: float) -> Tap:
    return Tap(
        body.id,
        body.boot,
        body.seq,
        body.ts,
        body.medium,
        body.token,
        body.bank,
        body.vehicle,
        body.stop_id,
        body.lat,
        body.lon,
        body.offline,
        operator,
        device,
        received_s,
    )


def _answer(answer: Answer) -> AnswerBody:
    return AnswerBody(
        answer.id,
        answer.verdict,
        answer.retry,
        answer.until_ts,
        answer.charged_minor,
        answer.currency,
        answer.say,
        UNSET if answer.reason is None else answer.reason,
    )
