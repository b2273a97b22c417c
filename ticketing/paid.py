"""What of an account's day was charged by now, and what is owed for it, as the books have it."""

from __future__ import annotations

from datetime import date
from typing import Any

from sql import query
from ticketing import ledger
from ticketing.account_rows import uid_of
from ticketing.rated import DayRating
from ticketing.receipt import Paid


async def read_paid(connection: Any, account: str, day: date, rating: DayRating) -> Paid:
    """How a rated day stands.

    A bank card is charged by taps. A city card pays at once, and what its purse could not pay is owed on it: what is
    paid of that is for its oldest days first.
    """
    uid, total = uid_of(account), rating.total_minor
    if uid is None:
        taps = [line.tap_id for line in rating.lines]
        row = await connection.fetchrow(query("bank.paid_for_taps"), account.removeprefix("bank:"), taps)
        return Paid(total, row["charged_minor"], row["owed_minor"])
    owed = await connection.fetchval(query("rating.owed_for_day"), account, day.isoformat(), ledger.debt(uid), uid)
    owed = min(owed or 0, total)
    return Paid(total, total - owed, owed)
