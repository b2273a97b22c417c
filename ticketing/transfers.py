"""Rides joined into journeys by transfer rules: what each ride adds to what the journey costs.

Each ride takes the cheapest change that the rules allow, as a reader at the door would. Where a whole journey has a
price ("total": tickets by time), a change that costs something is weighed against beginning anew; where a feed sells
several products for a ride, and other changes go on from each, they are weighed as well. After every ride the cheapest
of these ways is what all rides so far cost.

A feed's rule for two consecutive rides is followed even where it costs more; a file's is optional.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from ticketing.fare_rules import Leg, LegFare, Pays, Rider, TransferRule, percent_of
from ticketing.fares import Fares, within_limit

LOOK_BACK_MAX = 64
"""Rides that a transfer may reach back over; more than one person makes within the longest window."""
WAYS_MAX = 8
"""Ways of making journeys that are weighed at once."""


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


class _Next(NamedTuple):
    """A ride that looks for its place after others."""

    leg: Leg
    before: Sequence[Linked]
    tables: Sequence[Fares]
    rider: Rider
    options: Sequence[LegFare]

    def linked(
        self, option: LegFare, adds_minor: int, anchor: int, rule: TransferRule | None = None, since: int = -1
    ) -> Linked:
        """The ride at a price, in the journey that begins at a place."""
        by, product = (rule.id, rule.product) if rule is not None else (None, None)
        return Linked(
            self.leg, option.group, option.product, option.minor, option.full_minor, adds_minor, anchor,
            by, product, since, option.discount, option.discount_minor,
        )  # fmt: skip


_Way = tuple[int, list[Linked]]


class Chain:
    """One rider's rides joined into journeys the cheapest way, ride by ride, after some that were joined before.

    charges are what each ride added to the cheapest way as it stood then.
    """

    def __init__(self, before: Sequence[Linked]) -> None:
        self.charges: list[int] = []
        self._ways: list[_Way] = [(0, list(before))]

    @property
    def linked(self) -> list[Linked]:
        """All the rides as the cheapest way of all joins them."""
        return self._ways[0][1]

    def add(self, leg: Leg, tables: Sequence[Fares], rider: Rider, *, apart: bool = False) -> None:
        """One more ride; apart: it may join none before it."""
        before_minor = self._ways[0][0]
        options = _options(leg, tables, rider)
        if len(self._ways) == 1 and not apart:
            linked = self._ways[0][1]
            choices = _choices(_Next(leg, linked, tables, rider, options))
            if len(choices) == 1:
                linked.append(choices[0])
                self._ways = [(before_minor + choices[0].adds_minor, linked)]
                self.charges.append(choices[0].adds_minor)
                return
        grown: list[_Way] = []
        for total, linked in self._ways:
            choices = _choices(_Next(leg, () if apart else linked, tables, rider, options))
            grown += [(total + one.adds_minor, [*linked, one]) for one in choices]
        self._ways = _worth_weighing(grown, grouped=_grouped(tables)) if len(grown) > 1 else grown
        self.charges.append(self._ways[0][0] - before_minor)


def _choices(ride: _Next) -> list[Linked]:
    """The cheapest place first; beside it, where that is the rider's choice, beginning anew and buying the journey.

    And each other product that a feed sells for the ride, where changes go on from either.
    """
    best, bases, whole = _best(ride)
    choices = [best]
    if whole is not None and best.adds_minor > 0:
        choices += [one for one in (bases[0], whole) if one is not best]
    if len(bases) > 1 and _grouped(ride.tables):
        others = [one for one in bases if one.group != best.group and not any(one is known for known in choices)]
        leads = {one.group for one in (best, *others) if any(table.leads_on(one.group) for table in ride.tables)}
        choices += [one for one in others if one.group in leads or best.group in leads]
    return choices


def _grouped(tables: Sequence[Fares]) -> bool:
    """Whether a feed's changes follow from what was bought before: the cheapest now may not be so in the end."""
    return any(table.transfer_rules and not table.transfer_empty_is_any for table in tables)


