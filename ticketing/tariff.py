"""The tariff: what is sold, for how much, where and for how long, from a TOML file; unknown keys are refused."""

from __future__ import annotations

import calendar
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from ticketing.errors import TariffError
from ticketing.money import MINOR_MAX, check_currency

EVERYWHERE = "*"
_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")


class Name(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A name for people, in Ukrainian and English."""

    uk: str
    en: str


class Valid(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long a product is valid from its start; exactly one of the four."""

    hours: int | None = None
    days: int | None = None
    service_days: int | None = None
    months: int | None = None

    def given(self) -> list[int]:
        """The spans that are written down: one, when the file is right."""
        return [span for span in (self.hours, self.days, self.service_days, self.months) if span is not None]


class Network(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of the city's services: the operators that run it ("*": all of them)."""

    id: str
    operators: tuple[str, ...]


class Product(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something sold: a number of rides, or a pass where rides is None."""

    id: str
    name: Name
    price_minor: int
    valid: Valid
    rides: int | None = None
    networks: tuple[str, ...] = (EVERYWHERE,)
    passback_minutes: int = 0
    proof: bool = False


class Purse(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one ride costs from a city card's purse."""

    fare_minor: int
    passback_minutes: int = 0


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    currency: str
    timezone: str
    service_day_starts: str
    network: tuple[Network, ...]
    purse: Purse
    product: tuple[Product, ...]


@dataclass(frozen=True)
class Tariff:
    """One version of the tariff, checked; products and networks by id."""

    version: int
    currency: str
    zone: ZoneInfo
    service_day_start: time
    purse: Purse
    products: Mapping[str, Product]
    networks: Mapping[str, Network]

    def networks_of(self, operator: str) -> tuple[str, ...]:
        """The networks that an operator's vehicles belong to; "*" is always one of them."""
        return self._networks_by_operator.get(operator, self._networks_of_all)

    def valid_until_s(self, product: Product, start_s: int) -> int:
        """The end of the half-open validity [start_s, end), Unix seconds.

        Days are of 24 hours; service days and months follow the city's clock, so that they keep the hour over
        daylight saving and a month from 31 January ends with the last day of February.
        """
        valid = product.valid
        if valid.hours is not None:
            return start_s + valid.hours * 3600
        if valid.days is not None:
            return start_s + valid.days * 86400
        local = datetime.fromtimestamp(start_s, self.zone)
        if valid.months is not None:
            return int(_months_later(local, valid.months).timestamp())
        day = local.date() if local.time() >= self.service_day_start else local.date() - timedelta(days=1)
        end = datetime.combine(day + timedelta(days=valid.service_days or 1), self.service_day_start, self.zone)
        return int(end.timestamp())

    @cached_property
    def _networks_of_all(self) -> tuple[str, ...]:
        return (EVERYWHERE, *(n.id for n in self.networks.values() if EVERYWHERE in n.operators))

    @cached_property
    def _networks_by_operator(self) -> dict[str, tuple[str, ...]]:
        named = {operator for network in self.networks.values() for operator in network.operators} - {EVERYWHERE}
        return {
            operator: (
                EVERYWHERE,
                *(n.id for n in self.networks.values() if operator in n.operators or EVERYWHERE in n.operators),
            )
            for operator in named
        }


def parse_tariff(text: str, file: str) -> Tariff:
    """The tariff of a TOML text; TariffError names `file` and the field that is wrong."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TariffError(f"{file}: {error}") from None
    try:
        parsed = msgspec.convert(raw, _File)
    except msgspec.ValidationError as error:
        raise TariffError(f"{file}: {_readable(str(error), raw)}") from None
    return _checked(parsed, file)


def _checked(parsed: _File, file: str) -> Tariff:
    try:
        check_currency(parsed.currency)
        zone = ZoneInfo(parsed.timezone)
    except (ValueError, ZoneInfoNotFoundError, OSError):
        raise TariffError(
            f"{file}: currency is an ISO 4217 code such as UAH and timezone a name such as Europe/Kyiv; "
            f"found {parsed.currency!r} and {parsed.timezone!r}"
        ) from None
    clock = _CLOCK.fullmatch(parsed.service_day_starts)
    if clock is None:
        raise TariffError(f"{file}: service_day_starts is a time HH:MM, not {parsed.service_day_starts!r}")
    if not 0 <= parsed.purse.fare_minor <= MINOR_MAX:
        raise TariffError(f"{file}: purse.fare_minor is an amount of minor units, not {parsed.purse.fare_minor}")
    networks = {network.id: network for network in parsed.network}
    if len(networks) < len(parsed.network):
        raise TariffError(f"{file}: network: an id is there twice")
    products: dict[str, Product] = {}
    for product in parsed.product:
        _check_product(product, networks, f"{file}: product {product.id!r}")
        if product.id in products:
            raise TariffError(f"{file}: product {product.id!r} is there twice")
        products[product.id] = product
    start = time(int(clock[1]), int(clock[2]))
    return Tariff(parsed.version, parsed.currency, zone, start, parsed.purse, products, networks)


def _check_product(product: Product, networks: Mapping[str, Network], where: str) -> None:
    if _ID.fullmatch(product.id) is None:
        raise TariffError(f"{where}: id has 1 to 32 letters, digits, _ or -")
    spans = product.valid.given()
    if len(spans) != 1 or not 0 < spans[0] <= 3660:
        raise TariffError(f"{where}: valid names exactly one of hours, days, service_days, months, from 1 to 3660")
    if not 0 <= product.price_minor <= MINOR_MAX:
        raise TariffError(f"{where}: price_minor is an amount of minor units, not {product.price_minor}")
    if product.rides is not None and not 1 <= product.rides <= 1000:
        raise TariffError(f"{where}: rides is 1 to 1000; leave it out for a pass")
    if not 0 <= product.passback_minutes <= 1440:
        raise TariffError(f"{where}: passback_minutes is 0 to 1440")
    for network in product.networks:
        if network != EVERYWHERE and network not in networks:
            raise TariffError(f"{where}: networks names {network!r}, which has no [[network]] in this file")


def _months_later(start: datetime, months: int) -> datetime:
    year, month0 = divmod(start.year * 12 + start.month - 1 + months, 12)
    day = min(start.day, calendar.monthrange(year, month0 + 1)[1])
    return start.replace(year=year, month=month0 + 1, day=day)


def _readable(message: str, raw: Mapping[str, object]) -> str:
    """msgspec's sentence with the product's id in place of its number, where there is one."""
    place = re.search(r"\$\.product\[(\d+)\]", message)
    products = raw.get("product")
    if place and isinstance(products, list) and isinstance(products[int(place[1])], dict):
        name = products[int(place[1])].get("id", f"number {int(place[1]) + 1}")
        return message.replace(place[0], f"product {name!r}")
    return message.replace("$.", "").replace("`$`", "the top level")
