"""The rows that price one leg: products, when and for whom they count, and how a price grows or shrinks.

Source of the semantics: the GTFS Schedule reference, fare files, revision of 2026-04-27.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from ticketing.legs import NONE, Leg, Rider, Words
from ticketing.money import Rounding


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
