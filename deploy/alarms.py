"""Drivers' alarms that nobody has closed, kept in the data folder: a restart of dispatch forgets no call for help."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import structlog

from deploy.instance import write_private
from dispatch.alerts import Alert
from dispatch.engine import Engine
from dispatch.service import DispatchService

KEPT_EVERY_S = 1.0

log = structlog.get_logger("alarms")


def recall_alarms(engine: Engine, path: Path) -> None:
    """Take up the alarms that stood; a file that is spoiled is told of and left."""
    try:
        alarms = msgspec.json.decode(path.read_bytes(), type=dict[str, Alert])
    except FileNotFoundError:
        return
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        log.warning("alarms_not_read", file=str(path), error=str(error))
        return
    log.info("alarms_read", taken=engine.desk.resume_alarms(alarms, time.time()))


@asynccontextmanager
async def remembered_alarms(engine: Engine, service: DispatchService, path: Path) -> AsyncIterator[None]:
    """Take up the alarms that stood, and write them down whenever they have changed, within a second."""
    await service.between_ticks(lambda: recall_alarms(engine, path))
    keeper = asyncio.create_task(_keep(engine, service, path), name="alarms")
    try:
        yield
    finally:
        keeper.cancel()


async def _keep(engine: Engine, service: DispatchService, path: Path) -> None:
    written = b"{}"
    while True:
        data = await service.between_ticks(lambda: msgspec.json.encode(engine.desk.alarms()))
        if data != written:
            try:
                await asyncio.to_thread(write_private, path, data)
                written = data
            except OSError as error:
                log.warning("alarms_not_saved", file=str(path), error=str(error))
        await asyncio.sleep(KEPT_EVERY_S)
