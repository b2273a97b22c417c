"""Rides that a validator let happen by itself and that we refuse: a card's holder owes them all the same.

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

_RIDDEN = {
    verdict.value
    for verdict in (
        Verdict.NOT_YET_VALID,
        Verdict.EXPIRED,
        Verdict.REVOKED,
        Verdict.SUSPENDED,
        Verdict.DENIED,
        Verdict.WRONG_SERVICE,
        Verdict.USED_UP,
    )
}
"""What may be said of a card's ride that its holder has made all the same."""


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


async def owe(store: Store, readings: Sequence[Reading], rows: Sequence[Row | None], flat: bool) -> int:
    """Let the worker rate what a validator let happen on a card and we refuse; how many. Asked again, it does nothing.

    Who rides owes the ride, if the holder rode: where the money was not there, or a ticket on the card was no longer
    good, or the card was blocked only after the ride. flat: a ride without the money is not rated by itself, since the
    judge books a flat tariff's price and could book none. Killed between the judge and this, the validator has no
    receipt, sends the tap again, and this is done then.
    """
    ridden = _RIDDEN if not flat else {*_RIDDEN, Verdict.INSUFFICIENT_FUNDS.value}
    unpaid = [
        reading.tap
        for reading, row in zip(readings, rows, strict=True)
        if row is not None and row.conflict and row.verdict in ridden and reading.card_uid is not None
    ]
    if not unpaid:
        return 0
    keys = [tap.operator for tap in unpaid], [tap.device for tap in unpaid], [tap.id for tap in unpaid]
    async with store.connection() as connection:
        return len(await connection.fetch(query("rating.owe"), *keys, flat))
