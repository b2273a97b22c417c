"""A report's figures from passages and the timetable: each line's runs, headways and measures, and the whole's."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from dispatch.claims import Timetable
from dispatch.measures import (
    HeadwayMeasure,
    Pairs,
    PunctualityMeasure,
    measure_headways,
    measure_punctuality,
    pair_departures,
)
from dispatch.passages import Passages
from dispatch.report import HeadwayDots, LineReport, Report, ReportSpan, Stringline
from dispatch.report_runs import driven_runs, headway_dots, planned_runs
from dispatch.report_waits import local_hours, totals_of, waits_by_hour, worst_of


def build_report(span: ReportSpan, passages: Passages, vehicle_names: list[str], timetable: Timetable) -> Report:
    """The report of the passages in the span; `vehicle_names` are by the index in `passages.vehicle`."""
    network, limits = span.network, span.limits
    inside = _inside(passages, span)
    frequent_s = timetable.frequent_s(inside.trip, inside.zero_s)
    pairs = pair_departures(inside, frequent_s, network, span.lines, limits.headway_s_max)
    by_line = _line_reports(span, inside, pairs, vehicle_names, timetable)
    reports = sorted(by_line.values(), key=lambda report: (_natural(report.short_name), report.direction_id))
    hour = local_hours(pairs.at_s, network.timezone)
    return Report(
        span.from_s,
        span.to_s,
        network.timezone,
        network.feed_version,
        totals_of(inside, pairs, span, len(reports)),
        reports,
        worst_of(pairs, pairs.stop, by_line, limits, lambda stop: network.stop_name[stop // 64]),
        worst_of(pairs, hour, by_line, limits, lambda at: f"{at:02d}:00–{(at + 1) % 24:02d}:00"),
        waits_by_hour(pairs, hour),
    )


def _line_reports(
    span: ReportSpan, passages: Passages, pairs: Pairs, vehicle_names: list[str], timetable: Timetable
) -> dict[int, LineReport]:
    """The report of each line that was seen, by its index in `span.lines`."""
    network, lines, limits = span.network, span.lines, span.limits
    headways = {(row.route_id, row.direction_id): row for row in measure_headways(pairs, network, lines, limits)}
    named = zip(lines.line_route, lines.line_direction, strict=True)
    line_of = {(network.route_id[route], int(direction)): i for i, (route, direction) in enumerate(named)}
    planned = defaultdict(list, planned_runs(span, passages, timetable))
    passage_line = lines.pattern_line[network.trip_pattern[passages.trip]]
    found = {}
    for row in measure_punctuality(passages, network, lines, limits):
        key = (row.route_id, row.direction_id)
        line = line_of[key]
        driven = driven_runs(span, passages.take(passage_line == line), vehicle_names)
        drawn = (planned[line], driven, headway_dots(span, pairs, line))
        found[line] = _line_report(span, line, drawn, (headways.get(key), row))
    return found


def _line_report(
    span: ReportSpan,
    line: int,
    drawn: tuple[list[Stringline], list[Stringline], HeadwayDots],
    measures: tuple[HeadwayMeasure | None, PunctualityMeasure],
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
        *drawn,
        *measures,
    )


def _inside(passages: Passages, span: ReportSpan) -> Passages:
    at_s = np.where(np.isnan(passages.departure_s), passages.arrival_s, passages.departure_s)
    return passages.take((at_s >= span.from_s) & (at_s < span.to_s))


def _natural(name: str) -> tuple[int, int, str]:
    """10 comes after 9, and names without a number last."""
    digits = "".join(c for c in name if c.isdigit())
    return (0 if name[:1].isdigit() else 1, int(digits or 0), name)
