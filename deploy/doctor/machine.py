"""The machine: Python, room on the disk, free ports and the clock."""

from __future__ import annotations

import datetime as dt
import shutil
import socket
import sys
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from deploy.doctor.patient import Finding, Patient
from deploy.ports import who_listens

DISK_FREE_WARN_BYTES = 5 << 30
DISK_FREE_FAIL_BYTES = 500 << 20
NOT_BEFORE = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)  # older than this program: a clock that says less is wrong
CLOCK_BEHIND_S_MAX = 60


def check_python(_: Patient) -> list[Finding]:
    """Python knows the world's time zones (an older one than ours would not have got here)."""
    version = ".".join(map(str, sys.version_info[:3]))
    try:
        ZoneInfo("Europe/Kyiv")
    except ZoneInfoNotFoundError:
        return [Finding("python", "fail", f"{version}, without time zones", "install the package tzdata")]
    return [Finding("python", "ok", version)]


def check_disk(patient: Patient) -> list[Finding]:
    """There is room for taps to be stored."""
    folder = patient.settings.data_dir.absolute()
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(there).free
    text = f"{free / 2**30:.1f} GiB free at {there}"
    if free < DISK_FREE_FAIL_BYTES:
        return [Finding("disk", "fail", text, "free space: a full disk stops ticketing")]
    if free < DISK_FREE_WARN_BYTES:
        return [Finding("disk", "warn", text, "free space soon, or move the data folder")]
    return [Finding("disk", "ok", text)]


def check_ports(patient: Patient) -> list[Finding]:
    """The ports that a start would need are free."""
    if patient.runtime is not None:
        return []
    found = []
    for name, option, port in (
        ("http", "--http-port", patient.settings.http.port),
        ("mqtt", "--mqtt-port", patient.settings.mqtt.port),
    ):
        listener = who_listens(port) if port else None
        if listener:
            step = f"stop it or choose another with {option}"
            found.append(Finding("ports", "warn", f"{port} ({name}) is taken by {listener}", step))
        else:
            found.append(Finding("ports", "ok", f"{port} ({name}) is free"))
    return found


def check_clock(patient: Patient) -> list[Finding]:
    """The clock is not behind what has already happened."""
    now = dt.datetime.now(dt.UTC)
    text = f"{now:%Y-%m-%d %H:%M:%S} UTC on {socket.gethostname()}"
    if now < NOT_BEFORE:
        return [Finding("clock", "fail", text, "set the clock: tickets are judged by it")]
    if patient.instance is not None:
        newest = max(path.stat().st_mtime for path in patient.instance.folder.iterdir())
        if newest > now.timestamp() + CLOCK_BEHIND_S_MAX:
            ahead = dt.datetime.fromtimestamp(newest, dt.UTC)
            text += f", but the data folder was written at {ahead:%Y-%m-%d %H:%M} UTC"
            return [Finding("clock", "fail", text, "set the clock")]
    return [Finding("clock", "ok", text)]
