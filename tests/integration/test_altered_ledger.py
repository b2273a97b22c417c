"""Lines of the ledger that somebody altered in the database: the doctor names them."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import msgspec

from deploy.config import Settings
from deploy.doctor.books import check_books
from deploy.doctor.patient import Patient
from tests.integration.bank_town import bank_town
from ticketing.api import TicketingApi
from ticketing.books import Books
from ticketing.penalties import Penalties


async def test_a_sale_or_a_penalty_of_another_amount_is_named(database: str) -> None:
    async def ledger() -> list[tuple[str, str]]:
        found = await asyncio.to_thread(check_books, Patient(Settings(database_url=database)))
        return [(one.state, one.detail) for one in found if one.check == "ledger"]

    async with bank_town(database) as town:
        await TicketingApi(town.service).desk.sell("qr_single", subject="desk1")
        tariff = town.service.tariff
        everywhere = tuple(msgspec.structs.replace(one, networks=()) for one in tariff.penalties)
        penalties = Penalties(Books(town.service.store), replace(tariff, penalties=everywhere))
        await penalties.issue("metro", "no ticket", vehicle=None, route_id=None, subject="controller")
        assert [state for state, _ in await ledger()] == ["ok"]
        await town.pool.execute("ALTER TABLE transfer DISABLE TRIGGER USER")
        await town.pool.execute("UPDATE transfer SET amount_minor = amount_minor + 1 WHERE kind IN ('sale', 'penalty')")
        altered = await ledger()
    assert [state for state, _ in altered] == ["fail", "fail"]
    assert "(sale) is of 801 and what it is for of 800" in altered[0][1]
    assert "(penalty) is of 16001 and what it is for of 16000" in altered[1][1]
