"""Trails: the last places of vehicles whose trip is guessed, and how well a path explains them.

One fix on a street that ten lines share says little; ten fixes on the way say which of the paths was followed. Where
two paths part only by the width of a crossing, it is the sum of small offsets that tells them apart.
"""

from __future__ import annotations

import numpy as np

from dispatch.fleet import Fleet
from dispatch.matching import UNKNOWN_SPREAD_M, Paths, match
from dispatch.network import Floats, Ints
from dispatch.observations import Rows

KEPT = 12
EVERY_M = 120.0  # who stands says the same again and again
OLD_S = 900.0
OFFSET_M = 11.0  # standard deviation of an offset, and half as much again since neighbours err alike
OFFSET_M_MAX = 60.0  # further off is off, however far
AGAINST = 3.0  # cost of going straight against a path


class Trails:
    """The last KEPT places of each vehicle, with the trip that it was held to there."""

    def __init__(self) -> None:
        self._held: Floats = np.full((5, 0, KEPT), np.nan)  # x, y, heading, time, trip
        self._nth: Rows = np.zeros(0, dtype=np.intp)

    def note(self, fleet: Fleet, rows: Rows) -> None:
        """Remember the newest places of `rows`, of those that have come on."""
        if not len(rows):
            return
        self._grow(len(fleet.ts_s))
        last = (self._nth[rows] - 1) % KEPT
        last_x_m, last_y_m = self._held[0, rows, last], self._held[1, rows, last]
        with np.errstate(invalid="ignore"):
            rows = rows[~(np.hypot(fleet.x_m[rows] - last_x_m, fleet.y_m[rows] - last_y_m) < EVERY_M)]
        at = self._nth[rows] % KEPT
        columns = (fleet.x_m, fleet.y_m, fleet.heading_deg, fleet.ts_s, fleet.trip)
        for nth, column in enumerate(columns):
            self._held[nth, rows, at] = np.asarray(column)[rows]
        self._nth[rows] += 1

    def cost(self, fleet: Fleet, paths: Paths, row: Rows, path: Ints) -> Floats:
        """What speaks against each vehicle of `row` having come along `path` since it was held to its trip (or none).

        In squares of standard deviations, summed over the places; 0 where nothing is known.
        """
        if not len(row):
            return np.zeros(0)
        self._grow(len(fleet.ts_s))
        paths_all = len(paths.path_m)
        pairs, of = np.unique(row.astype(np.int64) * paths_all + path, return_inverse=True)
        cost: Floats = self._cost(fleet, paths, pairs // paths_all, (pairs % paths_all).astype(np.int32))[of]
        return cost

    def _cost(self, fleet: Fleet, paths: Paths, row: Rows, path: Ints) -> Floats:
        x_m, y_m, heading_deg, ts_s, trip = self._held[:, row]
        with np.errstate(invalid="ignore"):
            known = (trip == fleet.trip[row][:, None]) & (fleet.ts_s[row][:, None] - ts_s < OLD_S)
        pair, nth = np.nonzero(known)
        size = len(pair)
        place = match(
            paths,
            path[pair],
            x_m[pair, nth],
            y_m[pair, nth],
            np.zeros(size),
            np.full(size, np.inf),
            np.zeros(size),
            np.full(size, UNKNOWN_SPREAD_M),
            heading_deg[pair, nth],
        )
        heading = np.radians(heading_deg[pair, nth])
        with_it = paths.east[place.segment] * np.sin(heading) + paths.north[place.segment] * np.cos(heading)
        cost = (np.minimum(place.offset_m, OFFSET_M_MAX) / OFFSET_M) ** 2
        cost += np.where(np.isnan(with_it), 0.0, AGAINST * (1.0 - with_it) / 2)
        total: Floats = np.bincount(pair, weights=cost, minlength=len(row)).astype(np.float64)
        return total

    def memory(self, vehicles: int) -> tuple[Floats, Rows]:
        """Copies of what is held of the first `vehicles` rows, for a restart."""
        self._grow(vehicles)
        return self._held[:, :vehicles].copy(), self._nth[:vehicles].copy()

    def resume(self, held: Floats, nth: Rows) -> None:
        """Go on from what `memory` said."""
        self._held, self._nth = held, nth

    def hold(self, row: int, before: int, trip: int) -> None:
        """Count what was seen while a vehicle was held to one trip as seen on another."""
        if row < len(self._nth):
            trips = self._held[4, row]
            trips[trips == before] = trip

    def _grow(self, vehicles: int) -> None:
        short = vehicles - len(self._nth)
        if short > 0:
            self._held = np.pad(self._held, ((0, 0), (0, short), (0, 0)), constant_values=np.nan)
            self._nth = np.pad(self._nth, (0, short))
