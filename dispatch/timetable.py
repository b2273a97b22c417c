"""What runs when, and where it should be: questions asked of a network's timetable, answered for whole columns.

A *run* is one trip on one service day; a trip of frequencies.txt has one run for each of its departures, and `offset_s`
says how much later than its own stop times a run goes (0 for all other trips).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from dispatch.network import Flags, Floats, Ints, Network

DAYS_SHOWN = 14  # how far `takt network` and the search for the busiest day look ahead
WEEKDAYS = range(5)
AT_ONCE_MAX = 2048  # values compared in one step: from there on a bisection is quicker


@dataclass(frozen=True, slots=True)
class Runs:
    """N runs of one or more service days, in the order of their departure; instants are Unix seconds."""

    dates: tuple[dt.date, ...]
    day_start_s: Floats  # [dates]
    day: Ints  # [N] into dates
    trip: Ints  # [N]
    offset_s: Ints  # [N] to be added to the trip's own times
    start_s: Floats  # [N] departure from the first stop
    end_s: Floats  # [N] arrival at the last stop

    def __len__(self) -> int:
        return len(self.trip)

    def take(self, rows: NDArray[np.intp] | Flags) -> Runs:
        """The runs at `rows`, in that order."""
        return replace(
            self,
            day=self.day[rows],
            trip=self.trip[rows],
            offset_s=self.offset_s[rows],
            start_s=self.start_s[rows],
            end_s=self.end_s[rows],
        )


@dataclass(frozen=True, slots=True)
class Blocks:
    """B blocks of one service day: runs `start[i]:start[i + 1]` are what one vehicle does, in order of departure."""

    block: Ints  # [B] BlockIdx, -1 for a run that belongs to no block and stands for one
    start: Ints  # [B + 1] into runs
    runs: Runs

    def __len__(self) -> int:
        return len(self.block)


def services_on(network: Network, date: dt.date) -> Flags:
    """Which services run on `date`: bool[V]; none on a day that the feed says nothing about."""
    day = (date - network.first_date).days
    if not 0 <= day < network.service_runs.shape[1]:
        return np.zeros(len(network.service_id), dtype=np.bool_)
    return np.asarray(network.service_runs[:, day])


def trips_on(network: Network, date: dt.date) -> Ints:
    """The trips of `date`'s services, in the feed's order; a trip of frequencies.txt stands once."""
    return np.flatnonzero(services_on(network, date)[network.trip_service]).astype(np.int32)


def trip_ends_s(network: Network) -> tuple[Ints, Ints]:
    """First departure and last arrival of each trip, seconds after the service day's start: int32[T] twice."""
    return network.departure_s[network.trip_time_start[:-1]], network.arrival_s[network.trip_time_start[1:] - 1]


def runs_on(network: Network, date: dt.date) -> Runs:
    """All runs of `date`'s service day, those after midnight included, in the order of their departure."""
    trips = trips_on(network, date)
    plain = trips[~np.isin(trips, network.frequency_trip)]
    frequent, frequent_offset_s = _expand_frequencies(network, services_on(network, date))
    trip = np.concatenate((plain, frequent))
    offset_s = np.concatenate((np.zeros(len(plain), dtype=np.int32), frequent_offset_s))
    first_s, last_s = trip_ends_s(network)
    day_start_s = network.day_start_s(date)
    moved_s = day_start_s + offset_s.astype(np.float64)
    runs = Runs(
        dates=(date,),
        day_start_s=np.array([day_start_s]),
        day=np.zeros(len(trip), dtype=np.int32),
        trip=trip,
        offset_s=offset_s,
        start_s=moved_s + first_s[trip],
        end_s=moved_s + last_s[trip],
    )
    return runs.take(np.lexsort((trip, runs.start_s)))


def running_at(network: Network, at_s: float) -> Runs:
    """Every run under way at the instant `at_s`, whatever service day it belongs to: start <= at_s <= end.

    Yesterday's service may go on past midnight, and a day whose clocks change begins an hour early.
    """
    today = service_date(network, at_s)
    _, last_s = trip_ends_s(network)
    latest_s = int(last_s.max(initial=0)) + int(network.frequency_end_s.max(initial=0))
    days_back = 1 + latest_s // 86_400
    under_way = []
    for days in range(-days_back, 2):
        runs = runs_on(network, today + dt.timedelta(days=days))
        under_way.append(runs.take((runs.start_s <= at_s) & (at_s <= runs.end_s)))
    return join(under_way)


