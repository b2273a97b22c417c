"""The words of a city's tariff file: names, networks, zones, media, categories, hours and distances."""

from __future__ import annotations

from datetime import date

import msgspec

from ticketing.days import WEEKDAYS
from ticketing.money import Rounding

Ids = tuple[str, ...]
EVERYWHERE = "*"
MEDIA_TYPES = {"none": 0, "paper": 1, "card": 2, "bank": 3, "app": 4}
"""The names of GTFS fare_media_type."""


class Name(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A name for people, in Ukrainian and English."""

    uk: str
    en: str


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


class Distance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far it is between two stops or stations, both ways, for fares by distance or by stops: what they ask for."""

    ends: tuple[str, str]
    metres: int | None = None
    stops: int | None = None
