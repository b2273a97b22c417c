"""Our own holding law: a plan of holds for the whole line, and what such a plan does to those who wait for it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Line(NamedTuple):
    """The vehicles of a line in order, the one that is ready first, then those behind it; what `plan` looks at.

    gap_s[j] is the driving time, without any hold, from vehicle j to the one ahead of it, j - 1; for the first it is
    the last one's, round the loop, or of the vehicle that is ahead of all where the line is not `closed`.
    on_board[j] are the riders whom a hold of j delays. riders_per_s come to one stop. `compliance` is the share of
    holds that drivers carry out.
    """

    gap_s: Sequence[float]
    on_board: Sequence[float]
    riders_per_s: float
    closed: bool = True
    compliance: float = 1.0


class Joint(NamedTuple):
    """What a hold is expected to do together with those that are planned for the vehicles behind; seconds.

    `wait_s` is the mean wait of a rider who comes to a stop of the line, without any hold; `saved_s` the wait that the
    riders of one stop are spared, of all together.
    """

    vehicles: int
    held: int  # of them, besides the first
    wait_s: float
    wait_after_s: float
    saved_s: float


def plan(line: Line) -> Floats:
    """The holds of all vehicles of a line, seconds, that together cost its riders the least time.

    With g the gaps, u the holds that are expected and c the share of drivers who obey, it minimises

        W / 2 (sum (g_j + u_j - u_(j-1))^2  +  (1 - c) / c  sum' u_j^2)  +  sum n_j u_j,   u_j >= 0

    The first sum is the waiting of those who come to stops: riders_per_s h^2 / 2 for a headway h at one stop, and W
    counts HORIZON_STOPS of them, for an uneven gap stays until somebody is held. The second is what obedience by chance
    adds to it: whoever is asked for u / c and obeys with probability c changes the two gaps around him by u on the
    mean, each with a variance of u^2 (1 - c) / c, and half of it where he is asked twice, as most are before a gap is
    even; sum' leaves out the first vehicle, for its hold matters only if it is carried out. So the others are reckoned
    with for less, and the first does more of its part by itself. The last sum is the delay of those on board. With
    riders who ride r stops, neighbouring gaps may thus differ by r / HORIZON_STOPS of the headway before a hold is
    worth it. No target headway is in it: the line runs as fast as regularity allows.
    The gaps are taken as they are. Dwell goes on to widen the wide ones until others are held, but reckoning with that
    made the plan hold more and even out less wherever control stops are rare or drivers disobey.

    Only the first hold is carried out, within its limits; what is left of it, and all others, are planned anew at the
    next control stop. So the caps of single holds are no bounds here: a vehicle may be held again and again in a round.
    Postponing cannot pay, for on-board delay costs the same later and the gap has grown, so one stage is enough.
    """
    rows, aims = _problem(line)
    return _solve(rows, aims)


def joint(line: Line, first_s: float) -> Joint:
    """What is expected of a hold of the first vehicle, when those behind it are held as is then best.

    Obedience by chance makes headways uneven, and riders wait for that as well: so the wait afterwards is what the plan
    itself expects, not what it hopes for.
    """
    rows, aims = _problem(line)
    vehicles = len(line.gap_s)
    holds_s = np.concatenate([[first_s], _solve(rows[:, 1:], aims - rows[:, 0] * first_s)])
    gaps_s = -aims[:vehicles]
    after_s = gaps_s + rows[:vehicles] @ holds_s
    squares_s2, chance_s2 = float(gaps_s @ gaps_s), float(((rows[2 * vehicles :] @ holds_s) ** 2).sum())
    after_s2 = float(after_s @ after_s) + chance_s2
    whole_s, whole_after_s = max(float(gaps_s.sum()), 1e-9), max(float(after_s.sum()), 1e-9)
    return Joint(
        vehicles,
        int(np.count_nonzero(holds_s[1:] > HELD_S_MIN)),
        squares_s2 / (2 * whole_s),
        after_s2 / (2 * whole_after_s),
        line.riders_per_s * (squares_s2 - after_s2) / 2,
    )


HORIZON_STOPS = 70.0  # 60 to 100 do about as well; fewer leave lines of many riders to bunch
# A linear cost n u / W becomes a least-squares row as the faint square (FAINT u + n / (2 W FAINT))^2.
FAINT = 0.05
OBEY_MIN = 0.05  # of drivers who obey less often nothing is expected anyway
HELD_S_MIN = 10.0  # a shorter hold in a plan is no hold that anybody would be asked for


def _problem(line: Line) -> tuple[Floats, Floats]:
    """Rows and aims of the least-squares problem: gaps first, then the delay on board, then chance."""
    weight = max(line.riders_per_s * HORIZON_STOPS / 2, 1e-9)
    obey = min(max(line.compliance, OBEY_MIN), 1.0)
    rows = _rows(len(line.gap_s), line.closed, obey)
    delay = np.asarray(line.on_board) / (-2 * weight * FAINT)
    aims = np.concatenate([-np.asarray(line.gap_s), delay, np.zeros(len(line.gap_s))])
    return rows, aims


def _solve(rows: Floats, aims: Floats) -> Floats:
    """The least squares without negative values.

    Raises:
        RuntimeError: scipy gives up.
    """
    if not rows.shape[1]:
        return np.zeros(0)
    from scipy.optimize import nnls  # takes 0.2 s to import, and most lines run without it

    held: Floats = nnls(rows, aims, maxiter=30 * rows.shape[1])[0]
    return held


@lru_cache(maxsize=256)
def _rows(vehicles: int, closed: bool, obey: float) -> Floats:
    """Rows of the least-squares problem."""
    differences = np.eye(vehicles) - np.eye(vehicles, k=-1)
    if closed:
        differences[0, -1] -= 1
    chance = ((1 - obey) / obey) ** 0.5 * np.eye(vehicles)
    chance[0, 0] = 0.0
    return np.vstack([differences, FAINT * np.eye(vehicles), chance])
