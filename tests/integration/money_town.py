"""A town in which money moves in every way that there is, a bank that errs, and a log of what was asked and told."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from msgspec.structs import replace

from sql import query
from sql.pool import open_pool
from tests.integration.rated_city import KEYS, issuer_keys
from ticketing.accounts import Accounts
from ticketing.api import TicketingApi
from ticketing.auto_top_up_api import AutoTopUpApi, AutoTopUpTerms
from ticketing.bank import BankCards, RiskLimits
from ticketing.bank_api import BankApi, CardSearch, MoneyBack
from ticketing.books import Books
from ticketing.card import sun_message
from ticketing.charging import Charging
from ticketing.collecting import Collecting
from ticketing.editions import Editions, TariffSource, open_editions
from ticketing.errors import Problem
from ticketing.money import Money
from ticketing.operations import Operations
from ticketing.payment import Approved, Declined, Outcome, Unknown
from ticketing.penalties import Penalties
from ticketing.pricing import DayPricing
from ticketing.purchases import Method, PurchaseApi, PurchaseOrder, Purchases
from ticketing.receipts_api import ReceiptsApi
from ticketing.refund_booking import Refunding
from ticketing.sales import SoldTicket
from ticketing.seams import Seams
from ticketing.service import Ticketing
from ticketing.settlement import Settlements
from ticketing.store import RETRIED, Store
from ticketing.topping_up import ToppingUp
from ticketing.trips_desk import TripsDesk
from ticketing.verdict import Answer, Bank, Offline, Tap

FARE, CAP, TEN, MONTH, SINGLE, GROUP, FINE = 90, 300, 800, 5000, 90, 300, 4000
PRICES = {"ten": TEN, "month": MONTH, "single": SINGLE, "group": GROUP}
RIDES = {"ten": 10, "single": 1, "group": 4}
FLAT = f"""
version = 1
city = {{ uk = "Місто", en = "City" }}
currency = "UAH"
timezone = "Europe/Kyiv"
service_day_starts = "04:30"
[[network]]
id = "bus"
name = {{ uk = "Автобус", en = "Bus" }}
operators = ["*"]
[[media]]
id = "card"
type = "card"
[[media]]
id = "contactless"
type = "bank"
[[fare]]
id = "ride"
name = {{ uk = "Поїздка", en = "Ride" }}
price_minor = {FARE}
[[product]]
id = "ten"
name = {{ uk = "Десять", en = "Ten rides" }}
price_minor = {TEN}
valid = {{ days = 30 }}
rides = 10
[[product]]
id = "month"
name = {{ uk = "Місяць", en = "Month" }}
price_minor = {MONTH}
valid = {{ days = 30 }}
[[product]]
id = "single"
name = {{ uk = "Разовий", en = "Single" }}
price_minor = {SINGLE}
valid = {{ days = 15 }}
rides = 1
[[product]]
id = "group"
name = {{ uk = "Група", en = "Group" }}
price_minor = {GROUP}
valid = {{ days = 15 }}
rides = 4
riders = 5
[[penalty]]
id = "fine"
name = {{ uk = "Штраф", en = "Fine" }}
price_minor = {FINE}
[[debit]]
media = ["contactless"]
rhythm = "pair"
odd_at = "21:07"
wait_from = "22:00"
[refund]
days = 14
used = "rest"
[top_up]
min_minor = 100
max_minor = 2000
balance_max_minor = 5000
"""
CAPPED = f"""{FLAT}
[[cap]]
id = "day"
name = {{ uk = "Межа на день", en = "Daily cap" }}
period = "day"
amount_minor = {CAP}
"""
CARDS = [bytes.fromhex(f"04de5f1eacc0{number:02x}") for number in range(64, 67)]
BANK_CARDS = ["visa-a", "visa-b", "visa-c"]


class ErringBank:
    """An acquirer that keeps its one promise (one key is one operation) and breaks all others when it feels like it."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._said: dict[str, Outcome] = {}
        self.taken_minor = 0
        self.errs = True

    async def verify(self, token: str, idempotency: str) -> Outcome:
        return await self._answer(idempotency, Approved(f"v-{len(self._said)}"), 0)

    async def charge(self, token: str, amount: Money, idempotency: str, reference: str) -> Outcome:
        return await self._answer(idempotency, Approved(f"ch-{len(self._said)}"), amount.minor)

    async def refund(self, charge_id: str, amount: Money, idempotency: str) -> Outcome:
        return await self._answer(idempotency, Approved(f"re-{len(self._said)}"), -amount.minor)

    async def _answer(self, key: str, good: Outcome, minor: int) -> Outcome:
        await asyncio.sleep(0)
        if self.errs and self._rng.random() < 0.15:
            return Unknown("the question was lost")
        if key not in self._said:
            declined = self.errs and minor > 0 and self._rng.random() < 0.25
            self._said[key] = Declined("insufficient_funds") if declined else good
            if not declined:
                self.taken_minor += minor
        await asyncio.sleep(self._rng.choice((0, 0, 0.002)))
        if self.errs and self._rng.random() < 0.15:
            return Unknown("the answer was lost")
        return self._said[key]


