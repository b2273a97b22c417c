"""Charging killed at every step: each ride is charged once, and our books say what the acquirer's do."""

from __future__ import annotations

import asyncio

import pytest

from simulators.acquirer import Acquirer, Mood
from tests.faults.charging_process import STEPS, ChargingOptions, run_charging
from tests.integration.bank_town import KYIV, BankTown, bank_town
from tests.integration.conftest import (
    database,  # noqa: F401  # fixtures
    migrated_template,  # noqa: F401
    postgres_server,  # noqa: F401
)

CARDS = [f"card-{number}" for number in range(4)]
ONCE = {card: [1600] for card in CARDS}


async def rode_twice(town: BankTown) -> None:
    """Every card has ridden twice and been rated; nothing was charged yet."""
    for card in CARDS:
        await town.ride("08:00", card)
    await town.work()
    for card in CARDS:
        await town.ride("09:00", card)
    while await town.accounts.rate_due():
        pass


async def charge(town: BankTown, url: str, **options: object) -> int:
    given = ChargingOptions(url, town.acquirer.url, KYIV, town.now_s, **options)  # type: ignore[arg-type]
    return await asyncio.to_thread(run_charging, given)


@pytest.mark.parametrize("step", STEPS)
async def test_killed_at_a_step_the_next_worker_goes_on_and_nothing_is_taken_twice(database, step):  # noqa: F811
    async with bank_town(database) as town:
        await rode_twice(town)
        assert await charge(town, database, die_at=step) == -9
        town.now_s += 3600
        await charge(town, database, die_at=step, die_after=2)  # there may be less than two left to do
        town.now_s += 3600
        assert await charge(town, database) == 0
        assert {card: await town.debits(card) for card in CARDS} == ONCE
        assert {(await town.account(card)).charges[0].state for card in CARDS} == {"paid"}


@pytest.mark.parametrize("step", ["taken", "answered"])
async def test_killed_amid_lost_and_doubled_answers(database, step):  # noqa: F811
    async with bank_town(database) as town:
        await rode_twice(town)
        town.acquirer.mood = Mood(timeout=0.5, twice=0.5)
        for _ in range(3):
            await charge(town, database, die_at=step, die_after=3)
            town.now_s += 3600
        town.acquirer.mood = Mood()
        assert await charge(town, database) == 0
        assert {card: await town.debits(card) for card in CARDS} == ONCE


async def test_killed_while_declined_the_debt_is_booked_once_and_the_card_denied(database):  # noqa: F811
    async with bank_town(database) as town:
        await rode_twice(town)
        town.acquirer.mood = Mood(decline=1.0)
        assert await charge(town, database, die_at="answered", die_after=2) == -9
        town.now_s += 3600
        assert await charge(town, database) == 0
        assert {(await town.account(card)).debt_minor for card in CARDS} == {1600}
        assert {await town.ride(token=card) for card in CARDS} == {("denied", "debt")}


async def test_several_workers_at_once_charge_once(database):  # noqa: F811
    async with bank_town(database) as town:
        await rode_twice(town)
        assert await asyncio.gather(*(charge(town, database) for _ in range(4))) == [0] * 4
        town.now_s += 3600
        await town.work()
        assert {card: await town.debits(card) for card in CARDS} == ONCE


async def test_a_database_restored_from_before_the_charges_takes_nothing_twice(database, postgres_server):  # noqa: F811
    acquirer = Acquirer("secret")
    async with bank_town(database, acquirer=acquirer) as town:
        await rode_twice(town)
    backup = await postgres_server.create(database.rsplit("/", 1)[1])
    for url in (database, postgres_server.url(backup)):
        # What was charged after the backup is gone from the restored books; the acquirer knows it by its keys.
        async with bank_town(url, acquirer=acquirer) as town:
            town.at("09:00")
            await town.work()
            assert {card: await town.debits(card) for card in CARDS} == ONCE
    await postgres_server.drop(backup)
