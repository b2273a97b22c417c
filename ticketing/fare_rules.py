"""Fare rules as values: what a leg is, who rides it, and the rows of the tables that price it.

Source of the semantics: the GTFS Schedule reference, fare files, revision of 2026-04-27.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import IntEnum

import msgspec

from ticketing.city_schema import Rounding

Words = frozenset[str]
NONE: Words = frozenset()


class LimitFrom(IntEnum):
    """Between which events of the first and the last leg a transfer's time runs (duration_limit_type)."""

    DEPARTURE_TO_ARRIVAL = 0
    DEPARTURE_TO_DEPARTURE = 1
    ARRIVAL_TO_DEPARTURE = 2
    ARRIVAL_TO_ARRIVAL = 3


class Pays(IntEnum):
    """How a transfer is paid: the three ways of the standard (fare_transfer_type), and three of our own.

    DIFFERENCE pays up to the dearer fare, TOTAL up to what the product says that the whole journey costs, PERCENT so
    much of the ride's own fare.
    """

    A_AB = 0
    A_AB_B = 1
    AB = 2
    DIFFERENCE = 3
    TOTAL = 4
    PERCENT = 5


class Leg(msgspec.Struct, frozen=True):
    """One ride as its taps tell it; areas of both ends, of what lies between (where known), times in Unix seconds.

    taps are the ids of the taps that made it, the last of them carries its charge.
    """

    taps: tuple[str, ...]
    start_s: float
    end_s: float
    network: str | None = None
    from_areas: Words = NONE
    to_areas: Words = NONE
    via_areas: Words = NONE
    from_stop: str | None = None
    to_stop: str | None = None
    route_id: str | None = None
    direction_id: int | None = None
    vehicle: str | None = None
    distance_m: int | None = None
    stops: int | None = None

    @property
    def lasts_s(self) -> float | None:
        """How long the ride took; None where nobody tapped out."""
        return self.end_s - self.start_s if len(self.taps) > 1 else None

    def within(self, areas: Words) -> bool:
        """Whether the ride begins, runs and ends inside these areas; an unknown beginning is outside."""
        return (
            not self.from_areas.isdisjoint(areas)
            and (not self.to_areas or not self.to_areas.isdisjoint(areas))
            and self.via_areas <= areas
        )

    def outside(self, areas: Words) -> Words:
        """The known areas of the ride that are not among these."""
        ends = [end for end in (self.from_areas, self.to_areas) if end and end.isdisjoint(areas)]
        return frozenset().union(*ends) | (self.via_areas - areas)


class Rider(msgspec.Struct, frozen=True, cache_hash=True):
    """Who pays with what: a rider category and a fare medium (None: not known), and the category's percentage.

    percent is what a rider of the category pays of a price that names no category; rounded to round_minor, half up
    unless rounding says down or up.
    """

    category: str | None = None
    media: str | None = None
    percent: int = 100
    round_minor: int = 1
    rounding: Rounding = "half_up"

    def part_of(self, minor: int) -> int:
        """What the rider pays of a price for everybody."""
        return percent_of(minor, self.percent, self.round_minor, self.rounding)


@dataclass(frozen=True, slots=True)
class Price:
    """One row of a product: its amount for a category and a medium, None meaning any."""

    minor: int
    category: str | None = None
    media: str | None = None


@dataclass(frozen=True, slots=True)
class Timeframe:
    """A half-open span of the day [start_s, end_s), seconds since midnight by the clock, on the days of a service.

    weekdays, between first and last (both included), plus `added`, without `removed`.
    """

    start_s: int
    end_s: int
    weekdays: frozenset[int] = frozenset(range(7))
    first: date = date.min
    last: date = date.max
    added: frozenset[date] = frozenset()
    removed: frozenset[date] = frozenset()

    def holds(self, local: datetime) -> bool:
        """Whether the local wall-clock time lies within; the day is the calendar day, not the service day."""
        day = local.date()
        runs = day in self.added or (
            self.first <= day <= self.last and day.weekday() in self.weekdays and day not in self.removed
        )
        return runs and self.start_s <= local.hour * 3600 + local.minute * 60 + local.second < self.end_s


