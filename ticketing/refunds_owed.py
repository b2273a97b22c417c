"""Refunds that no bank would take: the money is still with us, until a desk pays it out in cash or a person finds out.

A declined refund is owed. One that the acquirer knows with another amount under its key (a backup was restored, and the
ticket given back once more) is unclear: nobody but the acquirer's statement says how much has gone back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import Meta, Struct

from sql import query
from ticketing import ledger
from ticketing.books import Books, book
from ticketing.city_schema import Name
from ticketing.errors import Problem
from ticketing.money import Money
from ticketing.payment_rows import book_payment
from ticketing.routes import Route

LISTED_MAX = 500
_WHAT_TO_DO = {
    "owed": Name(
        "Банк не прийняв повернення: виплатіть гроші готівкою (takt ticket pay-out)",
        "The bank would not take it back: pay it out in cash (takt ticket pay-out)",
    ),
    "unclear": Name(
        "Еквайр знає це повернення з іншою сумою: знайдіть у його виписці, скільки повернуто, і виплатіть решту "
        "(takt ticket pay-out --bank-returned)",
        "The acquirer has another amount for this refund: find in its statement how much it gave back, and pay out the "
        "rest (takt ticket pay-out --bank-returned)",
    ),
}


class PayOut(Struct, forbid_unknown_fields=True):
    """What the acquirer's statement says has gone back to the card (minor units), of a refund that is unclear."""

    bank_returned_minor: Annotated[int, Meta(ge=0, le=10**12)] | None = None


class RefundOwed(Struct, frozen=True):
    """Money of a ticket that was given back and has not reached its rider, and what to do; since: Unix seconds.

    reason: what the bank or the acquirer said. amount_minor: still to be paid out, or (unclear) the whole refund.
    """

    ticket_id: str
    purchase_id: str
    product_id: str
    amount_minor: int
    currency: str
    state: Literal["owed", "unclear"]
    reason: str | None
    since: float
    what_to_do: Name


class RefundsOwed(Struct, frozen=True):
    """What a person has to see to, the oldest first."""

    refunds: list[RefundOwed]


class RefundsOwedApi:
    """The list for desks and keepers of the books; paid out is at the ticket (Desk.pay_out)."""

    def __init__(self, books: Books) -> None:
        self._books = books

    def routes(self) -> list[Route]:
        """The operation."""
        return [Route("GET", "/api/v1/refunds-owed", "accounts:read", self.list_owed)]

    async def list_owed(self) -> RefundsOwed:
        """List the refunds that no bank would take, the oldest first, each with what to do about it."""
        async with self._books.reading() as connection:
            rows = await connection.fetch(query("payments.list_refunds_owed"), LISTED_MAX)
        return RefundsOwed([RefundOwed(**row, what_to_do=_WHAT_TO_DO[row["state"]]) for row in rows])


async def pay_out(connection: Any, ticket_id: UUID, wanted: PayOut, subject: str, clock: Callable[[], float]) -> int:
    """Pay in cash what a ticket's bank would not take back, in the payer's open shift; the ticket is locked. How much.

    Problem 409 without an open shift, where nothing is owed, and where only the acquirer's statement says what is.
    """
    if await connection.fetchval(query("shifts.hold"), subject) is None:
        raise Problem(409, "No open shift", f"{subject} has no open shift: open one, since this cash leaves its drawer")
    unclear = await connection.fetchrow(query("payments.unclear_refund"), ticket_id)
    if unclear is not None:
        await _clear(connection, ticket_id, unclear, wanted.bank_returned_minor, clock())
    elif wanted.bank_returned_minor is not None:
        raise Problem(409, "Nothing unclear", "bank_returned_minor is for a refund that is unclear: leave it out")
    row = await connection.fetchrow(query("tickets.refund_owed"), ticket_id)
    if row["minor"]:
        owed = Money(row["minor"], row["currency"])
        await book(connection, ledger.paid_out(owed), subject, ticket_id=ticket_id)
    elif unclear is None:
        raise Problem(409, "Nothing owed", f"no bank has refused a refund of ticket {ticket_id}, or it was paid out")
    return row["minor"] or 0


async def _clear(connection: Any, ticket_id: UUID, row: Any, returned_minor: int | None, now_s: float) -> None:
    """End an unclear refund by what a person has read in the acquirer's statement: the rest of it is owed."""
    if returned_minor is None:
        raise Problem(409, "Refund unclear", f"{_WHAT_TO_DO['unclear'].en}: bank_returned_minor says how much that was")
    amount = Money(row["amount_minor"], row["currency"])
    left_minor = amount.minor - returned_minor
    if left_minor < 0:
        raise Problem(422, "Too much", f"bank_returned_minor: the refund is {amount}: name no more than that")
    state = "declined" if left_minor else "approved"
    await connection.execute(query("payments.settle"), row["key"], state, now_s, None, row["reason"])
    if left_minor:
        owed = ledger.refund_declined(Money(left_minor, row["currency"]))
        await book_payment(connection, owed, row["key"], ticket_id=ticket_id)
