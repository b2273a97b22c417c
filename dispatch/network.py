"""The static network of one GTFS feed as columns: patterns, shapes, timetables, services and blocks.

Ids are strings at the doors and small integers inside: `PatternIdx`, `TripIdx`, `StopIdx` and so on index the columns.
Lists of lists are held in CSR form: items of row i are `values[start[i]:start[i + 1]]`.
Places are metres east and north of `origin` on a local equirectangular plane (a city is small enough for it),
distances are metres along the pattern's shape, and times are seconds after the start of the service day.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import NewType
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

RouteIdx = NewType("RouteIdx", int)
StopIdx = NewType("StopIdx", int)
PatternIdx = NewType("PatternIdx", int)
PathIdx = NewType("PathIdx", int)
TripIdx = NewType("TripIdx", int)
ServiceIdx = NewType("ServiceIdx", int)
BlockIdx = NewType("BlockIdx", int)

Ints = NDArray[np.int32]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

EARTH_RADIUS_M = 6_371_008.8  # mean radius, IUGG


def to_plane(origin_deg: tuple[float, float], lat_deg: Floats, lon_deg: Floats) -> tuple[Floats, Floats]:
    """Degrees to metres east and north of an origin (latitude, longitude): equirectangular, true at its latitude."""
    x_m = np.radians(lon_deg - origin_deg[1]) * EARTH_RADIUS_M * np.cos(np.radians(origin_deg[0]))
    y_m = np.radians(lat_deg - origin_deg[0]) * EARTH_RADIUS_M
    return x_m, y_m


@dataclass(frozen=True, slots=True)
class Network:
    """One feed version: R routes, S stops, L paths (distinct geometries), P patterns, T trips, V services, D days."""

    feed_version: str
    timezone: str
    origin_lat_deg: float
    origin_lon_deg: float

    route_id: list[str]
    route_short_name: list[str]
    route_long_name: list[str]
    route_type: Ints  # [R], GTFS route_type
    route_color: list[str]  # "RRGGBB" or ""
    route_text_color: list[str]

    stop_id: list[str]
    stop_name: list[str]
    stop_lat_deg: Floats  # [S]
    stop_lon_deg: Floats  # [S]

    path_start: Ints  # [L + 1] into the three point columns
    point_x_m: Floats
    point_y_m: Floats
    point_along_m: Floats  # distance from the path's first point

    pattern_id: list[str]  # stable over a reload of the same feed: "<route>:<direction>:<digest>"
    pattern_route: Ints  # [P]
    pattern_direction: Ints  # [P], 0 or 1
    pattern_path: Ints  # [P]
    pattern_headsign: list[str]
    pattern_drawn: Flags  # [P], False where there was no shape and straight lines stand in
    pattern_stop_start: Ints  # [P + 1] into the two columns below
    pattern_stop: Ints  # StopIdx
    pattern_stop_along_m: Floats  # non-decreasing within a pattern

    trip_id: list[str]
    trip_pattern: Ints  # [T]
    trip_service: Ints  # [T]
    trip_block: Ints  # [T], -1 where none
    trip_headsign: list[str]
    trip_time_start: Ints  # [T + 1] into the two columns below, aligned with the pattern's stops
    arrival_s: Ints  # seconds after the service day's start; may pass 24 h
    departure_s: Ints
    trip_stop_sequence: Ints  # GTFS stop_sequence, aligned with arrival_s

    frequency_trip: Ints  # [F]
    frequency_start_s: Ints
    frequency_end_s: Ints
    frequency_headway_s: Ints
    frequency_exact: Flags

    service_id: list[str]
    first_date: dt.date
    service_runs: Flags  # [V, D], D days from first_date

    block_id: list[str]

    shift_s: float = 0.0  # added to every service day's start: a demo moves the timetable, never the clock
    feed_start_date: dt.date | None = None  # from feed_info.txt, where it says so
    # Like pattern_stop: where most trips have a timepoint; empty where the feed names none.
    pattern_stop_timed: Flags = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))

    def project(self, lat_deg: Floats, lon_deg: Floats) -> tuple[Floats, Floats]:
        """Degrees to metres east and north of the origin."""
        return to_plane((self.origin_lat_deg, self.origin_lon_deg), lat_deg, lon_deg)

    def unproject(self, x_m: Floats, y_m: Floats) -> tuple[Floats, Floats]:
        """Metres east and north of the origin to degrees: (latitude, longitude); the inverse of `project`."""
        lat_deg = self.origin_lat_deg + np.degrees(y_m / EARTH_RADIUS_M)
        lon_deg = self.origin_lon_deg + np.degrees(x_m / (EARTH_RADIUS_M * np.cos(np.radians(self.origin_lat_deg))))
        return lat_deg, lon_deg

    def bounds_deg(self) -> tuple[float, float, float, float]:
        """South, west, north, east of the stops, degrees; ValueError where there are none."""
        lat, lon = self.stop_lat_deg, self.stop_lon_deg
        return float(lat.min()), float(lon.min()), float(lat.max()), float(lon.max())

    def day_start_s(self, date: dt.date) -> float:
        """Unix seconds at which times of `date`'s service count zero: noon less twelve hours (GTFS), plus the shift."""
        noon = dt.datetime.combine(date, dt.time(12), ZoneInfo(self.timezone))
        return noon.timestamp() - 43_200 + self.shift_s
