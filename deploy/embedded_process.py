"""Servers that we run as children: started so that they die with us, watched, and stopped within a bound.

Three things make a child safe to leave to a supervisor that may be killed at any moment: the kernel signals it when
its parent dies (PR_SET_PDEATHSIG), it has a session of its own so that Ctrl-C reaches us first and it last, and it gets
a bare environment, so that neither our settings nor our secrets show in /proc.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import pwd
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from deploy.errors import UserError

LOG_BYTES_MAX = 8 * 1024 * 1024  # a longer log of an earlier run makes room for a new one
LOG_TAIL_BYTES = 16 * 1024
CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG = 1
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}

_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(frozen=True)
class Plain:
    """As the user that we are."""

    def enter(self) -> None:
        """Nothing to change."""


@dataclass(frozen=True)
class Namespace:
    """As an ordinary user inside a user namespace whose files are root's outside: for servers that refuse root."""

    uid: int
    gid: int

    def enter(self) -> None:
        """Called in the child between fork and exec."""
        if _LIBC is None or _LIBC.unshare(CLONE_NEWUSER) != 0:
            raise OSError(ctypes.get_errno(), "no user namespace")
        for file, text in (("setgroups", "deny"), ("uid_map", f"{self.uid} 0 1"), ("gid_map", f"{self.gid} 0 1")):
            descriptor = os.open(f"/proc/self/{file}", os.O_WRONLY)
            os.write(descriptor, text.encode())
            os.close(descriptor)


@dataclass(frozen=True)
class SystemUser:
    """As another user of the machine, who must own the server's files: where root gets no user namespace."""

    uid: int
    gid: int

    def enter(self) -> None:
        """Called in the child between fork and exec."""
        os.setgroups([])
        os.setgid(self.gid)
        os.setuid(self.uid)


Identity = Plain | Namespace | SystemUser


def unprivileged() -> Identity:
    """How a server that refuses root is to be run by whoever we are.

    Raises:
        UserError: we are root, namespaces are refused and the machine has no unprivileged user.
    """
    if os.geteuid() != 0:
        return Plain()
    users = {user.pw_name: user for user in pwd.getpwall() if user.pw_uid != 0}
    # The name must exist: initdb looks its own user up and fails without one.
    user = next((users[name] for name in ("postgres", "daemon", "nobody") if name in users), None)
    if user is None:
        raise UserError(
            "PostgreSQL does not run as root and this machine has no other user; start takt as an ordinary user"
        )
    inside = Namespace(user.pw_uid, user.pw_gid)
    return inside if _works(inside) else SystemUser(user.pw_uid, user.pw_gid)


def _works(identity: Identity) -> bool:
    try:
        subprocess.run([sys.executable, "-c", ""], preexec_fn=identity.enter, check=True, timeout=20)
    except (subprocess.SubprocessError, OSError):
        return False
    return True


def before_exec(identity: Identity, death_signal: signal.Signals) -> Callable[[], None]:
    """What the child does between fork and exec: change who it is, then ask for a signal when its parent dies.

    In this order, since a change of credentials clears the request. The signal is tied to the thread that forked, so
    children are started from the main thread.
    """
    parent = os.getpid()

    def prepare() -> None:
        identity.enter()
        if _LIBC is not None:
            _LIBC.prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
            if os.getppid() != parent:  # it died before the request was made
                os._exit(1)

    return prepare


class Child:
    """A server running as our child. `died` gets a sentence if it ends without having been asked to."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log_path: Path, log_begin: int) -> None:
        """`log_begin` is how long the log of earlier runs was."""
        self.name = name
        self.log_path = log_path
        self._log_begin = log_begin
        self.died: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._process = process
        self._stopping = False
        self._watch = asyncio.create_task(self._await_end(), name=f"watch {name}")

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def _await_end(self) -> None:
        status = await self._process.wait()
        if not self._stopping and not self.died.done():
            how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"status {status}"
            last = last_line(self.log_path, self._log_begin)
            self.died.set_result(f"{self.name} ended ({how}){': ' + last if last else ''}; see {self.log_path}")

    async def stop(self, *steps: tuple[signal.Signals, float]) -> None:
        """Ask with each signal in turn, waiting so many seconds after each; kill what is left."""
        self._stopping = True
        for number, wait_s in (*steps, (signal.SIGKILL, 5.0)):
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)
            done, _ = await asyncio.wait([self._watch], timeout=wait_s)
            if done:
                break
        self.died.cancel()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal that does not end it."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)


async def start_child(
    name: str,
    command: Sequence[str],
    log_path: Path,
    identity: Identity,
    death_signal: signal.Signals,
    *,
    environment: Mapping[str, str] = ENVIRONMENT,
) -> Child:
    """Start a server; what it prints goes to the log, and `environment` is added to the bare one.

    Raises:
        UserError: the program cannot be started.
    """
    try:
        descriptor = _open_log(log_path)
        begin = os.fstat(descriptor).st_size
    except OSError as error:
        raise UserError(f"{log_path}: cannot be written ({error.strerror})") from None
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            env={**ENVIRONMENT, **environment},
            start_new_session=True,
            preexec_fn=before_exec(identity, death_signal),
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise UserError(f"{name} cannot be started ({error}); install Takt again") from None
    finally:
        os.close(descriptor)
    return Child(name, process, log_path, begin)


def _open_log(path: Path) -> int:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    if path.exists() and path.stat().st_size > LOG_BYTES_MAX:
        path.replace(path.with_suffix(".old.log"))
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def last_line(log_path: Path, begin: int = 0) -> str:
    """The last line of a log, from byte `begin` on, that says something, preferring the last error.

    That PostgreSQL is not ready to let us in, it says to us and not of what keeps it from starting.
    """
    try:
        with log_path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(begin, file.tell() - LOG_TAIL_BYTES))
            lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    except OSError:
        return ""
    causes = [line for line in lines if "FATAL:  the database system is " not in line]
    grave = [line for line in causes if "FATAL" in line or "PANIC" in line or "[FTL]" in line]
    return (grave or causes or lines or [""])[-1][:500]


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port that nobody listens on now."""
    with socket.socket(_family(host)) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def check_port(host: str, port: int, option: str) -> None:
    """Make sure that we may listen there.

    Raises:
        UserError: the port is taken (says by whom, where that can be seen), forbidden, or the address is not ours.
    """
    with socket.socket(_family(host)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except PermissionError:
            raise UserError(f"port {port}: only root may listen there; choose one above 1023 with {option}") from None
        except OSError as error:
            if listener := who_listens(port):
                raise UserError(
                    f"port {port} is taken by {listener}; stop it or choose another with {option}"
                ) from None
            raise UserError(f"cannot listen on {host} port {port} ({error.strerror}); choose others") from None


def who_listens(port: int) -> str | None:
    """Whoever listens on a TCP port: "name (process 12)", "another process" where we may not see it; None: nobody."""
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port:
                if connection.pid is None:
                    return "another process"
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
    except psutil.Error:
        return "another process"
    return None


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
