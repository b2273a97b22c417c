"""Files that hold keys: written whole or not at all, and refused where others may read them."""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ticketing.errors import KeyFileError


def read_private(file: Path) -> bytes:
    """The bytes of a file that only its owner may read; KeyFileError where it is missing or open to others."""
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
        data = file.read_bytes()
    except OSError as error:
        raise KeyFileError(f"{file}: cannot be read ({error.strerror}); restore it from a backup") from None
    if mode & 0o077:
        raise KeyFileError(f"{file}: others may read it (mode {mode:04o}); change that with: chmod 600 {file}")
    return data


def write_private(file: Path, data: bytes) -> None:
    """Write a file for its owner alone; it is there as a whole, and on disk, or as it was before."""
    new = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        new.replace(file)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    sync_folder(file.parent)


def sync_folder(folder: Path) -> None:
    """Put the names of a folder's files on disk: a power cut undoes no change of them from then on."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep out others who change the same folder; the kernel lets go when the holder dies, however it dies."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise KeyFileError(f"{folder}: cannot be read ({error.strerror}); restore it from a backup") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
