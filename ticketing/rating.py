"""An account's service day recomputed from its taps: journeys, fares, transfers, passes, caps, and why.

Rules of the day, in this order: rides from taps; each ride's fare and its journey's transfers; passes and trips bought
ahead; caps. A later rule only ever lowers what an earlier one asked, so a charge is never negative. Everything depends
on the taps and the account alone: uploaded in any order, or late, they give the same day, and what changed against an
earlier rating is the difference to post.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from math import isfinite

from ticketing.capping import Capped, Due, Spent, cap_rides, is_for, opening, runs_on
from ticketing.changes import Linked
from ticketing.city_schema import Cap, Pass, Surcharge
from ticketing.city_tariff import CityTariff
from ticketing.coverage import part_pass, ride_ahead, whole_pass
from ticketing.days import day_bounds_s
from ticketing.fare_rules import Leg, Rider
from ticketing.fares import transfer_span_s
from ticketing.journeys import FareTap, Ride, by_service_day, list_rides
from ticketing.rated import Account, Carried, DayRating, HeldPass, Line, Step, StepKind, after_day
from ticketing.tariff import TRIPS
from ticketing.transfers import Chain, carried_over


@dataclass(slots=True)
class _Fare:
    """One rider's ride on its way through the rules; minor is what is left to pay before caps."""

    ride: Ride
    rider: Rider
    minor: int = 0
    starts: bool = False
    covered: Pass | None = None
    uncapped_minor: int = 0
    steps: list[Step] = field(default_factory=list)

    def add(self, step: Step, amount_minor: int = 0, *, capped: bool = True) -> None:
        self.steps.append(step)
        if capped:
            self.minor += amount_minor
        else:
            self.uncapped_minor += amount_minor


def rate_day(
    taps: Iterable[FareTap],
    tariff: CityTariff,
    account: Account,
    *,
    day: date | None = None,
    as_of_s: float | None = None,
) -> DayRating:
    """One account's service day from all of its taps, however they are ordered.

    day is needed only where there are no taps. as_of_s says up to when the taps are known: an entry may still be
    waiting for its exit then; None is the end of the day. ValueError where the taps are of several days (rate_days).
    """
    days = by_service_day(taps, tariff)
    if len(days) > 1:
        raise ValueError(f"taps of {len(days)} service days: use rate_days")
    for day_of_taps, taps_of_day in days.items():
        return _rate(day_of_taps, taps_of_day, tariff, account, as_of_s)
    return DayRating(day.isoformat() if day else "", tariff.version, tariff.currency, (), {}, account.carried)


def rate_days(
    taps: Iterable[FareTap], tariff: CityTariff, account: Account, *, as_of_s: float | None = None
) -> tuple[DayRating, ...]:
    """Consecutive service days, each handing its periods, passes and open transfers to the next."""
    ratings = []
    for day, taps_of_day in by_service_day(taps, tariff).items():
        rating = _rate(day, taps_of_day, tariff, account, as_of_s)
        ratings.append(rating)
        account = after_day(account, rating)
    return tuple(ratings)


def _rate(day: date, taps: Sequence[FareTap], tariff: CityTariff, account: Account, as_of_s: float | None) -> DayRating:
    rides = list_rides(taps, tariff, as_of_s)
    steps: dict[str, list[Step]] = {tap.id: [] for tap in taps}
    riders = 1 + max((len(ride.companions) for ride in rides), default=0)
    linked: list[tuple[Linked, ...]] = []
    end_s = day_bounds_s(day, tariff.day_start, tariff.zone)[1]
    spent: dict[str, Spent] = account.carried.spent
    used: dict[str, int] = {}
    for number in range(max(riders, len(account.carried.linked))):
        before = account.carried.linked[number] if number < len(account.carried.linked) else ()
        holder = number == 0
        mine = rides if holder else [ride for ride in rides if len(ride.companions) >= number]
        fares, chain = _fares_of(mine, number, before, tariff, account, used)
        if holder or tariff.group.caps:
            closing = _cap(fares, number, day, tariff, account, spent if holder else {})
            spent = closing if holder else spent
        linked.append(carried_over(chain, end_s - tariff.longest_transfer_s) if tariff.longest_transfer_s else ())
        for fare in fares:
            if holder and fare.ride.parts:
                _spread(fare, tariff, steps)
                continue
            for tap_id in fare.ride.leg.taps[:-1] if holder else ():
                steps[tap_id].append(Step("entered"))
            steps[fare.ride.leg.taps[-1]].extend(fare.steps)
    while linked and not linked[-1]:
        linked.pop()
    lines = tuple(_line(tap, steps[tap.id], tariff) for tap in taps)
    carried = Carried(spent, tuple(linked))
    return DayRating(day.isoformat(), tariff.version, tariff.currency, lines, used, carried)


