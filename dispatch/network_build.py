"""From the checked columns of a feed to a network: distinct paths, patterns, places of stops, times without gaps."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from dispatch.feed_problems import Problem, Problems
from dispatch.network import Flags, Floats, Ints, Network, to_plane
from dispatch.network_geometry import Paths, StopRows, along, place_stops

# A shape that passes its stops at 500 m on average belongs to other stops: straight lines are nearer the truth.
MISFIT_M = 500.0


@dataclass(frozen=True, slots=True)
class FeedColumns:
    """A feed whose references hold: every index is valid, every trip has two stops or more and its ends have times."""

    feed_version: str
    timezone: str
    feed_start_date: dt.date | None

    route_id: list[str]
    route_short_name: list[str]
    route_long_name: list[str]
    route_type: Ints
    route_color: list[str]
    route_text_color: list[str]

    stop_id: list[str]
    stop_name: list[str]
    stop_lat_deg: Floats
    stop_lon_deg: Floats

    shape_id: list[str]
    shape_start: Ints  # [shapes + 1]
    shape_lat_deg: Floats
    shape_lon_deg: Floats

    trip_id: list[str]
    trip_route: Ints
    trip_service: Ints
    trip_direction: Ints
    trip_shape: Ints  # -1 for none
    trip_headsign: list[str]
    trip_block: Ints  # -1 for none
    block_id: list[str]

    time_start: Ints  # [trips + 1] into the columns below, ordered by stop_sequence
    time_stop: Ints
    time_sequence: Ints
    time_arrival_s: Ints  # -1 where the feed leaves it open
    time_departure_s: Ints
    time_dist: Floats  # shape_dist_traveled in the feed's own unit, nan where there is none
    time_timed: Flags  # timepoint is 1

    frequency_trip: Ints
    frequency_start_s: Ints
    frequency_end_s: Ints
    frequency_headway_s: Ints
    frequency_exact: Flags

    service_id: list[str]
    first_date: dt.date
    service_runs: Flags


def build_network(feed: FeedColumns, problems: Problems) -> Network:
    """The network of a feed; shapes that do not fit their stops are reported and replaced by straight lines."""
    origin = float(np.median(feed.stop_lat_deg)), float(np.median(feed.stop_lon_deg))
    stop_x_m, stop_y_m = to_plane(origin, feed.stop_lat_deg, feed.stop_lon_deg)
    shapes, path_of_shape = _distinct_shapes(feed, origin)
    trip_pattern, patterns = _patterns(feed, path_of_shape)
    rows = _stop_rows(feed, patterns, stop_x_m, stop_y_m)
    pattern_path, place_m, paths, drawn = _place(feed, patterns, rows, shapes, problems)
    arrival_s, departure_s = fill_times(feed, place_m, patterns.stop_start[trip_pattern])
    return Network(
        feed_version=feed.feed_version,
        timezone=feed.timezone,
        origin_lat_deg=origin[0],
        origin_lon_deg=origin[1],
        route_id=feed.route_id,
        route_short_name=feed.route_short_name,
        route_long_name=feed.route_long_name,
        route_type=feed.route_type,
        route_color=feed.route_color,
        route_text_color=feed.route_text_color,
        stop_id=feed.stop_id,
        stop_name=feed.stop_name,
        stop_lat_deg=feed.stop_lat_deg,
        stop_lon_deg=feed.stop_lon_deg,
        path_start=paths.start,
        point_x_m=paths.x_m,
        point_y_m=paths.y_m,
        point_along_m=paths.along_m,
        pattern_id=_pattern_ids(feed, patterns, paths, pattern_path),
        pattern_route=patterns.route,
        pattern_direction=patterns.direction,
        pattern_path=pattern_path,
        pattern_headsign=patterns.headsign,
        pattern_drawn=drawn,
        pattern_stop_start=patterns.stop_start,
        pattern_stop=patterns.stop,
        pattern_stop_along_m=place_m,
        trip_id=feed.trip_id,
        trip_pattern=trip_pattern,
        trip_service=feed.trip_service,
        trip_block=feed.trip_block,
        trip_headsign=feed.trip_headsign,
        trip_time_start=feed.time_start,
        arrival_s=arrival_s,
        departure_s=departure_s,
        trip_stop_sequence=feed.time_sequence,
        frequency_trip=feed.frequency_trip,
        frequency_start_s=feed.frequency_start_s,
        frequency_end_s=feed.frequency_end_s,
        frequency_headway_s=feed.frequency_headway_s,
        frequency_exact=feed.frequency_exact,
        service_id=feed.service_id,
        first_date=feed.first_date,
        service_runs=feed.service_runs,
        block_id=feed.block_id,
        feed_start_date=feed.feed_start_date,
        pattern_stop_timed=_timed(feed, patterns, trip_pattern),
    )


@dataclass(frozen=True, slots=True)
class _Patterns:
    """P patterns in the order of their first trip; `path` is -1 where no shape is given."""

    route: Ints
    direction: Ints
    path: Ints
    first_trip: Ints
    headsign: list[str]
    stop_start: Ints
    stop: Ints


def _distinct_shapes(feed: FeedColumns, origin: tuple[float, float]) -> tuple[Paths, Ints]:
    """The different geometries among the shapes, and which of them each shape is; -1 for one that is a mere point."""
    x_m, y_m = to_plane(origin, feed.shape_lat_deg, feed.shape_lon_deg)
    seen: dict[bytes, int] = {}
    path_of_shape = np.full(len(feed.shape_id), -1, dtype=np.int32)
    kept: list[int] = []
    for shape, (first, end) in enumerate(
        zip(feed.shape_start[:-1].tolist(), feed.shape_start[1:].tolist(), strict=True)
    ):
        if end - first < 2 or (np.ptp(x_m[first:end]) == 0 and np.ptp(y_m[first:end]) == 0):
            continue
        points = x_m[first:end].tobytes() + y_m[first:end].tobytes()
        path = path_of_shape[shape] = seen.setdefault(points, len(seen))
        if path == len(kept):
            kept.append(shape)
    counts = np.diff(feed.shape_start)[kept]
    start = np.concatenate(([0], np.cumsum(counts))).astype(np.int32)
    row = _gather(feed.shape_start[:-1][kept], counts)
    x_m, y_m = x_m[row], y_m[row]
    return Paths(start, x_m, y_m, along(start, x_m, y_m)), path_of_shape


def _patterns(feed: FeedColumns, path_of_shape: Ints) -> tuple[Ints, _Patterns]:
    """Trips of one route, direction, path and stop sequence make one pattern: int32[trips] and the patterns."""
    path = np.where(feed.trip_shape >= 0, np.append(path_of_shape, -1)[feed.trip_shape], -1)
    stops = feed.time_stop.tobytes()
    width = feed.time_stop.itemsize
    seen: dict[tuple[int, int, int, bytes], int] = {}
    first_trip: list[int] = []
    headsign: list[str] = []
    trip_pattern = np.empty(len(feed.trip_id), dtype=np.int32)
    bounds = (feed.time_start * width).tolist()
    keys = zip(feed.trip_route.tolist(), feed.trip_direction.tolist(), path.tolist(), strict=True)
    for trip, (route, direction, trip_path) in enumerate(keys):
        key = (route, direction, trip_path, stops[bounds[trip] : bounds[trip + 1]])
        pattern = trip_pattern[trip] = seen.setdefault(key, len(seen))
        if pattern == len(first_trip):
            first_trip.append(trip)
            headsign.append("")
        headsign[pattern] = headsign[pattern] or feed.trip_headsign[trip]
    first = np.array(first_trip, dtype=np.int32)
    counts = np.diff(feed.time_start)[first]
    stop = feed.time_stop[_gather(feed.time_start[:-1][first], counts)]
    stop_start = np.concatenate(([0], np.cumsum(counts))).astype(np.int32)
    last_stop = stop[stop_start[1:] - 1].tolist()
    return trip_pattern, _Patterns(
        route=feed.trip_route[first],
        direction=feed.trip_direction[first],
        path=path[first].astype(np.int32),
        first_trip=first,
        headsign=[sign or feed.stop_name[stop] for sign, stop in zip(headsign, last_stop, strict=True)],
        stop_start=stop_start,
        stop=stop,
    )


def _stop_rows(feed: FeedColumns, patterns: _Patterns, stop_x_m: Floats, stop_y_m: Floats) -> StopRows:
    """The stops of all patterns where the first trip of each expects them: by distance where given, else by time."""
    counts = np.diff(patterns.stop_start)
    row = _gather(feed.time_start[:-1][patterns.first_trip], counts)
    time_s = np.where(feed.time_departure_s[row] >= 0, feed.time_departure_s[row], np.nan)
    expected = _share_of_way(feed.time_dist[row], patterns.stop_start)
    by_time = _share_of_way(time_s, patterns.stop_start)
    return StopRows(
        path=patterns.path,
        start=patterns.stop_start,
        x_m=stop_x_m[patterns.stop],
        y_m=stop_y_m[patterns.stop],
        expected=np.where(np.isnan(expected), by_time, expected),
    )


def _share_of_way(value: Floats, start: Ints) -> Floats:
    """Each value between the first (0) and last (1) of its row; nan where the row does not rise or it is missing."""
    counts = np.diff(start)
    first, last = np.repeat(value[start[:-1]], counts), np.repeat(value[start[1:] - 1], counts)
    span = last - first
    share = np.divide(value - first, span, out=np.full(len(value), np.nan), where=span > 0)
    return np.where((share >= 0) & (share <= 1), share, np.nan)


def _place(
    feed: FeedColumns, patterns: _Patterns, rows: StopRows, shapes: Paths, problems: Problems
) -> tuple[Ints, Floats, Paths, Flags]:
    """Path, places of the stops and whether it is drawn, by pattern; paths are the shapes, then straight lines."""
    counts = np.diff(rows.start)
    place_m = np.zeros(len(rows.x_m))
    drawn = rows.path >= 0
    if drawn.any():
        chosen = np.flatnonzero(drawn)
        part = _take(rows, chosen)
        part_m, offset_m = place_stops(shapes, part)
        mean_m = np.add.reduceat(offset_m, part.start[:-1]) / np.diff(part.start)
        misfit = ~(mean_m < MISFIT_M)
        _report_misfits(feed, patterns, chosen[misfit], mean_m[misfit], problems)
        drawn[chosen[misfit]] = False
        place_m[_gather(rows.start[:-1][chosen], counts[chosen])] = part_m
    bare = np.flatnonzero(~drawn)
    row = _gather(rows.start[:-1][bare], counts[bare])
    start = np.concatenate((shapes.start, shapes.start[-1] + np.cumsum(counts[bare]))).astype(np.int32)
    x_m, y_m = np.concatenate((shapes.x_m, rows.x_m[row])), np.concatenate((shapes.y_m, rows.y_m[row]))
    paths = Paths(start, x_m, y_m, along(start, x_m, y_m))
    place_m[row] = paths.along_m[len(shapes.x_m) :]
    path = rows.path.copy()
    path[bare] = len(shapes.start) - 1 + np.arange(len(bare))
    return path, place_m, paths, drawn


def _report_misfits(
    feed: FeedColumns, patterns: _Patterns, misfits: NDArray[np.intp], mean_m: Floats, problems: Problems
) -> None:
    for pattern, metres in zip(misfits.tolist(), mean_m.tolist(), strict=True):
        trip = int(patterns.first_trip[pattern])
        shape = feed.shape_id[int(feed.trip_shape[trip])]
        reason = f"is {metres:,.0f} m off its stops on average" if np.isfinite(metres) else "is too long to follow"
        message = f"shape {shape} {reason} (trip {feed.trip_id[trip]}); straight lines stand in for it"
        problems.add(Problem("shapes.txt", None, "shape_off_stops", message))


def fill_times(feed: FeedColumns, place_m: Floats, first_place: Ints) -> tuple[Ints, Ints]:
    """Arrivals and departures with the open ones filled in, linear in distance between the stops that have times.

    `place_m` holds the places of the patterns' stops and `first_place` the first row of each trip's pattern in it.
    """
    arrival_s, departure_s = feed.time_arrival_s, feed.time_departure_s
    open_rows = np.flatnonzero(arrival_s < 0)
    if not len(open_rows):
        return arrival_s, departure_s
    counts = np.diff(feed.time_start)
    trip = np.repeat(np.arange(len(counts)), counts)
    along_m = place_m[_gather(first_place, counts)]
    # All trips end to end on one line: between two known rows of one trip no other trip's place can come.
    line_m = along_m + trip * (float(place_m.max()) + 1.0)
    known = np.flatnonzero(arrival_s >= 0)
    ends = np.repeat(line_m[known], 2)
    times_s = np.stack((arrival_s[known], departure_s[known]), axis=1).ravel()
    filled_s = np.rint(np.interp(line_m[open_rows], ends, times_s)).astype(np.int32)
    arrival_s, departure_s = arrival_s.copy(), departure_s.copy()
    arrival_s[open_rows] = departure_s[open_rows] = filled_s
    return arrival_s, departure_s


def _timed(feed: FeedColumns, patterns: _Patterns, trip_pattern: Ints) -> Flags:
    """Stops of patterns that are timepoints for at least half of the trips; none at all where the feed names none."""
    if not feed.time_timed.any():
        return np.zeros(0, dtype=np.bool_)
    row = _gather(patterns.stop_start[trip_pattern], np.diff(feed.time_start))
    rows = len(patterns.stop)
    timed: Flags = 2 * np.bincount(row, weights=feed.time_timed, minlength=rows) >= np.bincount(row, minlength=rows)
    return timed


def _pattern_ids(feed: FeedColumns, patterns: _Patterns, paths: Paths, pattern_path: Ints) -> list[str]:
    """The same pattern of the same feed has the same id after every reading."""
    ids = []
    for pattern, (first, end) in enumerate(
        zip(patterns.stop_start[:-1].tolist(), patterns.stop_start[1:].tolist(), strict=True)
    ):
        path = int(pattern_path[pattern])
        points = slice(int(paths.start[path]), int(paths.start[path + 1]))
        content = blake2b(digest_size=6)
        content.update("\0".join(feed.stop_id[stop] for stop in patterns.stop[first:end].tolist()).encode())
        content.update(np.round(paths.x_m[points]).astype("<i4").tobytes())
        content.update(np.round(paths.y_m[points]).astype("<i4").tobytes())
        route = feed.route_id[int(patterns.route[pattern])]
        ids.append(f"{route}:{int(patterns.direction[pattern])}:{content.hexdigest()}")
    return ids


def _take(rows: StopRows, patterns: NDArray[np.intp]) -> StopRows:
    counts = np.diff(rows.start)[patterns]
    row = _gather(rows.start[:-1][patterns], counts)
    start = np.concatenate(([0], np.cumsum(counts))).astype(np.int32)
    return StopRows(rows.path[patterns], start, rows.x_m[row], rows.y_m[row], rows.expected[row])


def _gather(first: Ints, counts: Ints) -> NDArray[np.intp]:
    """Indices first[0], first[0] + 1, ... (counts[0] of them), first[1], ..."""
    ends = np.cumsum(counts, dtype=np.intp)
    total = int(ends[-1]) if len(ends) else 0
    return np.repeat(first - (ends - counts), counts) + np.arange(total)
