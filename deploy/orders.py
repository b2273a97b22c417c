"""A dispatcher's orders, kept in the data folder from the moment they are given."""

from __future__ import annotations

import time
from pathlib import Path

from deploy.kept_files import keep, take_up
from dispatch.engine import Engine
from dispatch.orders_file import restore, to_bytes
from dispatch.service import DispatchService


def recall_orders(engine: Engine, path: Path) -> None:
    """Take up the orders given before; a file that is spoiled is told of and left."""
    take_up(path, "orders", lambda data: restore(engine.orders, engine.timetable, data, time.time()))


async def keep_orders(engine: Engine, service: DispatchService, path: Path) -> None:
    """Write the orders down as they stand; the order has been given even where that fails, which is told."""
    await keep(path, "orders", await service.between_ticks(lambda: to_bytes(engine.orders, engine.timetable)))
