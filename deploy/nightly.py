"""What is done once a day after the business day is over: it is settled, some time later, so that stragglers are in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import date

import structlog

from ticketing.errors import Problem
from ticketing.privacy import Privacy
from ticketing.settlement import Settlements

LOOK_EVERY_S = 300.0
AFTER_S = 7200.0  # validators that were away at midnight have come back by then, mostly
SUBJECT = "nightly"

log = structlog.get_logger("nightly")


@asynccontextmanager
async def nightly(
    settlements: Settlements, privacy: Privacy, clock: Callable[[], float] = time.time
) -> AsyncIterator[None]:
    """Look every few minutes whether a day has to be settled; after each that was, forget what may be forgotten."""
    task = asyncio.create_task(_run(Nights(settlements, privacy), clock), name="nightly")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def settle_due(settlements: Settlements, now_s: float) -> list[date]:
    """Settle the days that are over and have not been, also those before one that has; which those were.

    Raises:
        Problem: a day cannot be settled; those after it wait for it.
    """
    settled = []
    for day in await settlements.unsettled(settlements.last_day(now_s - AFTER_S)):
        made = await settlements.settle(day, SUBJECT, now_s)
        log.info("day_settled", day=made.day, version=made.version, hash=made.hash)
        settled.append(day)
    return settled


class Nights:
    """What is done each night, look by look: settled what is due, and once after that forgotten what may be.

    Which night has been tidied is known to the process alone: one that was killed in between leaves it to the next.
    """

    def __init__(self, settlements: Settlements, privacy: Privacy) -> None:
        self._settlements = settlements
        self._privacy = privacy
        self._tidied_s: float | None = None

    async def look(self, now_s: float) -> None:
        """Do what is left to do.

        Raises:
            Problem: a day cannot be settled, or the database is away; the next look goes on.
        """
        await settle_due(self._settlements, now_s)
        settled_s = await self._settlements.settled_until_s(now_s)
        if settled_s != self._tidied_s:
            gone = await self._privacy.tidy(now_s, settled_s)
            self._tidied_s = settled_s
            log.info("tidied", taps_forgotten=gone)


async def _run(nights: Nights, clock: Callable[[], float]) -> None:
    while True:
        try:
            await nights.look(clock())
        except Problem as problem:
            log.warning("not_settled", reason=problem.detail)
        except Exception:  # a fault of ours: the next look must come after it all the same
            log.exception("night_failed")
        await asyncio.sleep(LOOK_EVERY_S)
