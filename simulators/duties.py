"""What each vehicle has to drive: a network's trips of some hours, one block after the other, as columns of runs.

Runs of one block belong to one vehicle. Where a feed names no blocks, runs are chained route by route: a vehicle that
has ended near the place where a run begins, some minutes before it begins, takes it, the one that waits longest first.
Chains are made over whole service days, so the same feed gives the same vehicles whenever it is asked.
"""

from __future__ import annotations

import datetime as dt
import heapq
import re
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dispatch.network import Network
from dispatch.timetable import Runs, join, runs_on, service_date, trip_ends_s

Index = NDArray[np.intp]
Floats = NDArray[np.float64]

CHAIN_GAP_M_MAX = 400.0  # two sides of one terminal
CHAIN_WAIT_S_MIN = 60.0
CHAIN_WAIT_S_MAX = 2_700.0  # a vehicle that stands longer goes home
NOT_AN_ID = re.compile(r"[^A-Za-z0-9_-]+")
ID_LENGTH_MAX = 64
DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Duties:
    """V vehicles and their R runs: vehicle v has the rows first[v] ... first[v + 1] - 1 of `runs`, in time order."""

    vehicle_id: list[str]
    first: Index  # [V + 1]
    runs: Runs
    headway_s: Floats  # [R], scheduled time since the previous start of the same route and direction; nan if none

    def __len__(self) -> int:
        return len(self.vehicle_id)

    def zero_s(self) -> Floats:
        """[R], Unix seconds at which the stop times of each run count zero."""
        return self.runs.day_start_s[self.runs.day] + self.runs.offset_s

    def start_s(self) -> Floats:
        """[V], Unix seconds at which each vehicle's first run starts."""
        return self.runs.start_s[self.first[:-1]]

    def end_s(self) -> Floats:
        """[V], Unix seconds at which each vehicle's last run should end."""
        return self.runs.end_s[self.first[1:] - 1]

    def keep(self, vehicles: Sequence[int]) -> Duties:
        """The same duties with these vehicles alone, in this order."""
        rows = [np.arange(self.first[v], self.first[v + 1]) for v in vehicles]
        index = np.concatenate([*rows, np.zeros(0, dtype=np.intp)]).astype(np.intp)
        return Duties(
            vehicle_id=[self.vehicle_id[v] for v in vehicles],
            first=_starts([len(row) for row in rows]),
            runs=self.runs.take(index),
            headway_s=self.headway_s[index],
        )


def vehicle_name(block_id: str) -> str:
    """A block's id as a device id: only letters, digits, `_` and `-`, at most 64 of them, never empty."""
    return NOT_AN_ID.sub("-", block_id).strip("-")[:ID_LENGTH_MAX] or "vehicle"


def plan_duties(network: Network, from_s: float, until_s: float) -> Duties:
    """All vehicles that have a run between two times (Unix seconds), each with its runs that touch that window."""
    parts: list[Runs] = []
    rows_by_vehicle: dict[str, list[int]] = {}
    back_home_s: dict[str, float] = {}
    offset = 0
    for date in _dates(network, from_s, until_s):
        runs = runs_on(network, date)
        runs = runs.take(np.diff(network.pattern_stop_start)[network.trip_pattern[runs.trip]] > 1)
        ends_s: dict[str, float] = {}
        for name, members in _vehicles_of_day(network, runs).items():
            # A block that is still out when its next day begins needs a second vehicle.
            taken = back_home_s.get(name, -np.inf) > runs.start_s[members[0]]
            vehicle = f"{name[: ID_LENGTH_MAX - 2]}-n" if taken else name
            ends_s[name] = float(runs.end_s[members[-1]])
            wanted = [i + offset for i in members if runs.end_s[i] > from_s and runs.start_s[i] < until_s]
            if wanted:
                rows_by_vehicle.setdefault(vehicle, []).extend(wanted)
        parts.append(runs)
        offset += len(runs)
        back_home_s = ends_s
    return _join(network, parts, rows_by_vehicle)


def choose_vehicles(duties: Duties, network: Network, now_s: float, limit: int) -> list[int]:
    """At most `limit` vehicles on the road at any time: whole lines, the busiest first, so that headways keep sense.

    Those on the road at `now_s` (Unix seconds) are chosen first, later ones as earlier ones come home.
    """
    start_s, end_s = duties.start_s(), duties.end_s()
    route = network.pattern_route[network.trip_pattern[duties.runs.trip[duties.first[:-1]]]]
    at_work = (start_s <= now_s) & (end_s > now_s)
    crowd = np.bincount(route[at_work], minlength=len(network.route_id))
    order = np.lexsort((start_s, route, -crowd[route], np.where(at_work, -np.inf, start_s)))
    chosen: list[int] = []
    ends_s: list[float] = []
    for v in order[end_s[order] > now_s].tolist():
        while ends_s and ends_s[0] <= max(start_s[v], now_s):
            heapq.heappop(ends_s)
        if len(ends_s) < limit:
            chosen.append(v)
            heapq.heappush(ends_s, float(end_s[v]))
    return chosen


