"""Instants as commands take and tell them, in Unix seconds inside."""

from __future__ import annotations

import datetime as dt
import math
import time
from zoneinfo import ZoneInfo

from deploy.errors import UsageError


def city_time(at_s: float, zone: str) -> str:
    """In the city's zone, to the second."""
    return f"{dt.datetime.fromtimestamp(at_s, ZoneInfo(zone)):%Y-%m-%d %H:%M:%S}"


def machine_time(at_s: float) -> str:
    """In the zone of this machine, which it names, to the minute."""
    return time.strftime("%Y-%m-%d %H:%M %Z", time.localtime(at_s))


def instant(option: str, at_s: float) -> float:
    """An instant as typed; every comparison with nan is false, so an expired ticket would look good at that time."""
    if not math.isfinite(at_s):
        raise UsageError(f"{option} {at_s}: write Unix seconds, such as {int(time.time())}")
    return at_s
