"""Tells a running broker to read its users and certificates again, from whichever process changed them."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import psutil

from deploy.embedded_process import last_line
from deploy.errors import UserError
from deploy.instance import Instance

RELOAD_S_MAX = 60.0  # every connected device is judged anew, about a millisecond each


def reload_broker(instance: Instance) -> bool:
    """Have the running broker read its users again and wait until it has; False where none is running.

    Raises:
        UserError: it refused them, or did not answer.
    """
    pid = running_pid(instance)
    if pid is None:
        return False
    log = log_path(instance)
    begin = log.stat().st_size
    os.kill(pid, signal.SIGHUP)
    deadline = time.monotonic() + RELOAD_S_MAX
    while time.monotonic() < deadline:
        news = log_since(log, begin)
        if "Reloaded server configuration" in news:
            return True
        if "Failed to reload" in news:
            raise UserError(f"the broker refused its new configuration: {last_line(log)}")
        time.sleep(0.02)
    raise UserError(f"the broker (process {pid}) did not take over its new users within {RELOAD_S_MAX:g} s; see {log}")


def config_path(instance: Instance) -> Path:
    """Its configuration file."""
    return instance.nats_dir / "nats.conf"


def pid_path(instance: Instance) -> Path:
    """Where the server writes its process id."""
    return instance.nats_dir / "nats.pid"


def running_pid(instance: Instance) -> int | None:
    """The process of this instance's broker, told by the configuration it was started with."""
    try:
        pid = int(pid_path(instance).read_text())
        if str(config_path(instance)) in psutil.Process(pid).cmdline():
            return pid
    except (OSError, ValueError, psutil.Error):
        pass
    return None


def log_path(instance: Instance) -> Path:
    """Where the broker writes its log."""
    return instance.logs_dir / "nats.log"


def log_since(log: Path, begin: int) -> str:
    """What the log says from a place on."""
    with log.open("rb") as file:
        if file.seek(0, os.SEEK_END) < begin:  # a new file was begun meanwhile
            begin = 0
        file.seek(begin)
        return file.read().decode(errors="replace")
