"""A changed tariff file is taken while the city runs: read and checked whole first, then by every process at once.

The file that the settings name stays the one truth, so that a restart goes on with the same. One that cannot be used is
refused with its lines, and the tariff in use stays.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from deploy.errors import UserError
from deploy.feed_fares import source_in_use
from deploy.links import TARIFF_CHANGED, Links
from deploy.problems import Problem
from ticketing.books import Books, audit
from ticketing.editions import Editions, TariffSource, find_source, open_editions
from ticketing.errors import TariffError
from ticketing.tariff_in_use import check_follows

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from deploy.grounds import Grounds
    from deploy.wiring_rating import Rating

TRIES_MAX = 5
TRY_AGAIN_S = 2.0

log = structlog.get_logger("tariff")


class RefusedTariff(msgspec.Struct, frozen=True):
    """The last change that could not be taken, and why; `reason` names file, entry, field and line."""

    at: float
    by: str
    reason: str


class TariffStatus(msgspec.Struct, frozen=True):
    """The tariff in use: its file, what the file calls its version, the number of its edition and since when."""

    file: str
    version: int
    edition: int
    since: float
    currency: str
    products: int
    refused: RefusedTariff | None


class TariffApi:
    """The operations; whoever may change the tariff may look at it, since a refusal quotes the file."""

    def __init__(self, grounds: Grounds, rating: Rating, links: Links) -> None:
        self._grounds = grounds
        self._rating = rating
        self._links = links
        self._books = Books(rating.store)
        self._refused: RefusedTariff | None = None
        self._door = asyncio.Lock()

    def routes(self) -> list[tuple[Any, ...]]:
        """The operations."""
        return [
            ("GET", "/api/v1/tariff", "tariff:change", self.show),
            ("POST", "/api/v1/tariff/reload", "tariff:change", self.reload),
        ]

    async def show(self) -> TariffStatus:
        """Show which tariff is in use, and why the last change was refused, if it was."""
        tariff, edition = self._rating.tariff, self._rating.editions.current
        path = self._grounds.settings.ticketing.tariff
        return TariffStatus(
            path.name if path is not None else "the one that ships with Takt",
            tariff.version,
            edition.id,
            edition.used_from_s,
            tariff.currency,
            len(tariff.products),
            self._refused,
        )

    async def reload(self, *, subject: str) -> TariffStatus:
        """Read the tariff file again and take it, for sales and rides from now on; rides of before keep their price.

        One that cannot be used is refused whole with file, entry, field and line (422), and nothing changes.
        """
        async with self._door:
            try:
                await self._take(subject)
            except (UserError, TariffError) as error:
                self._refused = RefusedTariff(time.time(), subject, str(error))
                log.warning("tariff_refused", by=subject, reason=str(error))
                raise Problem(422, f"{error}. The tariff in use stays as it is.") from None
        return await self.show()

    async def _take(self, subject: str) -> None:
        source = await asyncio.to_thread(source_in_use, self._grounds.settings, self._grounds.instance)
        sold = await asyncio.to_thread(source.read_for_use)
        check_follows(self._rating.tariff, sold.tariff)
        before = self._rating.editions.current.id
        async with self._books.writing() as connection:
            newer = await open_editions(connection, source)
            if newer.current.id != before:
                name, now = Path(source.file).name, newer.current.id
                await audit(
                    connection, subject, "tariff", name, version=sold.tariff.version, edition=now, before=before
                )
        self._refused = None
        if newer.current.id != before:
            self._rating.adopt(newer)
            log.info("tariff_changed", by=subject, version=sold.tariff.version, edition=newer.current.id)
            await self._links.send(TARIFF_CHANGED, msgspec.msgpack.encode(newer.current.id))


@contextlib.asynccontextmanager
async def following(rating: Rating, links: Links) -> AsyncIterator[None]:
    """Take what another process has taken, by the number of its edition in the database that all share."""
    wanted: list[int] = []
    heard = asyncio.Event()

    def hear(data: bytes) -> None:
        wanted[:] = [msgspec.msgpack.decode(data, type=int)]
        heard.set()

    async def follow() -> None:
        while True:
            await heard.wait()
            heard.clear()
            await _follow(rating, wanted[0])

    await links.receive(TARIFF_CHANGED, hear)
    task = asyncio.create_task(follow(), name="tariff in use")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _follow(rating: Rating, edition_id: int) -> None:
    for _ in range(TRIES_MAX):
        try:
            newer = None if rating.editions.current.id == edition_id else await _open(rating, edition_id)
        except Exception:  # the tariff that stands is better than none
            log.exception("tariff_not_followed", edition=edition_id)
            await asyncio.sleep(TRY_AGAIN_S)
            continue
        if newer is not None:
            rating.adopt(newer)
            log.info("tariff_followed", edition=edition_id)
        return


async def _open(rating: Rating, edition_id: int) -> Editions | None:
    async with rating.store.transaction() as connection:
        source: TariffSource | None = await find_source(connection, edition_id)
        return None if source is None else await open_editions(connection, source)
