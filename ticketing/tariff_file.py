"""One tariff file, two readers of it: what the desk sells and the judge asks, and what rates an account's day."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

from ticketing.city_file import parse_city_tariff
from ticketing.city_schema import MEDIA_TYPES
from ticketing.city_tariff import CityTariff
from ticketing.errors import TariffError
from ticketing.everyone_pays import check_everyone_pays
from ticketing.fare_rules import LegRule
from ticketing.fares import Fares
from ticketing.legs import Rider
from ticketing.tariff import Purse, Tariff, parse_tariff
from ticketing.tariff_lines import with_line


class Sold(NamedTuple):
    """A tariff as both of its readers see it."""

    tariff: Tariff
    city: CityTariff


def read_tariff(text: str, file: str, feed: Fares | None = None) -> Sold:
    """The tariff of a TOML text, with the fares of the city's feed where it has some.

    The purse's fare is the flat price where there is one, else the least that a ride costs: what the day's rating says
    takes its place.

    Raises TariffError, which names `file`, the entry, the field and the line.
    """
    city = parse_city_tariff(text, file, feed)
    try:
        check_everyone_pays(city, file)
    except TariffError as error:
        raise TariffError(with_line(str(error), text)) from None
    tariff = parse_tariff(text, file)
    prices = _prices(city, media_of(city, "card"))
    purse = Purse(min(prices, default=0), tariff.purse.passback_minutes)
    return Sold(dataclasses.replace(tariff, purse=purse), city)


def media_of(tariff: CityTariff, kind: str) -> str | None:
    """The fare medium of a kind (card, bank, app ...): the first that the file, else the feed, defines."""
    for table in tariff.tables:
        for media, number in table.media.items():
            if number == MEDIA_TYPES[kind]:
                return media
    return None


def flat_minor(tariff: CityTariff) -> int | None:
    """What every ride by city card costs, whatever it is and whatever was ridden before; None where that is not so.

    Passes and counted rides stand aside: the judge takes them from the card's tickets by itself. They make a tariff
    depend on the day where they hold for parts of the city or of the day only.
    """
    media = media_of(tariff, "card")
    capped = any(not cap.media or media in cap.media for cap in tariff.caps)
    if capped or tariff.exits or tariff.extensions or tariff.surcharges:
        return None
    if any(one.within or one.hours for one in (tariff.passes or {}).values()):
        return None
    if any(category.percent != 100 for category in tariff.categories.values()):
        return None
    if any(_changes_matter(table, media) or _prices_vary(table, media) for table in tariff.tables):
        return None
    return _one_price(tariff, media)


def _changes_matter(table: Fares, media: str | None) -> bool:
    rider = Rider(None, media)
    free = any(rule.product is None or table.price(rule.product, rider) is not None for rule in table.transfer_rules)
    return bool(free or table.join_rules)


def _prices_vary(table: Fares, media: str | None) -> bool:
    """Whether a price grows with the way, or is lowered at times."""
    lowered = any(not one.media or media in one.media for one in table.discounts)
    return lowered or any(rule.metered for rule in table.leg_rules)


def _one_price(tariff: CityTariff, media: str | None) -> int | None:
    prices = _prices(tariff, media)
    whatever = any(
        _holds_any_ride(rule, table) and table.price(rule.product, Rider(None, media)) is not None
        for table in tariff.tables
        for rule in table.leg_rules
    )
    return prices.pop() if len(prices) == 1 and whatever else None


def _prices(tariff: CityTariff, media: str | None) -> set[int]:
    """All that a ride may cost by a medium, before transfers and caps."""
    return {minor for table in tariff.tables for rule in table.leg_rules for minor in _rows(rule, table, media)}


def _rows(rule: LegRule, table: Fares, media: str | None) -> list[int]:
    return [row.minor for row in table.products.get(rule.product, ()) if row.media in (None, media)]


def _holds_any_ride(rule: LegRule, table: Fares) -> bool:
    narrow = rule.networks or rule.from_areas or rule.to_areas or rule.within
    timed = rule.from_timeframe or rule.to_timeframe
    measured = any(limit is not None for limit in (rule.below_m, rule.below_s, rule.stops_max, rule.zones_max))
    return not narrow and not timed and not measured and (table.empty_is_any or not _names_places(table))


def _names_places(table: Fares) -> bool:
    """Whether any rule names a network or an area: an empty field then stands only for what none of them names."""
    return any(rule.networks or rule.from_areas or rule.to_areas for rule in table.leg_rules)
