"""An account's service day recomputed from its taps: journeys, fares, transfers, passes, caps, and why.

Rules of the day, in this order: rides from taps; each ride's fare and its journey's transfers; passes and trips bought
ahead; caps. A later rule only ever lowers what an earlier one asked, so a charge is never negative. Everything depends
on the taps and the account alone: uploaded in any order, or late, they give the same day, and what changed against an
earlier rating is the difference to post.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date

from ticketing.capping import Capped, Due, Spent, cap_rides, is_for, opening, runs_on
from ticketing.changes import Linked
from ticketing.city_prices import Cap
from ticketing.city_tariff import CityTariff
from ticketing.days import day_bounds_s
from ticketing.journey_fares import price_journeys
from ticketing.journeys import FareTap, Ride, by_service_day, list_rides
from ticketing.legs import Leg
from ticketing.rated import Account, Carried, DayRating, Line, Step, StepKind, after_day
from ticketing.ride_fares import RideFare, add_surcharges, begin_fares, cover, take_ride
from ticketing.transfers import carried_over


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
    begin_s, end_s = day_bounds_s(day, tariff.day_start, tariff.zone)
    longest_s = tariff.longest_transfer_s
    from_s = (begin_s if account.replaced else end_s) - longest_s
    spent: dict[str, Spent] = account.carried.spent
    used: dict[str, int] = {}
    for number in range(max(riders, len(account.carried.linked))):
        before = account.carried.linked[number] if number < len(account.carried.linked) else ()
        holder = number == 0
        mine = rides if holder else [ride for ride in rides if len(ride.companions) >= number]
        # Of another card's day more may have been handed over than is this day's.
        before = carried_over(before, begin_s - longest_s, min((ride.leg.start_s for ride in mine), default=end_s))
        fares, chain = _fares_of(mine, number, before, tariff, account, used)
        if holder or tariff.group.caps:
            closing = _cap(fares, day, tariff, account, spent if holder else {})
            spent = closing if holder else spent
        linked.append(carried_over(chain, from_s) if longest_s else ())
        for fare in fares:
            _tell(fare, tariff, steps)
    while linked and not linked[-1]:
        linked.pop()
    lines = tuple(_line(tap, steps[tap.id], tariff) for tap in taps)
    carried = Carried(spent, tuple(linked))
    return DayRating(day.isoformat(), tariff.version, tariff.currency, lines, used, carried)


def _tell(fare: RideFare, tariff: CityTariff, steps: Mapping[str, list[Step]]) -> None:
    """Put a ride's steps to the taps that made it: the last one carries the charge."""
    *entries, last = fare.ride.leg.taps
    if fare.number == 0 and fare.ride.parts:
        _spread(fare, tariff, steps)
        return
    for tap_id in entries if fare.number == 0 else ():
        steps[tap_id].append(Step("entered"))
    steps[last].extend(fare.steps)


def _spread(fare: RideFare, tariff: CityTariff, steps: Mapping[str, list[Step]]) -> None:
    """Put the steps of a ride that is made of several to the last tap, but for what it cost after each of them.

    So what was told at an exit stands when the journey goes on after it: the next one adds the rest.
    """
    ends: dict[str, Leg] = {leg.taps[-1]: leg for leg in fare.ride.parts}
    total = sum(step.amount_minor for step in fare.steps)
    paid = 0
    *earlier, last = fare.ride.leg.taps
    for tap_id in earlier:
        part = ends.get(tap_id)
        if part is None:
            steps[tap_id].append(Step("entered"))
            continue
        found = tariff.changes.leg_fares(part, fare.rider)
        minor = max(0, min(found[0].minor, total) - paid) if found else 0
        steps[tap_id].append(Step("so_far", minor, found[0].product) if minor else Step("continued"))
        paid += minor
    steps[last].extend(fare.steps)
    if paid:
        steps[last].append(Step("paid_before", -paid))


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
) -> tuple[list[RideFare], list[Linked]]:
    """One rider's rides with what each costs before caps, and the chain of rides that transfers see."""
    passes = () if number else account.passes
    fares = begin_fares(rides, number, tariff, account)
    paying = [fare for fare in fares if not cover(fare, tariff, passes)]
    linked = price_journeys(paying, before, tariff, apart=number > 0 and not tariff.group.transfers)
    for fare in paying:
        take_ride(fare, tariff, passes, used)
    for fare in fares:
        if fare.ride.kind == "ride":
            add_surcharges(fare, tariff)
    return fares, linked


def _cap(
    fares: Sequence[RideFare], day: date, tariff: CityTariff, account: Account, spent: Mapping[str, Spent]
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
        _explain_cap(fare, result)
    return dict(spent) | after


def _explain_cap(fare: RideFare, result: Capped) -> None:
    less = result.minor - fare.minor
    if sum(effect.change_minor for effect in result.effects) != less and result.combined is not None:
        cap, extension = result.combined
        other = extension.id if extension is not None else None
        fare.add(Step("combination", less, cap.id, fare.number, limit_minor=cap.amount_minor, other=other))
        return
    for effect in result.effects:
        cap = effect.cap
        rides = cap.amount_minor is None
        kind: StepKind = "cap" if not rides else "after_rides" if cap.first_rides is None else "first_rides"
        count = effect.rides if cap.first_rides is None else cap.first_rides - effect.rides - fare.starts
        step = Step(
            kind, effect.change_minor, cap.id, fare.number,
            limit_minor=cap.then_minor if rides else cap.amount_minor, spent_minor=effect.spent_minor,
            number=count if rides else None, percent=_percent(cap),
        )  # fmt: skip
        fare.add(step)


def _percent(cap: Cap) -> int | None:
    """The percentage that a cap leaves to pay, where it is one and not a price or nothing."""
    if cap.then_minor is not None or (cap.amount_minor is not None and not cap.then_percent):
        return None
    return cap.then_percent
