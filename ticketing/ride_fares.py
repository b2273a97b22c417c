"""What each of one rider's rides costs before caps, and why: odd rides, passes, journeys, trips ahead, surcharges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ticketing.city_prices import Surcharge
from ticketing.city_sales import Pass
from ticketing.city_tariff import CityTariff
from ticketing.coverage import part_pass, ride_ahead, whole_pass
from ticketing.journeys import Ride
from ticketing.legs import Rider
from ticketing.rated import Account, HeldPass, Step, StepKind
from ticketing.tariff import TRIPS


@dataclass(slots=True)
class RideFare:
    """One rider's ride on its way through the rules; minor is what is left to pay before caps.

    number 0 holds the medium, 1 and more ride along.
    """

    ride: Ride
    rider: Rider
    number: int
    minor: int = 0
    starts: bool = False
    covered: Pass | None = None
    steps: list[Step] = field(default_factory=list)

    def add(self, step: Step, *, capped: bool = True) -> None:
        """One rule more that was at work."""
        self.steps.append(step)
        if capped:
            self.minor += step.amount_minor


def begin_fares(rides: Sequence[Ride], number: int, tariff: CityTariff, account: Account) -> list[RideFare]:
    """One rider's rides before any rule, each with the category that he was of then."""
    rider = tariff.rider(account.category, account.media)
    fares = []
    for ride in rides:
        if number:
            rider = tariff.rider(ride.companions[number - 1] or None, account.media)
        elif account.former:
            rider = tariff.rider(account.category_at(ride.leg.start_s), account.media)
        fares.append(RideFare(ride, rider, number))
    return fares


def cover(fare: RideFare, tariff: CityTariff, passes: Sequence[HeldPass]) -> bool:
    """Whether a ride needs no fare, since a tap is missing, or a pass covers it or a part of it; it is said why."""
    if fare.ride.kind != "ride":
        _odd(fare, tariff)
        return True
    if (whole := whole_pass(fare.ride, tariff, passes)) is not None:
        fare.covered, held = whole
        fare.add(Step("pass", 0, fare.covered.id, fare.number, held=held.id))
        return True
    if (part := part_pass(fare.ride, tariff, passes, fare.rider)) is not None:
        fare.covered, held, extension = part
        fare.add(Step("pass", 0, fare.covered.id, fare.number, held=held.id))
        fare.add(Step("extension", extension.price_minor, extension.id, fare.number))
        fare.starts = True
        return True
    return False


def _odd(fare: RideFare, tariff: CityTariff) -> None:
    """A ride that lacks a tap, or that went nowhere."""
    rule = tariff.exits.get(fare.ride.leg.network or "")
    match fare.ride.kind:
        case "no_exit" | "no_entry":
            price = tariff.missing_minor(fare.ride.leg, fare.rider)
            step = Step(fare.ride.kind, price, rider=fare.number, number=rule.max_minutes if rule else None)
            fare.starts = bool(rule and rule.missing_capped)
            fare.add(step, capped=fare.starts)
        case "same_stop":
            fare.add(Step("same_stop", rider=fare.number))
        case _:
            fare.add(Step("entered", rider=fare.number))


def take_ride(fare: RideFare, tariff: CityTariff, passes: Sequence[HeldPass], used: dict[str, int]) -> None:
    """A ride that costs something is taken from what was bought ahead."""
    found = ride_ahead(fare.ride, tariff, passes, used) if fare.minor > 0 else None
    if found is None:
        return
    held, left = found
    used[held.id] = used.get(held.id, 0) + 1
    kind: StepKind = "trip" if held.product == TRIPS and tariff.trips else "pass"
    fare.add(Step(kind, -fare.minor, held.product, number=left, held=held.id))


def add_surcharges(fare: RideFare, tariff: CityTariff) -> None:
    """What a ride to or from some places costs on top."""
    for extra in tariff.surcharges:
        if fare.covered is not None and extra.covered_by_pass:
            continue
        category = fare.rider.category or tariff.default_category
        if category in extra.exempt or (extra.categories and category not in extra.categories):
            continue
        if not _applies(extra, fare.ride, fare.rider) or not tariff.hours_hold(extra.hours, fare.ride.leg.start_s):
            continue
        fare.add(Step("surcharge", extra.price_minor, extra.id, fare.number), capped=extra.capped)


def _applies(extra: Surcharge, ride: Ride, rider: Rider) -> bool:
    if extra.networks and ride.leg.network not in extra.networks:
        return False
    if extra.media and rider.media not in extra.media:
        return False
    leg, places = ride.leg, (frozenset(extra.stops), frozenset(extra.zones))
    boards = leg.from_stop in places[0] or not leg.from_areas.isdisjoint(places[1])
    leaves = leg.to_stop in places[0] or not leg.to_areas.isdisjoint(places[1])
    if not extra.stops and not extra.zones:
        return True
    if extra.on == "either":  # a ride within the place, such as between two terminals, is not a ride to or from it
        return boards != leaves if leg.to_stop is not None or leg.to_areas else boards
    return boards if extra.on == "boarding" else leaves
