"""What dispatch has learnt of running times, kept across restarts in one file of the data folder."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from deploy.kept_files import keep, take_up
from dispatch.engine import Engine
from dispatch.running_file import restore, to_bytes
from dispatch.service import DispatchService

SAVED_EVERY_S = 300.0


def recall(engine: Engine, path: Path) -> None:
    """Take up what was learnt before; a file that is spoiled or of another feed costs nothing but its content."""
    take_up(path, "running_times", lambda data: restore(engine.running, data))


@asynccontextmanager
async def remembered(engine: Engine, service: DispatchService, path: Path) -> AsyncIterator[None]:
    """Save what is learnt every few minutes, and once more at the end."""

    async def save() -> None:
        await keep(path, "running_times", await service.between_ticks(lambda: to_bytes(engine.running)))

    async def now_and_then() -> None:
        while True:
            await asyncio.sleep(SAVED_EVERY_S)
            await save()

    saver = asyncio.create_task(now_and_then(), name="save running times")
    try:
        yield
    finally:
        saver.cancel()
        await asyncio.gather(saver, return_exceptions=True)
        with contextlib.suppress(asyncio.CancelledError):
            await save()
