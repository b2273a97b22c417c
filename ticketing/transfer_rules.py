"""The rows that join rides: what a change costs and within which time, and which rides count as one.

Source of the semantics: the GTFS Schedule reference, fare files, revision of 2026-04-27.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from ticketing.legs import NONE, Words


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
