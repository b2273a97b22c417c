"""Candidates: which runs a vehicle may be driving, by where it is, which way it goes and when; how well each fits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dispatch.fleet import Fleet
from dispatch.matching import Paths, match
from dispatch.nearby import PathGrid
from dispatch.network import Floats, Ints, Network
from dispatch.observations import Rows
from dispatch.timetable import scheduled_at, scheduled_place

NEAR_OFFSET_M = 45.0
END_M = 100.0  # nobody begins a trip at its end
EARLY_S, LATE_S = 120.0, 400.0  # one standard deviation of a plausible deviation,
WAITS_S = 300.0  # and of being early at the trip's start
START_M = 60.0
COST_MAX = 9.0
WITH_IT_MIN = 0.5  # cosine of the turn between vehicle and path: 60 degrees; a heading that is not known is no reason
PLAN_SPREAD_M = 1500.0
PAIRS_MAX = 40_000  # of vehicle and run in one look; vehicles beyond it wait for the next


@dataclass(frozen=True, slots=True)
class Candidates:
    """N pairs of a vehicle and a run that fit in place, direction and time; cost in squares of standard deviations."""

    vehicle: Rows
    run: Rows  # index into the runs that were offered
    path: Ints
    late_s: Floats
    cost: Floats


def find_candidates(
    fleet: Fleet, network: Network, paths: Paths, grid: PathGrid, rows: Rows, trip: Ints, zero_s: Floats
) -> Candidates:
    """Which of the runs offered (`trip`, `zero_s`) each of `rows` may be driving, as far as its newest fix says."""
    vehicle, run = _pairs(fleet, network, grid, rows, trip)
    path = network.pattern_path[network.trip_pattern[trip[run]]]
    since_s = fleet.ts_s[vehicle] - zero_s[run]
    plan_m = scheduled_place(network, trip[run], since_s)
    # No further along than who is as early as can be believed, and no further back than who is as late.
    first_m = scheduled_place(network, trip[run], since_s - 3 * LATE_S) - START_M
    last_m = scheduled_place(network, trip[run], since_s + 3 * WAITS_S) + START_M
    x_m, y_m, heading_deg = fleet.x_m[vehicle], fleet.y_m[vehicle], fleet.heading_deg[vehicle]
    spread_m = np.full(len(run), PLAN_SPREAD_M)
    place = match(paths, path, x_m, y_m, first_m, last_m, plan_m, spread_m, heading_deg)
    late_s = since_s - scheduled_at(network, trip[run], place.along_m)
    starts_s = network.departure_s[network.trip_time_start[trip[run]]]
    waits = (place.along_m < START_M) & (since_s <= starts_s)
    spread_s = np.where(late_s < 0, np.where(waits, WAITS_S, EARLY_S), LATE_S)
    cost = (place.offset_m / 20.0) ** 2 + (late_s / spread_s) ** 2
    heading = np.radians(heading_deg)
    with_it = paths.east[place.segment] * np.sin(heading) + paths.north[place.segment] * np.cos(heading)
    fits = (place.offset_m <= NEAR_OFFSET_M) & (cost <= COST_MAX) & ~(with_it < WITH_IT_MIN)
    fits &= place.along_m < paths.path_m[path] - END_M
    return Candidates(vehicle[fits], run[fits], path[fits], late_s[fits], cost[fits])


def _pairs(fleet: Fleet, network: Network, grid: PathGrid, rows: Rows, trip: Ints) -> tuple[Rows, Rows]:
    """Vehicles and the runs whose path passes near them, of the route and direction that a vehicle names."""
    pattern = network.trip_pattern[trip]
    by_path = np.argsort(network.pattern_path[pattern], kind="stable")
    at, path = grid.near(fleet.x_m[rows], fleet.y_m[rows])
    ordered = network.pattern_path[pattern][by_path]
    first = np.searchsorted(ordered, path, side="left")
    count = np.searchsorted(ordered, path, side="right") - first
    kept = np.cumsum(count) <= PAIRS_MAX
    at, first, count = at[kept], first[kept], count[kept]
    of = np.repeat(np.arange(len(at)), count)
    run = by_path[first[of] + np.arange(len(of)) - np.repeat(np.cumsum(count) - count, count)]
    vehicle = rows[at[of]]
    route, way = fleet.claimed_route[vehicle], fleet.claimed_direction[vehicle]
    named = (route < 0) | (route == network.pattern_route[pattern[run]])
    named &= (way < 0) | (way == network.pattern_direction[pattern[run]])
    return vehicle[named], run[named]
