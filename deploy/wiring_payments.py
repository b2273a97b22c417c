"""Payments' own wiring: the acquirer, for whatever takes money."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import structlog

from deploy import metrics
from deploy.config import Settings
from deploy.errors import UserError
from deploy.limits import Rate, TokenBuckets

if TYPE_CHECKING:
    from deploy.serving import Grounds
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
    from ticketing.purchases import PurchaseApi

    per_address, per_card = TokenBuckets(PER_ADDRESS), TokenBuckets(PER_CARD)

    def may_ask(caller: str) -> float:
        return (per_card if caller.startswith("card ") else per_address).take(caller, time.monotonic())

    async with payments(grounds, "sale") as acquirer:
        if acquirer is None:
            log.warning("bank cards and the online sale are off: payments.url is not set")
            yield [PurchaseApi(None, may_ask)]
            return
        operations, purchases = operations_of(grounds.settings, service, acquirer)
        metrics.expose(grounds.registry, "sale", lambda: operations.counters)
        yield [PurchaseApi(purchases, may_ask)]


def operations_of(settings: Settings, service: Ticketing, acquirer: Payments) -> tuple[Operations, Purchases]:
    """What asks the acquirer and books its answers."""
    from ticketing.books import Books
    from ticketing.desk import Desk
    from ticketing.operations import Operations
    from ticketing.purchases import Purchases

    books = Books(service.store)
    desk = Desk(books, service.keys, service.tariff, service.settings, service.clock)
    operations = Operations(service.store, acquirer, service.clock, settings.payments.statement)
    return operations, Purchases(books, desk, operations)
