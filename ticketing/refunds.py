"""How much is refunded for a ticket, by the tariff's rule for its product."""

from __future__ import annotations

from typing import NamedTuple

from ticketing.city_sales import Refund

DAY_S = 86_400


class Held(NamedTuple):
    """A ticket that was sold: times in Unix seconds, price in minor units, uses_allowed None for a pass."""

    price_minor: int
    sold_s: float
    from_s: float
    until_s: float
    uses: int
    uses_allowed: int | None


class GivenBack(NamedTuple):
    """A ticket whose price, or a part of it, was given back after uses_kept rides (None: of a pass, its rest alone).

    owed_minor: what was booked as owed for the late_rides that were told of since.
    """

    price_minor: int
    back_minor: int
    uses_allowed: int | None
    uses_kept: int | None
    late_rides: int
    owed_minor: int


def back_minor(rule: Refund, ticket: Held, now_s: float) -> int | str:
    """The refund in minor units, or the sentence that says why there is none.

    A valid ticket that is unused and within the rule's days of its sale brings its whole price. Where the rule refunds
    the rest, any other valid ticket brings the share of its rides that are left; a pass, of its whole days left.
    """
    if now_s >= ticket.until_s:
        return "its time is over"
    fresh = now_s < ticket.sold_s + rule.days * DAY_S
    if not ticket.uses and fresh:
        return ticket.price_minor
    if rule.used == "rest":
        return _rest_minor(ticket, now_s) or "nothing is left of it that would bring money"
    if ticket.uses:
        times = "once" if ticket.uses == 1 else f"{ticket.uses} times"
        return f"it was used {times}, and what was used is not given back"
    if not rule.days:
        return "this product is not given back"
    return f"it was sold more than {rule.days} days ago, and is given back no longer"


def _rest_minor(ticket: Held, now_s: float) -> int:
    """Rounded down to the minor unit."""
    if ticket.uses_allowed is not None:
        return ticket.price_minor * (ticket.uses_allowed - ticket.uses) // ticket.uses_allowed
    whole = max(1, -int(-(ticket.until_s - ticket.from_s) // DAY_S))
    return ticket.price_minor * min(whole, int((ticket.until_s - now_s) // DAY_S)) // whole


def owed_minor(ticket: GivenBack, fare_minor: int) -> int:
    """What another ride of before is owed that is told of once the price has gone back; never more than went back.

    Of a ticket for so many rides: what was given back for that ride. Of a pass whose whole price was given back: a
    ride's fare; what was kept of another one paid for its rides.
    """
    if ticket.uses_allowed is not None:
        rest = ticket.uses_allowed - (ticket.uses_kept or 0)
        left = max(0, rest - ticket.late_rides - 1)
        owed = (ticket.price_minor * rest // ticket.uses_allowed) - (ticket.price_minor * left // ticket.uses_allowed)
    elif ticket.uses_kept == 0 and ticket.back_minor == ticket.price_minor:
        owed = ticket.owed_minor + fare_minor
    else:
        owed = 0
    return max(0, min(owed, ticket.back_minor) - ticket.owed_minor)
