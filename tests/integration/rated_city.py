"""A city with a tariff that depends on the day, its worker and its purses, on a real PostgreSQL and at any hour."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sql import query
from sql.pool import open_pool
from tests.integration.ticket_city import issuer_keys
from ticketing.account_rows import rating_of
from ticketing.accounts import Accounts
from ticketing.api import TicketingApi
from ticketing.card import CardKeys, sun_message
from ticketing.editions import Editions, TariffSource, open_editions
from ticketing.pricing import DayPricing
from ticketing.rated import DayRating
from ticketing.seams import Seams
from ticketing.service import Ticketing
from ticketing.store import Store
from ticketing.verdict import Answer, Offline, Tap

TARIFFS = Path(__file__).parents[2] / "ticketing" / "tariffs"
UID = bytes.fromhex("04de5f1eacc040")
OTHER = bytes.fromhex("04de5f1eacc041")
KEYS = CardKeys(1, bytes(range(16)), bytes(range(16, 32)))
DAY = "2026-03-04"


@dataclass
class RatedCity:
    """The judge with prices, the worker (asked by hand: `settle`), the desk, and a clock that tests set."""

    url: str
    pool: Any
    editions: Editions
    service: Ticketing
    api: TicketingApi
    pricing: DayPricing
    accounts: Accounts
    clock: Counter[str]
    now_s: float = 0.0
    counters: Counter[bytes] = field(default_factory=Counter)

    def at(self, clock: str, day: str = DAY) -> float:
        """An instant by the city's clock."""
        zone = self.editions.current.tariff.zone
        return datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=zone).timestamp()

    def tap(self, at_s: float, uid: bytes = UID, *, late_s: float | None = None, **fields: Any) -> Tap:
        """A genuine message of a card at an instant; late_s: decided offline and told so much later."""
        self.counters[uid] += 1
        token = sun_message(KEYS, uid, self.counters[uid], b"12345678")
        received_s = at_s if late_s is None else at_s + late_s
        self.clock["seq"] += 1
        given = {
            "id": str(uuid.uuid4()),
            "boot": "a1",
            "seq": self.clock["seq"],
            "ts": at_s,
            "bank": None,
            "vehicle": f"v{self.clock['seq']}",
            "stop_id": None,
            "lat": None,
            "lon": None,
            "offline": None if late_s is None else Offline("accepted", 1),
            "operator": "bus",
            "device": "door",
            "received_s": received_s,
        } | fields
        return Tap(medium="card", token=token, **given)

    async def ride(self, clock: str, day: str = DAY, **fields: Any) -> Answer:
        """One tap, judged."""
        return (await self.judge(self.tap(self.at(clock, day), **fields)))[0]

    async def judge(self, *taps: Tap) -> list[Answer]:
        """Taps of one batch, judged; the city's clock goes on to the last of them."""
        self.now_s = max(self.now_s, *(tap.received_s for tap in taps))
        return await self.service.validate(taps)

    async def settle(self, after_s: float = 0.0) -> None:
        """All that is due is rated."""
        self.now_s += after_s
        while await self.accounts.rate_due():
            pass

    async def day(self, day: str = DAY, uid: bytes = UID) -> DayRating:
        """The stored rating of a card's day."""
        text = await self.pool.fetchval(
            "SELECT rating FROM day_rating WHERE account = $1 AND service_date = $2::text::date",
            f"card:{uid.hex()}", day,
        )  # fmt: skip
        assert text is not None, f"no rating of {day}"
        return rating_of(text)

    async def charges(self, day: str = DAY, uid: bytes = UID) -> list[int]:
        return [line.charge_minor for line in (await self.day(day, uid)).lines]

    async def balance(self, uid: bytes = UID) -> int:
        return int(await self.pool.fetchval("SELECT balance_minor FROM card WHERE uid = $1", uid))

    async def debt(self, uid: bytes = UID) -> int:
        return int(await self.pool.fetchval("SELECT debt_minor FROM card WHERE uid = $1", uid))

    async def check(self) -> None:
        """Whatever a test did: the ledger sums to zero, purses and debts are their transfers, charges the ratings."""
        assert await self.pool.fetch(query("cards.purse_differences")) == []
        assert await self.pool.fetch(query("rating.debt_differences")) == []
        assert sum(row["minor"] for row in await self.pool.fetch(query("ledger.balances"))) == 0
        assert await self.pool.fetchval("SELECT count(*) FROM ticket WHERE uses > uses_allowed") == 0
        if not await self.pool.fetchval("SELECT count(*) FROM tap WHERE rating_due"):
            fares = await self.pool.fetchval(
                "SELECT coalesce(sum(CASE WHEN credit = 'fares' THEN amount_minor ELSE -amount_minor END), 0)"
                " FROM transfer WHERE 'fares' IN (debit, credit)"
            )
            rated = await self.pool.fetchval("SELECT coalesce(sum(total_minor), 0) FROM day_rating")
            assert self.pricing.flat or fares == rated, (fares, rated)


@asynccontextmanager
async def rated_city(
    url: str, tariff: str | TariffSource, *, money: int = 0, file: str = "city.toml"
) -> AsyncIterator[RatedCity]:
    """A city under a tariff (its text, or with a feed's fares), with two cards that hold so much money."""
    source = TariffSource(file, tariff) if isinstance(tariff, str) else tariff
    pool = await open_pool(url)
    clock: Counter[str] = Counter()
    try:
        store = Store(pool)
        async with store.connection() as connection:
            editions = await open_editions(connection, source)
        pricing = DayPricing(store, editions)
        accounts = Accounts(store, editions, lambda: city.now_s, batch_max=8)
        service = Ticketing(
            pool,
            issuer_keys(),
            editions.sold.tariff,
            card_keys=(KEYS,),
            seams=Seams(pricing),
            clock=lambda: city.now_s,
        )
        async with service:
            city = RatedCity(url, pool, editions, service, TicketingApi(service), pricing, accounts, clock)
            city.now_s = city.at("12:00") - timedelta(days=2).total_seconds()
            await city.api.cards.enrol([UID.hex(), OTHER.hex()], KEYS, subject="admin")
            for uid in (UID, OTHER) if money else ():
                await city.api.cards.top_up(uid.hex(), money, subject="desk1")
            yield city
            await city.check()
    finally:
        pool.terminate()


def shipped(name: str) -> str:
    """The text of a shipped city's tariff."""
    return (TARIFFS / f"{name}.toml").read_text(encoding="utf-8")
