"""The rating's own wiring: the tariff with its earlier editions, prices for the judge, and the worker behind it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

from deploy import metrics
from deploy.errors import UserError
from deploy.feed_fares import source_in_use

if TYPE_CHECKING:
    from deploy.serving import Grounds
    from ticketing.accounts import Accounts
    from ticketing.editions import Editions
    from ticketing.pricing import DayPricing
    from ticketing.service import Ticketing
    from ticketing.store import Store


class Rating(NamedTuple):
    """What rates accounts: the tariffs, prices of single taps, and the worker, which is not yet entered."""

    editions: Editions
    pricing: DayPricing
    accounts: Accounts
    store: Store


async def open_rating(grounds: Grounds, pool: Any) -> Rating:
    """The rating over a pool of connections, its numbers shown; it is kept in `grounds` for other parts.

    Raises:
        UserError: the tariff cannot be used; names file, entry, field and line.
    """
    from ticketing.accounts import Accounts
    from ticketing.editions import open_editions
    from ticketing.errors import TariffError
    from ticketing.pricing import DayPricing
    from ticketing.store import Store

    store = Store(pool)
    try:
        source = await asyncio.to_thread(source_in_use, grounds.settings, grounds.instance)
        async with store.transaction() as connection:
            editions = await open_editions(connection, source)
    except TariffError as error:
        raise UserError(str(error)) from None
    rating = Rating(editions, DayPricing(store, editions), Accounts(store, editions), store)
    counted = (rating.accounts.counters, rating.pricing.counters)
    metrics.expose(
        grounds.registry, "rating", lambda: {k: v for one in counted for k, v in one.items()}, rating.accounts.gauges
    )
    grounds.rating = rating
    return rating


def receipts(grounds: Grounds, service: Ticketing) -> list[Any]:
    """The API of accounts, receipts and trips bought ahead, for the web server."""
    from ticketing.books import Books
    from ticketing.receipts_api import ReceiptsApi
    from ticketing.sales import Sales
    from ticketing.trips_desk import TripsDesk

    rating = grounds.rating
    assert rating is not None, "ticketing is entered before the web server"
    books = Books(rating.store)
    sales = Sales(service.keys, service.tariff, service.settings, service.clock)
    trips = TripsDesk(books, sales, service.tariff, service.clock)
    accounts = rating.accounts
    return [ReceiptsApi(rating.store, rating.editions, accounts, trips, lambda: service.readers, service.clock)]
