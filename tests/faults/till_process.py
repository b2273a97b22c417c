"""The ticketing part behind its web server as a process of its own: everything that takes money, and its workers.

What its workers do in rounds is done when a request asks for it, as often as there is something left to do, so that a
test knows when nothing is under way.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import sys
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

import asyncpg
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from prometheus_client import CollectorRegistry

from deploy.auth import BearerGate, Tokens
from deploy.nightly import Nights
from deploy.serving import run
from deploy.web import Access, WebServer, WebSettings
from sql.pool import open_pool
from ticketing.accounts import Accounts
from ticketing.api import TicketingApi
from ticketing.auto_top_up_api import AutoTopUpApi
from ticketing.bank import BankCards, RiskLimits
from ticketing.bank_api import BankApi
from ticketing.books import Books
from ticketing.card import CardKeys
from ticketing.charging import Charging
from ticketing.collecting import Collecting
from ticketing.config import TicketingSettings
from ticketing.editions import TariffSource, open_editions
from ticketing.keys import load_issuer_keys
from ticketing.operations import Operations
from ticketing.payment_http import HttpPayments
from ticketing.penalties import Penalties
from ticketing.penalties_api import PenaltiesApi
from ticketing.pricing import DayPricing
from ticketing.privacy import Privacy
from ticketing.privacy_api import PrivacyApi
from ticketing.purchases import PurchaseApi, Purchases
from ticketing.receipts_api import ReceiptsApi
from ticketing.routes import Route
from ticketing.seams import Seams
from ticketing.service import Ticketing
from ticketing.settlement import Settlements
from ticketing.settlement_api import SettlementApi
from ticketing.store import AWAY, RETRIED, Store
from ticketing.topping_up import ToppingUp
from ticketing.trips_desk import TripsDesk

CARD_KEYS = CardKeys(1, bytes(range(16)), bytes(range(16, 32)))
START_S_MAX = 60.0
STATEMENT_S_MAX = 2.0
ACQUIRER_S_MAX = 0.5
FAILURES_MAX = 5


@dataclass(frozen=True)
class TillOptions:
    """Where everything is, what signs the tokens of its callers, and how far its clock is ahead."""

    dsn: str
    acquirer_url: str
    keys_dir: Path
    tariff: str
    token_key: bytes
    log: Path
    offset_s: float = 0.0


class TillProcess:
    """One such process, which answers at `port` once it is ready."""

    def __init__(self, options: TillOptions) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["tests.faults.till_process"])
        self._ours, theirs = context.Pipe()
        self.process = context.Process(target=_main, args=(options, theirs), daemon=True)
        self.process.start()
        theirs.close()
        self.options = options
        self.port = 0

    async def ready(self) -> None:
        """Returns once it answers."""
        try:
            self.port = await asyncio.wait_for(asyncio.to_thread(self._ours.recv), START_S_MAX)
        except EOFError:
            raise ChildProcessError(f"it did not start\n{self.options.log.read_text()[-3000:]}") from None

    async def kill(self) -> None:
        """kill -9, and wait for its end."""
        self.process.kill()
        await asyncio.to_thread(self.process.join, 30)
        self._ours.close()


class WorkOrder(msgspec.Struct):
    """Work for the workers, with the clock so far ahead."""

    offset_s: float
    what: Literal["money", "night"] = "money"


class WorkApi:
    """The workers at a request, until nothing is left to do."""

    def __init__(self, clock: list[float], rounds: tuple[Any, ...], nights: Nights) -> None:
        self._clock = clock
        self._rounds = rounds
        self._nights = nights
        self._failures = 0

    def routes(self) -> list[Route]:
        """The one operation, which the product does not have."""
        return [Route("POST", "/work", "settlements:make", self.work)]

    async def work(self, *, body: WorkOrder) -> dict[str, int]:
        """Do all that is due."""
        self._clock[0] = body.offset_s
        if body.what == "night":
            await self._nights.look(time.time() + body.offset_s)
            return {"done": 1}
        done, self._failures = 0, 0
        while some := sum([await self._round(once) for once in self._rounds]):
            done += some
        return {"done": done}

    async def _round(self, once: Any) -> int:
        """As ticketing.rounds does it, but at once; a worker that fails again and again is told of."""
        try:
            return int(await once())
        except (*RETRIED, *AWAY, asyncpg.PostgresError):
            self._failures += 1
            if self._failures > FAILURES_MAX:
                raise
            return 1


def _main(options: TillOptions, pipe: Connection) -> None:
    with options.log.open("a") as log:
        os.dup2(log.fileno(), sys.stdout.fileno())
        os.dup2(log.fileno(), sys.stderr.fileno())
    logging.basicConfig(level=logging.INFO)
    run(_serve(options, pipe))


async def _serve(options: TillOptions, pipe: Connection) -> None:
    ahead = [options.offset_s]

    def clock() -> float:
        return time.time() + ahead[0]

    settings = TicketingSettings(statement_s_max=STATEMENT_S_MAX, workers=1)
    pool = await open_pool(options.dsn, size_min=1, size_max=4, command_timeout_s=STATEMENT_S_MAX)
    async with pool.acquire() as connection:
        editions = await open_editions(connection, TariffSource("town.toml", options.tariff))
    tariff = editions.sold.tariff
    seams = Seams(DayPricing(Store(pool), editions), BankCards(tariff.purse.fare_minor, 0, RiskLimits()))
    keys = load_issuer_keys(options.keys_dir, "takt")
    tokens = Tokens(Ed25519PrivateKey.from_private_bytes(options.token_key), "takt:till")
    async with (
        HttpPayments(options.acquirer_url, "secret", timeout_s=ACQUIRER_S_MAX) as payments,
        Ticketing(pool, keys, tariff, settings, card_keys=(CARD_KEYS,), seams=seams, clock=clock) as service,
    ):
        apis = _apis(service, editions, payments, ahead)
        web = WebSettings(port=0, per_subject=None, per_address=None, pages=False)
        async with WebServer(apis, web, Access(BearerGate(tokens, time.time)), CollectorRegistry()) as server:
            pipe.send(server.port)
            await asyncio.Event().wait()


def _apis(service: Ticketing, editions: Any, payments: HttpPayments, ahead: list[float]) -> list[Any]:
    tariff, clock, books = service.tariff, service.clock, Books(service.store)
    tickets = TicketingApi(service)
    operations = Operations(service.store, payments, clock)
    purchases = Purchases(books, tickets.desk, operations)
    collecting = Collecting(operations, tariff.purse.fare_minor)
    accounts = Accounts(service.store, editions, clock)
    charging, topping_up = Charging(operations, collecting, editions), ToppingUp(operations, tariff)
    settlements, privacy = Settlements(books, tariff), Privacy(books, 120)
    trips = TripsDesk(books, tickets.desk.sales, tariff, clock)
    return [
        tickets,
        PurchaseApi(purchases, lambda _: 0.0),
        BankApi(books, operations, collecting, tariff.currency),
        AutoTopUpApi(books, operations, tariff, lambda _: 0.0),
        PenaltiesApi(Penalties(books, tariff, clock)),
        ReceiptsApi(service.store, editions, accounts, trips, lambda: service.readers, clock),
        SettlementApi(settlements),
        PrivacyApi(privacy, settlements, clock),
        WorkApi(ahead, (accounts.rate_due, charging.once, topping_up.once), Nights(settlements, privacy)),
    ]
