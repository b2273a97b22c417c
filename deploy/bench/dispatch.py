"""How fast the engine follows a fleet: matching beside shapely's line_locate_point, and whole ticks as the fleet grows.

The network is made up: lines of 12 km on a lattice, 30 stops, a vehicle every three minutes, twenty on each line, with
bends, noise and delays. Matching is measured as the engine does it, in windows around the place where each vehicle was
a second before; shapely gets the same fixes and the same lines. A tick takes one fix of every vehicle and goes all the
way: matching, passages, headways, predictions, alerts and the columns of the snapshot; encoding to JSON comes on top
and is a figure of its own.
"""

from __future__ import annotations

import datetime as dt
import statistics
import sys
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dispatch.engine import Engine
from dispatch.fleet import Fleet
from dispatch.matching import match, prepare_paths
from dispatch.network import Network
from dispatch.observations import Descriptor, Observations
from dispatch.timetable import point_at, scheduled_place

Floats = NDArray[np.float64]

LINE_M, STOPS, POINTS = 12_000.0, 30, 481
HEADWAY_S, RUNNING_S, VEHICLES_A_LINE = 180, 3600, 20
FIXES = 50_000
TICKS = 7
NOISE_M = 4.0
DATE = dt.date(2026, 7, 13)
BEGINS_S = 8 * 3600


def run(gtfs: Path | None, seconds: float) -> dict[str, Any]:  # noqa: ARG001  every benchmark is asked the same way
    """Matching and ticks on the made-up network, whatever feed is named: it has the sizes that the figures name."""
    return measure()


def measure(
    *, fixes: int = FIXES, fleets: tuple[int, ...] = (10_000, 100_000), ticks: int = TICKS
) -> dict[str, dict[str, float]]:
    """Figures and ratios of contract section 4; medians of `ticks` ticks after the fleet has found its trips."""
    rng = np.random.default_rng(7)
    figures, ratios = measure_matching(fixes, rng)
    for vehicles in fleets:
        figures |= measure_ticks(vehicles, ticks, rng)
    return {"figures": figures, "ratios": ratios}


def measure_matching(fixes: int, rng: np.random.Generator) -> tuple[dict[str, float], dict[str, float]]:
    """Fixes a second, ours and shapely's, on the same fixes; the best of five each."""
    network = make_network(300, rng)
    path = rng.integers(0, 300, fixes).astype(np.int32)
    before_m = rng.uniform(100.0, LINE_M - 100.0, fixes)
    now_m = before_m + rng.uniform(0.0, 15.0, fixes)
    x_m, y_m = point_at(network, path, now_m)
    east_m, north_m = (a - b for a, b in zip(point_at(network, path, now_m + 5.0), (x_m, y_m), strict=True))
    bearing_deg = np.degrees(np.arctan2(east_m, north_m))
    x_m, y_m = x_m + rng.normal(0.0, NOISE_M, fixes), y_m + rng.normal(0.0, NOISE_M, fixes)
    paths = prepare_paths(network)
    spread_m = np.full(fixes, 36.0)
    ours_s = _best_of(
        5,
        lambda: match(paths, path, x_m, y_m, before_m - 40.0, before_m + 80.0, before_m + 8.0, spread_m, bearing_deg),
    )
    figures: dict[str, float] = {"matching_fixes_per_s": round(fixes / ours_s)}
    try:
        import shapely
    except ImportError:
        return figures, {}
    start = network.path_start
    points = np.column_stack((network.point_x_m, network.point_y_m))
    lines = np.array([shapely.LineString(points[a:b]) for a, b in pairwise(start)])
    few = slice(0, min(fixes, 10_000))
    on, where = lines[path[few]], shapely.points(x_m[few], y_m[few])
    theirs_s = _best_of(3, lambda: shapely.line_locate_point(on, where))
    figures["shapely_fixes_per_s"] = round(len(where) / theirs_s)
    return figures, {"matching_to_shapely": round(figures["matching_fixes_per_s"] / figures["shapely_fixes_per_s"], 2)}


