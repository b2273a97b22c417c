"""Weeks, exceptions and calendars without end."""

import datetime as dt

import numpy as np

from dispatch.network_calendar import CELLS_MAX, Exceptions, Weeks, days_kept, service_days

MONDAY = dt.date(2026, 1, 5)
NONE = Exceptions(*(np.zeros(0, dtype=np.int32) for _ in range(3)))


AROUND = days_kept(MONDAY, None)


def weeks(first: dt.date, last: dt.date, *runs: list[int]) -> Weeks:
    count = len(runs)
    return Weeks(
        service=np.arange(count, dtype=np.int32),
        runs=np.array(runs, dtype=bool),
        first_day=np.full(count, first.toordinal(), dtype=np.int32),
        last_day=np.full(count, last.toordinal(), dtype=np.int32),
    )


def test_runs_on_its_weekdays_between_its_dates() -> None:
    first, runs = service_days(1, weeks(dt.date(2026, 1, 8), dt.date(2026, 1, 13), [1, 0, 0, 0, 1, 0, 1]), NONE, AROUND)
    assert first == dt.date(2026, 1, 8)  # a Thursday
    assert runs.tolist() == [[False, True, False, True, True, False]]


def test_exceptions_add_and_remove_days_outside_the_dates_too() -> None:
    day = MONDAY.toordinal()
    exceptions = Exceptions(
        service=np.array([0, 0], dtype=np.int32),
        day=np.array([day + 1, day + 4], dtype=np.int32),
        kind=np.array([2, 1], dtype=np.int32),
    )
    _, runs = service_days(1, weeks(MONDAY, MONDAY + dt.timedelta(days=2), [1, 1, 1, 1, 1, 1, 1]), exceptions, AROUND)
    assert runs.tolist() == [[True, False, True, False, True]]


def test_a_calendar_to_the_end_of_time_is_kept_around_the_anchor() -> None:
    services = 1_000
    every = weeks(dt.date(1990, 1, 1), dt.date(9999, 12, 31), *[[1] * 7] * services)
    first, runs = service_days(services, every, NONE, AROUND)
    assert runs.size <= CELLS_MAX
    assert first <= MONDAY - dt.timedelta(days=365)
    assert first + dt.timedelta(days=runs.shape[1]) > MONDAY + dt.timedelta(days=700)
    assert runs.all()


def test_the_feeds_own_start_is_kept_unless_it_is_absurd() -> None:
    years_ago = MONDAY - dt.timedelta(days=1_000)
    assert days_kept(MONDAY, years_ago) == (years_ago, MONDAY + dt.timedelta(days=730))
    assert days_kept(MONDAY, dt.date(1900, 1, 1)) == days_kept(MONDAY, dt.date(9999, 1, 1)) == AROUND
    services = 3_000
    every = weeks(dt.date(1990, 1, 1), dt.date(9999, 12, 31), *[[1] * 7] * services)
    first, runs = service_days(services, every, NONE, days_kept(MONDAY, years_ago))
    assert (first, runs.shape[1]) == (years_ago, 1_731)


def test_a_long_calendar_of_the_past_keeps_its_beginning() -> None:
    services = 2_000
    every = weeks(dt.date(2008, 1, 1), dt.date(2012, 12, 31), *[[1] * 7] * services)
    first, runs = service_days(services, every, NONE, AROUND)
    assert (first, runs.shape[1]) == (dt.date(2008, 1, 1), CELLS_MAX // services)


def test_no_service_at_all() -> None:
    first, runs = service_days(0, Weeks(NONE.service, np.zeros((0, 7), bool), NONE.day, NONE.day), NONE, AROUND)
    assert (first, runs.shape) == (AROUND[0], (0, 0))
