"""Tracks: one step of every vehicle along its trip, from its newest fix to the stops and marks it has passed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from dispatch.fleet import Fleet
from dispatch.headway import MarkMemory, pass_marks
from dispatch.lines import Lines
from dispatch.matching import UNKNOWN_SPREAD_M, Matches, Paths, match
from dispatch.network import Floats, Network
from dispatch.observations import Rows
from dispatch.passages import (
    JUMP,
    OFF_ROUTE,
    SILENCE,
    TRACK_START,
    Passages,
    StopZones,
    pass_stops,
    start_tracks,
)
from dispatch.timetable import scheduled_place

BACK_M = 40.0  # a fix may lie this far behind the last one: noise, and the way back out of a bay
AHEAD_M = 40.0
JUMP_M_FREE = 300.0  # what two fixes may be off together, whatever the speed
TURNED_BACK_M = 300.0  # further behind is another round of the trip, not noise
PLAN_SPREAD_M = 3000.0  # how far the timetable's place may be wrong when there is nothing better
FREE_MPS = 8.0
HALT_M = 30.0  # a vehicle that gets on by less has not moved
BEGINS_EARLY_S = 300.0  # before that a vehicle that moves along its next trip's path is on its way to its layover


@dataclass(frozen=True, slots=True)
class TrackLimits:
    """Bounds of what is followed."""

    silent_s: float = 120.0
    off_route_m: float = 60.0
    speed_mps_max: float = 40.0


@dataclass(slots=True)
class Roads:
    """What a network looks like to moving vehicles, prepared once."""

    network: Network
    paths: Paths
    lines: Lines
    zones: StopZones
    memory: MarkMemory


@dataclass(slots=True)
class TrackCounts:
    """What became of fixes on a trip, and of the stops that were not seen, by reason."""

    matched: int = 0
    off_route: int = 0
    refused: Counter[str] = field(default_factory=Counter)


def follow(
    fleet: Fleet, roads: Roads, rows: Rows, limits: TrackLimits, counts: TrackCounts
) -> tuple[Passages, Matches]:
    """Take vehicles with a trip from where they were to their newest fix.

    Returns the passages this makes, and the place of each of `rows`, off the route or on it.
    """
    last_s = fleet.on_route_s[rows].copy()
    place = _place(fleet, roads, rows, last_s, limits)
    on = place.offset_m <= limits.off_route_m
    fleet.offset_m[rows] = place.offset_m
    was_off = fleet.off_route[rows]
    fleet.off_route[rows] = ~on
    counts.matched += int(np.count_nonzero(on))
    counts.off_route += int(np.count_nonzero(~on))
    here, last_s, was_off = rows[on], last_s[on], was_off[on]
    fleet.along_m[here] = place.along_m[on]
    fleet.on_route_s[here] = fleet.ts_s[here]
    with np.errstate(invalid="ignore"):
        fresh = np.isnan(fleet.place_m[here])
        waits = fresh & (fleet.ts_s[here] < _start_s(fleet, roads.network, here) - BEGINS_EARLY_S)
        silent = ~fresh & (fleet.ts_s[here] - last_s > limits.silent_s)
        left = ~fresh & ~silent & was_off
        gone_m = fleet.along_m[here] - fleet.place_m[here]
        gone_s = fleet.ts_s[here] - fleet.place_s[here]
        jumped = ~fresh & ~silent & ~left & (gone_m > limits.speed_mps_max * gone_s + JUMP_M_FREE)
        back = ~fresh & (fleet.along_m[here] < fleet.place_m[here] - TURNED_BACK_M)
    fresh &= ~waits
    back &= ~silent & ~left
    anew = fresh | silent | left | jumped | back
    if anew.any():
        for reason, which in ((TRACK_START, fresh), (SILENCE, silent), (OFF_ROUTE, left), (JUMP, jumped)):
            if which.any():
                counts.refused[reason] += start_tracks(fleet, roads.zones, here[which])
        if back.any():
            # It has been this way before, to turn or to wait: what it passes from here on is what counts.
            fleet.next_stop[here[back]] = 0
            start_tracks(fleet, roads.zones, here[back])
        begun = here[anew]
        way = roads.lines.pattern_way[fleet.pattern[begun]]
        fleet.mark_row[begun] = roads.lines.row_at(way, fleet.place_m[begun])
    going = here[~anew & ~waits]
    from_m, from_s = fleet.place_m[going].copy(), fleet.place_s[going].copy()
    passages = pass_stops(fleet, roads.zones, going)
    pass_marks(fleet, roads.network, roads.lines, roads.memory, going, from_m, from_s)
    _note_passages(fleet, roads.network, passages)
    _note_halts(fleet, here[~waits])
    ended = here[~fleet.finished[here] & (fleet.next_stop[here] >= roads.zones.stops(fleet.pattern[here]))]
    fleet.finished[ended] = True
    fleet.finished_s[ended] = fleet.ts_s[ended]
    return passages, place


def _start_s(fleet: Fleet, network: Network, rows: Rows) -> Floats:
    """Unix time of the first departure of each vehicle's trip."""
    start_s: Floats = fleet.zero_s[rows] + network.departure_s[network.trip_time_start[fleet.trip[rows]]]
    return start_s


