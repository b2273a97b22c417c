"""A city's tariff: what GTFS-Fares lacks (caps, passes, bulk, debits, penalties), and fares where no feed has them.

Strict: an unknown key, a name that nothing defines or a number out of range is an error with file and field.
docs/tariff.md says how to write one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import time, timedelta
from functools import cached_property
from typing import NoReturn
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ticketing.city_schema import (
    EVERYWHERE,
    MEDIA_TYPES,
    NO_GROUP,
    Cap,
    Category,
    Debit,
    Entry,
    Exit,
    Extension,
    Group,
    Hours,
    Ids,
    Join,
    Name,
    NamedEntry,
    Pass,
    Penalty,
    Surcharge,
    TariffFile,
    Transfer,
    Trips,
    read_tariff_file,
    with_line,
)
from ticketing.days import WEEKDAYS
from ticketing.errors import TariffError
from ticketing.fares import (
    NONE,
    Fares,
    JoinRule,
    LegRule,
    LimitFrom,
    Pays,
    Price,
    Rider,
    Timeframe,
    TransferRule,
    Words,
    same_currency,
)
from ticketing.money import MINOR_MAX, check_currency

_PAYS = {"extra": Pays.A_AB, "difference": Pays.DIFFERENCE, "discount": Pays.A_AB_B, "total": Pays.TOTAL}
_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")
_CLOCK = re.compile(r"(\d\d):([0-5]\d)")


@dataclass(frozen=True)
class CityTariff:
    """One version of a city's tariff, checked: its fare tables in the order in which they are asked, and the rest."""

    version: int
    city: Name
    currency: str
    zone: ZoneInfo
    day_start: time
    week_start: int
    tables: tuple[Fares, ...]
    categories: Mapping[str, Category]
    default_category: str | None
    exits: Mapping[str, Exit]
    network_by_operator: Mapping[str, str]
    network_names: Mapping[str, Name]
    caps: tuple[Cap, ...] = ()
    extensions: tuple[Extension, ...] = ()
    surcharges: tuple[Surcharge, ...] = ()
    passes: Mapping[str, Pass] | None = None
    trips: Trips | None = None
    debits: tuple[Debit, ...] = ()
    group: Group = NO_GROUP
    penalties: tuple[Penalty, ...] = ()
    # The caps that hold a ride, by its places and times, looked up before. Bounded; no answer depends on it.
    scopes: dict[object, frozenset[str]] = field(default_factory=dict, repr=False, compare=False)

    def rider(self, category: str | None, media: str | None) -> Rider:
        """Who pays: a category that the file gives a percentage, or one that has prices of its own."""
        known = self.categories.get(category) if category is not None else None
        return Rider(category, media, known.percent, known.round_minor) if known else Rider(category, media)

    def debit_of(self, media: str | None) -> Debit | None:
        """The rhythm in which a medium's charges are debited; None: each at once."""
        return next((debit for debit in self.debits if not debit.media or media in debit.media), None)

    def network_of(self, route_id: str | None, operator: str | None = None) -> str | None:
        """The network of a ride: by its route in the first table that knows it, else by its operator."""
        for table in self.tables if route_id is not None else ():
            network = table.network_by_route.get(route_id or "")
            if network is not None:
                return network
        if operator is None:
            return None
        return self.network_by_operator.get(operator, self.network_by_operator.get(EVERYWHERE))

    def areas_of(self, stop_id: str | None) -> Words:
        """The areas of a stop in all tables."""
        return NONE.union(*(table.areas_of(stop_id) for table in self.tables))

    def hours_hold(self, hours: str | None, at_s: float) -> bool:
        """Whether named hours (None: any time) hold an instant."""
        return hours is None or hours in self.timeframes_at(at_s)

    def timeframes_at(self, at_s: float) -> Words:
        """All named hours, and timeframe groups of the feed, that hold an instant by the city's clock."""
        return NONE.union(*(table.timeframes_at(at_s, None) for table in self.tables))

    def bulk_minor(self, trips: int) -> int:
        """What so many trips cost when bought at once; ValueError where the tariff does not sell them."""
        if self.trips is None:
            raise ValueError("this tariff sells no trips ahead")
        return self.trips.cost_minor(trips)

    def pass_until_s(self, one: Pass, start_s: int) -> int:
        """The end of a pass's half-open validity [start_s, end), Unix seconds, as for any product."""
        return one.valid.end_s(start_s, self.day_start, self.zone)

    def penalty_of(self, network: str | None) -> Penalty | None:
        """The penalty on a network: the first that names it, else the first for all."""
        named = [p for p in self.penalties if network in p.networks] + [p for p in self.penalties if not p.networks]
        return named[0] if named else None

    @cached_property
    def names(self) -> Mapping[str, Name]:
        """The names of fares, transfers, caps and the rest by id, for receipts."""
        named: list[NamedEntry] = [
            *self.caps,
            *self.extensions,
            *self.surcharges,
            *(self.passes or {}).values(),
            *self.penalties,
        ]
        found: dict[str, Name] = {}
        for table in reversed(self.tables):
            found |= table.names
        return found | {item.id: item.name for item in named}

    @cached_property
    def caps_have_hours(self) -> bool:
        """Whether the time of a ride matters to any cap."""
        return any(cap.hours for cap in self.caps)

    @cached_property
    def rules_by_id(self) -> Mapping[str, TransferRule]:
        """Transfer rules by id; of several under one id the first."""
        return {rule.id: rule for table in reversed(self.tables) for rule in reversed(table.transfer_rules)}

    @cached_property
    def longest_transfer_s(self) -> int:
        """How long before a day's end rides matter to the next day's transfers, seconds: at most half a day."""
        return int(min(43_200, max((table.transfer_s_max for table in self.tables), default=0)))


