"""The desk: tickets sold, shown, revoked, suspended, resumed and refunded."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

import msgspec

from sql import query
from ticketing import late_codes, refunds_owed
from ticketing.books import Books, Done, audit
from ticketing.claims import Claims
from ticketing.config import TicketingSettings
from ticketing.device_key import device_key_from_jwk
from ticketing.errors import Problem
from ticketing.keys import IssuerKeys
from ticketing.masking import mask_text
from ticketing.refund_booking import Refunding, Refunds
from ticketing.sales import Sales, SoldTicket
from ticketing.tariff import Tariff

CLOCK_ERROR_S = 60.0


class Ticket(msgspec.Struct, frozen=True):
    """A ticket as it stands in the books; times in Unix seconds, uses_allowed null for a pass.

    refunded_minor: what was given back for it, null where nothing was. owed_minor: for rides told of after that.
    refund_owed_minor: what of the refund its bank would not take, and a desk has yet to pay out.
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
    owed_minor: int = 0
    refund_owed_minor: int = 0


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
        self.sales = Sales(keys, tariff, settings, clock)
        self._books = books
        self._refunds = Refunds(self.sales, clock)
        self._clock = clock

    async def sell(
        self,
        product_id: str,
        *,
        subject: str,
        device_key: Mapping[str, object] | None = None,
        valid_from: float | None = None,
        card_uid: str | None = None,
        unseen: bool = False,
        idempotency_key: str | None = None,
    ) -> SoldTicket:
        """Sell one ticket for cash; the same key and request again get the same ticket, whatever is sold by then.

        unseen: by a machine, which does not see who may have a concession's code.
        """

        async def sale(connection: Any) -> SoldTicket:
            order = self.sales.order(product_id, subject, device_key, valid_from, card_uid)
            if unseen and card_uid is None:
                self.sales.check_unseen(order.product)
            return await self.sales.sell(connection, order)

        asked = ("sell", product_id, device_key, valid_from, card_uid)
        return await self._books.once(subject, idempotency_key, asked, SoldTicket, sale)

    async def get_ticket(self, ticket_id: str) -> Ticket:
        """A ticket with its credentials, made again from the books: they are a function of what was sold."""
        async with self._books.reading() as connection:
            row = await connection.fetchrow(query("tickets.get"), parse_ticket_id(ticket_id))
        if row is None:
            raise Problem(404, "No such ticket", f"no ticket {ticket_id} was sold here")
        fields = dict(row)
        for name in ("device_key", "status_list", "status_index", "last_tap"):
            del fields[name]
        token, jwt = self.sales.credentials(self._claims(row)) if row["card_uid"] is None else (None, None)
        fields |= {"id": str(row["id"]), "card_uid": row["card_uid"] and row["card_uid"].hex()}
        return Ticket(**fields, token=token, jwt=jwt)

    def _claims(self, row: Any) -> Claims:
        return Claims(
            self.sales.issuer,
            UUID(bytes=row["id"].bytes),
            row["product_id"],
            int(row["valid_from"]),
            int(row["valid_until"]),
            tuple(row["networks"]),
            row["status_list"],
            row["status_index"],
            device_key=device_key_from_jwk(msgspec.json.decode(row["device_key"])) if row["device_key"] else None,
        )

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
            ticket = await _lock(connection, uuid)
            if ticket["status"] == "revoked" and action in ("suspend", "resume"):
                raise Problem(409, "Ticket revoked", f"ticket {uuid} is revoked, and that is for good: sell a new one")
            await connection.execute(query("tickets.set_status"), uuid, wanted, mask_text(reason))
            if action == "resume" and ticket["status_s"] is not None:
                await self.sales.rate_again(connection, ticket["card_uid"], ticket["status_s"])
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
            await self._refunds.give_back(connection, uuid, await _lock(connection, uuid), wanted, subject)
            return Done()

        asked = ("refund", ticket_id, wanted.reason, *((True,) if wanted.override else ()))
        await self._books.once(subject, idempotency_key, asked, Done, give)
        return await self.get_ticket(ticket_id)

    async def take_owed(self, ticket_id: str, *, subject: str, idempotency_key: str | None = None) -> Ticket:
        """Take in cash what a ticket owes for rides that were told of once it had been given back."""
        uuid = parse_ticket_id(ticket_id)

        async def take(connection: Any) -> Done:
            await _lock(connection, uuid)
            paid = await late_codes.pay(connection, uuid, self.sales.currency, subject)
            await audit(connection, subject, "pay", f"ticket:{uuid}", amount_minor=paid.minor)
            return Done()

        await self._books.once(subject, idempotency_key, ("take_owed", ticket_id), Done, take)
        return await self.get_ticket(ticket_id)

    async def pay_out(
        self, ticket_id: str, wanted: refunds_owed.PayOut, *, subject: str, idempotency_key: str | None = None
    ) -> Ticket:
        """Pay in cash what a ticket's bank would not take back."""
        uuid = parse_ticket_id(ticket_id)

        async def pay(connection: Any) -> Done:
            await _lock(connection, uuid)
            minor = await refunds_owed.pay_out(connection, uuid, wanted, subject, self._clock)
            said = {"amount_minor": minor, "bank_returned_minor": wanted.bank_returned_minor}
            await audit(connection, subject, "pay_out", f"ticket:{uuid}", **said)
            return Done()

        asked = ("pay_out", ticket_id, wanted.bank_returned_minor)
        await self._books.once(subject, idempotency_key, asked, Done, pay)
        return await self.get_ticket(ticket_id)


def parse_ticket_id(text: str) -> UUID:
    """A ticket's id; Problem 404 for a text that cannot be one, since no ticket has it."""
    try:
        return UUID(text)
    except ValueError:
        raise Problem(404, "No such ticket", f"{text[:64]!r} is no ticket id") from None


async def _lock(connection: Any, ticket_id: UUID) -> Any:
    await connection.fetchval(query("tickets.lock_card"), ticket_id)
    ticket = await connection.fetchrow(query("tickets.lock"), ticket_id)
    if ticket is None:
        raise Problem(404, "No such ticket", f"no ticket {ticket_id} was sold here")
    return ticket
