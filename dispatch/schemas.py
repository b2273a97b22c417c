"""What the HTTP interface answers and takes beyond the snapshot's own rows; times are Unix seconds."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from dispatch.fleet_documents import Vehicle
from dispatch.line_measures import LineMeasure

TEXT_CHARS_MAX = 500
FreeText = Annotated[str, msgspec.Meta(max_length=TEXT_CHARS_MAX, extra={"free_text": True})]
"""What a person writes; the door masks what could be a card's number in it."""


class RouteDirection(msgspec.Struct, frozen=True):
    """One direction of a route by its main pattern, the one with most trips."""

    direction_id: int
    headsign: str
    pattern_id: str
    length_m: float


class Route(msgspec.Struct, frozen=True):
    """A route and how it does now; `worst_` is what is furthest from its plan, on either side."""

    route_id: str
    short_name: str
    long_name: str
    route_type: int
    color: str
    text_color: str
    directions: list[RouteDirection]
    vehicles: int
    bunched: int
    gapped: int
    worst_ratio: float | None
    worst_headway_s: float | None
    worst_deviation_s: float | None


class RoutesReply(msgspec.Struct, frozen=True):
    """GET /api/v1/routes."""

    as_of: float
    routes: list[Route]


class LineStop(msgspec.Struct, frozen=True):
    """A stop of a direction's main pattern."""

    stop_id: str
    name: str
    lat: float
    lon: float
    distance_m: float


class LineVehicle(Vehicle, frozen=True, kw_only=True):
    """A vehicle on a line with its leader; `line_m` is its place along the direction's main pattern."""

    line_m: float | None
    leader_id: str | None
    headway_s: float | None
    scheduled_headway_s: float | None
    deviation_headway_s: float | None
    headway_state: str
    gap_m: float | None


class LineDirection(msgspec.Struct, frozen=True):
    """One direction of a line; `shape` is [longitude, latitude] pairs."""

    direction_id: int
    headsign: str
    pattern_id: str
    length_m: float
    shape: list[tuple[float, float]]
    stops: list[LineStop]
    vehicles: list[LineVehicle]


class LineReply(msgspec.Struct, frozen=True):
    """GET /api/v1/routes/{route_id}/line."""

    route_id: str
    short_name: str
    as_of: float
    directions: list[LineDirection]


class Arrival(msgspec.Struct, frozen=True):
    """A vehicle on its way to a stop; `deviation_s` above 0 is late.

    Of predictions like this one, two of three were within `uncertainty_s` of the arrival, on either side.
    """

    route_id: str
    short_name: str
    headsign: str
    trip_id: str
    vehicle_id: str
    scheduled_at: float
    predicted_at: float
    deviation_s: float
    uncertainty_s: float


class ArrivalsReply(msgspec.Struct, frozen=True):
    """GET /api/v1/stops/{stop_id}/arrivals, soonest first."""

    stop_id: str
    name: str
    as_of: float
    arrivals: list[Arrival]


class Geometry(msgspec.Struct, frozen=True):
    """A GeoJSON geometry (RFC 7946)."""

    type: Literal["LineString", "Point"]
    coordinates: list[Any]


class Feature(msgspec.Struct, frozen=True):
    """A GeoJSON feature."""

    geometry: Geometry
    properties: dict[str, Any]
    type: Literal["Feature"] = "Feature"


class FeatureCollection(msgspec.Struct, frozen=True):
    """GeoJSON features."""

    features: list[Feature]
    type: Literal["FeatureCollection"] = "FeatureCollection"


class MapReply(msgspec.Struct, frozen=True):
    """GET /api/v1/map: bounds are west, south, east, north."""

    feed_version: str
    bounds: tuple[float, float, float, float]
    lines: FeatureCollection
    stops: FeatureCollection


class InstructionRequest(msgspec.Struct, frozen=True):
    """What a dispatcher tells a driver: hold until a time, or a text."""

    vehicle_id: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_-]{1,64}$")]
    kind: Literal["hold", "message"]
    operator_id: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_-]{1,64}$")] | None = None
    until_ts: float | None = None
    text: FreeText | None = None


class ShelveRequest(msgspec.Struct, frozen=True):
    """For how long an alert is put aside: a shift at most."""

    minutes: Annotated[float, msgspec.Meta(gt=0, le=480)]


class CloseRequest(msgspec.Struct, frozen=True):
    """Why an alert is closed by hand."""

    reason: Annotated[FreeText, msgspec.Meta(min_length=1)]


class AssignRequest(msgspec.Struct, frozen=True):
    """The trip that a vehicle is put on by hand; null: it is held to what it says itself."""

    trip_id: Annotated[str, msgspec.Meta(max_length=200)] | None
    start_date: Annotated[str, msgspec.Meta(pattern="^[0-9]{8}$")] | None = None
    operator_id: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_-]{1,64}$")] | None = None


class CancelRequest(msgspec.Struct, frozen=True):
    """Which run of a trip is not driven (where nothing is said, the one that is due), and why."""

    start_date: Annotated[str, msgspec.Meta(pattern="^[0-9]{8}$")] | None = None
    start_time: Annotated[str, msgspec.Meta(pattern="^[0-9]{2}:[0-9]{2}:[0-9]{2}$")] | None = None
    reason: FreeText | None = None


class Instruction(msgspec.Struct, frozen=True):
    """An instruction on its way to a vehicle."""

    id: str
    vehicle_id: str
    operator_id: str
    kind: str
    sent_at: float
    until_ts: float | None
    text: str | None
    sent_by: str


class Measure(LineMeasure, frozen=True, omit_defaults=True):
    """Measures of one route and direction; also of one stop, local hour (0 to 23) or service day where asked for."""

    stop_id: str | None = None
    hour: int | None = None
    day: str | None = None  # "YYYY-MM-DD"


class MeasuresReply(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """GET /api/v1/measures: regularity and punctuality of each route and direction, pooled over stops."""

    from_: float
    to: float
    measures: list[Measure]
