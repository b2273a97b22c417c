"""A town that takes bank cards: judge, rating, charging and a real HTTP acquirer, stepped by a test at its own time."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from simulators.acquirer import Acquirer, open_acquirer
from sql import query
from sql.pool import open_pool
from tests.integration.ticket_city import issuer_keys
from ticketing.accounts import Accounts
from ticketing.bank import BankCards, RiskLimits
from ticketing.bank_api import BankAccount, BankApi, CardSearch, Standing
from ticketing.books import Books
from ticketing.charging import Charging
from ticketing.collecting import Collecting
from ticketing.editions import TariffSource, open_editions
from ticketing.operations import Operations
from ticketing.payment_http import HttpPayments
from ticketing.seams import Seams
from ticketing.service import Ticketing
from ticketing.verdict import Answer, Bank, Offline, Tap

TARIFFS = Path(__file__).parents[2] / "ticketing" / "tariffs"
KYIV = (TARIFFS / "kyiv.toml").read_text()
# The fare and cap of oysterfares.com bus-hopper-arriving (2016), charged as London does: once a day.
LONDON = """
version = 1
city = { uk = "Лондон", en = "London" }
currency = "GBP"
timezone = "Europe/London"
service_day_starts = "04:30"
[[media]]
id = "contactless"
type = "bank"
[[fare]]
id = "bus"
name = { uk = "Автобус", en = "Bus" }
price_minor = 150
[[cap]]
id = "day"
name = { uk = "Межа на день", en = "Daily cap" }
period = "day"
amount_minor = 450
[[debit]]
media = ["contactless"]
rhythm = "day"
"""
ZONES = {KYIV: "Europe/Kyiv", LONDON: "Europe/London"}


@dataclass
class BankTown:
    """Everything that there is, at the time `now_s`."""

    pool: Any
    zone: ZoneInfo
    acquirer: Acquirer
    service: Ticketing
    accounts: Accounts
    operations: Operations
    charging: Charging
    api: BankApi
    now_s: float = 0.0
    seq: dict[str, int] = field(default_factory=dict)

    def at(self, clock: str, day: str = "2026-03-04") -> None:
        """It is so late now."""
        self.now_s = datetime.fromisoformat(f"{day} {clock}").replace(tzinfo=self.zone).timestamp()

    def tap(self, token: str = "card-1", **fields: Any) -> Tap:
        device = fields.pop("device", "door")
        self.seq[device] = seq = self.seq.get(device, 0) + 1
        bank = Bank(fields.pop("par", None), fields.pop("oda", "passed"))
        offline = fields.pop("offline", None)
        given = {
            "id": str(uuid.uuid4()), "boot": "a1", "seq": seq, "ts": self.now_s, "vehicle": "7", "stop_id": None,
            "lat": None, "lon": None, "operator": "kpt", "received_s": self.now_s,
        } | fields  # fmt: skip
        return Tap(
            medium="bank", token=token, bank=bank, device=device, offline=Offline(offline) if offline else None, **given
        )

    async def judge(self, *taps: Tap) -> list[Answer]:
        return await self.service.validate(taps)

    async def ride(self, clock: str | None = None, token: str = "card-1", **fields: Any) -> tuple[str, str | None]:
        """One tap at a time of the day: verdict and reason."""
        if clock is not None:
            self.at(clock)
        (answer,) = await self.judge(self.tap(token, **fields))
        return answer.verdict.value, answer.reason

    async def work(self) -> None:
        """All that the workers do until nothing is left to do now."""
        while await self.accounts.rate_due():
            pass
        while await self.charging.once():
            pass

    async def account(self, token: str = "card-1") -> BankAccount:
        return await self.api.search(body=CardSearch(token))

    async def recover(self, account_id: str, key: str | None = None, subject: str = "") -> Standing:
        return await self.api.recover(account_id, subject=subject, idempotency_key=key)

    async def debits(self, token: str = "card-1") -> list[int]:
        """What the acquirer has taken from a card, charge by charge."""
        return [charge.amount_minor for charge in self.acquirer.charges(token)]

    async def value(self, statement: str, *arguments: Any) -> Any:
        return await self.pool.fetchval(statement, *arguments)

    async def check(self) -> None:
        """Whatever a test did, what was taken is what our books say was taken, and the ledger is even."""
        balances = {row["account"]: row["minor"] for row in await self.pool.fetch(query("ledger.balances"))}
        assert sum(balances.values()) == 0
        assert balances.get("acquirer", 0) == sum(self.acquirer.charged.values())
        debts = sum(minor for account, minor in balances.items() if account.startswith("bank_debt:"))
        states = await self.value("SELECT coalesce(sum(amount_minor), 0)::bigint FROM bank_charge WHERE state = 'debt'")
        assert debts == states
        keys = "SELECT count(*) FROM transfer GROUP BY payment_key HAVING payment_key IS NOT NULL AND count(*) > 1"
        assert await self.pool.fetch(keys) == []


@asynccontextmanager
async def bank_town(
    url: str,
    tariff: str = KYIV,
    limits: RiskLimits | None = None,
    *,
    passback_minutes: int = 0,
    acquirer: Acquirer | None = None,
) -> AsyncIterator[BankTown]:
    """A town on a migrated database."""
    pool = await open_pool(url)
    async with pool.acquire() as connection:
        editions = await open_editions(connection, TariffSource("tariff.toml", tariff))
    sold = editions.sold.tariff
    acquirer = acquirer or Acquirer("secret")

    def clock() -> float:
        return town.now_s

    bank = BankCards(sold.purse.fare_minor, passback_minutes, limits)
    service = Ticketing(pool, issuer_keys(), sold, seams=Seams(bank=bank), clock=clock)
    async with service, open_acquirer(acquirer), HttpPayments(acquirer.url, "secret", timeout_s=0.5) as payments:
        operations = Operations(service.store, payments, clock)
        collecting = Collecting(operations, sold.purse.fare_minor)
        charging = Charging(operations, collecting, editions)
        api = BankApi(Books(service.store), operations, collecting, sold.currency)
        accounts = Accounts(service.store, editions, clock)
        zone = ZoneInfo(ZONES.get(tariff, "Europe/Kyiv"))
        town = BankTown(pool, zone, acquirer, service, accounts, operations, charging, api)
        town.at("08:00")
        yield town
        await town.check()
    await pool.close()
