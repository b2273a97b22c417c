"""On which days each service runs: weekly patterns between two dates, and the exceptions to them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np

from dispatch.network import Flags, Ints

CELLS_MAX = 2_000_000  # services x days: one byte each; some feeds say that they are valid until 2099
DAYS_BEFORE, DAYS_AFTER = 366, 730  # what is kept around today even then
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


def days_kept(today: dt.date, feed_start_date: dt.date | None) -> tuple[dt.date, dt.date]:
    """What a calendar must not lose: a year back and two years ahead, and the feed's own start if it is recent."""
    before, after = dt.timedelta(days=DAYS_BEFORE), dt.timedelta(days=DAYS_AFTER)
    if feed_start_date is None or abs(feed_start_date - today) > 10 * before:
        return today - before, today + after
    return min(today - before, feed_start_date), max(today, feed_start_date) + after


def service_days(
    services: int, weeks: Weeks, exceptions: Exceptions, kept: tuple[dt.date, dt.date]
) -> tuple[dt.date, Flags]:
    """The first day of the table and bool[services, days].

    A table beyond all use is cut; the days from the first to the last of `kept` stay in it, and as many after them
    as there is room for.
    """
    days = np.concatenate((weeks.first_day, weeks.last_day, exceptions.day))
    if not len(days):
        return kept[0], np.zeros((services, 0), dtype=np.bool_)
    first, last = int(days.min()), int(days.max())
    if (last - first + 1) * services > CELLS_MAX:
        room = max(CELLS_MAX // max(services, 1), DAYS_BEFORE)
        if kept[0].toordinal() <= last:
            first = max(first, kept[0].toordinal())
            last = min(last, max(first + room - 1, kept[1].toordinal()))
        else:  # all of it is past: its beginning serves as well as any part
            last = min(last, first + room - 1)
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
