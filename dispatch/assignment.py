"""Assignment: which trip a vehicle drives: the one it claims, else the one that fits where it is and when.

A vehicle without a claimed trip is compared with the runs that are due: the best run is the one whose path it is on, in
its direction, nearest in time, and not driven by another. It must win `CONFIRMATIONS` times in a row before it is taken
(hysteresis), and is given up again when the vehicle plainly does not drive it. A trip ends at its last stop; the next
one of its block follows, and where there is none the vehicle has none.
"""

from __future__ import annotations

from collections.abc import Set

import numpy as np

from dispatch.candidates import find_candidates
from dispatch.claims import FOLLOWS_S_MAX, Timetable
from dispatch.fleet import INFERRED, NO_TRIP, NOBODY, Fleet
from dispatch.matching import Paths
from dispatch.nearby import PathGrid
from dispatch.network import Flags, Floats, Ints, Network
from dispatch.observations import Rows
from dispatch.passages import StopZones
from dispatch.trails import Trails

CONFIRMATIONS = 2
OTHER_ROUTE = 4.0  # in squares of standard deviations: most vehicles stay on their route all day
NEAR_END_M = 300.0  # a vehicle with an inferred trip that stands, or leaves the road, so near its end has ended it
STANDS_S = 90.0
STRAYED_S = 1500.0  # an inferred trip this far from its times was the wrong one,
LOST_S = 180.0  # and so was one whose vehicle has been off its path for so long,
NEVER_S = 900.0  # or that has not come to its start so long after its time,
ELSEWHERE_M = 1500.0  # or is this far from it,
BACK_M = 150.0  # or has driven so far against its direction,
BEGUN_S = 300.0  # unless it is still turning to come to the trip's start
VEHICLES_AT_ONCE = 400  # the rest waits for the next tick


def assign(fleet: Fleet, timetable: Timetable, row: int, trip: int, zero_s: float, by: int) -> None:
    """Put one vehicle on a trip (or on none: NO_TRIP) and begin a new track."""
    follows = timetable.next_of(trip, zero_s) if trip != NO_TRIP else None
    fleet.next_trip[row], fleet.next_zero_s[row] = follows if follows is not None else (NO_TRIP, np.nan)
    fleet.trip[row] = trip
    fleet.zero_s[row] = zero_s
    fleet.pattern[row] = timetable.network.trip_pattern[trip] if trip != NO_TRIP else 0
    fleet.assigned[row] = by if trip != NO_TRIP else NOBODY
    fleet.clear_track(np.array([row]))


def end_trips(fleet: Fleet, timetable: Timetable, rows: Rows, keep_s: float) -> int:
    """Give vehicles at the end of their trip the next one of their block, or, after `keep_s` seconds, none.

    Returns the number of trips that ended so.
    """
    ended = 0
    for row in rows[fleet.finished[rows]].tolist():
        trip, zero_s, now_s = int(fleet.next_trip[row]), float(fleet.next_zero_s[row]), float(fleet.ts_s[row])
        if trip != NO_TRIP and zero_s + timetable.first_s[trip] - now_s <= FOLLOWS_S_MAX:
            assign(fleet, timetable, row, trip, zero_s, int(fleet.assigned[row]))
            ended += 1
        elif now_s - fleet.finished_s[row] > keep_s or fleet.off_route[row]:
            assign(fleet, timetable, row, NO_TRIP, np.nan, NOBODY)
            ended += 1
    return ended


def finish_inferred(fleet: Fleet, zones: StopZones, rows: Rows) -> None:
    """End inferred trips near their last stop: no device says when a driver takes a short way to the layover."""
    rows = rows[(fleet.assigned[rows] == INFERRED) & ~fleet.finished[rows]]
    if not len(rows):
        return
    last_m = zones.stop_m[zones.first[fleet.pattern[rows] + 1] - 1]
    with np.errstate(invalid="ignore"):
        near = fleet.place_m[rows] >= last_m - NEAR_END_M
        stands = fleet.ts_s[rows] - fleet.moved_s[rows] >= STANDS_S
    ended = rows[near & (stands | fleet.off_route[rows])]
    fleet.finished[ended] = True
    fleet.finished_s[ended] = fleet.ts_s[ended]


