"""Caps: charge = max(0, min(fare, cap - spent)), for every cap that holds the ride, over days, weeks and months."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import msgspec

from ticketing.city_prices import Cap, Extension
from ticketing.city_tariff import CityTariff
from ticketing.days import WEEKDAYS, month_start, week_start
from ticketing.legs import Leg

_SCOPES_MAX = 20_000


class Spent(msgspec.Struct, frozen=True):
    """What a period has seen so far: its first day (ISO date), charges in minor units, rides that cost something.

    A period of hours begins at since_s (Unix seconds).
    """

    since: str
    minor: int = 0
    rides: int = 0
    since_s: float | None = None


@dataclass(frozen=True, slots=True)
class Due:
    """What a ride would cost without caps. starts: it begins a journey, so that it counts as a ride.

    caps: which may hold it, by their ids, where not all are for its rider.
    """

    leg: Leg
    minor: int
    starts: bool = True
    caps: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Effect:
    """A cap that changed an amount: by so much, when so much had been spent or so many rides made."""

    cap: Cap
    change_minor: int
    spent_minor: int
    rides: int


@dataclass(frozen=True, slots=True)
class Capped:
    """What a ride costs under the caps, and why; combined is a cap that was cheaper together with extensions."""

    minor: int
    effects: tuple[Effect, ...] = ()
    combined: tuple[Cap, Extension | None] | None = None


def holds(cap: Cap, leg: Leg, tariff: CityTariff) -> bool:
    """Whether a ride is in a cap's scope."""
    if not tariff.hours_hold(cap.hours, leg.start_s):
        return False
    if leg.network is not None and leg.network in cap.anywhere:
        return True
    return (not cap.networks or leg.network in cap.networks) and (not cap.within or leg.within(frozenset(cap.within)))


def is_for(cap: Cap, category: str | None, media: str | None, tariff: CityTariff) -> bool:
    """Whether a cap is for a rider of a category with a medium."""
    rider = category or tariff.default_category
    return (not cap.categories or rider in cap.categories) and (not cap.media or media in cap.media)


def runs_on(cap: Cap, day: date) -> bool:
    """Whether a cap holds on a service day at all."""
    if day in cap.not_on:
        return False
    return day in cap.also_on or not cap.weekdays or WEEKDAYS[day.weekday()] in cap.weekdays


def opening(caps: Sequence[Cap], carried: Mapping[str, Spent], day: date, tariff: CityTariff) -> dict[str, Spent]:
    """What each cap's period has seen before a day begins; a new period begins with nothing."""
    return {cap.id: _current(cap, carried.get(cap.id), day, tariff) for cap in caps}


def cap_rides(
    dues: Sequence[Due], caps: Sequence[Cap], spent: Mapping[str, Spent], day: date, tariff: CityTariff
) -> tuple[list[Capped], dict[str, Spent]]:
    """What each ride costs, in order, and what the caps' periods have seen after them.

    Where the tariff sells extensions, a ride beyond a cap's zones may count under the cap with its part inside, the
    rest paid by the extension: after every ride the cheapest of these ways is what has been charged.
    """
    scopes = _scopes(dues, caps, tariff)
    best = _run(dues, scopes, spent)
    if tariff.extensions:
        for cap in caps:
            split = [_extension(cap, due, scope, tariff) for due, scope in zip(dues, scopes, strict=True)]
            if any(split) and cap.amount_minor is not None:
                best = _cheaper(best, _run(dues, scopes, spent, cap, split))
    return best, _closing(dues, best, scopes, spent, day)


@dataclass(frozen=True, slots=True)
class _Scope:
    """The caps that hold a ride: all of them, those with an amount and those by number of rides."""

    caps: tuple[Cap, ...]
    limits: tuple[tuple[str, int, Cap], ...]
    counts: tuple[Cap, ...]
    hourly: tuple[tuple[float, Cap], ...]