def scheduled_headways(network: Network, runs: Runs) -> Floats:
    """[N] seconds since the previous run of the same route and direction started; nan for the first of the day."""
    pattern = network.trip_pattern[runs.trip]
    line = network.pattern_route[pattern].astype(np.int64) * 2 + network.pattern_direction[pattern]
    order = np.lexsort((runs.start_s, line))
    gap_s = np.diff(runs.start_s[order], prepend=np.nan)
    same_line = np.diff(line[order], prepend=-1) == 0
    headway_s = np.full(len(runs), np.nan)
    headway_s[order] = np.where(same_line, gap_s, np.nan)
    return headway_s


def _dates(network: Network, from_s: float, until_s: float) -> list[dt.date]:
    """Service days whose runs may touch the window, and one more before them, whose late blocks still matter."""
    latest_s = int(trip_ends_s(network)[1].max(initial=0)) + int(network.frequency_end_s.max(initial=0))
    first = service_date(network, from_s) - dt.timedelta(days=2 + latest_s // DAY_S)
    last = service_date(network, until_s) + dt.timedelta(days=1)
    return [first + dt.timedelta(days=n) for n in range((last - first).days + 1)]


def _vehicles_of_day(network: Network, runs: Runs) -> dict[str, list[int]]:
    """Names of the day's vehicles and the rows of each in time order; runs of one block that overlap are parted."""
    vehicles: dict[str, list[int]] = {}
    blocks = network.trip_block[runs.trip]
    for i in np.flatnonzero(blocks >= 0).tolist():
        base = vehicle_name(network.block_id[blocks[i]])
        name, number = base, 1
        while name in vehicles and runs.end_s[vehicles[name][-1]] > runs.start_s[i]:
            number += 1
            name = f"{base[: ID_LENGTH_MAX - 6]}-p{number}"
        vehicles.setdefault(name, []).append(i)
    for name, members in _chain(network, runs, np.flatnonzero(blocks < 0)).items():
        vehicles.setdefault(name, []).extend(members)
    return vehicles


def _chain(network: Network, runs: Runs, free: Index) -> dict[str, list[int]]:
    """Runs without a block, joined into the days of vehicles that stay on one route."""
    pattern = network.trip_pattern[runs.trip]
    first_stop = network.pattern_stop[network.pattern_stop_start[pattern]]
    last_stop = network.pattern_stop[network.pattern_stop_start[pattern + 1] - 1]
    place = network.project(network.stop_lat_deg, network.stop_lon_deg)
    vehicles: dict[str, list[int]] = {}
    waiting: dict[int, deque[tuple[float, int, str]]] = defaultdict(deque)
    count: dict[int, int] = defaultdict(int)
    busy: list[tuple[float, str, int, int]] = []  # a heap: back at, name, route, stop
    for i in free.tolist():
        route, start_s = int(network.pattern_route[pattern[i]]), float(runs.start_s[i])
        while busy and busy[0][0] + CHAIN_WAIT_S_MIN <= start_s:
            back_s, name, its_route, stop = heapq.heappop(busy)
            waiting[its_route].append((back_s, stop, name))
        vehicle = _call_waiting(waiting[route], start_s, int(first_stop[i]), place)
        if vehicle is None:
            count[route] += 1
            vehicle = vehicle_name(f"{network.route_id[route][:56]}-{count[route]:03d}")
        vehicles.setdefault(vehicle, []).append(i)
        heapq.heappush(busy, (float(runs.end_s[i]), vehicle, route, int(last_stop[i])))
    return vehicles


def _call_waiting(
    waiting: deque[tuple[float, int, str]], start_s: float, stop: int, place: tuple[Floats, Floats]
) -> str | None:
    """The vehicle that has waited longest near a stop; those that waited too long have gone home."""
    while waiting and start_s - waiting[0][0] > CHAIN_WAIT_S_MAX:
        waiting.popleft()
    x_m, y_m = place
    for position, (_, its_stop, name) in enumerate(waiting):
        if np.hypot(x_m[its_stop] - x_m[stop], y_m[its_stop] - y_m[stop]) <= CHAIN_GAP_M_MAX:
            del waiting[position]
            return name
    return None


def _join(network: Network, parts: list[Runs], rows_by_vehicle: dict[str, list[int]]) -> Duties:
    """The days' runs as one set of columns in the order of the vehicles, each with its scheduled headway."""
    # `join` sorts by departure; the rows were counted part by part, so the same order is made here.
    everything = join(parts)
    order = np.lexsort(
        (np.concatenate([part.trip for part in parts]), np.concatenate([part.start_s for part in parts]))
    )
    place = np.empty(len(order), dtype=np.intp)
    place[order] = np.arange(len(order))
    names = sorted(rows_by_vehicle, key=lambda name: (place[rows_by_vehicle[name][0]], name))
    rows = [row for name in names for row in rows_by_vehicle[name]]
    index = place[np.array(rows, dtype=np.intp)]
    return Duties(
        vehicle_id=names,
        first=_starts([len(rows_by_vehicle[name]) for name in names]),
        runs=everything.take(index),
        headway_s=scheduled_headways(network, everything)[index],
    )


def _starts(lengths: list[int]) -> Index:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.intp)