def _worth_weighing(ways: list[_Way], *, grouped: bool) -> list[_Way]:
    """The ways that may yet turn out the cheapest, the cheapest now first.

    What comes may join the journey that is open last. A way is no better than a cheaper one whose last journey began no
    earlier, unless more has been paid for its own than the difference: that much less the whole journey still costs.
    grouped: or unless its last ride is of another leg group, from which other changes go, or was joined by a rule that
    may be used up.
    """
    kept: list[tuple[int, int, Linked, _Way]] = []
    for way in sorted(ways, key=lambda way: way[0]):
        total, linked = way
        last = linked[-1]
        anchor = last.anchor
        paid = sum(one.adds_minor for one in linked[max(0, anchor) :] if one.anchor == anchor)
        if not any(
            later >= anchor
            and other[0] + max(0, paid - paid_there) <= total
            and not (grouped and (there.group != last.group or there.rule not in (None, last.rule)))
            for later, paid_there, there, other in kept
        ):
            kept.append((anchor, paid, last, way))
    return [way for *_, way in kept[:WAYS_MAX]]


def _options(leg: Leg, tables: Sequence[Fares], rider: Rider) -> Sequence[LegFare]:
    """What pays for a ride by the first table that knows its fare."""
    return next((found for table in tables if (found := table.leg_fares(leg, rider))), ())


def _best(ride: _Next) -> tuple[Linked, list[Linked], Linked | None]:
    """The cheapest place of a ride, its place by each product but for offered changes (the cheapest first), and the
    cheapest that has a price for the whole journey.
    """
    leg, before, tables, _, options = ride
    if not options:
        unknown = Linked(leg, "", "", 0, 0, 0, len(before))
        return unknown, [unknown], None
    followed: dict[str, list[tuple[float, Linked]]] = {}
    offered: list[Linked] = []
    whole: list[Linked] = []
    tried: set[tuple[str, str, int]] = set()
    last = len(before) - 1
    reach = LOOK_BACK_MAX if any(table.reaches_back for table in tables) else 1
    longest_s = max(table.transfer_s_max for table in tables)
    for place in range(last, max(-1, last - reach), -1):
        earlier = before[place]
        if earlier.leg.end_s + longest_s <= leg.start_s:
            continue  # no time runs from it any more
        for option in options:
            for table in tables:
                for rule in table.transfers(earlier.group, option.group):
                    if rule.optional and rule.chained:  # of a journey's rides each allows the same
                        same = (rule.id, option.group, earlier.anchor if earlier.rule is not None else place)
                        if same in tried:
                            continue
                        tried.add(same)
                    linked = _transfer(rule, place, option, table, ride)
                    if linked is None:
                        continue
                    if place == last and not rule.optional:
                        count = rule.count if rule.count > 0 else math.inf
                        followed.setdefault(option.group, []).append((count, linked))
                        continue
                    offered.append(linked)
                    if rule.pays is Pays.TOTAL:
                        whole.append(linked)
        if offered and not followed and offered[-1].adds_minor == 0:
            break  # nothing is cheaper than nothing
    bases = sorted((_base(ride, option, followed.get(option.group, ())) for option in options), key=_adds_minor)
    return min((bases[0], *offered), key=_adds_minor), bases, min(whole, key=_adds_minor) if whole else None


def _base(ride: _Next, option: LegFare, followed: Sequence[tuple[float, Linked]]) -> Linked:
    """A ride by one product: changed to as a feed's rules say, else on its own."""
    if not followed:
        return ride.linked(option, option.minor, len(ride.before))
    # Of several counts the least that still allows the change is the rule's (transfer_count).
    return min(followed, key=lambda pair: (pair[0], pair[1].adds_minor))[1]


def _adds_minor(linked: Linked) -> int:
    return linked.adds_minor


