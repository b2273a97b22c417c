"""A fleet that runs a feed's schedule the way real ones do: late here, held up there, and bunched by itself.

Each vehicle is in one phase until a known time, so a step only looks at those whose time has come, and a place between
two halts is worked out when somebody asks (`frames`). Between halts the running time is the timetable's (`run_times`),
times a draw of its own, times what the district's traffic does to all. At a halt, riders have gathered since the line's
previous vehicle: who comes late finds more of them and gets later, who follows closely finds none and catches up
(Newell and Potts 1964). Drivers who are late drive a little faster, and recover at terminals, which nobody leaves
before time unless asked to. They obey instructions as `drivers` says; while one is held, riders go on to come, and
whoever follows finds fewer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dispatch.network import Network
from simulators.drivers import Drivers, Order
from simulators.duties import Duties
from simulators.halts import Halts
from simulators.run_times import RunTimes
from simulators.traffic import Traffic, make_traffic

Index = NDArray[np.intp]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

WAITING, RUNNING, DWELLING, HOME = 0, 1, 2, 3
RAILS_AND_WIRES = (0, 1, 2, 5, 7, 11, 12)  # GTFS route types whose vehicles cannot overtake
FOLLOW_S_MIN = 15.0
SHOWN_BEFORE_S = 120.0  # a vehicle stands at its first stop before its block begins
SHOWN_AFTER_S = 45.0
PAUSE_S_MAX = 3_600.0  # between two runs; who has longer goes to the depot and signs off
SPEED_MPS_MAX = 25.0  # whatever a timetable that rounds to minutes may ask for
DEADHEAD_MPS = 9.0
TRANSITIONS_MAX = 500  # one step never does more for one vehicle


@dataclass(frozen=True, slots=True)
class VehicleSettings:
    """How the fleet behaves. Variations are coefficients of variation of factors whose mean is 1."""

    running_variation: float = 0.1  # of one leg between two halts
    traffic_variation: float = 0.1  # shared by a district for a quarter of an hour
    dwell_fixed_s: float = 8.0
    boarding_s: float = 2.0  # a rider, as in the pinned scenario `frequent`
    boardings_mean: float = 3.5  # at one halt by a vehicle that comes on headway
    dwell_s_max: float = 75.0
    catch_up: float = 0.06  # share of the running time that a driver who is five minutes late saves
    turn_s_min: float = 45.0
    lateness_s_mean: float = 40.0  # of vehicles that are under way when the play begins
    lateness_s_sd: float = 50.0
    halt_spacing_m: float = 450.0
    speed_mps_max: float = 17.0  # where the timetable does not ask for more
    capacity: int = 90
    hold_compliance: float = 0.9  # share of instructions that are obeyed
    warm_up_s: float = 1_800.0


@dataclass(frozen=True, slots=True)
class Service:
    """Vehicles that riders got into: vehicle, halt's place, when, how many, seconds that the doors stay open for them.

    The seconds are 0 where riders joined a vehicle that stood there already.
    """

    vehicle: Index
    place: Index
    at_s: Floats
    boardings: Index
    dwell_s: Floats


class Fleet:
    """All vehicles of some duties; time is whatever the caller says it is (Unix seconds), and never goes back."""

    def __init__(
        self,
        network: Network,
        duties: Duties,
        settings: VehicleSettings,
        *,
        rng: np.random.Generator,
        now_s: float,
    ) -> None:
        self.network = network
        self.duties = duties
        self.settings = settings
        self.rng = rng
        self.traffic: Traffic = make_traffic(rng, settings.traffic_variation)
        self.times = RunTimes(network, duties, settings.halt_spacing_m)
        self.halts: Halts = self.times.halts
        route = network.pattern_route[self.times.pattern]
        self.run_guided: Flags = np.isin(network.route_type[route], RAILS_AND_WIRES)
        size = len(duties)
        self.run: Index = duties.first[:-1].copy()
        self.halt: Index = np.zeros(size, dtype=np.intp)  # the halt last reached, within the run
        self.phase = np.full(size, WAITING, dtype=np.int8)
        self.since_s: Floats = np.zeros(size)
        self.until_s: Floats = np.zeros(size)
        self.from_x_m: Floats = np.zeros(size)  # where the way to the next run's first stop began
        self.from_y_m: Floats = np.zeros(size)
        self.driven_m: Floats = rng.uniform(1e4, 3e5, size)
        self.load: Index = np.zeros(size, dtype=np.intp)
        self.ready_s: Floats = np.zeros(size)  # who stands: when it could leave
        self.planned_s: Floats = np.zeros(size)  # and when it would, if nobody asked for anything
        stops = {stop_id: stop for stop, stop_id in enumerate(network.stop_id)}
        self.drivers = Drivers(settings.hold_compliance, int(rng.integers(2**32)), stops)
        self.kept: dict[int, Order] = {}  # the order that a vehicle stands under
        self.served_s: Floats = np.full(self.halts.places, np.nan)  # until then riders have got in
        self.last_at: Index = np.full(self.halts.places, -1, dtype=np.intp)  # who came there last
        self.behind: Index = np.full(size, -1, dtype=np.intp)  # who had come there before
        self.reached_s: Floats = np.full(self.halts.places, -np.inf)  # when the last one on its way is there
        self.left_s: Floats = np.full(self.halts.places, -np.inf)  # when the last one there leaves
        self._begin(now_s - settings.warm_up_s)
        for at_s in np.arange(now_s - settings.warm_up_s, now_s, 5.0).tolist():
            self.step(at_s)
        self.step(now_s)

    def shown(self, now_s: float) -> Index:
        """Vehicles that are on the road or at a terminal now, and so report."""
        out = (self.phase != HOME) & (now_s >= self.duties.start_s() - SHOWN_BEFORE_S)
        just_home = now_s < self.since_s + SHOWN_AFTER_S
        long_pause = (self.phase == WAITING) & (self.until_s - self.since_s > PAUSE_S_MAX)
        at_the_depot = long_pause & (now_s < self.until_s - SHOWN_BEFORE_S) & ~just_home
        return np.flatnonzero((out & ~at_the_depot) | ((self.phase == HOME) & just_home))

    def step(self, now_s: float) -> list[Service]:
        """Let everything happen that happens up to `now_s`; returns who opened doors where, in order of time."""
        services: list[Service] = []
        for _ in range(TRANSITIONS_MAX):
            due = np.flatnonzero(self.until_s <= now_s)
            if not due.size:
                break
            phase = self.phase[due]
            arriving = due[phase == RUNNING]
            if arriving.size:
                services.append(self._arrive(arriving))
            leaving = self._free(due[(phase == WAITING) | (phase == DWELLING)])
            if leaving.size:
                services.extend(self._leave(leaving))
        return [service for service in services if service.vehicle.size]

    def instruct(self, vehicle: int, instruction: Mapping[str, Any], now_s: float) -> bool:
        """Show a driver an instruction, as decoded from JSON; whether it made sense. Answers are in `drivers.due`."""
        told = self.drivers.tell(vehicle, instruction, now_s)
        if told:
            self._obey(vehicle)
        return told

    # The beginning.

    def _begin(self, now_s: float) -> None:
        """Put every vehicle where its schedule, less its lateness, has it; some are late by most of a headway."""
        settings, size = self.settings, len(self.duties)
        late_s = np.clip(self.rng.normal(settings.lateness_s_mean, settings.lateness_s_sd, size), -30.0, 480.0)
        badly = self.rng.random(size) < 0.04
        runs = self.duties.runs
        for v in range(size):
            first, end = int(self.duties.first[v]), int(self.duties.first[v + 1])
            started = np.flatnonzero(runs.start_s[first:end] + late_s[v] <= now_s)
            run = first + int(started[-1]) if started.size else first
            if badly[v]:
                late_s[v] = min(float(self.rng.uniform(0.5, 0.95) * self.times.headway_s(run, 0)), 900.0)
            self._place(v, run, end, float(late_s[v]), now_s)

    def _place(self, v: int, run: int, end: int, late_s: float, now_s: float) -> None:
        if runs_out := bool(self.duties.runs.end_s[run] + late_s <= now_s):
            run += 1
        if run >= end:
            self.run[v], self.phase[v] = end - 1, HOME
            self.halt[v] = self.times.count(end - 1) - 1
            self.since_s[v], self.until_s[v] = -np.inf, np.inf
            return
        self.run[v] = run
        row = self.times.row(np.array([run]), np.array([0]))
        self.from_x_m[v], self.from_y_m[v] = self.halts.x_m[row[0]], self.halts.y_m[row[0]]
        starts_s = float(self.duties.runs.start_s[run])
        if runs_out or starts_s + late_s > now_s:
            self.since_s[v], self.until_s[v] = now_s, max(starts_s, starts_s + min(late_s, 60.0))
            self.ready_s[v], self.planned_s[v] = now_s, self.until_s[v]
            return
        rows = row[0] + np.arange(int(self.times.count(run)))
        left_s = self.times.due_s(np.full(rows.size, run), rows, leaving=True) + late_s
        halt = min(int(np.searchsorted(left_s, now_s, side="right")) - 1, rows.size - 2)
        self.halt[v], self.phase[v] = max(halt, 0), RUNNING
        self.since_s[v] = left_s[self.halt[v]]
        there = rows[self.halt[v] + 1 : self.halt[v] + 2]
        self.until_s[v] = self.times.due_s(np.array([run]), there, leaving=False)[0] + late_s

    # What happens.

    def _obey(self, v: int) -> None:
        """Where a vehicle stands and an order is for that stop, it leaves when the order says."""
        phase = self.phase[v]
        if phase not in (WAITING, DWELLING):
            return
        row = int(self.times.row(self.run[v : v + 1], self.halt[v : v + 1])[0])
        stop, first = int(self.halts.stop[row]), bool(phase == WAITING)
        order = self.drivers.order(v, stop, first=first, leaves_s=float(self.until_s[v]))
        if order is None:
            return
        self.kept[v] = order
        self.until_s[v] = order.leaves_s(float(self.ready_s[v]), float(self.planned_s[v]))

    def _free(self, vehicles: Index) -> Index:
        """Those of the vehicles ready to leave that are not stuck behind one held at the same place."""
        ahead = self.behind[vehicles]
        held = (ahead >= 0) & (self.phase[vehicles] == DWELLING) & (self.phase[ahead] == DWELLING)
        if not held.any():
            return vehicles
        here = self.halts.place[self.times.row(self.run[vehicles], self.halt[vehicles])]
        there = self.halts.place[self.times.row(self.run[ahead], self.halt[ahead])]
        held &= self.run_guided[self.run[vehicles]] & (here == there) & (self.until_s[ahead] >= self.until_s[vehicles])
        self.until_s[vehicles[held]] = self.until_s[ahead[held]] + FOLLOW_S_MIN
        return np.asarray(vehicles[~held])

    def _leave(self, vehicles: Index) -> list[Service]:
        """Doors closed: off to the next halt. At the first stop of a run, its riders have got in meanwhile."""
        at_s, run = self.until_s[vehicles], self.run[vehicles]
        beginning = self.phase[vehicles] == WAITING
        here = self.times.row(run, self.halt[vehicles])
        services = [
            self._serve(vehicles[beginning], here[beginning], at_s[beginning]),
            self._join(vehicles[~beginning], here[~beginning], at_s[~beginning]),
        ]
        for v in self.kept.keys() & set(vehicles.tolist()):
            self.drivers.left(v, self.kept.pop(v), float(self.until_s[v]))
        arrive_s = self._next_arrival_s(run, here, at_s)
        place, guided = self.halts.place[here + 1], self.run_guided[run]
        arrive_s = np.where(guided, np.maximum(arrive_s, self.reached_s[place] + FOLLOW_S_MIN), arrive_s)
        self.reached_s[place] = arrive_s
        self.phase[vehicles] = RUNNING
        self.since_s[vehicles], self.until_s[vehicles] = at_s, arrive_s
        return services

    def _next_arrival_s(self, run: Index, here: Index, at_s: Floats) -> Floats:
        """When runs that leave a halt reach the next one, if nobody is in their way."""
        settings, there = self.settings, here + 1
        length_m = self.halts.along_m[there] - self.halts.along_m[here]
        left_due_s = self.times.due_s(run, here, leaving=True)
        there_due_s = self.times.due_s(run, there, leaving=False)
        leave_due_s = self.times.due_s(run, there, leaving=True)
        planned_s = there_due_s - left_due_s
        dwell_s = settings.dwell_fixed_s + settings.boarding_s * settings.boardings_mean
        unplanned_s = np.maximum(dwell_s - (leave_due_s - there_due_s), 0.0)
        usual_s = np.maximum(planned_s - unplanned_s, 0.55 * planned_s)
        late = np.clip((at_s - left_due_s) / 300.0, -1.0, 2.0)
        sigma = np.sqrt(np.log1p(settings.running_variation**2))
        own = np.exp(sigma * self.rng.standard_normal(run.size) - sigma**2 / 2.0)
        traffic = self.traffic.factor(self.halts.x_m[here], self.halts.y_m[here], at_s)
        running_s = usual_s * (1.0 - settings.catch_up * late) * own * traffic
        quickest_s = np.minimum(length_m / settings.speed_mps_max, 0.9 * planned_s)
        return np.asarray(at_s + np.maximum(running_s, np.maximum(quickest_s, length_m / SPEED_MPS_MAX)))

    def _arrive(self, vehicles: Index) -> Service:
        """At the next halt: doors open, or the run is over."""
        self.halt[vehicles] += 1
        run, at_s = self.run[vehicles], self.until_s[vehicles]
        last = self.halt[vehicles] == self.times.count(run) - 1
        for v, when_s in zip(vehicles[last].tolist(), at_s[last].tolist(), strict=True):
            self._end_run(v, when_s)
        calling = vehicles[~last]
        at_s = at_s[~last]
        service = self._serve(calling, self.times.row(run[~last], self.halt[calling]), at_s)
        self.phase[calling] = DWELLING
        leave_s, guided = at_s + service.dwell_s, self.run_guided[run[~last]]
        leave_s = np.where(guided, np.maximum(leave_s, self.left_s[service.place] + FOLLOW_S_MIN), leave_s)
        self.left_s[service.place] = leave_s
        self.behind[calling], self.last_at[service.place] = self.last_at[service.place], calling
        self.since_s[calling], self.until_s[calling] = at_s, leave_s
        self._stand(calling, leave_s, leave_s)
        return service

    def _serve(self, vehicles: Index, row: Index, at_s: Floats) -> Service:
        """Riders get out and in: as many in as have gathered since the place was served last."""
        settings, place = self.settings, self.halts.place[row]
        run = self.run[vehicles]
        headway_s = self.times.headway_s(self.run[vehicles], self.halt[vehicles])
        waited_s = at_s - self.served_s[place]
        first = np.isnan(waited_s)
        waited_s = np.where(first, headway_s * self.rng.uniform(0.6, 1.4, vehicles.size), np.maximum(waited_s, 0.0))
        gathered = self.rng.poisson(settings.boardings_mean * np.minimum(waited_s / headway_s, 4.0))
        trip_share = self.halt[vehicles] / np.maximum(self.times.count(run) - 1, 1)
        leaving = self.rng.binomial(self.load[vehicles], np.clip(0.05 + 0.3 * trip_share, 0.0, 1.0))
        boardings = np.minimum(gathered, settings.capacity - self.load[vehicles] + leaving)
        self.load[vehicles] += boardings - leaving
        self.served_s[place] = at_s
        doors_s = settings.dwell_fixed_s + settings.boarding_s * np.maximum(boardings, 0.6 * leaving)
        dwell_s = np.minimum(doors_s * self.rng.uniform(0.9, 1.1, vehicles.size), settings.dwell_s_max)
        return Service(vehicles, place, at_s, boardings.astype(np.intp), dwell_s)

    def _join(self, vehicles: Index, row: Index, at_s: Floats) -> Service:
        """Riders who have come since the doors opened get in before they close."""
        place = self.halts.place[row]
        waited_s = np.maximum(at_s - self.served_s[place], 0.0)
        headway_s = self.times.headway_s(self.run[vehicles], self.halt[vehicles])
        came = self.rng.poisson(self.settings.boardings_mean * np.minimum(waited_s / headway_s, 4.0))
        boardings = np.minimum(came, self.settings.capacity - self.load[vehicles]).astype(np.intp)
        self.load[vehicles] += boardings
        self.served_s[place] = np.fmax(self.served_s[place], at_s)
        some = boardings > 0
        return Service(vehicles[some], place[some], at_s[some], boardings[some], np.zeros(int(some.sum())))

    def _stand(self, vehicles: Index, ready_s: Floats, planned_s: Floats) -> None:
        """They stand, and would leave as planned; those who have orders for this place leave when these say."""
        self.ready_s[vehicles], self.planned_s[vehicles] = ready_s, planned_s
        for v in self.drivers.ordered() & set(vehicles.tolist()):
            self._obey(v)

    def _end_run(self, v: int, at_s: float) -> None:
        """The end of a trip: everybody out, and on to the next one, not before its time, or home."""
        row = int(self.times.row(self.run[v : v + 1], self.halt[v : v + 1])[0])
        self.load[v] = 0
        if self.run[v] + 1 >= self.duties.first[v + 1]:
            self.phase[v], self.since_s[v], self.until_s[v] = HOME, at_s, np.inf
            return
        self.driven_m[v] += self.halts.along_m[row]
        self.from_x_m[v], self.from_y_m[v] = self.halts.x_m[row], self.halts.y_m[row]
        self.run[v] += 1
        self.halt[v] = 0
        first = int(self.times.row(self.run[v : v + 1], self.halt[v : v + 1])[0])
        way_m = np.hypot(self.halts.x_m[first] - self.from_x_m[v], self.halts.y_m[first] - self.from_y_m[v])
        ready_s = at_s + self.settings.turn_s_min + way_m / DEADHEAD_MPS
        self.phase[v], self.since_s[v] = WAITING, at_s
        self.until_s[v] = max(ready_s, float(self.duties.runs.start_s[self.run[v]]))
        self._stand(np.array([v]), np.array([ready_s]), self.until_s[v : v + 1].copy())
