"""Pull: how strongly vehicles come back to their timetable, learnt by line from what became of predictions.

A delay that is carried from stop to stop does not stay what it is: who is early waits at timing points, who is late
hurries and stands for less long. And what is added on the way (see running) is learnt from vehicles that were late or
early themselves, so it holds some of that pull and all of the luck of the few that have passed. So a prediction is
moved towards the timetable by a share of its delay, another for late than for early ones, and by a share of what was
added since the delay was measured. The shares grow with the time left, as left / (left + HALFWAY_S) does: little in a
minute, half of the whole in a quarter of an hour. They are 0 to 1: a vehicle comes back, it does not run away.

They are a regression of the errors that predictions would have had unmoved, drawn to first guesses (ridge), first of
all lines together, then of each line to those. A vehicle's stops at about the same distance count as one; what lies
far out counts less (Huber's weights). A level that all predictions of a line are off by is taken out of the regression
and not used: the running times are there to learn it, and it would pass for a pull wherever most vehicles are late.

What was learnt from the past may be wrong of the future. So every move is noted at its full length when it is made, and
by time left as much of it is used as would have been right of late: the slope of the errors on the noted moves, 0 to 1.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np

from dispatch.network import Flags, Floats, Ints
from dispatch.scatter import guess_s

HALFWAY_S = 900.0
HALF_LIFE_S = 86_400.0
GAIN, LATE, EARLY, LEVEL = range(4)  # of what the shares are: of what was added, of delays; the last is not used
SHARES = 3
FIRST = np.array([0.5, 0.0, 0.0, 0.0])  # half of what few vehicles have told is luck
LEAST, MOST = np.array([0.0, 0.0, 0.0, -2.0]), np.array([1.0, 1.0, 1.0, 2.0])
# Samples (of an error as large as what it explains) that a first guess is worth: an hour of one vehicle or two.
WEIGHT = np.array([100.0, 100.0, 100.0, 10.0])
USED, USED_WEIGHT = 0.7, 20.0  # of a move before any was seen to be right; in such samples
CHECKED_S = np.array([0.0, 60, 180, 300, 450, 600, 750, 900, 1500])  # times left at which its use is looked at
FAR_OUT = 0.5  # errors larger than that share of the uncertainty weigh less
ROUNDS = 8  # of the descent, one share after the other; they settle in three or four
FITTED_EVERY_S = 60.0
BIN_S = 30.0
BIN_MAX = 60  # later ones are as the last
_MIDDLES_S = np.linspace(BIN_S / 2, BIN_S * (BIN_MAX + 0.5), BIN_MAX + 1)
_BETWEEN_S = (CHECKED_S[1:] + CHECKED_S[:-1]) / 2
_SPREAD = np.array([np.interp(_MIDDLES_S, CHECKED_S, row) for row in np.eye(len(CHECKED_S))])


def growth(left_s: Floats) -> Floats:
    """What part of the shares has come into effect `left_s` ahead."""
    return left_s / (left_s + HALFWAY_S)


@dataclass(frozen=True, slots=True)
class Outcomes:
    """N predictions that have come true, as they were before they were moved. Seconds."""

    line: Ints
    left_s: Floats  # until the arrival that was predicted
    delay_s: Floats  # predicted against the timetable
    gain_s: Floats  # how much of that was added to the delay that the vehicle had
    full_s: Floats  # how far they would have been moved at full length
    error_s: Floats  # actual minus predicted
    scale_s: Floats  # how large an error was expected

    def take(self, rows: Flags) -> Outcomes:
        """Those at `rows`."""
        return Outcomes(*(getattr(self, field.name)[rows] for field in fields(self)))


class Sums(NamedTuple):
    """What shares come from, by line and, in the last row, of all lines together."""

    squares: Floats  # [lines + 1, 4, 4] moves by moves
    products: Floats  # [lines + 1, 4] errors by moves
    checked: Floats  # [lines + 1, 2, times left] errors by whole moves as they were made, and those moves by themselves


class Pull:
    """Shares of `lines` lines, and of all together, with the sums that they come from."""

    def __init__(self, lines: int) -> None:
        self.lines = lines
        size = len(FIRST)
        shapes = ((lines + 1, size, size), (lines + 1, size), (lines + 1, 2, len(CHECKED_S)))
        self.sums = Sums(*(np.zeros(shape) for shape in shapes))
        self.at_s = 0.0  # until when the sums have faded
        self._fit(0.0)

    def drawn_s(self, line: Ints, left_s: Floats, delay_s: Floats, gain_s: Floats) -> Floats:
        """By how much later to predict what was predicted `left_s` ahead with this delay, `gain_s` of it added."""
        at = np.minimum(left_s * (1.0 / BIN_S), BIN_MAX).astype(np.intp)
        at += line * np.intp(BIN_MAX + 1)
        drawn: Floats = self._of_gain[at]
        drawn *= gain_s
        at += (delay_s < 0) * self._of_gain.size
        of_delay = self._of_delay[at]
        of_delay *= delay_s
        drawn += of_delay
        return drawn

    def full_s(self, line: Ints, left_s: Floats, delay_s: Floats, gain_s: Floats) -> Floats:
        """The same at full length."""
        moves = _moves(left_s, delay_s, gain_s)
        full: Floats = (self.shares[line, :SHARES] * moves[:, :SHARES]).sum(axis=1)
        return full

    def add(self, past: Outcomes, now_s: float) -> None:
        """Take in what became of predictions."""
        past = past.take(np.isfinite(past.error_s + past.full_s) & (past.scale_s > 0))
        if not len(past.line):
            return
        fade = 0.5 ** (max(now_s - self.at_s, 0.0) / HALF_LIFE_S) if self.at_s else 1.0
        for held in self.sums:
            np.multiply(held, fade, out=held)
        self.at_s = max(self.at_s, now_s)
        self._regress(past)
        self._check(past)
        if not 0.0 <= now_s - self._fitted_s < FITTED_EVERY_S:
            self._fit(now_s)

    def recall(self, sums: Sums, at_s: float) -> None:
        """Take over sums of these shapes as they stood at `at_s`."""
        self.sums, self.at_s = sums, at_s
        self._fit(at_s)

    def _regress(self, past: Outcomes) -> None:
        moves = _moves(past.left_s, past.delay_s, past.gain_s)
        odd_s = past.error_s - (moves * self.shares[past.line]).sum(axis=1)
        weight = _trust(odd_s, past.scale_s)[:, None] * moves
        self._sum(self.sums.squares, past.line, weight[:, :, None] * moves[:, None, :])
        self._sum(self.sums.products, past.line, weight * past.error_s[:, None])

    def _check(self, past: Outcomes) -> None:
        by_move = _trust(past.error_s - 0.5 * past.full_s, past.scale_s) * past.full_s
        at = np.searchsorted(_BETWEEN_S, past.left_s)
        size = len(at)
        parts = np.zeros((size, 2, len(CHECKED_S)))
        parts[np.arange(size), 0, at] = by_move * past.error_s
        parts[np.arange(size), 1, at] = by_move * past.full_s
        self._sum(self.sums.checked, past.line, parts)

    def _sum(self, sums: Floats, line: Ints, parts: Floats) -> None:
        np.add.at(sums, line, parts)
        sums[self.lines] += parts.sum(axis=0)

    def _fit(self, now_s: float) -> None:
        """Shares from the sums, and what of them is used by line and time left."""
        squares, products, checked = self.sums
        every = _solve(squares[-1:], products[-1:], FIRST)
        self.shares = np.concatenate((_solve(squares[:-1], products[:-1], every[0]), every))
        used = np.clip(_slope(checked[-1], USED), 0.0, 1.0)
        used = np.clip(_slope(checked[:-1], used), 0.0, 1.0) @ _SPREAD
        used *= growth(_MIDDLES_S)
        self._of_gain = (-self.shares[:-1, GAIN, None] * used).ravel()
        self._of_delay = np.concatenate([(-self.shares[:-1, side, None] * used).ravel() for side in (LATE, EARLY)])
        self._fitted_s = now_s


def _moves(left_s: Floats, delay_s: Floats, gain_s: Floats) -> Floats:
    """How far a share of 1 of each kind would move predictions, and what is left to their level; float64[n, 4]."""
    late_s = np.maximum(delay_s, 0.0)
    whole = np.stack((-gain_s, -late_s, late_s - delay_s, guess_s(left_s)), axis=1)
    moves: Floats = (whole.T * growth(left_s)).T
    return moves


def _trust(odd_s: Floats, scale_s: Floats) -> Floats:
    """The weight of errors, in units of what was expected."""
    bound_s = FAR_OUT * scale_s
    trust: Floats = bound_s / np.maximum(np.abs(odd_s), bound_s) / scale_s**2
    return trust


def _slope(checked: Floats, first: Floats | float) -> Floats:
    """How much of the moves was right."""
    slope: Floats = (checked[..., 0, :] + USED_WEIGHT * first) / (checked[..., 1, :] + USED_WEIGHT)
    return slope


def _solve(squares: Floats, products: Floats, first: Floats) -> Floats:
    """Ridge regressions towards `first` within bounds, one for each row, by descent along one share after the other."""
    held = squares + np.diag(WEIGHT)
    wanted = products + WEIGHT * first
    found: Floats = np.tile(first, (len(products), 1))
    for _ in range(ROUNDS):
        for j in range(len(first)):
            own = held[:, j, j]
            rest = (held[:, j] * found).sum(axis=1) - own * found[:, j]
            found[:, j] = np.clip((wanted[:, j] - rest) / own, LEAST[j], MOST[j])
    return found
