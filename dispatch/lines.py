"""Lines: the road that the patterns of one route and direction share, as marks that all of them pass.

A *line* is a route and direction, a *way* is the path of one of its patterns. The way of the line's main pattern (the
one with most trips) is marked every 25 m. Every other way takes over the marks of road that it shares, and gets its own
where it runs alone. So "when was the last vehicle here" is a look at one mark, whatever pattern either of them drives.
`line_m` orders the marks along the whole line: on the main way it is the distance from its start, on branches it
goes on from (or leads up to) the place where they meet the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dispatch.network import Flags, Floats, Ints, Network
from dispatch.timetable import point_at

MARK_M = 25.0
SHARED_M = 25.0  # two ways this near, in the same direction, run on one road
HEADING_M = 40.0  # a turn of 90 degrees weighs as much as 57 m between them
RUN_MARKS_MIN = 4  # a shorter stretch is a crossing, not a road that is shared
STEP_MARKS_MAX = 4
CELLS = 1 << 31  # rows in a column of the grid: more than the Earth has


@dataclass(frozen=True, slots=True)
class Lines:
    """Marks in the order in which each way passes them (CSR), and each pattern's way."""

    pattern_line: Ints  # [P]
    pattern_way: Ints  # [P]
    line_route: Ints  # [lines]
    line_direction: Ints
    line_pattern: Ints  # main pattern of each line
    way_start: Ints  # [W + 1] into the three columns below
    way_mark: Ints
    way_along_m: Floats
    way_axis_m: Floats  # along plus way_base_m: one ascending axis for all ways, for one binary search
    way_base_m: Floats  # [W]
    mark_line_m: Floats  # [M]
    mark_main: Flags  # [M], True for the marks of a line's main way
    lookup_key: NDArray[np.int64]  # way * M + mark, ascending
    lookup_row: Ints  # row of way_mark of each key

    def row_at(self, way: Ints, along_m: Floats) -> NDArray[np.intp]:
        """Row of the last mark at or before `along_m` on each way; one less than its first row where there is none."""
        axis_m = self.way_base_m[way] + np.maximum(along_m, -MARK_M)
        return np.searchsorted(self.way_axis_m, axis_m, side="right") - 1

    def find_mark(self, way: Ints, mark: Ints) -> NDArray[np.int64]:
        """Row at which each way passes a mark (the first time); -1 where it does not."""
        key = way.astype(np.int64) * len(self.mark_line_m) + mark
        at = np.minimum(np.searchsorted(self.lookup_key, key), max(len(self.lookup_key) - 1, 0))
        return np.where(self.lookup_key[at] == key, self.lookup_row[at], -1).astype(np.int64)

    def line_m_at(self, way: Ints, along_m: Floats) -> tuple[Floats, Flags]:
        """Place on the line in metres, and whether it lies on the main way; nan where along_m is nan."""
        known = ~np.isnan(along_m)
        row = np.clip(self.row_at(way, np.where(known, along_m, 0.0)), self.way_start[way], self.way_start[way + 1] - 1)
        mark = self.way_mark[row]
        return self.mark_line_m[mark] + (along_m - self.way_along_m[row]), self.mark_main[mark] & known


def draw_lines(network: Network) -> Lines:
    """The lines of a network: one pass over its ways, those with most trips first."""
    patterns = len(network.pattern_id)
    trips = np.bincount(network.trip_pattern, minlength=patterns)
    line_key = network.pattern_route.astype(np.int64) * 2 + network.pattern_direction
    _, line = np.unique(line_key, return_inverse=True)
    way_key = line.astype(np.int64) * (len(network.path_start) + 1) + network.pattern_path
    keys, way = np.unique(way_key, return_inverse=True)
    first_pattern = np.zeros(len(keys), dtype=np.int32)
    first_pattern[way[::-1]] = np.arange(patterns)[::-1]
    way_trips = np.bincount(way, weights=trips, minlength=len(keys))
    lines = int(line.max(initial=-1)) + 1
    maker = _Marks(len(keys))
    main = np.zeros(lines, dtype=np.int32)
    by_line = np.lexsort((-way_trips, line[first_pattern]))
    edges = np.searchsorted(line[first_pattern][by_line], np.arange(lines + 1))
    for i in range(lines):
        ways = by_line[edges[i] : edges[i + 1]]
        members = np.flatnonzero(way == ways[0])
        main[i] = members[np.argmax(trips[members])]
        maker.mark_line(network, ways, network.pattern_path[first_pattern[ways]])
    return maker.finish(
        line.astype(np.int32),
        way.astype(np.int32),
        network.pattern_route[main],
        network.pattern_direction[main],
        main,
    )


