"""Child processes of the main one: started, watched, started again when they die, and stopped in a bounded time.

A child dies with its parent, however the parent dies (Linux: the kernel is asked for it), so a kill -9 leaves nothing
behind. It runs in a session of its own: Ctrl-C in a terminal reaches the main process alone, which stops the parts in
their order.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

STOP_S_MAX = 3.0
RESTARTS_MAX = 5  # in a row; a child that lived longer than HEALTHY_S starts the count again
HEALTHY_S = 60.0
BACKOFF_S = (0.2, 0.5, 1.0, 2.0, 5.0)
PR_SET_PDEATHSIG = 1  # linux/prctl.h

log = structlog.get_logger()


class ChildFailedError(Exception):
    """A child died again and again; its log says why."""


def die_with_parent() -> None:
    """Ask the kernel to end this process with its parent; to be called in the child, before it becomes the program."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == 1:  # the parent died before we asked
            os._exit(1)


class Child:
    """One `python -m MODULE ...` that is kept running."""

    def __init__(self, name: str, arguments: list[str], log_path: Path) -> None:
        self.name = name
        self.restarts = 0
        self._arguments = arguments
        self._log_path = log_path
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """The process's id while it runs."""
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if running and self._process else None

    async def keep_running(self, on_restart: Callable[[], None] = lambda: None) -> None:
        """Start it again whenever it ends; returns only by cancellation.

        Raises:
            ChildFailedError: it ended too often in a row.
        """
        loop, in_a_row = asyncio.get_running_loop(), 0
        while True:
            began = loop.time()
            status = await self._run()
            in_a_row = 1 if loop.time() - began > HEALTHY_S else in_a_row + 1
            log.error("child_ended", child=self.name, status=status, log=str(self._log_path))
            if in_a_row > RESTARTS_MAX:
                raise ChildFailedError(f"{self.name} ended {in_a_row} times in a row; see {self._log_path}")
            await asyncio.sleep(BACKOFF_S[min(in_a_row, len(BACKOFF_S)) - 1])
            self.restarts += 1
            on_restart()

    async def _run(self) -> int:
        with os.fdopen(os.open(self._log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                *self._arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        try:
            return await self._process.wait()
        except asyncio.CancelledError:
            await self._stop(self._process)
            raise

    async def _stop(self, process: asyncio.subprocess.Process) -> None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
            # We are being cancelled, which the first Pythons 3.11 take amiss in a timeout.
            ended = asyncio.create_task(process.wait(), name=f"end of {self.name}")
            _, late = await asyncio.wait({ended}, timeout=STOP_S_MAX)
            if late:
                log.warning("child_killed", child=self.name, after_s=STOP_S_MAX)
                process.kill()
                await ended


@asynccontextmanager
async def kept_running(child: Child, failed: Callable[[BaseException], None]) -> AsyncIterator[Child]:
    """A child for as long as the block lasts; `failed` hears of it when it cannot be kept."""

    def ended(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            failed(error)

    task = asyncio.create_task(child.keep_running(), name=f"child {child.name}")
    task.add_done_callback(ended)
    try:
        yield child
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
