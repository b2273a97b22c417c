"""Switching to another version of the feed: what is known of the fleet, carried over by the ids that both have.

A vehicle keeps its trip where the new feed has it, and its place on it where the pattern is the same (a pattern's id is
made of its route, direction, shape and stops); elsewhere its next fix begins a new track. No vehicle is lost.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dispatch.claims import Timetable
from dispatch.fleet import NO_TRIP, NOBODY, Fleet
from dispatch.lines import Lines
from dispatch.network import Flags, Ints, Network
from dispatch.passages import PassageLog, Passages

if TYPE_CHECKING:
    from dispatch.folding import Folding
    from dispatch.ground import Ground


@dataclass(frozen=True, slots=True)
class Crossing:
    """Where trips and patterns of the old network stand in the new one; -1 where it does not have them."""

    trip: Ints
    is_same: Flags  # [old trips] the new trip has the same pattern
    route: Ints


def go_over(folding: Folding, fresh: Ground) -> int:
    """Put the fleet, its passages and the orders for it onto fresh ground; returns how many keep their trip."""
    before = folding.ground
    crossing = cross(before.network, fresh.network)
    kept = carry_fleet(folding.fleet, crossing, before.timetable, fresh.timetable, fresh.roads.lines)
    shift_s = shift_between(before.timetable, fresh.timetable)
    folding.passage_log = carry_passages(folding.passage_log, crossing, shift_s)
    folding.orders.carry(crossing.trip, shift_s)
    folding.use(fresh)
    return kept


def cross(old: Network, new: Network) -> Crossing:
    """Match two versions of a feed by their ids."""
    pattern = _places(old.pattern_id, new.pattern_id)
    trip = _places(old.trip_id, new.trip_id)
    is_same = (trip >= 0) & (pattern[old.trip_pattern] == new.trip_pattern[np.maximum(trip, 0)])
    return Crossing(trip, is_same, _places(old.route_id, new.route_id))


def carry_fleet(fleet: Fleet, crossing: Crossing, before: Timetable, after: Timetable, lines: Lines) -> int:
    """Move the fleet's columns onto the new network; returns how many vehicles keep the trip that they drive."""
    network, n = after.network, len(fleet)
    dates = before.start_dates(fleet.trip[:n], fleet.zero_s[:n])
    fleet.x_m[:n], fleet.y_m[:n] = network.project(fleet.lat_deg[:n], fleet.lon_deg[:n])
    shift_s = shift_between(before, after)
    kept = 0
    lost = []
    for row in np.flatnonzero(fleet.trip[:n] != NO_TRIP).tolist():
        old, new = int(fleet.trip[row]), int(crossing.trip[fleet.trip[row]])
        fleet.trip[row] = new
        if new == NO_TRIP:
            lost.append(row)
            continue
        kept += 1
        fleet.zero_s[row] += shift_s
        fleet.pattern[row] = network.trip_pattern[new]
        date = dates[row]
        if date is not None:
            after.note_zero(float(fleet.zero_s[row]), dt.datetime.strptime(date, "%Y%m%d").date())  # noqa: DTZ007
        follows = after.next_of(new, float(fleet.zero_s[row]))
        fleet.next_trip[row], fleet.next_zero_s[row] = follows if follows is not None else (NO_TRIP, np.nan)
        if not crossing.is_same[old]:
            fleet.clear_track(np.array([row]))
    gone = np.array(lost, dtype=np.intp)
    fleet.clear_track(gone)
    fleet.zero_s[gone] = fleet.next_zero_s[gone] = np.nan
    fleet.next_trip[gone], fleet.assigned[gone], fleet.pattern[gone] = NO_TRIP, NOBODY, 0
    free = np.flatnonzero(fleet.trip[:n] == NO_TRIP)
    fleet.pattern[free] = 0
    fleet.claims_trip[free], fleet.claim_s[free] = False, -np.inf  # what they claim is looked at again
    named = fleet.claimed_route[:n] >= 0
    fleet.claimed_route[:n][named] = crossing.route[fleet.claimed_route[:n][named]]
    on_way = np.flatnonzero((fleet.trip[:n] != NO_TRIP) & ~np.isnan(fleet.place_m[:n]))
    fleet.mark_row[:n] = -1
    fleet.mark_row[on_way] = lines.row_at(lines.pattern_way[fleet.pattern[on_way]], fleet.place_m[on_way])
    return kept


def carry_passages(log: PassageLog, crossing: Crossing, shift_s: float) -> PassageLog:
    """The passages on trips that the new network has with the same stops."""
    known = log.all()
    rows = np.flatnonzero(crossing.is_same[known.trip]) if len(known) else np.zeros(0, dtype=np.intp)
    rows = rows[np.argsort(np.fmax(known.arrival_s[rows], known.departure_s[rows]), kind="stable")]
    carried = PassageLog(log.room)
    carried.add(
        Passages(
            known.vehicle[rows],
            crossing.trip[known.trip[rows]],
            known.zero_s[rows] + shift_s,
            known.stop[rows],
            known.arrival_s[rows],
            known.departure_s[rows],
        )
    )
    carried.carried = carried.written
    return carried


def shift_between(before: Timetable, after: Timetable) -> float:
    """How much later the new timetable's days begin: not at all, unless a demo has moved one of them."""
    return after.network.shift_s - before.network.shift_s


def _places(ids: list[str], wanted: list[str]) -> NDArray[np.int32]:
    find = {name: i for i, name in enumerate(wanted)}.get
    return np.array([find(name, -1) for name in ids], dtype=np.int32)