@dataclass
class MoneyTown:
    """Everything that moves money; `taps` and `told` are what devices sent and heard, `cash` what lies in drawers."""

    rng: random.Random
    pool: Any
    bank: ErringBank
    editions: Editions
    service: Ticketing
    api: TicketingApi
    accounts: Accounts
    operations: Operations
    charging: Charging
    topping_up: ToppingUp
    auto: AutoTopUpApi
    bank_api: BankApi
    sale: PurchaseApi
    penalties: Penalties
    receipts: ReceiptsApi
    settlements: Settlements
    flat: bool
    offset_s: float = 0.0
    taps: dict[str, Tap] = field(default_factory=dict)
    told: dict[str, Answer] = field(default_factory=dict)
    sold: list[SoldTicket] = field(default_factory=list)
    on_card: dict[str, bytes] = field(default_factory=dict)
    refunded: dict[str, int] = field(default_factory=dict)
    put: Counter[bytes] = field(default_factory=Counter)
    cash: Counter[str] = field(default_factory=Counter)
    fines: list[str] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)
    counters: defaultdict[bytes, int] = field(default_factory=lambda: defaultdict(int))
    number: int = 0

    def now(self) -> float:
        return time.time() + self.offset_s

    # --- what people and devices do: one method each, chosen at random -----------------------------------------------

    def tap(self, medium: str, token: str, *, offline: bool) -> Tap:
        """A tap now, or one that a validator has decided alone some time ago."""
        self.number += 1
        age_s = self.rng.choice((0.0, 0.5, 60.0, 3600.0, 9 * 3600.0, 30 * 3600.0)) if offline else 0.0
        ts = round(self.now() - age_s, 3)
        bank = Bank(None, "passed") if medium == "bank" else None
        said = Offline("accepted", 1) if offline else None
        tap = Tap(
            str(uuid.UUID(int=self.rng.getrandbits(128), version=4)), "a1", self.number, ts, medium, token, bank,
            f"v{self.number}", None, None, None, said, self.rng.choice(("bus", "tram")), f"door{self.number % 3}",
            self.now(),
        )  # fmt: skip
        self.taps[tap.id] = tap
        return tap

    async def judge(self, *taps: Tap) -> None:
        for tap, answer in zip(taps, await self.service.validate(taps), strict=True):
            if answer.verdict != "unavailable":
                before = self.told.setdefault(tap.id, answer)
                assert (before.verdict, before.charged_minor) == (answer.verdict, answer.charged_minor), tap

    async def ride_by_card(self) -> None:
        uid = self.rng.choice(CARDS)
        taps = []
        for _ in range(self.rng.choice((1, 1, 1, 3))):
            self.counters[uid] += 1
            token = sun_message(KEYS, uid, self.counters[uid], b"12345678")
            taps.append(self.tap("card", token, offline=self.rng.random() < 0.5))
        await self.judge(*taps)

    async def ride_by_bank(self) -> None:
        await self.judge(self.tap("bank", self.rng.choice(BANK_CARDS), offline=self.rng.random() < 0.4))

    async def ride_by_code(self) -> None:
        tokens = [ticket.token for ticket in self.sold if ticket.token]
        if tokens:
            await self.judge(self.tap("qr", self.rng.choice(tokens), offline=self.rng.random() < 0.4))

    async def send_again(self) -> None:
        """A tap whose answer was lost; where it was refused, the rider may have been let in meanwhile."""
        if not self.taps:
            return
        tap = self.rng.choice(list(self.taps.values()))
        if tap.offline is None and self.rng.random() < 0.3 and self.told.get(tap.id) and tap.medium == "card":
            tap = self.taps[tap.id] = replace(tap, offline=Offline("accepted", 1))
        again = replace(tap, received_s=self.now())
        await asyncio.gather(self.judge(again), self.judge(again)) if self.rng.random() < 0.5 else await self.judge(
            again
        )

    async def top_up(self) -> None:
        uid, minor, key = self.rng.choice(CARDS), self.rng.choice((50, 100, 270, 900, 2000, 2001)), self.key()
        asked = [self.api.cards.top_up(uid.hex(), minor, subject="desk1", idempotency_key=key) for _ in range(2)]
        if await self.done("top_up", *asked):
            self.put[uid] += minor
            self.cash["cash"] += minor

    async def sell(self) -> None:
        product = self.rng.choice(tuple(PRICES))
        uid = self.rng.choice(CARDS) if product in ("ten", "month") and self.rng.random() < 0.7 else None
        start_s = self.now() - self.rng.choice((0, 3600, 20 * 3600))
        card, key = uid.hex() if uid else None, self.key()
        asked = [
            self.api.desk.sell(product, subject="desk1", valid_from=start_s, card_uid=card, idempotency_key=key)
            for _ in range(self.rng.choice((1, 2)))
        ]
        tickets = await self.done("sell", *asked)
        if tickets:
            self.sold.append(tickets[0])
            self.cash["cash"] += PRICES[product]
            if uid:
                self.on_card[tickets[0].id] = uid

    async def buy_online(self) -> None:
        body = PurchaseOrder("ten", Method(self.rng.choice(BANK_CARDS)))
        shop, key = SimpleNamespace(remote="192.0.2.7"), self.key()
        await self.done("buy", *(self.sale.buy(body=body, request=shop, idempotency_key=key) for _ in range(2)))

    async def give_back(self) -> None:
        """A ticket given back, by two desks at once now and then."""
        if not self.sold:
            return
        ticket = self.rng.choice(self.sold)
        wanted = Refunding("moved", override=self.rng.random() < 0.2)
        desks = ("desk1", "desk2")[: self.rng.choice((1, 2))]
        tickets = await self.done("refund", *(self.api.desk.refund(ticket.id, wanted, subject=one) for one in desks))
        assert len(tickets) <= 1
        for one in tickets:
            assert ticket.id not in self.refunded
            assert 0 < (one.refunded_minor or 0) <= one.price_minor
            self.refunded[ticket.id] = one.refunded_minor
            self.cash["cash"] -= one.refunded_minor

    async def lose_and_find(self) -> None:
        uid, found = self.rng.choice(CARDS), self.rng.random() < 0.7
        await self.api.cards.block(uid.hex(), "lost", subject="desk1", removed=found)

    async def agree(self) -> None:
        terms = AutoTopUpTerms(self.rng.choice(BANK_CARDS), 150, 700)
        await self.done(
            "agree", self.auto.set(self.rng.choice(CARDS).hex(), body=terms, subject="d", idempotency_key=None)
        )

    async def fine(self) -> None:
        if self.fines and self.rng.random() < 0.7:
            reference = self.rng.choice(self.fines)
            asked = [self.penalties.pay(reference, subject=one) for one in ("desk1", "desk2")]
            asked.append(self.penalties.cancel(reference, "mistake", subject="desk1"))
            self.rng.shuffle(asked)
            for done in await self.done("fine", *asked[:2], *asked[2:]):
                self.cash[f"{done.state} {reference}"] = FINE
        else:
            issued = await self.penalties.issue("bus", "no ticket", vehicle="v1", route_id=None, subject="inspector1")
            self.fines.append(issued.reference)

    async def bank_desk(self) -> None:
        """A cashier gives something of a charge back, or the rider wants his debt asked for."""
        try:
            account = await self.bank_api.search(body=CardSearch(self.rng.choice(BANK_CARDS)))
        except Problem:
            return
        paid = [charge for charge in account.charges if charge.amount_minor > 0]
        if paid and self.rng.random() < 0.5:
            body = MoneyBack(self.rng.choice(paid).id, "sorry", self.rng.choice((None, 30, 200)))
            asked = [self.bank_api.refund(account.id, body=body, subject="d", idempotency_key=None) for _ in range(2)]
            await self.done("bank_refund", *asked)
        else:
            await self.done("recover", self.bank_api.recover(account.id, subject="", idempotency_key=None))

    async def work(self) -> None:
        """Rounds of workers of several processes at once."""
        work = [self.accounts.rate_due, self.charging.once, self.topping_up.once]
        await asyncio.gather(*(self.round(self.rng.choice(work)) for _ in range(3)))

    async def round(self, once: Any) -> int:
        try:
            return int(await once())
        except RETRIED:
            return 1

    async def done(self, what: str, *asked: Any) -> list[Any]:
        """What was done of what was asked at once; a refusal in words is counted, and anything else is a fault."""
        found = []
        for answer in await asyncio.gather(*asked, return_exceptions=True):
            if isinstance(answer, Problem) and (answer.status < 500 or answer.title == "Acquirer away"):
                self.refusals[f"{what} {answer.status}"] += 1
            elif isinstance(answer, BaseException):
                raise answer
            else:
                found.append(answer)
        return found

    def key(self) -> str:
        return f"key-{self.rng.getrandbits(64):x}"

    # --- the end ------------------------------------------------------------------------------------------------------

    async def live(self, steps: int) -> None:
        """So many steps, some of them at once."""
        deeds = [self.ride_by_card] * 7 + [self.ride_by_bank] * 4 + [self.ride_by_code] * 4 + [self.work] * 5
        deeds += [self.send_again, self.top_up, self.sell, self.give_back] * 2 + [self.buy_online, self.fine]
        deeds += [self.lose_and_find, self.agree, self.bank_desk]
        while steps > 0:
            at_once = self.rng.choice((1, 1, 2, 4, 8))
            await asyncio.gather(*(self.rng.choice(deeds)() for _ in range(at_once)))
            steps -= at_once

    async def come_to_rest(self) -> None:
        """Every tap has its answer, the bank is well again, and nothing is left to do for the workers for two days."""
        self.bank.errs = False
        await self.judge(
            *(replace(tap, received_s=self.now()) for tap in self.taps.values() if tap.id not in self.told)
        )
        assert self.told.keys() == self.taps.keys()
        for _ in range(12):
            self.offset_s += 4 * 3600
            for once in (self.accounts.rate_due, self.charging.once, self.topping_up.once):
                while await self.round(once):
                    pass
        assert (
            await self.pool.fetchval("SELECT count(*) FROM payment WHERE state <> 'approved' AND state <> 'declined'")
            == 0
        )
        assert await self.pool.fetchval("SELECT count(*) FROM tap WHERE rating_due") == 0

    async def balances(self) -> Counter[str]:
        """The ledger's accounts by class."""
        found: Counter[str] = Counter()
        for row in await self.pool.fetch(query("ledger.balances")):
            found[row["account"].partition(":")[0]] += row["minor"]
        return found