def join(parts: list[Runs]) -> Runs:
    """The runs of all parts as one, in the order of their departure."""
    shift = np.cumsum([0] + [len(part.dates) for part in parts])
    runs = Runs(
        dates=tuple(date for part in parts for date in part.dates),
        day_start_s=np.concatenate([part.day_start_s for part in parts]),
        day=np.concatenate([part.day + by for part, by in zip(parts, shift[:-1], strict=True)]).astype(np.int32),
        trip=np.concatenate([part.trip for part in parts]),
        offset_s=np.concatenate([part.offset_s for part in parts]),
        start_s=np.concatenate([part.start_s for part in parts]),
        end_s=np.concatenate([part.end_s for part in parts]),
    )
    return runs.take(np.lexsort((runs.trip, runs.start_s)))


def blocks_on(network: Network, date: dt.date) -> Blocks:
    """What each vehicle does on `date`; a run without a block, or of a frequency, is a vehicle's work by itself."""
    runs = runs_on(network, date)
    block = network.trip_block[runs.trip]
    alone = (block < 0) | np.isin(runs.trip, network.frequency_trip)
    key = np.where(alone, len(network.block_id) + np.arange(len(runs)), block)
    order = np.lexsort((runs.start_s, key))
    key = key[order]
    first = np.flatnonzero(np.diff(key, prepend=-1))
    owner = key[first]
    return Blocks(
        block=np.where(owner < len(network.block_id), owner, -1).astype(np.int32),
        start=np.append(first, len(key)).astype(np.int32),
        runs=runs.take(order),
    )


def service_date(network: Network, at_s: float) -> dt.date:
    """The calendar date of the timetable, in the feed's time zone, at the instant `at_s` (Unix seconds)."""
    return dt.datetime.fromtimestamp(at_s - network.shift_s, ZoneInfo(network.timezone)).date()


def move_to(network: Network, date: dt.date, time_s: float, now_s: float) -> Network:
    """The same network with its timetable moved so that `time_s` seconds into `date`'s service day is `now_s`."""
    unmoved = replace(network, shift_s=0.0)
    return replace(network, shift_s=now_s - (unmoved.day_start_s(date) + time_s))


def first_day_shown(network: Network, today: dt.date) -> dt.date:
    """The feed's own start where it names one, else today while the feed is valid, else the first day of service."""
    if network.feed_start_date is not None:
        return network.feed_start_date
    served = np.flatnonzero(network.service_runs.any(axis=0))
    if not len(served):
        return network.first_date
    first, last = (network.first_date + dt.timedelta(days=int(served[i])) for i in (0, -1))
    return today if first <= today <= last else first


def busiest_weekday(network: Network, from_date: dt.date) -> dt.date | None:
    """The first of the 14 days from `from_date`, Monday to Friday, with the most runs.

    Where nothing runs on them, the 14 days from the next weekday with service count, or from the first of all; None
    when nothing ever runs from Monday to Friday.
    """
    served = [network.first_date + dt.timedelta(days=int(n)) for n in np.flatnonzero(network.service_runs.any(axis=0))]
    served = [day for day in served if day.weekday() in WEEKDAYS]
    later = [day for day in served if day >= from_date]
    for first in (from_date, *later[:1], *served[:1]):
        days = [first + dt.timedelta(days=n) for n in range(DAYS_SHOWN)]
        runs = {day: len(runs_on(network, day)) for day in days if day.weekday() in WEEKDAYS}
        busiest = max(runs, key=lambda day: runs[day])
        if runs[busiest]:
            return busiest
    return None


def scheduled_at(network: Network, trip: Ints, along_m: Floats) -> Floats:
    """When each trip should be `along_m` metres along its path: seconds after the service day's start, float64[n].

    Linear in distance between the departure from a stop and the arrival at the next; at a stop it is the departure
    (at the last, the arrival), before the first and after the last stop the time at that stop.
    """
    stop_row, time_row, stops = _rows(network, trip)
    k = _last_not_above(network.pattern_stop_along_m, stop_row, stops, along_m)
    last = k >= stops - 1
    after = np.minimum(k + 1, stops - 1)
    here_m, there_m = network.pattern_stop_along_m[stop_row + k], network.pattern_stop_along_m[stop_row + after]
    leave_s = np.where(last, network.arrival_s[time_row + k], network.departure_s[time_row + k])
    share = _share(along_m - here_m, there_m - here_m)
    due_s: Floats = np.where(last, leave_s, leave_s + share * (network.arrival_s[time_row + after] - leave_s))
    return due_s


