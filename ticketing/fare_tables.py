"""The fare files of a GTFS feed (Fares v2) read into rules; what is wrong is named by file, line and field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal

from ticketing.city_schema import Name
from ticketing.errors import TariffError
from ticketing.fare_rules import Price
from ticketing.fares import Fares
from ticketing.feed_places import areas_by_stop, network_by_route, station_by_stop, zone_by_stop
from ticketing.feed_rows import FareFiles, Row, read_table
from ticketing.feed_rules import change_names, join_rules, leg_rules, transfer_rules
from ticketing.feed_times import agency_zone, timeframes
from ticketing.legs import Words
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

_AMOUNT = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?")


def has_fares(files: Mapping[str, bytes]) -> bool:
    """Whether a feed says what rides cost in the second version of the standard; products alone do not."""
    return any(file in files for file in FARE_FILES[1:4])


def read_fares(files: Mapping[str, bytes], timezone: str | None = None) -> Fares:
    """The rules of a feed's fare files, given by name; TariffError names file, line and field.

    timezone stands in for agency.txt where that is not given. Columns that the standard does not know are left alone,
    but for a few that are proposed for it and change prices: those are followed or refused (ticketing.feed_rules).
    """
    feed = FareFiles({file: read_table(file, files[file]) for file in FARE_FILES if file in files})
    for file in FARE_FILES[:2]:
        if not feed[file].present:
            raise TariffError(f"{file}: the feed has none, so it says nothing about fares: add it, or drop the others")
        if not feed[file].rows:
            raise TariffError(f"{file}: it has no rows, so nothing has a price: fill it, or leave out the fare files")
    defaults = _default_categories(feed)
    products, names, currency = _products(feed, defaults)
    feed.unique("fare_media.txt", "fare_media_id")
    stations = station_by_stop(feed)
    legs, changes = leg_rules(feed, products), transfer_rules(feed, products)
    return Fares(
        currency=currency,
        zone=agency_zone(feed, timezone),
        products=products,
        leg_rules=legs,
        transfer_rules=changes,
        join_rules=join_rules(feed),
        timeframes=timeframes(feed),
        names=names | change_names(changes, legs, names),
        default_categories=defaults,
        media={row.need("fare_media_id"): row.one_of("fare_media_type", "01234") for row in feed["fare_media.txt"]},
        areas_by_stop=areas_by_stop(feed),
        station_by_stop=stations,
        zone_by_stop=zone_by_stop(feed, stations),
        network_by_route=network_by_route(feed),
        empty_is_any="rule_priority" in feed["fare_leg_rules.txt"].columns,
    )


def _default_categories(feed: FareFiles) -> Words:
    feed.unique("rider_categories.txt", "rider_category_id")
    return frozenset(
        row.need("rider_category_id")
        for row in feed["rider_categories.txt"]
        if row.one_of("is_default_fare_category", "01", "0")
    )


def _products(feed: FareFiles, defaults: Words) -> tuple[dict[str, tuple[Price, ...]], dict[str, Name], str]:
    prices: dict[str, list[Price]] = {}
    names: dict[str, Name] = {}
    last: dict[str, Row] = {}
    currency, first = "", 0
    feed.unique("fare_products.txt", "fare_product_id", "rider_category_id", "fare_media_id")
    for row in feed["fare_products.txt"]:
        feed.refer(row, "rider_category_id", "rider_categories.txt", "rider_category_id", needed=True)
        feed.refer(row, "fare_media_id", "fare_media.txt", "fare_media_id")
        product = row.need("fare_product_id")
        minor = _minor(row)
        if not first:
            currency, first = row.get("currency"), row.line
        if row.get("currency") != currency:
            both = f"{currency} (line {first}) and {row.get('currency')}"
            row.fail("currency", f"{both} in one feed: one city has one currency, write all prices in it")
        price = Price(minor, row.get("rider_category_id") or None, row.get("fare_media_id") or None)
        prices.setdefault(product, []).append(price)
        last[product] = row
        if row.get("fare_product_name"):
            names.setdefault(product, Name(row.get("fare_product_name"), row.get("fare_product_name")))
    for product, rows in prices.items():
        _check_defaults(rows, defaults, last[product])
    return {product: tuple(rows) for product, rows in prices.items()}, names, currency


def _check_defaults(rows: list[Price], defaults: Words, row: Row) -> None:
    """Of several rider categories of a product one is the default: else nobody knows what riders pay who name none."""
    named = sorted({price.category for price in rows if price.category is not None})
    chosen = [category for category in named if category in defaults]
    if len(chosen) > 1 or (len(named) > 1 and not chosen and all(price.category for price in rows)):
        row.fail(
            "rider_category_id",
            f"{row.get('fare_product_id')!r} is for {', '.join(named)}, of which {len(chosen)} are the default:"
            " give exactly one of them is_default_fare_category 1 in rider_categories.txt",
        )


def _minor(row: Row) -> int:
    currency, amount = row.need("currency"), row.need("amount")
    try:
        digits = currency_digits(currency)
    except ValueError as error:
        row.fail("currency", str(error))
    if _AMOUNT.fullmatch(amount) is None:
        row.fail("amount", f"write an amount such as 2.75, not {amount!r}")
    minor = Decimal(amount).scaleb(digits)
    if minor != minor.to_integral_value():
        row.fail("amount", f"{amount} {currency} is no amount of {digits} decimals: round it to them")
    if abs(minor) > MINOR_MAX:
        row.fail("amount", f"{amount} {currency} is more than any ticket costs: correct it")
    return int(minor)
