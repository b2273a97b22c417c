"""Where the stops of a pattern lie along its shape: in their order, never merely at the nearest point.

A loop passes its first stop twice and an out-and-back line passes every stop twice, so the nearest point of the shape
may belong to the wrong passing. Each stop is projected on every segment, and dynamic programming picks one projection
for each stop so that the places never go backwards and the sum of the offsets is least (map matching with a fixed order
of states). Patterns are worked on in batches of columns: patterns x segments, one step for each stop of the order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dispatch.network import Floats, Ints

CELLS_MAX = 1_000_000  # patterns x segments x stops in one batch: about 12 MB of back pointers and places
CELLS_MAX_OF_ONE = 40_000_000  # of a single pattern; beyond it the order of the stops is not worth its memory
# A metre of offset outweighs a kilometre of doubt about where the timetable expects the stop: a tie-break, no more.
EXPECTATION_WEIGHT = 0.001


@dataclass(frozen=True, slots=True)
class Paths:
    """L lines on the local plane in CSR form."""

    start: Ints  # [L + 1]
    x_m: Floats
    y_m: Floats
    along_m: Floats


@dataclass(frozen=True, slots=True)
class StopRows:
    """The stops of P patterns in CSR form: where they are, and at which share of the way they are expected."""

    path: Ints  # [P]
    start: Ints  # [P + 1]
    x_m: Floats
    y_m: Floats
    expected: Floats  # 0 to 1; nan where nothing is expected


def along(start: Ints, x_m: Floats, y_m: Floats) -> Floats:
    """Distance of each point from the first of its path, in metres."""
    step_m = np.hypot(np.diff(x_m, prepend=0.0), np.diff(y_m, prepend=0.0))
    first = start[:-1][np.diff(start) > 0]
    step_m[first] = 0.0
    total_m = np.cumsum(step_m)
    points = np.diff(start)
    along_m: Floats = total_m - np.repeat(total_m[np.minimum(start[:-1], max(len(total_m) - 1, 0))], points)
    return along_m


def place_stops(paths: Paths, stops: StopRows) -> tuple[Floats, Floats]:
    """The place of each stop along its pattern's path and its offset from it, both in metres.

    Places are non-decreasing within a pattern. A path needs at least two points; nan for a pattern whose stops times
    segments are beyond all reason.
    """
    place_m = np.full(len(stops.x_m), np.nan)
    offset_m = np.full(len(stops.x_m), np.nan)
    for batch in _batches(paths, stops):
        rows, row_place_m, row_offset_m = _place_batch(paths, stops, batch)
        place_m[rows], offset_m[rows] = row_place_m, row_offset_m
    return place_m, offset_m


def _batches(paths: Paths, stops: StopRows) -> Iterator[NDArray[np.intp]]:
    """Patterns of like size together, so that little of a batch is padding."""
    segments = np.diff(paths.start)[stops.path].astype(np.int64) - 1
    counts = np.diff(stops.start).astype(np.int64)
    order = np.lexsort((counts, segments))
    order = order[(segments * counts)[order] <= CELLS_MAX_OF_ONE]
    first = 0
    widest = 0
    for i, pattern in enumerate(order):
        grown = max(widest, int(counts[pattern]))
        if i > first and (i + 1 - first) * int(segments[pattern]) * grown > CELLS_MAX:
            yield order[first:i]
            first, grown = i, int(counts[pattern])
        widest = grown
    if first < len(order):
        yield order[first:]


@dataclass(frozen=True, slots=True)
class _Segments:
    """The segments of a batch, [B, M]; those past a path's end are out of reach."""

    x_m: Floats
    y_m: Floats
    dx_m: Floats
    dy_m: Floats
    length_m: Floats
    along_m: Floats
    unreal: NDArray[np.bool_]

    def take(self, line: NDArray[np.intp], segment: NDArray[np.intp]) -> _Segments:
        """One segment of each pattern, [B, 1]."""
        at = line, segment
        return _Segments(
            x_m=self.x_m[at][:, None],
            y_m=self.y_m[at][:, None],
            dx_m=self.dx_m[at][:, None],
            dy_m=self.dy_m[at][:, None],
            length_m=self.length_m[at][:, None],
            along_m=self.along_m[at][:, None],
            unreal=self.unreal[at][:, None],
        )

    def project(self, x_m: Floats, y_m: Floats) -> Floats:
        """The place on each segment nearest to each pattern's point [B], as metres along the path."""
        dot = (x_m[:, None] - self.x_m) * self.dx_m + (y_m[:, None] - self.y_m) * self.dy_m
        share = np.divide(dot, self.length_m**2, out=np.zeros_like(dot), where=self.length_m > 0)
        place_m: Floats = self.along_m + np.clip(share, 0.0, 1.0) * self.length_m
        return place_m

    def offset_m(self, x_m: Floats, y_m: Floats, place_m: Floats) -> Floats:
        """Distance from each pattern's point [B] to a place on each segment [B, M]; infinite past the path's end."""
        share = np.divide(place_m - self.along_m, self.length_m, out=np.zeros_like(place_m), where=self.length_m > 0)
        offset_m = np.hypot(x_m[:, None] - self.x_m - share * self.dx_m, y_m[:, None] - self.y_m - share * self.dy_m)
        return np.where(self.unreal, np.inf, offset_m)


