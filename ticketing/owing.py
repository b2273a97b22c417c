"""Rides that were made without money where every ride has one price: they are rated after all, and become a debt."""

from __future__ import annotations

from collections.abc import Sequence

from sql import query
from ticketing.reading import Reading
from ticketing.seams import Row
from ticketing.store import Store
from ticketing.verdict import Verdict


async def owe(store: Store, readings: Sequence[Reading], rows: Sequence[Row | None]) -> int:
    """Let the worker rate what a validator let in offline and no purse paid; how many. Asked again, it does nothing.

    A flat tariff's taps are not rated, since the judge has booked their price; of these it could book none. Killed
    between the judge and this, the validator has no receipt, sends the tap again, and this is done then.
    """
    unpaid = [
        reading.tap
        for reading, row in zip(readings, rows, strict=True)
        if row is not None
        and row.conflict
        and row.verdict == Verdict.INSUFFICIENT_FUNDS.value
        and reading.card_uid is not None
    ]
    if not unpaid:
        return 0
    keys = [tap.operator for tap in unpaid], [tap.device for tap in unpaid], [tap.id for tap in unpaid]
    async with store.connection() as connection:
        await connection.execute(query("rating.owe"), *keys)
    return len(unpaid)
