"""Situations: what is known of each vehicle that is about to leave a control stop, as the holding laws want it.

All of it comes from what a tick has derived anyway: predictions say when each vehicle of the line will be at the stop,
departures that were seen say who left it last. The vehicle ahead is whoever leaves the stop before: one that has left,
or one that will. A vehicle that is being held is where the hold has it, not where its timetable would.

Nothing is guessed. Without a vehicle ahead, without a headway between the two in the timetable, off the route, silent
or without a trip there is no situation, but a reason that is counted. Only lines that somebody controls are looked at.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from dispatch.calls import Calls, Departure, Departures
from dispatch.claims import Timetable
from dispatch.control_stops import ControlStops
from dispatch.fleet import Fleet
from dispatch.fleet_view import LAYOVER, ON_TRIP, FleetView
from dispatch.holding import Gains, Situation
from dispatch.holding_plan import Line
from dispatch.network import Network
from dispatch.ridership import Ridership

Visit: TypeAlias = tuple[int, int, float, int]  # vehicle, trip, zero, stop: what is decided once

RIDERS = {
    "EMPTY": 2.0,
    "MANY_SEATS_AVAILABLE": 20.0,
    "FEW_SEATS_AVAILABLE": 40.0,
    "STANDING_ROOM_ONLY": 65.0,
    "CRUSHED_STANDING_ROOM_ONLY": 85.0,
    "FULL": 90.0,
    "NOT_ACCEPTING_PASSENGERS": 90.0,
}


@dataclass(frozen=True, slots=True)
class SituationLimits:
    """From when on a vehicle is looked at, and what is taken for granted where nobody counts riders."""

    stop_lead_s: float = 45.0  # before it comes to a control stop: a driver needs seconds to read, a dispatcher more
    terminal_lead_s: float = 90.0  # before it leaves a terminal
    fix_s_max: float = 45.0  # a vehicle whose last fix is older is not where we think
    leader_s_max: float = 3600.0  # an earlier departure is none of a vehicle ahead
    headway_s_max: float = 1800.0  # a line that runs less often has a timetable that riders read
    headway_s_min: float = 60.0
    followers_max: int = 10
    riders_a_headway: float = 3.0  # who come to one halt within one scheduled headway
    riders_on_board: float = 25.0  # of a vehicle that does not tell its occupancy
    boarding_s: float = 2.0  # a rider
    beta_min: float = 0.01
    beta_max: float = 0.1
    compliance: float = 0.85


@dataclass(frozen=True, slots=True)
class Case:
    """One vehicle that is about to leave one control stop, and what is known."""

    vehicle: int
    key: str
    trip: int
    zero_s: float
    stop: int
    row: int
    line: int
    is_terminal: bool
    situation: Situation
    gains: Gains
    leader: int
    leader_has_left: bool
    follower: int  # -1: nobody is known to come
    ahead_s: float  # headway in departures, without a hold
    behind_s: float | None
    on_board: float
    on_board_told: bool
    halts_ahead: float
    riders_counted: bool = False  # by taps

    @property
    def visit(self) -> Visit:
        """This vehicle, on this run, at this stop."""
        return self.vehicle, self.trip, self.zero_s, self.stop


@dataclass(frozen=True, slots=True)
class Scene:
    """What a tick knows, as far as situations need it."""

    network: Network
    timetable: Timetable
    fleet: Fleet
    view: FleetView
    controls: ControlStops
    departures: Departures
    calls: Calls
    now_s: float
    limits: SituationLimits = field(default_factory=SituationLimits)
    riders: Ridership | None = None


def find_cases(scene: Scene, decided: Collection[Visit]) -> tuple[list[Case], dict[Visit, str]]:
    """The cases of this moment, and why there is none of other visits; those that have been decided are left out."""
    calls, now_s, limits, controls = scene.calls, scene.now_s, scene.limits, scene.controls
    is_terminal = controls.is_terminal[calls.row]
    soon = np.where(
        is_terminal,
        calls.departure_s - now_s <= limits.terminal_lead_s,
        calls.arrival_s - now_s <= limits.stop_lead_s,
    )
    wanted = np.flatnonzero(controls.is_control[calls.row] & soon & (controls.halts_ahead[calls.row] >= 1))
    cases: list[Case] = []
    refused: dict[Visit, str] = {}
    if not len(wanted):
        return cases, refused
    state = dict(zip(scene.view.vehicle.tolist(), scene.view.state.tolist(), strict=True))
    for i in wanted.tolist():
        vehicle = int(calls.vehicle[i])
        visit = (vehicle, int(calls.trip[i]), float(calls.zero_s[i]), int(calls.stop[i]))
        if visit in decided:
            continue
        found: Case | str = "vehicle_state"
        if now_s - float(scene.fleet.ts_s[vehicle]) > limits.fix_s_max:
            found = "silent"
        elif state.get(vehicle) in (ON_TRIP, LAYOVER):
            found = _case(scene, i, bool(is_terminal[i]))
        if isinstance(found, str):
            refused[visit] = found
        else:
            cases.append(found)
    return cases, refused


@dataclass(frozen=True, slots=True)
class _Around:
    """Who leaves the place of a call before it and who comes after, and how far apart the timetable has them."""

    leader: Departure
    behind: list[int]  # calls
    came_s: float
    ready_s: float
    scheduled_s: float


@dataclass(frozen=True, slots=True)
class _Riders:
    """Who comes to one halt, who is on board, and whether that is known or supposed."""

    per_s: float
    counted: bool
    beta: float
    on_board: float
    told: bool


def _case(scene: Scene, i: int, terminal: bool) -> Case | str:
    """The case of one call; a string is the reason why there is none."""
    around = _around(scene, i)
    if isinstance(around, str):
        return around
    calls, controls = scene.calls, scene.controls
    vehicle, row = int(calls.vehicle[i]), int(calls.row[i])
    riders = _riders(scene, i, terminal, around.scheduled_s)
    line = int(controls.line[row])
    behind = around.behind
    return Case(
        vehicle,
        scene.fleet.key[vehicle],
        int(calls.trip[i]),
        float(calls.zero_s[i]),
        int(calls.stop[i]),
        row,
        line,
        terminal,
        _situation(scene, i, terminal, around, riders),
        replace(Gains(), beta=(1 + riders.beta) ** int(controls.spacing_halts[line]) - 1),
        around.leader.vehicle,
        around.leader.left_s <= scene.now_s,
        int(calls.vehicle[behind[0]]) if behind else -1,
        around.ready_s - around.leader.left_s,
        float(calls.departure_s[behind[0]]) - around.ready_s if behind else None,
        riders.on_board,
        riders.told,
        float(controls.halts_ahead[row]),
        riders.counted,
    )


def _around(scene: Scene, i: int) -> _Around | str:
    """The vehicles around call `i`; a string is the reason why there is no headway to speak of."""
    calls, limits = scene.calls, scene.limits
    ready_s = max(float(calls.departure_s[i]), scene.now_s)
    others = _once_each(calls, i)
    leader = _leader(scene, i, [j for j in others if j < i], ready_s)
    if leader is None:
        return "no_vehicle_ahead"
    frequent_s = float(scene.timetable.frequent_s(calls.trip[i : i + 1], calls.zero_s[i : i + 1])[0])
    scheduled_s = abs(float(calls.due_s[i]) - leader.due_s) if np.isnan(frequent_s) else frequent_s
    if not limits.headway_s_min <= scheduled_s <= limits.headway_s_max:
        return "no_scheduled_headway"
    behind = [j for j in others if j > i][: limits.followers_max]
    return _Around(leader, behind, float(calls.arrival_s[i]), ready_s, scheduled_s)


def _riders(scene: Scene, i: int, terminal: bool, scheduled_s: float) -> _Riders:
    """Riders as taps count them where they do, else by the rule of thumb."""
    limits = scene.limits
    usual = limits.riders_a_headway
    counted = None if scene.riders is None else scene.riders.a_halt(int(scene.calls.row[i]), usual)
    per_s = (usual if counted is None else counted) / scheduled_s
    told = RIDERS.get(scene.fleet.occupancy[int(scene.calls.vehicle[i])] or "")
    on_board = 0.0 if terminal else limits.riders_on_board if told is None else told
    beta = min(max(per_s * limits.boarding_s, limits.beta_min), limits.beta_max)
    return _Riders(per_s, counted is not None, beta, on_board, told is not None)


def _situation(scene: Scene, i: int, terminal: bool, around: _Around, riders: _Riders) -> Situation:
    """What a law is told of call `i`."""
    calls, network, leader = scene.calls, scene.network, around.leader
    came_s, ready_s = around.came_s, around.ready_s
    time = int(network.trip_time_start[int(calls.trip[i])]) + int(calls.stop[i])
    planned_s = float(network.departure_s[time] - network.arrival_s[time])
    due_in_s = float(calls.zero_s[i]) + float(network.departure_s[time] if terminal else network.arrival_s[time])
    return Situation(
        arrival_s=came_s,
        ready_s=ready_s,
        scheduled_departure_s=float(calls.due_s[i]),
        scheduled_headway_s=around.scheduled_s,
        slack_s=0.0 if terminal else max(0.0, planned_s - (ready_s - came_s)),
        headway_s=(ready_s - leader.left_s) if terminal else (came_s - leader.came_s),
        leader_departure_s=leader.left_s,
        deviation_s=came_s - due_in_s,
        leader_deviation_s=leader.left_s - leader.due_s,
        follower_arrivals_s=tuple(float(calls.arrival_s[j]) for j in around.behind),
        line=Line(
            _gaps_s(calls, around.behind, ready_s, leader.left_s),
            [riders.on_board, *(_on_board(scene, int(calls.vehicle[j])) for j in around.behind)],
            riders.per_s,
            closed=False,
            compliance=scene.limits.compliance,
        ),
    )


def _once_each(calls: Calls, i: int) -> list[int]:
    """The next call of every other vehicle at the place of call `i`, in the order of their arrival."""
    seen = {int(calls.vehicle[i])}
    found = []
    for j in calls.at(int(calls.place[i])):
        vehicle = int(calls.vehicle[j])
        if vehicle not in seen:
            seen.add(vehicle)
            found.append(j)
    return found


def _leader(scene: Scene, i: int, ahead: Sequence[int], ready_s: float) -> Departure | None:
    """Who leaves the place before call `i`: the last of those that will, else the last of those that have."""
    calls, limits = scene.calls, scene.limits
    if ahead:
        j = max(ahead, key=lambda k: float(calls.departure_s[k]))
        left_s, came_s = float(calls.departure_s[j]), float(calls.arrival_s[j])
        return Departure(int(calls.vehicle[j]), left_s, float(calls.due_s[j]), came_s)
    place, vehicle = int(calls.place[i]), int(calls.vehicle[i])
    return scene.departures.last(place, vehicle, ready_s - limits.leader_s_max, ready_s)


def _gaps_s(calls: Calls, behind: Sequence[int], ready_s: float, left_s: float) -> list[float]:
    """Gaps in departures: to the vehicle ahead, then of each vehicle behind to the one before it; never below 0."""
    leaves_s = [left_s, ready_s, *(float(calls.departure_s[j]) for j in behind)]
    return [max(0.0, later - sooner) for sooner, later in pairwise(leaves_s)]


def _on_board(scene: Scene, vehicle: int) -> float:
    told = RIDERS.get(scene.fleet.occupancy[vehicle] or "")
    return scene.limits.riders_on_board if told is None else told
