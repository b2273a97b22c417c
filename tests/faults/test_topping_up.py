"""Auto-top-up killed at every step: the bank is charged once, and the purse has it once."""

from __future__ import annotations

import asyncio

import pytest

from sql import query
from tests.faults.charging_process import STEPS, ChargingOptions, run_charging
from tests.integration.bank_town import KYIV, BankTown, bank_town
from tests.integration.conftest import (
    database,  # noqa: F401  # fixtures
    migrated_template,  # noqa: F401
    postgres_server,  # noqa: F401
)
from tests.integration.ticket_city import CARD_KEYS
from ticketing.api import TicketingApi
from ticketing.auto_top_up_api import AutoTopUpApi, AutoTopUpTerms
from ticketing.books import Books

CARDS = [f"04{number:012x}" for number in range(3)]
FULL = dict.fromkeys(CARDS, 5000)


async def agree(town: BankTown, token: str = "visa") -> TicketingApi:
    """Every card is to be topped up from a bank card of its own; nothing was asked yet."""
    desk = TicketingApi(town.service)
    await desk.cards.enrol(CARDS, CARD_KEYS, subject="admin")
    api = AutoTopUpApi(Books(town.service.store), town.operations, town.service.tariff, lambda _: 0.0)
    for card in CARDS:
        terms = AutoTopUpTerms(f"{token}-{card[-1]}", 1000, 5000, 5)
        await api.set(card, body=terms, subject="desk1", idempotency_key=None)
    return desk


async def top_up(town: BankTown, url: str, **options: object) -> int:
    given = ChargingOptions(url, town.acquirer.url, KYIV, town.now_s, **options)  # type: ignore[arg-type]
    code = await asyncio.to_thread(run_charging, given)
    town.now_s += 3600
    return code


async def is_once(town: BankTown, desk: TicketingApi, token: str = "visa") -> None:
    """Each bank card paid once, each purse holds it once."""
    assert [await town.debits(f"{token}-{card[-1]}") for card in CARDS] == [[5000]] * len(CARDS)
    assert {card: (await desk.get_card(card)).balance_minor for card in CARDS} == FULL
    assert await town.pool.fetch(query("cards.purse_differences")) == []


@pytest.mark.parametrize("step", STEPS)
async def test_killed_at_a_step_the_next_worker_goes_on(database, step):  # noqa: F811
    async with bank_town(database) as town:
        desk = await agree(town)
        assert await top_up(town, database, die_at=step) == -9
        await top_up(town, database, die_at=step, die_after=2)
        assert await top_up(town, database) == 0
        await is_once(town, desk)


async def test_killed_where_the_first_answer_was_lost(database):  # noqa: F811
    async with bank_town(database) as town:
        desk = await agree(town, "timeout")
        assert await top_up(town, database, die_at="answered") == -9
        assert await top_up(town, database, die_at="answered", die_after=2) == -9
        assert await top_up(town, database) == 0
        await is_once(town, desk, "timeout")


async def test_several_processes_at_once_charge_once(database):  # noqa: F811
    async with bank_town(database) as town:
        desk = await agree(town)
        codes = await asyncio.gather(*(top_up(town, database) for _ in range(3)))
        assert codes == [0] * 3
        assert await top_up(town, database) == 0
        await is_once(town, desk)
