"""As whom a server runs, for those that refuse to be root; and that it ends when whoever started it does."""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

from deploy.errors import UserError

CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG = 1

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


RunAs = Plain | Namespace | SystemUser


def unprivileged() -> RunAs:
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


def _works(run_as: RunAs) -> bool:
    try:
        subprocess.run([sys.executable, "-c", ""], preexec_fn=run_as.enter, check=True, timeout=20)
    except (subprocess.SubprocessError, OSError):
        return False
    return True


def before_exec(run_as: RunAs, death_signal: signal.Signals) -> Callable[[], None]:
    """What the child does between fork and exec: change who it is, then ask for a signal when its parent dies.

    In this order, since a change of credentials clears the request. The signal is tied to the thread that forked, so
    children are started from the main thread.
    """
    parent = os.getpid()

    def prepare() -> None:
        run_as.enter()
        if _LIBC is not None:
            _LIBC.prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
            if os.getppid() != parent:  # it died before the request was made
                os._exit(1)

    return prepare
