"""Operations at the acquirer as they are written down: rows of table payment, and their lines in the ledger."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from sql import query
from ticketing.ledger import Transfer
from ticketing.money import Money
from ticketing.payment import operation_key

ONLINE = "online"
"""Who has sold what nobody sold at a desk, in the books."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One question to the acquirer and whose it is: a row of table payment, but for how far it has come.

    A verification has no amount. token is what is verified or charged, refunds the acquirer's id of what is given back,
    both in letters.
    """

    key: str
    kind: Literal["verify", "charge", "refund"]
    amount: Money | None = None
    token: str | None = field(default=None, repr=False)
    refunds: str | None = None
    account_id: str | None = None
    charge_id: str | None = None
    purchase_id: str | None = None
    top_up_id: str | None = None


def read_operation(row: Any) -> Operation:
    """The operation in a row of table payment."""
    money = Money(row["amount_minor"], row["currency"]) if row["amount_minor"] else None
    names = ("token", "refunds", "account_id", "charge_id", "purchase_id", "top_up_id")
    return Operation(row["key"], row["kind"], money, *(row[name] for name in names))


async def write_down(connection: Any, operation: Operation, now_s: float) -> None:
    """Write an operation down, to be asked from now on. One whose key is known stays what it is."""
    amount = operation.amount
    money = (amount.minor, amount.currency) if amount else (None, None)
    whose = (operation.account_id, operation.charge_id, operation.purchase_id)
    row = (operation.key, operation.kind, *whose, operation.token, operation.refunds, *money, now_s)
    await connection.execute(query("payments.insert"), *row, operation.top_up_id)


async def return_purchase(connection: Any, ticket_id: UUID, amount: Money, now_s: float) -> None:
    """Give so much of a ticket's price back to whoever paid it online, where it was; the ledger is the caller's."""
    row = await connection.fetchrow(query("payments.return_purchase"), ticket_id)
    if row is not None and row["acquirer_id"] is not None:
        key = operation_key("return", row["id"])
        back = Operation(key, "refund", amount, refunds=row["acquirer_id"], purchase_id=row["id"])
        await write_down(connection, back, now_s)


async def book_payment(
    connection: Any, transfer: Transfer, key: str | None, *, ticket_id: UUID | None = None, made_by: str = ONLINE
) -> None:
    """Write the ledger's line of a payment; the table refuses a second one for its key."""
    amount = transfer.amount
    line = (transfer.kind.value, transfer.debit, transfer.credit, amount.minor, amount.currency)
    await connection.execute(query("payments.book"), *line, ticket_id, made_by, key)
