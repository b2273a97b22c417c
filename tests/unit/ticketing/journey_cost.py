"""What a journey costs by its fares alone, without passes, caps or a day around it."""

from __future__ import annotations

from collections.abc import Sequence

from ticketing.changes import Changes
from ticketing.fares import Fares
from ticketing.legs import Leg, Rider
from ticketing.transfers import Chain


def journey_minor(legs: Sequence[Leg], tables: Sequence[Fares], rider: Rider) -> int | None:
    """The sum over a journey's legs, in minor units; None where the fare of a leg is unknown."""
    chain = Chain(Changes(tables))
    for leg in legs:
        chain.add(leg, rider)
    return sum(chain.charges) if all(one.product for one in chain.linked) else None
