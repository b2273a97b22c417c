"""Fare rules as GTFS-Fares v2 means them: which products a leg or a transfer needs, and what they cost a rider.

The same tables are filled from a feed (ticketing.fare_tables) and from a city's own file (ticketing.city_tariff).
Source of the semantics: the GTFS Schedule reference, fare files, revision of 2026-04-27.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from zoneinfo import ZoneInfo

from ticketing.city_schema import Name
from ticketing.fare_rules import Discount, LegFare, LegRule, Metered, Price, Timeframe
from ticketing.legs import NONE, Leg, Rider, Words, is_or_unnamed, places_of
from ticketing.money import percent_of
from ticketing.transfer_rules import JoinRule, TransferRule
from ticketing.transfer_table import TransferTable
from ticketing.zones import Zones

_MEMO_MAX = 20_000


@dataclass(frozen=True)
class Fares:
    """One set of fare tables, checked. empty_is_any: an empty field of a leg rule matches anything (rule_priority is
    there, or the city's own file); otherwise it matches what no rule of the column names. transfer_empty_is_any: the
    same for leg groups of transfer rules, which the standard never lets match anything.
    """

    currency: str
    zone: ZoneInfo
    products: Mapping[str, tuple[Price, ...]]
    leg_rules: tuple[LegRule, ...]
    transfer_rules: tuple[TransferRule, ...] = ()
    join_rules: tuple[JoinRule, ...] = ()
    discounts: tuple[Discount, ...] = ()
    timeframes: Mapping[str, tuple[Timeframe, ...]] = field(default_factory=dict)
    names: Mapping[str, Name] = field(default_factory=dict)
    default_categories: Words = NONE
    media: Mapping[str, int] = field(default_factory=dict)
    areas_by_stop: Mapping[str, Words] = field(default_factory=dict)
    station_by_stop: Mapping[str, str] = field(default_factory=dict)
    zone_by_stop: Mapping[str, ZoneInfo] = field(default_factory=dict)
    network_by_route: Mapping[str, str] = field(default_factory=dict)
    beside: Mapping[str, Words] = field(default_factory=dict)
    empty_is_any: bool = True
    transfer_empty_is_any: bool = False
    # What was looked up before: the same rides come again and again. Bounded; no answer depends on it.
    _memo: dict[object, tuple[LegFare, ...]] = field(default_factory=dict, repr=False, compare=False)
    _timeframe_memo: dict[tuple[float, str], Words] = field(default_factory=dict, repr=False, compare=False)

    def areas_of(self, stop_id: str | None) -> Words:
        """The areas of a stop; a platform without any has those of its station."""
        if stop_id is None or not self.areas_by_stop:
            return NONE
        found = (self.areas_by_stop.get(place, NONE) for place in places_of(stop_id, self.station_by_stop))
        return next((areas for areas in found if areas), NONE)

    def station_of(self, stop_id: str | None) -> str | None:
        """The station that a stop is a part of, or the stop itself."""
        return stop_id if stop_id is None else [*places_of(stop_id, self.station_by_stop)][-1]

    def timeframes_at(self, at_s: float, stop_id: str | None) -> Words:
        """The timeframe groups that hold an instant, by the clock of the stop."""
        if not self.timeframes:
            return NONE
        zone = self.zone_by_stop.get(stop_id, self.zone) if stop_id is not None else self.zone
        known = self._timeframe_memo.get((at_s, zone.key))
        if known is None:
            if len(self._timeframe_memo) >= _MEMO_MAX:
                self._timeframe_memo.clear()
            local = datetime.fromtimestamp(at_s, zone)
            known = self._timeframe_memo[at_s, zone.key] = frozenset(
                group for group, frames in self.timeframes.items() if any(frame.holds(local) for frame in frames)
            )
        return known

    def price(
        self, product: str, rider: Rider, metered: Metered | None = None, leg: Leg | None = None
    ) -> tuple[int, int] | None:
        """What a product costs the rider, and without concession; None where it is not for his category or medium.

        A rider of any category may pay what the default category pays; of what he may pay, the least counts. A row of
        the rider's medium goes before one that names none. metered adds what the leg's length costs.
        """
        rows = self.products.get(product, ())
        defaults = self.default_categories or self._only_category
        ordinary = _by_medium([row for row in rows if row.category is None or row.category in defaults], rider)
        own = _by_medium([row for row in rows if row.category and row.category == rider.category], rider)
        if metered is not None and leg is not None:
            ordinary, own = (
                [metered.price_minor(minor, leg.distance_m or 0) for minor in one] for one in (ordinary, own)
            )
        if not ordinary and not own:
            return None
        full = min(ordinary or own)
        if own:
            return min(own + ordinary), max(full, min(own))
        return rider.part_of(full), full

    def leg_fares(self, leg: Leg, rider: Rider) -> tuple[LegFare, ...]:
        """The products that pay for a leg, cheapest first, one for each leg group; empty: its fare is unknown."""
        starts = ends = NONE
        if self._timed is None or leg.network in self._timed:
            starts = ends = self.timeframes_at(leg.start_s, leg.from_stop)
            if leg.end_s != leg.start_s or leg.to_stop is not None:
                ends = self.timeframes_at(leg.end_s, leg.to_stop)
        lasts_s = leg.lasts_s if self._spans_s else None
        quick = tuple(lasts_s < span_s for span_s in self._spans_s) if lasts_s is not None else ()
        places = (leg.network, leg.from_areas, leg.to_areas, leg.via_areas)
        key = (*places, leg.distance_m, leg.stops, quick, starts, ends, rider)
        known = self._memo.get(key)
        if known is None:
            if len(self._memo) >= _MEMO_MAX:
                self._memo.clear()
            known = self._memo[key] = self._find_leg_fares(leg, rider, starts, ends)
        return known

    def _find_leg_fares(self, leg: Leg, rider: Rider, starts: Words, ends: Words) -> tuple[LegFare, ...]:
        zones = self.zones.passed(leg) if self._counts_zones else None
        matching = [
            rule
            for rule in self.leg_rules
            if (rule.from_timeframe is None or rule.from_timeframe in starts)
            and (rule.to_timeframe is None or rule.to_timeframe in ends)
            and (not rule.within or leg.within(rule.within))
            and (rule.zones_max is None or (zones is not None and zones <= rule.zones_max))
            and rule.measures_match(leg)
            and self._places_match(rule, leg)
        ]
        if not self.empty_is_any:
            exact = [rule for rule in matching if rule.networks and rule.from_areas and rule.to_areas]
            matching = exact or matching
        fares: dict[str, LegFare] = {}
        for priority in sorted({rule.priority for rule in matching}, reverse=True):
            for rule in matching:
                price = self.price(rule.product, rider, rule.metered, leg) if rule.priority == priority else None
                if price is None:
                    continue
                fare = self._discounted(LegFare(rule.group, rule.product, *price), leg, rider, (starts, ends))
                before = fares.get(rule.group)
                if before is None or fare.minor < before.minor:
                    fares[rule.group] = fare
            if fares:  # what the rider's medium cannot pay is no match: the next priority is asked
                break
        return tuple(sorted(fares.values(), key=lambda fare: (fare.minor, fare.group)))

    def _discounted(self, fare: LegFare, leg: Leg, rider: Rider, times: tuple[Words, Words]) -> LegFare:
        """The fare less the discount that leaves the least of it."""
        least = fare
        for one in self.discounts:
            if one.holds(leg, rider, times, self.default_categories):
                minor = percent_of(fare.minor, one.percent, one.round_minor, one.rounding)
                if minor < least.minor:
                    less = minor - fare.minor
                    least = LegFare(fare.group, fare.product, minor, fare.full_minor, one.id, less)
        return least

    def _places_match(self, rule: LegRule, leg: Leg) -> bool:
        network = frozenset((leg.network,)) if leg.network is not None else NONE
        if self.empty_is_any:
            return (
                _is_or_any(rule.networks, network)
                and _is_or_any(rule.from_areas, leg.from_areas)
                and _is_or_any(rule.to_areas, leg.to_areas)
            )
        networks, from_areas, to_areas = self._named
        return (
            is_or_unnamed(rule.networks, network, networks)
            and is_or_unnamed(rule.from_areas, leg.from_areas, from_areas)
            and is_or_unnamed(rule.to_areas, leg.to_areas, to_areas)
        )

    @cached_property
    def transfers(self) -> TransferTable:
        """Which rule is for which change."""
        return TransferTable(self.transfer_rules, empty_is_any=self.transfer_empty_is_any)

    @cached_property
    def zones(self) -> Zones:
        """How the zones lie beside each other."""
        return Zones(self.beside)

    @cached_property
    def _counts_zones(self) -> bool:
        """Whether the number of zones matters to any fare."""
        return any(rule.zones_max is not None for rule in self.leg_rules)

    @cached_property
    def _only_category(self) -> Words:
        """The category of every rider where the tables know but one, and no price is for whoever it may be."""
        named = frozenset(price.category or "" for rows in self.products.values() for price in rows)
        return named if len(named) == 1 else NONE

    @cached_property
    def _timed(self) -> Words | None:
        """The networks whose fares depend on the time; None: any may."""
        timed = [rule.networks for rule in self.leg_rules if rule.from_timeframe or rule.to_timeframe]
        timed += [one.networks for one in self.discounts if one.timeframe or one.to_timeframe]
        return NONE.union(*timed) if all(timed) else None

    @cached_property
    def _spans_s(self) -> tuple[int, ...]:
        """The times in which a ride is quick enough for some rule, seconds."""
        return tuple(sorted({rule.below_s for rule in self.leg_rules if rule.below_s is not None}))

    @cached_property
    def _named(self) -> tuple[Words, Words, Words]:
        """The networks and areas that the rules name, column by column."""
        return (
            NONE.union(*(rule.networks for rule in self.leg_rules)),
            NONE.union(*(rule.from_areas for rule in self.leg_rules)),
            NONE.union(*(rule.to_areas for rule in self.leg_rules)),
        )


def _by_medium(rows: Sequence[Price], rider: Rider) -> list[int]:
    """What rows cost that the rider's medium can pay; where it is not known, what names none, else any."""
    named = [row.minor for row in rows if row.media is not None and rider.media in (None, row.media)]
    unnamed = [row.minor for row in rows if row.media is None]
    return unnamed or named if rider.media is None else named or unnamed


def _is_or_any(named: Words, found: Words) -> bool:
    return not named or not named.isdisjoint(found)


def same_currency(tables: Sequence[Fares]) -> str:
    """The currency of all the tables; ValueError where there are two."""
    currencies = {fares.currency for fares in tables}
    if len(currencies) != 1:
        raise ValueError(f"fares in {', '.join(sorted(currencies)) or 'no currency'}: one city has one currency")
    return currencies.pop()
