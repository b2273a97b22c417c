"""Watch: what a tick says of every cause for an alert: headways, vehicles out of order, trips that nobody drives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from dispatch.alerts import AlertLimits, Condition, Sighting
from dispatch.claims import Timetable
from dispatch.fleet import NO_TRIP, Fleet
from dispatch.fleet_view import OFF_ROUTE, SILENT
from dispatch.headway import HeadwayLimits, Headways
from dispatch.lines import Lines
from dispatch.network import Flags, Floats, Ints, Network
from dispatch.observations import Rows
from dispatch.states import SILENT_S, Foreseen

MISSING_EVERY_S = 30.0  # a trip that nobody drives is looked for so often
OVER_S = 900.0  # a vehicle that has been silent since so long after the end of its trip has gone home
AT_START_M = 150.0


def sight(
    fleet: Fleet, network: Network, headways: Headways, bounds: HeadwayLimits, limits: AlertLimits
) -> list[Sighting]:
    """Every headway that is not plainly well. Those that were estimated raise no alert: they are said, not seen."""
    with np.errstate(invalid="ignore"):
        near = ~headways.estimated & (headways.ratio < limits.bunched_hold_ratio)
        far = ~headways.estimated & (headways.ratio > limits.gapped_hold_ratio)
        bunched, gapped = headways.ratio < bounds.bunched_ratio, headways.ratio > bounds.gapped_ratio
    return [
        _sight_headway(fleet, network, kind, headways, i, Condition.ON if on[i] else Condition.HOLD)
        for kind, rows, on in (("bunched", near, bunched), ("gapped", far, gapped))
        for i in np.flatnonzero(rows).tolist()
    ]


def sight_vehicles(
    fleet: Fleet, timetable: Timetable, listed: Rows, state: Ints, limits: AlertLimits, now_s: float
) -> list[Sighting]:
    """Vehicles that have left their route, that are not heard of in the middle of a trip, or that do not set off."""
    network = timetable.network
    found = [_sight(fleet, network, "off_route", row, Condition.ON) for row in listed[state == OFF_ROUTE].tolist()]
    with_trip = listed[fleet.trip[listed] != NO_TRIP]
    silent = listed[(state == SILENT) & (fleet.trip[listed] != NO_TRIP) & ~fleet.finished[listed]]
    silent = silent[now_s <= fleet.zero_s[silent] + timetable.last_s[fleet.trip[silent]] + OVER_S]
    found += _sight_late(fleet, network, "silent", silent, now_s - fleet.ts_s[silent], (SILENT_S, limits.silent_s))
    begun = fleet.next_stop[with_trip] > 0
    heard = now_s - fleet.ts_s[with_trip] <= SILENT_S
    with np.errstate(invalid="ignore"):
        there = ~fleet.off_route[with_trip] & (fleet.along_m[with_trip] <= AT_START_M)
    # Without exact_times there is no departure to be late for.
    free = fleet.is_loose[with_trip] | np.isin(fleet.trip[with_trip], list(timetable.loose))
    waiting = with_trip[~begun & heard & there & ~free & ~fleet.finished[with_trip]]
    late_s = now_s - fleet.zero_s[waiting] - timetable.first_s[fleet.trip[waiting]]
    bounds = (limits.late_departure_hold_s, limits.late_departure_s)
    found += _sight_late(fleet, network, "late_departure", waiting, late_s, bounds)
    return found


@dataclass(slots=True)
class Driven:
    """The runs that vehicles have been seen on: who comes to the end before the timetable does has not been missing."""

    since_s: float = np.inf  # nobody has looked before: of runs that began earlier it is not known who drove them
    keys: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def note(self, fleet: Fleet, due: Ints, now_s: float) -> Ints:
        """Take down who drives what now; all runs of `due` that have been driven so far."""
        self.since_s = min(self.since_s, now_s)
        n = len(fleet)
        now = (run_key(fleet.trip[:n], fleet.zero_s[:n]), run_key(fleet.next_trip[:n], fleet.next_zero_s[:n]))
        driven = np.union1d(self.keys, now[0])
        self.keys = driven[np.isin(driven, due)]
        return np.concatenate((self.keys, *now))


class Watch:
    """What ticks see of all causes, drivers' alarms apart; on one network until the next."""

    def __init__(self, limits: AlertLimits, bounds: HeadwayLimits) -> None:
        self.driven = Driven()
        self.missing: list[Sighting] = []
        self.missing_s = -np.inf  # when trips were last looked for
        self._limits, self._bounds = limits, bounds

    def look(
        self,
        fleet: Fleet,
        timetable: Timetable,
        lines: Lines,
        headways: Headways,
        foreseen: Foreseen,
        cancelled: set[tuple[int, float]],
        now_s: float,
    ) -> list[Sighting]:
        """All sightings of a tick; `cancelled` runs are missed by nobody."""
        if not 0 <= now_s - self.missing_s < MISSING_EVERY_S:
            self.missing_s = now_s
            self.missing = sight_missing(fleet, timetable, lines, cancelled, self._limits, self.driven, now_s)
        sightings = sight(fleet, timetable.network, headways, self._bounds, self._limits)
        sightings += sight_vehicles(fleet, timetable, foreseen.listed, foreseen.state, self._limits, now_s)
        return sightings + self.missing


