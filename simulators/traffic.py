"""How much slower than usual the roads are, by place and time: one factor that all vehicles near by share.

The logarithm of the factor is a random field on a coarse grid of places and quarters of an hour, blended linearly in
time, so that neighbours slow down together and a jam comes and goes. A timetable already knows the daily peaks;
this is what it does not know.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CELL_M = 1_500.0  # a district: vehicles of one line a few stops apart mostly share it
PERIOD_S = 900.0  # as the pinned scenario `frequent` has it: one common factor per 15 minutes
GRID_CELLS = 32
GRID_PERIODS = 128

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Traffic:
    """A field of log factors [GRID_CELLS, GRID_CELLS, GRID_PERIODS] that repeats beyond its edges."""

    log_factor: Floats

    def factor(self, x_m: Floats, y_m: Floats, at_s: Floats) -> Floats:
        """Running time over usual running time at each place (metres) and time (Unix seconds); its mean is 1."""
        column = np.floor(x_m / CELL_M).astype(np.int64) % GRID_CELLS
        row = np.floor(y_m / CELL_M).astype(np.int64) % GRID_CELLS
        period = at_s / PERIOD_S
        before = np.floor(period).astype(np.int64)
        share = period - before
        field = self.log_factor
        blended = (1.0 - share) * field[row, column, before % GRID_PERIODS] + share * field[
            row, column, (before + 1) % GRID_PERIODS
        ]
        return np.asarray(np.exp(blended), dtype=np.float64)


def make_traffic(rng: np.random.Generator, variation: float) -> Traffic:
    """A field whose factor has the mean 1 and the coefficient of variation `variation` at the quarter hours."""
    sigma = np.sqrt(np.log1p(variation**2))
    noise = rng.normal(size=(GRID_CELLS, GRID_CELLS, GRID_PERIODS))
    return Traffic(log_factor=sigma * noise - sigma**2 / 2.0)
