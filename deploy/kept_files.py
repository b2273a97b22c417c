"""What dispatch knows beyond its database, kept in the data folder: a spoiled file costs its content, never the start.

`what` names the content in the log's events: running_times, orders, controlled_lines.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import structlog

from deploy.private_files import write_private

log = structlog.get_logger("kept")


def take_up(path: Path, what: str, restore: Callable[[bytes], int]) -> None:
    """Restore what an earlier start kept, where there is a file; one that is spoiled is told of and left."""
    try:
        count = restore(path.read_bytes())
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        log.warning(f"{what}_not_read", file=str(path), error=str(error))
        return
    log.info(f"{what}_read", count=count)


async def keep(path: Path, what: str, data: bytes) -> None:
    """Replace the file as a whole; where that fails, it is told of."""
    try:
        await asyncio.to_thread(write_private, path, data)
    except OSError as error:
        log.warning(f"{what}_not_saved", file=str(path), error=str(error))
