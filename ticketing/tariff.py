"""The tariff: what is sold, for how much, where and for how long, from a TOML file; unknown keys are refused."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import time
from functools import cached_property
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from ticketing.city_document import TariffFile, read_tariff_file
from ticketing.city_sales import BOUNDED, CAREFUL, Pass, Penalty, Refund, TopUps, Trips, Valid
from ticketing.city_schema import EVERYWHERE, MEDIA_TYPES, Name, Network
from ticketing.errors import TariffError
from ticketing.money import MINOR_MAX, check_currency
from ticketing.tariff_lines import with_line

TRIPS = "trips"
"""The product of trips bought ahead in any number, priced by [trips] of the file."""
_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
_TRIPS_NAME = Name("Поїздки наперед", "Trips bought ahead")
_TRIPS_MONTHS = 60
RIDERS_MAX = 200
"""The largest group on one ticket: a coach and its trailer full."""


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
    riders: int = 1
    refund: Refund = CAREFUL
    categories: tuple[str, ...] = ()


class Purse(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one ride costs from a city card's purse."""

    fare_minor: int
    passback_minutes: int = 0


@dataclass(frozen=True)
class Tariff:
    """One version of the tariff, checked; products and networks by id.

    former: what versions before sold and this one does not, by id. Tickets of it are good until they end.
    """

    version: int
    currency: str
    zone: ZoneInfo
    service_day_start: time
    purse: Purse
    products: Mapping[str, Product]
    networks: Mapping[str, Network]
    trips: Trips | None = None
    penalties: tuple[Penalty, ...] = ()
    refund: Refund = CAREFUL
    top_ups: TopUps = BOUNDED
    default_category: str | None = None
    former: Mapping[str, Product] = field(default_factory=dict)

    def find_product(self, product_id: str) -> Product | None:
        """What a ticket of it is, whether it is still sold or not."""
        return self.products.get(product_id) or self.former.get(product_id)

    def may_hold(self, product: Product, category: str | None) -> bool:
        """Whether a product is for a rider of a category; None is the one of all who are in no other."""
        return not product.categories or (category or self.default_category) in product.categories

    def refund_of(self, product_id: str) -> Refund:
        """What a sold product brings that is given back; one that is no longer sold, what the file says for all."""
        product = self.products.get(product_id)
        return product.refund if product else self.refund

    def penalty_minor(self, operator: str, route_id: str | None) -> int | None:
        """What riding without a ticket costs on a line: the first penalty for one of its networks, else for all."""
        networks = set(self.networks_of(operator, route_id)) - {EVERYWHERE} if route_id else set()
        own = [one for one in self.penalties if networks & set(one.networks)]
        found = own + [one for one in self.penalties if not one.networks]
        return found[0].price_minor if found else None

    def trips_ahead(self, trips: int) -> Product:
        """So many trips bought at once as one product; ValueError where they are not sold."""
        if self.trips is None:
            raise ValueError("this tariff sells no trips ahead: it has no [trips]")
        months = Valid(months=self.trips.valid_months or _TRIPS_MONTHS)
        return Product(
            TRIPS,
            _TRIPS_NAME,
            self.trips.cost_minor(trips),
            months,
            trips,
            self.trips.networks or (EVERYWHERE,),
            refund=self.refund,
        )

    def networks_of(self, operator: str, route_id: str | None = None) -> tuple[str, ...]:
        """The networks that a vehicle of an operator belongs to while it is on a route; "*" is always one of them.

        A route that some network names belongs to those that do, any other to its operator's. Where nobody knows the
        route it may be any: a rider is not refused for what we do not know.
        """
        if route_id in self._networks_by_route:
            return self._networks_by_route[route_id]
        networks = self._networks_by_operator.get(operator, self._networks_of_all)
        return networks if route_id is not None else tuple(dict.fromkeys((*networks, *self._networks_with_routes)))

    def valid_until_s(self, product: Product, start_s: int) -> int:
        """The end of the half-open validity [start_s, end), Unix seconds."""
        return product.valid.end_s(start_s, self.service_day_start, self.zone)

    @cached_property
    def _networks_with_routes(self) -> tuple[str, ...]:
        return tuple(n.id for n in self.networks.values() if n.routes)

    @cached_property
    def _networks_by_route(self) -> dict[str | None, tuple[str, ...]]:
        routes = {route for network in self.networks.values() for route in network.routes}
        return {route: (EVERYWHERE, *(n.id for n in self.networks.values() if route in n.routes)) for route in routes}

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
    """What the desk sells and the judge asks, from a tariff's text; TariffError names `file`, field and line."""
    try:
        return _checked(read_tariff_file(text, file), file)
    except TariffError as error:
        raise TariffError(with_line(str(error), text)) from None


