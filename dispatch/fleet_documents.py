"""What readers get of the fleet: rows of vehicles, headways and predictions, and the documents that hold them."""

from __future__ import annotations

import msgspec

from dispatch.alerts import Alert


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
