"""The fares of the feed in use: kept beside its network, so that a switch and a restart go on with the same prices."""

from __future__ import annotations

import asyncio
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import structlog

from deploy.config import Settings
from deploy.errors import UserError
from deploy.instance import Instance
from deploy.links import FEED_SWITCHED, Links
from deploy.tariffs import fare_files, read_tariff_source
from ticketing.editions import TariffSource, open_editions
from ticketing.errors import TariffError

if TYPE_CHECKING:
    from deploy.grounds import Grounds
    from deploy.wiring_rating import Rating

TRIES_MAX = 5
TRY_AGAIN_S = 2.0

log = structlog.get_logger("feeds")
_FILES = msgspec.msgpack.Decoder(dict[str, bytes])


def keep_next_fares(source: str, settings: Settings, instance: Instance) -> None:
    """Read a feed's fares, check them with the tariff, and put them beside the network that waits for its time.

    A tariff that leaves feeds alone leaves this one's fares alone as well.

    Raises:
        UserError: the fares and the tariff do not go together; names file, entry, field and line.
    """
    files = fare_files(source) if settings.ticketing.tariff is not None else {}
    try:
        TariffSource(*_text(settings), files).read_for_use()
    except TariffError as error:
        raise UserError(str(error)) from None
    _path(instance, "next").write_bytes(zlib.compress(msgspec.msgpack.encode(files)))


def use_next_fares(instance: Instance) -> None:
    """Make the waiting fares those in use."""
    _path(instance, "next").replace(_path(instance, "in-use"))


def source_in_use(settings: Settings, instance: Instance) -> TariffSource:
    """The tariff with the fares of the feed in use, not yet checked.

    Raises:
        UserError: a file cannot be read; names it.
    """
    from deploy.feeds import switched_from

    path = _path(instance, "in-use")
    if settings.ticketing.tariff is None or not switched_from(settings, instance) or not path.exists():
        return read_tariff_source(settings)
    try:
        files = _FILES.decode(zlib.decompress(path.read_bytes()))
    except (OSError, zlib.error, msgspec.DecodeError) as error:
        log.warning("fares_in_use_not_read", path=str(path), error=str(error))
        return read_tariff_source(settings)
    return TariffSource(*_text(settings), files)


async def follow_fares(grounds: Grounds, rating: Rating, links: Links) -> asyncio.Task[None]:
    """Rate by the fares of every feed that is switched to, from now on; the task ends by cancellation."""
    switched = asyncio.Event()
    await links.receive(FEED_SWITCHED, lambda _: switched.set())
    return asyncio.create_task(_follow(grounds, rating, switched), name="fares of the feed in use")


async def _follow(grounds: Grounds, rating: Rating, switched: asyncio.Event) -> None:
    while True:
        await switched.wait()
        switched.clear()
        for _ in range(TRIES_MAX):
            try:
                await _adopt(grounds, rating)
            except Exception:  # the fares that stand are better than none
                log.exception("fares_not_switched")
                await asyncio.sleep(TRY_AGAIN_S)
            else:
                break


async def _adopt(grounds: Grounds, rating: Rating) -> None:
    source = await asyncio.to_thread(source_in_use, grounds.settings, grounds.instance)
    async with rating.store.transaction() as connection:
        newer = await open_editions(connection, source)
    rating.adopt(newer)
    log.info("fares_switched", edition=rating.editions.current.id)


def _text(settings: Settings) -> tuple[str, str]:
    source = read_tariff_source(settings, fares=False)
    return source.file, source.text


def _path(instance: Instance, which: str) -> Path:
    return instance.network_dir / f"{which}.fares"
