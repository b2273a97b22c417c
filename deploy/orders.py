"""A dispatcher's orders, kept in the data folder from the moment they are given."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import structlog

from deploy.private_files import write_private
from dispatch.engine import Engine
from dispatch.orders_file import restore, to_bytes
from dispatch.service import DispatchService

log = structlog.get_logger("orders")


def recall_orders(engine: Engine, path: Path) -> None:
    """Take up the orders given before; a file that is spoiled is told of and left."""
    try:
        taken = restore(engine.orders, engine.timetable, path.read_bytes(), time.time())
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        log.warning("orders_not_read", file=str(path), error=str(error))
        return
    log.info("orders_read", taken=taken)


async def keep_orders(engine: Engine, service: DispatchService, path: Path) -> None:
    """Write the orders down as they stand; the order has been given even where that fails, which is told."""
    data = await service.between_ticks(lambda: to_bytes(engine.orders, engine.timetable))
    try:
        await asyncio.to_thread(write_private, path, data)
    except OSError as error:
        log.warning("orders_not_saved", file=str(path), error=str(error))
