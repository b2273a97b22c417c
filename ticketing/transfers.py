"""Rides joined into journeys by transfer rules: what each ride adds to what the journey costs."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ticketing.fare_rules import Leg, LegFare, Pays, Rider, TransferRule
from ticketing.fares import Fares, within_limit

LOOK_BACK_MAX = 64
"""Rides that a transfer may reach back over; more than one person makes within the longest window."""


class Linked(msgspec.Struct, frozen=True):
    """A ride in its journey. fare_minor is its own price, adds_minor what it adds to the journey's.

    rule is the transfer that joined it (None: it begins a journey), anchor the place of the first ride that the rule
    counts from (its own place, where it begins one; -1 where that is forgotten). product is "" where no fare is known.
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


def link(leg: Leg, before: Sequence[Linked], tables: Sequence[Fares], rider: Rider) -> Linked:
    """The ride's place after those before it: by the cheapest transfer that the rules allow, or on its own.

    A feed's rule that joins two consecutive rides is followed even where it costs more; a file's is optional.
    """
    options = next((found for table in tables if (found := table.leg_fares(leg, rider))), ())
    if not options:
        return Linked(leg, "", "", 0, 0, 0, len(before))
    followed: list[tuple[int, Linked]] = []
    offered: list[Linked] = []
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
                    linked = _transfer(rule, place, leg, option, before, table, rider, place == last)
                    if linked is None:
                        continue
                    if place == last and not rule.optional:
                        followed.append((rule.count if rule.count > 0 else LOOK_BACK_MAX + 1, linked))
                    else:
                        offered.append(linked)
        if offered and not followed and offered[-1].adds_minor == 0:
            break  # nothing is cheaper than nothing
    own = options[0]
    alone = Linked(leg, own.group, own.product, own.minor, own.full_minor, own.minor, len(before))
    # Of several counts the least that still allows the change is the rule's (transfer_count).
    base = min(followed, key=lambda pair: (pair[0], pair[1].adds_minor))[1] if followed else alone
    return min((base, *offered), key=lambda linked: linked.adds_minor)


def _transfer(
    rule: TransferRule,
    place: int,
    leg: Leg,
    option: LegFare,
    before: Sequence[Linked],
    table: Fares,
    rider: Rider,
    consecutive: bool,
) -> Linked | None:
    earlier = before[place]
    if not earlier.group or not option.group or not (consecutive or rule.between_others):
        return None
    # A city's own rules count from the journey's first ride, whichever of them joined the rides between.
    same_journey = earlier.rule is not None if rule.optional else earlier.rule == rule.id
    anchor = earlier.anchor if rule.chained and same_journey else place
    if anchor < 0 or not within_limit(rule, before[anchor].leg, leg, table.zone):
        return None
    if rule.count > 0 and rule.chained:
        used = sum(1 for linked in before[anchor:] if linked.rule == rule.id and linked.anchor == anchor)
        if used >= rule.count:
            return None
    if not _may_join(rule, leg, anchor, before):
        return None
    extra = 0
    if rule.product is not None:
        price = table.price(rule.product, rider)
        if price is None:
            return None
        extra = price[0]
    adds = _adds(rule, extra, option, earlier, [one for one in before[anchor:] if one.anchor == anchor])
    return Linked(
        leg, option.group, option.product, option.minor, option.full_minor, adds, anchor, rule.id, rule.product
    )


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
    return max(0, adds) if rule.optional else adds


def _may_join(rule: TransferRule, leg: Leg, anchor: int, before: Sequence[Linked]) -> bool:
    """Whether what was ridden in this journey allows the ride: no way back, no route or network twice."""
    if rule.return_trips and rule.same_route and not rule.once_on:
        return True
    first = before[anchor].leg
    if not rule.return_trips and leg.from_stop is not None and leg.from_stop == first.from_stop:
        return False
    for linked in before[anchor:]:
        ridden = linked.leg
        if linked.anchor != anchor:
            continue
        if leg.network == ridden.network and leg.network in rule.once_on:
            return False
        if leg.route_id is not None and leg.route_id == ridden.route_id:
            same_way = leg.direction_id is not None and leg.direction_id == ridden.direction_id
            if not rule.same_route or not (rule.return_trips or same_way):
                return False
    return True


def journey_minor(legs: Sequence[Leg], tables: Sequence[Fares], rider: Rider) -> int | None:
    """What a journey of legs costs by the fare tables alone; None where the fare of a leg is unknown."""
    linked: list[Linked] = []
    for leg in legs:
        linked.append(link(leg, linked, tables, rider))
    return sum(one.adds_minor for one in linked) if all(one.product for one in linked) else None


def carried_over(linked: Sequence[Linked], from_s: float) -> tuple[Linked, ...]:
    """The rides since an instant, as what comes next day needs them: places counted anew, forgotten anchors -1."""
    kept = [place for place, one in enumerate(linked) if one.leg.start_s >= from_s][-LOOK_BACK_MAX:]
    first = kept[0] if kept else 0
    return tuple(msgspec.structs.replace(linked[place], anchor=max(-1, linked[place].anchor - first)) for place in kept)
