"""The transfer rules of a tariff as rides ask them: for which change, until when, for which journeys, at what price."""

from __future__ import annotations

from collections.abc import Sequence
from zoneinfo import ZoneInfo

import msgspec

from ticketing.fare_rules import LegFare
from ticketing.fares import Fares
from ticketing.legs import Leg, Rider
from ticketing.money import percent_of
from ticketing.transfer_rules import Pays, TransferRule
from ticketing.transfer_table import transfer_span_s

LOOK_BACK_MAX = 64
"""Rides that a transfer may reach back over; more than one person makes within the longest window."""
_MEMO_MAX = 20_000


class Linked(msgspec.Struct, frozen=True):
    """A ride in its journey. fare_minor is its own price, adds_minor what it adds to the journey's.

    rule is the transfer that joined it (None: it begins a journey), anchor the place of the journey's first ride, for a
    feed's rule of the first that it joined (its own place, where it begins one; -1 where that is forgotten), since the
    place of the ride from which the rule's time runs. product is "" where no fare is known.
    """

    leg: Leg
    group: str
    product: str
    fare_minor: int
    full_minor: int
    adds_minor: int
    anchor: int
    rule: str | None = None
    transfer_product: str | None = None
    since: int = -1
    discount: str | None = None
    discount_minor: int = 0


class Change(msgspec.Struct, frozen=True):
    """A rule that a rider may use for a change between two leg groups, and what its product costs him.

    of_journey: its time runs from where the journey began.
    """

    rule: TransferRule
    extra_minor: int
    zone: ZoneInfo
    of_journey: bool

    def in_time(self, first: Leg, leg: Leg) -> bool:
        """Whether a ride still falls into the rule's time, which runs from another."""
        rule = self.rule
        at_s = leg.start_s if rule.to_departure else leg.end_s
        if rule.limit_s is None or rule.round_up_s:
            return at_s < transfer_span_s(rule, first, self.zone)[1]
        return at_s < (first.start_s if rule.from_departure else first.end_s) + rule.limit_s

    def adds_minor(self, fare_minor: int, earlier: Linked, paid_minor: int) -> int:
        """What a ride of this fare adds to its journey, for which paid_minor was paid so far."""
        rule, extra = self.rule, self.extra_minor
        match rule.pays:
            case Pays.A_AB:
                adds = extra
            case Pays.TOTAL:
                adds = extra - paid_minor
            case Pays.A_AB_B:
                adds = extra + fare_minor
            case Pays.DIFFERENCE:
                adds = max(0, fare_minor - paid_minor) + extra
            case Pays.AB:
                adds = extra - earlier.adds_minor if earlier.rule is None else extra
            case Pays.PERCENT:
                adds = extra + percent_of(fare_minor, rule.percent)
        return max(0, adds) if rule.optional else adds


class RiderChanges(dict[tuple[str, str], tuple[Change, ...]]):
    """The changes that a rider may make between two leg groups, looked up once for each pair."""

    def __init__(self, tables: Sequence[Fares], rider: Rider) -> None:
        super().__init__()
        self._tables = tables
        self._rider = rider

    def __missing__(self, pair: tuple[str, str]) -> tuple[Change, ...]:
        found = []
        for table in self._tables if all(pair) else ():
            for rule in table.transfers.between(*pair):
                price = table.price(rule.product, self._rider) if rule.product is not None else (0, 0)
                if price is not None:
                    of_journey = rule.optional and rule.chained and not rule.from_group
                    found.append(Change(rule, price[0], table.zone, of_journey))
        self[pair] = tuple(found)
        return self[pair]


