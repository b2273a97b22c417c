"""One way of joining rides into journeys, and where the next ride may find its place in it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from ticketing.changes import Change, Changes, Linked, RiderChanges, allows
from ticketing.fare_rules import LegFare
from ticketing.legs import Leg
from ticketing.transfer_rules import Pays, TransferRule


class Journey(msgspec.Struct, frozen=True):
    """The places of a journey's rides, what was paid for them, and when the last of them ended.

    That need not be the one that began last: a bus may be tapped before the train is left.
    """

    places: tuple[int, ...] = ()
    paid_minor: int = 0
    end_s: float = -math.inf


NO_JOURNEY = Journey()


class Offer(msgspec.Struct, frozen=True):
    """A place of a ride: what it adds there, by which product, and what was paid for the journey then.

    change None: it begins a journey of its own.
    """

    adds_minor: int
    paid_minor: int
    option: LegFare
    anchor: int
    change: Change | None = None
    since: int = -1

    @property
    def whole(self) -> bool:
        """Whether it has a price for the whole journey."""
        return self.change is not None and self.change.rule.pays is Pays.TOTAL

    @property
    def counts(self) -> float:
        """How many changes its rule makes."""
        return math.inf if self.change is None or self.change.rule.count <= 0 else self.change.rule.count

    @property
    def rule(self) -> str | None:
        """The rule that joins it."""
        return None if self.change is None else self.change.rule.id

    def linked(self, leg: Leg) -> Linked:
        """The ride in this place."""
        option = self.option
        by, product = (None, None) if self.change is None else (self.change.rule.id, self.change.rule.product)
        return Linked(
            leg, option.group, option.product, option.minor, option.full_minor, self.adds_minor, self.anchor,
            by, product, self.since, option.discount, option.discount_minor,
        )  # fmt: skip


class Way:
    """Rides joined so far, what they cost in all, their journeys by the place of the first, and the doors.

    doors: the places from which one may still change, the latest first. A ride that allows all that an earlier one
    does, for no more, stands for it: so does the latest of a journey, and a journey that began later and was dearer.
    """

    __slots__ = ("doors", "journeys", "linked", "total_minor")

    def __init__(self, total_minor: int, linked: list[Linked], journeys: dict[int, Journey], doors: list[int]) -> None:
        self.total_minor = total_minor
        self.linked = linked
        self.journeys = journeys
        self.doors = doors

    def copy(self) -> Way:
        """The same way, to go on differently."""
        return Way(self.total_minor, self.linked.copy(), self.journeys.copy(), self.doors)

    def add(self, one: Linked, changes: Changes) -> None:
        """Go this way with one ride more."""
        place = len(self.linked)
        before = self.journeys.get(one.anchor, NO_JOURNEY)
        self.total_minor += one.adds_minor
        self.linked.append(one)
        paid_minor, end_s = before.paid_minor + one.adds_minor, max(before.end_s, one.leg.end_s)
        self.journeys[one.anchor] = Journey((*before.places, place), paid_minor, end_s)
        if changes.back_max == 1:
            self.doors = [place]
        elif one.group:
            self.doors = [place, *self._other_doors(place, changes)]

    def _other_doors(self, place: int, changes: Changes) -> list[int]:
        """The doors that one may still want once the last ride has found its place."""
        linked, journeys, one = self.linked, self.journeys, self.linked[place]
        oldest, over_s = place - changes.back_max, one.leg.start_s - changes.longest_s
        doors = [door for door in self.doors if journeys[linked[door].anchor].end_s > over_s and door > oldest]
        if not doors or not changes.by_journey:
            return doors
        anchor, group = one.anchor, one.group
        if changes.comparable:
            return [
                door for door in doors if linked[door].group != group or not self._outdoes(anchor, linked[door].anchor)
            ]
        return [door for door in doors if linked[door].group != group or linked[door].anchor != anchor]

    def _outdoes(self, later: int, earlier: int) -> bool:
        """Whether a journey that began later, or the same, allows all that an earlier one does, for no more."""
        if later < earlier or self.journeys[later].paid_minor < self.journeys[earlier].paid_minor:
            return False
        return self.linked[later].leg.end_s >= self.linked[earlier].leg.end_s


class Ride(msgspec.Struct, frozen=True):
    """A ride that looks for its place after others: what may pay for it, and the changes of its rider."""

    leg: Leg
    options: Sequence[LegFare]
    between: RiderChanges
    changes: Changes


def find_offers(ride: Ride, way: Way) -> tuple[list[Offer], list[Offer]]:
    """What a feed's rules say of a ride after the one before, and what may be chosen, the latest place first.

    Of the latter no more than is needed to know the cheapest: nothing is cheaper than nothing.
    """
    followed: list[Offer] = []
    offered: list[Offer] = []
    last = len(way.linked) - 1
    for place in way.doors:
        group = way.linked[place].group
        for option in ride.options:
            for change in ride.between[group, option.group]:
                offer = _offer(change, place, option, ride, way)
                if offer is None:
                    continue
                if place == last and not change.rule.optional:
                    followed.append(offer)
                    continue
                offered.append(offer)
                if not offer.adds_minor and ride.changes.optional:
                    return followed, offered
        if offered and not followed and offered[-1].adds_minor == 0:
            break
    return followed, offered


def _offer(change: Change, place: int, option: LegFare, ride: Ride, way: Way) -> Offer | None:
    """A ride's place by a change from an earlier one, where the rule is for it."""
    rule, linked = change.rule, way.linked
    earlier = linked[place]
    anchor, since = (earlier.anchor, earlier.anchor) if change.of_journey else _runs_from(rule, place, way)
    if anchor < 0 or not change.in_time(linked[since].leg, ride.leg):
        return None
    if not rule.between_others and place != len(linked) - 1:
        return None
    if rule.same_product and earlier.product != option.product:
        return None
    journey = way.journeys.get(anchor, NO_JOURNEY)
    if not rule.plain:
        rides = [linked[one] for one in journey.places]
        if not allows(rule, ride.leg, rides, linked[anchor], ride.changes.tables):
            return None
    adds_minor = change.adds_minor(option.minor, earlier, journey.paid_minor)
    return Offer(adds_minor, journey.paid_minor + adds_minor, option, anchor, change, since)


def _runs_from(rule: TransferRule, place: int, way: Way) -> tuple[int, int]:
    """Where the journey of an earlier ride began (-1: forgotten), and the ride from which the rule's time runs.

    A city's own rules know a journey by its first ride, whichever of them joined the rides between.
    """
    earlier = way.linked[place]
    if not rule.optional:
        anchor = earlier.anchor if rule.chained and earlier.rule in rule.alike else place
        return anchor, anchor
    anchor = earlier.anchor if earlier.rule is not None else place
    if anchor < 0 and not rule.chained:
        anchor = place  # how it began is forgotten, but not when the last ride was
    if rule.from_group and anchor >= 0:
        mine = (one for one in way.journeys.get(anchor, NO_JOURNEY).places if way.linked[one].group in rule.from_groups)
        return anchor, next(mine, place)
    return anchor, anchor if rule.chained else place