class _Marks:
    """The marks made so far, and what each way passes."""

    def __init__(self, ways: int) -> None:
        self.rows: list[tuple[Ints, Floats]] = [(np.zeros(0, np.int32), np.zeros(0))] * ways
        self.line_m: list[Floats] = []
        self.main: list[Flags] = []
        self.made = 0

    def mark_line(self, network: Network, ways: NDArray[np.intp], paths: NDArray[np.integer[Any]]) -> None:
        """Mark all ways of one line, the main one first."""
        samples = [_sample(network, int(path)) for path in paths]
        found = [np.full(len(along_m), -1, dtype=np.int64) for along_m, _ in samples]
        ahead_m = [np.zeros(len(along_m)) for along_m, _ in samples]
        line_m = np.zeros(0)
        first = self.made
        for nth, (along_m, place) in enumerate(samples):
            mark = _drop_short_runs(found[nth])
            own = mark < 0
            own_line_m = _line_m(along_m, mark - first, line_m)[own]
            mark[own] = self.made + np.arange(np.count_nonzero(own))
            self.made += len(own_line_m)
            line_m = np.concatenate((line_m, own_line_m))
            self.main.append(np.full(len(own_line_m), nth == 0))
            self.rows[ways[nth]] = _in_order(mark.astype(np.int32), along_m + np.where(own, 0.0, ahead_m[nth]))
            if len(own_line_m):
                _offer(place[own], mark[own], samples[nth + 1 :], found[nth + 1 :], ahead_m[nth + 1 :])
        self.line_m.append(line_m)

    def finish(self, line: Ints, way: Ints, route: Ints, direction: Ints, main: Ints) -> Lines:
        """Lay all ways end to end."""
        count = [len(mark) for mark, _ in self.rows]
        along_m = np.concatenate([along for _, along in self.rows]) if self.rows else np.zeros(0)
        length_m = np.array([along[-1] if len(along) else 0.0 for _, along in self.rows])
        base_m = np.concatenate(([0.0], np.cumsum(length_m + 4 * MARK_M)))[:-1]
        passed = np.concatenate([mark for mark, _ in self.rows]) if self.rows else np.zeros(0, np.int32)
        key = np.repeat(np.arange(len(count), dtype=np.int64), count) * self.made + passed
        by_key = np.argsort(key, kind="stable").astype(np.int32)
        return Lines(
            line,
            way,
            route,
            direction,
            main,
            np.concatenate(([0], np.cumsum(count))).astype(np.int32),
            passed,
            along_m,
            along_m + np.repeat(base_m, count),
            base_m,
            np.concatenate(self.line_m) if self.line_m else np.zeros(0),
            np.concatenate(self.main) if self.main else np.zeros(0, np.bool_),
            key[by_key],
            by_key,
        )


def _sample(network: Network, path: int) -> tuple[Floats, Floats]:
    """A place every 25 m of a path: distance along it, and x, y and direction as columns that compare by distance."""
    length_m = network.point_along_m[network.path_start[path + 1] - 1]
    along_m = np.arange(0.0, length_m + MARK_M / 2, MARK_M)
    of = np.full(len(along_m), path, dtype=np.int32)
    x_m, y_m = point_at(network, of, np.minimum(along_m, length_m))
    ahead_x, ahead_y = point_at(network, of, np.minimum(along_m + 5.0, length_m))
    behind_x, behind_y = point_at(network, of, np.maximum(along_m - 5.0, 0.0))
    heading = np.arctan2(ahead_x - behind_x, ahead_y - behind_y)
    return along_m, np.column_stack((x_m, y_m, HEADING_M * np.sin(heading), HEADING_M * np.cos(heading)))


