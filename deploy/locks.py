"""Locks on files: one process at a time holds one, and the kernel lets go when it dies, however it dies."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from deploy.errors import UserError
from deploy.private_files import open_private

LOCK_WAIT_S_MAX = 3.0  # children of a killed instance may need a moment to notice


@contextlib.contextmanager
def held(path: Path, sentence: str) -> Iterator[None]:
    """Hold the lock of a file, which says who holds it.

    Raises:
        UserError: another process holds it; `sentence` says so, with its process in the place of {}.
    """
    with os.fdopen(open_private(path, os.O_RDWR | os.O_CREAT), "r+") as file:
        deadline = time.monotonic() + LOCK_WAIT_S_MAX
        while not _try_lock(file.fileno(), fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                file.seek(0)
                holder = sentence.format(file.read().strip() or "unknown")
                raise UserError(f"{path.parent}: {holder}; stop it or choose another --data-dir")
            time.sleep(0.05)
        file.seek(0)
        file.truncate()
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def is_held(path: Path) -> bool:
    """Whether a process holds the lock of a file now."""
    try:
        with path.open() as file:
            return not _try_lock(file.fileno(), fcntl.LOCK_SH)
    except FileNotFoundError:
        return False


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
