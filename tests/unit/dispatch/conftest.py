"""Tiny networks and fixes for the tests of the engine: a road, a few stops, a few trips, all on one screen."""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from dispatch.network import Network
from dispatch.observations import Descriptor, Observations

DATE = dt.date(2026, 7, 13)
ORIGIN = (50.0, 30.0)


@dataclass
class Pattern:
    """A pattern whose trips run at `pace_s_per_m` and stand `dwell_s` at every stop; `trips` are id -> start (s)."""

    points: Sequence[tuple[float, float]]
    stops_m: Sequence[float]
    trips: dict[str, float]
    stops: Sequence[str] = ()
    route: str = "R"
    direction: int = 0
    pace_s_per_m: float = 0.1
    dwell_s: float = 0.0
    blocks: dict[str, str] = field(default_factory=dict)


def build(*patterns: Pattern, frequencies: Sequence[tuple[str, int, int, int, bool]] = ()) -> Network:
    """A network of one service that runs every day of a fortnight in UTC."""
    routes = list(dict.fromkeys(p.route for p in patterns))
    names = [[*p.stops] or [f"{p.route}{p.direction}-{i}" for i in range(len(p.stops_m))] for p in patterns]
    stops = list(dict.fromkeys(name for row in names for name in row))
    trips = [(name, start_s, i, p) for i, p in enumerate(patterns) for name, start_s in p.trips.items()]
    blocks = list(dict.fromkeys(block for p in patterns for block in p.blocks.values()))
    arrival: list[float] = []
    departure: list[float] = []
    sequence: list[int] = []
    for _, start_s, _, p in trips:
        for n, stop_m in enumerate(p.stops_m):
            at_s = start_s + stop_m * p.pace_s_per_m + n * p.dwell_s
            arrival.append(at_s)
            departure.append(at_s + p.dwell_s)
            sequence.append(n + 1)
    along = []
    for p in patterns:
        xy = np.array(p.points, dtype=float)
        along.append(np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(xy, axis=0).T)))))
    points = np.concatenate([np.array(p.points, dtype=float) for p in patterns])
    ints = np.int32

    def starts(counts: list[int]) -> np.ndarray:
        return np.concatenate(([0], np.cumsum(counts))).astype(ints)

    trip_index = {trip[0]: i for i, trip in enumerate(trips)}
    freq = list(zip(*frequencies, strict=True)) or [(), (), (), (), ()]
    return Network(
        feed_version="tiny",
        timezone="UTC",
        origin_lat_deg=ORIGIN[0],
        origin_lon_deg=ORIGIN[1],
        route_id=routes,
        route_short_name=routes,
        route_long_name=routes,
        route_type=np.full(len(routes), 3, ints),
        route_color=[""] * len(routes),
        route_text_color=[""] * len(routes),
        stop_id=stops,
        stop_name=stops,
        stop_lat_deg=np.full(len(stops), ORIGIN[0]),
        stop_lon_deg=np.full(len(stops), ORIGIN[1]),
        path_start=starts([len(p.points) for p in patterns]),
        point_x_m=points[:, 0],
        point_y_m=points[:, 1],
        point_along_m=np.concatenate(along),
        pattern_id=[f"{p.route}:{p.direction}:{i}" for i, p in enumerate(patterns)],
        pattern_route=np.array([routes.index(p.route) for p in patterns], ints),
        pattern_direction=np.array([p.direction for p in patterns], ints),
        pattern_path=np.arange(len(patterns), dtype=ints),
        pattern_headsign=[""] * len(patterns),
        pattern_drawn=np.ones(len(patterns), np.bool_),
        pattern_stop_start=starts([len(p.stops_m) for p in patterns]),
        pattern_stop=np.array([stops.index(name) for row in names for name in row], ints),
        pattern_stop_along_m=np.array([m for p in patterns for m in p.stops_m], float),
        trip_id=[trip[0] for trip in trips],
        trip_pattern=np.array([trip[2] for trip in trips], ints),
        trip_service=np.zeros(len(trips), ints),
        trip_block=np.array(
            [blocks.index(p.blocks[name]) if name in p.blocks else -1 for name, _, _, p in trips], ints
        ),
        trip_headsign=[""] * len(trips),
        trip_time_start=starts([len(trip[3].stops_m) for trip in trips]),
        arrival_s=np.array(arrival).round().astype(ints),
        departure_s=np.array(departure).round().astype(ints),
        trip_stop_sequence=np.array(sequence, ints),
        frequency_trip=np.array([trip_index[name] for name in freq[0]], ints),
        frequency_start_s=np.array(freq[1], ints),
        frequency_end_s=np.array(freq[2], ints),
        frequency_headway_s=np.array(freq[3], ints),
        frequency_exact=np.array(freq[4], np.bool_),
        service_id=["daily"],
        first_date=DATE - dt.timedelta(days=2),
        service_runs=np.ones((1, 14), np.bool_),
        block_id=blocks,
    )


@dataclass
class Road:
    """A network with the time at which its service day of 2026-07-13 begins, and fixes on it."""

    network: Network

    @property
    def zero_s(self) -> float:
        return self.network.day_start_s(DATE)

    def fixes(self, *rows: tuple[str, str | Descriptor | None, float, float, float]) -> Observations:
        """Rows of (vehicle, trip or claim, second of the service day, x, y in metres)."""
        size = len(rows)
        x, y, at_s = (np.array([row[i] for row in rows], float) for i in (3, 4, 2))
        lat_deg, lon_deg = self.network.unproject(x, y)
        unknown = np.full(size, np.nan)
        claims = [(row[1], None, None, None, None, None) if isinstance(row[1], str) else row[1] for row in rows]
        keys = [f"op/{row[0]}" for row in rows]
        at_s += self.zero_s
        return Observations(
            keys, at_s, at_s, lat_deg, lon_deg, unknown, unknown, unknown, unknown, claims, [None] * size
        )


@pytest.fixture
def pattern() -> type[Pattern]:
    return Pattern


@pytest.fixture
def road() -> Callable[..., Road]:
    return lambda *patterns, **more: Road(build(*patterns, **more))
