"""Columns of the fleet at one instant, and the states in which a vehicle can be."""

from __future__ import annotations

from dataclasses import dataclass

from dispatch.network import Floats, Ints

VEHICLE_STATES = ("on_trip", "layover", "off_route", "unassigned", "silent")
ON_TRIP, LAYOVER, OFF_ROUTE, UNASSIGNED, SILENT = range(len(VEHICLE_STATES))
ASSIGNED = (None, "given", "inferred")


@dataclass(frozen=True, slots=True)
class FleetView:
    """Columns of the vehicles that are listed, copied from the fleet so that a later tick does not change them."""

    vehicle: Ints  # [n] VehicleIdx
    key: list[str]
    lat_deg: Floats
    lon_deg: Floats
    bearing_deg: Floats
    speed_mps: Floats
    ts_s: Floats
    state: Ints  # index of VEHICLE_STATES
    trip: Ints  # -1 where none
    pattern: Ints
    start_date: list[str | None]
    along_m: Floats
    offset_m: Floats
    deviation_s: Floats
    next_stop: Ints  # position in the pattern, -1 where none
    occupancy: list[str | None]
    assigned: Ints  # index of ASSIGNED
    start_time: list[str | None]  # "HH:MM:SS" for trips of frequencies.txt
    line_m: Floats  # place along the main pattern of its route and direction; nan where it does not run there
