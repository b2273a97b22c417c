"""Routes, trips and frequencies of a feed: references resolved, trips that cannot run left out."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import polars as pl

from dispatch.feed_places import Shapes, Stops
from dispatch.feed_problems import FeedError, Problems
from dispatch.feed_tables import Table, indices, seconds, unique
from dispatch.feed_times import StopTimes, keep_trips, read_stop_times, runnable
from dispatch.network import Flags, Floats, Ints, to_plane
from dispatch.network_blocks import name_blocks, number_blocks
from dispatch.network_directions import UNKNOWN, infer_directions

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
    usable &= runnable(table, times, usable)
    if not usable.sum() > TRIPS_USABLE_MIN * len(usable) - 1e-9 or not usable.any():
        raise _too_few(int(usable.sum()), len(usable), problems)
    trip_id = frame["trip_id"].to_list()
    block_id, block = number_blocks(name_blocks(trip_id, frame["block_id"].to_list(), rule))
    kept = np.flatnonzero(usable)
    kept_times = keep_trips(times, usable)
    counts = np.bincount(kept_times.trip, minlength=len(kept))
    time_start = np.concatenate(([0], np.cumsum(counts))).astype(np.int32)
    lead_m = _leads(stops, kept_times.stop[time_start[:-1]], kept_times.stop[time_start[1:] - 1])
    return Trips(
        trip_id=[trip_id[trip] for trip in kept.tolist()],
        route=route[kept],
        service=service[kept],
        direction=infer_directions(_directions(table)[kept], route[kept], lead_m),
        shape=shape[kept],
        headsign=frame["trip_headsign"].fill_null("").gather(kept).to_list(),
        block=block[kept],
        block_id=block_id,
        time_start=time_start,
        times=kept_times,
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


def _directions(table: Table) -> Ints:
    """0 or 1, or unknown where a trip states none; anything else is reported and counts as 0."""
    given = table.frame["direction_id"]
    direction = given.cast(pl.Int32, strict=False)
    bad = given.is_not_null() & ~direction.is_in([0, 1]).fill_null(value=False)
    table.report(bad, "bad_direction", "trip {trip_id} has the direction_id {direction_id}; it counts as 0")
    return direction.set(bad, 0).fill_null(UNKNOWN).to_numpy()


def _leads(stops: Stops, first: Ints, last: Ints) -> Floats:
    """Metres east and north from each trip's first stop to its last, [trips, 2]."""
    middle = float(np.median(stops.lat_deg)), float(np.median(stops.lon_deg))
    places_m = np.stack(to_plane(middle, stops.lat_deg, stops.lon_deg), axis=1)
    return np.asarray(places_m[last] - places_m[first])


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


def _too_few(usable: int, trips: int, problems: Problems) -> FeedError:
    worst = next((found for found in problems.list() if found.file in {"trips.txt", "stop_times.txt"}), None)
    if worst is None:
        return FeedError("trips.txt", None, f"{usable} of {trips} trips can be used")
    reason = f"{worst.message} (and only {usable} of the feed's {trips} trips can be used)"
    return FeedError(worst.file, worst.line, reason)