@dataclass(frozen=True, slots=True)
class Metered:
    """The part of a price that grows with the way: adds_minor for every_m metres beyond beyond_m.

    whole: begun steps count whole; otherwise their part, rounded half up. at_most_minor is the dearest that the whole
    ride becomes, at_least_minor the cheapest.
    """

    adds_minor: int
    every_m: int = 1000
    beyond_m: int = 0
    whole: bool = True
    at_most_minor: int | None = None
    at_least_minor: int = 0

    def price_minor(self, base_minor: int, way_m: int) -> int:
        """What so many metres cost on top of a base price."""
        beyond = max(0, way_m - self.beyond_m)
        if self.whole:
            grown = -(-beyond // self.every_m) * self.adds_minor
        else:
            grown = (2 * beyond * self.adds_minor + self.every_m) // (2 * self.every_m)
        price = max(base_minor + grown, self.at_least_minor)
        return price if self.at_most_minor is None else min(price, self.at_most_minor)


@dataclass(frozen=True, slots=True)
class Discount:
    """A part of the price of rides: percent of it is paid, in a timeframe, on networks, by media and categories.

    timeframe holds the beginning of the ride, to_timeframe its end. Empty fields mean any; of several the one that
    leaves the least counts.
    """

    id: str
    percent: int
    round_minor: int = 1
    rounding: Rounding = "half_up"
    timeframe: str | None = None
    networks: Words = NONE
    media: Words = NONE
    categories: Words = NONE
    to_timeframe: str | None = None

    def holds(self, leg: Leg, rider: Rider, times: tuple[Words, Words], defaults: Words) -> bool:
        """Whether it is for this rider's ride, which begins and ends in these timeframes."""
        return (
            (self.timeframe is None or self.timeframe in times[0])
            and (self.to_timeframe is None or self.to_timeframe in times[1])
            and (not self.networks or leg.network in self.networks)
            and (not self.media or rider.media in self.media)
            and (
                not self.categories
                or rider.category in self.categories
                or (rider.category is None and not self.categories.isdisjoint(defaults))
            )
        )


@dataclass(frozen=True, slots=True)
class LegRule:
    """Which product a leg needs. Empty fields mean what the tables say they mean (`Fares.empty_is_any`).

    within, below_m, below_s, stops_max, metered and zones_max are ours: all of the ride inside these areas, below so
    many metres, over in less than so many seconds, so many stops at most, a price that grows with the way, and through
    so many zones at most (`Zones.passed`).
    """

    product: str
    group: str = ""
    networks: Words = NONE
    from_areas: Words = NONE
    to_areas: Words = NONE
    from_timeframe: str | None = None
    to_timeframe: str | None = None
    priority: int = 0
    within: Words = NONE
    below_m: int | None = None
    below_s: int | None = None
    stops_max: int | None = None
    metered: Metered | None = None
    zones_max: int | None = None

    def measures_match(self, leg: Leg) -> bool:
        """Whether the ride is as short and as quick as the rule asks; what is not known is neither."""
        if self.below_m is not None and (leg.distance_m is None or leg.distance_m >= self.below_m):
            return False
        if self.below_s is not None and (leg.lasts_s is None or leg.lasts_s >= self.below_s):
            return False
        if self.stops_max is not None and (leg.stops is None or leg.stops > self.stops_max):
            return False
        return self.metered is None or leg.distance_m is not None


@dataclass(frozen=True, slots=True)
class TransferRule:
    """What changing from one leg group to another costs, and within which half-open time.

    chained: the time and the count run from the first leg that the rule joined. count -1 is no limit.
    between_others: rides that the rule says nothing about may lie between (nonconsecutive_transfers_allowed).
    optional: the rider pays the ride's own fare where that is cheaper; a feed's rule must be processed.
    same_product: both rides need the same product (fare_product_behavior 0). alike: the ids of all rules for the same
    two groups, whose time and count run together (by itself: its own).
    The rest is ours. same_route: a route may be ridden again; once_on: networks that may be ridden once; round_up_s:
    the time runs from the next full multiple of so many seconds; until_s: it ends at this time of the clock, seconds
    since midnight; total_s: counted from the journey's beginning whatever limit_s counts from; count_from: the first
    change of a journey that it is for; hours: those in which the journey began; percent: of the ride's own fare;
    back_only: for nothing but the way back; from_group: counted from the journey's first ride that is of from_groups;
    begins: the groups that a journey's first ride is of; count_to: the last change of a journey that it is for.
    """

    id: str
    from_groups: Words = NONE
    to_groups: Words = NONE
    limit_s: int | None = None
    limit_from: LimitFrom = LimitFrom.DEPARTURE_TO_DEPARTURE
    pays: Pays = Pays.A_AB
    product: str | None = None
    count: int = -1
    chained: bool = False
    between_others: bool = False
    return_trips: bool = True
    same_route: bool = True
    once_on: Words = NONE
    round_up_s: int = 0
    optional: bool = False
    until_s: int | None = None
    total_s: int | None = None
    count_from: int = 1
    hours: str | None = None
    percent: int = 100
    back_only: bool = False
    from_group: bool = False
    begins: Words = NONE
    count_to: int | None = None
    same_product: bool = False
    alike: Words = NONE
    # Whether its time alone decides: what was ridden before in the journey does not matter.
    plain: bool = field(init=False, compare=False)
    # Whether the time runs from the first leg's beginning, and to the last one's.
    from_departure: bool = field(init=False, compare=False)
    to_departure: bool = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Look once at what every ride asks: whether the time alone decides, and between which events it runs."""
        object.__setattr__(self, "alike", self.alike or frozenset((self.id,)))
        both, to = LimitFrom.DEPARTURE_TO_DEPARTURE, LimitFrom.ARRIVAL_TO_DEPARTURE
        object.__setattr__(self, "from_departure", self.limit_from in (LimitFrom.DEPARTURE_TO_ARRIVAL, both))
        object.__setattr__(self, "to_departure", self.limit_from in (both, to))
        limits = self.count > 0 or self.count_from > 1 or self.total_s is not None or self.hours is not None
        limits = limits or bool(self.begins) or self.count_to is not None
        places = not self.return_trips or self.back_only or not self.same_route or bool(self.once_on)
        object.__setattr__(self, "plain", not (limits or places))


@dataclass(frozen=True, slots=True)
class JoinRule:
    """Two consecutive legs that count as one (fare_leg_join_rules).

    within_s (half-open, None: no limit), anywhere (whatever the stops), and what a journey may be made of are ours:
    at most rides_max rides, begun within total_s of the first; a route again, and networks that are ridden once; hours
    that hold the end of the ride before; zones_min: the journey with the ride goes through so many zones or more;
    networks: those of all its rides; optional: not where that leaves rides without a price which have one each.
    onward: a ride back to where the journey has been begins a new one.
    """

    from_network: str | None = None
    to_network: str | None = None
    from_stops: Words = NONE
    to_stops: Words = NONE
    within_s: int | None = None
    anywhere: bool = False
    rides_max: int | None = None
    total_s: int | None = None
    same_route: bool = True
    once_on: Words = NONE
    hours: str | None = None
    zones_min: int | None = None
    networks: Words = NONE
    optional: bool = False
    onward: bool = False


@dataclass(frozen=True, slots=True)
class LegFare:
    """A product that pays for a leg: what this rider pays, and what a rider without concession pays.

    discount_minor, below zero, is what a discount took off what this rider pays.
    """

    group: str
    product: str
    minor: int
    full_minor: int
    discount: str | None = None
    discount_minor: int = 0


def is_or_unnamed(named: Words, found: Words, named_anywhere: Words) -> bool:
    """Equal, or empty where no rule of the column names what was found."""
    return not named.isdisjoint(found) if named else found.isdisjoint(named_anywhere)


def places_of(stop_id: str, parents: Mapping[str, str]) -> Iterator[str]:
    """A stop, and what it is a part of, in order: its station, or its platform and the station of that."""
    place: str | None = stop_id
    while place is not None:
        yield place
        place = parents.get(place)


def percent_of(minor: int, percent: int, round_minor: int = 1, rounding: Rounding = "half_up") -> int:
    """A part of an amount as a whole multiple of round_minor."""
    if percent == 100:
        return minor
    unit = 100 * round_minor
    match rounding:
        case "down":
            steps = minor * percent // unit
        case "up":
            steps = -(-minor * percent // unit)
        case _:
            steps = (minor * percent * 2 + unit) // (2 * unit)
    return steps * round_minor
