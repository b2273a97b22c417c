"""The entries of a city's tariff file, as they are written: every key, its default and what it means."""

from __future__ import annotations

from datetime import date

import msgspec

from ticketing.days import WEEKDAYS
from ticketing.tariff import Name, Valid

Ids = tuple[str, ...]
MEDIA_TYPES = {"none": 0, "paper": 1, "card": 2, "bank": 3, "app": 4}
"""The names of GTFS fare_media_type."""


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
    """An area of stops."""

    stops: Ids = ()


class Media(Entry, frozen=True, forbid_unknown_fields=True):
    """A kind of fare medium; type is one of none, paper, card, bank, app."""

    type: str
    name: Name | None = None


class Category(NamedEntry, frozen=True, forbid_unknown_fields=True):
    """Riders who pay percent of a price that does not name them, rounded half up to round_minor."""

    percent: int = 100
    round_minor: int = 1


class Hours(Entry, frozen=True, forbid_unknown_fields=True):
    """A half-open span of the day by the clock, on some weekdays; `until` 24:00 is midnight."""

    start: str = "00:00"
    until: str = "24:00"
    weekdays: Ids = WEEKDAYS
    also_on: tuple[date, ...] = ()
    not_on: tuple[date, ...] = ()


class Fare(NamedEntry, frozen=True, forbid_unknown_fields=True):
    """The price of one ride; empty lists mean any. Of the fares of the highest priority the cheapest counts."""

    price_minor: int
    networks: Ids = ()
    media: Ids = ()
    categories: Ids = ()
    starts: Ids = ()
    ends: Ids = ()
    within: Ids = ()
    below_m: int | None = None
    hours: str | None = None
    hours_at_exit: str | None = None
    priority: int = 0
    group: str = ""


class Transfer(NamedEntry, frozen=True, forbid_unknown_fields=True):
    """Changing within a half-open time; empty lists mean any group of fares and any medium.

    pays: "extra" (price_minor instead of the ride's fare), "difference" (up to the dearer fare) or "discount" (the
    ride's fare less price_minor); a ride's own fare is paid where that is cheaper. counted_from: "boarding" or "exit"
    of the journey's first ride, "last_boarding" or "last_exit" of the ride before; counted_to: "boarding" or "exit".
    from_full_minutes 60 counts from the next full hour. Not joined: a way back unless return_trips, a route ridden
    before unless same_route, a second ride on a network of once_on.
    """

    minutes: int
    groups: Ids = ()
    to_groups: Ids | None = None
    media: Ids = ()
    categories: Ids = ()
    pays: str = "extra"
    price_minor: int = 0
    changes_max: int = -1
    between_others: bool = True
    return_trips: bool = True
    same_route: bool = True
    once_on: Ids = ()
    from_full_minutes: int = 0
    counted_from: str = "boarding"
    counted_to: str = "boarding"


class Join(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Two rides that count as one where the second begins at one of these stops or stations within so many minutes.

    Without stops it begins where the first ended, or with anywhere = true wherever it likes; distances add up.
    """

    networks: Ids = ()
    from_stops: Ids = ()
    to_stops: Ids = ()
    anywhere: bool = False
    minutes: int | None = None


class Cap(NamedEntry, frozen=True, forbid_unknown_fields=True):
    """The most that rides of a scope cost in a period, or what rides cost after so many.

    period: day, week, month, or rolling with rolling_days (service days) or rolling_hours (up to 24), which begins with
    the first ride that is charged. A ride is in scope when
    it is on one of `networks` and within `within` (empty: any), or on one of `anywhere`; and when it starts in `hours`.
    """

    period: str
    amount_minor: int | None = None
    after_rides: int | None = None
    then_percent: int = 0
    rolling_days: int | None = None
    rolling_hours: int | None = None
    networks: Ids = ()
    within: Ids = ()
    anywhere: Ids = ()
    hours: str | None = None
    media: Ids = ()
    categories: Ids = ()


class Extension(NamedEntry, frozen=True, forbid_unknown_fields=True):
    """What the rest of a ride costs whose other part a cap or a pass covers: the rest lies in these zones."""

    price_minor: int
    zones: Ids
    networks: Ids = ()
    hours: str | None = None


class Surcharge(NamedEntry, frozen=True, forbid_unknown_fields=True):
    """An amount on top of a ride to or from these stops or zones, outside caps and paid beside a pass by default."""

    price_minor: int
    stops: Ids = ()
    zones: Ids = ()
    networks: Ids = ()
    on: str = "either"
    exempt: Ids = ()
    capped: bool = False
    covered_by_pass: bool = False


class Pass(NamedEntry, frozen=True, forbid_unknown_fields=True):
    """A product that rides are taken from: all of them while it is valid, or a number."""

    price_minor: int
    valid: Valid
    rides: int | None = None
    networks: Ids = ()
    within: Ids = ()
    hours: str | None = None
    categories: Ids = ()


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
    city: Name
    currency: str
    timezone: str
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
    cap: tuple[Cap, ...] = ()
    extension: tuple[Extension, ...] = ()
    surcharge: tuple[Surcharge, ...] = ()
    # "pass" is a word of Python's.
    passes: tuple[Pass, ...] = msgspec.field(default=(), name="pass")
    trips: Trips | None = None
    debit: tuple[Debit, ...] = ()
    group: Group = NO_GROUP
    penalty: tuple[Penalty, ...] = ()