def is_wrong(fleet: Fleet, timetable: Timetable, rows: Rows, deviation_s: Floats) -> Flags:
    """Which of the inferred trips of `rows` their vehicles plainly do not drive."""
    begins_s = fleet.zero_s[rows] + timetable.first_s[fleet.trip[rows]]
    off, now_s = fleet.off_route[rows], fleet.ts_s[rows]
    with np.errstate(invalid="ignore"):
        lost = off & (now_s - fleet.on_route_s[rows] > LOST_S) & (now_s > begins_s)
        never = off & np.isnan(fleet.place_m[rows]) & (now_s > begins_s + NEVER_S)
        elsewhere = off & (fleet.offset_m[rows] > ELSEWHERE_M)
        back = (fleet.along_m[rows] < fleet.place_m[rows] - BACK_M) & (now_s > begins_s + BEGUN_S)
        wrong: Flags = lost | never | elsewhere | back | (np.abs(deviation_s) > STRAYED_S)
    return wrong & ~fleet.finished[rows]


class Inference:
    """What is guessed about vehicles without a claimed trip: the run that won last time, and how often in a row."""

    def __init__(self) -> None:
        self.favourite: dict[int, tuple[int, float, int]] = {}
        self.trails = Trails()
        self.route: dict[int, int] = {}  # that each vehicle was last held to
        self._grid: tuple[Network, PathGrid] | None = None
        self.turn = 0

    def note(self, fleet: Fleet, rows: Rows) -> None:
        """Remember where vehicles without a claimed trip have just been."""
        self.trails.note(fleet, rows)

    def infer(
        self, fleet: Fleet, timetable: Timetable, paths: Paths, now_s: float, rows: Rows, barred: Set[tuple[int, float]]
    ) -> int:
        """Assign those of `rows` (vehicles without trip that have just moved) whose run is plain; returns how many.

        Nobody is given a run that is `barred` (trip, zero).
        """
        if not len(rows):
            return 0
        due = timetable.due_at(now_s)
        if not len(due):
            return 0
        if len(rows) > VEHICLES_AT_ONCE:
            self.turn = (self.turn + VEHICLES_AT_ONCE) % len(rows)
            rows = np.roll(rows, -self.turn)[:VEHICLES_AT_ONCE]
        zero_s = due.day_start_s[due.day] + due.offset_s
        driven = fleet.trip >= 0
        taken = set(zip(fleet.trip[driven].tolist(), fleet.zero_s[driven].tolist(), strict=True))
        taken |= barred
        is_free = np.array([run not in taken for run in zip(due.trip.tolist(), zero_s.tolist(), strict=True)])
        if not is_free.any():
            return 0
        trip, zero_s = due.trip[is_free], zero_s[is_free]
        found = find_candidates(fleet, timetable.network, paths, self.grid(timetable.network), rows, trip, zero_s)
        seen = self.trails.cost(fleet, paths, found.vehicle, found.path)
        seen += self.change(timetable.network, found.vehicle, trip[found.run])
        return self._choose(fleet, timetable, found.vehicle, trip[found.run], zero_s[found.run], found.cost + seen)

    def change(self, network: Network, vehicle: Rows, trip: Ints) -> Floats:
        """What speaks against each trip because its vehicle has driven another route before."""
        before = np.array([self.route.get(row, -1) for row in vehicle.tolist()], dtype=np.int32)
        return np.where((before >= 0) & (before != network.pattern_route[network.trip_pattern[trip]]), OTHER_ROUTE, 0.0)

    def keep_route(self, network: Network, row: int, trip: int) -> None:
        """Note which route a vehicle is held to: it will hardly leave it at a trip's end."""
        self.route[row] = int(network.pattern_route[network.trip_pattern[trip]])

    def grid(self, network: Network) -> PathGrid:
        """The paths of a network by place; made when they are first asked for."""
        if self._grid is None or self._grid[0] is not network:
            self._grid = (network, PathGrid(network))
        return self._grid[1]

    def _choose(
        self, fleet: Fleet, timetable: Timetable, vehicle: Rows, trip: Ints, zero_s: Floats, cost: Floats
    ) -> int:
        """The cheapest run for each vehicle, the surest vehicle first, no run twice; taken once it is confirmed."""
        chosen: set[int] = set()
        used: set[tuple[int, float]] = set()
        assigned = 0
        for i in np.argsort(cost, kind="stable").tolist():
            row, run = int(vehicle[i]), (int(trip[i]), float(zero_s[i]))
            if row in chosen or run in used:
                continue
            chosen.add(row)
            used.add(run)
            before = self.favourite.get(row, (NO_TRIP, 0.0, 0))
            wins = before[2] + 1 if before[:2] == run else 1
            self.favourite[row] = (*run, wins)
            if wins >= CONFIRMATIONS:
                assign(fleet, timetable, row, *run, INFERRED)
                self.keep_route(timetable.network, row, run[0])
                del self.favourite[row]
                assigned += 1
        return assigned
