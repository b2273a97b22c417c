"""What is checked of any entry of a tariff file: names that are defined, numbers within bounds, times and prices."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import time
from typing import NoReturn

from ticketing.city_document import TariffFile
from ticketing.city_sales import Pass
from ticketing.city_schema import EVERYWHERE
from ticketing.errors import TariffError
from ticketing.fares import Fares
from ticketing.legs import NONE, Words
from ticketing.money import MINOR_MAX

_CLOCK = re.compile(r"(\d\d):([0-5]\d)")


class Checks:
    """One parsed file with its name and all that may be named in it; what is wrong is a TariffError."""

    def __init__(self, parsed: TariffFile, file: str, feed: Fares | None) -> None:
        self.parsed = parsed
        self.file = file
        self.feed = feed
        self.networks = {n.id for n in parsed.network} | (set(feed.network_by_route.values()) if feed else set())
        self.zones = {z.id for z in parsed.zone}
        if feed:
            self.zones |= NONE.union(*feed.areas_by_stop.values())
            for rule in feed.leg_rules:
                self.networks |= rule.networks
                self.zones |= rule.from_areas | rule.to_areas
        self.media = {m.id for m in parsed.media} | (set(feed.media) if feed else set())
        self.hours = {h.id for h in parsed.hours} | (set(feed.timeframes) if feed else set())
        self.categories = {c.id for c in parsed.category}
        if feed:
            self.categories |= {price.category or "" for rows in feed.products.values() for price in rows}

    def default_categories(self) -> Words:
        """Who pays full prices, as the file or else the feed says."""
        if self.parsed.default_category is not None:
            return frozenset((self.parsed.default_category,))
        return self.feed.default_categories if self.feed else NONE

    def fail(self, where: str, key: str, what: str) -> NoReturn:
        """Raise TariffError for an entry, its field and what is wrong with it."""
        raise TariffError(f"{self.file}: {where}{'.' + key if key else ''}: {what}")

    def clock(self, text: str, where: str) -> time:
        """A time of the day."""
        parts = _CLOCK.fullmatch(text)
        if parts is None or int(parts[1]) > 23:
            raise TariffError(f"{self.file}: {where}: write a time HH:MM, not {text!r}")
        return time(int(parts[1]), int(parts[2]))

    def seconds(self, text: str, where: str) -> int:
        """A time of the day in seconds since midnight; 24:00 is the end of the day."""
        return 86_400 if text == "24:00" else self.clock(text, where).hour * 3600 + self.clock(text, where).minute * 60

    def known(self, where: str, key: str, names: Sequence[str], known: Iterable[str]) -> None:
        """Names that something defines."""
        missing = sorted(set(names) - set(known))
        if missing:
            self.fail(where, key, f"{missing[0]!r} is defined nowhere in this file or the feed")

    def price(self, where: str, minor: int, key: str = "price_minor") -> None:
        """An amount of minor units."""
        if not 0 <= minor <= MINOR_MAX:
            self.fail(where, key, f"write minor units from 0 to {MINOR_MAX}, not {minor}")

    def number(self, where: str, key: str, value: int | None, low: int, high: int) -> None:
        """A number within bounds, both included; None is left out."""
        if value is not None and not low <= value <= high:
            self.fail(where, key, f"write a whole number from {low} to {high}, not {value}")

    def one_of(self, where: str, key: str, value: str, allowed: Sequence[str]) -> None:
        """A word of a few."""
        if value not in allowed:
            self.fail(where, key, f"write one of {', '.join(allowed)}, not {value!r}")

    def scope(self, where: str, item: object) -> None:
        """The lists and names that several kinds of entries have, checked alike."""
        everywhere = {EVERYWHERE} if isinstance(item, Pass) else set()
        for fields, known in (
            (("networks", "once_on"), self.networks | everywhere),
            (("within", "zones", "starts", "ends"), self.zones),
            (("media",), self.media),
            (("categories", "exempt"), self.categories),
        ):
            for key in fields:
                self.known(where, key, getattr(item, key, ()), known)
        for key in ("hours", "hours_at_exit"):
            hours = getattr(item, key, None)
            self.known(where, key, (hours,) if hours is not None else (), self.hours)
