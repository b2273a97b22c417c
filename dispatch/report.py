"""A report's figures: stringlines, headways, worst stops and hours, and the table, from passages and the timetable."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from dispatch.claims import Timetable
from dispatch.lines import Lines
from dispatch.measures import (
    HeadwayMeasure,
    MeasureLimits,
    Pairs,
    PunctualityMeasure,
    mean_wait,
    measure_headways,
    measure_punctuality,
    on_time,
    pair_departures,
)
from dispatch.network import Floats, Ints, Network
from dispatch.passages import Passages
from dispatch.timetable import runs_on

PAIRS_MIN = 5  # fewer headways say nothing of a stop or an hour
WORST_MAX = 12
STOPS_MISSED_MAX = 1  # a line is drawn over one stop that was not seen, and not over more

Point = tuple[float, float]  # Unix seconds, metres along the line


@dataclass(frozen=True, slots=True)
class ReportSpan:
    """What is reported on: a network whose shift is the one of the passages, and the span of time (Unix seconds)."""

    network: Network
    lines: Lines
    from_s: float
    to_s: float
    limits: MeasureLimits


@dataclass(frozen=True, slots=True)
class Stringline:
    """One run: pieces of (time, place), each drawn through; `name` says whose it is."""

    name: str
    pieces: list[list[Point]]


@dataclass(frozen=True, slots=True)
class HeadwayDots:
    """Headways at the stops of one line; `place_m` is nan beside the main pattern."""

    at_s: Floats
    headway_s: Floats
    scheduled_s: Floats
    place_m: Floats


@dataclass(frozen=True, slots=True)
class LineReport:
    """One route and direction."""

    route_id: str
    short_name: str
    long_name: str
    direction_id: int
    headsign: str
    color: str
    length_m: float
    stops: list[tuple[float, str]]  # metres along the main pattern, name
    planned: list[Stringline]
    driven: list[Stringline]
    dots: HeadwayDots
    headway: HeadwayMeasure | None
    punctuality: PunctualityMeasure


@dataclass(frozen=True, slots=True)
class Worst:
    """A stop or an hour of one line that does badly: waits in seconds, and the share of bunched and gapped headways."""

    short_name: str
    headsign: str
    what: str
    pairs: int
    ewt_s: float
    swt_s: float
    bunched: float
    gapped: float


@dataclass(frozen=True, slots=True)
class Totals:
    """The whole network, pooled by summing the numerators and denominators of all lines."""

    lines: int
    departures: int
    pairs: int
    awt_s: float
    swt_s: float
    on_time: float
    bunched: float
    gapped: float


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that a page shows; times are Unix seconds."""

    from_s: float
    to_s: float
    timezone: str
    feed_version: str
    totals: Totals
    lines: list[LineReport]
    stops: list[Worst]
    hours: list[Worst]
    by_hour: list[tuple[int, float, float, int]]  # local hour, EWT s, SWT s, headways


