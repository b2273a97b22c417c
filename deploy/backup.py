"""Backup of an instance into one encrypted file; `backup_contents` says what is in it."""

from __future__ import annotations

import asyncio
import io
import os
import secrets
import tarfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from deploy.backup_contents import FILE_BYTES_MAX, FILES, PART_BYTES, SETTINGS, Manifest, Progress, Result
from deploy.backup_file import SealingWriter
from deploy.database import database_of
from deploy.errors import UserError
from deploy.identity import FORMAT
from deploy.instance import Instance
from deploy.postgres_program import PostgresProgram
from deploy.version import takt_version

PASSPHRASE_LETTERS_MIN = 8


async def back_up(
    instance: Instance,
    out: Path,
    passphrase: str,
    *,
    database_url: str | None = None,
    settings_files: Mapping[str, Path] | None = None,
    progress: Progress = lambda _: None,
) -> Result:
    """Write a backup; the instance may be running. Without a URL of its own the embedded database is started for it.

    `settings_files` are files that lie elsewhere, by the names in SETTINGS that they get; `progress` gets the bytes
    written so far.

    Raises:
        UserError: `out` exists or cannot be written, the database cannot be read, or the passphrase is short.
    """
    if len(passphrase) < PASSPHRASE_LETTERS_MIN:
        raise UserError(f"the passphrase is shorter than {PASSPHRASE_LETTERS_MIN} letters; choose a longer one")
    _refuse_existing(out)
    async with database_of(instance, database_url) as url:
        files = _files(instance, settings_files or {})
        return await asyncio.to_thread(_write, instance, out, passphrase, url, files, progress)


def _refuse_existing(out: Path) -> None:
    if out.exists():
        raise UserError(f"{out}: exists already; name another file")


def _write(
    instance: Instance, out: Path, passphrase: str, database_url: str, files: Mapping[str, Path], progress: Progress
) -> Result:
    manifest = Manifest(FORMAT, takt_version(), instance.id, datetime.now(UTC).isoformat(timespec="seconds"))
    unfinished = out.with_name(f".{out.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as target:
            sealing = SealingWriter(target, passphrase)
            with tarfile.open(fileobj=sealing, mode="w|", format=tarfile.PAX_FORMAT) as tar:
                _add(tar, "backup.json", msgspec.json.encode(manifest))
                count = _add_files(tar, files)
                _add_database(tar, database_url, lambda: progress(target.tell()))
                _add(tar, "end", b"")
            sealing.close()
            target.flush()
            os.fsync(target.fileno())
        os.link(unfinished, out)  # unlike a rename it does not replace what was put there meanwhile
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror})") from None
    finally:
        unfinished.unlink(missing_ok=True)
    return Result(manifest, count)


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(data), 0o600
    tar.addfile(member, io.BytesIO(data))


def _files(instance: Instance, settings_files: Mapping[str, Path]) -> dict[str, Path]:
    """The files of a backup by the names that they have in it.

    Raises:
        UserError: one is so large that no restore would take it.
    """
    files = {
        path.relative_to(instance.folder).as_posix(): path
        for pattern in FILES
        for path in sorted(instance.folder.glob(pattern))
        if path.is_file() and not path.name.startswith(".")
    }
    files |= {f"settings/{name}": path for name, path in settings_files.items() if name in SETTINGS and path.is_file()}
    for path in files.values():
        if path.stat().st_size > FILE_BYTES_MAX:
            raise UserError(f"{path}: is larger than {FILE_BYTES_MAX:,} bytes; that is no file of Takt's")
    return files


def _add_files(tar: tarfile.TarFile, files: Mapping[str, Path]) -> int:
    for name, path in files.items():
        _add(tar, f"files/{name}", path.read_bytes())
    return len(files)


def _add_database(tar: tarfile.TarFile, database_url: str, progress: Callable[[], None]) -> None:
    with PostgresProgram("pg_dump", "--format=custom", "--no-owner", "--no-privileges", url=database_url) as pg_dump:
        parts = iter(lambda: pg_dump.output.read(PART_BYTES), b"")
        for number, part in enumerate(parts, 1):
            _add(tar, f"database/{number:08d}", part)
            progress()
        if pg_dump.status() != 0:
            raise UserError(f"the database cannot be read: {pg_dump.complaint()}")
