"""The entries of a city's tariff file, as they are written: every key, its default and what it means."""

from __future__ import annotations

import calendar
import tomllib
from datetime import date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec

from ticketing.days import WEEKDAYS, day_bounds_s, service_day
from ticketing.errors import TariffError
from ticketing.tariff_lines import readable

Ids = tuple[str, ...]
Rounding = Literal["half_up", "down", "up"]
EVERYWHERE = "*"
MEDIA_TYPES = {"none": 0, "paper": 1, "card": 2, "bank": 3, "app": 4}
"""The names of GTFS fare_media_type."""


class Name(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A name for people, in Ukrainian and English."""

    uk: str
    en: str


class Valid(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long a product is valid from its start; exactly one of the five.

    calendar_months: to the end of the month, the one in which it begins being the first.
    """

    hours: int | None = None
    days: int | None = None
    service_days: int | None = None
    months: int | None = None
    calendar_months: int | None = None

    def given(self) -> list[int]:
        """The spans that are written down: one, when the file is right."""
        spans = (self.hours, self.days, self.service_days, self.months, self.calendar_months)
        return [span for span in spans if span is not None]

    def end_s(self, start_s: int, day_start: time, zone: ZoneInfo) -> int:
        """The end of the half-open validity [start_s, end), Unix seconds.

        Days are of 24 hours; service days and months follow the city's clock, so that they keep the hour over
        daylight saving and a month from 31 January ends with the last day of February.
        """
        if self.hours is not None:
            return start_s + self.hours * 3600
        if self.days is not None:
            return start_s + self.days * 86400
        if self.months is not None:
            return int(_months_later(datetime.fromtimestamp(start_s, zone), self.months).timestamp())
        first = service_day(start_s, day_start, zone)
        if self.calendar_months is not None:
            begins = datetime.combine(first.replace(day=1), day_start, zone)
            return int(_months_later(begins, self.calendar_months).timestamp())
        return day_bounds_s(first + timedelta(days=(self.service_days or 1) - 1), day_start, zone)[1]


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something that other entries of the file name by its id."""

    id: str


class NamedEntry(Entry, frozen=True, forbid_unknown_fields=True):
    """An entry that receipts name to people."""

    name: Name


class Exit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Riders of a network tap out as well.

    A missing tap costs missing_minor; so does each half of a journey of max_minutes or longer. Out where one came in
    within same_stop_minutes is free.
    """

    max_minutes: int
    missing_minor: int
    same_stop_minutes: int = 0
    missing_capped: bool = False


class Network(Entry, frozen=True, forbid_unknown_fields=True):
    """Services with common rules: those of its routes, and all others of its operators."""

    name: Name | None = None
    routes: Ids = ()
    operators: Ids = ()
    exit: Exit | None = None


class Zone(Entry, frozen=True, forbid_unknown_fields=True):
    """An area of stops; beside: its neighbours, for fares by the number of zones; said of one, it holds for both."""

    stops: Ids = ()
    beside: Ids = ()


class Media(Entry, frozen=True, forbid_unknown_fields=True):
    """A kind of fare medium; type is one of none, paper, card, bank, app."""

    type: str
    name: Name | None = None


class Category(NamedEntry, frozen=True, forbid_unknown_fields=True):
    """Riders who pay percent of a price that does not name them, rounded to round_minor: half_up, down or up."""

    percent: int = 100
    round_minor: int = 1
    rounding: Rounding = "half_up"


class Hours(Entry, frozen=True, forbid_unknown_fields=True):
    """A half-open span of the day by the clock, on some weekdays; `until` 24:00 is midnight.

    A night, such as 22:00 to 05:00, belongs to the days on which it begins.
    """

    start: str = "00:00"
    until: str = "24:00"
    weekdays: Ids = WEEKDAYS
    also_on: tuple[date, ...] = ()
    not_on: tuple[date, ...] = ()


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


class Distance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far it is between two stops or stations, both ways, for fares by distance or by stops: what they ask for."""

    ends: tuple[str, str]
    metres: int | None = None
    stops: int | None = None


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


class Refund(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a product brings that is given back: all of it while it is unused and valid, for `days` after its sale.

    used: what a used one brings, or one given back later: "none", or "rest": its price by the rides that are left, that
    of a pass by its days.
    """

    days: int = 14
    used: str = "none"


class TopUps(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much is put on a city card at once, and how much its purse may hold."""

    min_minor: int = 100
    max_minor: int = 200_000
    balance_max_minor: int = 500_000


CAREFUL = Refund()
BOUNDED = TopUps()


class Pass(NamedEntry, frozen=True, forbid_unknown_fields=True):
    """A product that rides are taken from: all of them while it is valid, or a number.

    It is sold as a code or on a city card. passback_minutes: not again on the same vehicle within them; proof: the code
    is good only with the fresh proof of the passenger's device; riders: so many travel together, by one use; refund:
    where it is other than the file's.
    """

    price_minor: int
    valid: Valid
    rides: int | None = None
    networks: Ids = ()
    within: Ids = ()
    hours: str | None = None
    categories: Ids = ()
    passback_minutes: int = 0
    proof: bool = False
    riders: int = 1
    refund: Refund | None = None

    @property
    def scope(self) -> Ids:
        """The networks that it is for; empty: all of them."""
        return () if EVERYWHERE in self.networks else self.networks


class Purse(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rides paid from a city card's money: fare_minor is short for one [[fare]] that is the same for every ride."""

    fare_minor: int | None = None
    passback_minutes: int = 0


NO_PURSE = Purse()


class Bulk(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The price of one trip when so many are bought at once, from `trips` up to the next row."""

    trips: int
    price_minor: int


class Trips(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Trips bought ahead: their prices by number, and how many may be bought and held."""

    bulk: tuple[Bulk, ...]
    top_up_max: int
    held_max: int
    valid_months: int | None = None
    networks: Ids = ()

    def cost_minor(self, trips: int) -> int:
        """What so many trips cost when bought at once; ValueError where so many are not sold."""
        if not 1 <= trips <= self.top_up_max:
            raise ValueError(f"{trips} trips cannot be bought at once: 1 to {self.top_up_max} can")
        step = max((row for row in self.bulk if row.trips <= trips), key=lambda row: row.trips)
        return trips * step.price_minor


class Debit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When charges of these media leave the rider's account: "each", "pair" or "day".

    networks: the rhythm is for trips on these (empty: all), others are debited each.
    pair: after every second trip; an odd one at `odd_at`, or at once when it comes later; from wait_from it waits
    for a trip of the next day.
    """

    media: Ids
    rhythm: str
    networks: Ids = ()
    odd_at: str | None = None
    wait_from: str | None = None


class Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Riders who come along on one medium: how many, and whether transfers and caps are for them too."""

    companions_max: int = 0
    transfers: bool = True
    caps: bool = False


NO_GROUP = Group()


class Penalty(NamedEntry, frozen=True, forbid_unknown_fields=True):
    """What riding without a valid ticket costs."""

    price_minor: int
    networks: Ids = ()


class TariffFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    version: int
    currency: str
    timezone: str
    city: Name = Name("", "")
    service_day_starts: str = "00:00"
    week_starts: str = "mon"
    default_category: str | None = None
    network: tuple[Network, ...] = ()
    zone: tuple[Zone, ...] = ()
    media: tuple[Media, ...] = ()
    category: tuple[Category, ...] = ()
    hours: tuple[Hours, ...] = ()
    fare: tuple[Fare, ...] = ()
    transfer: tuple[Transfer, ...] = ()
    join: tuple[Join, ...] = ()
    distance: tuple[Distance, ...] = ()
    discount: tuple[Discount, ...] = ()
    cap: tuple[Cap, ...] = ()
    extension: tuple[Extension, ...] = ()
    surcharge: tuple[Surcharge, ...] = ()
    product: tuple[Pass, ...] = ()
    purse: Purse = NO_PURSE
    trips: Trips | None = None
    debit: tuple[Debit, ...] = ()
    group: Group = NO_GROUP
    penalty: tuple[Penalty, ...] = ()
    refund: Refund = CAREFUL
    top_up: TopUps = BOUNDED


def read_tariff_file(text: str, file: str) -> TariffFile:
    """The file as it is written, not yet checked for sense; TariffError names `file`, the entry and the field."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TariffError(f"{file}: {error}") from None
    except RecursionError:
        raise TariffError(f"{file}: it is nested too deeply to be a tariff") from None
    try:
        parsed = msgspec.convert(raw, TariffFile)
    except msgspec.ValidationError as error:
        raise TariffError(f"{file}: {readable(str(error), raw)}") from None
    if parsed.purse.fare_minor is None:
        return parsed
    if parsed.fare:
        raise TariffError(f"{file}: purse.fare_minor: give it, or [[fare]]; not both")
    ride = Fare("ride", Name("Поїздка", "Ride"), parsed.purse.fare_minor)
    return msgspec.structs.replace(parsed, fare=(ride,))


def _months_later(start: datetime, months: int) -> datetime:
    year, month0 = divmod(start.year * 12 + start.month - 1 + months, 12)
    day = min(start.day, calendar.monthrange(year, month0 + 1)[1])
    return start.replace(year=year, month=month0 + 1, day=day)
