"""An embedded server that is started again when it dies: nobody else would do it for PostgreSQL and the broker.

It comes back at the same address, so everything that talks to it reconnects by itself and loses nothing but time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Generic, TypeVar

import structlog

T = TypeVar("T")

DEATHS_MAX = 5  # in a row, each within HEALTHY_S of its start
HEALTHY_S = 60.0
BACKOFF_S = (0.1, 0.5, 1.0, 2.0, 5.0)

log = structlog.get_logger("embedded")


class Supervised(Generic[T]):
    """Entering means that the server runs for the first time; leaving means that it has stopped.

    `enter(last, on_died)` makes the server's context anew: `last` is what it gave before (its ports), None at first.
    `failed` hears when it does not stay up.
    """

    def __init__(
        self,
        name: str,
        enter: Callable[[T | None, Callable[[str], None]], AbstractAsyncContextManager[T]],
        failed: Callable[[BaseException], None],
    ) -> None:
        self.name = name
        self.deaths = 0
        self.down_reason: str | None = f"{name} is starting"
        self._enter = enter
        self._failed = failed
        self._stopping = asyncio.Event()

    async def __aenter__(self) -> T:
        """Start it.

        Raises:
            Exception: what the server's own context raised at its first start.
        """
        self._first: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._supervise(), name=f"supervise {self.name}")
        return await asyncio.shield(self._first)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it for good."""
        self._stopping.set()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _supervise(self) -> None:
        last: T | None = None
        in_a_row = 0
        while not self._stopping.is_set():
            began = asyncio.get_running_loop().time()
            try:
                last = await self._live(last)
            except Exception as error:
                if not self._first.done():
                    self._first.set_exception(error)
                    return
                log.exception("server_not_started", server=self.name)
            if self._stopping.is_set():
                return
            in_a_row = 1 if asyncio.get_running_loop().time() - began > HEALTHY_S else in_a_row + 1
            if in_a_row > DEATHS_MAX:
                self._failed(RuntimeError(f"{self.name} ended {in_a_row} times in a row: {self.down_reason}"))
                return
            await asyncio.sleep(BACKOFF_S[min(in_a_row, len(BACKOFF_S)) - 1])

    async def _live(self, last: T | None) -> T:
        """One life of the server, from its start to its death or to our stop."""
        died = asyncio.Event()

        def on_died(sentence: str) -> None:
            self.deaths += 1
            self.down_reason = sentence
            log.error("server_died", server=self.name, reason=sentence)
            died.set()

        async with self._enter(last, on_died) as server:
            self.down_reason = None
            if not self._first.done():
                self._first.set_result(server)
            waits = [asyncio.create_task(event.wait()) for event in (died, self._stopping)]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()
            return server
