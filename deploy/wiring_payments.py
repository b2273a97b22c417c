"""Payments' own wiring: the acquirer, for whatever takes money."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import structlog

from deploy import metrics
from deploy.config import Settings
from deploy.errors import UserError
from deploy.limits import Rate, TokenBuckets

if TYPE_CHECKING:
    from deploy.grounds import Grounds
    from deploy.wiring_rating import Rating
    from ticketing.bank import BankCards
    from ticketing.collecting import Collecting
    from ticketing.operations import Operations
    from ticketing.payment import Payments
    from ticketing.purchases import Purchases
    from ticketing.service import Ticketing

PER_ADDRESS = Rate(per_s=2.0, burst=60)  # a whole town may come through one proxy
PER_CARD = Rate(per_s=1 / 30, burst=10)

log = structlog.get_logger("payments")


@asynccontextmanager
async def payments(grounds: Grounds, user: str) -> AsyncIterator[Payments | None]:
    """The acquirer's client for one user of it, whose name its numbers bear; None where no acquirer is set.

    Raises:
        UserError: the secret cannot be read, or others may read it.
    """
    from ticketing.payment_http import HttpPayments

    chosen = grounds.settings.payments
    if chosen.url is None:
        yield None
        return
    async with HttpPayments(chosen.url, read_secret(grounds.settings), timeout_s=chosen.timeout_s) as client:
        metrics.expose(grounds.registry, f"payments_{user}", lambda: client.counters)
        yield client


def read_secret(settings: Settings) -> str:
    """What goes with every request to the acquirer; empty where no file is set.

    Raises:
        UserError: names the file and the next step.
    """
    from ticketing.errors import KeyFileError
    from ticketing.private_files import read_private

    file = settings.payments.secret_file
    if file is None:
        return ""
    try:
        secret = read_private(file).decode("ascii").strip()
    except KeyFileError as error:
        raise UserError(str(error)) from None
    except UnicodeDecodeError:
        secret = ""
    if not secret or not secret.isprintable():
        raise UserError(f"{file}: holds no secret; write the acquirer's on one line")
    return secret


@asynccontextmanager
async def selling(grounds: Grounds, service: Ticketing) -> AsyncIterator[list[Any]]:
    """The APIs that take money, for the web server; without an acquirer they say that they are off."""
    from ticketing.auto_top_up_api import AutoTopUpApi
    from ticketing.bank_api import BankApi
    from ticketing.books import Books
    from ticketing.purchases import PurchaseApi

    per_address, per_card = TokenBuckets(PER_ADDRESS), TokenBuckets(PER_CARD)

    def may_ask(caller: str) -> float:
        return (per_card if caller.startswith("card ") else per_address).take(caller, time.monotonic())

    books, currency = Books(service.store), service.tariff.currency
    async with payments(grounds, "sale") as acquirer:
        if acquirer is None:
            off = AutoTopUpApi(books, None, service.tariff, may_ask)
            yield [PurchaseApi(None, may_ask), BankApi(books, None, None, currency), off]
            return
        till = _till(grounds, service, acquirer)
        metrics.expose(grounds.registry, "sale", lambda: till.operations.counters)
        bank = BankApi(books, till.operations, till.collecting, currency)
        top_ups = AutoTopUpApi(books, till.operations, service.tariff, may_ask)
        yield [PurchaseApi(till.purchases, may_ask), bank, top_ups]


def bank_judge(settings: Settings, rating: Rating) -> BankCards | None:
    """The judge of bank cards, which follows the tariff; None where nobody could charge them."""
    from ticketing.bank import BankCards, RiskLimits

    chosen = settings.payments
    if chosen.url is None:
        log.warning("bank cards and the online sale are off: payments.url is not set")
        return None
    elsewhere_kmh = settings.ticketing.elsewhere_kmh
    limits = RiskLimits(chosen.unpaid_minor_max, chosen.taps_per_hour_max, chosen.unverified_rides_max, elsewhere_kmh)
    purse = rating.tariff.purse
    judge = BankCards(purse.fare_minor, purse.passback_minutes, limits)
    rating.followers.append(lambda tariff: judge.use_purse(tariff.purse.fare_minor, tariff.purse.passback_minutes))
    return judge


@asynccontextmanager
async def charging(grounds: Grounds, service: Ticketing) -> AsyncIterator[None]:
    """The workers that charge bank cards and fill purses, and ask the acquirer again; nothing where none is set."""
    from ticketing.charging import Charging
    from ticketing.topping_up import ToppingUp

    rating = grounds.rating
    async with payments(grounds, "charging") as acquirer:
        if acquirer is None or rating is None:
            yield
            return
        till = _till(grounds, service, acquirer)
        worker = Charging(till.operations, till.collecting, rating.editions)
        metrics.expose(grounds.registry, "charging", lambda: worker.counters, worker.rounds.gauges)
        top_ups = ToppingUp(till.operations, service.tariff)
        metrics.expose(grounds.registry, "auto_top_up", lambda: top_ups.counters, top_ups.rounds.gauges)
        async with worker.rounds, top_ups.rounds:
            yield


class _Till(NamedTuple):
    """What asks the acquirer, and what books its answers."""

    operations: Operations
    purchases: Purchases
    collecting: Collecting


def _till(grounds: Grounds, service: Ticketing, acquirer: Payments) -> _Till:
    from ticketing.books import Books
    from ticketing.collecting import Collecting
    from ticketing.desk import Desk
    from ticketing.operations import Operations
    from ticketing.purchases import Purchases

    books = Books(service.store)
    desk = Desk(books, service.keys, service.tariff, service.settings, service.clock)
    operations = Operations(service.store, acquirer, service.clock, grounds.settings.payments.statement)
    purchases = Purchases(books, desk, operations)
    collecting = Collecting(operations, service.tariff.purse.fare_minor)
    if grounds.rating is not None:
        grounds.rating.followers.append(lambda tariff: collecting.use_fare(tariff.purse.fare_minor))
    return _Till(operations, purchases, collecting)
