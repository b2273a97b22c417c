"""Twenty minutes of a made-up city's morning as fixes: every vehicle with a delay of its own that comes and goes."""

from __future__ import annotations

import datetime as dt

import numpy as np

from dispatch.claims import Timetable
from dispatch.network import Network
from dispatch.observations import Observations

MONDAY = dt.date(2026, 7, 13)
FROM_S, TO_S = 8 * 3600, 8 * 3600 + 1200


def drive(network: Network, rng: np.random.Generator, every_s: float, uneven_s: float = 0.0) -> Observations:
    """Fixes of all trips of the morning, one vehicle a block, each with a delay of its own that comes and goes.

    uneven_s: fixes are taken so much before or after their turn, at most.
    """
    timetable = Timetable(network)
    runs = timetable.runs_of(MONDAY)
    zero_s = timetable.day_start_s(MONDAY)
    rows: list[tuple[str, float, float, float, str]] = []
    driven = (runs.end_s >= zero_s + FROM_S) & (runs.start_s <= zero_s + TO_S)
    for trip in runs.trip[driven].tolist():
        block = network.block_id[network.trip_block[trip]] if network.trip_block[trip] >= 0 else f"t{trip}"
        rows += _trip(network, trip, (block, zero_s), rng, every_s, uneven_s)
    rows.sort(key=lambda row: row[1])
    keys = [row[0] for row in rows]
    ts_s, x_m, y_m = (np.array([row[i] for row in rows]) for i in (1, 2, 3))
    lat_deg, lon_deg = network.unproject(x_m, y_m)
    unknown = np.full(len(rows), np.nan)
    said = [(row[4], None, None, None, None, None) for row in rows]
    return Observations(
        keys, ts_s, ts_s, lat_deg, lon_deg, unknown, unknown, unknown, unknown, list(said), [None] * len(rows)
    )


def _trip(
    network: Network, trip: int, run: tuple[str, float], rng: np.random.Generator, every_s: float, uneven_s: float
) -> list[tuple[str, float, float, float, str]]:
    block, zero_s = run
    at = slice(network.trip_time_start[trip], network.trip_time_start[trip + 1])
    pattern = network.trip_pattern[trip]
    stops = slice(network.pattern_stop_start[pattern], network.pattern_stop_start[pattern + 1])
    knots_s = np.column_stack((network.arrival_s[at], network.departure_s[at])).ravel()
    knots_m = np.repeat(network.pattern_stop_along_m[stops], 2)
    wave_s, shift = rng.uniform(600, 1500), rng.uniform(0, 2 * np.pi)
    second = np.arange(max(knots_s[0], FROM_S), min(knots_s[-1], TO_S), every_s)
    if uneven_s:
        second = second + rng.uniform(-uneven_s, uneven_s, len(second))
    late_s = 60 + 50 * np.sin(2 * np.pi * second / wave_s + shift)
    along_m = np.interp(second - late_s, knots_s, knots_m)
    path = network.pattern_path[pattern]
    points = slice(network.path_start[path], network.path_start[path + 1])
    x_m = np.interp(along_m, network.point_along_m[points], network.point_x_m[points]) + rng.normal(0, 2, len(second))
    y_m = np.interp(along_m, network.point_along_m[points], network.point_y_m[points]) + rng.normal(0, 2, len(second))
    name = network.trip_id[trip]
    return [
        (f"op/{block}", zero_s + s, x, y, name)
        for s, x, y in zip(second.tolist(), x_m.tolist(), y_m.tolist(), strict=True)
    ]
