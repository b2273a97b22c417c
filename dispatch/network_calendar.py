"""On which days each service runs: weekly patterns between two dates, and the exceptions to them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np

from dispatch.network import Flags, Ints

CELLS_MAX = 2_000_000  # services x days: one byte each; some feeds say that they are valid until 2099
DAYS_MIN = 1_100
DAYS_BEFORE = 366  # how much of the past is kept when not all days fit
ADDED, REMOVED = 1, 2  # exception_type


@dataclass(frozen=True, slots=True)
class Weeks:
    """Rows of calendar.txt; days are proleptic ordinals (datetime.date.toordinal)."""

    service: Ints
    runs: Flags  # [n, 7], Monday first
    first_day: Ints
    last_day: Ints


@dataclass(frozen=True, slots=True)
class Exceptions:
    """Rows of calendar_dates.txt."""

    service: Ints
    day: Ints
    kind: Ints  # ADDED or REMOVED


def service_days(services: int, weeks: Weeks, exceptions: Exceptions, anchor: dt.date) -> tuple[dt.date, Flags]:
    """The first day of the table and bool[services, days].

    A table beyond all use is cut: it begins a year before `anchor` and ends when it is full, years after it.
    """
    days = np.concatenate((weeks.first_day, weeks.last_day, exceptions.day))
    if not len(days):
        return anchor, np.zeros((services, 0), dtype=np.bool_)
    first, last = int(days.min()), int(days.max())
    if (last - first + 1) * services > CELLS_MAX:
        first = min(max(first, anchor.toordinal() - DAYS_BEFORE), last)
        last = min(last, first + max(CELLS_MAX // max(services, 1), DAYS_MIN) - 1)
    day = np.arange(first, last + 1)
    runs = np.zeros((services, len(day)), dtype=np.bool_)
    within = (day >= weeks.first_day[:, None]) & (day <= weeks.last_day[:, None])
    weekday = (day - 1) % 7  # ordinal 1 was a Monday
    runs[weeks.service] = weeks.runs[:, weekday] & within
    inside = (exceptions.day >= first) & (exceptions.day <= last)
    for kind, running in ((ADDED, True), (REMOVED, False)):
        rows = inside & (exceptions.kind == kind)
        runs[exceptions.service[rows], exceptions.day[rows] - first] = running
    return dt.date.fromordinal(first), runs
