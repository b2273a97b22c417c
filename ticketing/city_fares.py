"""The fare tables of a city's own file: its fares, discounts and hours as the rules that price legs."""

from __future__ import annotations

from datetime import timedelta
from zoneinfo import ZoneInfo

from ticketing.city_changes import join_rule, transfer_rule
from ticketing.city_checks import Checks
from ticketing.city_prices import ByDistance, Discount, Fare
from ticketing.city_schema import MEDIA_TYPES, Hours, Ids
from ticketing.days import WEEKDAYS
from ticketing.fare_rules import Discount as DiscountRule
from ticketing.fare_rules import LegRule, Metered, Price, Timeframe
from ticketing.fares import Fares


def fare_table(checks: Checks, zone: ZoneInfo) -> Fares:
    """The tables of a checked file; TariffError names the entry and the field that is wrong."""
    p = checks.parsed
    products: dict[str, tuple[Price, ...]] = {}
    areas: dict[str, set[str]] = {}
    for area in p.zone:
        for stop in area.stops:
            areas.setdefault(stop, set()).add(area.id)
    rules = tuple(_leg_rule(checks, fare, products) for fare in p.fare if not fare.without_exit)
    groups = {rule.group for rule in rules} | ({rule.group for rule in checks.feed.leg_rules} if checks.feed else set())
    transfers = tuple(transfer_rule(checks, transfer, groups) for transfer in p.transfer)
    for transfer in p.transfer:
        less = -1 if transfer.pays == "discount" else 1
        products[transfer.id] = _prices(less * transfer.price_minor, transfer.categories, transfer.media)
    return Fares(
        currency=p.currency,
        zone=zone,
        products=products,
        leg_rules=rules,
        transfer_rules=transfers,
        join_rules=tuple(join_rule(checks, join, number) for number, join in enumerate(p.join, 1)),
        discounts=tuple(_discount(one, checks) for one in p.discount),
        timeframes={hours.id: _timeframes(checks, hours) for hours in p.hours},
        names={one.id: one.name for one in (*p.fare, *p.transfer, *p.discount)},
        default_categories=checks.default_categories(),
        media={medium.id: MEDIA_TYPES[medium.type] for medium in p.media},
        areas_by_stop={stop: frozenset(names) for stop, names in areas.items()},
        network_by_route={route: network.id for network in p.network for route in network.routes},
        beside=_beside(checks),
        transfer_empty_is_any=True,
    )


def missing_table(checks: Checks, table: Fares) -> Fares | None:
    """What a ride without a tap out, or in, costs by place and time; None where the file has no such fares."""
    products: dict[str, tuple[Price, ...]] = {}
    rules = tuple(_leg_rule(checks, fare, products) for fare in checks.parsed.fare if fare.without_exit)
    if not rules:
        return None
    return Fares(
        currency=table.currency,
        zone=table.zone,
        products=products,
        leg_rules=rules,
        timeframes=table.timeframes,
        default_categories=table.default_categories or frozenset(("",)),  # a price for some is for them alone
        media=table.media,
    )


def _leg_rule(checks: Checks, fare: Fare, products: dict[str, tuple[Price, ...]]) -> LegRule:
    where = f"fare {fare.id!r}"
    checks.price(where, fare.price_minor)
    checks.scope(where, fare)
    checks.number(where, "below_m", fare.below_m, 1, 10_000_000)
    checks.number(where, "below_minutes", fare.below_minutes, 1, 1440)
    checks.number(where, "stops_max", fare.stops_max, 0, 1000)
    checks.number(where, "zones_max", fare.zones_max, 1, 1000)
    measured = (fare.below_m, fare.below_minutes, fare.stops_max, fare.zones_max, fare.by_distance, fare.hours_at_exit)
    if fare.without_exit and (any(one is not None for one in measured) or fare.ends):
        checks.fail(where, "without_exit", "nobody knows how far such a ride goes: leave out what measures it")
    products[fare.id] = _prices(fare.price_minor, fare.categories, fare.media)
    return LegRule(
        product=fare.id,
        group=fare.group or fare.id,
        networks=frozenset(fare.networks),
        from_areas=frozenset(fare.starts),
        to_areas=frozenset(fare.ends),
        from_timeframe=fare.hours,
        to_timeframe=fare.hours_at_exit,
        priority=fare.priority,
        within=frozenset(fare.within),
        below_m=fare.below_m,
        below_s=None if fare.below_minutes is None else fare.below_minutes * 60,
        stops_max=fare.stops_max,
        metered=None if fare.by_distance is None else _metered(fare.by_distance, checks, f"{where}.by_distance"),
        zones_max=fare.zones_max,
    )


def _beside(checks: Checks) -> dict[str, frozenset[str]]:
    """The zones next to each zone, both ways."""
    found: dict[str, set[str]] = {zone.id: set() for zone in checks.parsed.zone}
    for zone in checks.parsed.zone:
        checks.known(f"zone {zone.id!r}", "beside", zone.beside, found)
        for other in zone.beside:
            found[zone.id].add(other)
            found[other].add(zone.id)
    return {zone: frozenset(others) for zone, others in found.items()}


def _metered(one: ByDistance, checks: Checks, where: str) -> Metered:
    checks.price(where, one.adds_minor, "adds_minor")
    checks.number(where, "every_m", one.every_m, 1, 10_000_000)
    checks.number(where, "beyond_m", one.beyond_m, 0, 10_000_000)
    checks.price(where, one.at_most_minor or 0, "at_most_minor")
    checks.price(where, one.at_least_minor, "at_least_minor")
    return Metered(one.adds_minor, one.every_m, one.beyond_m, one.whole, one.at_most_minor, one.at_least_minor)


def _discount(one: Discount, checks: Checks) -> DiscountRule:
    where = f"discount {one.id!r}"
    checks.scope(where, one)
    checks.number(where, "percent", one.percent, 0, 100)
    checks.number(where, "round_minor", one.round_minor, 1, 100_000)
    return DiscountRule(
        id=one.id,
        percent=one.percent,
        round_minor=one.round_minor,
        rounding=one.rounding,
        timeframe=one.hours,
        networks=frozenset(one.networks),
        media=frozenset(one.media),
        categories=frozenset(one.categories),
        to_timeframe=one.hours_at_exit,
    )


def _timeframes(checks: Checks, hours: Hours) -> tuple[Timeframe, ...]:
    where = f"hours {hours.id!r}"
    start_s, until_s = checks.seconds(hours.start, f"{where}.start"), checks.seconds(hours.until, f"{where}.until")
    for day in hours.weekdays:
        checks.one_of(where, "weekdays", day, WEEKDAYS)
    if start_s == until_s:
        checks.fail(where, "until", "it is the same as start: the span would be empty")
    weekdays = frozenset(WEEKDAYS.index(day) for day in hours.weekdays)
    also, less = frozenset(hours.also_on), frozenset(hours.not_on)
    if start_s < until_s:
        return (Timeframe(start_s, until_s, weekdays, added=also, removed=less),)
    evening = Timeframe(start_s, 86_400, weekdays, added=also, removed=less)
    next_days = frozenset((day + 1) % 7 for day in weekdays)
    also, less = (frozenset(day + timedelta(days=1) for day in days) for days in (also, less))
    return (evening, Timeframe(0, until_s, next_days, added=also, removed=less))


def _prices(minor: int, categories: Ids, media: Ids) -> tuple[Price, ...]:
    return tuple(Price(minor, category, medium) for category in categories or (None,) for medium in media or (None,))
