"""Rides joined into journeys by transfer rules: what each ride adds to what the journey costs.

Each ride takes the cheapest change that the rules allow, as a reader at the door would. Where a whole journey has a
price ("total": tickets by time), a change that costs something is weighed against beginning anew; where a feed sells
several products for a ride, and other changes go on from each, they are weighed as well. After every ride the cheapest
of these ways is what all rides so far cost.

A feed's rule for two consecutive rides is followed even where it costs more; a file's is optional.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from operator import attrgetter

import msgspec

from ticketing.changes import LOOK_BACK_MAX, Changes, Linked
from ticketing.fare_rules import LegFare
from ticketing.legs import Leg, Rider
from ticketing.ways import Offer, Ride, Way, find_offers

WAYS_MAX = 8
"""Ways of making journeys that are weighed at once."""
_adds_minor = attrgetter("adds_minor")
_total_minor = attrgetter("total_minor")
_UNKNOWN = (LegFare("", "", 0, 0),)


class Chain:
    """One rider's rides joined into journeys the cheapest way, ride by ride, after some that were joined before.

    charges are what each ride added to the cheapest way as it stood then. apart: each ride is a journey of its own.
    """

    def __init__(self, changes: Changes, before: Sequence[Linked] = (), *, apart: bool = False) -> None:
        self.charges: list[int] = []
        self._changes = changes
        self._apart = apart
        way = Way(0, [], {}, [])
        for one in before:
            way.add(one, changes)
        way.total_minor = 0
        self._ways = [way]

    @property
    def linked(self) -> list[Linked]:
        """All the rides as the cheapest way of all joins them."""
        return self._ways[0].linked

    def add(self, leg: Leg, rider: Rider) -> None:
        """One more ride."""
        changes = self._changes
        before_minor = self._ways[0].total_minor
        options = changes.leg_fares(leg, rider) or _UNKNOWN
        ride = Ride(leg, options, changes.of_rider(rider), changes)
        grown = [
            _Grown(way.total_minor + offer.adds_minor, offer, way)
            for way in self._ways
            for offer in ([_begin(options[0], way)] if self._apart else _choices(ride, way))
        ]
        if len(grown) > 1:
            grown = _worth_weighing(grown, grouped=changes.grouped)
        # A way that goes on as one alone is not wanted any more as it was.
        self._ways = [one.way.copy() for one in grown] if len(grown) > 1 else [grown[0].way]
        for way, one in zip(self._ways, grown, strict=True):
            way.add(one.offer.linked(leg), changes)
        self.charges.append(self._ways[0].total_minor - before_minor)


class _Grown(msgspec.Struct, frozen=True):
    """A way with an offer for one ride more, and what it costs in all then."""

    total_minor: int
    offer: Offer
    way: Way


def _choices(ride: Ride, way: Way) -> list[Offer]:
    """The cheapest place first; beside it, where that is the rider's choice, beginning anew and buying the journey.

    And each other product that a feed sells for the ride, where changes go on from either.
    """
    followed, offered = find_offers(ride, way)
    bases = [_begin(ride.options[0], way)]
    if followed or ride.changes.grouped:
        bases = sorted((_base(option, followed, way) for option in ride.options), key=_adds_minor)
    begun = bases[0]
    if not offered:
        best, choices = begun, [begun]
    else:
        best = min((begun, *offered), key=_adds_minor)
        choices = [best]
        if best.adds_minor > 0 and (whole := [one for one in offered if one.whole]):
            choices += [one for one in (begun, min(whole, key=_adds_minor)) if one is not best]
    return choices if len(bases) == 1 else choices + _other_products(bases, choices, ride.changes)


def _other_products(bases: Sequence[Offer], choices: Sequence[Offer], changes: Changes) -> list[Offer]:
    """The ride by each product of another leg group than the cheapest, where a feed's changes go on from either."""
    best = choices[0].option.group
    others = [one for one in bases if one.option.group != best and not any(one is known for known in choices)]
    leads = {group for group in (best, *(one.option.group for one in others)) if changes.lead_on(group)}
    return [one for one in others if one.option.group in leads or best in leads]


def _base(option: LegFare, followed: Sequence[Offer], way: Way) -> Offer:
    """A ride by one product: changed to as a feed's rules say, else on its own."""
    mine = [offer for offer in followed if offer.option is option]
    if not mine:
        return _begin(option, way)
    # Of several counts the least that still allows the change is the rule's (transfer_count).
    return min(mine, key=lambda offer: (offer.counts, offer.adds_minor))


def _begin(option: LegFare, way: Way) -> Offer:
    """A journey of its own."""
    return Offer(option.minor, option.minor, option, len(way.linked))


def _worth_weighing(ways: Sequence[_Grown], *, grouped: bool) -> list[_Grown]:
    """The ways that may yet turn out the cheapest, the cheapest now first.

    What comes may join the journey that is open last. A way is no better than a cheaper one whose last journey began no
    earlier, unless more has been paid for its own than the difference: that much less the whole journey still costs.
    grouped: or unless its last ride is of another leg group, from which other changes go, or was joined by a rule that
    may be used up.
    """
    kept: list[_Grown] = []
    for way in sorted(ways, key=_total_minor):
        offer, total_minor = way.offer, way.total_minor
        for other in kept:
            there = other.offer
            if (
                there.anchor >= offer.anchor
                and other.total_minor + max(0, offer.paid_minor - there.paid_minor) <= total_minor
                and not (grouped and (there.option.group != offer.option.group or there.rule not in (None, offer.rule)))
            ):
                break
        else:
            kept.append(way)
    return kept[:WAYS_MAX]


def carried_over(linked: Sequence[Linked], from_s: float, until_s: float = inf) -> tuple[Linked, ...]:
    """The rides since an instant, as what comes after needs them: places counted anew, forgotten anchors -1.

    until_s: the later ones are nobody's before that (somebody rode on a card that had given way to another).
    """
    kept = [place for place, one in enumerate(linked) if from_s <= one.leg.start_s <= until_s][-LOOK_BACK_MAX:]
    first = kept[0] if kept else 0
    return tuple(msgspec.structs.replace(linked[place], anchor=max(-1, linked[place].anchor - first)) for place in kept)