def _segments(paths: Paths, path: Ints) -> _Segments:
    first, counts = paths.start[path], np.diff(paths.start)[path] - 1
    column = np.arange(int(counts.max()))
    unreal = column >= counts[:, None]
    here = first[:, None] + np.minimum(column, counts[:, None] - 1)
    x_m, y_m, along_m = paths.x_m[here], paths.y_m[here], paths.along_m[here]
    return _Segments(
        x_m=x_m,
        y_m=y_m,
        dx_m=paths.x_m[here + 1] - x_m,
        dy_m=paths.y_m[here + 1] - y_m,
        length_m=paths.along_m[here + 1] - along_m,
        along_m=along_m,
        unreal=unreal,
    )


def _place_batch(paths: Paths, stops: StopRows, batch: NDArray[np.intp]) -> tuple[NDArray[np.intp], Floats, Floats]:
    """Rows of the batch's stops, their places and their offsets."""
    path = stops.path[batch]
    segments = _segments(paths, path)
    total_m = paths.along_m[paths.start[path + 1] - 1]
    counts = np.diff(stops.start)[batch]
    steps = int(counts.max())
    row = stops.start[batch][:, None] + np.minimum(np.arange(steps), counts[:, None] - 1)
    points = stops.x_m[row], stops.y_m[row]
    expected_m = stops.expected[row] * total_m[:, None]

    at_m: Floats = segments.project(points[0][:, 0], points[1][:, 0])
    cost: Floats = _cost(segments, points[0][:, 0], points[1][:, 0], at_m, expected_m[:, 0])
    places_m = [at_m]
    origins: list[Ints] = []
    for k in range(1, steps):
        x_m, y_m = points[0][:, k], points[1][:, k]
        stop = (x_m, y_m, segments.project(x_m, y_m), expected_m[:, k])
        cost, at_m, origin = _step(segments, (cost, at_m), stop, k < counts)
        places_m.append(at_m)
        origins.append(origin)
    place_m, offset_m = _walk_back(segments, points, cost, places_m, origins)
    real = np.arange(steps) < counts[:, None]
    return row[real], place_m[real], offset_m[real]


def _cost(segments: _Segments, x_m: Floats, y_m: Floats, place_m: Floats, expected_m: Floats) -> Floats:
    doubt_m = np.abs(place_m - expected_m[:, None])
    cost: Floats = segments.offset_m(x_m, y_m, place_m) + EXPECTATION_WEIGHT * np.nan_to_num(doubt_m, nan=0.0)
    return cost


def _step(
    segments: _Segments,
    before: tuple[Floats, Floats],
    stop: tuple[Floats, Floats, Floats, Floats],
    real: NDArray[np.bool_],
) -> tuple[Floats, Floats, Ints]:
    """The least cost of having the next stop on each segment, its place there and the segment of the stop before."""
    cost, at_m = before
    x_m, y_m, place_m, expected_m = stop
    column = np.broadcast_to(np.arange(cost.shape[1], dtype=np.int32), cost.shape)

    # From any earlier segment: the cheapest of them, and the stop stands at its own projection.
    least = np.minimum.accumulate(cost, axis=1)
    lower = np.concatenate((np.ones((len(cost), 1), dtype=bool), cost[:, 1:] < least[:, :-1]), axis=1)
    holder = np.maximum.accumulate(np.where(lower, column, 0), axis=1)
    far_cost = np.concatenate((np.full((len(cost), 1), np.inf), least[:, :-1]), axis=1)
    far_cost = far_cost + _cost(segments, x_m, y_m, place_m, expected_m)
    far_origin = np.concatenate((column[:, :1], holder[:, :-1]), axis=1)

    # From the same segment: not behind the stop before, which may push it away from its projection.
    near_m = np.maximum(place_m, at_m)
    near_cost = cost + _cost(segments, x_m, y_m, near_m, expected_m)

    near = near_cost <= far_cost
    done = ~real[:, None]  # a pattern with fewer stops keeps its state to the end of the batch
    return (
        np.where(done, cost, np.where(near, near_cost, far_cost)),
        np.where(done, at_m, np.where(near, near_m, place_m)),
        np.where(done | near, column, far_origin),
    )


def _walk_back(
    segments: _Segments, points: tuple[Floats, Floats], cost: Floats, places_m: list[Floats], origins: list[Ints]
) -> tuple[Floats, Floats]:
    """Follow the cheapest last state back to the first stop: places and offsets, [B, steps] each."""
    line = np.arange(len(cost))
    segment = np.argmin(cost, axis=1)
    place_m = np.empty(points[0].shape)
    offset_m = np.empty(points[0].shape)
    for k in range(len(places_m) - 1, -1, -1):
        place_m[:, k] = places_m[k][line, segment]
        chosen = segments.take(line, segment)
        offset_m[:, k] = chosen.offset_m(points[0][:, k], points[1][:, k], place_m[:, k, None])[:, 0]
        if k > 0:
            segment = origins[k - 1][line, segment]
    return place_m, offset_m
