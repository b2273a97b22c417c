"""One line, stochastic: vehicles on a loop, riders who wait, dwell that grows with the headway, and a holding law.

An event is a vehicle that comes to a stop, or one that is ready to leave a control stop. Who comes first is served
first; a rider takes the first vehicle that has room and stands at that stop. A wait ends when that vehicle leaves,
as in the measures of wait by headways; who was on board before it came rides meanwhile. All chance is in `Draws`.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass, field
from itertools import pairwise

from dispatch.holding import LAWS, LOOKS_BEHIND, LOOKS_ROUND, Limits, Situation, held_s
from dispatch.holding_plan import Line
from simulators.line_draws import Draws
from simulators.line_timetable import Timetable

COMES, READY = 0, 1
UNDECIDED = float("inf")


@dataclass(slots=True)
class Outcome:
    """What one run of a loop was like after its warm-up; times in seconds."""

    departures_s_by_stop: list[list[float]]
    holds_s: list[float] = field(default_factory=list)  # at every visit of a control stop
    wait_s: float = 0.0  # of all riders together
    ride_s: float = 0.0
    riders: int = 0
    denied: int = 0  # riders who stayed behind for want of room, once for each vehicle that left them


class _Vehicle:
    """Where one vehicle is, and who is on board."""

    __slots__ = (
        "boarded",
        "boarded_came_s",
        "came_s",
        "getting_off",
        "left_s",
        "load",
        "number",
        "round_s",
        "stands",
        "stop",
        "visit",
    )

    def __init__(self, number: int, stop: int, left_s: float, stops: int) -> None:
        self.number = number
        self.stop = stop  # the next one, or where it stands
        self.visit = 0  # how many stops it has been to
        self.left_s = left_s  # when it left the stop before, or will; while `stands`: when it is ready
        self.came_s = left_s
        self.stands = False  # at `stop`, and nobody knows yet until when
        self.load = 0
        self.boarded = 0  # at the present stop, and the sum of when they had come to it
        self.boarded_came_s = 0.0
        self.getting_off = [0] * stops
        self.round_s = 0.0  # when the timetable began its present round


class LoopRun:
    """One run of a loop under one law."""

    def __init__(self, timetable: Timetable, law: str, draws: Draws) -> None:
        loop = timetable.loop
        self._loop, self._timetable, self._draws = loop, timetable, draws
        self._law = LAWS[law]
        self._holds = law != "none"
        self._looks_behind, self._looks_round = law in LOOKS_BEHIND, law in LOOKS_ROUND
        self._limits = Limits(0.0, loop.stop_hold_s_max, loop.terminal_hold_s_max, 0.0)
        self._gains = [timetable.gains(stop) for stop in range(loop.stops)]
        self._events: list[tuple[float, int, int, _Vehicle]] = []
        self._pushed = 0
        stops = loop.stops
        self._free_s = [0.0] * stops  # when the vehicle that stands there leaves
        self._queue: list[list[_Vehicle]] = [[] for _ in range(stops)]
        self._last_came_s = [0.0] * stops
        self._departures_s: list[list[float]] = [[] for _ in range(stops)]
        self._last_deviation_s = [0.0] * stops
        self._expected_s = [0.0] * stops  # when the last vehicle on the way there comes
        self._served = [0] * stops  # riders of the stop who have got on, in the order in which they came
        self.outcome = Outcome([[] for _ in range(stops)])
        for stop in range(stops):
            self._remember(stop)
        self._vehicles = [self._place(number) for number in range(loop.vehicles)]

    def run(self) -> Outcome:
        """Every event to the end of the time."""
        end_s = self._loop.warmup_s + self._loop.duration_s
        events, pop = self._events, heapq.heappop
        while events[0][0] < end_s:
            at_s, _, kind, vehicle = pop(events)
            if kind == COMES:
                self._come(vehicle, at_s)
            else:
                self._decide(vehicle, at_s)
        for stop, departures_s in enumerate(self._departures_s):
            self.outcome.departures_s_by_stop[stop] = departures_s[bisect_left(departures_s, self._loop.warmup_s) :]
        return self.outcome

    def _push(self, at_s: float, kind: int, vehicle: _Vehicle) -> None:
        self._pushed += 1  # of events at one instant the first pushed comes first
        heapq.heappush(self._events, (at_s, self._pushed, kind, vehicle))

    def _place(self, number: int) -> _Vehicle:
        """A vehicle where the timetable has it at time 0, with as many on board as a line in balance has."""
        loop, timetable = self._loop, self._timetable
        into_s = (-number * timetable.cycle_s / loop.vehicles) % timetable.cycle_s
        stop = next((k for k in range(loop.stops) if timetable.arrive_s[k] > into_s), 0)
        comes_s = (timetable.arrive_s[stop] - into_s) % timetable.cycle_s
        vehicle = _Vehicle(number, stop, comes_s - loop.run_s_mean, loop.stops)
        vehicle.round_s = comes_s - timetable.arrive_s[stop]
        self._fill(vehicle)
        self._expected_s[stop] = max(comes_s, self._expected_s[stop])
        self._push(comes_s, COMES, vehicle)
        return vehicle

    def _remember(self, stop: int) -> None:
        """What the timetable says of the last vehicle that was at a stop before time 0."""
        timetable = self._timetable
        came_s = -(-timetable.arrive_s[stop] % (timetable.cycle_s / self._loop.vehicles))
        left_s = came_s + timetable.leave_s[stop] - timetable.arrive_s[stop]
        self._last_came_s[stop] = came_s
        self._departures_s[stop].append(left_s)
        self._served[stop] = bisect_right(self._draws.riders_s_by_stop[stop], left_s)

    def _fill(self, vehicle: _Vehicle) -> None:
        """As many on board as a line in balance has, by where they get off."""
        loop = self._loop
        boarding = loop.riders_per_s * loop.headway_s
        lengths = loop.ride_stops_max - loop.ride_stops_min + 1
        for ahead in range(loop.ride_stops_max):
            riding = min(lengths, loop.ride_stops_max - ahead) / lengths  # share of a past stop's riders still to go
            riders = min(round(boarding * riding), loop.capacity - vehicle.load)
            vehicle.getting_off[(vehicle.stop + ahead) % loop.stops] += riders
            vehicle.load += riders

    def _come(self, vehicle: _Vehicle, at_s: float) -> None:
        """A vehicle comes to its stop, and waits behind the one that stands there unless it may overtake."""
        stop = vehicle.stop
        if not self._loop.overtaking and self._free_s[stop] > at_s:
            if self._free_s[stop] == UNDECIDED:
                self._queue[stop].append(vehicle)
            else:
                self._push(self._free_s[stop], COMES, vehicle)
            return
        loop = self._loop
        if at_s >= loop.warmup_s:
            self.outcome.ride_s += vehicle.load * (at_s - vehicle.left_s)
        off = vehicle.getting_off[stop]
        vehicle.getting_off[stop] = 0
        vehicle.load -= off
        vehicle.came_s, vehicle.stands = at_s, True
        vehicle.left_s = ready_s = self._ready_s(vehicle, at_s, off)
        self._board(vehicle, stop, ready_s)
        if self._holds and self._timetable.is_control[stop]:
            self._free_s[stop] = UNDECIDED
            self._push(ready_s, READY, vehicle)
        else:
            if not self._holds and self._timetable.is_control[stop] and at_s >= loop.warmup_s:
                self.outcome.holds_s.append(0.0)
            self._leave(vehicle, ready_s)

    def _ready_s(self, vehicle: _Vehicle, at_s: float, off: int) -> float:
        """When all who wait, and all who come meanwhile, are on board, as far as there is room."""
        loop, stop = self._loop, vehicle.stop
        riders_s, served = self._draws.riders_s_by_stop[stop], self._served[stop]
        room = loop.capacity - vehicle.load
        on, ready_s = -1, at_s
        while True:
            waiting = min(bisect_right(riders_s, ready_s, served) - served, room)
            if waiting <= on:
                return ready_s
            on = waiting
            ready_s = at_s + loop.dwell_s + max(loop.boarding_s * on, loop.alighting_s * off)

    def _decide(self, vehicle: _Vehicle, ready_s: float) -> None:
        """The law says how long the vehicle that is ready is held; the driver obeys or goes."""
        stop = vehicle.stop
        hold_s = 0.0
        deviation_s = vehicle.came_s - vehicle.round_s - self._timetable.arrive_s[stop]
        obeys = self._draws.obeys_by_vehicle[vehicle.number]
        if obeys[vehicle.visit % len(obeys)]:
            situation = self._situation(vehicle, ready_s, deviation_s)
            wanted_s = self._law(situation, self._gains[stop])
            hold_s = held_s(wanted_s, self._limits, terminal=self._timetable.is_terminal[stop])
        if ready_s >= self._loop.warmup_s:
            self.outcome.holds_s.append(hold_s)
        self._last_came_s[stop] = vehicle.came_s
        self._last_deviation_s[stop] = deviation_s
        self._leave(vehicle, ready_s + hold_s)
        waiting, self._queue[stop] = self._queue[stop], []
        for other in waiting:
            self._push(self._free_s[stop], COMES, other)

    def _leave(self, vehicle: _Vehicle, at_s: float) -> None:
        """Doors close at that time, and the vehicle is on its way to the next stop; until then riders waited."""
        stop = vehicle.stop
        denied = self._board(vehicle, stop, at_s)
        if at_s >= self._loop.warmup_s:
            outcome, boarded = self.outcome, vehicle.boarded
            outcome.wait_s += boarded * at_s - vehicle.boarded_came_s
            outcome.ride_s += (vehicle.load - boarded) * (at_s - vehicle.came_s)
            outcome.riders += boarded
            outcome.denied += denied
        vehicle.boarded, vehicle.boarded_came_s = 0, 0.0
        insort(self._departures_s[stop], at_s)
        self._free_s[stop] = at_s
        vehicle.stands, vehicle.left_s = False, at_s
        self._drive(vehicle, at_s)

    def _board(self, vehicle: _Vehicle, stop: int, until_s: float) -> int:
        """Who has come by then gets on, as far as there is room; how many had none."""
        draws, served = self._draws, self._served[stop]
        waiting = bisect_right(draws.riders_s_by_stop[stop], until_s, served) - served
        on = min(waiting, self._loop.capacity - vehicle.load)
        if on:
            getting_off, sums_s = vehicle.getting_off, draws.riders_s_sum_by_stop[stop]
            for goal in draws.goal_by_stop[stop][served : served + on]:
                getting_off[goal] += 1
            vehicle.boarded += on
            vehicle.boarded_came_s += sums_s[served + on] - sums_s[served]
            vehicle.load += on
            self._served[stop] = served + on
        return waiting - on

    def _drive(self, vehicle: _Vehicle, at_s: float) -> None:
        """To the next stop, through the traffic of that time, and not past the vehicle ahead."""
        loop, draws = self._loop, self._draws
        run_s, traffic = draws.run_s_by_vehicle[vehicle.number], draws.traffic_by_period
        period = min(int(at_s / loop.traffic_period_s), len(traffic) - 1)
        comes_s = at_s + run_s[vehicle.visit % len(run_s)] * traffic[period]
        vehicle.visit += 1
        vehicle.stop += 1
        if vehicle.stop == loop.stops:
            vehicle.stop = 0
            vehicle.round_s += self._timetable.cycle_s
        if not loop.overtaking:
            comes_s = max(comes_s, self._expected_s[vehicle.stop])
            self._expected_s[vehicle.stop] = comes_s
        self._push(comes_s, COMES, vehicle)

    def _situation(self, vehicle: _Vehicle, ready_s: float, deviation_s: float) -> Situation:
        stop, timetable = vehicle.stop, self._timetable
        return Situation(
            arrival_s=vehicle.came_s,
            ready_s=ready_s,
            scheduled_departure_s=vehicle.round_s + timetable.leave_s[stop],
            scheduled_headway_s=self._loop.headway_s,
            slack_s=timetable.slack_s[stop],
            headway_s=vehicle.came_s - self._last_came_s[stop],
            leader_departure_s=self._last_departure_s(stop, ready_s),
            deviation_s=deviation_s,
            leader_deviation_s=self._last_deviation_s[stop],
            follower_arrivals_s=self._followers(vehicle, ready_s) if self._looks_behind else (),
            line=self._line(vehicle, ready_s) if self._looks_round else None,
        )

    def _last_departure_s(self, stop: int, now_s: float) -> float:
        """Of those who have left; with overtaking, one who came earlier may be held for longer."""
        departures_s = self._departures_s[stop]
        return departures_s[max(bisect_right(departures_s, now_s) - 1, 0)]

    def _followers(self, vehicle: _Vehicle, now_s: float) -> tuple[float, ...]:
        """When the others should come to this vehicle's stop by the timetable's running times, the next one first."""
        clock_s, lap_s = self._timetable.arrive_s, self._timetable.cycle_s
        others = [self._comes_s(o, vehicle.stop, now_s, clock_s, lap_s) for o in self._vehicles if o is not vehicle]
        return tuple(sorted(others))

    def _line(self, vehicle: _Vehicle, now_s: float) -> Line:
        """Gaps round the loop in driving time, without any hold, and who is on board."""
        loop, clock_s = self._loop, self._timetable.driven_s
        lap_s, stop = loop.driven_s, vehicle.stop
        others = [(self._comes_s(o, stop, now_s, clock_s, lap_s), o) for o in self._vehicles if o is not vehicle]
        others.sort(key=lambda pair: pair[0])
        away_s = [now_s - loop.dwell_s_mean, *(comes_s for comes_s, _ in others)]
        gaps_s = [lap_s - (away_s[-1] - away_s[0]), *(b - a for a, b in pairwise(away_s))]
        on_board = [float(vehicle.load), *(float(other.load) for _, other in others)]
        return Line(gaps_s, on_board, loop.riders_per_s, compliance=loop.compliance)

    def _comes_s(self, other: _Vehicle, stop: int, now_s: float, clock_s: list[float], lap_s: float) -> float:
        """When a vehicle should come to a stop, from where it is; `clock_s` are the arrivals of a round of `lap_s`."""
        first = other.stop
        if other.stands:  # at a control stop, not yet ready
            if first == stop:
                return now_s
            first = (first + 1) % self._loop.stops
        elif other.left_s > now_s and first == (stop + 1) % self._loop.stops:
            return now_s  # held at this very stop
        comes_s = max(other.left_s + self._loop.run_s_mean, now_s)
        return comes_s + (clock_s[stop] - clock_s[first]) % lap_s