def _place(fleet: Fleet, roads: Roads, rows: Rows, last_s: Floats, limits: TrackLimits) -> Matches:
    """Where each vehicle is on its path: in a window around its last place, or anywhere when that says nothing."""
    path = roads.network.pattern_path[fleet.pattern[rows]]
    x_m, y_m, heading_deg = fleet.x_m[rows], fleet.y_m[rows], fleet.heading_deg[rows]
    last_m, ts_s = fleet.along_m[rows], fleet.ts_s[rows]
    gone_s = ts_s - last_s
    with np.errstate(invalid="ignore"):
        lost = np.isnan(last_m) | (gone_s > limits.silent_s) | fleet.off_route[rows]
    gone_s = np.where(np.isnan(gone_s), 0.0, gone_s)
    speed_mps = np.where(np.isnan(fleet.speed_mps[rows]), FREE_MPS / 2, fleet.speed_mps[rows])
    gone_m = np.minimum(speed_mps, 25.0) * np.minimum(gone_s, 60.0)
    from_m = np.where(lost, 0.0, last_m - BACK_M)
    to_m = np.where(lost, np.inf, last_m + AHEAD_M + limits.speed_mps_max * gone_s)
    expected_m = last_m + gone_m
    unknown = np.isnan(expected_m)
    if unknown.any():
        at = rows[unknown]
        expected_m[unknown] = scheduled_place(roads.network, fleet.trip[at], fleet.ts_s[at] - fleet.zero_s[at])
    plan_spread_m = np.where(fleet.is_loose[rows], UNKNOWN_SPREAD_M, PLAN_SPREAD_M)
    spread_m = np.where(unknown, plan_spread_m, 30.0 + 6.0 * gone_s + np.where(lost, 200.0, 0.0))
    place = match(roads.paths, path, x_m, y_m, from_m, to_m, expected_m, spread_m, heading_deg)
    missed = np.flatnonzero((place.offset_m > limits.off_route_m) & ~lost)
    if len(missed):
        anywhere = np.zeros(len(missed))
        again = match(
            roads.paths,
            path[missed],
            x_m[missed],
            y_m[missed],
            anywhere,
            anywhere + np.inf,
            expected_m[missed],
            spread_m[missed] + 500.0,
            heading_deg[missed],
        )
        for column, better in ((place.along_m, again.along_m), (place.offset_m, again.offset_m)):
            column[missed] = better
    return place


def _note_halts(fleet: Fleet, rows: Rows) -> None:
    """Remember where and when each vehicle last got on: what stays within noise of it stands."""
    with np.errstate(invalid="ignore"):
        stands = np.abs(fleet.place_m[rows] - fleet.halt_m[rows]) < HALT_M
    moved = rows[~stands]
    fleet.halt_m[moved] = fleet.place_m[moved]
    fleet.moved_s[moved] = fleet.ts_s[moved]


def _note_passages(fleet: Fleet, network: Network, passages: Passages) -> None:
    """Remember each vehicle's delay at its last passage (of several in one step the last one is written last)."""
    if not len(passages):
        return
    at = network.trip_time_start[passages.trip] + passages.stop
    ends = np.isnan(passages.departure_s)
    actual_s = np.where(ends, passages.arrival_s, passages.departure_s)
    due_s = np.where(ends, network.arrival_s[at], network.departure_s[at]) + passages.zero_s
    fleet.delay_s[passages.vehicle] = actual_s - due_s
