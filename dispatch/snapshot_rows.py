"""Rows from columns: what one tick knows of vehicles, headways and predictions, with null where nothing is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dispatch.arrivals import Predictions
from dispatch.fleet_documents import Headway, StopPrediction, TripUpdate, Vehicle
from dispatch.fleet_view import ASSIGNED, VEHICLE_STATES, FleetView
from dispatch.headway import HEADWAY_STATES, Headways
from dispatch.network import Flags, Floats, Ints, Network


def list_vehicles(
    network: Network, fleet: FleetView, as_of_s: float, clock_off_s: Sequence[float | None]
) -> list[Vehicle]:
    """The rows of GET /api/v1/vehicles; `clock_off_s` is of each vehicle, empty where all clocks are right."""
    on_trip = fleet.trip >= 0
    pattern = fleet.pattern
    operators, vehicles = _split(fleet.key)
    route = network.pattern_route[pattern]
    stop, sequence = _next_stop(network, fleet)
    columns = (
        vehicles,
        operators,
        np.round(fleet.lat_deg, 6).tolist(),
        np.round(fleet.lon_deg, 6).tolist(),
        _numbers(fleet.bearing_deg),
        _numbers(fleet.speed_mps),
        fleet.ts_s.tolist(),
        _numbers(np.maximum(as_of_s - fleet.ts_s, 0.0)),
        _names(VEHICLE_STATES, fleet.state),
        _names(network.route_id, route, on_trip),
        _nulls(network.pattern_direction[pattern], on_trip),
        _names(network.trip_id, fleet.trip, on_trip),
        fleet.start_date,
        _names(network.block_id, network.trip_block[fleet.trip], on_trip & (network.trip_block[fleet.trip] >= 0)),
        _names(network.pattern_id, pattern, on_trip),
        _numbers(fleet.along_m),
        _numbers(fleet.offset_m),
        _numbers(fleet.deviation_s),
        _names(network.stop_id, stop, fleet.next_stop >= 0),
        _nulls(sequence, fleet.next_stop >= 0),
        fleet.occupancy,
        _names(ASSIGNED, fleet.assigned),
        fleet.start_time,
        [None if off_s is None else round(off_s, 1) for off_s in clock_off_s or [None] * len(vehicles)],
    )
    return [Vehicle(*row) for row in zip(*columns, strict=True)]


def list_headways(network: Network, found: Headways, keys: Sequence[str]) -> list[Headway]:
    """The rows of GET /api/v1/headways; `keys` are by vehicle."""
    pattern = network.trip_pattern[found.trip]
    stop = network.pattern_stop[network.pattern_stop_start[pattern] + np.maximum(found.next_stop, 0)]
    columns = (
        _names(network.route_id, network.pattern_route[pattern]),
        network.pattern_direction[pattern].tolist(),
        _names(network.pattern_id, pattern),
        [_vehicle_of(keys[i]) for i in found.vehicle.tolist()],
        _names(network.trip_id, found.trip),
        [_vehicle_of(keys[i]) if i >= 0 else None for i in found.leader.tolist()],
        _names(network.stop_id, stop, found.next_stop >= 0),
        _numbers(found.headway_s),
        _numbers(found.scheduled_s),
        _numbers(found.headway_s - found.scheduled_s),
        _numbers(found.ratio, 3),
        found.estimated.tolist(),
        _names(HEADWAY_STATES, found.state),
        _numbers(found.gap_m),
        found.since_s.tolist(),
    )
    return [Headway(*row) for row in zip(*columns, strict=True)]


def list_trip_updates(
    network: Network, made: Predictions, keys: Sequence[str], starts: tuple[list[str | None], list[str | None]]
) -> list[TripUpdate]:
    """One update for each trip that has stops ahead of its vehicle, the trips that follow in the block included.

    `keys` are by vehicle, `starts` the dates and times at which the trips start.
    """
    pattern = network.trip_pattern[made.trip]
    count = np.diff(made.start)
    row_trip = np.repeat(made.trip, count)
    stop = network.pattern_stop[np.repeat(network.pattern_stop_start[pattern], count) + made.stop]
    sequence = network.trip_stop_sequence[network.trip_time_start[row_trip] + made.stop]
    stops = [
        StopPrediction(*row)
        for row in zip(
            _names(network.stop_id, stop),
            sequence.tolist(),
            made.scheduled_s.tolist(),
            np.round(made.arrival_s, 1).tolist(),
            np.round(made.departure_s, 1).tolist(),
            np.round(made.arrival_s - made.scheduled_s, 1).tolist(),
            np.round(made.uncertainty_s, 1).tolist(),
            strict=True,
        )
    ]
    operators, vehicles = _split([keys[i] for i in made.vehicle.tolist()])
    columns = (
        _names(network.trip_id, made.trip),
        *starts,
        _names(network.route_id, network.pattern_route[pattern]),
        network.pattern_direction[pattern].tolist(),
        vehicles,
        operators,
        made.ts_s.tolist(),
        [stops[a:b] for a, b in zip(made.start[:-1].tolist(), made.start[1:].tolist(), strict=True)],
    )
    return [TripUpdate(*row) for row in zip(*columns, strict=True)]


def _next_stop(network: Network, fleet: FleetView) -> tuple[Ints, Ints]:
    at = np.maximum(fleet.next_stop, 0)
    stop = network.pattern_stop[network.pattern_stop_start[fleet.pattern] + at]
    sequence = network.trip_stop_sequence[network.trip_time_start[np.maximum(fleet.trip, 0)] + at]
    return stop, sequence


def _numbers(column: Floats, digits: int = 1) -> list[float | None]:
    """A column for JSON: rounded, nan as null."""
    rounded = np.round(column, digits)
    unknown = np.isnan(rounded)
    if not unknown.any():
        return rounded.tolist()  # type: ignore[no-any-return]
    out = rounded.astype(object)
    out[unknown] = None
    return out.tolist()  # type: ignore[no-any-return]


def _names(names: Any, index: Ints, known: Flags | None = None) -> list[Any]:
    if known is None or known.all():
        return [names[i] for i in index.tolist()]
    return [names[i] if is_known else None for i, is_known in zip(index.tolist(), known.tolist(), strict=True)]


def _nulls(column: Ints, known: Flags) -> list[int | None]:
    return [value if is_known else None for value, is_known in zip(column.tolist(), known.tolist(), strict=True)]


def _split(keys: list[str]) -> tuple[list[str], list[str]]:
    parts = [key.partition("/") for key in keys]
    return [part[0] for part in parts], [part[2] for part in parts]


def _vehicle_of(key: str) -> str:
    return key.partition("/")[2]
