"""Contest: whether a vehicle whose trip was inferred would fit a run of another path better, by all it has shown.

Lines that share a street are told apart by little, and who was taken for the wrong one would be held to it until the
streets part. So once a minute the run of each such vehicle is compared with every other that nobody drives and that
may fit, by the places of the last minutes (trails) and by the timetable. One that wins by a margin, twice in a row, is
taken. Runs of the same path are compared in reassignment.
"""

from __future__ import annotations

from collections.abc import Set

import numpy as np

from dispatch.assignment import Inference
from dispatch.candidates import find_candidates
from dispatch.claims import Timetable
from dispatch.fleet import INFERRED, Fleet
from dispatch.matching import Paths
from dispatch.network import Floats, Ints
from dispatch.observations import Rows
from dispatch.reassignment import Run, misfit, taken_runs
from dispatch.timetable import scheduled_at

EVERY_S = 60.0
WINS = 2
SEEN_S = 120.0
MARGIN = 4.0  # in squares of standard deviations: what the run that a vehicle has is ahead of any other
SEEN_MARGIN = 3.0  # of which so much by the places alone
VEHICLES_AT_ONCE = 100  # the rest is looked at in the next turns


class Contest:
    """Remembers which other run has won, and how often in a row."""

    def __init__(self) -> None:
        self.looked_s = -np.inf
        self.turn = 0
        self.wins: dict[int, tuple[Run, int]] = {}

    def look(
        self, fleet: Fleet, timetable: Timetable, paths: Paths, inference: Inference, now_s: float, barred: Set[Run]
    ) -> list[tuple[int, Run]]:
        """The vehicles that are to be held to another run from now on, and to which."""
        if 0 <= now_s - self.looked_s < EVERY_S:
            return []
        self.looked_s = now_s
        rows = self._turn_of(_under_way(fleet, now_s))
        if not len(rows):
            return []
        due = timetable.due_at(now_s)
        network = timetable.network
        own_seen = inference.trails.cost(fleet, paths, rows, network.pattern_path[fleet.pattern[rows]])
        astray = own_seen > SEEN_MARGIN
        looked_at = set(rows.tolist())
        rows, own_seen = rows[astray], own_seen[astray]
        if not len(rows) or not len(due):
            return self._grant({}, looked_at)
        late_s = fleet.ts_s[rows] - fleet.zero_s[rows] - scheduled_at(network, fleet.trip[rows], fleet.along_m[rows])
        own = own_seen + _misfit(timetable, fleet.trip[rows], late_s, fleet.ts_s[rows] - fleet.zero_s[rows])
        zero_s = due.day_start_s[due.day] + due.offset_s
        taken = taken_runs(fleet) | barred
        free = np.array([run not in taken for run in zip(due.trip.tolist(), zero_s.tolist(), strict=True)], dtype=bool)
        trip, zero_s = due.trip[free], zero_s[free]
        found = find_candidates(fleet, network, paths, inference.grid(network), rows, trip, zero_s)
        seen = inference.trails.cost(fleet, paths, found.vehicle, found.path)
        seen += inference.change(network, found.vehicle, trip[found.run])
        cost = seen + _misfit(timetable, trip[found.run], found.late_s, fleet.ts_s[found.vehicle] - zero_s[found.run])
        at = np.searchsorted(rows, found.vehicle)
        # Times alone tell no paths apart: the places have to speak for it too.
        better = (cost + MARGIN < own[at]) & (seen + SEEN_MARGIN < own_seen[at])
        wishes: dict[int, Run] = {}
        wanted: set[Run] = set()
        for i in np.flatnonzero(better)[np.argsort(cost[better], kind="stable")].tolist():
            row, run = int(found.vehicle[i]), (int(trip[found.run[i]]), float(zero_s[found.run[i]]))
            if row not in wishes and run not in wanted:
                wishes[row] = run
                wanted.add(run)
        return self._grant(wishes, looked_at)

    def _turn_of(self, rows: Rows) -> Rows:
        """Of many vehicles those whose turn it is."""
        if len(rows) <= VEHICLES_AT_ONCE:
            return rows
        self.turn = (self.turn + VEHICLES_AT_ONCE) % len(rows)
        return np.sort(np.roll(rows, -self.turn)[:VEHICLES_AT_ONCE])

    def _grant(self, wishes: dict[int, Run], looked_at: set[int]) -> list[tuple[int, Run]]:
        before = self.wins
        self.wins = {row: won for row, won in before.items() if row not in looked_at}
        granted = []
        for row, run in wishes.items():
            known, wins = before.get(row, (run, 0))
            wins = wins + 1 if known == run else 1
            if wins >= WINS:
                granted.append((row, run))
            else:
                self.wins[row] = (run, wins)
        return granted


def _under_way(fleet: Fleet, now_s: float) -> Rows:
    """Vehicles on an inferred trip, on its path or astray, that were heard not long ago."""
    n = len(fleet)
    under_way = (fleet.assigned[:n] == INFERRED) & (fleet.next_stop[:n] > 0) & ~fleet.finished[:n]
    return np.flatnonzero(under_way & (now_s - fleet.ts_s[:n] <= SEEN_S))


def _misfit(timetable: Timetable, trip: Ints, late_s: Floats, since_s: Floats) -> Floats:
    """The same measure of a deviation as among the runs of one path."""
    return misfit(late_s, since_s - late_s - timetable.first_s[trip])
