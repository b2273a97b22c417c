"""What a city's tariff file sells and how it is paid: passes, trips ahead, refunds, purses, debits, penalties."""

from __future__ import annotations

import calendar
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec

from ticketing.city_schema import EVERYWHERE, Ids, NamedEntry
from ticketing.days import day_bounds_s, service_day


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


def _months_later(start: datetime, months: int) -> datetime:
    year, month0 = divmod(start.year * 12 + start.month - 1 + months, 12)
    day = min(start.day, calendar.monthrange(year, month0 + 1)[1])
    return start.replace(year=year, month=month0 + 1, day=day)
