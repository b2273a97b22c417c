"""Nearby: which paths pass a place, so that a vehicle without a trip is compared with no others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dispatch.network import Floats, Ints, Network
from dispatch.observations import Rows
from dispatch.timetable import point_at

CELL_M = 100.0
SAMPLE_M = 50.0  # a place 45 m from a path lies within a cell of one of its samples
COLUMN = 1 << 31  # rows in a column of the grid: more than the Earth has


class PathGrid:
    """Cells of 100 m and the paths that come near them."""

    def __init__(self, network: Network) -> None:
        length_m = network.point_along_m[network.path_start[1:] - 1]
        count = (length_m // SAMPLE_M).astype(np.int64) + 2
        path = np.repeat(np.arange(len(length_m)), count)
        nth = np.arange(len(path)) - np.repeat(np.cumsum(count) - count, count)
        x_m, y_m = point_at(network, path.astype(np.int32), np.minimum(nth * SAMPLE_M, length_m[path]))
        key = _column(x_m) * COLUMN + _column(y_m)
        self._paths = len(length_m)
        order = np.lexsort((path, key))
        key, path = key[order], path[order]
        fresh = np.ones(len(key), dtype=np.bool_)
        fresh[1:] = (np.diff(key) != 0) | (np.diff(path) != 0)
        self._key, self._path = key[fresh], path[fresh].astype(np.int32)

    def near(self, x_m: Floats, y_m: Floats) -> tuple[Rows, Ints]:
        """Pairs of a place and a path that may pass it within 50 m: index of the place, path."""
        found: list[NDArray[np.int64]] = []
        key = _column(x_m) * COLUMN + _column(y_m)
        for column in (-COLUMN, 0, COLUMN):
            first = np.searchsorted(self._key, key + column - 1, side="left")
            count = np.searchsorted(self._key, key + column + 1, side="right") - first
            of = np.repeat(np.arange(len(key)), count)
            at = first[of] + np.arange(len(of)) - np.repeat(np.cumsum(count) - count, count)
            found.append(of * self._paths + self._path[at])
        pairs = np.unique(np.concatenate(found)) if found else np.zeros(0, dtype=np.int64)
        return pairs // max(self._paths, 1), (pairs % max(self._paths, 1)).astype(np.int32)


def _column(metres: Floats) -> NDArray[np.int64]:
    column: NDArray[np.int64] = np.floor(metres / CELL_M).astype(np.int64)
    return column
