"""The database: that it answers, is new enough, durable and migrated."""

from __future__ import annotations

import asyncio

import asyncpg

from deploy.doctor.patient import Finding, Patient
from deploy.errors import UserError
from deploy.postgres_files import postgres_bin
from deploy.postgres_settings import MAJOR
from sql.migrate import MigrationError, pending_migrations

POSTGRES_MAJOR_MIN = 15
ANSWER_S_MAX = 5.0


def check_postgres(patient: Patient) -> list[Finding]:
    """The database answers, is new enough and up to date."""
    url = patient.database_url
    if url is not None:
        return asyncio.run(_ask_database(url))
    try:
        postgres_bin()
    except UserError as error:
        return [Finding("postgresql", "fail", str(error))]
    written = patient.instance.postgres_major if patient.instance else None
    if written not in (None, MAJOR):
        step = "make a backup with the Takt that made it and restore that with this one"
        return [Finding("postgresql", "fail", f"the database is version {written}'s, this Takt brings {MAJOR}", step)]
    return [Finding("postgresql", "ok", f"version {MAJOR}, embedded, not running")]


async def _ask_database(url: str) -> list[Finding]:
    try:
        connection = await asyncpg.connect(url, timeout=ANSWER_S_MAX, command_timeout=ANSWER_S_MAX)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError, TimeoutError) as error:
        step = "start it, or correct database_url in the settings; the log of an embedded one is logs/postgres.log"
        return [Finding("postgresql", "fail", f"does not answer ({error or type(error).__name__})", step)]
    try:
        number = int(await connection.fetchval("SHOW server_version_num"))
        durable = await connection.fetchval("SHOW fsync") == "on"
    finally:
        await connection.close(timeout=ANSWER_S_MAX)
    found = [Finding("postgresql", "ok", f"version {number // 10000}.{number % 10000}, answers")]
    if number // 10000 < POSTGRES_MAJOR_MIN:
        step = f"use PostgreSQL {POSTGRES_MAJOR_MIN} or newer"
        found = [Finding("postgresql", "fail", f"version {number // 10000} is too old", step)]
    if not durable:
        found.append(Finding("postgresql", "fail", "fsync is off: a power cut loses receipted taps", "turn fsync on"))
    return [*found, await _migrations(url)]


async def _migrations(url: str) -> Finding:
    try:
        pending = await pending_migrations(url)
    except MigrationError as error:
        return Finding("migrations", "fail", str(error))
    if pending:
        return Finding("migrations", "warn", f"{len(pending)} have yet to run", "takt migrate, or takt run")
    return Finding("migrations", "ok", "up to date")