def scheduled_place(network: Network, trip: Ints, time_s: Floats) -> Floats:
    """Where each trip should be `time_s` seconds after the service day's start: metres along its path, float64[n].

    The inverse of `scheduled_at`: a trip waits at a stop from arrival to departure, and at both ends for ever.
    """
    stop_row, time_row, stops = _rows(network, trip)
    k = _last_not_above(network.arrival_s, time_row, stops, time_s)
    after = np.minimum(k + 1, stops - 1)
    leave_s = network.departure_s[time_row + k]
    here_m, there_m = network.pattern_stop_along_m[stop_row + k], network.pattern_stop_along_m[stop_row + after]
    share = _share(time_s - leave_s, (network.arrival_s[time_row + after] - leave_s).astype(np.float64))
    along_m: Floats = here_m + share * (there_m - here_m)
    return along_m


def point_at(network: Network, path: Ints, along_m: Floats) -> tuple[Floats, Floats]:
    """The points `along_m` metres along each path: metres east and north of the network's origin, float64[n] twice."""
    row, points = network.path_start[path], np.diff(network.path_start)[path]
    k = _last_not_above(network.point_along_m, row, points, along_m)
    here, there = row + k, row + np.minimum(k + 1, points - 1)
    share = _share(along_m - network.point_along_m[here], network.point_along_m[there] - network.point_along_m[here])
    x_m = network.point_x_m[here] + share * (network.point_x_m[there] - network.point_x_m[here])
    y_m = network.point_y_m[here] + share * (network.point_y_m[there] - network.point_y_m[here])
    return x_m, y_m


def _rows(network: Network, trip: Ints) -> tuple[Ints, Ints, Ints]:
    pattern = network.trip_pattern[trip]
    start = network.pattern_stop_start[pattern]
    return start, network.trip_time_start[trip], network.pattern_stop_start[pattern + 1] - start


def _share(part: Floats, whole: Floats) -> Floats:
    """Part of the whole, within 0 and 1; 0 of nothing."""
    share = np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)
    return np.minimum(np.maximum(share, 0.0), 1.0)


def _last_not_above(
    values: NDArray[np.float64] | NDArray[np.int32], row: Ints, length: Ints, sought: Floats
) -> NDArray[np.intp]:
    """For each i the greatest k with values[row[i] + k] <= sought[i], at least 0: a bisection of all rows at once.

    It sets the bits of k, the highest first. Few rows are compared with all their values instead: that is one step.
    """
    longest = int(length.max(initial=1))
    if len(row) * longest <= AT_ONCE_MAX:
        nth = np.arange(longest)
        below = values.take(row[:, None] + nth, mode="clip") <= sought[:, None]
        last: NDArray[np.intp] = np.count_nonzero(below & (nth < length[:, None]), axis=1) - 1
        return np.maximum(last, 0)
    found = np.zeros(len(row), dtype=np.intp)
    for bit in reversed(range((longest - 1).bit_length())):
        further = found + (1 << bit)
        below = (further < length) & (values.take(row + further, mode="clip") <= sought)
        found = np.where(below, further, found)
    return found


def _expand_frequencies(network: Network, running: Flags) -> tuple[Ints, Ints]:
    """Trip and offset of each departure of frequencies.txt whose service is running."""
    rows = np.flatnonzero(running[network.trip_service[network.frequency_trip]])
    start_s, headway_s = network.frequency_start_s[rows], network.frequency_headway_s[rows]
    departures = -(-(network.frequency_end_s[rows] - start_s) // headway_s)  # the end itself is no departure
    row = np.repeat(np.arange(len(rows)), departures)
    nth = np.arange(len(row)) - np.repeat(np.cumsum(departures) - departures, departures)
    trip = network.frequency_trip[rows][row]
    first_s = network.departure_s[network.trip_time_start[trip]]
    return trip, (start_s[row] + nth * headway_s[row] - first_s).astype(np.int32)
