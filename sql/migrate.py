"""Migrations: numbered files run in order, each in its own transaction, one process at a time, and never backwards."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

FOLDER = Path(__file__).parent / "migrations"
# An arbitrary number that all versions of Takt share: whoever holds this advisory lock migrates, the others wait.
_LOCK = 0x7461_6B74
_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migration (
    version integer PRIMARY KEY,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


class MigrationError(Exception):
    """The database and this version of Takt do not fit; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: its number, its name, its statements and their SHA-256."""

    version: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the statements, so that a file that changed after it ran is noticed."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def list_migrations(folder: Path = FOLDER) -> list[Migration]:
    """The migrations of a folder in order; MigrationError for a foreign file, a gap or a number used twice."""
    found = []
    for path in sorted(folder.glob("*.sql")):
        match = _NAME.fullmatch(path.name)
        if match is None:
            raise MigrationError(f"{path}: a migration is named 0001_some_words.sql")
        found.append(Migration(int(match[1]), match[2], path.read_text(encoding="utf-8")))
    if [migration.version for migration in found] != list(range(1, len(found) + 1)):
        raise MigrationError(f"{folder}: the migrations are not numbered 1, 2, 3 ... without gap or double")
    return found


async def migrate(dsn: str, folder: Path = FOLDER, *, lock_timeout_s: float = 60.0) -> list[str]:
    """Bring a database up to date; the names of the migrations that ran now.

    MigrationError when the database is newer than this version, or when a file changed after it ran.
    """
    migrations = list_migrations(folder)
    connection = await asyncpg.connect(dsn, timeout=10, command_timeout=600)
    try:
        await connection.execute("SELECT set_config('lock_timeout', $1, false)", f"{int(lock_timeout_s * 1000)}ms")
        try:
            await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        except asyncpg.LockNotAvailableError:
            raise MigrationError(
                f"another process has been migrating this database for {lock_timeout_s:.0f} s: try again later"
            ) from None
        await connection.execute(_TABLE)
        applied = await _applied(connection)
        _check(applied, migrations)
        pending = [migration for migration in migrations if migration.version not in applied]
        for migration in pending:
            await _apply(connection, migration)
        return [f"{migration.version:04d}_{migration.name}" for migration in pending]
    finally:
        await connection.close(timeout=5)


async def pending_migrations(dsn: str, folder: Path = FOLDER) -> list[str]:
    """The names of the migrations that have yet to run; changes nothing."""
    migrations = list_migrations(folder)
    connection = await asyncpg.connect(dsn, timeout=10, command_timeout=30)
    try:
        exists = await connection.fetchval("SELECT to_regclass('schema_migration') IS NOT NULL")
        applied = await _applied(connection) if exists else {}
        _check(applied, migrations)
        return [f"{m.version:04d}_{m.name}" for m in migrations if m.version not in applied]
    finally:
        await connection.close(timeout=5)


async def _applied(connection: Any) -> dict[int, tuple[str, str]]:
    rows = await connection.fetch("SELECT version, name, checksum FROM schema_migration ORDER BY version")
    return {row["version"]: (row["name"], row["checksum"]) for row in rows}


def _check(applied: dict[int, tuple[str, str]], migrations: list[Migration]) -> None:
    """A database is fit for this version when what ran there is a beginning of what we know, unchanged."""
    known = {migration.version: migration for migration in migrations}
    for version, (name, checksum) in applied.items():
        migration = known.get(version)
        if migration is None:
            raise MigrationError(
                f"the database is newer than this version of Takt: it has migration {version:04d}_{name}, and this "
                f"version knows {len(known)}. Run the newer Takt, or restore the backup made before the update"
            )
        if migration.checksum != checksum:
            raise MigrationError(
                f"sql/migrations/{version:04d}_{name}.sql changed after it ran on this database: "
                "put the old file back and write the change as a new migration"
            )


async def _apply(connection: Any, migration: Migration) -> None:
    try:
        async with connection.transaction():
            await connection.execute(migration.text)
            await connection.execute(
                "INSERT INTO schema_migration (version, name, checksum) VALUES ($1, $2, $3)",
                migration.version,
                migration.name,
                migration.checksum,
            )
    except asyncpg.PostgresError as error:
        raise MigrationError(
            f"sql/migrations/{migration.version:04d}_{migration.name}.sql failed and was undone: {error}"
        ) from error
