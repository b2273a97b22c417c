"""The snapshot: the fleet at one instant as columns, and the rows that readers get, made when they are asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from dispatch.alerts import Alert
from dispatch.arrivals import Predictions
from dispatch.headway import HEADWAY_STATES, Headways
from dispatch.network import Flags, Floats, Ints, Network
from dispatch.orders import Cancellation

VEHICLE_STATES = ("on_trip", "layover", "off_route", "unassigned", "silent")
ON_TRIP, LAYOVER, OFF_ROUTE, UNASSIGNED, SILENT = range(len(VEHICLE_STATES))
ASSIGNED = (None, "given", "inferred")

_ENCODE = msgspec.json.Encoder().encode


class Vehicle(msgspec.Struct, gc=False, frozen=True):
    """A vehicle as it last said where it is; `deviation_s` above 0 is late.

    `clock_off_s`: its clock is wrong and so much ahead (below 0: behind); the times shown here are put right.
    """

    vehicle_id: str
    operator_id: str
    lat: float
    lon: float
    bearing_deg: float | None
    speed_mps: float | None
    ts: float
    age_s: float
    state: str
    route_id: str | None
    direction_id: int | None
    trip_id: str | None
    start_date: str | None
    block_id: str | None
    pattern_id: str | None
    distance_m: float | None
    off_route_m: float | None
    deviation_s: float | None
    next_stop_id: str | None
    next_stop_sequence: int | None
    occupancy: str | None
    assigned: str | None
    start_time: str | None = None  # of trips of frequencies.txt, "HH:MM:SS"
    clock_off_s: float | None = None


class Headway(msgspec.Struct, gc=False, frozen=True):
    """Time since the vehicle's leader was where it is now, beside the timetable's for the same two trips."""

    route_id: str
    direction_id: int
    pattern_id: str
    vehicle_id: str
    trip_id: str
    leader_id: str | None
    stop_id: str | None
    headway_s: float | None
    scheduled_headway_s: float | None
    deviation_s: float | None
    ratio: float | None
    estimated: bool
    state: str
    gap_m: float | None
    since_s: float


class StopPrediction(msgspec.Struct, gc=False, frozen=True):
    """When a vehicle will be at one stop; instants are Unix seconds."""

    stop_id: str
    stop_sequence: int
    scheduled_at: float
    arrival_at: float
    departure_at: float
    delay_s: float
    uncertainty_s: float  # two of three such predictions were that near, or nearer


class TripUpdate(msgspec.Struct, gc=False, frozen=True):
    """The predictions of one trip."""

    trip_id: str
    start_date: str
    start_time: str | None  # of trips of frequencies.txt, "HH:MM:SS"
    route_id: str
    direction_id: int
    vehicle_id: str
    operator_id: str
    ts: float
    stops: list[StopPrediction]


class VehiclesDocument(msgspec.Struct, frozen=True):
    """GET /api/v1/vehicles."""

    as_of: float
    feed_version: str
    vehicles: list[Vehicle]


class HeadwaysDocument(msgspec.Struct, frozen=True):
    """GET /api/v1/headways."""

    as_of: float
    feed_version: str
    headways: list[Headway]


class AlertsDocument(msgspec.Struct, frozen=True):
    """GET /api/v1/alerts."""

    as_of: float
    alerts: list[Alert]


class TripUpdatesDocument(msgspec.Struct, frozen=True):
    """Predictions of all trips under way."""

    as_of: float
    feed_version: str
    trip_updates: list[TripUpdate]


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


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one tick knows; the rows are built on demand, because not every tick has a reader for all of them."""

    as_of_s: float
    network: Network
    fleet: FleetView
    headway_columns: Headways
    predictions: Predictions
    start_dates: list[str | None]  # of each trip of the predictions, "YYYYMMDD"
    start_times: list[str | None]  # "HH:MM:SS" for trips of frequencies.txt
    alerts: list[Alert]
    key_by_vehicle: list[str]
    cancelled: list[Cancellation] = field(default_factory=list)
    clock_off_s: list[float | None] = field(default_factory=list)  # of each vehicle of the fleet; empty: of none
    _made: dict[str, Any] = field(default_factory=dict)

    @property
    def feed_version(self) -> str:
        """The version of the feed that this was computed with."""
        return self.network.feed_version

    @property
    def vehicles(self) -> list[Vehicle]:
        """A row for each vehicle that is listed."""
        if "vehicles" not in self._made:
            self._made["vehicles"] = list_vehicles(self)
        return self._made["vehicles"]  # type: ignore[no-any-return]

    @property
    def headways(self) -> list[Headway]:
        """A row for each vehicle that is under way on a trip."""
        if "headways" not in self._made:
            self._made["headways"] = list_headways(self)
        return self._made["headways"]  # type: ignore[no-any-return]

    @property
    def trip_updates(self) -> list[TripUpdate]:
        """Predictions for each trip with stops ahead."""
        if "trip_updates" not in self._made:
            self._made["trip_updates"] = list_trip_updates(self)
        return self._made["trip_updates"]  # type: ignore[no-any-return]

    def vehicles_json(self) -> bytes:
        """GET /api/v1/vehicles."""
        return _ENCODE(VehiclesDocument(self.as_of_s, self.feed_version, self.vehicles))

    def headways_json(self) -> bytes:
        """GET /api/v1/headways."""
        return _ENCODE(HeadwaysDocument(self.as_of_s, self.feed_version, self.headways))

    def alerts_json(self, *, public: bool = False) -> bytes:
        """GET /api/v1/alerts; the public one shows no driver's alarm and names no dispatcher."""
        shown = [_unnamed(alert) for alert in self.alerts if alert.kind != "alarm"] if public else self.alerts
        return _ENCODE(AlertsDocument(self.as_of_s, shown))

    def trip_updates_json(self) -> bytes:
        """Predictions of all trips under way."""
        return _ENCODE(TripUpdatesDocument(self.as_of_s, self.feed_version, self.trip_updates))


