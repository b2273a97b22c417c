"""What rides cost in a city's tariff file: fares, changes, joins, discounts, caps and what goes with them."""

from __future__ import annotations

from datetime import date
from typing import Literal

import msgspec

from ticketing.city_schema import Ids, NamedEntry
from ticketing.money import Rounding


class ByDistance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the way adds to a fare: adds_minor for every_m metres beyond beyond_m.

    Begun ones count whole unless whole = false; at_least_minor and at_most_minor: no ride is cheaper, or dearer.
    """

    adds_minor: int
    every_m: int = 1000
    beyond_m: int = 0
    whole: bool = True
    at_most_minor: int | None = None
    at_least_minor: int = 0


class Fare(NamedEntry, frozen=True, forbid_unknown_fields=True):
    """The price of one ride; empty lists mean any. Of the fares of the highest priority the cheapest counts.

    below_m, below_minutes and stops_max are for rides whose length, time or stops are known: shorter, quicker, no more.
    zones_max: through so many zones at most, counted along `beside`. without_exit: only for rides that lack a tap, in
    place of the network's missing_minor.
    """

    price_minor: int
    networks: Ids = ()
    media: Ids = ()
    categories: Ids = ()
    starts: Ids = ()
    ends: Ids = ()
    within: Ids = ()
    below_m: int | None = None
    below_minutes: int | None = None
    stops_max: int | None = None
    zones_max: int | None = None
    by_distance: ByDistance | None = None
    hours: str | None = None
    hours_at_exit: str | None = None
    priority: int = 0
    group: str = ""
    without_exit: bool = False


class Transfer(NamedEntry, frozen=True, forbid_unknown_fields=True):
    """Changing within a half-open time; empty lists mean any group of fares and any medium.

    pays: "extra" (price_minor instead of the ride's fare), "difference" (up to the dearer fare), "discount" (the ride's
    fare less price_minor), "percent" (of the ride's fare) or "total" (the journey costs price_minor in all); a ride's
    own fare is paid where that is cheaper. counted_from: "boarding" or "exit" of the journey's first ride,
    "last_boarding" or "last_exit" of the ride before, "group" the boarding of the journey's first ride that is one of
    groups; counted_to: "boarding" or "exit". from_full_minutes 60 counts from the next full hour; until, instead of
    minutes, holds to that time of the clock. total_minutes: from the journey's first boarding, whatever minutes counts
    from. hours: those in which the journey begins; begins: the groups that its first ride is of. changes_from and
    changes_to: the first and the last change of a journey that it is for, whichever rules made the others; changes_max:
    how many it makes itself. Not joined: a way back unless return_trips ("only": nothing but the way back, to where the
    journey began), a route ridden before unless same_route, a second ride on a network of once_on.
    """

    minutes: int | None = None
    until: str | None = None
    total_minutes: int | None = None
    hours: str | None = None
    groups: Ids = ()
    to_groups: Ids | None = None
    begins: Ids = ()
    media: Ids = ()
    categories: Ids = ()
    pays: str = "extra"
    price_minor: int = 0
    percent: int | None = None
    changes_from: int = 1
    changes_to: int | None = None
    changes_max: int = -1
    between_others: bool = True
    return_trips: bool | Literal["only"] = True
    same_route: bool = True
    once_on: Ids = ()
    from_full_minutes: int = 0
    counted_from: str = "boarding"
    counted_to: str = "boarding"


class Join(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Two rides that count as one where the second begins at one of these stops or stations within so many minutes.

    networks: every ride of the journey is on one of them.
    Without stops it begins where the first ended, or with anywhere = true wherever it likes; distances add up. Of one
    journey there are at most rides_max rides, begun within total_minutes of the first; none is on a route ridden before
    unless same_route, or the second on a network of once_on. hours: those in which the first of the two ends.
    zones_min: only where the journey then goes through so many zones, counted along `beside`.
    """

    networks: Ids = ()
    from_stops: Ids = ()
    to_stops: Ids = ()
    anywhere: bool = False
    minutes: int | None = None
    rides_max: int | None = None
    total_minutes: int | None = None
    same_route: bool = True
    once_on: Ids = ()
    hours: str | None = None
    zones_min: int | None = None


class Cap(NamedEntry, frozen=True, forbid_unknown_fields=True):
    """The most that rides of a scope cost in a period, or what rides cost after so many, or the first so many.

    period: day, week, month, or rolling with rolling_days (service days) or rolling_hours, which begins with the first
    ride that is charged. Beyond amount_minor, or after after_rides, a ride costs then_percent; then_rides of them, then
    the count begins anew. The first first_rides of a period cost then_percent, what follows is dear again. Of several
    percentages the least counts.

    then_minor: rides counted by after_rides or first_rides cost this price, at most, in place of a percentage.
    from_next_ride: the ride that reaches the amount is paid whole, those after it cost then_percent; up_to_minor: once
    so much was spent they cost all again.

    A ride is in scope when it is on one of `networks` and within `within` (empty: any), or on one of `anywhere`; and
    when it starts in `hours`. A cap of a day holds on service days of `weekdays` (empty: all) and on those of also_on,
    but not on those of not_on.
    """

    period: str
    amount_minor: int | None = None
    after_rides: int | None = None
    first_rides: int | None = None
    then_percent: int = 0
    then_minor: int | None = None
    then_rides: int | None = None
    from_next_ride: bool = False
    up_to_minor: int | None = None
    rolling_days: int | None = None
    rolling_hours: int | None = None
    networks: Ids = ()
    within: Ids = ()
    anywhere: Ids = ()
    hours: str | None = None
    media: Ids = ()
    categories: Ids = ()
    weekdays: Ids = ()
    also_on: tuple[date, ...] = ()
    not_on: tuple[date, ...] = ()


class Discount(NamedEntry, frozen=True, forbid_unknown_fields=True):
    """Rides that cost percent of their fare, in hours, on networks, by media or categories; empty lists mean any.

    hours are those in which a ride begins, hours_at_exit those in which it ends.

    A concession's price is lowered as well. Of several discounts the one that leaves the least counts.
    """

    percent: int
    round_minor: int = 1
    rounding: Rounding = "half_up"
    hours: str | None = None
    hours_at_exit: str | None = None
    networks: Ids = ()
    media: Ids = ()
    categories: Ids = ()


class Extension(NamedEntry, frozen=True, forbid_unknown_fields=True):
    """What the rest of a ride costs whose other part a cap or a pass covers: the rest lies in these zones."""

    price_minor: int
    zones: Ids
    networks: Ids = ()
    hours: str | None = None


class Surcharge(NamedEntry, frozen=True, forbid_unknown_fields=True):
    """An amount on top of a ride to or from these stops or zones, in these hours, by these media and categories.

    It stands outside caps and is paid beside a pass unless the file says otherwise.
    """

    price_minor: int
    stops: Ids = ()
    zones: Ids = ()
    networks: Ids = ()
    hours: str | None = None
    media: Ids = ()
    on: str = "either"
    categories: Ids = ()
    exempt: Ids = ()
    capped: bool = False
    covered_by_pass: bool = False