def _checked(parsed: TariffFile, file: str) -> Tariff:
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
    fare_minor = _card_fare_minor(parsed)
    if not 0 <= fare_minor <= MINOR_MAX:
        raise TariffError(f"{file}: purse.fare_minor is an amount of minor units, not {fare_minor}")
    _check_refund(parsed.refund, f"{file}: refund")
    _check_top_ups(parsed.top_up, f"{file}: top_up")
    networks = {network.id: network for network in parsed.network}
    if len(networks) < len(parsed.network):
        raise TariffError(f"{file}: network: an id is there twice")
    products: dict[str, Product] = {}
    for one in parsed.product:
        product = _product(one, parsed.refund)
        _check_product(product, networks, f"{file}: product {one.id!r}")
        if one.id in products:
            raise TariffError(f"{file}: product {one.id!r} is there twice")
        products[one.id] = product
    start = time(int(clock[1]), int(clock[2]))
    purse = Purse(fare_minor, parsed.purse.passback_minutes)
    return Tariff(
        parsed.version,
        parsed.currency,
        zone,
        start,
        purse,
        products,
        networks,
        parsed.trips,
        parsed.penalty,
        parsed.refund,
        parsed.top_up,
        parsed.default_category,
    )


def _product(one: Pass, refund: Refund) -> Product:
    return Product(
        one.id,
        one.name,
        one.price_minor,
        one.valid,
        one.rides,
        one.networks or (EVERYWHERE,),
        one.passback_minutes,
        one.proof,
        one.riders,
        one.refund or refund,
        one.categories,
    )


def _check_refund(refund: Refund, where: str) -> None:
    if not 0 <= refund.days <= 3660:
        raise TariffError(f"{where}.days: 0 to 3660 days after the sale; 0 is never")
    if refund.used not in ("none", "rest"):
        raise TariffError(f'{where}.used: "none" or "rest", not {refund.used!r}')


def _check_top_ups(top_ups: TopUps, where: str) -> None:
    amounts = (1, top_ups.min_minor, top_ups.max_minor, top_ups.balance_max_minor, MINOR_MAX)
    if list(amounts) != sorted(amounts):
        raise TariffError(f"{where}.min_minor: is at least 1 and at most max_minor, which is at most balance_max_minor")


def _card_fare_minor(parsed: TariffFile) -> int:
    """The least that a ride costs by city card; where prices differ, the rating of the day says which it is."""
    cards = {medium.id for medium in parsed.media if MEDIA_TYPES.get(medium.type) == MEDIA_TYPES["card"]}
    fares = [fare.price_minor for fare in parsed.fare if not fare.media or cards & set(fare.media)]
    return min(fares, default=0)


def _check_product(product: Product, networks: Mapping[str, Network], where: str) -> None:
    if _ID.fullmatch(product.id) is None:
        raise TariffError(f"{where}: id has 1 to 32 letters, digits, _ or -")
    spans = product.valid.given()
    if len(spans) != 1 or not 0 < spans[0] <= 3660:
        raise TariffError(
            f"{where}: valid names exactly one of hours, days, service_days, months, calendar_months, from 1 to 3660"
        )
    if not 0 <= product.price_minor <= MINOR_MAX:
        raise TariffError(f"{where}: price_minor is an amount of minor units, not {product.price_minor}")
    if product.rides is not None and not 1 <= product.rides <= 1000:
        raise TariffError(f"{where}: rides is 1 to 1000; leave it out for a pass")
    if not 0 <= product.passback_minutes <= 1440:
        raise TariffError(f"{where}: passback_minutes is 0 to 1440")
    if not 1 <= product.riders <= RIDERS_MAX:
        raise TariffError(f"{where}: riders is 1 to {RIDERS_MAX}: how many travel together on it")
    _check_refund(product.refund, f"{where}.refund")
    for network in product.networks:
        if network != EVERYWHERE and network not in networks:
            raise TariffError(f"{where}: networks names {network!r}, which has no [[network]] in this file")
