"""Files that are readable by their owner alone and replaced as a whole: a kill leaves the old text or the new one."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TypeVar

import msgspec

from deploy.errors import UserError

T = TypeVar("T")


def write_private(path: Path, data: bytes) -> None:
    """Replace a file as a whole, readable by its owner alone, and on the disk when this returns."""
    new = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(open_private(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read_json(path: Path, kind: type[T]) -> T:
    """A JSON file of the data folder as a value of its type.

    Raises:
        UserError: it is missing, unreadable or not what it should be; names the file.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        raise UserError(f"{path}: is missing; restore the instance from a backup with: takt restore") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: is damaged ({error}); restore the instance with: takt restore") from None


def open_private(path: Path, flags: int) -> int:
    """A descriptor of a file that is made for its owner alone; children do not inherit it."""
    return os.open(path, flags | os.O_CLOEXEC, 0o600)