def _spread(fare: _Fare, tariff: CityTariff, steps: Mapping[str, list[Step]]) -> None:
    """Put the steps of a ride that is made of several to the last tap, but for what it cost after each of them.

    So what was told at an exit stands when the journey goes on after it: the next one adds the rest.
    """
    ends: dict[str, Leg] = {leg.taps[-1]: leg for leg in fare.ride.parts}
    total = sum(step.amount_minor for step in fare.steps)
    paid = 0
    for tap_id in fare.ride.leg.taps[:-1]:
        part = ends.get(tap_id)
        if part is None:
            steps[tap_id].append(Step("entered"))
            continue
        found = next((found for table in tariff.tables if (found := table.leg_fares(part, fare.rider))), ())
        minor = max(0, min(found[0].minor, total) - paid) if found else 0
        steps[tap_id].append(Step("so_far", minor, found[0].product) if minor else Step("continued"))
        paid += minor
    last = steps[fare.ride.leg.taps[-1]]
    last.extend(fare.steps)
    if paid:
        last.append(Step("paid_before", -paid))


def _line(tap: FareTap, steps: Sequence[Step], tariff: CityTariff) -> Line:
    network = tap.network if tap.network is not None else tariff.network_of(tap.route_id)
    charge = sum(step.amount_minor for step in steps)
    return Line(tap.id, tap.at_s, charge, tuple(steps), network, tap.route_id, tap.stop_id)


def _fares_of(
    rides: Sequence[Ride],
    number: int,
    before: Sequence[Linked],
    tariff: CityTariff,
    account: Account,
    used: dict[str, int],
) -> tuple[list[_Fare], list[Linked]]:
    """One rider's rides with what each costs before caps, and the chain of rides that transfers see."""
    fares: list[_Fare] = []
    paying: list[_Fare] = []
    passes: Sequence[HeldPass] = () if number else account.passes
    rider = tariff.rider(account.category, account.media)
    for ride in rides:
        if number:
            rider = tariff.rider(ride.companions[number - 1] or None, account.media)
        elif account.former:
            rider = tariff.rider(account.category_at(ride.leg.start_s), account.media)
        fare = _Fare(ride, rider)
        fares.append(fare)
        if ride.kind != "ride":
            _odd(fare, number, tariff, rider)
            continue
        if (whole := whole_pass(ride, tariff, passes)) is not None:
            fare.covered, held = whole
            fare.add(Step("pass", 0, fare.covered.id, number, held=held.id))
        elif number == 0 and (part := part_pass(ride, tariff, passes, rider)) is not None:
            fare.covered, held, extension = part
            fare.add(Step("pass", 0, fare.covered.id, number, held=held.id))
            fare.add(Step("extension", extension.price_minor, extension.id, number), extension.price_minor)
            fare.starts = True
        else:
            paying.append(fare)
    linked = _journeys(paying, number, before, tariff)
    for fare in paying:
        _take_ride(fare, tariff, passes, used)
    for fare in fares:
        if fare.ride.kind == "ride":
            _surcharge(fare, tariff, number)
    return fares, linked


