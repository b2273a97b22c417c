"""Who asks to be forgotten and rides on is forgotten once all of that is paid, and not before."""

from __future__ import annotations

import pytest

from simulators.acquirer import Mood
from tests.integration.bank_town import BankTown, bank_town
from ticketing.bank_api import MoneyBack
from ticketing.books import Books
from ticketing.privacy import Privacy

DAY_S = 86_400.0


async def asked_to_be_forgotten(town: BankTown) -> tuple[Privacy, str]:
    """A card that has paid for two rides, whose rider has asked to be forgotten on the same day."""
    for clock in ("08:00", "09:00"):
        await town.ride(clock)
        await town.work()
    privacy = Privacy(Books(town.service.store), 120)
    account = f"bank:{(await town.account()).id}"
    assert not (await privacy.erase(account, "admin", 0.0)).done
    return privacy, account


async def is_forgotten(town: BankTown) -> bool:
    return not await town.value("SELECT count(*) FROM bank_medium")


@pytest.mark.parametrize("mood", [Mood(timeout=1.0), Mood(down=True)], ids=["lost", "down"])
async def test_not_while_the_bank_has_not_answered(database, mood):
    async with bank_town(database) as town:
        privacy, _ = await asked_to_be_forgotten(town)
        for clock in ("12:00", "13:00"):
            await town.ride(clock)
        town.acquirer.mood = mood
        await town.work()
        town.acquirer.mood = Mood(down=True)
        town.now_s += DAY_S
        await privacy.tidy(town.now_s, town.now_s)
        assert not await is_forgotten(town)
        town.acquirer.mood = Mood()
        await town.work()
        assert await town.debits() == [1600, 1600]
        await privacy.tidy(town.now_s, town.now_s)
        assert await is_forgotten(town)


async def test_not_while_a_ride_waits_for_its_debit(database):
    async with bank_town(database) as town:
        privacy, _ = await asked_to_be_forgotten(town)
        await town.ride("23:00")  # after the odd trip's hour: it waits for one of the next day
        await town.work()
        town.at("05:00", "2026-03-05")
        await privacy.tidy(town.now_s, town.now_s)
        assert not await is_forgotten(town)
        town.at("21:10", "2026-03-05")
        await town.work()
        assert await town.debits() == [1600, 800]
        await privacy.tidy(town.now_s, town.now_s)
        assert await is_forgotten(town)


async def test_not_while_a_declined_charge_is_owed(database):
    async with bank_town(database) as town:
        privacy, account = await asked_to_be_forgotten(town)
        for clock in ("12:00", "13:00"):
            await town.ride(clock)
        town.acquirer.mood = Mood(decline=1.0)
        await town.work()
        town.now_s += DAY_S / 2
        await privacy.tidy(town.now_s, town.now_s)
        assert not await is_forgotten(town)
        town.acquirer.mood = Mood()
        town.now_s += DAY_S
        await town.work()
        assert await town.debits() == [1600, 1600]
        assert (await privacy.erase(account, "admin", town.now_s)).done
        assert await is_forgotten(town)


async def test_not_while_money_is_on_its_way_back(database):
    async with bank_town(database) as town:
        privacy, account = await asked_to_be_forgotten(town)
        charge = (await town.account()).charges[0]
        town.acquirer.mood = Mood(down=True)
        await town.api.refund(
            account.removeprefix("bank:"), body=MoneyBack(charge.id, "sorry", 300), subject="d", idempotency_key=None
        )
        town.now_s += DAY_S
        await privacy.tidy(town.now_s, town.now_s)
        assert not await is_forgotten(town)
        town.acquirer.mood = Mood()
        await town.work()
        await privacy.tidy(town.now_s, town.now_s)
        assert await is_forgotten(town)
