"""The fare tables of a city's own file: its fares, transfers, joins and hours as the rules that price legs."""

from __future__ import annotations

from datetime import timedelta
from zoneinfo import ZoneInfo

from ticketing.city_checks import Checks
from ticketing.city_schema import (
    MEDIA_TYPES,
    ByDistance,
    Discount,
    Fare,
    Hours,
    Ids,
    Join,
    Transfer,
)
from ticketing.days import WEEKDAYS
from ticketing.fare_rules import Discount as DiscountRule
from ticketing.fare_rules import JoinRule, LegRule, LimitFrom, Metered, Pays, Price, Timeframe, TransferRule
from ticketing.fares import Fares

_PAYS = {"extra": Pays.A_AB, "difference": Pays.DIFFERENCE, "discount": Pays.A_AB_B, "total": Pays.TOTAL,
         "percent": Pays.PERCENT}  # fmt: skip


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
    transfers = tuple(_transfer(checks, transfer, products, groups) for transfer in p.transfer)
    return Fares(
        currency=p.currency,
        zone=zone,
        products=products,
        leg_rules=rules,
        transfer_rules=transfers,
        join_rules=tuple(_join(checks, join, number) for number, join in enumerate(p.join, 1)),
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
        fare.id,
        fare.group or fare.id,
        frozenset(fare.networks),
        frozenset(fare.starts),
        frozenset(fare.ends),
        fare.hours,
        fare.hours_at_exit,
        fare.priority,
        frozenset(fare.within),
        fare.below_m,
        None if fare.below_minutes is None else fare.below_minutes * 60,
        fare.stops_max,
        None if fare.by_distance is None else _metered(fare.by_distance, checks, f"{where}.by_distance"),
        fare.zones_max,
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


def _transfer(
    checks: Checks, transfer: Transfer, products: dict[str, tuple[Price, ...]], groups: set[str]
) -> TransferRule:
    where = f"transfer {transfer.id!r}"
    checks.scope(where, transfer)
    checks.price(where, transfer.price_minor)
    if (transfer.minutes is None) == (transfer.until is None):
        checks.fail(where, "minutes", "give it, or until; not both")
    checks.number(where, "minutes", transfer.minutes, 1, 1440)
    checks.number(where, "total_minutes", transfer.total_minutes, 1, 1440)
    checks.number(where, "changes_from", transfer.changes_from, 1, 100)
    checks.number(where, "changes_to", transfer.changes_to, transfer.changes_from, 100)
    checks.number(where, "percent", transfer.percent, 0, 100)
    if (transfer.percent is not None) != (transfer.pays == "percent"):
        checks.fail(where, "percent", 'give it with pays = "percent", and only there')
    checks.number(where, "from_full_minutes", transfer.from_full_minutes, 0, 60)
    if transfer.changes_max == 0 or transfer.changes_max < -1:
        checks.fail(where, "changes_max", "write -1 for no limit, or 1 and more")
    checks.one_of(where, "pays", transfer.pays, tuple(_PAYS))
    events = ("boarding", "exit", "last_boarding", "last_exit", "group")
    checks.one_of(where, "counted_from", transfer.counted_from, events)
    if transfer.counted_from == "group" and not transfer.groups:
        checks.fail(where, "counted_from", "name the groups whose first ride it is counted from")
    checks.one_of(where, "counted_to", transfer.counted_to, ("boarding", "exit"))
    to_groups = transfer.groups if transfer.to_groups is None else transfer.to_groups
    checks.known(where, "groups", (*transfer.groups, *to_groups), groups)
    checks.known(where, "begins", transfer.begins, groups)
    sign = -1 if transfer.pays == "discount" else 1
    products[transfer.id] = _prices(sign * transfer.price_minor, transfer.categories, transfer.media)
    from_exit, to_exit = transfer.counted_from.endswith("exit"), transfer.counted_to == "exit"
    return TransferRule(
        id=transfer.id,
        from_groups=frozenset(transfer.groups),
        to_groups=frozenset(to_groups),
        limit_s=None if transfer.minutes is None else transfer.minutes * 60,
        limit_from=LimitFrom({(0, 1): 0, (0, 0): 1, (1, 0): 2, (1, 1): 3}[int(from_exit), int(to_exit)]),
        pays=_PAYS[transfer.pays],
        product=transfer.id,
        count=transfer.changes_max,
        chained=not transfer.counted_from.startswith("last_"),
        between_others=transfer.between_others,
        return_trips=transfer.return_trips is not False,
        back_only=transfer.return_trips == "only",
        same_route=transfer.same_route,
        once_on=frozenset(transfer.once_on),
        round_up_s=transfer.from_full_minutes * 60,
        optional=True,
        until_s=None if transfer.until is None else checks.seconds(transfer.until, f"{where}.until") % 86_400,
        total_s=None if transfer.total_minutes is None else transfer.total_minutes * 60,
        count_from=transfer.changes_from,
        hours=transfer.hours,
        percent=100 if transfer.percent is None else transfer.percent,
        from_group=transfer.counted_from == "group",
        begins=frozenset(transfer.begins),
        count_to=transfer.changes_to,
    )


def _join(checks: Checks, join: Join, number: int) -> JoinRule:
    where = f"join {number}"
    checks.known(where, "networks", join.networks, checks.networks)
    if bool(join.from_stops) != bool(join.to_stops):
        checks.fail(where, "from_stops", "give both from_stops and to_stops, or neither")
    checks.number(where, "minutes", join.minutes, 1, 1440)
    if join.anywhere and (join.from_stops or join.minutes is None):
        checks.fail(where, "anywhere", "give it with minutes, and without stops")
    checks.known(where, "once_on", join.once_on, checks.networks)
    checks.known(where, "hours", (join.hours,) if join.hours is not None else (), checks.hours)
    checks.number(where, "rides_max", join.rides_max, 2, 100)
    checks.number(where, "zones_min", join.zones_min, 1, 1000)
    checks.number(where, "total_minutes", join.total_minutes, 1, 1440)
    return JoinRule(
        None,
        None,
        frozenset(join.from_stops),
        frozenset(join.to_stops),
        join.minutes * 60 if join.minutes is not None else None,
        join.anywhere,
        join.rides_max,
        join.total_minutes * 60 if join.total_minutes is not None else None,
        join.same_route,
        frozenset(join.once_on),
        join.hours,
        join.zones_min,
        frozenset(join.networks),
        optional=True,
    )


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
        one.id,
        one.percent,
        one.round_minor,
        one.rounding,
        one.hours,
        frozenset(one.networks),
        frozenset(one.media),
        frozenset(one.categories),
        one.hours_at_exit,
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
