"""The fare files of a GTFS feed (Fares v2) read into rules; what is wrong is named by file, line and field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ticketing.city_schema import Name
from ticketing.errors import TariffError
from ticketing.fare_rules import NONE, JoinRule, LegRule, LimitFrom, Pays, Price, Timeframe, TransferRule, Words
from ticketing.fares import Fares
from ticketing.feed_rows import FareFiles, Row, read_table
from ticketing.money import MINOR_MAX, currency_digits

FARE_FILES = (
    "fare_products.txt",
    "fare_leg_rules.txt",
    "fare_transfer_rules.txt",
    "fare_leg_join_rules.txt",
    "rider_categories.txt",
    "fare_media.txt",
    "timeframes.txt",
    "areas.txt",
    "stop_areas.txt",
    "networks.txt",
    "route_networks.txt",
    "routes.txt",
    "stops.txt",
    "calendar.txt",
    "calendar_dates.txt",
    "agency.txt",
)
"""What read_fares looks at; only the first two are required."""

_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_TIME = re.compile(r"(\d{1,2}):([0-5]\d):([0-5]\d)")
_DATE = re.compile(r"\d{8}")


def has_fares(files: Mapping[str, bytes]) -> bool:
    """Whether a feed says anything about fares in the second version of the standard."""
    return "fare_products.txt" in files and "fare_leg_rules.txt" in files


def read_fares(files: Mapping[str, bytes], timezone: str | None = None) -> Fares:
    """The rules of a feed's fare files, given by name; TariffError names file, line and field.

    timezone stands in for agency.txt where that is not given. Columns that the standard does not know are left alone,
    but for nonconsecutive_transfers_allowed, which is proposed for it.
    """
    feed = FareFiles({file: read_table(file, files[file]) for file in FARE_FILES if file in files})
    for file in FARE_FILES[:2]:
        if not feed[file].present:
            raise TariffError(f"{file}: the feed has none, so it says nothing about fares: write a tariff file instead")
    products, names, currency = _products(feed)
    categories = feed["rider_categories.txt"]
    defaults = [row for row in categories if row.one_of("is_default_fare_category", "01", "0")]
    leg_rules, has_priority = _leg_rules(feed, products)
    return Fares(
        currency=currency,
        zone=_zone(feed, timezone),
        products=products,
        leg_rules=leg_rules,
        transfer_rules=_transfer_rules(feed, products),
        join_rules=_join_rules(feed),
        timeframes=_timeframes(feed),
        names=names,
        default_categories=frozenset(row.need("rider_category_id") for row in defaults),
        media={row.need("fare_media_id"): row.one_of("fare_media_type", "01234") for row in feed["fare_media.txt"]},
        areas_by_stop=_areas_by_stop(feed),
        station_by_stop={
            row.need("stop_id"): row.get("parent_station") for row in feed["stops.txt"] if row.get("parent_station")
        },
        zone_by_stop={
            row.need("stop_id"): _named_zone(row.get("stop_timezone"), row, "stop_timezone")
            for row in feed["stops.txt"]
            if row.get("stop_timezone")
        },
        network_by_route=_network_by_route(feed),
        empty_is_any=has_priority,
    )


def _products(feed: FareFiles) -> tuple[dict[str, tuple[Price, ...]], dict[str, Name], str]:
    prices: dict[str, dict[tuple[str | None, str | None], Price]] = {}
    names: dict[str, Name] = {}
    currencies: dict[str, Row] = {}
    for row in feed["fare_products.txt"]:
        feed.refer(row, "rider_category_id", "rider_categories.txt", "rider_category_id")
        feed.refer(row, "fare_media_id", "fare_media.txt", "fare_media_id")
        product = row.need("fare_product_id")
        currencies.setdefault(row.need("currency"), row)
        if len(currencies) > 1:
            row.fail("currency", f"{' and '.join(currencies)} in one feed: one city has one currency")
        price = Price(_minor(row), row.get("rider_category_id") or None, row.get("fare_media_id") or None)
        rows = prices.setdefault(product, {})
        if (price.category, price.media) in rows:
            row.fail("fare_product_id", f"{product!r} is there twice for one rider category and fare medium")
        rows[price.category, price.media] = price
        name = row.get("fare_product_name")
        if name:
            names.setdefault(product, Name(name, name))
    if not currencies:
        raise TariffError("fare_products.txt: it has no rows, so nothing has a price")
    return {product: tuple(rows.values()) for product, rows in prices.items()}, names, next(iter(currencies))


def _minor(row: Row) -> int:
    try:
        digits = currency_digits(row.get("currency"))
        minor = Decimal(row.need("amount")).scaleb(digits)
    except ArithmeticError:
        row.fail("amount", f"write an amount such as 2.75, not {row.get('amount')!r}")
    except ValueError as error:
        row.fail("currency", str(error))
    if not minor.is_finite() or minor != minor.to_integral_value() or abs(minor) > MINOR_MAX:
        row.fail("amount", f"{row.get('amount')} {row.get('currency')} is no amount of {digits} decimals")
    return int(minor)


def _leg_rules(feed: FareFiles, products: Mapping[str, object]) -> tuple[tuple[LegRule, ...], bool]:
    table = feed["fare_leg_rules.txt"]
    rules = []
    groups: dict[tuple[object, ...], str] = {}
    for row in table:
        product = row.need("fare_product_id")
        if product not in products:
            row.fail("fare_product_id", f"{product!r} is not in fare_products.txt")
        for field_, file, target in (
            ("network_id", "networks.txt", "network_id"),
            ("from_area_id", "areas.txt", "area_id"),
            ("to_area_id", "areas.txt", "area_id"),
            ("from_timeframe_group_id", "timeframes.txt", "timeframe_group_id"),
            ("to_timeframe_group_id", "timeframes.txt", "timeframe_group_id"),
        ):
            feed.refer(row, field_, file, target)
        rule = LegRule(
            product,
            row.get("leg_group_id"),
            _word(row.get("network_id")),
            _word(row.get("from_area_id")),
            _word(row.get("to_area_id")),
            row.get("from_timeframe_group_id") or None,
            row.get("to_timeframe_group_id") or None,
            row.number("rule_priority", 0) if row.get("rule_priority") else 0,
        )
        key = (rule.networks, rule.from_areas, rule.to_areas, rule.from_timeframe, rule.to_timeframe, product)
        if groups.setdefault(key, rule.group) != rule.group:
            row.fail("leg_group_id", f"the same rule belongs to {groups[key]!r} already")
        rules.append(rule)
    return tuple(rules), "rule_priority" in table.columns


def _transfer_rules(feed: FareFiles, products: Mapping[str, object]) -> tuple[TransferRule, ...]:
    return tuple(_transfer_rule(feed, row, products) for row in feed["fare_transfer_rules.txt"])


def _transfer_rule(feed: FareFiles, row: Row, products: Mapping[str, object]) -> TransferRule:
    from_group, to_group = row.get("from_leg_group_id"), row.get("to_leg_group_id")
    for field_ in ("from_leg_group_id", "to_leg_group_id"):
        _refer_group(feed, row, field_)
    product = row.get("fare_product_id") or None
    if product is not None and product not in products:
        row.fail("fare_product_id", f"{product!r} is not in fare_products.txt")
    count = -1
    if row.get("transfer_count"):
        count = row.number("transfer_count", -1)
        if count == 0:
            row.fail("transfer_count", "write -1 for no limit, or 1 and more")
        if from_group != to_group:
            row.fail("transfer_count", "it is only for transfers within one leg group")
    elif from_group == to_group:
        row.fail("transfer_count", "it is required for transfers within one leg group: -1 is no limit")
    limited = bool(row.get("duration_limit"))
    if not limited and row.get("duration_limit_type"):
        row.fail("duration_limit_type", "leave it empty where duration_limit is empty")
    return TransferRule(
        id=f"{from_group or '*'}>{to_group or '*'}",
        from_groups=_word(from_group),
        to_groups=_word(to_group),
        limit_s=row.number("duration_limit", 1) if limited else None,
        limit_from=LimitFrom(row.one_of("duration_limit_type", "0123")) if limited else LimitFrom.DEPARTURE_TO_ARRIVAL,
        pays=Pays(row.one_of("fare_transfer_type", "012")),
        product=product,
        count=count,
        chained=from_group == to_group,
        between_others=row.get("nonconsecutive_transfers_allowed") == "1",
    )


def _refer_group(feed: FareFiles, row: Row, field_: str) -> None:
    group = row.get(field_)
    if group and group not in {rule.get("leg_group_id") for rule in feed["fare_leg_rules.txt"]}:
        row.fail(field_, f"{group!r} is not in fare_leg_rules.txt")


def _join_rules(feed: FareFiles) -> tuple[JoinRule, ...]:
    rules = []
    for row in feed["fare_leg_join_rules.txt"]:
        for one, other in (("from_network_id", "to_network_id"), ("from_stop_id", "to_stop_id")):
            if bool(row.get(one)) != bool(row.get(other)):
                row.fail(one, f"give both {one} and {other}, or neither")
        rules.append(
            JoinRule(
                row.get("from_network_id") or None,
                row.get("to_network_id") or None,
                _word(row.get("from_stop_id")),
                _word(row.get("to_stop_id")),
            )
        )
    return tuple(rules)


def _timeframes(feed: FareFiles) -> dict[str, tuple[Timeframe, ...]]:
    weeks = {row.need("service_id"): row for row in feed["calendar.txt"]}
    added: dict[str, set[date]] = {}
    removed: dict[str, set[date]] = {}
    for row in feed["calendar_dates.txt"]:
        dates = added if row.one_of("exception_type", "12") == 1 else removed
        dates.setdefault(row.need("service_id"), set()).add(_date(row, "date"))
    frames: dict[str, list[Timeframe]] = {}
    spans: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for row in feed["timeframes.txt"]:
        group, service = row.need("timeframe_group_id"), row.need("service_id")
        if bool(row.get("start_time")) != bool(row.get("end_time")):
            row.fail("start_time", "give both start_time and end_time, or neither")
        start_s, end_s = _clock(row, "start_time", 0), _clock(row, "end_time", 86400)
        if service not in weeks and service not in added:
            row.fail("service_id", f"{service!r} is neither in calendar.txt nor in calendar_dates.txt")
        if start_s >= end_s:
            row.fail("end_time", "it is not after start_time: write a night as two rows")
        taken = spans.setdefault((group, service), [])
        if any(start_s < end and start < end_s for start, end in taken):
            row.fail("start_time", f"it overlaps another time of {group!r} and {service!r}")
        taken.append((start_s, end_s))
        extra, less = frozenset(added.get(service, ())), frozenset(removed.get(service, ()))
        week = weeks.get(service)
        weekdays = frozenset(n for n, name in enumerate(_WEEKDAYS) if week is not None and week.get(name) == "1")
        first, last = (_date(week, "start_date"), _date(week, "end_date")) if week else (date.min, date.min)
        frames.setdefault(group, []).append(Timeframe(start_s, end_s, weekdays, first, last, extra, less))
    return {group: tuple(rows) for group, rows in frames.items()}


def _clock(row: Row, field_: str, default: int) -> int:
    text = row.get(field_)
    if not text:
        return default
    parts = _TIME.fullmatch(text)
    seconds = int(parts[1]) * 3600 + int(parts[2]) * 60 + int(parts[3]) if parts else 86401
    if seconds > 86400:
        row.fail(field_, f"write a time from 00:00:00 to 24:00:00, not {text!r}")
    return seconds


def _date(row: Row, field_: str) -> date:
    text = row.need(field_)
    try:
        if _DATE.fullmatch(text):
            return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        pass
    return row.fail(field_, f"write a date YYYYMMDD, not {text!r}")


def _areas_by_stop(feed: FareFiles) -> dict[str, Words]:
    areas: dict[str, set[str]] = {}
    for row in feed["stop_areas.txt"]:
        feed.refer(row, "area_id", "areas.txt", "area_id")
        areas.setdefault(row.need("stop_id"), set()).add(row.need("area_id"))
    return {stop: frozenset(names) for stop, names in areas.items()}


def _network_by_route(feed: FareFiles) -> dict[str, str]:
    if feed["route_networks.txt"].present:
        for row in feed["route_networks.txt"]:
            feed.refer(row, "network_id", "networks.txt", "network_id")
        return {row.need("route_id"): row.need("network_id") for row in feed["route_networks.txt"]}
    return {row.need("route_id"): row.get("network_id") for row in feed["routes.txt"] if row.get("network_id")}


def _zone(feed: FareFiles, timezone: str | None) -> ZoneInfo:
    for row in feed["agency.txt"]:
        return _named_zone(row.need("agency_timezone"), row, "agency_timezone")
    if timezone is None:
        raise TariffError("agency.txt: the feed has none with an agency_timezone: name the city's time zone")
    return _named_zone(timezone, Row("time zone given for the feed", 0, {}), "timezone")


def _named_zone(name: str, row: Row, field_: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        row.fail(field_, f"{name!r} is no time zone such as Europe/Kyiv")


def _word(text: str) -> Words:
    return frozenset((text,)) if text else NONE
