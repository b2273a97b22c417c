"""Backup and restore of an instance: database, keys, devices, logins, dispatchers' orders, what is known of running
times, the feed that was switched to, settings and tariff, in one encrypted file.

Inside the encryption (backup_file.py) is a tar stream: `backup.json` first, then the files of the data folder under
`files/`, then the database as pg_dump's custom format in parts, `database/00000001` and so on, and `end` last. Left out
on purpose: the passwords of database and broker, which a restored instance makes anew, the broker's sessions, which
devices make anew, where vehicles were a moment ago, and caches. Nothing unencrypted is written outside the data folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import re
import secrets
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urlsplit, urlunsplit

import msgspec

from deploy.backup_file import BackupFileError, OpeningReader, SealingWriter
from deploy.embedded_postgres import embedded_postgres
from deploy.embedded_process import ENVIRONMENT
from deploy.errors import UserError
from deploy.identity import FORMAT
from deploy.instance import Instance
from deploy.postgres_files import postgres_bin
from deploy.private_files import write_private
from deploy.version import takt_version

PART_BYTES = 4 << 20
FILE_BYTES_MAX = 1 << 30  # a country's network
MEMBERS_MAX = 1_000_000  # four terabytes of database
DUMP_S_MAX = 6 * 3600.0
PASSPHRASE_LETTERS_MIN = 8
FILES = (
    "instance.json",
    "devices.json",
    "users.json",
    "ended-tokens.json",
    "control.json",
    "orders.json",
    "running-times.bin",
    "feed.json",
    "network/in-use.network",
    "keys/**/*",
)
SETTINGS = ("takt.toml", "tariff.toml")
_FILE_NAME = re.compile(
    r"files/(?:settings/(?:takt|tariff)\.toml|(?:instance|devices|users|ended-tokens|control|orders|feed)\.json|"
    r"running-times\.bin|network/in-use\.network|keys(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*){1,3})"
)
_PART_NAME = re.compile(r"database/\d{8}")

Progress = Callable[[int], None]


class Manifest(msgspec.Struct, frozen=True):
    """What a backup says of itself."""

    format: int
    takt_version: str
    instance_id: str
    created: str


@dataclass(frozen=True)
class Result:
    """What was written or restored; the database's size in bytes is that of pg_dump's compressed form."""

    manifest: Manifest
    files: int
    database_bytes: int


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
    async with _database(instance, database_url) as url:
        files = _files(instance, settings_files or {})
        return await asyncio.to_thread(_write, instance, out, passphrase, url, files, progress)


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
        async with _database(instance, database_url) as url:
            await asyncio.to_thread(_restore_database, dump, url)
        size = _finish(new, dump, data_dir)
    except OSError as error:
        raise UserError(f"{error.filename or data_dir}: {error.strerror}; the backup is not restored") from None
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return Result(manifest, files, size)


def _refuse_existing(out: Path) -> None:
    if out.exists():
        raise UserError(f"{out}: exists already; name another file")


def _make_beside(new: Path, data_dir: Path) -> None:
    """A folder to work in on the same disk, so that the finished instance takes its place at once."""
    if data_dir.exists() and (not data_dir.is_dir() or any(data_dir.iterdir())):
        raise UserError(f"{data_dir}: is not empty; restore into a new folder")
    new.mkdir(mode=0o700, parents=True)


def _finish(new: Path, dump: Path, data_dir: Path) -> int:
    size = dump.stat().st_size
    dump.unlink()
    new.rename(data_dir)
    return size


@contextlib.asynccontextmanager
async def _database(instance: Instance, database_url: str | None) -> AsyncIterator[str]:
    """The database of an instance: the one it names, the one it runs, or its own started for this."""
    runtime = instance.read_runtime()
    if database_url or runtime:
        yield database_url or (runtime.database_url if runtime else "")
        return
    with instance.locked():
        async with embedded_postgres(instance) as url:
            yield url


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
                size = _add_database(tar, database_url, lambda: progress(target.tell()))
                _add(tar, "end", b"")
            sealing.close()
            target.flush()
            os.fsync(target.fileno())
        os.link(unfinished, out)  # unlike a rename it does not replace what was put there meanwhile
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror})") from None
    finally:
        unfinished.unlink(missing_ok=True)
    return Result(manifest, count, size)


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


def _add_database(tar: tarfile.TarFile, database_url: str, progress: Callable[[], None]) -> int:
    size = 0
    with _Program("pg_dump", "--format=custom", "--no-owner", "--no-privileges", url=database_url) as pg_dump:
        parts = iter(lambda: pg_dump.output.read(PART_BYTES), b"")
        for number, part in enumerate(parts, 1):
            _add(tar, f"database/{number:08d}", part)
            size += len(part)
            progress()
        if pg_dump.status() != 0:
            raise UserError(f"the database cannot be read: {pg_dump.complaint()}")
    return size


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
    if _PART_NAME.fullmatch(member.name):
        to_database(content.read())
    elif _FILE_NAME.fullmatch(member.name):
        path = new / member.name.removeprefix("files/")
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(path, content.read())
    elif member.name != "end":
        raise tarfile.TarError(f"{member.name!r} does not belong into a backup")


def _restore_database(dump: Path, database_url: str) -> None:
    question = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
    with _Program("psql", "--no-psqlrc", "--tuples-only", f"--command={question}", url=database_url) as psql:
        answer = psql.output.read().strip()
        if psql.status() != 0:
            raise UserError(f"the database cannot be reached: {psql.complaint()}")
    if answer != b"0":
        raise UserError(f"the database to restore into holds {answer.decode()} tables already; name an empty one")
    options = ("--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction", str(dump))
    with _Program("pg_restore", *options, url=database_url) as pg_restore:
        if pg_restore.status(DUMP_S_MAX) != 0:
            raise UserError(f"the database refuses the backup: {pg_restore.complaint()}")


class _Program:
    """One of PostgreSQL's programs at work on a database; leaving the block ends it."""

    def __init__(self, name: str, *options: str, url: str) -> None:
        plain, password = _without_password(url)
        self._name = name
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the block
        self._process = subprocess.Popen(  # noqa: S603
            [str(postgres_bin() / name), f"--dbname={plain}", *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            # The password goes by the environment, since everybody may read a command line.
            env={**ENVIRONMENT, "PGPASSWORD": password, "PGCONNECT_TIMEOUT": "10"},
        )

    def __enter__(self) -> _Program:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self.output.close()
        self._complaints.close()

    @property
    def output(self) -> IO[bytes]:
        """What it prints."""
        assert self._process.stdout is not None
        return self._process.stdout

    def status(self, wait_s: float = 60.0) -> int:
        """How it ended."""
        try:
            return self._process.wait(wait_s)
        except subprocess.TimeoutExpired:
            raise UserError(
                f"{self._name} does not end within {wait_s:g} s; see what the database is busy with"
            ) from None

    def complaint(self) -> str:
        """The first thing that it complained of."""
        self._complaints.seek(0)
        lines = self._complaints.read(64 << 10).decode(errors="replace").splitlines()
        return next((line.split("error: ")[-1] for line in lines if "error: " in line), "it does not say why")


def _without_password(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    credentials, at, address = parts.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    return urlunsplit(parts._replace(netloc=f"{user}{at}{address}")), unquote(password)