def build_report(span: ReportSpan, passages: Passages, vehicle_names: list[str], timetable: Timetable) -> Report:
    """The report of the passages in the span; `vehicle_names` are by the index in `passages.vehicle`."""
    network, lines, limits = span.network, span.lines, span.limits
    inside = _inside(passages, span)
    pairs = pair_departures(
        inside, timetable.frequent_s(inside.trip, inside.zero_s), network, lines, limits.headway_s_max
    )
    headways = {(row.route_id, row.direction_id): row for row in measure_headways(pairs, network, lines, limits)}
    punctuality = measure_punctuality(inside, network, lines, limits)
    line_of = {
        (network.route_id[route], int(direction)): i
        for i, (route, direction) in enumerate(zip(lines.line_route, lines.line_direction, strict=True))
    }
    planned = _planned(span, inside, timetable)
    passage_line = lines.pattern_line[network.trip_pattern[inside.trip]]
    reports = []
    for row in punctuality:
        key = (row.route_id, row.direction_id)
        line = line_of[key]
        of_line = passage_line == line
        reports.append(
            _line_report(
                span,
                line,
                (headways.get(key), row),
                planned.get(line, []),
                _driven(span, rows_of(inside, of_line), vehicle_names),
                _dots(span, pairs, line),
            )
        )
    reports.sort(key=lambda report: (_natural(report.short_name), report.direction_id))
    by_key = {line_of[report.route_id, report.direction_id]: report for report in reports}
    hour = _local_hours(pairs.at_s, network.timezone)
    return Report(
        span.from_s,
        span.to_s,
        network.timezone,
        network.feed_version,
        _totals(inside, pairs, span, len(reports)),
        reports,
        _worst(pairs, pairs.stop, by_key, limits, lambda stop: network.stop_name[stop // 64]),
        _worst(pairs, hour, by_key, limits, lambda at: f"{at:02d}:00–{(at + 1) % 24:02d}:00"),
        _by_hour(pairs, hour),
    )


def _inside(passages: Passages, span: ReportSpan) -> Passages:
    at_s = np.where(np.isnan(passages.departure_s), passages.arrival_s, passages.departure_s)
    return rows_of(passages, (at_s >= span.from_s) & (at_s < span.to_s))


def rows_of(passages: Passages, rows: NDArray[np.bool_] | NDArray[np.intp]) -> Passages:
    """The passages at `rows`, in that order."""
    return Passages(
        passages.vehicle[rows],
        passages.trip[rows],
        passages.zero_s[rows],
        passages.stop[rows],
        passages.arrival_s[rows],
        passages.departure_s[rows],
    )


def _line_report(
    span: ReportSpan,
    line: int,
    measures: tuple[HeadwayMeasure | None, PunctualityMeasure],
    planned: list[Stringline],
    driven: list[Stringline],
    dots: HeadwayDots,
) -> LineReport:
    network, lines = span.network, span.lines
    route, pattern = int(lines.line_route[line]), int(lines.line_pattern[line])
    rows = slice(network.pattern_stop_start[pattern], network.pattern_stop_start[pattern + 1])
    along_m = network.pattern_stop_along_m[rows]
    names = [network.stop_name[stop] for stop in network.pattern_stop[rows].tolist()]
    return LineReport(
        network.route_id[route],
        network.route_short_name[route] or network.route_id[route],
        network.route_long_name[route],
        int(lines.line_direction[line]),
        network.pattern_headsign[pattern] or names[-1],
        network.route_color[route],
        float(along_m[-1]),
        list(zip(along_m.tolist(), names, strict=True)),
        planned,
        driven,
        dots,
        *measures,
    )


def _place_m(span: ReportSpan, pattern: Ints, stop: Ints) -> Floats:
    """Metres along the line's main pattern; nan where a branch leaves it."""
    network, lines = span.network, span.lines
    along_m = network.pattern_stop_along_m[network.pattern_stop_start[pattern] + stop]
    place_m, on_main = lines.line_m_at(lines.pattern_way[pattern], along_m)
    return np.where(on_main, np.maximum(place_m, 0.0), np.nan)


def _driven(span: ReportSpan, passages: Passages, vehicle_names: list[str]) -> list[Stringline]:
    """The runs as they were driven, from arrival to departure at each stop and on to the next."""
    order = np.lexsort((passages.stop, passages.zero_s, passages.trip, passages.vehicle))
    passages = rows_of(passages, order)
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


def _planned(span: ReportSpan, passages: Passages, timetable: Timetable) -> dict[int, list[Stringline]]:
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


def _dots(span: ReportSpan, pairs: Pairs, line: int) -> HeadwayDots:
    network, lines = span.network, span.lines
    rows = pairs.line == line
    pattern = int(lines.line_pattern[line])
    first, last = network.pattern_stop_start[pattern], network.pattern_stop_start[pattern + 1]
    place = dict(
        zip(network.pattern_stop[first:last].tolist(), network.pattern_stop_along_m[first:last].tolist(), strict=True)
    )
    place_m = np.array([place.get(stop // 64, np.nan) for stop in pairs.stop[rows].tolist()], dtype=float)
    return HeadwayDots(pairs.at_s[rows], pairs.headway_s[rows], pairs.scheduled_s[rows], place_m)


def _totals(passages: Passages, pairs: Pairs, span: ReportSpan, lines: int) -> Totals:
    network, limits = span.network, span.limits
    left = ~np.isnan(passages.departure_s)
    due_s = network.departure_s[network.trip_time_start[passages.trip[left]] + passages.stop[left]]
    good, _, _ = on_time(passages.departure_s[left] - passages.zero_s[left] - due_s, limits.early_s, limits.late_s)
    size_s = np.abs(pairs.scheduled_s)
    return Totals(
        lines,
        int(left.sum()),
        len(pairs.headway_s),
        mean_wait(pairs.headway_s),
        mean_wait(pairs.scheduled_s),
        good,
        _share(pairs.headway_s < limits.bunched_ratio * size_s),
        _share(pairs.headway_s > limits.gapped_ratio * size_s),
    )


def _worst(
    pairs: Pairs,
    group: NDArray[np.int64],
    by_line: dict[int, LineReport],
    limits: MeasureLimits,
    name: Callable[[int], str],
) -> list[Worst]:
    """The groups of a line in which riders wait longest beyond the plan."""
    found = []
    for line, of, rows in _grouped(pairs.line, group):
        if len(rows) < PAIRS_MIN or line not in by_line:
            continue
        h, scheduled = pairs.headway_s[rows], pairs.scheduled_s[rows]
        awt_s, swt_s = mean_wait(h), mean_wait(scheduled)
        if not awt_s - swt_s > 0:
            continue
        report, size_s = by_line[line], np.abs(scheduled)
        bunched, gapped = _share(h < limits.bunched_ratio * size_s), _share(h > limits.gapped_ratio * size_s)
        found.append(
            Worst(report.short_name, report.headsign, name(of), len(rows), awt_s - swt_s, swt_s, bunched, gapped)
        )
    return sorted(found, key=lambda worst: -worst.ewt_s)[:WORST_MAX]


def _by_hour(pairs: Pairs, hour: NDArray[np.int64]) -> list[tuple[int, float, float, int]]:
    found = []
    for at in np.unique(hour).tolist():
        rows = hour == at
        awt_s, swt_s = mean_wait(pairs.headway_s[rows]), mean_wait(pairs.scheduled_s[rows])
        if int(rows.sum()) >= PAIRS_MIN and not math.isnan(awt_s - swt_s):
            found.append((int(at), awt_s - swt_s, swt_s, int(rows.sum())))
    return found


def _grouped(line: Ints, group: NDArray[np.int64]) -> Iterator[tuple[int, int, NDArray[np.intp]]]:
    order = np.lexsort((group, line))
    changes = np.flatnonzero((np.diff(line[order]) != 0) | (np.diff(group[order]) != 0)) + 1
    for rows in np.split(order, changes):
        if len(rows):
            yield int(line[rows[0]]), int(group[rows[0]]), rows


def _local_hours(at_s: Floats, timezone: str) -> NDArray[np.int64]:
    zone = ZoneInfo(timezone)
    quarter = (at_s // 900).astype(np.int64)
    known = {q: dt.datetime.fromtimestamp(q * 900, zone).hour for q in np.unique(quarter).tolist()}
    return np.array([known[q] for q in quarter.tolist()], dtype=np.int64)


def _share(hits: NDArray[np.bool_]) -> float:
    return float(np.mean(hits)) if len(hits) else float("nan")


def _natural(name: str) -> tuple[int, int, str]:
    """10 comes after 9, and names without a number last."""
    digits = "".join(c for c in name if c.isdigit())
    return (0 if name[:1].isdigit() else 1, int(digits or 0), name)