def measure_ticks(vehicles: int, ticks: int, rng: np.random.Generator) -> dict[str, float]:
    """Milliseconds of a tick and of its encoding, and bytes of state a vehicle, with every vehicle reporting."""
    fleet = _Fleet(make_network(-(-vehicles // VEHICLES_A_LINE), rng), vehicles, rng)
    engine = Engine(fleet.network)
    tick_s, encode_s = [], []
    for second in range(ticks + 3):
        now_s = fleet.begins_s + second
        engine.ingest(fleet.fixes_at(now_s))
        began = time.perf_counter()
        snapshot = engine.tick(now_s)
        ended = time.perf_counter()
        snapshot.vehicles_json(), snapshot.headways_json(), snapshot.alerts_json()
        tick_s.append(ended - began)
        encode_s.append(time.perf_counter() - ended)
    return {
        f"tick_{vehicles}_vehicles_ms": round(1e3 * statistics.median(tick_s[3:]), 1),
        f"encode_{vehicles}_vehicles_ms": round(1e3 * statistics.median(encode_s[3:]), 1),
        "bytes_per_vehicle": round(_bytes_of(engine.fleet) / vehicles),
    }


def _bytes_of(fleet: Fleet) -> int:
    """All that the fleet holds: columns with their room to grow, and the objects of keys and claims."""
    columns = fleet.nbytes_per_vehicle() * len(fleet.ts_s)
    lists = sum(sys.getsizeof(held) for held in (fleet.key, fleet.index, fleet.descriptor, fleet.occupancy))
    objects = sum(map(sys.getsizeof, fleet.key))
    for claim in fleet.descriptor:
        objects += sys.getsizeof(claim) + sum(sys.getsizeof(text) for text in claim or () if text is not None)
    return columns + lists + objects


def _best_of(times: int, work: Any) -> float:
    best_s = float("inf")
    for _ in range(times):
        began = time.perf_counter()
        work()
        best_s = min(best_s, time.perf_counter() - began)
    return best_s


@dataclass(slots=True)
class _Fleet:
    """Vehicles that drive the network's trips, each with a delay of its own."""

    network: Network
    vehicles: int
    rng: np.random.Generator

    @property
    def begins_s(self) -> float:
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
    """Lines on a lattice with the trips that are under way at 08:00, twenty on each."""
    turn = np.cumsum(rng.normal(0.0, 0.08, (lines, POINTS - 1)), axis=1)
    step_m = LINE_M / (POINTS - 1)
    side = int(np.ceil(np.sqrt(lines)))
    x_m = np.concatenate((np.zeros((lines, 1)), np.cumsum(np.sin(turn) * step_m, axis=1)), axis=1)
    y_m = np.concatenate((np.zeros((lines, 1)), np.cumsum(np.cos(turn) * step_m, axis=1)), axis=1)
    x_m += (np.arange(lines) % side)[:, None] * 300.0
    y_m += (np.arange(lines) // side)[:, None] * 300.0
    along_m = np.tile(np.arange(POINTS) * step_m, lines)
    trips = lines * VEHICLES_A_LINE
    stop_s = np.arange(STOPS) * (RUNNING_S // (STOPS - 1))
    start_s = BEGINS_S - 90 - HEADWAY_S * np.tile(np.arange(VEHICLES_A_LINE), lines)
    times_s = (start_s[:, None] + stop_s).ravel().astype(np.int32)
    names = [str(i) for i in range(lines)]
    none = np.zeros(0, dtype=np.int32)
    return Network(
        feed_version="bench",
        timezone="UTC",
        origin_lat_deg=50.0,
        origin_lon_deg=30.0,
        route_id=names,
        route_short_name=names,
        route_long_name=names,
        route_type=np.full(lines, 3, dtype=np.int32),
        route_color=[""] * lines,
        route_text_color=[""] * lines,
        stop_id=[f"s{i}" for i in range(lines * STOPS)],
        stop_name=[""] * (lines * STOPS),
        stop_lat_deg=np.zeros(lines * STOPS),
        stop_lon_deg=np.zeros(lines * STOPS),
        path_start=(np.arange(lines + 1) * POINTS).astype(np.int32),
        point_x_m=x_m.ravel(),
        point_y_m=y_m.ravel(),
        point_along_m=along_m,
        pattern_id=names,
        pattern_route=np.arange(lines, dtype=np.int32),
        pattern_direction=np.zeros(lines, dtype=np.int32),
        pattern_path=np.arange(lines, dtype=np.int32),
        pattern_headsign=[""] * lines,
        pattern_drawn=np.ones(lines, dtype=np.bool_),
        pattern_stop_start=(np.arange(lines + 1) * STOPS).astype(np.int32),
        pattern_stop=np.arange(lines * STOPS, dtype=np.int32),
        pattern_stop_along_m=np.tile(np.linspace(0.0, LINE_M, STOPS), lines),
        trip_id=[f"t{i}" for i in range(trips)],
        trip_pattern=np.repeat(np.arange(lines), VEHICLES_A_LINE).astype(np.int32),
        trip_service=np.zeros(trips, dtype=np.int32),
        trip_block=np.full(trips, -1, dtype=np.int32),
        trip_headsign=[""] * trips,
        trip_time_start=(np.arange(trips + 1) * STOPS).astype(np.int32),
        arrival_s=times_s,
        departure_s=times_s,
        trip_stop_sequence=np.tile(np.arange(1, STOPS + 1), trips).astype(np.int32),
        frequency_trip=none,
        frequency_start_s=none,
        frequency_end_s=none,
        frequency_headway_s=none,
        frequency_exact=np.zeros(0, dtype=np.bool_),
        service_id=["daily"],
        first_date=DATE,
        service_runs=np.ones((1, 2), dtype=np.bool_),
        block_id=[],
    )
