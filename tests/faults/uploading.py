"""Validators that upload a backlog, in a process of their own: live ones must not wait for their simulator."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from pathlib import Path

from simulators.validator_library.pacing import Limits
from tests.faults.validators_at_work import ValidatorsAtWork, until

UPLOAD_S_MAX = 3_000.0


def start_uploading(folder: Path, port: int, count: int, each: int, seed: int) -> multiprocessing.Process:
    """The process; it ends when every tap of `<folder>/back.journal` has its receipt."""
    context = multiprocessing.get_context("forkserver")
    process = context.Process(target=_main, args=(folder, port, count, each, seed), daemon=True)
    process.start()
    return process  # type: ignore[return-value]


def _main(folder: Path, port: int, count: int, each: int, seed: int) -> None:
    os.nice(10)  # five hundred validators bring their own processors
    asyncio.run(_upload(folder, port, count, each, seed))


async def _upload(folder: Path, port: int, count: int, each: int, seed: int) -> None:
    limits = Limits(first_pause_s=3.0, pause_s_max=120.0, tries_max=1_000, kept_max=each + 10)
    async with ValidatorsAtWork(folder, port, count, seed, prefix="back", limits=limits) as back:
        await until(lambda: not back.waiting, UPLOAD_S_MAX, "every receipt of the backlog")
