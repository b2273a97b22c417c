"""How long riders waited beyond the plan: over the whole network, by hour, and where and when it was worst."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Iterator
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from dispatch.measures import MeasureLimits, Pairs, mean_wait, on_time
from dispatch.network import Floats, Ints
from dispatch.passages import Passages
from dispatch.report import LineReport, ReportSpan, Totals, Worst

PAIRS_MIN = 5  # fewer headways say nothing of a stop or an hour
WORST_MAX = 12


def totals_of(passages: Passages, pairs: Pairs, span: ReportSpan, lines: int) -> Totals:
    """The figures of all lines together."""
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


def worst_of(
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


def waits_by_hour(pairs: Pairs, hour: NDArray[np.int64]) -> list[tuple[int, float, float, int]]:
    """(Local hour, EWT s, SWT s, headways) of each hour with enough headways."""
    found = []
    for at in np.unique(hour).tolist():
        rows = hour == at
        awt_s, swt_s = mean_wait(pairs.headway_s[rows]), mean_wait(pairs.scheduled_s[rows])
        if int(rows.sum()) >= PAIRS_MIN and not math.isnan(awt_s - swt_s):
            found.append((int(at), awt_s - swt_s, swt_s, int(rows.sum())))
    return found


def local_hours(at_s: Floats, timezone: str) -> NDArray[np.int64]:
    """The hour of the day in which each instant lies, by the city's clock."""
    zone = ZoneInfo(timezone)
    quarter = (at_s // 900).astype(np.int64)
    known = {q: dt.datetime.fromtimestamp(q * 900, zone).hour for q in np.unique(quarter).tolist()}
    return np.array([known[q] for q in quarter.tolist()], dtype=np.int64)


def _grouped(line: Ints, group: NDArray[np.int64]) -> Iterator[tuple[int, int, NDArray[np.intp]]]:
    order = np.lexsort((group, line))
    changes = np.flatnonzero((np.diff(line[order]) != 0) | (np.diff(group[order]) != 0)) + 1
    for rows in np.split(order, changes):
        if len(rows):
            yield int(line[rows[0]]), int(group[rows[0]]), rows


def _share(hits: NDArray[np.bool_]) -> float:
    return float(np.mean(hits)) if len(hits) else float("nan")
