"""Matching: where on its path a vehicle is, by projecting a fix onto the segments around the place where it was.

A fix is compared only with the segments of a window `from_m ... to_m` along its vehicle's path, so a vehicle that was
on the way out is not thrown onto the way back which runs along the same road, and the work does not grow with the
length of the path. Among the segments of the window the best has the least

    (distance / DISTANCE_M)^2 + ((along - expected) / spread)^2 + HEADING (1 - cos(turn)) / 2

which weighs distance, continuity and heading. Windows of all fixes are laid end to end in flat arrays, and
`minimum.reduceat` finds the best of each: no loop over fixes, no padding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dispatch.network import Floats, Ints, Network

CELL_M = 32.0  # of the index from distance to segment
DISTANCE_M = 10.0  # standard deviation of a fix, across the road
HEADING = 12.0  # cost of driving against the path: as much as 35 m beside it
# Fixes times segments in one pass. 8,192 float64 fit in the caches and, at 64 KiB, below the size from which malloc
# maps fresh pages for every array (128 KiB in glibc): twice as fast as 32,768.
PAIRS_AT_ONCE = 1 << 13
UNKNOWN_SPREAD_M = 1e9


@dataclass(frozen=True, slots=True)
class Paths:
    """The segments of all paths, prepared for projection; segment i runs from point i of its path to the next one."""

    x_m: Floats  # [G] start of the segment
    y_m: Floats
    east: Floats  # [G] its direction, a unit vector; 0, 0 where it has no length
    north: Floats
    length_m: Floats
    along_m: Floats  # distance of its start from the path's start
    first: Ints  # [L + 1] first segment of each path; the last point of a path is a segment without length
    path_m: Floats  # [L] length of each path
    cell_start: Ints  # [L + 1]
    cell_segment: Ints  # the segment in which each cell of CELL_M begins


@dataclass(frozen=True, slots=True)
class Matches:
    """Places of n fixes: distance along the path, distance from it (unsigned), and the segment they are on."""

    along_m: Floats
    offset_m: Floats
    segment: NDArray[np.intp]


def prepare_paths(network: Network) -> Paths:
    """The network's paths as segments with an index from distance to segment."""
    x_m, y_m, along_m = network.point_x_m, network.point_y_m, network.point_along_m
    east_m, north_m = np.diff(x_m, append=x_m[-1:]), np.diff(y_m, append=y_m[-1:])
    last = network.path_start[1:] - 1
    east_m[last] = north_m[last] = 0.0
    length_m = np.hypot(east_m, north_m)
    scale = np.divide(1.0, length_m, out=np.zeros_like(length_m), where=length_m > 0)
    path_m = along_m[last]
    cells = (path_m // CELL_M).astype(np.int32) + 1
    cell_start = np.concatenate(([0], np.cumsum(cells))).astype(np.int32)
    # Points of all paths on one axis, so that one search finds the segment of every cell.
    base_m = np.concatenate(([0.0], np.cumsum(path_m + 2 * CELL_M)))[:-1]
    axis_m = along_m + np.repeat(base_m, np.diff(network.path_start))
    of = np.repeat(np.arange(len(path_m)), cells)
    cell_m = (np.arange(cell_start[-1]) - cell_start[of]) * CELL_M + base_m[of]
    segment = np.searchsorted(axis_m, cell_m, side="right") - 1
    return Paths(
        x_m,
        y_m,
        east_m * scale,
        north_m * scale,
        length_m,
        along_m,
        network.path_start,
        path_m,
        cell_start,
        segment.astype(np.int32),
    )


def match(
    paths: Paths,
    path: Ints,
    x_m: Floats,
    y_m: Floats,
    from_m: Floats,
    to_m: Floats,
    expected_m: Floats,
    spread_m: Floats,
    bearing_deg: Floats,
) -> Matches:
    """Project n fixes, each onto the window `from_m ... to_m` of its path: distance along it and offset from it.

    `bearing_deg` may be nan (no heading known); `spread_m` is the standard deviation of `expected_m`.
    The offset is unsigned, in metres; the nearest place is clipped to whole segments, not to the window.
    """
    path_m = paths.path_m[path]
    cells = paths.cell_start[path]
    low = paths.cell_segment[cells + (np.minimum(np.maximum(from_m, 0.0), path_m) * (1 / CELL_M)).astype(np.int32)]
    last = paths.first[path + 1] - 1
    # Segments may begin and end within the window's last cell: take all that begin before the next one.
    after = cells + (np.minimum(np.maximum(to_m, 0.0), path_m) * (1 / CELL_M)).astype(np.int32) + 1
    ends = paths.cell_start[path + 1]
    high = np.where(after < ends, paths.cell_segment[np.minimum(after, ends - 1)] + 1, last)
    high = np.maximum(np.minimum(high, last), low + 1)
    count = high - low
    heading = np.radians(bearing_deg)
    known = ~np.isnan(heading)
    east = np.where(known, np.sin(heading), 0.0)
    north = np.where(known, np.cos(heading), 0.0)
    along_m = np.empty(len(path))
    offset_m = np.empty(len(path))
    segment = np.empty(len(path), dtype=np.intp)
    pull = 1.0 / spread_m
    for rows in _blocks(count):
        along_m[rows], offset_m[rows], segment[rows] = _best(
            paths, low[rows], count[rows], x_m[rows], y_m[rows], east[rows], north[rows], expected_m[rows], pull[rows]
        )
    return Matches(along_m, offset_m, segment)


def _blocks(count: NDArray[np.int32]) -> list[slice]:
    """Slices of fixes with about PAIRS_AT_ONCE segments each."""
    if not len(count):
        return []
    total = np.cumsum(count)
    if total[-1] <= PAIRS_AT_ONCE:
        return [slice(0, len(count))]
    ends = np.searchsorted(total, np.arange(PAIRS_AT_ONCE, total[-1] + PAIRS_AT_ONCE, PAIRS_AT_ONCE), side="left") + 1
    edges = np.unique(np.concatenate(([0], np.minimum(ends, len(count)))))
    return [slice(a, b) for a, b in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)]


