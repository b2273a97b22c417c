"""States: what each vehicle is doing, how late it is, and the columns of the fleet that a snapshot shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dispatch.arrivals import Predictions
from dispatch.claims import Timetable
from dispatch.fleet import NO_TRIP, Fleet
from dispatch.fleet_view import LAYOVER, OFF_ROUTE, ON_TRIP, SILENT, UNASSIGNED, FleetView
from dispatch.lines import Lines
from dispatch.network import Flags, Floats, Ints, Network
from dispatch.observations import Rows
from dispatch.timetable import scheduled_at

SILENT_S = 60.0  # a vehicle is shown as silent when its newest fix is older
START_GRACE_S = 300.0  # off the route before, or not long after its start, a vehicle is on its way there


@dataclass(frozen=True, slots=True)
class Foreseen:
    """The vehicles that are listed, what they are doing, how late they are, and where they will be when."""

    listed: Rows
    state: Ints
    late_s: Floats
    predictions: Predictions


def states(fleet: Fleet, timetable: Timetable, rows: Rows, now_s: float) -> Ints:
    """Index of VEHICLE_STATES for each of `rows`."""
    trip, off = fleet.trip[rows], fleet.off_route[rows]
    begins_s = fleet.zero_s[rows] + timetable.first_s[trip]
    with np.errstate(invalid="ignore"):
        due = fleet.ts_s[rows] > begins_s + START_GRACE_S
    not_begun = (fleet.next_stop[rows] == 0) | np.isnan(fleet.place_m[rows])
    state = np.full(len(rows), ON_TRIP, dtype=np.int32)
    state[off] = OFF_ROUTE
    state[(not_begun & ~(off & due)) | fleet.finished[rows]] = LAYOVER
    state[trip == NO_TRIP] = UNASSIGNED
    state[now_s - fleet.ts_s[rows] > SILENT_S] = SILENT
    return state


def deviations(fleet: Fleet, network: Network, rows: Rows) -> Floats:
    """Time of the newest fix minus the scheduled time at its place (seconds); nan where that is not known.

    Before its first departure a vehicle is late once the departure is due, and never early.
    """
    trip = fleet.trip[rows]
    known = (trip != NO_TRIP) & ~fleet.off_route[rows] & ~np.isnan(fleet.along_m[rows]) & ~fleet.finished[rows]
    late_s = np.full(len(rows), np.nan)
    at, trip = rows[known], trip[known]
    value = fleet.ts_s[at] - fleet.zero_s[at] - scheduled_at(network, trip, fleet.along_m[at])
    late_s[known] = np.where(fleet.next_stop[at] == 0, np.maximum(value, 0.0), value)
    return late_s


def view_fleet(fleet: Fleet, timetable: Timetable, lines: Lines, rows: Rows, state: Ints, late_s: Floats) -> FleetView:
    """The columns of `rows` as a snapshot keeps them: copies, so that the next tick does not change them."""
    at = rows.tolist()
    pattern, trip = fleet.pattern[rows], fleet.trip[rows]
    on_trip: Flags = trip != NO_TRIP
    along_m = np.where(on_trip & ~fleet.off_route[rows], fleet.along_m[rows], np.nan)
    line_m, is_main = lines.line_m_at(lines.pattern_way[pattern], along_m)
    ahead: Flags = on_trip & ~fleet.finished[rows] & ~np.isnan(fleet.place_m[rows])
    return FleetView(
        rows.astype(np.int32),
        [fleet.key[i] for i in at],
        fleet.lat_deg[rows],
        fleet.lon_deg[rows],
        fleet.bearing_deg[rows],
        fleet.speed_mps[rows],
        fleet.ts_s[rows],
        state,
        trip,
        pattern,
        timetable.start_dates(trip, fleet.zero_s[rows]),
        along_m,
        np.where(on_trip, fleet.offset_m[rows], np.nan),
        late_s,
        np.where(ahead, fleet.next_stop[rows], -1).astype(np.int32),
        [fleet.occupancy[i] for i in at],
        fleet.assigned[rows],
        timetable.start_times(trip, fleet.zero_s[rows]),
        np.where(is_main, line_m, np.nan),
    )
