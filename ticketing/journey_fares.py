"""What rides cost as parts of journeys: each ride's fare, the change that joins it, and what is said of both."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from ticketing.changes import Linked
from ticketing.city_tariff import CityTariff
from ticketing.rated import Step, StepKind
from ticketing.ride_fares import RideFare
from ticketing.transfer_table import transfer_span_s
from ticketing.transfers import Chain


def price_journeys(
    fares: Sequence[RideFare], before: Sequence[Linked], tariff: CityTariff, *, apart: bool
) -> list[Linked]:
    """Price one rider's rides, joined into journeys after those before; the chain with both.

    apart: each ride is a journey of its own.
    """
    chain = Chain(tariff.changes, () if apart else before, apart=apart)
    for fare in fares:
        chain.add(fare.ride.leg, fare.rider)
    linked = chain.linked
    first = len(linked) - len(fares)
    for fare, one in zip(fares, linked[first:], strict=True):
        _explain(fare, one, linked, tariff)
    _give_back(fares, chain.charges)
    return linked


def _explain(fare: RideFare, one: Linked, chain: Sequence[Linked], tariff: CityTariff) -> None:
    """Say what a ride costs: the full fare, what the rider pays less, and the change."""
    if not one.product:
        fare.add(Step("unknown_fare", rider=fare.number))
        return
    fare.add(Step("fare", one.full_minor, one.product, fare.number))
    less = one.fare_minor - one.discount_minor - one.full_minor
    if less:
        percent = fare.rider.percent if fare.rider.percent != 100 else None
        fare.add(Step("concession", less, fare.rider.category or "", fare.number, percent=percent))
    if one.discount is not None:
        percent = tariff.discount_percent(one.discount)
        fare.add(Step("discount", one.discount_minor, one.discount, fare.number, percent=percent))
    fare.starts = one.rule is None
    if one.rule is not None:
        since = chain[one.since].leg
        since_s, end_s = transfer_span_s(tariff.rules_by_id[one.rule], since, tariff.zone)
        from_first = one.since == one.anchor and since_s == since.start_s
        step = Step(
            "transfer", one.adds_minor - one.fare_minor, one.transfer_product or one.rule, fare.number,
            tap=since.taps[0] if from_first else None, since_s=since_s, until_s=end_s if isfinite(end_s) else None,
        )  # fmt: skip
        fare.add(step)


def _give_back(fares: Sequence[RideFare], adds: Sequence[int]) -> None:
    """What the rides are charged where that is not what each of them asks in the cheapest way of all.

    Another way was cheaper until a later ride: it is charged as it was then, the later one the rest. A transfer that
    makes a journey cheaper than its beginning lowers what the beginning is charged: with running totals T, ride k is
    charged for min(T[k], T[k+1], ...), so never negative, and the sum is the last T.
    """
    if all(fare.minor == add >= 0 for fare, add in zip(fares, adds, strict=True)):
        return
    totals = []
    running = 0
    for add in adds:
        running += add
        totals.append(running)
    for place in range(len(totals) - 2, -1, -1):
        totals[place] = min(totals[place], totals[place + 1])
    charged = 0
    for fare, total in zip(fares, totals, strict=True):
        charge = max(0, total - charged)
        charged += charge
        if charge != fare.minor:
            kind: StepKind = "later_transfer" if charge < fare.minor else "regrouped"
            fare.add(Step(kind, charge - fare.minor, rider=fare.number))
