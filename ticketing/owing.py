"""Rides that a validator let happen by itself and that we refuse: those without the money become a debt.

Where every ride has one price the judge's word is final, and nothing else is rated. And a tap may be refused before its
validator decides: the answer was lost or slow, the rider was let in, and only then the tap comes again with that.
"""

from __future__ import annotations

from collections.abc import Sequence

from sql import query
from ticketing.reading import Reading
from ticketing.seams import Row
from ticketing.store import Store
from ticketing.verdict import Tap, Verdict


async def note_let_in(
    store: Store, readings: Sequence[Reading], rows: Sequence[Row | None], rated: bool
) -> list[Row | None]:
    """The rows with a conflict wherever a rider was let in after we had refused; rated: what is not paid is owed.

    Asked again, it does nothing: the tap's own row says by then that it is a conflict.
    """
    told = {
        (tap.operator, tap.device, tap.id.lower()): (at, tap.offline.rules_version)
        for at, (reading, row) in enumerate(zip(readings, rows, strict=True))
        if row is not None and _refused_before((tap := reading.tap), row) and tap.offline is not None
    }
    if not told:
        return list(rows)
    columns = [[key[number] for key in told] for number in range(3)]
    async with store.connection() as connection:
        changed = await connection.fetch(query("taps.let_in"), *columns, [rules for _, rules in told.values()], rated)
    noted = list(rows)
    for record in changed:
        at, _ = told[tuple(record)]
        row = noted[at]
        noted[at] = row and row._replace(conflict=True)
    return noted


def _refused_before(tap: Tap, row: Row) -> bool:
    """Whether a tap that was accepted offline is refused and no conflict: so it was judged without its decision."""
    return (
        tap.offline is not None
        and tap.offline.verdict == Verdict.ACCEPTED.value
        and tap.medium != "bank"
        and row.verdict not in (None, Verdict.ACCEPTED.value, Verdict.MALFORMED.value)
        and not row.conflict
    )


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