def _journeys(
    fares: Sequence[_Fare],
    number: int,
    before: Sequence[Linked],
    tariff: CityTariff,
) -> list[Linked]:
    """Price the rides that no pass covers, joined into journeys after those before; the chain with both."""
    joins = number == 0 or tariff.group.transfers
    chain = Chain(tariff.changes, before if joins else (), apart=not joins)
    for fare in fares:
        chain.add(fare.ride.leg, fare.rider)
    linked = chain.linked
    first = len(linked) - len(fares)
    for fare, one in zip(fares, linked[first:], strict=True):
        _explain(fare, one, linked, number, tariff)
    _give_back(fares, chain.charges, number)
    return linked


def _odd(fare: _Fare, number: int, tariff: CityTariff, rider: Rider) -> None:
    """A ride that lacks a tap, or that went nowhere."""
    rule = tariff.exits.get(fare.ride.leg.network or "")
    match fare.ride.kind:
        case "no_exit" | "no_entry":
            price = tariff.missing_minor(fare.ride.leg, rider)
            step = Step(fare.ride.kind, price, rider=number, number=rule.max_minutes if rule else None)
            fare.starts = bool(rule and rule.missing_capped)
            fare.add(step, price, capped=fare.starts)
        case "same_stop":
            fare.add(Step("same_stop", rider=number))
        case _:
            fare.add(Step("entered", rider=number))


def _explain(fare: _Fare, one: Linked, chain: Sequence[Linked], number: int, tariff: CityTariff) -> None:
    if not one.product:
        fare.add(Step("unknown_fare", rider=number))
        return
    fare.add(Step("fare", one.full_minor, one.product, number), one.full_minor)
    if one.fare_minor - one.discount_minor != one.full_minor:
        less = one.fare_minor - one.discount_minor - one.full_minor
        percent = fare.rider.percent if fare.rider.percent != 100 else None
        fare.add(Step("concession", less, fare.rider.category or "", number, percent=percent), less)
    if one.discount is not None:
        percent = tariff.discount_percent(one.discount)
        fare.add(Step("discount", one.discount_minor, one.discount, number, percent=percent), one.discount_minor)
    fare.starts = one.rule is None
    if one.rule is not None:
        since = chain[one.since].leg
        rule = tariff.rules_by_id[one.rule]
        since_s, end_s = transfer_span_s(rule, since, tariff.zone)
        from_first = one.since == one.anchor and since_s == since.start_s
        step = Step(
            "transfer", one.adds_minor - one.fare_minor, one.transfer_product or one.rule, number,
            tap=since.taps[0] if from_first else None, since_s=since_s, until_s=end_s if isfinite(end_s) else None,
        )  # fmt: skip
        fare.add(step, step.amount_minor)


def _give_back(fares: Sequence[_Fare], adds: Sequence[int], number: int) -> None:
    """What the rides are charged where that is not what each of them asks in the cheapest way of all.

    Another way was cheaper until a later ride: it is charged as it was then, the later one the rest. A transfer that
    makes a journey cheaper than its beginning lowers what the beginning is charged: with running totals T, ride k is
    charged for min(T[k], T[k+1], ...), so never negative, and the sum is the last T.
    """
    if all(fare.minor == add >= 0 for fare, add in zip(fares, adds, strict=True)):
        return
    totals = []
    running = 0
    for add in adds:
        running += add
        totals.append(running)
    for place in range(len(totals) - 2, -1, -1):
        totals[place] = min(totals[place], totals[place + 1])
    charged = 0
    for fare, total in zip(fares, totals, strict=True):
        charge = max(0, total - charged)
        charged += charge
        if charge != fare.minor:
            kind: StepKind = "later_transfer" if charge < fare.minor else "regrouped"
            fare.add(Step(kind, charge - fare.minor, rider=number), charge - fare.minor)


def _take_ride(fare: _Fare, tariff: CityTariff, passes: Sequence[HeldPass], used: dict[str, int]) -> None:
    """A ride that costs something is taken from what was bought ahead."""
    found = ride_ahead(fare.ride, tariff, passes, used) if fare.minor > 0 else None
    if found is None:
        return
    held, left = found
    used[held.id] = used.get(held.id, 0) + 1
    kind: StepKind = "trip" if held.product == TRIPS and tariff.trips else "pass"
    fare.add(Step(kind, -fare.minor, held.product, number=left, held=held.id), -fare.minor)


