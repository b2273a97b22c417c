"""Rides by codes whose tickets were given back before anybody heard of them: the ticket owes them, and desks take it.

A validator that was alone had let the rider in, and tells of it once the price has gone back. A city card has an
account that owes it (ticketing.owing); a code has none, so what was given back too much is a debt of the ticket's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sql import query
from ticketing import ledger
from ticketing.books import book
from ticketing.errors import Problem
from ticketing.money import Money
from ticketing.reading import Reading
from ticketing.refunds import GivenBack, owed_minor
from ticketing.seams import Row
from ticketing.store import Store
from ticketing.verdict import Tap, Verdict

MADE_BY = "judging"


async def owe_by_codes(store: Store, readings: Sequence[Reading], rows: Sequence[Row | None], fare_minor: int) -> int:
    """Book what these rides are owed, each once; how many. Asked again, it does nothing.

    fare_minor: of a ride by a pass. Killed between the judge and this, the validator has no receipt, sends the tap
    again, and this is done then.
    """
    told = [
        reading.tap
        for reading, row in zip(readings, rows, strict=True)
        if row is not None and row.conflict and row.verdict == Verdict.REVOKED.value and reading.card_uid is None
    ]
    return sum([await _owe(store, tap, fare_minor) for tap in told])


async def _owe(store: Store, tap: Tap, fare_minor: int) -> bool:
    key = (tap.operator, tap.device, tap.id)
    async with store.transaction() as connection:
        if await connection.fetchval(query("tickets.lock_of_tap"), *key) is None:
            return False
        # Another statement: what others have booked for this ticket while its lock was waited for is seen by it.
        row = await connection.fetchrow(query("tickets.ride_given_back"), *key)
        if row is None:
            return False
        minor = owed_minor(GivenBack(*(row[name] for name in GivenBack._fields)), fare_minor)
        if minor:
            line = ledger.ride_owed(str(row["ticket_id"]), Money(minor, row["currency"]))
            money = (line.amount.minor, line.amount.currency)
            await connection.execute(
                query("tickets.owe"), line.kind.value, line.debit, line.credit, *money, row["ticket_id"], *key, MADE_BY
            )
    return bool(minor)


async def pay(connection: Any, ticket_id: UUID, currency: str, subject: str) -> Money:
    """Take in cash what a ticket, which is locked, owes; Problem 409 where that is nothing."""
    minor = await connection.fetchval(query("tickets.owes"), ticket_id)
    if not minor:
        raise Problem(409, "Nothing owed", f"ticket {ticket_id} owes nothing")
    owed = Money(minor, currency)
    await book(connection, ledger.ride_paid(str(ticket_id), owed), subject, ticket_id=ticket_id)
    return owed
