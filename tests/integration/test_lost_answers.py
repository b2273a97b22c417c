"""Requests that are sent again since their answer was lost get it, whatever has become of card and tariff meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from tests.integration.bank_town import BankTown, bank_town
from ticketing.api import Sale, TicketingApi
from ticketing.auto_top_up_api import AutoTopUpApi, AutoTopUpTerms
from ticketing.books import Books
from ticketing.card import CardKeys
from ticketing.errors import Problem
from ticketing.replacing import Replacing
from ticketing.sales import SoldTicket

KEYS = CardKeys(1, bytes(range(16)), bytes(range(16, 32)))
OLD, NEW = "04de5f1eacc040", "04112233445566"


@pytest_asyncio.fixture
async def town(database: str) -> AsyncIterator[BankTown]:
    async with bank_town(database) as opened:
        yield opened


async def replaced(api: TicketingApi) -> None:
    await api.replacing.replace(OLD, body=Replacing(NEW, "lost"), subject="desk1", idempotency_key=None)


async def test_a_sale_onto_a_card_that_was_replaced_since(town: BankTown) -> None:
    api = TicketingApi(town.service)
    await api.cards.enrol([OLD, NEW], KEYS, subject="admin")

    async def sell(key: str) -> SoldTicket:
        return await api.sell(body=Sale("hours24", card_uid=OLD), subject="desk1", role="cashier", idempotency_key=key)

    sold = await sell("k1")
    await replaced(api)
    assert await sell("k1") == sold
    with pytest.raises(Problem, match="is over"):
        await sell("k2")


async def test_a_machines_sale_of_what_is_sold_no_more(town: BankTown) -> None:
    api = TicketingApi(town.service)

    async def sell(key: str) -> SoldTicket:
        return await api.sell(body=Sale("qr_single"), subject="machine", role="vendor", idempotency_key=key)

    sold = await sell("k1")
    tariff = town.service.tariff
    api.desk.sales.tariff = replace(tariff, products={"month": tariff.products["month"]})
    assert await sell("k1") == sold
    with pytest.raises(Problem, match="is not in the tariff"):
        await sell("k2")


async def test_a_replaced_card_is_not_topped_up_by_itself(town: BankTown) -> None:
    api = TicketingApi(town.service)
    await api.cards.enrol([OLD, NEW], KEYS, subject="admin")
    await replaced(api)
    auto = AutoTopUpApi(Books(town.service.store), town.operations, town.service.tariff, lambda _: 0.0)
    terms = AutoTopUpTerms("visa", threshold_minor=1000, amount_minor=5000)
    with pytest.raises(Problem, match="is over"):
        await auto.set(OLD, body=terms, subject="desk1", idempotency_key=None)
    assert town.acquirer.operations == {}  # nobody's bank was asked for it
    assert (await auto.set(NEW, body=terms, subject="desk1", idempotency_key=None)).state == "on"
