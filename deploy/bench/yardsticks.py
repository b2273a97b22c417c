"""What taps are measured beside: single-row commits of the same PostgreSQL, and bare Ed25519 verification."""

from __future__ import annotations

import asyncio
import os
import re
import time
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import asyncpg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from deploy.errors import UserError
from sql.pool import open_pool

CONNECTIONS = 16
COMMIT_EVERY_S = 0.02
_TABLE = "CREATE TABLE IF NOT EXISTS bench_row (id bigint GENERATED ALWAYS AS IDENTITY, text text)"


async def check_durable(dsn: str) -> None:
    """UserError where a commit of this PostgreSQL may be lost."""
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        for name in ("fsync", "synchronous_commit"):
            value = await connection.fetchval("SELECT current_setting($1)", name)
            if value != "on":
                raise UserError(f"{name} is {value}: commits that may be lost are no commits; set it on and run again")
    finally:
        await connection.close()


def measure_ed25519(seconds: float) -> float:
    """Bare verifications a second on one core, of a message as long as a ticket's."""
    private = Ed25519PrivateKey.generate()
    public, message = private.public_key(), os.urandom(96)
    signature = private.sign(message)
    count, begun = 0, time.process_time()
    while (spent := time.process_time() - begun) < seconds:
        for _ in range(100):
            public.verify(signature, message)
        count += 100
    return count / spent


async def measure_commits(dsn: str, seconds: float) -> float:
    """Single-row inserts a second, each its own commit, over CONNECTIONS connections: what a tap alone would cost."""
    pool = await open_pool(dsn, size_max=CONNECTIONS, size_min=CONNECTIONS)
    try:
        await pool.execute(_TABLE)
        deadline = time.perf_counter() + seconds
        counts = await asyncio.gather(*(_insert_until(pool, deadline) for _ in range(CONNECTIONS)))
        await pool.execute("DROP TABLE bench_row")
        return sum(counts) / seconds
    finally:
        await pool.close()


async def _insert_until(pool: Any, deadline: float) -> int:
    count = 0
    async with pool.acquire() as connection:
        while time.perf_counter() < deadline:
            await connection.execute("INSERT INTO bench_row (text) VALUES ($1)", "a tap of no great length")
            count += 1
    return count


async def time_commits(pool: Any, until: asyncio.Event) -> list[float]:
    """Seconds that one row's commit takes by itself, shortest first; a few a second, so as not to be the load."""
    async with pool.acquire() as connection:
        await connection.execute(_TABLE)
        taken_s: list[float] = []
        while not until.is_set():
            begun_s = time.perf_counter()
            await connection.execute("INSERT INTO bench_row (text) VALUES ($1)", "a tap of no great length")
            taken_s.append(time.perf_counter() - begun_s)
            await asyncio.sleep(COMMIT_EVERY_S)
    return sorted(taken_s)


async def measure_pgbench(dsn: str, seconds: float, folder: Path) -> float:
    """The same single-row inserts by pgbench, which is written in C, over as many connections."""
    from deploy.postgres_files import postgres_bin

    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        await connection.execute(_TABLE)
        script = folder / "insert.sql"
        script.write_text("INSERT INTO bench_row (text) VALUES ('a tap of no great length');\n")
        at = urlsplit(dsn)
        login = {"PGHOST": at.hostname or "", "PGPORT": str(at.port), "PGUSER": unquote(at.username or "")}
        environment = os.environ | login | {"PGPASSWORD": unquote(at.password or ""), "PGDATABASE": at.path[1:]}
        options = ["-n", "-M", "prepared", "-c", str(CONNECTIONS), "-j", "2", "-T", str(max(1, round(seconds)))]
        child = await asyncio.create_subprocess_exec(
            str(postgres_bin() / "pgbench"),
            *options,
            *("-f", str(script)),
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await child.communicate()
        found = re.search(rb"tps = ([0-9.]+)", output)
        if found is None:
            raise UserError(f"pgbench does not work here: {errors.decode(errors='replace')[-300:]}")
        return float(found[1])
    finally:
        await connection.execute("DROP TABLE IF EXISTS bench_row")
        await connection.close()
