"""Services of a feed from calendar.txt, calendar_dates.txt or both."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import polars as pl

from dispatch.feed_problems import FeedError
from dispatch.feed_tables import Table, dates, indices, unique
from dispatch.network import Flags
from dispatch.network_calendar import ADDED, REMOVED, Exceptions, Weeks, service_days

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@dataclass(frozen=True, slots=True)
class Services:
    """V services and the days from `first_date` on which they run."""

    service_id: list[str]
    first_date: dt.date
    runs: Flags  # [V, D]


def read_services(calendar: Table | None, exceptions: Table | None, kept: tuple[dt.date, dt.date]) -> Services:
    """All services named in either file; `kept` are the first and last day that a table without end keeps."""
    if calendar is None and exceptions is None:
        raise FeedError("calendar.txt", None, "is missing, and so is calendar_dates.txt; a feed must have one of them")
    ids: list[pl.Series] = []
    if calendar is not None:
        calendar = unique(calendar, "service_id")
        ids.append(calendar.frame["service_id"])
    if exceptions is not None:
        ids.append(exceptions.frame["service_id"].drop_nulls())
    service_id = pl.concat(ids).unique(maintain_order=True).rename("service_id")
    if not len(service_id):
        raise FeedError("calendar.txt", None, "names no service, and neither does calendar_dates.txt")
    weeks, days = _weeks(calendar, service_id), _exceptions(exceptions, service_id)
    first_date, runs = service_days(len(service_id), weeks, days, kept)
    return Services(service_id.to_list(), first_date, runs)


def _weeks(table: Table | None, service_id: pl.Series) -> Weeks:
    if table is None:
        none = np.zeros(0, dtype=np.int32)
        return Weeks(none, np.zeros((0, 7), dtype=np.bool_), none, none)
    frame = table.frame
    first, last = dates(frame["start_date"]), dates(frame["end_date"])
    undated = first.is_null() | last.is_null()
    table.report(
        undated,
        "bad_date",
        "service {service_id} runs from {start_date} to {end_date}, which are not two dates YYYYMMDD; "
        "the row is left out",
    )
    backwards = ~undated & (first > last).fill_null(value=False)
    table.report(
        backwards, "bad_date", "service {service_id} ends on {end_date}, before it begins; the row is left out"
    )
    odd = pl.select(
        pl.any_horizontal(~frame[day].is_in(["0", "1"]).fill_null(value=False) for day in WEEKDAYS)
    ).to_series()
    table.report(odd, "bad_weekday", "service {service_id} has a weekday that is neither 0 nor 1; it counts as 0")
    good = ~undated & ~backwards
    runs = np.stack([frame.filter(good)[day].eq_missing("1").to_numpy() for day in WEEKDAYS], axis=1)
    return Weeks(
        service=indices(frame.filter(good)["service_id"], service_id),
        runs=runs,
        first_day=first.filter(good).to_numpy(),
        last_day=last.filter(good).to_numpy(),
    )


def _exceptions(table: Table | None, service_id: pl.Series) -> Exceptions:
    if table is None:
        none = np.zeros(0, dtype=np.int32)
        return Exceptions(none, none, none)
    frame = table.frame
    day = dates(frame["date"])
    kind = frame["exception_type"].cast(pl.Int32, strict=False)
    good = day.is_not_null() & kind.is_in([ADDED, REMOVED]).fill_null(value=False) & frame["service_id"].is_not_null()
    table.report(
        ~good,
        "bad_exception",
        "service {service_id}, date {date}, exception_type {exception_type}: "
        "a date is YYYYMMDD and the type 1 or 2; the row is left out",
    )
    rows = frame.filter(good)
    return Exceptions(
        service=indices(rows["service_id"], service_id),
        day=day.filter(good).to_numpy(),
        kind=kind.filter(good).to_numpy(),
    )
