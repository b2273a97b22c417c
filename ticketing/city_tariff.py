"""A city's tariff: what GTFS-Fares lacks (caps, passes, bulk, debits, penalties), and fares where no feed has them.

`ticketing.city_file` reads it; docs/tariff.md says how to write one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import time
from functools import cached_property
from zoneinfo import ZoneInfo

from ticketing.changes import Changes
from ticketing.city_prices import Cap, Extension, Surcharge
from ticketing.city_sales import NO_GROUP, Debit, Group, Pass, Penalty, Trips
from ticketing.city_schema import EVERYWHERE, Category, Distance, Exit, Name, NamedEntry
from ticketing.fares import Fares
from ticketing.legs import NONE, Leg, Rider, Words
from ticketing.transfer_rules import TransferRule


@dataclass(frozen=True)
class CityTariff:
    """One version of a city's tariff, checked: its fare tables in the order in which they are asked, and the rest.

    missing: what rides cost that lack a tap, where that depends on their place or time.
    """

    version: int
    city: Name
    currency: str
    zone: ZoneInfo
    day_start: time
    week_start: int
    tables: tuple[Fares, ...]
    categories: Mapping[str, Category]
    default_category: str | None
    exits: Mapping[str, Exit]
    network_by_operator: Mapping[str, str]
    network_names: Mapping[str, Name]
    missing: Fares | None = None
    caps: tuple[Cap, ...] = ()
    extensions: tuple[Extension, ...] = ()
    surcharges: tuple[Surcharge, ...] = ()
    passes: Mapping[str, Pass] | None = None
    distances: Mapping[tuple[str, str], Distance] = field(default_factory=dict)
    networks: frozenset[str] = NONE
    zones: frozenset[str] = NONE
    trips: Trips | None = None
    debits: tuple[Debit, ...] = ()
    group: Group = NO_GROUP
    penalties: tuple[Penalty, ...] = ()
    # The caps that hold a ride, by its places and times, looked up before. Bounded; no answer depends on it.
    scopes: dict[object, frozenset[str]] = field(default_factory=dict, repr=False, compare=False)

    def rider(self, category: str | None, media: str | None) -> Rider:
        """Who pays: a category that the file gives a percentage, or one that has prices of its own."""
        known = self.categories.get(category) if category is not None else None
        if known is None:
            return Rider(category, media)
        return Rider(category, media, known.percent, known.round_minor, known.rounding)

    def distance_of(self, from_stop: str | None, to_stop: str | None) -> Distance | None:
        """How far it is between two stops, or their stations, where the file says so; back where one began it is 0."""
        if from_stop is None or to_stop is None:
            return None
        table = self.tables[-1]
        stations = table.station_of(from_stop) or from_stop, table.station_of(to_stop) or to_stop
        found = self.distances.get((from_stop, to_stop)) or self.distances.get(stations)
        return Distance(stations, 0, 0) if found is None and stations[0] == stations[1] else found

    def discount_percent(self, discount: str) -> int | None:
        """What is paid of a fare under a discount, by its id."""
        found = [one.percent for table in self.tables for one in table.discounts if one.id == discount]
        return found[0] if found else None

    def missing_minor(self, leg: Leg, rider: Rider) -> int:
        """What a ride costs that lacks a tap: by the fares for such rides, else what its network asks."""
        found = self.missing.leg_fares(leg, rider) if self.missing is not None else ()
        rule = self.exits.get(leg.network or "")
        return found[0].minor if found else rider.part_of(rule.missing_minor) if rule else 0

    def debit_of(self, media: str | None) -> Debit | None:
        """The rhythm in which a medium's charges are debited; None: each at once."""
        return next((debit for debit in self.debits if not debit.media or media in debit.media), None)

    def network_of(self, route_id: str | None, operator: str | None = None) -> str | None:
        """The network of a ride: by its route in the first table that knows it, else by its operator."""
        for table in self.tables if route_id is not None else ():
            network = table.network_by_route.get(route_id or "")
            if network is not None:
                return network
        if operator is None:
            return None
        return self.network_by_operator.get(operator, self.network_by_operator.get(EVERYWHERE))

    def areas_of(self, stop_id: str | None) -> Words:
        """The areas of a stop in all tables."""
        areas = NONE
        for table in self.tables:
            areas |= table.areas_of(stop_id)
        return areas

    def hours_hold(self, hours: str | None, at_s: float) -> bool:
        """Whether named hours (None: any time) hold an instant."""
        return hours is None or hours in self.timeframes_at(at_s)

    def timeframes_at(self, at_s: float) -> Words:
        """All named hours, and timeframe groups of the feed, that hold an instant by the city's clock."""
        return NONE.union(*(table.timeframes_at(at_s, None) for table in self.tables))

    def bulk_minor(self, trips: int) -> int:
        """What so many trips cost when bought at once; ValueError where the tariff does not sell them."""
        if self.trips is None:
            raise ValueError("this tariff sells no trips ahead")
        return self.trips.cost_minor(trips)

    def pass_until_s(self, one: Pass, start_s: int) -> int:
        """The end of a pass's half-open validity [start_s, end), Unix seconds, as for any product."""
        return one.valid.end_s(start_s, self.day_start, self.zone)

    @cached_property
    def names(self) -> Mapping[str, Name]:
        """The names of fares, transfers, caps and the rest by id, for receipts."""
        named: list[NamedEntry] = [
            *self.caps,
            *self.extensions,
            *self.surcharges,
            *(self.passes or {}).values(),
            *self.penalties,
        ]
        found: dict[str, Name] = {}
        for table in reversed(self.tables):
            found |= table.names
        return found | {item.id: item.name for item in named}

    @cached_property
    def changes(self) -> Changes:
        """The transfer rules of all tables."""
        return Changes(self.tables)

    @cached_property
    def caps_have_hours(self) -> bool:
        """Whether the time of a ride matters to any cap."""
        return any(cap.hours for cap in self.caps)

    @cached_property
    def rules_by_id(self) -> Mapping[str, TransferRule]:
        """Transfer rules by id; of several under one id the first."""
        return {rule.id: rule for table in reversed(self.tables) for rule in reversed(table.transfer_rules)}

    @cached_property
    def longest_transfer_s(self) -> int:
        """How long before a day's end rides matter to the next day's transfers, seconds: at most half a day."""
        return int(min(43_200, self.changes.longest_s))
