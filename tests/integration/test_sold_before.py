"""What was sold or paid before stays sold: after another tariff, a late answer of the bank, and a restored backup."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from simulators.acquirer import Acquirer, Mood, open_acquirer
from sql.pool import open_pool
from tests.integration.test_purchases import TARIFF, Shop
from tests.integration.ticket_city import issuer_keys
from ticketing.api import Sale, TicketingApi
from ticketing.books import Books
from ticketing.errors import Problem
from ticketing.keys import IssuerKeys
from ticketing.operations import Operations
from ticketing.payment_http import HttpPayments
from ticketing.purchases import PurchaseApi, Purchases
from ticketing.service import Ticketing
from ticketing.tariff import Tariff

LESS = replace(TARIFF, products={name: one for name, one in TARIFF.products.items() if name != "single"})
HOUR_S = 3600.0


@asynccontextmanager
async def open_shop(
    url: str, acquirer: Acquirer, tariff: Tariff = TARIFF, keys: IssuerKeys | None = None
) -> AsyncIterator[Shop]:
    """An online sale and a desk on a database, with an acquirer that may have been there before."""
    pool = await open_pool(url)
    service = Ticketing(pool, keys or issuer_keys(), tariff, clock=lambda: shop.now())  # noqa: PLW0108
    async with service, open_acquirer(acquirer), HttpPayments(acquirer.url, "secret", timeout_s=0.5) as payments:
        desk = TicketingApi(service)
        operations = Operations(service.store, payments, service.clock)
        api = PurchaseApi(Purchases(Books(service.store), desk.desk, operations), lambda _: 0.0)
        shop = Shop(pool, service, desk, api, operations, acquirer)
        yield shop
    await pool.close()


async def test_whoever_asks_again_under_another_tariff_is_told_of_what_was_sold(database):
    acquirer, keys = Acquirer("secret"), issuer_keys()
    cash = {"body": Sale("single", card_uid=None), "subject": "desk1", "role": "cashier", "idempotency_key": "k1"}
    async with open_shop(database, acquirer, keys=keys) as shop:
        bought = await shop.buy(key="k1")
        sold = await shop.desk.sell(**cash)
    async with open_shop(database, acquirer, LESS, keys) as shop:
        assert await shop.buy(key="k1") == bought
        assert await shop.desk.sell(**cash) == sold
        with pytest.raises(Problem, match="not in the tariff"):
            await shop.buy(key="k2")
    assert list(acquirer.charged.values()) == [800]


async def test_a_purchase_that_a_backup_does_not_know_is_not_paid_twice(database, postgres_server):
    acquirer = Acquirer("secret")
    backup = await postgres_server.create(database.rsplit("/", 1)[1])
    async with open_shop(database, acquirer) as shop:
        await shop.buy(key="k1")
    async with open_shop(postgres_server.url(backup), acquirer) as shop:
        assert (await shop.buy(key="k1")).payment == "approved"
        assert await shop.tickets() == 1
        assert (await shop.buy(key="k2")).payment == "approved"
    assert list(acquirer.charged.values()) == [800, 800]
    await postgres_server.drop(backup)


@pytest.mark.parametrize("ahead_s", [None, 24 * HOUR_S])
async def test_a_ticket_whose_payment_is_answered_late_is_good_from_then_on(database, ahead_s):
    async with open_shop(database, Acquirer("secret")) as shop:
        shop.acquirer.mood = Mood(timeout=1.0)
        starts = None if ahead_s is None else shop.now() + ahead_s
        pending = await shop.buy(key="k1", product="day", valid_from=starts)
        assert pending.payment == "pending"
        shop.acquirer.mood = Mood()
        shop.offset_s += 72 * HOUR_S
        await shop.ask_again()
        issued = await shop.api.get(pending.purchase_id)
        assert issued.valid_from == pytest.approx(shop.now(), abs=60)
        assert issued.valid_until > shop.now()


async def test_a_ticket_for_later_keeps_its_time_although_the_payment_is_answered_late(database):
    async with open_shop(database, Acquirer("secret")) as shop:
        shop.acquirer.mood = Mood(timeout=1.0)
        starts = int(shop.now() + 24 * HOUR_S)
        pending = await shop.buy(key="k1", product="day", valid_from=starts)
        shop.acquirer.mood = Mood()
        await shop.ask_again()
        assert (await shop.api.get(pending.purchase_id)).valid_from == starts
