"""Servers that we run as children: started so that they die with us, watched, and stopped within a bound.

Three things make a child safe to leave to a supervisor that may be killed at any moment: the kernel signals it when
its parent dies (PR_SET_PDEATHSIG), it has a session of its own so that Ctrl-C reaches us first and it last, and it gets
a bare environment, so that neither our settings nor our secrets show in /proc.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from deploy.errors import UserError
from deploy.run_as import RunAs, before_exec

LOG_BYTES_MAX = 8 * 1024 * 1024  # a longer log of an earlier run makes room for a new one
LOG_TAIL_BYTES = 16 * 1024
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


class Child:
    """A server running as our child. `died` gets a sentence if it ends without having been asked to."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log_path: Path, log_begin: int) -> None:
        """`log_begin` is how long the log of earlier runs was."""
        self.name = name
        self.log_path = log_path
        self._log_begin = log_begin
        self.died: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._process = process
        self._stopping = False
        self._watch = asyncio.create_task(self._await_end(), name=f"watch {name}")

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def _await_end(self) -> None:
        status = await self._process.wait()
        if not self._stopping and not self.died.done():
            how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"status {status}"
            last = last_line(self.log_path, self._log_begin)
            self.died.set_result(f"{self.name} ended ({how}){': ' + last if last else ''}; see {self.log_path}")

    async def stop(self, *steps: tuple[signal.Signals, float]) -> None:
        """Ask with each signal in turn, waiting so many seconds after each; kill what is left."""
        self._stopping = True
        for number, wait_s in (*steps, (signal.SIGKILL, 5.0)):
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)
            done, _ = await asyncio.wait([self._watch], timeout=wait_s)
            if done:
                break
        self.died.cancel()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal that does not end it."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)


async def start_child(
    name: str,
    command: Sequence[str],
    log_path: Path,
    run_as: RunAs,
    death_signal: signal.Signals,
    *,
    environment: Mapping[str, str] = ENVIRONMENT,
) -> Child:
    """Start a server; what it prints goes to the log, and `environment` is added to the bare one.

    Raises:
        UserError: the program cannot be started.
    """
    try:
        descriptor = _open_log(log_path)
        begin = os.fstat(descriptor).st_size
    except OSError as error:
        raise UserError(f"{log_path}: cannot be written ({error.strerror})") from None
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            env={**ENVIRONMENT, **environment},
            start_new_session=True,
            preexec_fn=before_exec(run_as, death_signal),
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise UserError(f"{name} cannot be started ({error}); install Takt again") from None
    finally:
        os.close(descriptor)
    return Child(name, process, log_path, begin)


def _open_log(path: Path) -> int:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    if path.exists() and path.stat().st_size > LOG_BYTES_MAX:
        path.replace(path.with_suffix(".old.log"))
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def last_line(log_path: Path, begin: int = 0) -> str:
    """The last line of a log, from byte `begin` on, that says something, preferring the last error.

    That PostgreSQL is not ready to let us in, it says to us and not of what keeps it from starting.
    """
    try:
        with log_path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(begin, file.tell() - LOG_TAIL_BYTES))
            lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    except OSError:
        return ""
    causes = [line for line in lines if "FATAL:  the database system is " not in line]
    grave = [line for line in causes if "FATAL" in line or "PANIC" in line or "[FTL]" in line]
    return (grave or causes or lines or [""])[-1][:500]
