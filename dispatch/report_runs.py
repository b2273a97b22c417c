"""A report's lines of time against place: runs as they were driven and as they were planned, and headways at stops."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import replace

import numpy as np

from dispatch.claims import Timetable
from dispatch.measures import Pairs
from dispatch.network import Floats, Ints
from dispatch.passages import Passages
from dispatch.report import HeadwayDots, Point, ReportSpan, Stringline
from dispatch.timetable import runs_on

STOPS_MISSED_MAX = 1  # a line is drawn over one stop that was not seen, and not over more


def driven_runs(span: ReportSpan, passages: Passages, vehicle_names: list[str]) -> list[Stringline]:
    """The runs as they were driven, from arrival to departure at each stop and on to the next."""
    order = np.lexsort((passages.stop, passages.zero_s, passages.trip, passages.vehicle))
    passages = passages.take(order)
    network = span.network
    place_m = _place_m(span, network.trip_pattern[passages.trip], passages.stop).tolist()
    found: list[Stringline] = []
    before: tuple[int, int, float] | None = None
    last = -1
    columns = (passages.vehicle, passages.trip, passages.zero_s, passages.stop)
    times = zip(passages.arrival_s.tolist(), passages.departure_s.tolist(), place_m, strict=True)
    for (vehicle, trip, zero_s, stop), (arrival_s, departure_s, at_m) in zip(
        zip(*(column.tolist() for column in columns), strict=True), times, strict=True
    ):
        if (vehicle, trip, zero_s) != before:
            before, last = (vehicle, trip, zero_s), -2 - STOPS_MISSED_MAX
            name = vehicle_names[vehicle].partition("/")[2] or vehicle_names[vehicle]
            found.append(Stringline(f"{name} · {network.trip_id[trip]}", []))
        if math.isnan(at_m):
            continue
        if stop - last > 1 + STOPS_MISSED_MAX:
            found[-1].pieces.append([])
        found[-1].pieces[-1].extend((t, at_m) for t in (arrival_s, departure_s) if not math.isnan(t))
        last = stop
    return [replace(run, pieces=[piece for piece in run.pieces if len(piece) > 1]) for run in found]


def planned_runs(span: ReportSpan, passages: Passages, timetable: Timetable) -> dict[int, list[Stringline]]:
    """What the timetable had for the span, by line: all runs of the service days that the passages belong to."""
    network, lines = span.network, span.lines
    unmoved = replace(network, shift_s=0.0)
    days: set[tuple[dt.date, float]] = set()
    for zero_s, trip in dict(zip(passages.zero_s.tolist(), passages.trip.tolist(), strict=True)).items():
        date = dt.datetime.strptime(timetable.start_date(trip, zero_s), "%Y%m%d").date()  # noqa: DTZ007  a date alone
        own_shift = trip not in timetable.by_frequency
        days.add((date, round(zero_s - unmoved.day_start_s(date), 3) if own_shift else network.shift_s))
    found: dict[int, list[Stringline]] = {}
    for date, shift_s in sorted(days):
        runs = runs_on(replace(network, shift_s=shift_s), date)
        runs = runs.take((runs.start_s < span.to_s) & (runs.end_s > span.from_s))
        zero_s = runs.day_start_s[runs.day] + runs.offset_s
        for trip, zero in zip(runs.trip.tolist(), zero_s.tolist(), strict=True):
            pattern = int(network.trip_pattern[trip])
            run = _plan_of(span, trip, pattern, zero)
            found.setdefault(int(lines.pattern_line[pattern]), []).append(run)
    return found


def _plan_of(span: ReportSpan, trip: int, pattern: int, zero_s: float) -> Stringline:
    network = span.network
    times = slice(network.trip_time_start[trip], network.trip_time_start[trip + 1])
    stops = np.arange(network.pattern_stop_start[pattern + 1] - network.pattern_stop_start[pattern])
    place_m = _place_m(span, np.full(len(stops), pattern), stops.astype(np.int32)).tolist()
    piece: list[Point] = []
    for arrival_s, departure_s, at_m in zip(
        network.arrival_s[times].tolist(), network.departure_s[times].tolist(), place_m, strict=True
    ):
        if not math.isnan(at_m):
            piece.append((zero_s + arrival_s, at_m))
            if departure_s != arrival_s:
                piece.append((zero_s + departure_s, at_m))
    return Stringline(network.trip_id[trip], [piece] if len(piece) > 1 else [])


def headway_dots(span: ReportSpan, pairs: Pairs, line: int) -> HeadwayDots:
    """The headways of a line, each at its place on the main pattern."""
    network, lines = span.network, span.lines
    rows = pairs.line == line
    pattern = int(lines.line_pattern[line])
    first, last = network.pattern_stop_start[pattern], network.pattern_stop_start[pattern + 1]
    place = dict(
        zip(network.pattern_stop[first:last].tolist(), network.pattern_stop_along_m[first:last].tolist(), strict=True)
    )
    place_m = np.array([place.get(stop // 64, np.nan) for stop in pairs.stop[rows].tolist()], dtype=float)
    return HeadwayDots(pairs.at_s[rows], pairs.headway_s[rows], pairs.scheduled_s[rows], place_m)


def _place_m(span: ReportSpan, pattern: Ints, stop: Ints) -> Floats:
    """Metres along the line's main pattern; nan where a branch leaves it."""
    network, lines = span.network, span.lines
    along_m = network.pattern_stop_along_m[network.pattern_stop_start[pattern] + stop]
    place_m, on_main = lines.line_m_at(lines.pattern_way[pattern], along_m)
    return np.where(on_main, np.maximum(place_m, 0.0), np.nan)
