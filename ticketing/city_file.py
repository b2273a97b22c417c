"""A city's tariff file read through: an unknown name or a number out of range is an error with file and field."""

from __future__ import annotations

import re
from collections.abc import Iterable
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ticketing.city_checks import Checks
from ticketing.city_document import read_tariff_file
from ticketing.city_fares import fare_table, missing_table
from ticketing.city_prices import Cap, Extension, Surcharge
from ticketing.city_sales import Debit, Pass, Penalty, Trips
from ticketing.city_schema import MEDIA_TYPES, Distance, Entry
from ticketing.city_tariff import CityTariff
from ticketing.days import WEEKDAYS
from ticketing.errors import TariffError
from ticketing.fares import Fares, same_currency
from ticketing.money import check_currency
from ticketing.tariff_lines import with_line

_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")


def parse_city_tariff(text: str, file: str, feed: Fares | None = None) -> CityTariff:
    """The tariff of a TOML text; `feed` are the fares of the city's GTFS feed, asked where the file has none.

    Raises TariffError, which names `file` and the field that is wrong.
    """
    try:
        return _Checker(read_tariff_file(text, file), file, feed).tariff()
    except TariffError as error:
        raise TariffError(with_line(str(error), text)) from None


class _Checker(Checks):
    """Reads one parsed file through, with its name at hand for every complaint."""

    def tariff(self) -> CityTariff:
        p = self.parsed
        zone = self._check_head()
        self._check_ids()
        self.known("default_category", "", (p.default_category,) if p.default_category else (), self.categories)
        if not p.fare and self.feed is None:
            self.fail("fare", "", "there is none, and no feed with fares is given: nothing would have a price")
        self._check_rest()
        own = fare_table(self, zone)
        tables = (own, *((self.feed,) if self.feed else ()))
        try:
            same_currency(tables)
        except ValueError as error:
            self.fail("currency", "", str(error))
        return CityTariff(
            version=p.version,
            city=p.city,
            currency=p.currency,
            zone=zone,
            day_start=self.clock(p.service_day_starts, "service_day_starts"),
            week_start=WEEKDAYS.index(p.week_starts),
            tables=tables,
            missing=missing_table(self, own),
            categories={c.id: c for c in p.category},
            network_by_operator={operator: n.id for n in p.network for operator in n.operators},
            default_category=p.default_category or min(self.default_categories(), default=None),
            exits={n.id: n.exit for n in p.network if n.exit},
            network_names={n.id: n.name for n in p.network if n.name},
            caps=p.cap,
            extensions=p.extension,
            surcharges=p.surcharge,
            passes={one.id: one for one in p.product},
            distances=self._distances(),
            networks=frozenset(self.networks),
            zones=frozenset(self.zones),
            trips=p.trips,
            debits=p.debit,
            group=p.group,
            penalties=p.penalty,
        )

    def _check_ids(self) -> None:
        """Each name stands for one thing, and is one that a receipt and a URL can carry."""
        for word, ids in self._all_ids():
            for number, item in enumerate(ids):
                if item in ids[:number]:
                    self.fail(f"{word} {item!r}", "id", "it is there twice")
                if _ID.fullmatch(item) is None:
                    self.fail(f"{word} {item!r}", "id", "it has 1 to 32 letters, digits, _ or -")

    def _all_ids(self) -> list[tuple[str, list[str]]]:
        p = self.parsed
        priced: list[Entry] = [*p.fare, *p.transfer, *p.cap, *p.extension, *p.surcharge, *p.discount, *p.product]
        lists: list[tuple[str, Iterable[Entry]]] = [
            ("network", p.network),
            ("zone", p.zone),
            ("media", p.media),
            ("category", p.category),
            ("hours", p.hours),
            ("penalty", p.penalty),
            # One name space: a receipt names them by id.
            ("fare, transfer, cap, extension, surcharge, discount or product", priced),
        ]
        return [(word, [item.id for item in items]) for word, items in lists]

    def _check_head(self) -> ZoneInfo:
        p = self.parsed
        try:
            check_currency(p.currency)
        except ValueError as error:
            self.fail("currency", "", str(error))
        if p.week_starts not in WEEKDAYS:
            self.fail("week_starts", "", f"write one of {', '.join(WEEKDAYS)}, not {p.week_starts!r}")
        try:
            return ZoneInfo(p.timezone)
        except (ValueError, OSError, ZoneInfoNotFoundError):
            raise TariffError(f"{self.file}: timezone: {p.timezone!r} is no name such as Europe/Kyiv") from None

    def _check_rest(self) -> None:
        p = self.parsed
        for medium in p.media:
            self.one_of(f"media {medium.id!r}", "type", medium.type, tuple(MEDIA_TYPES))
        for category in p.category:
            self.number(f"category {category.id!r}", "percent", category.percent, 0, 100)
            self.number(f"category {category.id!r}", "round_minor", category.round_minor, 1, 100_000)
        for network in p.network:
            if network.exit:
                where = f"network {network.id!r}.exit"
                self.price(where, network.exit.missing_minor, "missing_minor")
                self.number(where, "max_minutes", network.exit.max_minutes, 1, 1440)
                self.number(where, "same_stop_minutes", network.exit.same_stop_minutes, 0, 1440)
        extras: tuple[Extension | Surcharge | Penalty, ...] = (*p.extension, *p.surcharge, *p.penalty)
        for item in extras:
            where = f"{type(item).__name__.lower()} {item.id!r}"
            self.price(where, item.price_minor)
            self.scope(where, item)
        for extra in p.surcharge:
            self.one_of(f"surcharge {extra.id!r}", "on", extra.on, ("boarding", "exit", "either"))
        for cap in p.cap:
            self._check_cap(cap, f"cap {cap.id!r}")
        for one in p.product:
            self._check_pass(one, f"product {one.id!r}")
        for number, way in enumerate(p.distance, 1):
            self.number(f"distance {number}", "metres", way.metres, 0, 10_000_000)
            self.number(f"distance {number}", "stops", way.stops, 0, 1000)
            if way.metres is None and way.stops is None:
                self.fail(f"distance {number}", "metres", "say how far it is, in metres, in stops or in both")
        for number, debit in enumerate(p.debit, 1):
            self._check_debit(debit, f"debit {number}")
        self.number("purse", "passback_minutes", p.purse.passback_minutes, 0, 1440)
        self.number("group", "companions_max", p.group.companions_max, 0, 100)
        if p.trips is not None:
            self._check_trips(p.trips)

    def _check_cap(self, cap: Cap, where: str) -> None:
        self.scope(where, cap)
        self.one_of(where, "period", cap.period, ("day", "week", "month", "rolling"))
        if sum(one is not None for one in (cap.amount_minor, cap.after_rides, cap.first_rides)) != 1:
            self.fail(where, "amount_minor", "give it, or after_rides; not both; or first_rides alone")
        spans = (cap.rolling_days is not None) + (cap.rolling_hours is not None)
        if spans != (cap.period == "rolling"):
            self.fail(where, "rolling_days", "give it, or rolling_hours, with the period rolling, and only there")
        if (cap.weekdays or cap.also_on or cap.not_on) and cap.period != "day":
            self.fail(where, "weekdays", "give it with the period day, and only there")
        for day in cap.weekdays:
            self.one_of(f"{where}.weekdays", "", day, WEEKDAYS)
        self.price(where, cap.amount_minor or 0, "amount_minor")
        self.number(where, "after_rides", cap.after_rides, 1, 10_000)
        self.number(where, "then_rides", cap.then_rides, 1, 10_000)
        if cap.then_rides is not None and cap.after_rides is None:
            self.fail(where, "then_rides", "give it with after_rides, and only there")
        self.number(where, "then_percent", cap.then_percent, 0, 100)
        self.number(where, "first_rides", cap.first_rides, 1, 10_000)
        if cap.then_minor is not None:
            self.price(where, cap.then_minor, "then_minor")
            if cap.amount_minor is not None or cap.then_percent:
                self.fail(where, "then_minor", "give it with after_rides or first_rides, in place of then_percent")
        if (cap.from_next_ride or cap.up_to_minor is not None) and cap.amount_minor is None:
            self.fail(where, "from_next_ride", "give it, and up_to_minor, with amount_minor, and only there")
        if cap.up_to_minor is not None:
            self.price(where, cap.up_to_minor, "up_to_minor")
            if cap.up_to_minor <= (cap.amount_minor or 0):
                self.fail(where, "up_to_minor", f"write more than amount_minor, {cap.amount_minor}")
        self.known(where, "anywhere", cap.anywhere, self.networks)
        self.number(where, "rolling_hours", cap.rolling_hours, 1, 744)
        self.number(where, "rolling_days", cap.rolling_days, 1, 366)

    def _check_pass(self, one: Pass, where: str) -> None:
        self.scope(where, one)
        self.price(where, one.price_minor)
        self.number(where, "rides", one.rides, 1, 1000)
        self.number(where, "passback_minutes", one.passback_minutes, 0, 1440)
        spans = one.valid.given()
        if len(spans) != 1 or not 0 < spans[0] <= 3660:
            self.fail(
                where, "valid", "name exactly one of hours, days, service_days, months, calendar_months, from 1 to 3660"
            )

    def _check_debit(self, debit: Debit, where: str) -> None:
        self.known(where, "media", debit.media, self.media)
        self.known(where, "networks", debit.networks, self.networks)
        self.one_of(where, "rhythm", debit.rhythm, ("each", "pair", "day"))
        if (debit.rhythm == "pair") != (debit.odd_at is not None):
            self.fail(where, "odd_at", "give it with the rhythm pair, and only there")
        for key, text in (("odd_at", debit.odd_at), ("wait_from", debit.wait_from)):
            if text is not None:
                self.clock(text, f"{where}.{key}")

    def _distances(self) -> dict[tuple[str, str], Distance]:
        both_ways = [(way, way.ends) for way in self.parsed.distance]
        both_ways += [(way, (way.ends[1], way.ends[0])) for way in self.parsed.distance]
        return {ends: way for way, ends in both_ways}

    def _check_trips(self, trips: Trips) -> None:
        self.known("trips", "networks", trips.networks, self.networks)
        numbers = [row.trips for row in trips.bulk]
        if not numbers or numbers[0] != 1 or numbers != sorted(set(numbers)):
            self.fail("trips.bulk", "trips", "begin with 1 and let the numbers rise")
        for row in trips.bulk:
            self.price(f"trips.bulk from {row.trips}", row.price_minor)
        self.number("trips", "top_up_max", trips.top_up_max, 1, 10_000)
        self.number("trips", "held_max", trips.held_max, trips.top_up_max, 100_000)
