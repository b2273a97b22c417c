"""What a rider holds already: passes that cover a ride, extensions beside them, and rides bought ahead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ticketing.capping import find_extension
from ticketing.city_prices import Extension
from ticketing.city_sales import Pass, Valid
from ticketing.city_schema import Name
from ticketing.city_tariff import CityTariff
from ticketing.journeys import Ride
from ticketing.legs import Rider
from ticketing.rated import HeldPass
from ticketing.tariff import TRIPS


def _product(held: HeldPass, tariff: CityTariff) -> Pass | None:
    """The product that is held: as the tariff knows it, else as it was promised when it was sold."""
    known = (tariff.passes or {}).get(held.product)
    if known is not None or held.networks is None or held.product == TRIPS:
        return known
    return Pass(held.product, Name(held.product, held.product), 0, Valid(), networks=held.networks)


def _valid(held: HeldPass, ride: Ride) -> bool:
    return held.from_s <= ride.leg.start_s < held.until_s


def _in_scope(one: Pass, ride: Ride, tariff: CityTariff, *, zones: bool = True) -> bool:
    return (
        (not one.scope or ride.leg.network in one.scope)
        and (not zones or not one.within or ride.leg.within(frozenset(one.within)))
        and tariff.hours_hold(one.hours, ride.leg.start_s)
    )


def whole_pass(ride: Ride, tariff: CityTariff, passes: Sequence[HeldPass]) -> tuple[Pass, HeldPass] | None:
    """A pass without count that covers the whole ride; the one that ends first."""
    for held in sorted(passes, key=lambda held: held.until_s) if passes else ():
        one = _product(held, tariff)
        if one is not None and held.rides_left is None and _valid(held, ride) and _in_scope(one, ride, tariff):
            return one, held
    return None


def part_pass(
    ride: Ride, tariff: CityTariff, passes: Sequence[HeldPass], rider: Rider
) -> tuple[Pass, HeldPass, Extension] | None:
    """A pass that covers a part of the ride, where the tariff sells the rest for less than the ride."""
    if not passes or not tariff.extensions:
        return None
    fares = tariff.changes.leg_fares(ride.leg, rider)
    if not fares:
        return None
    for held in passes:
        one = _product(held, tariff)
        if one is None or held.rides_left is not None or not one.within or not _valid(held, ride):
            continue
        extension = find_extension(ride.leg, one.within, fares[0].minor, tariff)
        if extension is not None and _in_scope(one, ride, tariff, zones=False):
            return one, held, extension
    return None


def ride_ahead(
    ride: Ride, tariff: CityTariff, passes: Sequence[HeldPass], used: Mapping[str, int]
) -> tuple[HeldPass, int] | None:
    """What a ride is taken from of what was bought by number, and how many are left then; first what ends first."""
    for held in sorted(passes, key=lambda held: (held.until_s, held.id)) if passes else ():
        left = None if held.rides_left is None else held.rides_left - used.get(held.id, 0)
        if left is None or left <= 0 or not _valid(held, ride):
            continue
        one = _product(held, tariff)
        ahead = tariff.trips if held.product == TRIPS else None
        if one is not None and not _in_scope(one, ride, tariff):
            continue
        if one is None and (ahead is None or (ahead.networks and ride.leg.network not in ahead.networks)):
            continue
        return held, left - 1
    return None