def _best(
    paths: Paths,
    low: Ints,
    count: Ints,
    x_m: Floats,
    y_m: Floats,
    east: Floats,
    north: Floats,
    expected_m: Floats,
    pull: Floats,
) -> tuple[Floats, Floats, NDArray[np.intp]]:
    """The cheapest place of each fix among `count` segments from `low`; see the module's formula.

    Written in place where it can be: this is where the time of a large fleet's tick goes.
    """
    start = np.cumsum(count) - count
    fix = np.repeat(np.arange(len(count)), count)
    segment = (low - start).take(fix)
    segment += np.arange(len(fix))
    u, v = paths.east.take(segment), paths.north.take(segment)
    dx, dy = x_m.take(fix), y_m.take(fix)
    dx -= paths.x_m.take(segment)
    dy -= paths.y_m.take(segment)
    t = dx * u
    t += dy * v
    np.maximum(t, 0.0, out=t)
    np.minimum(t, paths.length_m.take(segment), out=t)
    dx -= t * u
    dy -= t * v
    dx *= dx
    dy *= dy
    dx += dy  # the square of the distance
    t += paths.along_m.take(segment)
    cost = t - expected_m.take(fix)
    cost *= pull.take(fix)
    cost *= cost
    cost += dx * (1 / DISTANCE_M**2)
    u *= east.take(fix)
    v *= north.take(fix)
    u += v
    u *= HEADING / 2
    cost -= u
    least = np.minimum.reduceat(cost, start)
    hits = np.flatnonzero(cost == least.take(fix))
    best = hits if len(hits) == len(count) else hits[np.searchsorted(hits, start)]
    return t[best], np.sqrt(dx[best]), segment[best]