class _Periods:
    """The caps' periods while rides are counted into them."""

    __slots__ = ("minor", "rides", "since_s")

    def __init__(self, spent: Mapping[str, Spent]) -> None:
        self.minor = {cap_id: before.minor for cap_id, before in spent.items()}
        self.rides = {cap_id: before.rides for cap_id, before in spent.items()}
        self.since_s = {cap_id: before.since_s for cap_id, before in spent.items()}

    def begin(self, due: Due, scope: _Scope) -> None:
        """Forget periods of hours that are over when a ride starts."""
        for span_s, cap in scope.hourly:
            since_s = self.since_s[cap.id]
            if since_s is not None and due.leg.start_s >= since_s + span_s:
                self.minor[cap.id], self.rides[cap.id], self.since_s[cap.id] = 0, 0, None

    def book(self, due: Due, scope: _Scope, charged_minor: int) -> None:
        """Count a ride and its charge into every cap that holds it."""
        counts = due.starts and due.minor > 0
        for cap in scope.caps:
            self.minor[cap.id] += charged_minor
            self.rides[cap.id] += counts
        for _, cap in scope.hourly:
            if self.since_s[cap.id] is None and charged_minor:
                self.since_s[cap.id] = due.leg.start_s


def _scopes(dues: Sequence[Due], caps: Sequence[Cap], tariff: CityTariff) -> list[_Scope]:
    scopes: dict[frozenset[str], _Scope] = {}
    found = []
    for due in dues:
        holding = _holding(due.leg, tariff)
        if due.caps is not None:
            holding &= due.caps
        scope = scopes.get(holding)
        if scope is None:
            mine = tuple(cap for cap in caps if cap.id in holding)
            limits = tuple((cap.id, cap.amount_minor, cap) for cap in mine if cap.amount_minor is not None)
            counts = tuple(cap for cap in mine if cap.amount_minor is None)
            hourly = tuple((cap.rolling_hours * 3600.0, cap) for cap in mine if cap.rolling_hours is not None)
            scope = scopes[holding] = _Scope(mine, limits, counts, hourly)
        found.append(scope)
    return found


def _holding(leg: Leg, tariff: CityTariff) -> frozenset[str]:
    """The caps that hold a ride; looked up once for all rides between the same places at such times."""
    hours = tariff.timeframes_at(leg.start_s) if tariff.caps_have_hours else None
    key = (leg.network, leg.from_areas, leg.to_areas, leg.via_areas, hours)
    known = tariff.scopes.get(key)
    if known is None:
        if len(tariff.scopes) >= _SCOPES_MAX:
            tariff.scopes.clear()
        known = tariff.scopes[key] = frozenset(cap.id for cap in tariff.caps if holds(cap, leg, tariff))
    return known


def _current(cap: Cap, spent: Spent | None, day: date, tariff: CityTariff) -> Spent:
    match cap.period:
        case "week":
            since = week_start(day, tariff.week_start).isoformat()
        case "month":
            since = month_start(day).isoformat()
        case "rolling":
            if cap.rolling_hours is not None:
                return spent or Spent("")
            if spent is None or not spent.since:
                return Spent("")
            over = date.fromisoformat(spent.since) + timedelta(days=cap.rolling_days or 1) <= day
            return Spent("") if over else spent
        case _:  # of this very day only where a card takes another one's place
            since = day.isoformat()
    return spent if spent is not None and spent.since == since else Spent(since)


def _extension(cap: Cap, due: Due, scope: _Scope, tariff: CityTariff) -> Extension | None:
    """The cheapest extension that pays for the part of a ride beyond a cap's zones."""
    if cap in scope.caps or not cap.within or not due.minor or (cap.networks and due.leg.network not in cap.networks):
        return None
    if due.caps is not None and cap.id not in due.caps:
        return None
    return find_extension(due.leg, cap.within, due.minor, tariff)


def find_extension(leg: Leg, covered: Sequence[str], below_minor: int, tariff: CityTariff) -> Extension | None:
    """The cheapest extension, cheaper than the ride itself, for what lies outside the zones that are covered."""
    inside = frozenset(covered)
    if leg.from_areas.isdisjoint(inside) and leg.to_areas.isdisjoint(inside) and leg.via_areas.isdisjoint(inside):
        return None
    outside = leg.outside(inside)
    fitting = [
        extension
        for extension in tariff.extensions
        if outside
        and outside <= frozenset(extension.zones)
        and (not extension.networks or leg.network in extension.networks)
        and extension.price_minor < below_minor
        and tariff.hours_hold(extension.hours, leg.start_s)
    ]
    return min(fitting, key=lambda extension: extension.price_minor, default=None)


