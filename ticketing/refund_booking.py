"""Refunds: a ticket is over and its price, or what the tariff says of it, goes back the way it was paid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from sql import query
from ticketing import ledger
from ticketing.books import Change, audit, book
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
        await _check_not_carried(connection, ticket_id)
        carried = await connection.fetch(query("tickets.carried"), ticket_id)
        whole = _as_sold(ticket, carried)
        sold_id = carried[-1]["id"] if carried else ticket_id
        sale = await _sale_to_reverse(connection, sold_id)
        amount = Money(self._back_minor(ticket["product_id"], whole, wanted.override), sale["currency"])
        paid = Money(sale["amount_minor"], sale["currency"])
        first = ledger.Transfer(ledger.Kind(sale["kind"]), sale["debit"], sale["credit"], paid)
        back = ledger.reversal(first, amount)
        await book(connection, back, subject, ticket_id=ticket_id, reverses=sale["id"])
        await return_purchase(connection, sold_id, amount, self._clock())
        reason, part = mask_text(wanted.reason), amount.minor < whole.price_minor
        await connection.execute(query("tickets.give_back"), ticket_id, reason, part)
        if not whole.uses and not part:
            await connection.execute(query("tickets.keep_uses"), [one["id"] for one in carried])
            for one in (ticket, *carried):
                await self._sales.rate_again(connection, one["card_uid"], ticket["from_s"])
        said = {"reason": wanted.reason, "uses": whole.uses, "amount_minor": amount.minor}
        action = "refund_override" if wanted.override else "refund"
        await audit(connection, subject, action, f"ticket:{ticket_id}", **said)

    def _back_minor(self, product_id: str, ticket: Held, override: bool) -> int:
        if override:
            return ticket.price_minor
        back = back_minor(self._sales.tariff.refund_of(product_id), ticket, self._clock())
        if isinstance(back, str):
            raise Problem(
                409,
                "Not refundable",
                f"{product_id!r} brings nothing back: {back}. An admin may refund it all the same, with a "
                "reason (override)",
            )
        return back


def _as_sold(ticket: Any, carried: Sequence[Any]) -> Held:
    """A ticket as it was sold, however often it was carried to another card since: its price, and all its rides."""
    held = Held(*(ticket[name] for name in Held._fields))
    if not carried:
        return held
    first, uses = carried[-1], held.uses + sum(one["uses"] for one in carried)
    return held._replace(
        price_minor=first["price_minor"], sold_s=first["sold_s"], uses=uses, uses_allowed=first["uses_allowed"]
    )


async def _check_not_carried(connection: Any, ticket_id: UUID) -> None:
    """Problem 409 where a ticket's card has given way to another: what is left of it is there."""
    heir = await connection.fetchrow(query("tickets.went_on"), ticket_id)
    if heir is not None:
        raise Problem(
            409,
            "Ticket carried",
            f"its card was replaced, and it went on as ticket {heir['id']} on card {heir['card_uid'].hex()}: give that "
            "one back",
        )


async def _sale_to_reverse(connection: Any, ticket_id: UUID) -> Any:
    """The transfer by which a ticket was paid; Problem 409 where there is none, or it was given back."""
    sale = await connection.fetchrow(query("ledger.sale_of_ticket"), ticket_id)
    if sale is None:
        raise Problem(409, "Nothing to refund", f"ticket {ticket_id} was free of charge")
    if sale["reversed_by"] is not None:
        raise Problem(409, "Refunded already", f"the sale of ticket {ticket_id} has been reversed before")
    return sale
