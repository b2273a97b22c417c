"""A straight line of stops with a timetable, made in memory."""

from __future__ import annotations

import datetime as dt

import numpy as np

from dispatch.network import Network


def make_line(
    stops: int = 12,
    spacing_m: float = 400.0,
    leg_s: int = 75,
    trips: int = 20,
    headway_s: int = 300,
    first_s: int = 28_800,
    route_type: int = 3,
    blocks: bool = True,
    frequency: bool = False,
) -> Network:
    """One route eastwards; trip i leaves at first_s + i * headway_s, and is a block of its own."""
    along_m = np.arange(stops) * spacing_m
    times = np.arange(stops) * leg_s
    starts = [first_s] if frequency else [first_s + i * headway_s for i in range(trips)]
    count = len(starts)
    clock = np.concatenate([start + times for start in starts]).astype(np.int32)
    return Network(
        feed_version="line",
        timezone="Europe/Kyiv",
        origin_lat_deg=50.0,
        origin_lon_deg=30.0,
        route_id=["R"],
        route_short_name=["1"],
        route_long_name=["One"],
        route_type=np.array([route_type], dtype=np.int32),
        route_color=[""],
        route_text_color=[""],
        stop_id=[f"S{i}" for i in range(stops)],
        stop_name=[f"Stop {i}" for i in range(stops)],
        stop_lat_deg=np.full(stops, 50.0),
        stop_lon_deg=30.0 + along_m / 71_500.0,
        path_start=np.array([0, 2], dtype=np.int32),
        point_x_m=np.array([0.0, along_m[-1]]),
        point_y_m=np.zeros(2),
        point_along_m=np.array([0.0, along_m[-1]]),
        pattern_id=["R:0:x"],
        pattern_route=np.zeros(1, dtype=np.int32),
        pattern_direction=np.zeros(1, dtype=np.int32),
        pattern_path=np.zeros(1, dtype=np.int32),
        pattern_headsign=["East"],
        pattern_drawn=np.ones(1, dtype=np.bool_),
        pattern_stop_start=np.array([0, stops], dtype=np.int32),
        pattern_stop=np.arange(stops, dtype=np.int32),
        pattern_stop_along_m=along_m,
        trip_id=[f"T{i}" for i in range(count)],
        trip_pattern=np.zeros(count, dtype=np.int32),
        trip_service=np.zeros(count, dtype=np.int32),
        trip_block=np.arange(count, dtype=np.int32) if blocks else np.full(count, -1, dtype=np.int32),
        trip_headsign=["East"] * count,
        trip_time_start=(np.arange(count + 1) * stops).astype(np.int32),
        arrival_s=clock,
        departure_s=clock.copy(),
        trip_stop_sequence=np.tile(np.arange(1, stops + 1), count).astype(np.int32),
        frequency_trip=np.zeros(int(frequency), dtype=np.int32),
        frequency_start_s=np.full(int(frequency), first_s, dtype=np.int32),
        frequency_end_s=np.full(int(frequency), first_s + trips * headway_s, dtype=np.int32),
        frequency_headway_s=np.full(int(frequency), headway_s, dtype=np.int32),
        frequency_exact=np.zeros(int(frequency), dtype=np.bool_),
        service_id=["daily"],
        first_date=dt.date(2026, 7, 13),
        service_runs=np.ones((1, 3), dtype=np.bool_),
        block_id=[f"B.{i}" for i in range(count)] if blocks else [],
    )