def _run(
    dues: Sequence[Due],
    scopes: Sequence[_Scope],
    spent: Mapping[str, Spent],
    extended: Cap | None = None,
    split: Sequence[Extension | None] = (),
) -> list[Capped]:
    periods = _Periods(spent)
    minor, rides = periods.minor, periods.rides
    capped = []
    for number, (due, scope) in enumerate(zip(dues, scopes, strict=True)):
        periods.begin(due, scope)
        extension = split[number] if split else None
        outside = extension.price_minor if extension else 0
        amount = due.minor
        effects = []
        if extension is not None and extended is not None:
            room = (extended.amount_minor or 0) - minor[extended.id]
            inside = max(0, min(amount - outside, room))
            minor[extended.id] += inside
            amount = inside + outside
        reduced = [cap for cap in scope.counts if _reduces(cap, due, rides[cap.id])] if amount else []
        if reduced:
            less, cap = min(((_then(one, amount), one) for one in reduced), key=_first)
            effects.append(Effect(cap, less - amount, minor[cap.id], rides[cap.id]))
            amount = less
        if scope.limits:
            charge, cap = min(
                ((_beyond(cap, limit, minor[cap_id], amount), cap) for cap_id, limit, cap in scope.limits), key=_first
            )
            if charge < amount:
                effects.append(Effect(cap, charge - amount, minor[cap.id], rides[cap.id]))
                amount = charge
        periods.book(due, scope, amount)
        capped.append(Capped(amount, tuple(effects), (extended, extension) if extended else None))
    return capped


def _reduces(cap: Cap, due: Due, rides: int) -> bool:
    """Whether the next ride is one of those that a cap by number of rides makes cheaper."""
    if cap.first_rides is not None:  # a change belongs to the ride that was counted when its journey began
        return (rides if due.starts else rides - 1) < cap.first_rides
    after = cap.after_rides or 0
    return (rides if cap.then_rides is None else rides % (after + cap.then_rides)) >= after


def _beyond(cap: Cap, limit: int, spent: int, amount: int) -> int:
    """What a ride costs when so much was spent under a cap: max(0, min(fare, cap - spent)), or a part beyond."""
    room = limit - spent
    if cap.up_to_minor is not None and spent >= cap.up_to_minor:
        return amount
    within = amount if cap.from_next_ride and room > 0 else max(0, min(amount, room))
    return within + (amount - within) * cap.then_percent // 100


def _then(cap: Cap, amount: int) -> int:
    """What a ride costs that a cap by number of rides makes cheaper."""
    return amount * cap.then_percent // 100 if cap.then_minor is None else min(amount, cap.then_minor)


def _first(pair: tuple[int, Cap]) -> int:
    return pair[0]


def _cheaper(one: list[Capped], two: list[Capped]) -> list[Capped]:
    """After every ride the lesser of two running totals is what has been charged."""
    merged = []
    total_one = total_two = charged = 0
    for a, b in zip(one, two, strict=True):
        total_one += a.minor
        total_two += b.minor
        total = min(total_one, total_two)
        merged.append(a if total - charged == a.minor else Capped(total - charged, b.effects, b.combined))
        charged = total
    return merged


def _closing(
    dues: Sequence[Due],
    charges: Sequence[Capped],
    scopes: Sequence[_Scope],
    spent: Mapping[str, Spent],
    day: date,
) -> dict[str, Spent]:
    """The periods after the rides: what was charged in each cap's scope; a rolling one begins with its first charge."""
    periods = _Periods(spent)
    for due, charge, scope in zip(dues, charges, scopes, strict=True):
        periods.begin(due, scope)
        periods.book(due, scope, charge.minor)
    return {
        cap_id: Spent(
            before.since or (day.isoformat() if periods.minor[cap_id] else ""),
            periods.minor[cap_id],
            periods.rides[cap_id],
            periods.since_s[cap_id],
        )
        for cap_id, before in spent.items()
    }
