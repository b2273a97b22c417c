"""Whether fares are for everybody: where each names rider categories, all others would ride free without being told."""

from __future__ import annotations

from typing import NoReturn

from ticketing.city_tariff import CityTariff
from ticketing.errors import TariffError
from ticketing.fare_rules import LegRule
from ticketing.legs import Rider


def check_everyone_pays(tariff: CityTariff, file: str) -> None:
    """Refuse fares of a file of which a rider of no category can pay none, on one of their networks or anywhere.

    Free rides are written down: a fare without categories and with price_minor = 0, or a category with percent = 0.
    Raises TariffError, which says what to write in `file`.
    """
    own, *feeds = tariff.tables
    named = sorted({network for rule in own.leg_rules for network in rule.networks})
    for network in named or (None,):
        mine = [rule for rule in own.leg_rules if _holds(rule, network)]
        others = [rule for feed in feeds for rule in feed.leg_rules if _holds(rule, network)]  # asked next
        if mine and not others and all(own.price(rule.product, Rider()) is None for rule in mine):
            _refuse(tariff, file, mine, network)


def _holds(rule: LegRule, network: str | None) -> bool:
    return not rule.networks or network in rule.networks


def _refuse(tariff: CityTariff, file: str, rules: list[LegRule], network: str | None) -> NoReturn:
    rows = [row for rule in rules for row in tariff.tables[0].products[rule.product]]
    payers = list(dict.fromkeys(row.category for row in rows if row.category is not None))
    others = sorted(tariff.categories.keys() - set(payers))
    free = f"riders of no category and of {', '.join(others)}" if others else "riders of no category"
    where = f"on network {network!r}" if network is not None else "of a ride"
    raise TariffError(
        f"{file}: fare {rules[0].product!r}.categories: all fares {where} are for {', '.join(payers)} alone, so that"
        f' {free} would ride free: write default_category = "{payers[0]}" at the top, whose fares the others pay then,'
        " or a fare without categories (price_minor = 0 where they do ride free)"
    )
