"""How fast the engine follows a fleet: matching beside shapely's line_locate_point, and whole ticks as the fleet grows.

The network is made up: lines of 12 km on a lattice, 30 stops, a vehicle every three minutes, twenty on each line, with
bends, noise and delays. Matching is measured as the engine does it, in windows around the place where each vehicle was
a second before; shapely gets the same fixes and the same lines. A tick takes one fix of every vehicle and goes all the
way: matching, passages, headways, predictions, alerts and the columns of the snapshot; encoding to JSON comes on top
and is a figure of its own. So is taking the state for a restart, which a tick waits for every ten seconds, and writing
it, which another thread does.
"""

from __future__ import annotations

import statistics
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from deploy.bench.lattice import LINE_M, NOISE_M, VEHICLES_A_LINE, BusyFleet, make_network
from dispatch.engine import Engine
from dispatch.fleet import Fleet
from dispatch.ground import fingerprint
from dispatch.matching import match, prepare_paths
from dispatch.state import capture
from dispatch.state_file import to_bytes
from dispatch.timetable import point_at

FIXES = 50_000
TICKS = 7


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
    fleet = BusyFleet(make_network(-(-vehicles // VEHICLES_A_LINE), rng), vehicles, rng)
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
        **_measure_state(engine, vehicles, now_s),
        "bytes_per_vehicle": round(_bytes_of(engine.fleet) / vehicles),
    }


def _measure_state(engine: Engine, vehicles: int, now_s: float) -> dict[str, float]:
    """Milliseconds that a tick waits while its state is taken, then of making bytes of it, and how many."""
    taken_s = _best_of(5, lambda: capture(engine, now_s))
    state, feed = capture(engine, now_s), fingerprint(engine.network)
    began = time.perf_counter()
    size = len(to_bytes(state, feed))
    return {
        f"take_state_{vehicles}_vehicles_ms": round(1e3 * taken_s, 1),
        f"write_state_{vehicles}_vehicles_ms": round(1e3 * (time.perf_counter() - began), 1),
        f"state_{vehicles}_vehicles_mb": round(size / 1e6, 2),
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
