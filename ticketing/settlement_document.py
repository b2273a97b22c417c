"""The document of a day's settlement: its lines, how sales are shared out among operators, and whether it adds up.

What was paid for rides (fares) is known by operator and route. Tickets are paid before they are used: their sales are
shared out by the rides that were made with them on the same day, each product by itself, and what rides share out to a
fraction goes to the largest remainders (Hare quota), so that the parts sum to the whole.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import msgspec

FORMAT = 1


class TapsLine(msgspec.Struct, frozen=True):
    """Taps of an operator on a route with a product; route_id null where the line was not known."""

    operator: str
    route_id: str | None
    product: str
    medium: str
    accepted: int
    riders: int
    refused: int
    conflicts: int
    offline: int


class FareLine(msgspec.Struct, frozen=True):
    """What rides of an operator on a route brought, less what was given back; operator null where no tap is known."""

    operator: str | None
    route_id: str | None
    product: str | None
    currency: str
    minor: int


class SalesLine(msgspec.Struct, frozen=True):
    """Tickets of a product sold and given back."""

    product: str | None
    currency: str
    sold: int
    sold_minor: int
    refunded: int
    refunded_minor: int


class ShareLine(msgspec.Struct, frozen=True):
    """An operator's part of a product's sales on a route, by the rides made; operator null where there were none."""

    operator: str | None
    route_id: str | None
    product: str | None
    currency: str
    rides: int
    minor: int


class AccountLine(msgspec.Struct, frozen=True):
    """What moved on the ledger's accounts of a class."""

    account: str
    currency: str
    debit_minor: int
    credit_minor: int


class Document(msgspec.Struct, frozen=True):
    """A settled day: taps received, and transfers booked, from from_ts until until_ts (Unix seconds, half-open)."""

    format: int
    day: str
    from_ts: int
    until_ts: int
    taps: tuple[TapsLine, ...]
    fares: tuple[FareLine, ...]
    sales: tuple[SalesLine, ...]
    shares: tuple[ShareLine, ...]
    accounts: tuple[AccountLine, ...]


def share_out(whole: int, weights: Sequence[int]) -> list[int]:
    """`whole` in parts by weight that sum to it; of equal remainders the first. Empty where nothing weighs.

    Hamilton's method of the largest remainders, with the sign of the whole.
    """
    total = sum(weights)
    if total <= 0:
        return []
    sign = -1 if whole < 0 else 1
    parts = [divmod(abs(whole) * weight, total) for weight in weights]
    shares = [part for part, _ in parts]
    for index in sorted(range(len(parts)), key=lambda i: -parts[i][1])[: abs(whole) - sum(shares)]:
        shares[index] += 1
    return [sign * share for share in shares]


def share_sales(sales: Sequence[SalesLine], taps: Sequence[TapsLine]) -> tuple[ShareLine, ...]:
    """Each product's sales less refunds, by the rides made with it."""
    rides: defaultdict[str | None, dict[tuple[str, str | None], int]] = defaultdict(dict)
    for line in taps:
        if line.riders:
            place = (line.operator, line.route_id)
            rides[line.product][place] = rides[line.product].get(place, 0) + line.riders
    lines = []
    for sold in sales:
        minor = sold.sold_minor - sold.refunded_minor
        places = sorted(rides.get(sold.product, {}).items(), key=lambda item: (item[0][0], item[0][1] or ""))
        parts = share_out(minor, [number for _, number in places])
        if not parts:
            lines.append(ShareLine(None, None, sold.product, sold.currency, 0, minor))
        for ((operator, route_id), number), part in zip(places, parts, strict=False):
            lines.append(ShareLine(operator, route_id, sold.product, sold.currency, number, part))
    return tuple(lines)


def canonical(document: Document) -> bytes:
    """The document as JSON whose keys and rows are in one order."""
    return msgspec.json.encode(document, order="sorted")


def faults(document: Document) -> list[str]:
    """What does not add up; empty when all does."""
    found = []
    debits: defaultdict[str, int] = defaultdict(int)
    net: dict[tuple[str, str], int] = {}
    for line in document.accounts:
        debits[line.currency] += line.debit_minor - line.credit_minor
        net[line.account, line.currency] = line.credit_minor - line.debit_minor
    found += [f"debits and credits in {currency} differ by {minor}" for currency, minor in debits.items() if minor]
    pairs: tuple[tuple[str, Sequence[FareLine | ShareLine]], ...] = (
        ("fares", document.fares),
        ("sales", document.shares),
    )
    for account, lines in pairs:
        for currency in debits:
            minor = sum(line.minor for line in lines if line.currency == currency)
            booked = net.get((account, currency), 0)
            if minor != booked:
                found.append(f"{account} in {currency}: the lines sum to {minor}, the ledger to {booked}")
    return found
