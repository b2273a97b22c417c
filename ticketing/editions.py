"""The tariffs that were ever in use here, each as it was: a day is rated again by the one that rated it first."""

from __future__ import annotations

import asyncio
import hashlib
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import msgspec

from sql import query
from ticketing.city_document import read_tariff_file
from ticketing.city_sales import Pass
from ticketing.city_tariff import CityTariff
from ticketing.days import day_bounds_s
from ticketing.errors import TariffError
from ticketing.fare_tables import has_fares, read_fares
from ticketing.feed_beside import check_beside
from ticketing.rerating import Edition
from ticketing.tariff import Tariff
from ticketing.tariff_file import Sold, read_tariff

_FEED = tuple[dict[str, bytes], str | None]
KEPT_MAX = 200
"""Editions read at a start, newest first: years of a city's tariffs."""


class TariffSource(msgspec.Struct, frozen=True):
    """A tariff as it was read: the file's name and text, and the fare files of the feed by name ({}: it has none)."""

    file: str
    text: str
    feed: dict[str, bytes] = {}
    timezone: str | None = None

    def read(self) -> Sold:
        """The tariff, checked; TariffError names file, entry, field and line."""
        fares = read_fares(self.feed, self.timezone or self._own_timezone()) if has_fares(self.feed) else None
        return read_tariff(self.text, self.file, fares)

    def read_for_use(self) -> Sold:
        """The tariff for taps; TariffError also where it and the feed do not go together."""
        sold = self.read()
        check_beside(sold.city, self.file)
        return sold

    def _own_timezone(self) -> str | None:
        """What the file says, for a feed without agency.txt; a file that is wrong has its reader say so."""
        if "agency.txt" in self.feed:
            return None
        try:
            return read_tariff_file(self.text, self.file).timezone
        except TariffError:
            read_tariff(self.text, self.file)
            raise

    @property
    def digest(self) -> bytes:
        """SHA-256 of all that decides a price, the same wherever the file lies."""
        return hashlib.sha256(msgspec.msgpack.encode((self.text, sorted(self.feed.items()), self.timezone))).digest()


class Editions:
    """The editions in the order in which they came into use; the last one is `current`."""

    def __init__(self, editions: Sequence[Edition], current: Edition, sold: Sold) -> None:
        self._in_order = _chained(sorted(editions, key=lambda edition: (edition.used_from_s, edition.id)))
        self._by_id = {edition.id: edition for edition in self._in_order}
        self.current = self._by_id[current.id]
        self.sold = sold

    def adopt(self, newer: Editions) -> None:
        """Go over to what was opened later: days that were rated keep the edition that rated them."""
        self._in_order, self._by_id = newer._in_order, newer._by_id
        self.current, self.sold = newer.current, newer.sold

    def of_day(self, day: date, edition_id: int | None) -> Edition:
        """The edition that rated a day (edition_id), or for a day not rated yet the one in use when it began.

        The current one rates every day from its own first one on; there, accounts that had ridden before it came keep
        the one before (`Edition.at`), in whatever order their rides are told.
        """
        known = self._by_id.get(edition_id) if edition_id is not None else None
        if known is not None:
            return known
        tariff = self.current.tariff
        end_s = day_bounds_s(day, tariff.day_start, tariff.zone)[1]
        if end_s > self.current.used_from_s:
            return self.current
        before = [edition for edition in self._in_order if edition.used_from_s < end_s]
        return before[-1] if before else self._in_order[0]


def _chained(in_order: Sequence[Edition]) -> tuple[Edition, ...]:
    """The editions, each knowing the one before it."""
    chained: list[Edition] = []
    for edition in in_order:
        chained.append(edition._replace(before=chained[-1] if chained else None))
    return tuple(chained)


async def open_editions(connection: Any, source: TariffSource) -> Editions:
    """The editions that the database keeps, with this tariff among them as the current one, in use from now on.

    Everything is read before that, in threads, since taps are answered meanwhile. An old one that cannot be read any
    more is left out: its days keep their ratings, late taps are rated by the next.
    """
    sold = await asyncio.to_thread(source.read_for_use)
    rows = await connection.fetch(query("rating.editions"), source.digest, KEPT_MAX)
    old = await asyncio.to_thread(lambda: [_read_old(row["file"], row["content"], row["feed"]) for row in rows])
    feed = zlib.compress(msgspec.msgpack.encode((source.feed, source.timezone)), 9) if source.feed else None
    row = await connection.fetchrow(
        query("rating.keep_edition"), sold.city.version, source.digest, source.file, source.text, feed
    )
    kept = [Edition(row["id"], sold.city, row["used_from_s"])]
    for row, before in zip(rows, old, strict=True):
        if before is not None:
            kept.append(Edition(row["id"], before.city, row["used_from_s"]))
    products: dict[str, Pass] = {}
    for edition in sorted(kept, key=lambda edition: edition.used_from_s):
        products |= edition.tariff.passes or {}
    kept = [edition._replace(tariff=_with(edition.tariff, products)) for edition in kept]
    return Editions(kept, kept[0], sold._replace(tariff=_remembering(sold.tariff, [one.tariff for one in old if one])))


async def find_source(connection: Any, edition_id: int) -> TariffSource | None:
    """What an edition was read from; None where there is none of this number."""
    row = await connection.fetchrow(query("rating.edition"), edition_id)
    return None if row is None else _source_of(row["file"], row["content"], row["feed"])


def _source_of(file: str, text: str, packed: bytes | None) -> TariffSource:
    if packed is None:
        return TariffSource(file, text)
    return TariffSource(file, text, *msgspec.msgpack.decode(zlib.decompress(packed), type=_FEED))


def _read_old(file: str, text: str, packed: bytes | None) -> Sold | None:
    try:
        return _source_of(file, text, packed).read()
    except TariffError:
        return None


def _remembering(tariff: Tariff, before: Sequence[Tariff]) -> Tariff:
    """The tariff with what those before it, newest first, sold and it does not: a code names its product alone."""
    former = {id_: product for one in reversed(before) for id_, product in one.products.items()}
    return replace(tariff, former={id_: former[id_] for id_ in former if id_ not in tariff.products})


def _with(tariff: CityTariff, products: Mapping[str, Pass]) -> CityTariff:
    """The tariff knowing also what others sold: a ticket is good for what it was sold for."""
    return replace(tariff, passes={**products, **(tariff.passes or {})}, scopes={})
