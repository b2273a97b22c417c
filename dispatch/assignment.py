"""Assignment: which trip a vehicle drives: the one it claims, else the one that fits where it is and when.

A vehicle without a claimed trip is compared with the runs that are due: the best run is the one whose path it is on, in
its direction, nearest in time, and not driven by another. It must win `CONFIRMATIONS` times in a row before it is taken
(hysteresis), and is given up again when the vehicle plainly does not drive it. A trip ends at its last stop; the next
one of its block follows, and where there is none the vehicle has none.
"""

from __future__ import annotations

from collections.abc import Set

import numpy as np

from dispatch.claims import FOLLOWS_S_MAX, Timetable
from dispatch.fleet import INFERRED, NO_TRIP, NOBODY, Fleet
from dispatch.matching import Paths, match
from dispatch.network import Flags, Floats, Ints, Network
from dispatch.observations import Rows
from dispatch.passages import StopZones
from dispatch.timetable import point_at, scheduled_at, scheduled_place

NEAR_OFFSET_M = 45.0
END_M = 100.0  # nobody begins a trip at its end
NEAR_RUNS = 40  # runs compared with one vehicle: those whose planned place is nearest
PLAN_M_MAX = 9_000.0
EARLY_S, LATE_S = 120.0, 400.0  # one standard deviation of a plausible deviation,
WAITS_S = 300.0  # and of being early at the trip's start
COST_MAX = 9.0
CONFIRMATIONS = 2
NEAR_END_M = 300.0  # a vehicle with an inferred trip that stands, or leaves the road, so near its end has ended it
STANDS_S = 90.0
STRAYED_S = 1500.0  # an inferred trip this far from its times was the wrong one,
LOST_S = 180.0  # and so was one whose vehicle has been off its path for so long,
NEVER_S = 900.0  # or that has not come to its start so long after its time,
ELSEWHERE_M = 1500.0  # or is this far from it,
BACK_M = 150.0  # or has driven so far against its direction,
BEGUN_S = 300.0  # unless it is still turning to come to the trip's start
WITH_IT_MIN = 0.5  # cosine of the turn between vehicle and path: 60 degrees; a heading that is not known is no reason
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
        self._turn = 0

    def infer(
        self, fleet: Fleet, timetable: Timetable, paths: Paths, now_s: float, rows: Rows, barred: Set[tuple[int, float]]
    ) -> int:
        """Assign those of `rows` (vehicles without trip that have just moved) whose run is plain; returns how many.

        Nobody is given a run that is `barred` (trip, zero).
        """
        due = timetable.due_at(now_s)
        if not len(due) or not len(rows):
            return 0
        if len(rows) > VEHICLES_AT_ONCE:
            self._turn = (self._turn + VEHICLES_AT_ONCE) % len(rows)
            rows = np.roll(rows, -self._turn)[:VEHICLES_AT_ONCE]
        zero_s = due.day_start_s[due.day] + due.offset_s
        driven = fleet.trip >= 0
        taken = set(zip(fleet.trip[driven].tolist(), fleet.zero_s[driven].tolist(), strict=True))
        taken |= barred
        is_free = np.array([run not in taken for run in zip(due.trip.tolist(), zero_s.tolist(), strict=True)])
        if not is_free.any():
            return 0
        trip, zero_s = due.trip[is_free], zero_s[is_free]
        vehicle, run, cost = _candidates(fleet, timetable.network, paths, now_s, rows, trip, zero_s)
        return self._choose(fleet, timetable, vehicle, trip[run], zero_s[run], cost)

    def _choose(
        self, fleet: Fleet, timetable: Timetable, vehicle: Rows, trip: Ints, zero_s: Floats, cost: Floats
    ) -> int:
        """The cheapest run for each vehicle, the surest vehicle first, no run twice; taken once it is confirmed."""
        chosen: set[int] = set()
        used: set[tuple[int, float]] = set()
        assigned = 0
        for i in np.argsort(cost, kind="stable").tolist():
            row, run = int(vehicle[i]), (int(trip[i]), float(zero_s[i]))
            if row in chosen or run in used or cost[i] > COST_MAX:
                continue
            chosen.add(row)
            used.add(run)
            before = self.favourite.get(row, (NO_TRIP, 0.0, 0))
            wins = before[2] + 1 if before[:2] == run else 1
            self.favourite[row] = (*run, wins)
            if wins >= CONFIRMATIONS:
                assign(fleet, timetable, row, *run, INFERRED)
                del self.favourite[row]
                assigned += 1
        return assigned


def _candidates(
    fleet: Fleet, network: Network, paths: Paths, now_s: float, rows: Rows, trip: Ints, zero_s: Floats
) -> tuple[Rows, Rows, Floats]:
    """Pairs of a vehicle and a run that fit in place, direction and route: vehicle, run and cost."""
    plan_m = scheduled_place(network, trip, now_s - zero_s)
    path = network.pattern_path[network.trip_pattern[trip]]
    plan_x, plan_y = point_at(network, path, plan_m)
    apart_m = np.hypot(fleet.x_m[rows][:, None] - plan_x, fleet.y_m[rows][:, None] - plan_y)
    route, direction = (
        network.pattern_route[network.trip_pattern[trip]],
        network.pattern_direction[network.trip_pattern[trip]],
    )
    wanted, way = fleet.claimed_route[rows][:, None], fleet.claimed_direction[rows][:, None]
    apart_m[((wanted >= 0) & (wanted != route)) | ((way >= 0) & (way != direction))] = np.inf
    nearest = np.argsort(apart_m, axis=1)[:, :NEAR_RUNS]
    near = np.take_along_axis(apart_m, nearest, axis=1) <= PLAN_M_MAX
    vehicle, run = np.repeat(rows, near.sum(axis=1)), nearest[near]
    if not len(vehicle):
        return vehicle, run, np.zeros(0)
    place = match(
        paths,
        path[run],
        fleet.x_m[vehicle],
        fleet.y_m[vehicle],
        np.zeros(len(run)),
        paths.path_m[path[run]],
        plan_m[run],
        np.full(len(run), 1500.0),
        fleet.heading_deg[vehicle],
    )
    late_s = fleet.ts_s[vehicle] - zero_s[run] - scheduled_at(network, trip[run], place.along_m)
    first_s = network.departure_s[network.trip_time_start[trip[run]]] + zero_s[run]
    waits = (place.along_m < 60) & (fleet.ts_s[vehicle] <= first_s)
    spread_s = np.where(late_s < 0, np.where(waits, WAITS_S, EARLY_S), LATE_S)
    cost = (place.offset_m / 20.0) ** 2 + (late_s / spread_s) ** 2
    heading = np.radians(fleet.heading_deg[vehicle])
    with_it = paths.east[place.segment] * np.sin(heading) + paths.north[place.segment] * np.cos(heading)
    fits = (place.offset_m <= NEAR_OFFSET_M) & (cost <= COST_MAX) & ~(with_it < WITH_IT_MIN)
    fits &= place.along_m < paths.path_m[path[run]] - END_M
    return vehicle[fits], run[fits], cost[fits]
