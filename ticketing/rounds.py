"""Rounds: what a worker does over PostgreSQL again and again, whatever the database or a fault of ours does to one.

A round that had its hands full is followed by the next at once, any other after a pause, which doubles with every
failure in a row. Now and then, after a round, the worker's figures are read for whoever shows them.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

import asyncpg

from ticketing.store import AWAY, RETRIED

IDLE_S = 1.0
BACK_OFF_S_MAX = 30.0
GAUGE_S = 5.0


def pause_s(idle_s: float, failures: int) -> float:
    """How long to wait after so many failures in a row."""
    return min(BACK_OFF_S_MAX, idle_s * 2.0 ** min(failures, 8))


class Rounds:
    """`async with Rounds(...)`: rounds are made until it is left; the one under way is broken off then.

    `once` is a round, and says how much there was to do; `full` is the most that one takes on. `counters` gets what a
    round may end with: "retried" (met another process), "failures" (of the database), "faults" (of ours).
    """

    def __init__(
        self,
        name: str,
        once: Callable[[], Awaitable[int]],
        figures: Callable[[], Awaitable[dict[str, float]]],
        counters: Counter[str],
        *,
        full: int,
        idle_s: float = IDLE_S,
    ) -> None:
        self._name = name
        self._once = once
        self._read = figures
        self._counters = counters
        self._full = full
        self._idle_s = idle_s
        self._figures: dict[str, float] = {}
        self._read_again_at_s = 0.0
        self._failures = 0
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._work(), name=self._name)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def gauges(self) -> dict[str, float]:
        """The figures as they were last read, every GAUGE_S; none before the first round."""
        return dict(self._figures)

    async def _work(self) -> None:
        while True:
            busy = await self._round()
            await asyncio.sleep(0.0 if busy >= self._full else pause_s(self._idle_s, self._failures))

    async def _round(self) -> int:
        """One round and its figures; how much there was, 0 where it came to nothing."""
        try:
            busy = await self._once()
            await self._measure()
        except RETRIED:
            self._counters["retried"] += 1
            return 0
        except (asyncpg.PostgresError, *AWAY):
            self._counters["failures"] += 1
            self._failures += 1
            return 0
        except Exception:  # a fault of ours: the next round must come after it all the same
            self._counters["faults"] += 1
            self._failures += 1
            return 0
        self._failures = 0
        return busy

    async def _measure(self) -> None:
        now_s = time.monotonic()
        if now_s >= self._read_again_at_s:
            self._read_again_at_s = now_s + GAUGE_S
            self._figures = await self._read()
