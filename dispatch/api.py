"""Dispatch over HTTP: the fleet as it is, the stream, GTFS-Realtime, and what a dispatcher may do.

Handlers follow the convention of the web layer, which binds them: typed arguments, struct or ready bytes out.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Protocol, TypeVar

import msgspec
from aiohttp import web

from dispatch import realtime
from dispatch.alerts import Alert
from dispatch.atlas import Atlas
from dispatch.board import Board, Publication
from dispatch.control_api import YEAR_10000_S
from dispatch.errors import Problem, no_such_route, not_ready
from dispatch.fleet_documents import AlertsDocument, HeadwaysDocument, VehiclesDocument
from dispatch.history_read import By, HistoryAwayError, HistoryReader
from dispatch.network import Network
from dispatch.orders import Assignment, Cancellation
from dispatch.schemas import (
    ArrivalsReply,
    AssignRequest,
    CancelRequest,
    CloseRequest,
    Instruction,
    InstructionRequest,
    LineReply,
    MapReply,
    MeasuresReply,
    RoutesReply,
    ShelveRequest,
)
from dispatch.stream import DEFAULTS, Ended, Streams, StreamSettings
from dispatch.views import View

MEASURES_S_MAX = 31 * 86_400.0
HOLD_S_MAX = 3600.0
_PROTOBUF = "application/x-protobuf"
# Asked for again each time, but sent again only when it has changed.
_CHECKED = "public, max-age=0, must-revalidate"
_READ_ALARMS = "alerts:drivers"


class Desk(Protocol):
    """What a dispatcher's hand reaches: the engine, wherever it runs, and the way down to the vehicles."""

    async def acknowledge(self, alert_id: str, by: str) -> Alert | None:
        """Note that somebody has seen an alert; None when there is no such alert."""

    async def shelve(self, alert_id: str, by: str, minutes: float) -> Alert | None:
        """Put an alert aside for some minutes; None when there is no such alert."""

    async def close_alert(self, alert_id: str, by: str, reason: str) -> Alert | None:
        """Close an alert by hand; None when there is no such alert."""

    async def assign(self, vehicle_key: str, trip_id: str | None, start_date: str | None, by: str) -> Assignment | str:
        """Put a vehicle on a trip; a string is the reason why that cannot be."""

    async def cancel(self, trip_id: str, order: CancelRequest, by: str) -> Cancellation | str:
        """Say that a trip is not driven; a string is the reason why that cannot be."""

    async def restore(self, trip_id: str, order: CancelRequest) -> Cancellation | str:
        """Take a cancellation back; a string is the reason why that cannot be."""

    async def measures(self, from_s: float, to_s: float, route_id: str | None) -> MeasuresReply:
        """Regularity and punctuality in a span of time."""

    async def instruct(self, instruction: Instruction) -> None:
        """Send an instruction down to its vehicle."""


async def _no_notices() -> bytes:
    return b""


