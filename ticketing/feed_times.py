"""When fares of a GTFS feed hold: timeframes.txt with the calendars that it names, and the clocks of the city."""

from __future__ import annotations

import re
from datetime import date
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ticketing.errors import TariffError
from ticketing.fare_rules import Timeframe
from ticketing.feed_rows import FareFiles, Row

_DAY_S = 86_400
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_TIME = re.compile(r"([0-9]{1,2}):([0-5][0-9]):([0-5][0-9])")
_DATE = re.compile(r"[0-9]{8}")


class _Service(NamedTuple):
    """The days of a service_id: weekdays between two dates (both included), plus added ones, without removed ones."""

    weekdays: frozenset[int]
    first: date
    last: date
    added: frozenset[date]
    removed: frozenset[date]


def timeframes(feed: FareFiles) -> dict[str, tuple[Timeframe, ...]]:
    """The timeframe groups; only calendars that they name are looked at. TariffError names what is wrong."""
    table = feed["timeframes.txt"]
    named = table.ids("service_id") if table.rows else frozenset()
    services = _services(feed, named) if named else {}
    frames: dict[str, list[Timeframe]] = {}
    spans: dict[tuple[str, str], list[tuple[int, int, int]]] = {}
    for row in table:
        group, service = row.need("timeframe_group_id"), row.need("service_id")
        if bool(row.get("start_time")) != bool(row.get("end_time")):
            row.fail("start_time", "give both start_time and end_time, or neither for the whole day")
        start_s, end_s = _clock(row, "start_time", 0), _clock(row, "end_time", _DAY_S)
        if service not in services:
            row.fail("service_id", f"{service!r} is neither in calendar.txt nor in calendar_dates.txt: add it to one")
        if start_s >= end_s:
            row.fail("end_time", "it is not after start_time: write a night as two rows, to 24:00:00 and from 00:00:00")
        taken = spans.setdefault((group, service), [])
        for start, end, line in taken:
            if start_s < end and start < end_s:
                row.fail("start_time", f"it overlaps line {line}, of the same {group!r} and {service!r}: part them")
        taken.append((start_s, end_s, row.line))
        frames.setdefault(group, []).append(Timeframe(start_s, end_s, *services[service]))
    return {group: tuple(rows) for group, rows in frames.items()}


def agency_zone(feed: FareFiles, timezone: str | None) -> ZoneInfo:
    """The feed's time zone, that of its first agency; timezone stands in where agency.txt is not given."""
    for row in feed["agency.txt"]:
        return named_zone(row.need("agency_timezone"), row, "agency_timezone")
    if timezone is None:
        raise TariffError("agency.txt: the feed has none with an agency_timezone: name the city's time zone")
    return named_zone(timezone, Row("time zone given for the feed", 0, {}), "timezone")


def named_zone(name: str, row: Row, field_: str) -> ZoneInfo:
    """A time zone by its name; TariffError names the row where there is none."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        row.fail(field_, f"{name!r} is no time zone: write a name such as Europe/Kyiv")


def _services(feed: FareFiles, named: frozenset[str]) -> dict[str, _Service]:
    weeks: dict[str, Row] = {}
    for row in feed["calendar.txt"]:
        service = row.get("service_id")
        if service in named and weeks.setdefault(service, row) is not row:
            row.fail("service_id", f"{service!r} is there twice, first in line {weeks[service].line}: leave one out")
    changes: dict[str, dict[date, bool]] = {}
    for row in feed["calendar_dates.txt"]:
        service = row.get("service_id")
        if service in named:
            day, runs = _date(row, "date"), row.one_of("exception_type", "12") == 1
            if changes.setdefault(service, {}).setdefault(day, runs) != runs:
                row.fail("date", f"{service!r} is both added and removed on this day: leave one of the rows out")
    return {service: _service(weeks.get(service), changes.get(service, {})) for service in sorted({*weeks, *changes})}


def _service(week: Row | None, changes: dict[date, bool]) -> _Service:
    weekdays: frozenset[int] = frozenset()
    first = last = date.min
    if week is not None:
        weekdays = frozenset(number for number, name in enumerate(_WEEKDAYS) if week.one_of(name, "01"))
        first, last = _date(week, "start_date"), _date(week, "end_date")
        if last < first:
            week.fail("end_date", "it is before start_date, so the service never runs: correct one of them")
    added = frozenset(day for day, runs in changes.items() if runs)
    return _Service(weekdays, first, last, added, frozenset(changes) - added)


def _clock(row: Row, field_: str, default: int) -> int:
    text = row.get(field_)
    if not text:
        return default
    parts = _TIME.fullmatch(text)
    seconds = int(parts[1]) * 3600 + int(parts[2]) * 60 + int(parts[3]) if parts else _DAY_S + 1
    if seconds > _DAY_S:
        row.fail(field_, f"write a time from 00:00:00 to 24:00:00, not {text!r}")
    return seconds


def _date(row: Row, field_: str) -> date:
    text = row.need(field_)
    try:
        if _DATE.fullmatch(text):
            return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        pass
    return row.fail(field_, f"write a date YYYYMMDD, not {text!r}")
