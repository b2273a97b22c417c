"""Restore: a new instance from a backup, whole or not at all."""

from __future__ import annotations

import asyncio
import io
import secrets
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from deploy.backup_contents import FILE_BYTES_MAX, FILE_NAME, MEMBERS_MAX, PART_NAME, Manifest, Progress, Result
from deploy.backup_file import BackupFileError, OpeningReader
from deploy.database import database_of
from deploy.errors import UserError
from deploy.identity import FORMAT
from deploy.instance import Instance
from deploy.postgres_program import PostgresProgram
from deploy.private_files import write_private

RESTORE_S_MAX = 6 * 3600.0


async def restore(
    file: Path,
    data_dir: Path,
    passphrase: str,
    *,
    database_url: str | None = None,
    progress: Progress = lambda _: None,
) -> Result:
    """Make a new instance from a backup, whole or not at all; with a URL its database goes there, into an empty one.

    Raises:
        UserError: the folder is not empty, the file is damaged or no backup, the passphrase does not fit, the database
            is not empty or refuses what the backup holds.
    """
    data_dir = Path.cwd() / data_dir
    new = data_dir.with_name(f"{data_dir.name}.restoring-{secrets.token_hex(4)}")
    try:
        _make_beside(new, data_dir)
        manifest, files, dump = await asyncio.to_thread(_read, file, new, passphrase, progress)
        instance = Instance.adopt(new)
        async with database_of(instance, database_url) as url:
            await asyncio.to_thread(_restore_database, dump, url)
        _finish(new, dump, data_dir)
    except OSError as error:
        raise UserError(f"{error.filename or data_dir}: {error.strerror}; the backup is not restored") from None
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return Result(manifest, files)


def _make_beside(new: Path, data_dir: Path) -> None:
    """A folder to work in on the same disk, so that the finished instance takes its place at once."""
    if data_dir.exists() and (not data_dir.is_dir() or any(data_dir.iterdir())):
        raise UserError(f"{data_dir}: is not empty; restore into a new folder")
    new.mkdir(mode=0o700, parents=True)


def _finish(new: Path, dump: Path, data_dir: Path) -> None:
    dump.unlink()
    new.rename(data_dir)


def _read(file: Path, new: Path, passphrase: str, progress: Progress) -> tuple[Manifest, int, Path]:
    """Unpack into the new folder; nothing of a file that turns out damaged is left, since the caller removes it."""
    dump = new / "database.dump"
    names: set[str] = set()
    try:
        with file.open("rb") as source, io.BufferedReader(OpeningReader(source, passphrase), 1 << 20) as plain:
            with tarfile.open(fileobj=plain, mode="r|") as tar, dump.open("xb") as database:
                manifest = _read_manifest(file, tar)
                while (member := tar.next()) is not None and len(names) < MEMBERS_MAX:
                    _unpack(tar, member, new, database.write)
                    names.add(member.name)
                    progress(source.tell())
            while plain.read(1 << 20):  # to the verified end
                pass
    except BackupFileError as error:
        raise UserError(f"{file}: {error}") from None
    except tarfile.TarError as error:
        raise UserError(f"{file}: is damaged ({error})") from None
    except OSError as error:
        raise UserError(f"{error.filename or file}: {error.strerror}; the backup is not restored") from None
    if "end" not in names or "files/instance.json" not in names:
        raise UserError(f"{file}: is not whole; take another backup")
    return manifest, sum(name.startswith("files/") for name in names), dump


def _read_manifest(file: Path, tar: tarfile.TarFile) -> Manifest:
    first = tar.next()
    content = tar.extractfile(first) if first is not None and first.name == "backup.json" else None
    if content is None:
        raise UserError(f"{file}: is no backup made by takt backup")
    try:
        manifest = msgspec.json.decode(content.read(FILE_BYTES_MAX), type=Manifest)
    except msgspec.DecodeError as error:
        raise UserError(f"{file}: is damaged ({error})") from None
    if manifest.format > FORMAT:
        raise UserError(f"{file}: was made by Takt {manifest.takt_version}, newer than this one; update Takt first")
    return manifest


def _unpack(tar: tarfile.TarFile, member: tarfile.TarInfo, new: Path, to_database: Callable[[bytes], object]) -> None:
    """Only the names that a backup has, whoever made the file: the passphrase says who may, not that he means well."""
    content = tar.extractfile(member) if member.isreg() else None
    if content is None or member.size > FILE_BYTES_MAX:
        raise tarfile.TarError(f"{member.name!r} does not belong into a backup")
    if PART_NAME.fullmatch(member.name):
        to_database(content.read())
    elif FILE_NAME.fullmatch(member.name):
        path = new / member.name.removeprefix("files/")
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(path, content.read())
    elif member.name != "end":
        raise tarfile.TarError(f"{member.name!r} does not belong into a backup")


def _restore_database(dump: Path, database_url: str) -> None:
    question = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
    with PostgresProgram("psql", "--no-psqlrc", "--tuples-only", f"--command={question}", url=database_url) as psql:
        answer = psql.output.read().strip()
        if psql.status() != 0:
            raise UserError(f"the database cannot be reached: {psql.complaint()}")
    if answer != b"0":
        raise UserError(f"the database to restore into holds {answer.decode()} tables already; name an empty one")
    options = ("--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction", str(dump))
    with PostgresProgram("pg_restore", *options, url=database_url) as pg_restore:
        if pg_restore.status(RESTORE_S_MAX) != 0:
            raise UserError(f"the database refuses the backup: {pg_restore.complaint()}")
