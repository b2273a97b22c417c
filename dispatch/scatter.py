"""Scatter: how far arrivals fall from their predictions, learnt by line and by the time that was left.

The uncertainty of a prediction is the half width of the band around it into which about two thirds (SHARE) of such
predictions fell. An error is counted as its ratio to a first guess that grows with the time left, in bins by factors,
so that any quantile can be read from a few numbers and nothing is kept of single predictions. A line of which little
has been seen is taken to be like all lines together, and those like the first guess. Old counts fade.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dispatch.network import Floats, Ints

SHARE = 0.68  # one standard deviation to each side, were errors normal
DRIVEN, FOLLOWS = 0, 1  # of the trip under way; of the next of the block, with a layover before it
KINDS = 2
LEFT_S = np.array([30.0, 60, 120, 180, 300, 450, 600, 900, 1200, 1800, 2700])  # bins of the time left, the last open
_STEP_S = 30.0  # of which all of them are multiples, so that a bin is found by looking it up
_BIN = np.searchsorted(LEFT_S, np.arange(LEFT_S[-1] // _STEP_S + 1) * _STEP_S, side="right").astype(np.intp)
RATIOS = 2.0 ** np.arange(-3.0, 3.25, 0.25)  # bins of the error's ratio to the guess, open at both ends
GUESS_S, GUESS_RATE = 15.0, 0.12
HALF_LIFE_S = 7 * 86_400.0
# Samples of one vehicle on its way to one stop are much alike, so it takes many to outweigh what stands for them.
FIRST_WEIGHT = 50.0
ALIKE_WEIGHT = 200.0


def guess_s(left_s: Floats) -> Floats:
    """The uncertainty of a prediction before any error was seen."""
    guessed: Floats = GUESS_S + GUESS_RATE * np.maximum(left_s, 0.0)
    return guessed


def bin_of(left_s: Floats) -> NDArray[np.intp]:
    """Which bin of LEFT_S each time left falls into."""
    bins: NDArray[np.intp] = _BIN[np.minimum(np.maximum(left_s / _STEP_S, 0), len(_BIN) - 1).astype(np.intp)]
    return bins


_EDGES = np.concatenate(([0.0], RATIOS))
# Shares of the ratio's bins to begin with: exponential, SHARE of it below 1.
_FIRST_SHARES: Floats = np.diff(np.append(1.0 - (1.0 - SHARE) ** _EDGES, 1.0))


class Scatter:
    """Counts of errors by kind of prediction, line, time left and ratio; of `lines` lines and of all together."""

    def __init__(self, lines: int) -> None:
        self.lines = lines
        self.counts = np.zeros((KINDS, lines + 1, len(LEFT_S) + 1, len(RATIOS) + 1))  # the last row is all lines'
        self.at_s = 0.0  # until when the counts have faded
        self._factor: Floats | None = None

    def add(self, kind: Ints, line: Ints, left_s: Floats, error_s: Floats, now_s: float) -> None:
        """Take in what became of predictions that were made with `left_s` to go, `error_s` off on either side."""
        if not len(line):
            return
        self.counts *= 0.5 ** (max(now_s - self.at_s, 0.0) / HALF_LIFE_S) if self.at_s else 1.0
        self.at_s = max(self.at_s, now_s)
        ratio = np.searchsorted(RATIOS, np.abs(error_s) / guess_s(left_s), side="right")
        left = bin_of(left_s)
        np.add.at(self.counts, (kind, line, left, ratio), 1.0)
        np.add.at(self.counts, (kind, np.full(len(line), self.lines), left, ratio), 1.0)
        self._factor = None

    def recall(self, counts: Floats, at_s: float) -> None:
        """Take over counts of this shape as they stood at `at_s`."""
        self.counts, self.at_s, self._factor = counts, at_s, None

    def uncertainty_s(self, kind: int, line: Ints, left_s: Floats) -> Floats:
        """Half width of the band that holds SHARE of the arrivals predicted `left_s` ahead."""
        if self._factor is None:
            self._factor = self._factors()
        left = bin_of(left_s)
        left += line * np.intp(len(LEFT_S) + 1)
        uncertainty = guess_s(left_s)
        uncertainty *= self._factor[kind].ravel()[left]
        return uncertainty

    def _factors(self) -> Floats:
        """The ratio below which SHARE of the errors lie, by kind, line and time left; float64[KINDS, lines + 1, bins].

        Where a group's bins hold few counts, theirs are topped up with the shares of what stands above it.
        """
        every = self.counts[:, -1:] + FIRST_WEIGHT * _FIRST_SHARES
        shares = every / every.sum(axis=-1, keepdims=True)
        counts = np.concatenate((self.counts[:, :-1] + ALIKE_WEIGHT * shares, every), axis=1)
        below = np.cumsum(counts, axis=-1)
        wanted = SHARE * below[..., -1:]
        at = np.minimum((below < wanted).sum(axis=-1), len(RATIOS) - 1)[..., None]
        upper = np.take_along_axis(below, at, axis=-1)
        inside = np.take_along_axis(counts, at, axis=-1)
        part = np.clip(1.0 - (upper - wanted) / inside, 0.0, 1.0)
        factors: Floats = (_EDGES[at] + part * (_EDGES[at + 1] - _EDGES[at]))[..., 0]
        return factors