def parse_city_tariff(text: str, file: str, feed: Fares | None = None) -> CityTariff:
    """The tariff of a TOML text; `feed` are the fares of the city's GTFS feed, asked where the file has none.

    Raises TariffError, which names `file` and the field that is wrong.
    """
    try:
        return _Checker(read_tariff_file(text, file), file, feed).tariff()
    except TariffError as error:
        raise TariffError(with_line(str(error), text)) from None


class _Checker:
    """Reads one parsed file through, with its name at hand for every complaint."""

    def __init__(self, parsed: TariffFile, file: str, feed: Fares | None) -> None:
        self._parsed = parsed
        self._file = file
        self._feed = feed
        self._networks = {n.id for n in parsed.network} | (set(feed.network_by_route.values()) if feed else set())
        self._zones = {z.id for z in parsed.zone}
        if feed:
            self._zones |= NONE.union(*feed.areas_by_stop.values())
            for rule in feed.leg_rules:
                self._networks |= rule.networks
                self._zones |= rule.from_areas | rule.to_areas
        self._media = {m.id for m in parsed.media} | (set(feed.media) if feed else set())
        self._hours = {h.id for h in parsed.hours} | (set(feed.timeframes) if feed else set())
        self._categories = {c.id for c in parsed.category}
        if feed:
            self._categories |= {price.category or "" for rows in feed.products.values() for price in rows}

    def tariff(self) -> CityTariff:
        p = self._parsed
        zone = self._check_head()
        for word, ids in self._all_ids():
            for number, item in enumerate(ids):
                if item in ids[:number]:
                    self._fail(f"{word} {item!r}", "id", "it is there twice")
                if _ID.fullmatch(item) is None:
                    self._fail(f"{word} {item!r}", "id", "it has 1 to 32 letters, digits, _ or -")
        self._known("default_category", "", (p.default_category,) if p.default_category else (), self._categories)
        if not p.fare and self._feed is None:
            self._fail("fare", "", "there is none, and no feed with fares is given: nothing would have a price")
        self._check_rest()
        tables = (self._table(zone), *((self._feed,) if self._feed else ()))
        try:
            same_currency(tables)
        except ValueError as error:
            self._fail("currency", "", str(error))
        return CityTariff(
            version=p.version,
            city=p.city,
            currency=p.currency,
            zone=zone,
            day_start=self._time(p.service_day_starts, "service_day_starts"),
            week_start=WEEKDAYS.index(p.week_starts),
            tables=tables,
            categories={c.id: c for c in p.category},
            network_by_operator={operator: n.id for n in p.network for operator in n.operators},
            default_category=p.default_category or min(self._default_categories(), default=None),
            exits={n.id: n.exit for n in p.network if n.exit},
            network_names={n.id: n.name for n in p.network if n.name},
            caps=p.cap,
            extensions=p.extension,
            surcharges=p.surcharge,
            passes={one.id: one for one in p.product},
            trips=p.trips,
            debits=p.debit,
            group=p.group,
            penalties=p.penalty,
        )

    def _default_categories(self) -> Words:
        if self._parsed.default_category is not None:
            return frozenset((self._parsed.default_category,))
        return self._feed.default_categories if self._feed else NONE

    def _fail(self, where: str, key: str, what: str) -> NoReturn:
        raise TariffError(f"{self._file}: {where}{'.' + key if key else ''}: {what}")

    def _all_ids(self) -> list[tuple[str, list[str]]]:
        p = self._parsed
        priced: list[Entry] = [*p.fare, *p.transfer, *p.cap, *p.extension, *p.surcharge, *p.product]
        lists: list[tuple[str, Iterable[Entry]]] = [
            ("network", p.network),
            ("zone", p.zone),
            ("media", p.media),
            ("category", p.category),
            ("hours", p.hours),
            ("penalty", p.penalty),
            # One name space: a receipt names them by id.
            ("fare, transfer, cap, extension, surcharge or product", priced),
        ]
        return [(word, [item.id for item in items]) for word, items in lists]

    def _check_head(self) -> ZoneInfo:
        p = self._parsed
        try:
            check_currency(p.currency)
        except ValueError as error:
            self._fail("currency", "", str(error))
        if p.week_starts not in WEEKDAYS:
            self._fail("week_starts", "", f"write one of {', '.join(WEEKDAYS)}, not {p.week_starts!r}")
        try:
            return ZoneInfo(p.timezone)
        except (ValueError, OSError, ZoneInfoNotFoundError):
            raise TariffError(f"{self._file}: timezone: {p.timezone!r} is no name such as Europe/Kyiv") from None

    def _time(self, text: str, where: str) -> time:
        parts = _CLOCK.fullmatch(text)
        if parts is None or int(parts[1]) > 23:
            raise TariffError(f"{self._file}: {where}: write a time HH:MM, not {text!r}")
        return time(int(parts[1]), int(parts[2]))

    def _seconds(self, text: str, where: str) -> int:
        return 86_400 if text == "24:00" else self._time(text, where).hour * 3600 + self._time(text, where).minute * 60

    def _known(self, where: str, key: str, names: Sequence[str], known: Iterable[str]) -> None:
        missing = sorted(set(names) - set(known))
        if missing:
            self._fail(where, key, f"{missing[0]!r} is defined nowhere in this file or the feed")

    def _price(self, where: str, minor: int, key: str = "price_minor") -> None:
        if not 0 <= minor <= MINOR_MAX:
            self._fail(where, key, f"write minor units from 0 to {MINOR_MAX}, not {minor}")

    def _range(self, where: str, key: str, value: int | None, low: int, high: int) -> None:
        if value is not None and not low <= value <= high:
            self._fail(where, key, f"write a whole number from {low} to {high}, not {value}")

    def _one_of(self, where: str, key: str, value: str, allowed: Sequence[str]) -> None:
        if value not in allowed:
            self._fail(where, key, f"write one of {', '.join(allowed)}, not {value!r}")

    def _scope(self, where: str, item: object) -> None:
        """The lists and names that several kinds of entries have, checked alike."""
        everywhere = {EVERYWHERE} if isinstance(item, Pass) else set()
        for fields, known in (
            (("networks", "once_on"), self._networks | everywhere),
            (("within", "zones", "starts", "ends"), self._zones),
            (("media",), self._media),
            (("categories", "exempt"), self._categories),
        ):
            for key in fields:
                self._known(where, key, getattr(item, key, ()), known)
        for key in ("hours", "hours_at_exit"):
            hours = getattr(item, key, None)
            self._known(where, key, (hours,) if hours is not None else (), self._hours)

    def _check_rest(self) -> None:
        p = self._parsed
        for medium in p.media:
            self._one_of(f"media {medium.id!r}", "type", medium.type, tuple(MEDIA_TYPES))
        for category in p.category:
            self._range(f"category {category.id!r}", "percent", category.percent, 0, 100)
            self._range(f"category {category.id!r}", "round_minor", category.round_minor, 1, 100_000)
        for network in p.network:
            if network.exit:
                where = f"network {network.id!r}.exit"
                self._price(where, network.exit.missing_minor, "missing_minor")
                self._range(where, "max_minutes", network.exit.max_minutes, 1, 1440)
                self._range(where, "same_stop_minutes", network.exit.same_stop_minutes, 0, 1440)
        extras: tuple[Extension | Surcharge | Penalty, ...] = (*p.extension, *p.surcharge, *p.penalty)
        for item in extras:
            where = f"{type(item).__name__.lower()} {item.id!r}"
            self._price(where, item.price_minor)
            self._scope(where, item)
        for extra in p.surcharge:
            self._one_of(f"surcharge {extra.id!r}", "on", extra.on, ("boarding", "exit", "either"))
        for cap in p.cap:
            self._check_cap(cap, f"cap {cap.id!r}")
        for one in p.product:
            self._check_pass(one, f"product {one.id!r}")
        for number, debit in enumerate(p.debit, 1):
            self._check_debit(debit, f"debit {number}")
        self._range("purse", "passback_minutes", p.purse.passback_minutes, 0, 1440)
        self._range("group", "companions_max", p.group.companions_max, 0, 100)
        if p.trips is not None:
            self._check_trips(p.trips)

    def _check_cap(self, cap: Cap, where: str) -> None:
        self._scope(where, cap)
        self._one_of(where, "period", cap.period, ("day", "week", "month", "rolling"))
        if (cap.amount_minor is None) == (cap.after_rides is None):
            self._fail(where, "amount_minor", "give it, or after_rides; not both")
        spans = (cap.rolling_days is not None) + (cap.rolling_hours is not None)
        if spans != (cap.period == "rolling"):
            self._fail(where, "rolling_days", "give it, or rolling_hours, with the period rolling, and only there")
        if (cap.weekdays or cap.also_on or cap.not_on) and cap.period != "day":
            self._fail(where, "weekdays", "give it with the period day, and only there")
        for day in cap.weekdays:
            self._one_of(f"{where}.weekdays", "", day, WEEKDAYS)
        self._price(where, cap.amount_minor or 0, "amount_minor")
        self._range(where, "after_rides", cap.after_rides, 1, 10_000)
        self._range(where, "then_percent", cap.then_percent, 0, 100)
        self._known(where, "anywhere", cap.anywhere, self._networks)
        self._range(where, "rolling_hours", cap.rolling_hours, 1, 744)
        self._range(where, "rolling_days", cap.rolling_days, 1, 366)

    def _check_pass(self, one: Pass, where: str) -> None:
        self._scope(where, one)
        self._price(where, one.price_minor)
        self._range(where, "rides", one.rides, 1, 1000)
        self._range(where, "passback_minutes", one.passback_minutes, 0, 1440)
        spans = one.valid.given()
        if len(spans) != 1 or not 0 < spans[0] <= 3660:
            self._fail(where, "valid", "name exactly one of hours, days, service_days, months, from 1 to 3660")

    def _check_debit(self, debit: Debit, where: str) -> None:
        self._known(where, "media", debit.media, self._media)
        self._known(where, "networks", debit.networks, self._networks)
        self._one_of(where, "rhythm", debit.rhythm, ("each", "pair", "day"))
        if (debit.rhythm == "pair") != (debit.odd_at is not None):
            self._fail(where, "odd_at", "give it with the rhythm pair, and only there")
        for key, text in (("odd_at", debit.odd_at), ("wait_from", debit.wait_from)):
            if text is not None:
                self._time(text, f"{where}.{key}")

    def _check_trips(self, trips: Trips) -> None:
        self._known("trips", "networks", trips.networks, self._networks)
        numbers = [row.trips for row in trips.bulk]
        if not numbers or numbers[0] != 1 or numbers != sorted(set(numbers)):
            self._fail("trips.bulk", "trips", "begin with 1 and let the numbers rise")
        for row in trips.bulk:
            self._price(f"trips.bulk from {row.trips}", row.price_minor)
        self._range("trips", "top_up_max", trips.top_up_max, 1, 10_000)
        self._range("trips", "held_max", trips.held_max, trips.top_up_max, 100_000)

    def _table(self, zone: ZoneInfo) -> Fares:
        p = self._parsed
        products: dict[str, tuple[Price, ...]] = {}
        areas: dict[str, set[str]] = {}
        for area in p.zone:
            for stop in area.stops:
                areas.setdefault(stop, set()).add(area.id)
        rules = []
        for fare in p.fare:
            where = f"fare {fare.id!r}"
            self._price(where, fare.price_minor)
            self._scope(where, fare)
            self._range(where, "below_m", fare.below_m, 1, 10_000_000)
            products[fare.id] = _prices(fare.price_minor, fare.categories, fare.media)
            rules.append(
                LegRule(
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
                )
            )
        groups = {rule.group for rule in rules} | (
            {rule.group for rule in self._feed.leg_rules} if self._feed else set()
        )
        transfers = tuple(self._transfer(transfer, products, groups) for transfer in p.transfer)
        return Fares(
            currency=p.currency,
            zone=zone,
            products=products,
            leg_rules=tuple(rules),
            transfer_rules=transfers,
            join_rules=tuple(self._join(join, number) for number, join in enumerate(p.join, 1)),
            timeframes={hours.id: self._timeframes(hours) for hours in p.hours},
            names={fare.id: fare.name for fare in p.fare} | {change.id: change.name for change in p.transfer},
            default_categories=self._default_categories(),
            media={medium.id: MEDIA_TYPES[medium.type] for medium in p.media},
            areas_by_stop={stop: frozenset(names) for stop, names in areas.items()},
            network_by_route={route: network.id for network in p.network for route in network.routes},
            transfer_empty_is_any=True,
        )

    def _transfer(self, transfer: Transfer, products: dict[str, tuple[Price, ...]], groups: set[str]) -> TransferRule:
        where = f"transfer {transfer.id!r}"
        self._scope(where, transfer)
        self._price(where, transfer.price_minor)
        self._range(where, "minutes", transfer.minutes, 1, 1440)
        self._range(where, "from_full_minutes", transfer.from_full_minutes, 0, 60)
        if transfer.changes_max == 0 or transfer.changes_max < -1:
            self._fail(where, "changes_max", "write -1 for no limit, or 1 and more")
        self._one_of(where, "pays", transfer.pays, ("extra", "difference", "discount", "total"))
        events = ("boarding", "exit", "last_boarding", "last_exit")
        self._one_of(where, "counted_from", transfer.counted_from, events)
        self._one_of(where, "counted_to", transfer.counted_to, ("boarding", "exit"))
        to_groups = transfer.groups if transfer.to_groups is None else transfer.to_groups
        self._known(where, "groups", (*transfer.groups, *to_groups), groups)
        sign = -1 if transfer.pays == "discount" else 1
        products[transfer.id] = _prices(sign * transfer.price_minor, transfer.categories, transfer.media)
        from_exit, to_exit = transfer.counted_from.endswith("exit"), transfer.counted_to == "exit"
        return TransferRule(
            id=transfer.id,
            from_groups=frozenset(transfer.groups),
            to_groups=frozenset(to_groups),
            limit_s=transfer.minutes * 60,
            limit_from=LimitFrom({(0, 1): 0, (0, 0): 1, (1, 0): 2, (1, 1): 3}[int(from_exit), int(to_exit)]),
            pays=_PAYS[transfer.pays],
            product=transfer.id,
            count=transfer.changes_max,
            chained=not transfer.counted_from.startswith("last_"),
            between_others=transfer.between_others,
            return_trips=transfer.return_trips,
            same_route=transfer.same_route,
            once_on=frozenset(transfer.once_on),
            round_up_s=transfer.from_full_minutes * 60,
            optional=True,
        )

    def _join(self, join: Join, number: int) -> JoinRule:
        where = f"join {number}"
        self._known(where, "networks", join.networks, self._networks)
        if len(join.networks) > 1:
            self._fail(where, "networks", "name one network, the same before and after, or none")
        if bool(join.from_stops) != bool(join.to_stops):
            self._fail(where, "from_stops", "give both from_stops and to_stops, or neither")
        self._range(where, "minutes", join.minutes, 1, 1440)
        if join.anywhere and (join.from_stops or join.minutes is None):
            self._fail(where, "anywhere", "give it with minutes, and without stops")
        self._known(where, "once_on", join.once_on, self._networks)
        self._range(where, "rides_max", join.rides_max, 2, 100)
        self._range(where, "total_minutes", join.total_minutes, 1, 1440)
        network = join.networks[0] if join.networks else None
        return JoinRule(
            network,
            network,
            frozenset(join.from_stops),
            frozenset(join.to_stops),
            join.minutes * 60 if join.minutes is not None else None,
            join.anywhere,
            join.rides_max,
            join.total_minutes * 60 if join.total_minutes is not None else None,
            join.same_route,
            frozenset(join.once_on),
        )

    def _timeframes(self, hours: Hours) -> tuple[Timeframe, ...]:
        where = f"hours {hours.id!r}"
        start_s, until_s = self._seconds(hours.start, f"{where}.start"), self._seconds(hours.until, f"{where}.until")
        for day in hours.weekdays:
            self._one_of(where, "weekdays", day, WEEKDAYS)
        if start_s == until_s:
            self._fail(where, "until", "it is the same as start: the span would be empty")
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
