"""The books' own wiring: settlements, riders' data and penalties, and what is done for both each night."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deploy.serving import Grounds
    from ticketing.service import Ticketing


@asynccontextmanager
async def city_books(grounds: Grounds, service: Ticketing, *, each_night: bool) -> AsyncIterator[list[Any]]:
    """The APIs of settlements, riders' data and penalties, for the web server; each_night: this process settles."""
    from deploy.nightly import nightly
    from ticketing.books import Books
    from ticketing.penalties import Penalties
    from ticketing.penalties_api import PenaltiesApi
    from ticketing.privacy import Privacy
    from ticketing.privacy_api import PrivacyApi
    from ticketing.settlement import Settlements
    from ticketing.settlement_api import SettlementApi

    books = Books(service.store)
    settlements = Settlements(books, service.tariff)
    privacy = Privacy(books, grounds.settings.ticketing.keep_trips_days)
    async with nightly(settlements, privacy) if each_night else contextlib.nullcontext():
        penalties = PenaltiesApi(Penalties(books, service.tariff, service.clock))
        yield [SettlementApi(settlements), PrivacyApi(privacy, settlements), penalties]
