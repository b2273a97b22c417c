"""Routes, trips, stop times and frequencies of a feed: references resolved, trips that cannot run left out."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dispatch.feed_places import Shapes, Stops
from dispatch.feed_problems import FeedError, Problems
from dispatch.feed_tables import ROW, Table, indices, numbers, seconds, unique
from dispatch.network import Flags, Floats, Ints
from dispatch.network_blocks import name_blocks, number_blocks

BUS = 3  # route_type that stands in for one that is no number
HEADWAY_S_MIN = 15  # no vehicles follow one another closer than this for hours
TRIPS_USABLE_MIN = 0.5  # a feed that loses more than half of its trips is not the city's timetable
COLOR = r"^[0-9A-Fa-f]{6}$"


@dataclass(frozen=True, slots=True)
class Routes:
    """Routes by index; `all_ids` are the same ids for look-ups."""

    all_ids: pl.Series
    route_id: list[str]
    short_name: list[str]
    long_name: list[str]
    route_type: Ints
    color: list[str]
    text_color: list[str]


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
    spoilt: Ints  # trips with a row that cannot be read


@dataclass(frozen=True, slots=True)
class Trips:
    """Trips that can run, with their stop times in CSR form."""

    trip_id: list[str]
    route: Ints
    service: Ints
    direction: Ints
    shape: Ints
    headsign: list[str]
    block: Ints
    block_id: list[str]
    time_start: Ints
    times: StopTimes


@dataclass(frozen=True, slots=True)
class Frequencies:
    """Rows of frequencies.txt of trips that can run."""

    trip: Ints
    start_s: Ints
    end_s: Ints
    headway_s: Ints
    exact: Flags


def read_routes(table: Table) -> Routes:
    """All routes; a type that is no number counts as bus, a colour that is none as none."""
    table = unique(table, "route_id")
    frame = table.frame
    kind = frame["route_type"].cast(pl.Int32, strict=False)
    table.report(
        kind.is_null(), "bad_route_type", "route {route_id} has the route_type {route_type}; it counts as a bus"
    )
    colors = []
    for column in ("route_color", "route_text_color"):
        bad = ~frame[column].str.contains(COLOR).fill_null(value=True)
        table.report(bad, f"bad_{column}", f"route {{route_id}} has the {column} {{{column}}}, which is not RRGGBB")
        colors.append(frame[column].set(bad, None).fill_null("").to_list())
    return Routes(
        all_ids=frame["route_id"],
        route_id=frame["route_id"].to_list(),
        short_name=frame["route_short_name"].fill_null("").to_list(),
        long_name=frame["route_long_name"].fill_null("").to_list(),
        route_type=kind.fill_null(BUS).to_numpy(),
        color=colors[0],
        text_color=colors[1],
    )


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
        spoilt=spoilt,
    )


def read_trips(
    table: Table,
    stop_times: Table,
    refs: tuple[Routes, Stops, Shapes, list[str]],
    rule: re.Pattern[str] | None,
    problems: Problems,
) -> Trips:
    """The trips that can run: known route and service, two calls or more, times at both ends that never go back."""
    routes, stops, shapes, service_id = refs
    table = unique(table, "trip_id")
    frame = table.frame
    times = read_stop_times(stop_times, frame["trip_id"], stops)
    route = indices(frame["route_id"], routes.all_ids)
    service = indices(frame["service_id"], pl.Series(service_id, dtype=pl.String))
    shape = indices(frame["shape_id"], pl.Series(shapes.shape_id, dtype=pl.String))
    _report_references(table, route, service, shape)
    usable = (route >= 0) & (service >= 0)
    usable[times.spoilt] = False
    usable &= _runnable(table, times, usable)
    if not usable.sum() > TRIPS_USABLE_MIN * len(usable) - 1e-9 or not usable.any():
        raise _too_few(int(usable.sum()), len(usable), problems)
    direction = frame["direction_id"].cast(pl.Int32, strict=False).fill_null(0).to_numpy()
    bad = ~np.isin(direction, (0, 1))
    table.report(pl.Series(bad), "bad_direction", "trip {trip_id} has the direction_id {direction_id}; it counts as 0")
    trip_id = frame["trip_id"].to_list()
    block_id, block = number_blocks(name_blocks(trip_id, frame["block_id"].to_list(), rule))
    kept = np.flatnonzero(usable)
    number = np.cumsum(usable, dtype=np.int32) - 1
    used = usable[times.trip]
    counts = np.bincount(number[times.trip[used]], minlength=len(kept))
    return Trips(
        trip_id=[trip_id[trip] for trip in kept.tolist()],
        route=route[kept],
        service=service[kept],
        direction=np.where(bad, 0, direction)[kept].astype(np.int32),
        shape=shape[kept],
        headsign=frame["trip_headsign"].fill_null("").gather(kept).to_list(),
        block=block[kept],
        block_id=block_id,
        time_start=np.concatenate(([0], np.cumsum(counts))).astype(np.int32),
        times=StopTimes(
            times.table,
            times.row[used],
            number[times.trip[used]],
            times.stop[used],
            times.sequence[used],
            times.arrival_s[used],
            times.departure_s[used],
            times.dist[used],
            times.spoilt[:0],
        ),
    )


def read_frequencies(table: Table | None, trip_id: list[str]) -> Frequencies:
    """Rows whose trip can run and whose headway is at least 15 s."""
    if table is None:
        none = np.zeros(0, dtype=np.int32)
        return Frequencies(none, none, none, none, np.zeros(0, dtype=np.bool_))
    frame = table.frame
    trip = indices(frame["trip_id"], pl.Series(trip_id, dtype=pl.String))
    table.report(pl.Series(trip < 0), "unknown_trip", "trip {trip_id} is unknown or was left out; so is the row")
    start, end = seconds(frame["start_time"]), seconds(frame["end_time"])
    headway = frame["headway_secs"].cast(pl.Int32, strict=False)
    bad = ~((end > start) & (headway >= HEADWAY_S_MIN)).fill_null(value=False)
    table.report(
        bad,
        "bad_frequency",
        "trip {trip_id} from {start_time} to {end_time} every {headway_secs} s: "
        f"two times HH:MM:SS in order and at least {HEADWAY_S_MIN} s are needed; the row is left out",
    )
    good = pl.Series(trip >= 0) & ~bad
    return Frequencies(
        trip=trip[good.to_numpy()],
        start_s=start.filter(good).to_numpy(),
        end_s=end.filter(good).to_numpy(),
        headway_s=headway.filter(good).to_numpy(),
        exact=frame["exact_times"].eq_missing("1").filter(good).to_numpy(),
    )


def _report_references(table: Table, route: Ints, service: Ints, shape: Ints) -> None:
    table.report(
        pl.Series(route < 0),
        "unknown_route",
        "trip {trip_id} is of route {route_id}, which is not in routes.txt; it is left out",
    )
    table.report(
        pl.Series(service < 0),
        "unknown_service",
        "trip {trip_id} is of service {service_id}, which is in neither calendar file; it is left out",
    )
    table.report(
        pl.Series(shape < 0) & table.frame["shape_id"].is_not_null(),
        "unknown_shape",
        "trip {trip_id} follows shape {shape_id}, which is not in shapes.txt; straight lines stand in for it",
    )


def _runnable(table: Table, times: StopTimes, usable: Flags) -> Flags:
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


def _too_few(usable: int, trips: int, problems: Problems) -> FeedError:
    worst = next((found for found in problems.list() if found.file in {"trips.txt", "stop_times.txt"}), None)
    if worst is None:
        return FeedError("trips.txt", None, f"{usable} of {trips} trips can be used")
    reason = f"{worst.message} (and only {usable} of the feed's {trips} trips can be used)"
    return FeedError(worst.file, worst.line, reason)
