"""The city's tariff as a start finds it: the file of the settings, and the fares of the feed beside it."""

from __future__ import annotations

from pathlib import Path

from deploy.config import Settings
from deploy.errors import UserError
from dispatch.feed_problems import FeedError
from dispatch.feed_source import is_address, open_source
from ticketing.config import DEFAULT_TARIFF
from ticketing.editions import TariffSource
from ticketing.errors import TariffError
from ticketing.fare_tables import FARE_FILES, has_fares

TARIFF_BYTES_MAX = 4 << 20
"""A tariff of a thousand fares has two hundred kilobytes."""


def read_tariff_source(settings: Settings, *, fetch: bool = True, fares: bool = True) -> TariffSource:
    """The tariff file with the fare files of the feed, not yet checked.

    A feed's fares belong to a tariff that was written for it: beside the tariff that ships they are left out. fetch
    False leaves a feed at an address out as well: it is asked when it is read. fares False leaves any feed out.

    Raises:
        UserError: a file cannot be read; names it.
    """
    path = settings.ticketing.tariff or DEFAULT_TARIFF
    text = tariff_text(path)
    files = {}
    if fares and settings.ticketing.tariff is not None and settings.feed is not None:
        files = fare_files(settings.feed) if fetch or not is_address(settings.feed) else {}
    return TariffSource(str(path), text, files)


def check_tariff(settings: Settings) -> None:
    """Refuse a tariff that cannot be used before anything is started.

    Raises:
        UserError: names the file, the entry, the field and the line.
    """
    source = read_tariff_source(settings, fetch=False)
    if not source.feed and settings.feed is not None and is_address(settings.feed):
        return  # what the file says may rest on the feed, which is read when the rest has started
    try:
        source.read_for_use()
    except TariffError as error:
        raise UserError(str(error)) from None


def tariff_text(path: Path) -> str:
    """The text of a tariff file.

    Raises:
        UserError: it cannot be read; names it.
    """
    try:
        if path.stat().st_size > TARIFF_BYTES_MAX:
            raise UserError(f"{path}: is larger than {TARIFF_BYTES_MAX >> 20} MB: this is no tariff")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); name a tariff in [ticketing]") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not UTF-8 (byte {error.start}): save it as UTF-8") from None


def fare_files(feed: str) -> dict[str, bytes]:
    """The fare files of a feed by name; {} where it says nothing about fares.

    Raises:
        UserError: the feed cannot be read.
    """
    try:
        source = open_source(feed)
        files = {name: content for name in FARE_FILES if (content := source.read(name)) is not None}
    except FeedError as error:
        raise UserError(str(error)) from None
    return files if has_fares(files) else {}
