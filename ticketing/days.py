"""Service days: a city's day starts at its own hour and has 23 or 25 hours where the clocks change."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@lru_cache(maxsize=4096)
def day_bounds_s(day: date, start: time, zone: ZoneInfo) -> tuple[int, int]:
    """The half-open service day [start, next start) in Unix seconds: 23, 24 or 25 hours of the city's clock.

    Where the clocks change at the very hour that starts the day, the first of two such hours counts.
    """
    first = datetime.combine(day, start, zone)
    following = datetime.combine(day + timedelta(days=1), start, zone)
    return int(first.timestamp()), int(following.timestamp())


def service_day(at_s: float, start: time, zone: ZoneInfo) -> date:
    """The service day that holds an instant: before `start` it is still yesterday's."""
    day = datetime.fromtimestamp(at_s, zone).date()
    first_s, following_s = day_bounds_s(day, start, zone)
    if at_s < first_s:
        return day - timedelta(days=1)
    return day if at_s < following_s else day + timedelta(days=1)


def clock_s(day: date, clock: time, start: time, zone: ZoneInfo) -> int:
    """When a clock shows a time within a service day: times before the day's start belong to its late hours."""
    calendar_day = day if clock >= start else day + timedelta(days=1)
    return int(datetime.combine(calendar_day, clock, zone).timestamp())


def week_start(day: date, first_weekday: int) -> date:
    """The first day of the week that holds `day`; first_weekday 0 is Monday."""
    return day - timedelta(days=(day.weekday() - first_weekday) % 7)


def month_start(day: date) -> date:
    """The first day of the calendar month that holds `day`."""
    return day.replace(day=1)