class Changes:
    """The transfer rules of a tariff's tables, with what every ride asks of them looked up once.

    back_max: over how many rides a change may reach back. optional: each is the rider's choice; by_journey: and hangs
    on the journey, not on which of its rides is changed from; comparable: and on nothing of it but its time and price.
    grouped: a feed's changes follow from what was bought before, so that the cheapest now may not be so in the end.
    """

    def __init__(self, tables: Sequence[Fares]) -> None:
        rules = [rule for table in tables for rule in table.transfer_rules]
        self.tables = tables
        self.longest_s = max((table.transfers.longest_s for table in tables), default=0.0)
        self.back_max = LOOK_BACK_MAX if any(rule.between_others for rule in rules) else 1
        self.optional = all(rule.optional for rule in rules)
        self.by_journey = self.optional and all(rule.chained for rule in rules)
        self.grouped = any(table.transfer_rules and not table.transfer_empty_is_any for table in tables)
        self.comparable = self.by_journey and all(rule.plain and not rule.from_group for rule in rules)
        self._by_rider: dict[Rider, RiderChanges] = {}

    def leg_fares(self, leg: Leg, rider: Rider) -> Sequence[LegFare]:
        """What pays for a ride by the first table that knows its fare, the cheapest first."""
        for table in self.tables:
            found = table.leg_fares(leg, rider)
            if found:
                return found
        return ()

    def of_rider(self, rider: Rider) -> RiderChanges:
        """The changes that a rider may make."""
        known = self._by_rider.get(rider)
        if known is None:
            if len(self._by_rider) >= _MEMO_MAX:
                self._by_rider.clear()
            known = self._by_rider[rider] = RiderChanges(self.tables, rider)
        return known

    def lead_on(self, group: str) -> bool:
        """Whether a feed has changes that may go on from a leg group."""
        return any(table.transfers.leads_on(group) for table in self.tables)


def allows(rule: TransferRule, leg: Leg, journey: Sequence[Linked], first: Linked, tables: Sequence[Fares]) -> bool:
    """Whether a rule, in time, is for a journey that began so and went on so, and for this ride after that."""
    if rule.total_s is not None and leg.start_s >= first.leg.start_s + rule.total_s:
        return False
    if rule.begins and first.group not in rule.begins:
        return False
    if not _count_allows(rule, journey) or not _may_join(rule, leg, first.leg, journey):
        return False
    if rule.back_only and not _is_back(leg, first.leg, tables):
        return False
    return rule.hours is None or _in_hours(rule.hours, first.leg, tables)


def _in_hours(hours: str, first: Leg, tables: Sequence[Fares]) -> bool:
    """Whether a journey began in these hours."""
    return any(hours in table.timeframes_at(first.start_s, None) for table in tables)


def _count_allows(rule: TransferRule, journey: Sequence[Linked]) -> bool:
    """Whether the rule is for the journey's next change: it counts those that it made itself."""
    if rule.count_from > 1 and len(journey) < rule.count_from:
        return False
    if rule.count_to is not None and len(journey) > rule.count_to:
        return False
    return rule.count <= 0 or sum(one.rule in rule.alike for one in journey) < rule.count


def _may_join(rule: TransferRule, leg: Leg, first: Leg, journey: Sequence[Linked]) -> bool:
    """Whether what was ridden in this journey allows the ride: no way back, no route or network twice."""
    if rule.return_trips and rule.same_route and not rule.once_on:
        return True
    if not rule.return_trips and leg.from_stop is not None and leg.from_stop == first.from_stop:
        return False
    for linked in journey:
        ridden = linked.leg
        if leg.network == ridden.network and leg.network in rule.once_on:
            return False
        if leg.route_id is not None and leg.route_id == ridden.route_id:
            same_way = leg.direction_id is not None and leg.direction_id == ridden.direction_id
            if not rule.same_route or not (rule.return_trips or same_way):
                return False
    return True


def _is_back(leg: Leg, first: Leg, tables: Sequence[Fares]) -> bool:
    """Whether a ride leads back to where another began: by stops or stations, else by zones, else by the route."""
    if leg.to_stop is not None and first.to_stop is not None:
        there = [{stop, *(table.station_of(stop) for table in tables)} for stop in (first.from_stop, first.to_stop)]
        back = [{stop, *(table.station_of(stop) for table in tables)} for stop in (leg.to_stop, leg.from_stop)]
        return all(not (one - {None}).isdisjoint(other) for one, other in zip(there, back, strict=True))
    if leg.to_areas and first.to_areas:
        return not leg.from_areas.isdisjoint(first.to_areas) and not leg.to_areas.isdisjoint(first.from_areas)
    known = None not in (leg.route_id, leg.direction_id, first.direction_id)
    return known and leg.route_id == first.route_id and leg.direction_id != first.direction_id