def sight_missing(
    fleet: Fleet,
    timetable: Timetable,
    lines: Lines,
    cancelled: set[tuple[int, float]],
    limits: AlertLimits,
    driven: Driven,
    now_s: float,
) -> list[Sighting]:
    """Lines of which a trip should long have begun that no vehicle has, where most of their trips have one."""
    network, due = timetable.network, timetable.due_at(now_s)
    zero_s = due.day_start_s[due.day] + due.offset_s
    expected = (due.start_s <= now_s) & (now_s <= due.end_s) & ~np.isin(due.trip, list(timetable.loose))
    key = run_key(due.trip, zero_s)
    if cancelled:
        expected &= ~np.isin(key, [run_key(np.array([trip]), np.array([at_s]))[0] for trip, at_s in cancelled])
    rows = np.flatnonzero(expected)
    taken = driven.note(fleet, key, now_s)
    alone: Flags = ~np.isin(key[rows], taken)
    line = lines.pattern_line[network.trip_pattern[due.trip[rows]]]
    size = len(lines.line_route)
    share = np.bincount(line[~alone], minlength=size) / np.maximum(np.bincount(line, minlength=size), 1)
    overdue = (now_s - due.start_s[rows] >= limits.missing_s) & (due.start_s[rows] >= driven.since_s)
    missing = np.flatnonzero(alone & overdue & (share[line] >= limits.followed_share))
    _, first = np.unique(
        line[missing], return_index=True
    )  # runs are in order of departure: the longest missing of each
    return [
        _sight_missing(network, lines, int(line[i]), int(due.trip[rows[i]]), now_s - due.start_s[rows[i]])
        for i in missing[first].tolist()
    ]


def run_key(trip: Ints, zero_s: Floats) -> Ints:
    """One number for each run, -1 for none; whole seconds of zero are told apart."""
    known = trip >= 0
    whole_s = np.where(known, zero_s, 0.0).astype(np.int64)
    key: Ints = np.where(known, trip.astype(np.int64) * (1 << 33) + whole_s, -1)
    return key


def sight_alarm(fleet: Fleet, network: Network, key: str) -> Sighting:
    """A driver's alarm, with the line where the vehicle is known to be on one."""
    row = fleet.index.get(key)
    line = line_of(fleet, network, row) if row is not None else (None, None)
    return Sighting("alarm", key, Condition.ON, *line)


def line_of(fleet: Fleet, network: Network, row: int) -> tuple[str | None, int | None]:
    """Route and direction of a vehicle's trip."""
    if fleet.trip[row] == NO_TRIP:
        return None, None
    pattern = int(fleet.pattern[row])
    return network.route_id[network.pattern_route[pattern]], int(network.pattern_direction[pattern])


def _sight(fleet: Fleet, network: Network, kind: str, row: int, condition: Condition) -> Sighting:
    return Sighting(kind, fleet.key[row], condition, *line_of(fleet, network, row))


def _sight_late(
    fleet: Fleet, network: Network, kind: str, rows: Rows, late_s: Floats, bounds: tuple[float, float]
) -> Iterator[Sighting]:
    """Those later than the first of the bounds, ON from the second."""
    for row, late in zip(rows.tolist(), late_s.tolist(), strict=True):
        if late > bounds[0]:
            condition = Condition.ON if late > bounds[1] else Condition.HOLD
            trip_id = network.trip_id[fleet.trip[row]]
            line = line_of(fleet, network, row)
            yield Sighting(kind, fleet.key[row], condition, *line, late_s=round(late, 1), trip_id=trip_id)


def _sight_missing(network: Network, lines: Lines, line: int, trip: int, late_s: float) -> Sighting:
    route_id, direction = network.route_id[lines.line_route[line]], int(lines.line_direction[line])
    subject = f"{route_id}/{direction}"
    return Sighting(
        "missing",
        subject,
        Condition.ON,
        route_id,
        direction,
        late_s=round(float(late_s), 1),
        trip_id=network.trip_id[trip],
    )


def _sight_headway(
    fleet: Fleet, network: Network, kind: str, headways: Headways, i: int, condition: Condition
) -> Sighting:
    row, leader = int(headways.vehicle[i]), int(headways.leader[i])
    stop = network.pattern_stop[network.pattern_stop_start[fleet.pattern[row]] + int(headways.next_stop[i])]
    return Sighting(
        kind,
        fleet.key[row],
        condition,
        *line_of(fleet, network, row),
        fleet.key[leader].partition("/")[2] if leader >= 0 else None,
        network.stop_id[stop],
        round(float(headways.headway_s[i]), 1),
        round(float(headways.scheduled_s[i]), 1),
        round(float(headways.ratio[i]), 3),
    )
