"""Tells validators which versions of keys and lists there are, so that they fetch what has changed and nothing else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import structlog

from deploy.devices import Registry
from deploy.errors import UserError
from ticketing.errors import Problem
from ticketing.lists import Lists
from ticketing.store import AWAY

LOOK_EVERY_S = 5.0
REPEAT_EVERY_S = 300.0  # a broker that was set up anew holds nothing of what was said before

log = structlog.get_logger("announcer")


class Announcer:
    """Says on each operator's topic what there is: when it has changed, and every few minutes all the same."""

    def __init__(self, registry: Registry, publish: Callable[[str, dict[str, Any]], bool]) -> None:
        self._registry = registry
        self._publish = publish
        self._said: dict[str, tuple[dict[str, Any], float]] = {}

    @asynccontextmanager
    async def announcing(self, lists: Lists) -> AsyncIterator[None]:
        """Announce for as long as the block lasts."""
        task = asyncio.create_task(self._run(lists), name="announce lists")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def announce(self, lists: Lists) -> int:
        """Say what has to be said now; to how many operators that was."""
        versions = await lists.versions()
        devices = await asyncio.to_thread(self._registry.list)
        operators = {device.device.operator for device in devices if device.device.kind == "validator"}
        said = 0
        for operator in sorted(operators):
            before, at_s = self._said.get(operator, ({}, float("-inf")))
            if before == versions and time.monotonic() - at_s < REPEAT_EVERY_S:
                continue
            if self._publish(operator, {"ts": time.time(), **versions}):
                self._said[operator] = versions, time.monotonic()
                said += 1
        return said

    async def _run(self, lists: Lists) -> None:
        while True:
            try:
                await self.announce(lists)
            except (*AWAY, Problem):
                pass  # the database comes back, or /readyz says why not
            except UserError as error:
                log.warning("lists_not_announced", reason=str(error))
            await asyncio.sleep(LOOK_EVERY_S)
