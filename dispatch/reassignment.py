"""Reassignment: whether the vehicles of one path would fit their trips better if some of them drove others.

A vehicle found in the middle of a trip is easily taken for the one before or behind it, and the mistake follows its
block from trip to trip. So all vehicles of a pattern whose trip was inferred are compared, once a minute, with all runs
that they may be driving: theirs, and those that nobody has. The cheapest assignment of all at once (Hungarian method)
is taken where it wins by a margin, several minutes in a row. The vehicles keep their place: only the times change.
"""

from __future__ import annotations

from collections.abc import Set

import numpy as np

from dispatch.candidates import COST_MAX, EARLY_S, LATE_S
from dispatch.claims import Timetable
from dispatch.fleet import INFERRED, NO_TRIP, Fleet
from dispatch.network import Floats, Ints
from dispatch.observations import Rows
from dispatch.timetable import scheduled_at

EVERY_S = 60.0
WINS = 3
GAINS = 0.15  # seconds that a vehicle may have gained for each second of its timetable
MARGIN = 4.0  # in squares of standard deviations: what a vehicle's own trip has ahead of any other
IMPOSSIBLE = 1e4
CHANGES_AT_ONCE = 200  # vehicles of one pattern: beyond that the work grows with the cube

Run = tuple[int, float]


class Reassignment:
    """Remembers which vehicles would be better off with another run, and how often in a row."""

    def __init__(self) -> None:
        self.improved_s = -np.inf
        self.wins: dict[int, tuple[Run, int]] = {}

    def improve(self, fleet: Fleet, timetable: Timetable, now_s: float, barred: Set[Run]) -> int:
        """Change the runs of those that have plainly got the wrong one; returns how many."""
        if 0 <= now_s - self.improved_s < EVERY_S:
            return 0
        self.improved_s = now_s
        rows = doubtful(fleet, now_s)
        if not len(rows):
            self.wins.clear()
            return 0
        due = timetable.due_at(now_s)
        zero_s = due.day_start_s[due.day] + due.offset_s
        taken = taken_runs(fleet) | barred
        free = np.array([run not in taken for run in zip(due.trip.tolist(), zero_s.tolist(), strict=True)], dtype=bool)
        wishes: dict[int, Run] = {}
        for pattern in np.unique(fleet.pattern[rows]).tolist():
            mine = rows[fleet.pattern[rows] == pattern][:CHANGES_AT_ONCE]
            open_runs = np.flatnonzero(free & (timetable.network.trip_pattern[due.trip] == pattern))
            wishes |= _wishes(fleet, timetable, mine, due.trip[open_runs], zero_s[open_runs])
        return self._grant(fleet, timetable, wishes)

    def _grant(self, fleet: Fleet, timetable: Timetable, wishes: dict[int, Run]) -> int:
        """Give those their wish that have had it long enough, and whose run is not held by one that stays."""
        before, self.wins = self.wins, {}
        for row, run in wishes.items():
            known, wins = before.get(row, (run, 0))
            self.wins[row] = (run, wins + 1 if known == run else 1)
        ready = {row: run for row, (run, wins) in self.wins.items() if wins >= WINS}
        while True:
            leaving = {(int(fleet.trip[row]), float(fleet.zero_s[row])) for row in ready}
            held = taken_runs(fleet) - leaving
            blocked = [row for row, run in ready.items() if run in held]
            if not blocked:
                break
            for row in blocked:
                del ready[row]
        for row, run in ready.items():
            _exchange(fleet, timetable, row, *run)
            del self.wins[row]
        return len(ready)


def doubtful(fleet: Fleet, now_s: float) -> Rows:
    """Vehicles under way on an inferred trip, seen on its path not long ago."""
    n = len(fleet)
    under_way = (
        (fleet.assigned[:n] == INFERRED) & (fleet.next_stop[:n] > 0) & ~fleet.finished[:n] & ~fleet.off_route[:n]
    )
    return np.flatnonzero(under_way & (now_s - fleet.ts_s[:n] <= EVERY_S * 2))


def taken_runs(fleet: Fleet) -> set[Run]:
    """Runs that are being driven, and those that follow in the blocks of who drives."""
    driven = fleet.trip >= 0
    follows = fleet.next_trip >= 0
    runs = set(zip(fleet.trip[driven].tolist(), fleet.zero_s[driven].tolist(), strict=True))
    return runs | set(zip(fleet.next_trip[follows].tolist(), fleet.next_zero_s[follows].tolist(), strict=True))


def misfit(late_s: Floats, under_way_s: Floats) -> Floats:
    """How badly a deviation fits a run: nobody leaves early, but who has driven for long may have become so."""
    early_s = np.minimum(EARLY_S + GAINS * np.maximum(under_way_s, 0.0), LATE_S)
    cost: Floats = (late_s / np.where(late_s < 0, early_s, LATE_S)) ** 2
    return cost


def _wishes(fleet: Fleet, timetable: Timetable, rows: Rows, free_trip: Ints, free_zero_s: Floats) -> dict[int, Run]:
    """For each of `rows`, all on one pattern, the run that it would rather drive, where that is not its own."""
    from scipy.optimize import linear_sum_assignment  # here: only who infers trips should carry it

    trip = np.concatenate((fleet.trip[rows], free_trip))
    zero_s = np.concatenate((fleet.zero_s[rows], free_zero_s))
    vehicle, run = np.repeat(np.arange(len(rows)), len(trip)), np.tile(np.arange(len(trip)), len(rows))
    due_s = scheduled_at(timetable.network, trip[run], fleet.along_m[rows][vehicle])
    late_s = fleet.ts_s[rows][vehicle] - zero_s[run] - due_s
    under_way_s = due_s - timetable.first_s[trip[run]]
    cost = misfit(late_s, under_way_s)
    own = vehicle == run
    cost = np.where(own, cost - MARGIN, np.where(cost > COST_MAX, IMPOSSIBLE, cost)).reshape(len(rows), len(trip))
    chosen_row, chosen = linear_sum_assignment(cost)
    return {
        int(rows[i]): (int(trip[k]), float(zero_s[k]))
        for i, k in zip(chosen_row.tolist(), chosen.tolist(), strict=True)
        if k != i and cost[i, k] < IMPOSSIBLE
    }


def _exchange(fleet: Fleet, timetable: Timetable, row: int, trip: int, zero_s: float) -> None:
    """Hold a vehicle to another run of the same pattern from now on."""
    follows = timetable.next_of(trip, zero_s)
    fleet.next_trip[row], fleet.next_zero_s[row] = follows if follows is not None else (NO_TRIP, np.nan)
    moved_s = _first_due_s(timetable, trip, zero_s) - _first_due_s(timetable, int(fleet.trip[row]), fleet.zero_s[row])
    fleet.trip[row], fleet.zero_s[row] = trip, zero_s
    fleet.delay_s[row] -= moved_s


def _first_due_s(timetable: Timetable, trip: int, zero_s: float) -> float:
    return float(timetable.first_s[trip] + zero_s)
