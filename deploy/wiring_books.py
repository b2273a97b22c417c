"""The books' own wiring: settlements, riders' data, penalties, flagged taps, and what is done for them each night."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deploy.feeds import Feeds
    from deploy.grounds import Grounds
    from ticketing.service import Ticketing


@asynccontextmanager
async def city_books(
    grounds: Grounds, service: Ticketing, feeds: Feeds, *, each_night: bool
) -> AsyncIterator[list[Any]]:
    """The books' APIs for the web server; each_night: this process settles."""
    from deploy.devices import Registry
    from deploy.nightly import nightly
    from ticketing.books import Books
    from ticketing.flagged import FlaggedApi
    from ticketing.penalties import Lines, Penalties
    from ticketing.penalties_api import PenaltiesApi
    from ticketing.privacy import Privacy
    from ticketing.privacy_api import PrivacyApi
    from ticketing.settlement import Settlements
    from ticketing.settlement_api import SettlementApi

    books = Books(service.store)
    settlements = Settlements(books, service.tariff)
    privacy = Privacy(books, grounds.settings.ticketing.keep_trips_days)
    async with nightly(settlements, privacy) if each_night else contextlib.nullcontext():
        registry = Registry(grounds.instance)
        lines = Lines(lambda: {device.operator for device in registry.list()}, lambda: feeds.network.route_id)
        penalties = PenaltiesApi(Penalties(books, service.tariff, service.clock, lines))
        flagged = FlaggedApi(books, service.clock)
        yield [SettlementApi(settlements), PrivacyApi(privacy, settlements), penalties, flagged]