def _surcharge(fare: _Fare, tariff: CityTariff, number: int) -> None:
    for extra in tariff.surcharges:
        if fare.covered is not None and extra.covered_by_pass:
            continue
        category = fare.rider.category or tariff.default_category
        if category in extra.exempt or (extra.categories and category not in extra.categories):
            continue
        if not _applies(extra, fare.ride, fare.rider) or not tariff.hours_hold(extra.hours, fare.ride.leg.start_s):
            continue
        step = Step("surcharge", extra.price_minor, extra.id, number)
        fare.add(step, extra.price_minor, capped=extra.capped)


def _applies(extra: Surcharge, ride: Ride, rider: Rider) -> bool:
    if extra.networks and ride.leg.network not in extra.networks:
        return False
    if extra.media and rider.media not in extra.media:
        return False
    leg, places = ride.leg, (frozenset(extra.stops), frozenset(extra.zones))
    boards = leg.from_stop in places[0] or not leg.from_areas.isdisjoint(places[1])
    leaves = leg.to_stop in places[0] or not leg.to_areas.isdisjoint(places[1])
    if not extra.stops and not extra.zones:
        return True
    if extra.on == "either":  # a ride within the place, such as between two terminals, is not a ride to or from it
        return boards != leaves if leg.to_stop is not None or leg.to_areas else boards
    return boards if extra.on == "boarding" else leaves


def _cap(
    fares: Sequence[_Fare], number: int, day: date, tariff: CityTariff, account: Account, spent: Mapping[str, Spent]
) -> dict[str, Spent]:
    """Lower what the rides cost by the caps that are for this rider; the caps' periods after them.

    Where the category changes within the day, a ride is in the caps of the one that it was made with.
    """
    categories = {fare.rider.category for fare in fares} or {account.category}
    running = [cap for cap in tariff.caps if runs_on(cap, day)]
    caps = [cap for cap in running if any(is_for(cap, one, account.media, tariff) for one in categories)]
    if not caps:
        return dict(spent)
    before = opening(caps, spent, day, tariff)
    mine: dict[str | None, frozenset[str]] = {}
    if len(categories) > 1:
        mine = {one: frozenset(cap.id for cap in caps if is_for(cap, one, account.media, tariff)) for one in categories}
    dues = [Due(fare.ride.leg, fare.minor, fare.starts, mine.get(fare.rider.category)) for fare in fares]
    capped, after = cap_rides(dues, caps, before, day, tariff)
    for fare, result in zip(fares, capped, strict=True):
        _explain_cap(fare, result, number)
    return dict(spent) | after


def _explain_cap(fare: _Fare, result: Capped, number: int) -> None:
    less = result.minor - fare.minor
    if sum(effect.change_minor for effect in result.effects) != less and result.combined is not None:
        cap, extension = result.combined
        other = extension.id if extension is not None else None
        fare.add(Step("combination", less, cap.id, number, limit_minor=cap.amount_minor, other=other), less)
        return
    for effect in result.effects:
        cap = effect.cap
        rides = cap.amount_minor is None
        kind: StepKind = "cap" if not rides else "after_rides" if cap.first_rides is None else "first_rides"
        count = effect.rides if cap.first_rides is None else cap.first_rides - effect.rides - fare.starts
        step = Step(
            kind, effect.change_minor, cap.id, number,
            limit_minor=cap.then_minor if rides else cap.amount_minor, spent_minor=effect.spent_minor,
            number=count if rides else None, percent=_percent(cap),
        )  # fmt: skip
        fare.add(step, effect.change_minor)


def _percent(cap: Cap) -> int | None:
    """The percentage that a cap leaves to pay, where it is one and not a price or nothing."""
    if cap.then_minor is not None or (cap.amount_minor is not None and not cap.then_percent):
        return None
    return cap.then_percent
