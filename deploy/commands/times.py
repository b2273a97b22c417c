"""Instants as commands tell them, from Unix seconds."""

from __future__ import annotations

import datetime as dt
import time
from zoneinfo import ZoneInfo


def city_time(at_s: float, zone: str) -> str:
    """In the city's zone, to the second."""
    return f"{dt.datetime.fromtimestamp(at_s, ZoneInfo(zone)):%Y-%m-%d %H:%M:%S}"


def machine_time(at_s: float) -> str:
    """In the zone of this machine, which it names, to the minute."""
    return time.strftime("%Y-%m-%d %H:%M %Z", time.localtime(at_s))
