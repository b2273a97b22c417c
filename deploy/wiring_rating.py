"""The rating's own wiring: the tariff with its earlier editions, prices for the judge, and the worker behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from deploy import metrics
from deploy.errors import UserError
from deploy.feed_fares import source_in_use

if TYPE_CHECKING:
    from deploy.grounds import Grounds
    from ticketing.accounts import Accounts
    from ticketing.editions import Editions
    from ticketing.pricing import DayPricing
    from ticketing.service import Ticketing
    from ticketing.store import Store
    from ticketing.tariff import Tariff
    from ticketing.tariff_in_use import TariffInUse


@dataclass(frozen=True)
class Rating:
    """What rates accounts: the tariffs, prices of single taps, and the worker, which is not yet entered.

    tariff is what the desk and the judge hold; followers hear when it has become another one.
    """

    editions: Editions
    tariff: TariffInUse
    pricing: DayPricing
    accounts: Accounts
    store: Store
    followers: list[Callable[[Tariff], None]] = field(default_factory=list)

    def adopt(self, newer: Editions) -> None:
        """Go over to another tariff, all at once; TariffError says why that needs a restart."""
        self.tariff.adopt(newer.sold.tariff)
        self.editions.adopt(newer)
        for follow in self.followers:
            follow(self.tariff)


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
    from ticketing.tariff_in_use import TariffInUse

    store = Store(pool)
    try:
        source = await asyncio.to_thread(source_in_use, grounds.settings, grounds.instance)
        async with store.transaction() as connection:
            editions = await open_editions(connection, source)
    except TariffError as error:
        raise UserError(str(error)) from None
    tariff = TariffInUse.of(editions.sold.tariff)
    rating = Rating(editions, tariff, DayPricing(store, editions), Accounts(store, editions), store)
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
