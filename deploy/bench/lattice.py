"""A made-up city for benchmarks: lines of 12 km on a lattice, 30 stops, a vehicle every three minutes.

Every line bends in its own way and has twenty trips under way at 08:00; each vehicle has noise and a delay of its own.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dispatch.network import Network
from dispatch.observations import Descriptor, Observations
from dispatch.timetable import point_at, scheduled_place

Floats = NDArray[np.float64]
Columns = dict[str, Any]

LINE_M, STOPS, POINTS = 12_000.0, 30, 481
HEADWAY_S, RUNNING_S, VEHICLES_A_LINE = 180, 3600, 20
NOISE_M = 4.0
DATE = dt.date(2026, 7, 13)
BEGINS_S = 8 * 3600


@dataclass(slots=True)
class BusyFleet:
    """Vehicles that drive the network's trips, each with a delay of its own."""

    network: Network
    vehicles: int
    rng: np.random.Generator

    @property
    def begins_s(self) -> float:
        """08:00 of the day, Unix seconds."""
        return self.network.day_start_s(DATE) + BEGINS_S

    def fixes_at(self, now_s: float) -> Observations:
        """One fix of every vehicle. Keys and claims are new objects each time, as they are when they come in."""
        network, size = self.network, self.vehicles
        trip = np.arange(size, dtype=np.int32)
        delay_s = 40.0 * np.sin(np.arange(size) * 2.4)
        place_m = scheduled_place(network, trip, now_s - network.day_start_s(DATE) - delay_s)
        x_m, y_m = point_at(network, network.pattern_path[network.trip_pattern[trip]], place_m)
        noise = self.rng.normal(0.0, NOISE_M, (2, size))
        lat_deg, lon_deg = network.unproject(x_m + noise[0], y_m + noise[1])
        unknown = np.full(size, np.nan)
        at_s = np.full(size, now_s)
        claims: list[Descriptor | None] = [(f"t{i}", None, None, "20260713", None, None) for i in range(size)]
        keys = [f"bench/v{i}" for i in range(size)]
        speed_mps = np.full(size, 5.0)
        return Observations(
            keys, at_s, at_s, lat_deg, lon_deg, speed_mps, unknown, unknown, unknown, claims, [None] * size
        )


def make_network(lines: int, rng: np.random.Generator) -> Network:
    """The network of so many lines, with the trips that are under way at 08:00."""
    return Network(
        feed_version="bench",
        timezone="UTC",
        origin_lat_deg=50.0,
        origin_lon_deg=30.0,
        service_id=["daily"],
        first_date=DATE,
        service_runs=np.ones((1, 2), dtype=np.bool_),
        block_id=[],
        **_places(lines),
        **_paths(lines, rng),
        **_patterns(lines),
        **_trips(lines),
        **_no_frequencies(),
    )


def _places(lines: int) -> Columns:
    """Routes and stops, a row of stops for each line."""
    names, stops = [str(i) for i in range(lines)], lines * STOPS
    return {
        "route_id": names,
        "route_short_name": names,
        "route_long_name": names,
        "route_type": np.full(lines, 3, dtype=np.int32),
        "route_color": [""] * lines,
        "route_text_color": [""] * lines,
        "stop_id": [f"s{i}" for i in range(stops)],
        "stop_name": [""] * stops,
        "stop_lat_deg": np.zeros(stops),
        "stop_lon_deg": np.zeros(stops),
    }


def _paths(lines: int, rng: np.random.Generator) -> Columns:
    """A walk of small turns for each line, from its place on the lattice."""
    turn = np.cumsum(rng.normal(0.0, 0.08, (lines, POINTS - 1)), axis=1)
    step_m = LINE_M / (POINTS - 1)
    x_m = np.concatenate((np.zeros((lines, 1)), np.cumsum(np.sin(turn) * step_m, axis=1)), axis=1)
    y_m = np.concatenate((np.zeros((lines, 1)), np.cumsum(np.cos(turn) * step_m, axis=1)), axis=1)
    side = int(np.ceil(np.sqrt(lines)))
    x_m += (np.arange(lines) % side)[:, None] * 300.0
    y_m += (np.arange(lines) // side)[:, None] * 300.0
    return {
        "path_start": (np.arange(lines + 1) * POINTS).astype(np.int32),
        "point_x_m": x_m.ravel(),
        "point_y_m": y_m.ravel(),
        "point_along_m": np.tile(np.arange(POINTS) * step_m, lines),
    }


def _patterns(lines: int) -> Columns:
    """One pattern a line, its stops at equal distances."""
    every = np.arange(lines, dtype=np.int32)
    return {
        "pattern_id": [str(i) for i in range(lines)],
        "pattern_route": every,
        "pattern_direction": np.zeros(lines, dtype=np.int32),
        "pattern_path": every,
        "pattern_headsign": [""] * lines,
        "pattern_drawn": np.ones(lines, dtype=np.bool_),
        "pattern_stop_start": (np.arange(lines + 1) * STOPS).astype(np.int32),
        "pattern_stop": np.arange(lines * STOPS, dtype=np.int32),
        "pattern_stop_along_m": np.tile(np.linspace(0.0, LINE_M, STOPS), lines),
    }


def _trips(lines: int) -> Columns:
    """Twenty trips a line, the first of them about to end at 08:00 and the last just begun."""
    trips = lines * VEHICLES_A_LINE
    stop_s = np.arange(STOPS) * (RUNNING_S // (STOPS - 1))
    start_s = BEGINS_S - 90 - HEADWAY_S * np.tile(np.arange(VEHICLES_A_LINE), lines)
    times_s = (start_s[:, None] + stop_s).ravel().astype(np.int32)
    return {
        "trip_id": [f"t{i}" for i in range(trips)],
        "trip_pattern": np.repeat(np.arange(lines), VEHICLES_A_LINE).astype(np.int32),
        "trip_service": np.zeros(trips, dtype=np.int32),
        "trip_block": np.full(trips, -1, dtype=np.int32),
        "trip_headsign": [""] * trips,
        "trip_time_start": (np.arange(trips + 1) * STOPS).astype(np.int32),
        "arrival_s": times_s,
        "departure_s": times_s,
        "trip_stop_sequence": np.tile(np.arange(1, STOPS + 1), trips).astype(np.int32),
    }


def _no_frequencies() -> Columns:
    none = np.zeros(0, dtype=np.int32)
    names = ("frequency_trip", "frequency_start_s", "frequency_end_s", "frequency_headway_s")
    return {**dict.fromkeys(names, none), "frequency_exact": np.zeros(0, dtype=np.bool_)}
