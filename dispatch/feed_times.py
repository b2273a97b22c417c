"""Stop times of a feed: rows resolved and ordered, and the trips found that cannot run by them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dispatch.feed_places import Stops
from dispatch.feed_tables import ROW, Table, indices, numbers, seconds
from dispatch.network import Flags, Floats, Ints


@dataclass(frozen=True, slots=True)
class StopTimes:
    """Rows of stop_times.txt whose trip and stop are known, ordered by trip and stop_sequence."""

    table: Table
    row: Ints  # the row's number in the file
    trip: Ints  # into trips.txt without its duplicates
    stop: Ints
    sequence: Ints
    arrival_s: Ints  # -1 where open
    departure_s: Ints
    dist: Floats
    timed: Flags  # a timepoint: vehicles do not leave it early
    spoilt: Ints  # trips with a row that cannot be read


def read_stop_times(table: Table, trip_id: pl.Series, stops: Stops) -> StopTimes:
    """All rows that name a known trip and a stop with a place; trips with an unreadable row are noted."""
    frame = table.frame
    trip = indices(frame["trip_id"], trip_id)
    stop = indices(frame["stop_id"], pl.Series(stops.stop_id, dtype=pl.String))
    table.report(pl.Series(trip < 0), "unknown_trip", "trip {trip_id} is not in trips.txt; the row is left out")
    strange = (trip >= 0) & (stop < 0) & (indices(frame["stop_id"], stops.all_ids) < 0)
    table.report(
        pl.Series(strange),
        "unknown_stop",
        "trip {trip_id} calls at stop {stop_id}, which is not in stops.txt; the call is left out",
    )
    arrival, departure, untimed = _clock_times(table)
    sequence = frame["stop_sequence"].cast(pl.Int32, strict=False)
    unordered = sequence.is_null() | (sequence < 0)
    table.report(
        unordered, "bad_sequence", "trip {trip_id} has the stop_sequence {stop_sequence}; the trip is left out"
    )
    known = pl.Series((trip >= 0) & (stop >= 0))
    spoilt = np.unique(trip[(untimed | unordered).to_numpy() & (trip >= 0)])
    rows = pl.DataFrame(
        {
            "row": frame[ROW].cast(pl.Int32),
            "trip": trip,
            "stop": stop,
            "sequence": sequence.fill_null(-1),
            "arrival": pl.select(pl.coalesce(arrival, departure)).to_series().fill_null(-1),
            "departure": pl.select(pl.coalesce(departure, arrival)).to_series().fill_null(-1),
            "dist": numbers(frame["shape_dist_traveled"]).fill_null(float("nan")),
            "timed": frame["timepoint"].eq_missing("1"),
        }
    )
    rows = rows.filter(known).sort("trip", "sequence", "row")
    return StopTimes(
        table=table,
        row=rows["row"].to_numpy(),
        trip=rows["trip"].to_numpy(),
        stop=rows["stop"].to_numpy(),
        sequence=rows["sequence"].to_numpy(),
        arrival_s=rows["arrival"].to_numpy(),
        departure_s=rows["departure"].to_numpy(),
        dist=rows["dist"].to_numpy(),
        timed=rows["timed"].to_numpy(),
        spoilt=spoilt,
    )


def _clock_times(table: Table) -> tuple[pl.Series, pl.Series, pl.Series]:
    """Arrivals and departures, seconds or null where open, and which rows name a time that is none."""
    frame = table.frame
    arrival = seconds(frame["arrival_time"])
    same = frame["arrival_time"].equals(frame["departure_time"])
    departure = arrival if same else seconds(frame["departure_time"])
    untimed = (arrival.is_null() & frame["arrival_time"].is_not_null()) | (
        departure.is_null() & frame["departure_time"].is_not_null()
    )
    table.report(
        untimed,
        "bad_time",
        "trip {trip_id} arrives at {arrival_time} and departs at {departure_time}, which are not two times HH:MM:SS; "
        "the trip is left out",
    )
    return arrival, departure, untimed


def runnable(table: Table, times: StopTimes, usable: Flags) -> Flags:
    """Which trips can run by their stop times; of the others, those not refused before are reported."""
    trips = len(usable)
    counts = np.bincount(times.trip, minlength=trips)
    short = counts < 2
    table.report(
        pl.Series(short & usable), "too_few_stops", "trip {trip_id} calls at fewer than two stops; it is left out"
    )
    same = times.trip[1:] == times.trip[:-1]
    ends = np.concatenate(([True], ~same)) | np.concatenate((~same, [True]))
    twice = np.flatnonzero(same & (times.sequence[1:] == times.sequence[:-1])) + 1
    open_ends = np.flatnonzero(ends[: len(times.trip)] & (times.arrival_s < 0))
    good = ~short
    faults = (
        (twice, "duplicate_sequence", "trip {trip_id} has the stop_sequence {stop_sequence} twice; it is left out"),
        (open_ends, "open_end", "trip {trip_id} has no time at its first or last stop; it is left out"),
        (_backwards(times), "decreasing_times", "trip {trip_id} goes back in time to {arrival_time}; it is left out"),
    )
    for rows, code, message in faults:
        fresh = rows[(usable & good)[times.trip[rows]]]
        if len(fresh):
            first = fresh[np.argmin(times.row[fresh])]
            times.table.report_row(int(times.row[first]), code, message, len(np.unique(times.trip[fresh])))
        good[times.trip[rows]] = False
    return good


def _backwards(times: StopTimes) -> NDArray[np.intp]:
    """Rows that arrive before the last known departure of their trip, or depart before they arrive."""
    known = np.flatnonzero(times.arrival_s >= 0)
    trip, arrival_s, departure_s = times.trip[known], times.arrival_s[known], times.departure_s[known]
    early = (trip[1:] == trip[:-1]) & (arrival_s[1:] < departure_s[:-1])
    return known[np.concatenate((np.zeros(min(len(known), 1), dtype=bool), early)) | (departure_s < arrival_s)]


def keep_trips(times: StopTimes, usable: Flags) -> StopTimes:
    """The rows of usable trips; trips are numbered anew."""
    number = np.cumsum(usable, dtype=np.int32) - 1
    used = usable[times.trip]
    return StopTimes(
        table=times.table,
        row=times.row[used],
        trip=number[times.trip[used]],
        stop=times.stop[used],
        sequence=times.sequence[used],
        arrival_s=times.arrival_s[used],
        departure_s=times.departure_s[used],
        dist=times.dist[used],
        timed=times.timed[used],
        spoilt=times.spoilt[:0],
    )