def _offer(
    place: Floats,
    mark: NDArray[np.int64],
    samples: list[tuple[Floats, Floats]],
    found: list[NDArray[np.int64]],
    ahead_m: list[Floats],
) -> None:
    """Let the ways still to come take over new marks where they have none yet, and note how far ahead each lies."""
    open_rows = [np.flatnonzero(row < 0) for row in found]
    count = [len(rows) for rows in open_rows]
    if not sum(count):
        return
    wanted = np.concatenate([sample[rows] for (_, sample), rows in zip(samples, open_rows, strict=True)])
    nearest = _nearest(place, wanted, SHARED_M)
    near = nearest >= 0
    apart = place[np.where(near, nearest, 0), :2] - wanted[:, :2]
    forward_m = (apart * wanted[:, 2:]).sum(axis=1) / HEADING_M
    taken = np.where(near, mark[nearest], -1)
    cuts = np.cumsum(count)[:-1]
    for nth, (rows, part, forward) in enumerate(
        zip(open_rows, np.split(taken, cuts), np.split(forward_m, cuts), strict=True)
    ):
        found[nth][rows] = part
        ahead_m[nth][rows] = forward


def _nearest(place: Floats, wanted: Floats, within_m: float) -> NDArray[np.int64]:
    """For each of `wanted` the nearest of `place`, -1 where none is nearer than `within_m`.

    Places lie in cells of a grid as wide as the bound, sorted by column and row: the three cells of a column that may
    hold a near one are neighbours in that order. On streets, where a cell holds a few places, this takes half the time
    of a k-d tree, and needs no more than numpy.
    """
    key = _cell(place, within_m)
    order = np.argsort(key, kind="stable")
    key, own = key[order], _cell(wanted, within_m)
    best = np.full(len(wanted), within_m**2)
    nearest = np.full(len(wanted), -1, dtype=np.int64)
    for column in (-CELLS, 0, CELLS):
        next_ = np.searchsorted(key, own + column - 1, side="left")
        end = np.searchsorted(key, own + column + 1, side="right")
        rows = np.flatnonzero(next_ < end)
        while len(rows):
            candidate = order[next_[rows]]
            square = ((place[candidate] - wanted[rows]) ** 2).sum(axis=1)
            better = square < best[rows]
            best[rows[better]], nearest[rows[better]] = square[better], candidate[better]
            next_[rows] += 1
            rows = rows[next_[rows] < end[rows]]
    return nearest


def _cell(place: Floats, wide_m: float) -> NDArray[np.int64]:
    cell = np.floor(place[:, :2] / wide_m).astype(np.int64)
    key: NDArray[np.int64] = cell[:, 0] * CELLS + cell[:, 1]
    return key


def _drop_short_runs(mark: NDArray[np.int64]) -> NDArray[np.int64]:
    """Keep what is taken over in runs that go forward mark by mark; the rest is a crossing or another pass."""
    step = np.diff(mark, prepend=-9)
    goes_on = (mark >= 0) & (step >= 0) & (step <= STEP_MARKS_MAX)
    run = np.cumsum(~goes_on)
    long = np.bincount(run, minlength=run[-1] + 1)[run] >= RUN_MARKS_MIN
    return np.where(long & (mark >= 0), mark, -1)


def _line_m(along_m: Floats, mark: NDArray[np.int64], line_m: Floats) -> Floats:
    """Place on the line of each sample: known at marks taken over, going on from them elsewhere."""
    shared = np.flatnonzero(mark >= 0)
    if not len(shared):
        return along_m.copy()
    before = np.searchsorted(shared, np.arange(len(along_m)), side="right") - 1
    anchor = shared[np.maximum(before, 0)]
    out: Floats = line_m[mark[anchor]] + along_m - along_m[anchor]
    return out


def _in_order(mark: Ints, along_m: Floats) -> tuple[Ints, Floats]:
    """The marks of a way, each once: of neighbours that took the same mark the first stays."""
    fresh = np.diff(mark, prepend=-1) != 0
    return mark[fresh], np.maximum.accumulate(along_m[fresh])
