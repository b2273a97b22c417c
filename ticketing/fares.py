"""Fare rules as GTFS-Fares v2 means them: which products a leg or a transfer needs, and what they cost a rider.

The same tables are filled from a feed (ticketing.fare_tables) and from a city's own file (ticketing.city_tariff).
Source of the semantics: the GTFS Schedule reference, fare files, revision of 2026-04-27.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property, lru_cache
from itertools import product
from zoneinfo import ZoneInfo

from ticketing.city_schema import Name
from ticketing.fare_rules import (
    NONE,
    Discount,
    JoinRule,
    Leg,
    LegFare,
    LegRule,
    Metered,
    Price,
    Rider,
    Timeframe,
    TransferRule,
    Words,
    percent_of,
    places_of,
)

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
    _transfer_memo: dict[tuple[str, str], tuple[TransferRule, ...]] = field(
        default_factory=dict, repr=False, compare=False
    )

    @cached_property
    def transfer_s_max(self) -> float:
        """The longest time that a transfer may take, seconds; infinite where one has no limit."""
        return max(((_longest_s(rule) or math.inf) + rule.round_up_s for rule in self.transfer_rules), default=0)

    def leads_on(self, group: str) -> bool:
        """Whether a feed has changes that may go on from a leg group."""
        _, empty, (named_from, _) = self._transfer_index
        return group in named_from or any(not rule.from_groups for rule in empty)

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

    def transfers(self, from_group: str, to_group: str) -> tuple[TransferRule, ...]:
        """The rules for changing between two leg groups: exact ones, else those whose empty fields stand for them."""
        key = (from_group, to_group)
        known = self._transfer_memo.get(key)
        if known is None:
            known = self._transfer_memo[key] = self._find_transfers(from_group, to_group)
        return known

    def _find_leg_fares(self, leg: Leg, rider: Rider, starts: Words, ends: Words) -> tuple[LegFare, ...]:
        zones = self.zones_of(leg) if self._counts_zones else None
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
            _is_or_unnamed(rule.networks, network, networks)
            and _is_or_unnamed(rule.from_areas, leg.from_areas, from_areas)
            and _is_or_unnamed(rule.to_areas, leg.to_areas, to_areas)
        )

    def zones_of(self, leg: Leg) -> int | None:
        """Through how many zones a ride goes: those that it touched, or those on the way between the two farthest.

        A stop in two zones counts for the one that makes it fewer. None where a zone is not known, or not reached.
        """
        starts, ends, via = (areas & self._hops.keys() for areas in (leg.from_areas, leg.to_areas, leg.via_areas))
        if not starts or (leg.to_areas and not ends):
            return None
        counts = [
            count
            for start in starts
            for end in ends or (start,)
            if (count := self._zones_among(via | {start, end})) is not None
        ]
        return min(counts, default=None)

    def _zones_among(self, touched: Words) -> int | None:
        apart = [self._hops[one].get(other) for one in touched for other in touched]
        known = [hops for hops in apart if hops is not None]
        return max(len(touched), 1 + max(known)) if len(known) == len(apart) else None

    @cached_property
    def _counts_zones(self) -> bool:
        """Whether the number of zones matters to any fare."""
        return any(rule.zones_max is not None for rule in self.leg_rules)

    @cached_property
    def _hops(self) -> Mapping[str, Mapping[str, int]]:
        """How many borders lie between two zones on the shortest way, where there is one."""
        return {zone: hops_from(zone, self.beside) for zone in self.beside}

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

    def _find_transfers(self, from_group: str, to_group: str) -> tuple[TransferRule, ...]:
        if self.transfer_empty_is_any:
            return tuple(
                rule
                for rule in self.transfer_rules
                if (not rule.from_groups or from_group in rule.from_groups)
                and (not rule.to_groups or to_group in rule.to_groups)
            )
        exact, empty, (named_from, named_to) = self._transfer_index
        if (from_group, to_group) in exact:
            return exact[from_group, to_group]
        from_word, to_word = frozenset((from_group,)), frozenset((to_group,))
        return tuple(
            rule
            for rule in empty
            if _is_or_unnamed(rule.from_groups, from_word, named_from)
            and _is_or_unnamed(rule.to_groups, to_word, named_to)
        )

    @cached_property
    def _transfer_index(
        self,
    ) -> tuple[Mapping[tuple[str, str], tuple[TransferRule, ...]], Sequence[TransferRule], tuple[Words, Words]]:
        """Transfer rules by both groups, those that leave one empty, and all that either column names."""
        rules = self.transfer_rules
        exact: dict[tuple[str, str], tuple[TransferRule, ...]] = {}
        for rule in rules:
            for pair in product(rule.from_groups, rule.to_groups):
                exact[pair] = (*exact.get(pair, ()), rule)
        empty = [rule for rule in rules if not rule.from_groups or not rule.to_groups]
        named = NONE.union(*(rule.from_groups for rule in rules)), NONE.union(*(rule.to_groups for rule in rules))
        return exact, empty, named


def hops_from(zone: str, beside: Mapping[str, Words]) -> dict[str, int]:
    """How many borders away every zone is that can be reached from one, itself included."""
    found = {zone: 0}
    edge = [zone]
    while edge:
        edge = sorted({other for one in edge for other in beside.get(one, NONE)} - found.keys())
        found |= dict.fromkeys(edge, max(found.values()) + 1)
    return found


def transfer_span_s(rule: TransferRule, first: Leg, zone: ZoneInfo) -> tuple[float, float]:
    """The half-open time of a transfer rule that begins with a leg, Unix seconds; without a limit it never ends."""
    since_s = first.start_s if rule.from_departure else first.end_s
    if rule.until_s is not None:
        return since_s, _next_clock_s(since_s, rule.until_s, zone)
    if rule.limit_s is None:
        return since_s, math.inf
    counted_s = since_s
    if rule.round_up_s:
        offset = datetime.fromtimestamp(since_s, zone).utcoffset()
        local_s = since_s + (offset.total_seconds() if offset else 0)
        counted_s += -local_s % rule.round_up_s
    return since_s, counted_s + rule.limit_s


@lru_cache(maxsize=4096)
def _next_clock_s(since_s: float, clock_s: int, zone: ZoneInfo) -> float:
    """When the clock shows a time next, after an instant."""
    local = datetime.fromtimestamp(since_s, zone)
    at = local.replace(hour=clock_s // 3600, minute=clock_s % 3600 // 60, second=0, microsecond=0, fold=0)
    return (at if at.timestamp() > since_s else at + timedelta(days=1)).timestamp()


def _longest_s(rule: TransferRule) -> int | None:
    """The longest time that the rule may give, but for rounding; a day may have 25 hours."""
    return rule.limit_s if rule.until_s is None else 90_000


def _by_medium(rows: Sequence[Price], rider: Rider) -> list[int]:
    """What rows cost that the rider's medium can pay; where it is not known, what names none, else any."""
    named = [row.minor for row in rows if row.media is not None and rider.media in (None, row.media)]
    unnamed = [row.minor for row in rows if row.media is None]
    return unnamed or named if rider.media is None else named or unnamed


def _is_or_any(named: Words, found: Words) -> bool:
    return not named or not named.isdisjoint(found)


def _is_or_unnamed(named: Words, found: Words, named_anywhere: Words) -> bool:
    """Equal, or empty where no rule of the column names what was found."""
    return not named.isdisjoint(found) if named else found.isdisjoint(named_anywhere)


def same_currency(tables: Sequence[Fares]) -> str:
    """The currency of all the tables; ValueError where there are two."""
    currencies = {fares.currency for fares in tables}
    if len(currencies) != 1:
        raise ValueError(f"fares in {', '.join(sorted(currencies)) or 'no currency'}: one city has one currency")
    return currencies.pop()