def _unnamed(alert: Alert) -> Alert:
    return msgspec.structs.replace(alert, acknowledged_by=None, closed_by=None, close_reason=None, shelved_by=None)


def list_vehicles(snapshot: Snapshot) -> list[Vehicle]:
    """The rows of GET /api/v1/vehicles."""
    network, fleet = snapshot.network, snapshot.fleet
    on_trip = fleet.trip >= 0
    pattern = fleet.pattern
    operators, vehicles = _split(fleet.key)
    route = network.pattern_route[pattern]
    stop, sequence = _next_stop(snapshot)
    columns = (
        vehicles,
        operators,
        np.round(fleet.lat_deg, 6).tolist(),
        np.round(fleet.lon_deg, 6).tolist(),
        _numbers(fleet.bearing_deg),
        _numbers(fleet.speed_mps),
        fleet.ts_s.tolist(),
        _numbers(np.maximum(snapshot.as_of_s - fleet.ts_s, 0.0)),
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
        [None if off_s is None else round(off_s, 1) for off_s in snapshot.clock_off_s or [None] * len(vehicles)],
    )
    return [Vehicle(*row) for row in zip(*columns, strict=True)]


def list_headways(snapshot: Snapshot) -> list[Headway]:
    """The rows of GET /api/v1/headways."""
    network, found = snapshot.network, snapshot.headway_columns
    pattern = network.trip_pattern[found.trip]
    keys = snapshot.key_by_vehicle
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


def list_trip_updates(snapshot: Snapshot) -> list[TripUpdate]:
    """One update for each trip that has stops ahead of its vehicle, the trips that follow in the block included."""
    network, made = snapshot.network, snapshot.predictions
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
    keys = [snapshot.key_by_vehicle[i] for i in made.vehicle.tolist()]
    operators, vehicles = _split(keys)
    columns = (
        _names(network.trip_id, made.trip),
        snapshot.start_dates,
        snapshot.start_times,
        _names(network.route_id, network.pattern_route[pattern]),
        network.pattern_direction[pattern].tolist(),
        vehicles,
        operators,
        made.ts_s.tolist(),
        [stops[a:b] for a, b in zip(made.start[:-1].tolist(), made.start[1:].tolist(), strict=True)],
    )
    return [TripUpdate(*row) for row in zip(*columns, strict=True)]


def _next_stop(snapshot: Snapshot) -> tuple[Ints, Ints]:
    network, fleet = snapshot.network, snapshot.fleet
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