@asynccontextmanager
async def money_town(url: str, seed: int, *, flat: bool) -> AsyncIterator[MoneyTown]:
    """A town on a migrated database, with empty cards."""
    rng = random.Random(seed)
    pool = await open_pool(url)
    try:
        store, bank = Store(pool), ErringBank(rng)
        async with store.connection() as connection:
            editions = await open_editions(connection, TariffSource("town.toml", FLAT if flat else CAPPED))
        sold, pricing = editions.sold.tariff, DayPricing(store, editions)

        def clock() -> float:
            return town.now()

        limits = RiskLimits(unpaid_minor_max=10**9, taps_per_hour_max=10**6, unverified_rides_max=10**6)
        judge = BankCards(sold.purse.fare_minor, 0, limits)
        service = Ticketing(pool, issuer_keys(), sold, card_keys=(KEYS,), seams=Seams(pricing, judge), clock=clock)
        async with service:
            books, api = Books(store), TicketingApi(service)
            operations = Operations(store, bank, clock)
            collecting = Collecting(operations, sold.purse.fare_minor)
            accounts = Accounts(store, editions, clock, batch_max=2)
            trips = TripsDesk(books, api.desk.sales, sold, clock)
            town = MoneyTown(
                rng, pool, bank, editions, service, api, accounts, operations,
                Charging(operations, collecting, editions), ToppingUp(operations, sold),
                AutoTopUpApi(books, operations, sold, lambda _: 0.0), BankApi(books, operations, collecting, "UAH"),
                PurchaseApi(Purchases(books, api.desk, operations), lambda _: 0.0), Penalties(books, sold, clock),
                ReceiptsApi(store, editions, accounts, trips, lambda: service.readers, clock),
                Settlements(books, sold), pricing.flat,
            )  # fmt: skip
            assert pricing.flat == flat
            await api.cards.enrol([uid.hex() for uid in CARDS], KEYS, subject="admin")
            yield town
    finally:
        pool.terminate()