def _transfer(rule: TransferRule, place: int, option: LegFare, table: Fares, ride: _Next) -> Linked | None:
    leg, before, tables, rider, _ = ride
    earlier = before[place]
    if not _may_change(rule, earlier, option, consecutive=place == len(before) - 1):
        return None
    anchor, since = _journey(rule, place, before)
    if anchor < 0 or not within_limit(rule, before[since].leg, leg, table.zone):
        return None
    if rule.hours is not None and not _in_hours(rule.hours, before[anchor].leg, tables):
        return None
    first = before[anchor].leg
    journey: Sequence[Linked] = ()
    if not rule.plain:
        journey = [one for one in before[anchor:] if one.anchor == anchor]
        over = rule.total_s is not None and leg.start_s >= first.start_s + rule.total_s
        away = not _goes_with(rule, leg, before[anchor], tables)
        if over or away or not _count_allows(rule, journey) or not _may_join(rule, leg, first, journey):
            return None
    extra = 0
    if rule.product is not None:
        price = table.transfer_price(rule.product, rider)
        if price is None:
            return None
        extra = price[0]
    return ride.linked(option, _adds(rule, extra, option, earlier, journey), anchor, rule, since)


def _may_change(rule: TransferRule, earlier: Linked, option: LegFare, *, consecutive: bool) -> bool:
    """Whether the rule is for two rides, apart from when they are: both have groups, and nothing forbidden between."""
    if not earlier.group or not option.group or not (consecutive or rule.between_others):
        return False
    return not rule.same_product or earlier.product == option.product


def _journey(rule: TransferRule, place: int, before: Sequence[Linked]) -> tuple[int, int]:
    """Where the journey of an earlier ride began, and the ride from which the rule's time runs.

    A city's own rules know a journey by its first ride, whichever of them joined the rides between.
    """
    earlier = before[place]
    if rule.optional:
        anchor = earlier.anchor if earlier.rule is not None else place
        if anchor < 0 and not rule.chained:
            anchor = place  # how it began is forgotten, but not when the last ride was
        if rule.from_group and anchor >= 0:
            mine = (one for one in range(anchor, place) if before[one].anchor == anchor)
            return anchor, next((one for one in mine if before[one].group in rule.from_groups), place)
        return anchor, anchor if rule.chained else place
    anchor = earlier.anchor if rule.chained and earlier.rule in rule.alike else place
    return anchor, anchor


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


def _adds(rule: TransferRule, extra: int, option: LegFare, earlier: Linked, journey: Sequence[Linked]) -> int:
    """What the ride adds to its journey, which cost what its rides added so far; extra is the transfer's own price."""
    match rule.pays:
        case Pays.A_AB:
            adds = extra
        case Pays.A_AB_B:
            adds = extra + option.minor
        case Pays.AB:
            adds = extra - earlier.adds_minor if earlier.rule is None else extra
        case Pays.DIFFERENCE:
            adds = max(0, option.minor - sum(one.adds_minor for one in journey)) + extra
        case Pays.TOTAL:
            adds = max(0, extra - sum(one.adds_minor for one in journey))
        case Pays.PERCENT:
            adds = extra + percent_of(option.minor, rule.percent)
    return max(0, adds) if rule.optional else adds


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


def _goes_with(rule: TransferRule, leg: Leg, first: Linked, tables: Sequence[Fares]) -> bool:
    """Whether a rule is for journeys that began so, and for this ride after that."""
    if rule.begins and first.group not in rule.begins:
        return False
    return not rule.back_only or _is_back(leg, first.leg, tables)


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


def carried_over(linked: Sequence[Linked], from_s: float) -> tuple[Linked, ...]:
    """The rides since an instant, as what comes next day needs them: places counted anew, forgotten anchors -1."""
    kept = [place for place, one in enumerate(linked) if one.leg.start_s >= from_s][-LOOK_BACK_MAX:]
    first = kept[0] if kept else 0
    return tuple(msgspec.structs.replace(linked[place], anchor=max(-1, linked[place].anchor - first)) for place in kept)
