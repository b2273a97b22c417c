"""Stops and shapes of a feed: coordinates checked, shape points in their order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from dispatch.feed_problems import FeedError
from dispatch.feed_tables import ROW, Table, indices, numbers, unique
from dispatch.network import Flags, Floats, Ints, to_plane

# One feed is one city or region; further off, a coordinate is a slip (0, 0 for "unknown" is the common one).
REGION_M = 1_000_000.0


@dataclass(frozen=True, slots=True)
class Stops:
    """The stops that have a place, and the ids of all (a row of stop_times may name one that has none)."""

    all_ids: pl.Series
    stop_id: list[str]
    name: list[str]
    lat_deg: Floats
    lon_deg: Floats


@dataclass(frozen=True, slots=True)
class Shapes:
    """Shapes in CSR form, their points ordered by sequence; `all_ids` are in the order of shape_id."""

    shape_id: list[str]
    start: Ints
    lat_deg: Floats
    lon_deg: Floats


def read_stops(table: Table) -> Stops:
    """Stops with a place: their own or, for entrances and boarding areas without one, that of their station."""
    table = unique(table, "stop_id")
    frame = table.frame.with_columns(lat=numbers(table.frame["stop_lat"]), lon=numbers(table.frame["stop_lon"]))
    station = indices(frame["parent_station"], frame["stop_id"])
    empty = frame["stop_lat"].is_null() & frame["stop_lon"].is_null()
    inherits = empty.to_numpy() & (station >= 0)
    lat_deg, lon_deg = frame["lat"].to_numpy().copy(), frame["lon"].to_numpy().copy()
    lat_deg[inherits], lon_deg[inherits] = lat_deg[station[inherits]], lon_deg[station[inherits]]

    on_earth = (np.abs(lat_deg) <= 90) & (np.abs(lon_deg) <= 180)  # false for nan
    lat_deg[~on_earth] = lon_deg[~on_earth] = np.nan
    wrong = pl.Series(~on_earth)
    table.report(
        wrong,
        "bad_coordinate",
        "stop {stop_id} has no place on Earth (stop_lat {stop_lat}, stop_lon {stop_lon}); it is left out",
    )
    if not on_earth.any():
        raise FeedError(table.name, None, "no stop has a latitude from -90 to 90 and a longitude from -180 to 180")
    far = on_earth & ~_in_region(lat_deg, lon_deg, on_earth)
    table.report(
        pl.Series(far),
        "far_away",
        f"stop {{stop_id}} at {{stop_lat}}, {{stop_lon}} is more than {REGION_M / 1000:.0f} km from the others; "
        "it is left out",
    )
    kept = on_earth & ~far
    frame = frame.filter(pl.Series(kept))
    return Stops(
        all_ids=table.frame["stop_id"],
        stop_id=frame["stop_id"].to_list(),
        name=frame.select(pl.coalesce("stop_name", "stop_id")).to_series().to_list(),
        lat_deg=lat_deg[kept],
        lon_deg=lon_deg[kept],
    )


def read_shapes(table: Table | None) -> Shapes:
    """All shapes; a point with a bad coordinate or sequence is left out and reported."""
    if table is None:
        return Shapes([], np.zeros(1, dtype=np.int32), np.zeros(0), np.zeros(0))
    frame = table.frame
    lat, lon = numbers(frame["shape_pt_lat"]), numbers(frame["shape_pt_lon"])
    sequence = numbers(frame["shape_pt_sequence"])
    on_earth = (lat.abs() <= 90).fill_null(value=False) & (lon.abs() <= 180).fill_null(value=False)
    table.report(
        ~on_earth,
        "bad_coordinate",
        "shape {shape_id} has a point at {shape_pt_lat}, {shape_pt_lon}, which is not on Earth; the point is left out",
    )
    unordered = on_earth & (sequence.is_null() | frame["shape_id"].is_null())
    table.report(
        unordered,
        "bad_sequence",
        "shape {shape_id} has a point with shape_pt_sequence {shape_pt_sequence}; the point is left out",
    )
    points = pl.DataFrame({"id": frame["shape_id"], "lat": lat, "lon": lon, "sequence": sequence, ROW: frame[ROW]})
    points = points.filter(on_earth & ~unordered).sort("id", "sequence", ROW)
    counts = points.group_by("id", maintain_order=True).len()
    start = np.concatenate(([0], np.cumsum(counts["len"].to_numpy()))).astype(np.int32)
    return Shapes(counts["id"].to_list(), start, points["lat"].to_numpy(), points["lon"].to_numpy())


def _in_region(lat_deg: Floats, lon_deg: Floats, on_earth: Flags) -> Flags:
    middle = float(np.median(lat_deg[on_earth])), float(np.median(lon_deg[on_earth]))
    x_m, y_m = to_plane(middle, lat_deg, lon_deg)
    return np.asarray(np.hypot(x_m, y_m) <= REGION_M)
