"""The charging worker as a process of its own, which kills itself at a chosen step."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from dataclasses import dataclass

from sql.pool import open_pool
from ticketing.charging import Charging
from ticketing.collecting import Collecting
from ticketing.editions import TariffSource, open_editions
from ticketing.operations import Operations
from ticketing.payment_http import HttpPayments
from ticketing.store import Store
from ticketing.topping_up import ToppingUp

STEPS = ("written", "taken", "answered", "settled")
"""A charge is written down, taken to be asked, answered by the acquirer, settled in the books."""


@dataclass(frozen=True)
class ChargingOptions:
    """Where everything is, what time it is, and at which step for the how many-th time it dies."""

    dsn: str
    acquirer_url: str
    tariff: str
    now_s: float
    die_at: str = ""
    die_after: int = 1


def run_charging(options: ChargingOptions, seconds: float = 120.0) -> int:
    """Charge until nothing is due; the process's exit code: 0, or -9 where it was killed."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.faults.charging_process"])
    process = context.Process(target=_main, args=(options,), daemon=True)
    process.start()
    process.join(seconds)
    if process.is_alive():
        process.kill()
        raise TimeoutError("the worker neither ended nor died")
    assert process.exitcode is not None
    return process.exitcode


def _main(options: ChargingOptions) -> None:
    asyncio.run(_charge(options))


async def _charge(options: ChargingOptions) -> None:
    left = options.die_after

    def fail_point(step: str) -> None:
        nonlocal left
        left -= step == options.die_at
        if step == options.die_at and left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    pool = await open_pool(options.dsn)
    async with pool.acquire() as connection:
        editions = await open_editions(connection, TariffSource("tariff.toml", options.tariff))
    async with HttpPayments(options.acquirer_url, "secret", timeout_s=0.5) as payments:
        operations = Operations(Store(pool), payments, lambda: options.now_s, fail_point=fail_point)
        worker = Charging(operations, Collecting(operations, 800), editions)
        top_ups = ToppingUp(operations, editions.sold.tariff)
        while await top_ups.once() or await worker.once():
            pass
    await pool.close()
