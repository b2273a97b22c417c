"""Refunds: a ticket is over and its price, or what the tariff says of it, goes back the way it was paid."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from sql import query
from ticketing import ledger
from ticketing.books import Change, audit, book
from ticketing.card_checks import is_replaced
from ticketing.errors import Problem
from ticketing.masking import mask_text
from ticketing.money import Money
from ticketing.payment_rows import return_purchase
from ticketing.refunds import Held, back_minor
from ticketing.sales import Sales


class Refunding(Change):
    """Why a ticket is given back; override (an admin's): all of its price, whatever the tariff says."""

    override: bool = False


class Refunds:
    """Gives tickets' prices back, within a transaction that holds the ticket; Problem 409 says why nothing is."""

    def __init__(self, sales: Sales, clock: Callable[[], float]) -> None:
        self._sales = sales
        self._clock = clock

    async def give_back(self, connection: Any, ticket_id: UUID, ticket: Any, wanted: Refunding, subject: str) -> None:
        """Revoke a ticket (its locked row) and give back what the tariff says, the way it was paid."""
        sale = await _sale_to_reverse(connection, ticket_id)
        await _check_not_carried(connection, ticket["card_uid"])
        amount = Money(self._back_minor(ticket, wanted.override), sale["currency"])
        paid = Money(sale["amount_minor"], sale["currency"])
        first = ledger.Transfer(ledger.Kind(sale["kind"]), sale["debit"], sale["credit"], paid)
        back = ledger.reversal(first, amount)
        await book(connection, back, subject, ticket_id=ticket_id, reverses=sale["id"])
        await return_purchase(connection, ticket_id, amount, self._clock())
        await connection.execute(query("tickets.give_back"), ticket_id, mask_text(wanted.reason))
        if not ticket["uses"]:
            await self._sales.rate_again(connection, ticket["card_uid"], ticket["from_s"])
        said = {"reason": wanted.reason, "uses": ticket["uses"], "amount_minor": amount.minor}
        action = "refund_override" if wanted.override else "refund"
        await audit(connection, subject, action, f"ticket:{ticket_id}", **said)

    def _back_minor(self, ticket: Any, override: bool) -> int:
        if override:
            return int(ticket["price_minor"])
        held = Held(*(ticket[name] for name in Held._fields))
        back = back_minor(self._sales.tariff.refund_of(ticket["product_id"]), held, self._clock())
        if isinstance(back, str):
            raise Problem(
                409,
                "Not refundable",
                f"{ticket['product_id']!r} brings nothing back: {back}. An admin may refund it all the same, with a "
                "reason (override)",
            )
        return back


async def _check_not_carried(connection: Any, card_uid: bytes | None) -> None:
    """Problem 409 where a card has given way to another: what its tickets were worth is there."""
    if card_uid is not None and await is_replaced(connection, card_uid):
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