class DispatchApi:
    """Operations on a board, a network and a desk."""

    def __init__(
        self,
        board: Board,
        network: Network,
        desk: Desk,
        clock: Callable[[], float] = time.time,
        stream: StreamSettings = DEFAULTS,
        history: HistoryReader | None = None,
    ) -> None:
        self._board = board
        self._desk = desk
        self._clock = clock
        self._history = history
        self._atlas = Atlas(network)
        self._view: View | None = None
        self._json_feeds: dict[str, tuple[bytes, bytes]] = {}
        self._alerts: tuple[bytes, bytes, bytes] | None = None
        self.notices: Callable[[], Awaitable[bytes]] = _no_notices  # GTFS-Realtime entities of the notices that stand
        self.streams = Streams(board, clock, stream)

    def routes(self) -> list[tuple[Any, ...]]:
        """The operations."""
        return [
            ("GET", "/api/v1/routes", "public", self.list_routes),
            ("GET", "/api/v1/routes/{route_id}/line", "public", self.get_line),
            ("GET", "/api/v1/vehicles", "public", self.list_vehicles),
            ("GET", "/api/v1/headways", "public", self.list_headways),
            ("GET", "/api/v1/alerts", "public", self.list_alerts),
            ("POST", "/api/v1/alerts/{id}/acknowledge", "alerts:acknowledge", self.acknowledge),
            ("POST", "/api/v1/alerts/{id}/shelve", "alerts:acknowledge", self.shelve),
            ("POST", "/api/v1/alerts/{id}/close", "alerts:acknowledge", self.close_alert),
            ("POST", "/api/v1/vehicles/{vehicle_id}/assign", "instructions:send", self.assign),
            ("POST", "/api/v1/trips/{trip_id}/cancel", "instructions:send", self.cancel),
            ("POST", "/api/v1/trips/{trip_id}/restore", "instructions:send", self.restore),
            ("GET", "/api/v1/stops/{stop_id}/arrivals", "public", self.list_arrivals),
            ("GET", "/api/v1/measures", "measures:read", self.list_measures),
            ("GET", "/api/v1/stream", "public", self.stream),
            ("POST", "/api/v1/instructions", "instructions:send", self.instruct, 201),
            ("GET", "/api/v1/map", "public", self.get_map),
            ("GET", "/gtfs-rt/vehicle-positions.pb", "public", self.vehicle_positions),
            ("GET", "/gtfs-rt/trip-updates.pb", "public", self.trip_updates),
            ("GET", "/gtfs-rt/alerts.pb", "public", self.alerts_feed),
            ("GET", "/gtfs-rt/vehicle-positions.json", "public", self.vehicle_positions_json),
            ("GET", "/gtfs-rt/trip-updates.json", "public", self.trip_updates_json),
            ("GET", "/gtfs-rt/alerts.json", "public", self.alerts_feed_json),
        ]

    def use_network(self, network: Network) -> None:
        """Answer by another feed version from now on."""
        self._atlas = Atlas(network)
        self._view = None

    async def list_routes(self) -> Annotated[bytes, RoutesReply, _CHECKED]:
        """List the routes, each with its vehicles and its worst headway now."""
        return self._look().routes_json

    async def get_line(self, route_id: str) -> LineReply:
        """Show one line: the shape and stops of each direction, its vehicles in order, each with its leader."""
        route = self._route(route_id)
        return self._look().line(route)

    async def list_vehicles(self) -> Annotated[bytes, VehiclesDocument, _CHECKED]:
        """List all vehicles: position, trip, distance along it, deviation from the timetable, age and state."""
        return self._latest().vehicles

    async def list_headways(self, *, route_id: str | None = None) -> Annotated[bytes, HeadwaysDocument]:
        """List headways now against the timetable's of the same two trips, of one route or all."""
        if route_id is None:
            return self._latest().headways
        self._route(route_id)
        return msgspec.json.encode(self._look().headways_of(route_id))

    async def list_alerts(self, *, permissions: frozenset[str]) -> Annotated[bytes, AlertsDocument, "no-store"]:
        """List alerts; drivers' alarms are shown to dispatchers alone."""
        latest = self._latest()
        return latest.alerts if _READ_ALARMS in permissions else latest.public_alerts

    async def acknowledge(self, id: str, *, subject: str) -> Alert:
        """Note that a dispatcher has seen an alert; doing it twice changes nothing."""
        return _known(id, await self._desk.acknowledge(id, subject))

    async def shelve(self, id: str, *, body: ShelveRequest, subject: str) -> Alert:
        """Put an alert aside for some minutes, eight hours at the most; then it is back where it was."""
        return _known(id, await self._desk.shelve(id, subject, body.minutes))

    async def close_alert(self, id: str, *, body: CloseRequest, subject: str) -> Alert:
        """Close an alert by hand; its cause raises no other before it has been over."""
        return _known(id, await self._desk.close_alert(id, subject, body.reason))

    async def assign(self, vehicle_id: str, *, body: AssignRequest, subject: str) -> Assignment:
        """Put a vehicle on a trip, whatever it says, until it has driven it; trip_id null lets it speak for itself."""
        key = f"{self._operator(vehicle_id, body.operator_id)}/{vehicle_id}"
        return _done(await self._desk.assign(key, body.trip_id, body.start_date, subject))

    async def cancel(self, trip_id: str, *, body: CancelRequest, subject: str) -> Cancellation:
        """Say that a trip is not driven on a service date: told to passengers, predicted and given to nobody."""
        return _done(await self._desk.cancel(trip_id, body, subject))

    async def restore(self, trip_id: str, *, body: CancelRequest) -> Cancellation:
        """Take the cancellation of a trip back."""
        return _done(await self._desk.restore(trip_id, body))

    async def list_arrivals(self, stop_id: str) -> ArrivalsReply:
        """List the vehicles on their way to a stop, soonest first, at most 100."""
        stop = self._atlas.stop_by_id.get(stop_id)
        if stop is None:
            raise Problem(404, "No such stop", f"The feed has no stop {stop_id}; /api/v1/map lists them.")
        view = self._look()
        name = self._atlas.network.stop_name[stop]
        return ArrivalsReply(stop_id, name, view.publication.as_of_s, view.arrivals_by_stop.get(stop_id, []))

    async def list_measures(
        self, *, from_: float, to: float, route_id: str | None = None, by: By = "route"
    ) -> MeasuresReply:
        """Measure the service between two times, at most 31 days: headway adherence, waiting and punctuality.

        By route and direction, and within them by stop, local hour or service day.
        """
        if not 0 <= from_ < to <= YEAR_10000_S or to - from_ > MEASURES_S_MAX:
            raise Problem(422, "Invalid request", "`from` must be before `to`, by 31 days at the most (Unix seconds).")
        if route_id is not None:
            self._route(route_id)
        if self._history is not None:
            try:
                return MeasuresReply(from_, to, await self._history.measures(from_, to, route_id, by))
            except HistoryAwayError:
                pass  # the engine remembers the last hours
        if by != "route":
            raise Problem(503, "Not ready", "The database of history does not answer; by=route does without it.")
        return await self._desk.measures(from_, to, route_id)

    async def stream(self, *, permissions: frozenset[str], request: web.Request, ended: Ended) -> web.StreamResponse:
        """Stream vehicles, headways and alerts each second (server-sent events); a slow reader gets the newest.

        When the token or login that it was opened with ends, so does the stream: its last event, `end`, says why.
        """
        return await self.streams.serve(request, staff=_READ_ALARMS in permissions, ended=ended)

    async def instruct(self, *, body: InstructionRequest, subject: str) -> Instruction:
        """Tell a driver to hold until a time, or something else in words."""
        now_s = self._clock()
        self._check_instruction(body, now_s)
        instruction = Instruction(
            id=str(uuid.uuid4()),
            vehicle_id=body.vehicle_id,
            operator_id=self._operator(body.vehicle_id, body.operator_id),
            kind=body.kind,
            sent_at=now_s,
            until_ts=body.until_ts,
            text=body.text,
            sent_by=subject,
        )
        await self._desk.instruct(instruction)
        return instruction

    async def get_map(self) -> Annotated[bytes, MapReply, _CHECKED]:
        """Draw the network: a line for each route and direction and a point for each stop, as GeoJSON."""
        # A city's takes a tenth of a second the first time, which is too long for the loop that answers taps.
        return await asyncio.to_thread(lambda atlas: atlas.map_json, self._atlas)

    async def vehicle_positions(self) -> Annotated[bytes, _PROTOBUF, _CHECKED]:
        """GTFS-Realtime VehiclePositions."""
        return self._latest().pb_vehicle_positions

    async def trip_updates(self) -> Annotated[bytes, _PROTOBUF, _CHECKED]:
        """GTFS-Realtime TripUpdates."""
        return self._latest().pb_trip_updates

    async def alerts_feed(self) -> Annotated[bytes, _PROTOBUF, _CHECKED]:
        """GTFS-Realtime Alerts."""
        return await self._alerts_message()

    async def vehicle_positions_json(self) -> Annotated[bytes, "application/json", _CHECKED]:
        """GTFS-Realtime VehiclePositions as JSON."""
        return await self._json_feed("vehicle-positions", self._latest().pb_vehicle_positions)

    async def trip_updates_json(self) -> Annotated[bytes, "application/json", _CHECKED]:
        """GTFS-Realtime TripUpdates as JSON."""
        return await self._json_feed("trip-updates", self._latest().pb_trip_updates)

    async def alerts_feed_json(self) -> Annotated[bytes, "application/json", _CHECKED]:
        """GTFS-Realtime Alerts as JSON."""
        return await self._json_feed("alerts", await self._alerts_message())

    async def _alerts_message(self) -> bytes:
        """What the engine found with what dispatchers wrote behind it: the same object while neither has changed."""
        found, written = self._latest().pb_alerts, await self.notices()
        if not written:
            return found
        if self._alerts is None or self._alerts[:2] != (found, written):
            self._alerts = (found, written, found + written)
        return self._alerts[2]

    async def _json_feed(self, name: str, message: bytes) -> bytes:
        """A feed as JSON, made once for each message and in a thread, because it takes its time."""
        known = self._json_feeds.get(name)
        if known is None or known[0] is not message:
            known = (message, await asyncio.to_thread(realtime.to_json, message))
            self._json_feeds[name] = known
        return known[1]

    def _latest(self) -> Publication:
        latest = self._board.latest
        if latest is None:
            raise not_ready("Dispatch has not told of the fleet yet; /readyz says when it has.", 1)
        return latest

    def _look(self) -> View:
        latest = self._latest()
        if self._view is None or self._view.publication is not latest:
            self._view = View(latest, self._atlas)
        return self._view

    def _route(self, route_id: str) -> int:
        route = self._atlas.route_by_id.get(route_id)
        if route is None:
            raise no_such_route(route_id)
        return route

    def _check_instruction(self, body: InstructionRequest, now_s: float) -> None:
        if body.until_ts is not None and not now_s < body.until_ts <= now_s + HOLD_S_MAX:
            raise Problem(422, "Invalid request", "until_ts: must lie in the future, by an hour at the most.")
        if body.kind == "hold" and body.until_ts is None:
            raise Problem(422, "Invalid request", "until_ts: a hold needs the time until which to hold.")
        if body.kind == "message" and not (body.text or "").strip():
            raise Problem(422, "Invalid request", "text: a message needs words.")

    def _operator(self, vehicle_id: str, operator_id: str | None) -> str:
        """Whose vehicle it is: the one named, or the only one there is."""
        operators = self._look().operators_by_vehicle.get(vehicle_id, [])
        if operator_id is not None:
            operators = [operator for operator in operators if operator == operator_id]
        if not operators:
            raise Problem(404, "No such vehicle", f"No vehicle {vehicle_id} has been heard of lately.")
        if len(operators) > 1:
            names = ", ".join(sorted(operators))
            raise Problem(409, "Ambiguous vehicle", f"{names} all have a vehicle {vehicle_id}; name operator_id.")
        return operators[0]


_REFUSALS = {
    "unknown_vehicle": (404, "No such vehicle", "The engine has not heard of this vehicle."),
    "unknown_trip": (404, "No such trip", "The feed has no trip of this id."),
    "trip_not_due": (409, "Not due", "The trip does not run within hours of now on that date; check start_date."),
    "trip_cancelled": (409, "Cancelled", "The trip is cancelled; restore it first."),
    "not_cancelled": (409, "Not cancelled", "The trip is not cancelled on that date."),
    "too_many_orders": (409, "Too many", "There are as many cancelled trips as can be kept."),
}

Order = TypeVar("Order", Assignment, Cancellation)


def _known(id: str, alert: Alert | None) -> Alert:
    if alert is None:
        raise Problem(404, "No such alert", f"There is no alert {id}; it may be over.")
    return alert


def _done(order: Order | str) -> Order:
    if isinstance(order, str):
        raise Problem(*_REFUSALS.get(order, (409, "Not possible", f"The engine says: {order}.")))
    return order
