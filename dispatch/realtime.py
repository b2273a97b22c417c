"""GTFS-Realtime 2.0 (gtfs.org/realtime) from a snapshot's rows: vehicle positions, trip updates and alerts.

Times are whole Unix seconds, every message is a full data set, and entity ids stay with what they name. What a vehicle
off its route does is nobody's trip: it is shown where it is, without one.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from google.protobuf.json_format import MessageToDict
from google.transit import gtfs_realtime_pb2 as rt

from dispatch.alerts import Alert
from dispatch.fleet_documents import TripUpdate, Vehicle
from dispatch.network import EARTH_RADIUS_M, Network
from dispatch.notices import Notice
from dispatch.orders import Cancellation

_EFFECTS = {
    "bunched": rt.Alert.OTHER_EFFECT,
    "gapped": rt.Alert.SIGNIFICANT_DELAYS,
    "off_route": rt.Alert.DETOUR,
}
_TEXTS = {
    "bunched": ("Vehicles run close together", "Транспорт іде один за одним"),
    "gapped": ("A longer wait than planned", "Очікування довше, ніж за розкладом"),
    "off_route": ("A vehicle has left its route", "Транспорт відхилився від маршруту"),
}
_CAUSES: dict[str, Any] = dict(rt.Alert.Cause.items())
_ALERT_EFFECTS: dict[str, Any] = dict(rt.Alert.Effect.items())
_OCCUPANCY = dict(rt.VehiclePosition.OccupancyStatus.items())
_INTERVALS = ("About {} min between vehicles; {} min planned.", "Інтервал близько {} хв; за розкладом {} хв.")
_LANGUAGES = ("en", "uk")
_JSON = msgspec.json.Encoder().encode
# Older positions are history (GTFS-Realtime best practices), and who has left the map is on nobody's trip.
AGE_S_MAX = 90.0
OUTSIDE_M_MAX = 1500.0
OFF_PATH_M_MAX = 150.0
# Vehicles whose trip is a fact: what has fallen silent or left the road is shown without.
_WITH_TRIP = frozenset({"on_trip", "layover"})


@dataclass(frozen=True, slots=True)
class Place:
    """What the feeds need of the network: its version, its trips without exact_times, and the bounds of its stops."""

    feed_version: str = ""
    loose: frozenset[str] = frozenset()
    west_deg: float = -180.0
    south_deg: float = -90.0
    east_deg: float = 180.0
    north_deg: float = 90.0

    def holds(self, vehicle: Vehicle) -> bool:
        """Whether a vehicle is where the feed's passengers could be."""
        return self.west_deg <= vehicle.lon <= self.east_deg and self.south_deg <= vehicle.lat <= self.north_deg


@dataclass(frozen=True, slots=True)
class Context:
    """What the entities of one moment share.

    `shared_ids` are vehicle ids that several operators use: "<operator>/<vehicle>" tells those apart.
    """

    header_ts: int
    place: Place
    shared_ids: frozenset[str] = frozenset()


def context_of(vehicles: Iterable[Vehicle], header_ts: int, place: Place) -> Context:
    """The context of a snapshot's rows."""
    counts = Counter(vehicle.vehicle_id for vehicle in vehicles)
    shared = frozenset(name for name, count in counts.items() if count > 1)
    return Context(header_ts, place, shared)


def place_of(network: Network) -> Place:
    """What the feeds need of a network."""
    inexact = network.frequency_trip[~network.frequency_exact]
    if not len(network.stop_lat_deg):
        return Place(network.feed_version)
    south, west, north, east = network.bounds_deg()
    margin_deg = math.degrees(OUTSIDE_M_MAX / EARTH_RADIUS_M)
    wide_deg = margin_deg / max(math.cos(math.radians(float(network.stop_lat_deg.mean()))), 0.01)
    return Place(
        network.feed_version,
        frozenset(network.trip_id[trip] for trip in inexact.tolist()),
        west - wide_deg,
        south - margin_deg,
        east + wide_deg,
        north + margin_deg,
    )


def vehicle_positions(vehicles: Sequence[Vehicle], context: Context) -> bytes:
    """The VehiclePositions feed."""
    message = _message(context)
    for vehicle in vehicles:
        if vehicle.age_s > AGE_S_MAX or not context.place.holds(vehicle):
            continue
        entity = message.entity.add()
        entity.id = f"v:{vehicle.operator_id}/{vehicle.vehicle_id}"
        position = entity.vehicle
        _name(position.vehicle, vehicle.operator_id, vehicle.vehicle_id, context)
        position.position.latitude = vehicle.lat
        position.position.longitude = vehicle.lon
        if vehicle.bearing_deg is not None:
            position.position.bearing = vehicle.bearing_deg % 360.0
        if vehicle.speed_mps is not None and vehicle.speed_mps >= 0:
            position.position.speed = vehicle.speed_mps
        # The header's time is never before what it heads, though a device's clock may be ahead of ours.
        position.timestamp = min(int(vehicle.ts), context.header_ts)
        if vehicle.occupancy in _OCCUPANCY:
            position.occupancy_status = _OCCUPANCY[vehicle.occupancy]
        if vehicle.trip_id is None or not _is_on_its_way(vehicle):
            continue
        _describe(
            position.trip,
            vehicle.trip_id,
            context,
            start=(vehicle.start_date, vehicle.start_time),
            route_id=vehicle.route_id,
            direction_id=vehicle.direction_id,
        )
        if vehicle.next_stop_id is not None and vehicle.next_stop_sequence is not None:
            position.current_stop_sequence = vehicle.next_stop_sequence
            position.stop_id = vehicle.next_stop_id
            position.current_status = rt.VehiclePosition.IN_TRANSIT_TO
    return _bytes(message)


def trip_updates(updates: Iterable[TripUpdate], context: Context, cancelled: Iterable[Cancellation] = ()) -> bytes:
    """The TripUpdates feed: arrival and departure at each stop ahead, in order, each later than the one before.

    Trips that are cancelled stand in it without stops.
    """
    message = _message(context)
    seen: set[str] = set()
    for update in updates:
        identity = f"t:{update.trip_id}:{update.start_date}:{update.start_time or ''}"
        # Two vehicles claim one trip: the first keeps it. A trip whose last stop is behind it is over.
        if not update.stops or identity in seen or update.stops[-1].departure_at <= context.header_ts:
            continue
        seen.add(identity)
        entity = message.entity.add()
        entity.id = identity
        _foretell(entity.trip_update, update, context)
    for order in cancelled:
        identity = f"t:{order.trip_id}:{order.start_date}:{order.start_time or ''}"
        if identity in seen:
            continue
        seen.add(identity)
        entity = message.entity.add()
        entity.id = identity
        _cancel(entity.trip_update, order, context)
    return _bytes(message)


def alerts(found: Iterable[Alert], context: Context) -> bytes:
    """The Alerts feed: what passengers may know, so no driver's alarm, and nothing that is over."""
    message = _message(context)
    for alert in found:
        if alert.kind not in _TEXTS or alert.state == "closed" or alert.route_id is None:
            continue
        entity = message.entity.add()
        entity.id = f"a:{alert.id}"
        entity.alert.active_period.add().start = int(alert.opened_at)
        informed = entity.alert.informed_entity.add()
        informed.route_id = alert.route_id
        if alert.direction_id is not None:
            informed.direction_id = alert.direction_id
        entity.alert.cause = rt.Alert.UNKNOWN_CAUSE
        entity.alert.effect = _EFFECTS[alert.kind]
        _translate(entity.alert.header_text, _TEXTS[alert.kind])
        if alert.headway_s is not None and alert.scheduled_headway_s is not None:
            minutes = max(1, round(alert.headway_s / 60)), max(1, round(alert.scheduled_headway_s / 60))
            _translate(entity.alert.description_text, tuple(text.format(*minutes) for text in _INTERVALS))
    return _bytes(message)


def notice_entities(notices: Iterable[Notice]) -> bytes:
    """What dispatchers tell passengers, as entities alone: bytes to be put behind those of an Alerts message.

    A repeated field may lie in pieces (Protocol Buffers, encoding), so what is joined is one message again.
    """
    message = rt.FeedMessage()
    for notice in notices:
        entity = message.entity.add()
        entity.id = f"n:{notice.id}"
        alert = entity.alert
        period = alert.active_period.add()
        period.start = int(notice.from_)
        if notice.until is not None:
            period.end = math.ceil(notice.until)
        # Stops with routes: those routes at those stops.
        for stop_id in notice.stop_ids or [""]:
            for route_id in notice.route_ids or [""]:
                if stop_id or route_id:
                    informed = alert.informed_entity.add()
                    if route_id:
                        informed.route_id = route_id
                    if stop_id:
                        informed.stop_id = stop_id
        for trip_id in notice.trip_ids:
            alert.informed_entity.add().trip.trip_id = trip_id
        alert.cause = _CAUSES[notice.cause]
        alert.effect = _ALERT_EFFECTS[notice.effect]
        _translate(alert.header_text, [getattr(notice.header, language) for language in _LANGUAGES])
        _translate(alert.description_text, [getattr(notice.description, language) for language in _LANGUAGES])
    encoded: bytes = message.SerializePartialToString()
    return encoded


def to_json(message: bytes) -> bytes:
    """A feed as JSON, with the names of the specification; without entities it has an empty list of them."""
    feed = rt.FeedMessage()
    feed.ParseFromString(message)
    found = MessageToDict(feed, preserving_proto_field_name=True)
    return _JSON({"header": found["header"], "entity": found.get("entity", [])})


def _message(context: Context) -> Any:
    message = rt.FeedMessage()
    message.header.gtfs_realtime_version = "2.0"
    message.header.incrementality = rt.FeedHeader.FULL_DATASET
    message.header.timestamp = context.header_ts
    if context.place.feed_version:
        message.header.feed_version = context.place.feed_version
    return message


def _foretell(trip: Any, update: TripUpdate, context: Context) -> None:
    """Fill in a trip that is driven: which it is, by whom, and when it is at the stops ahead."""
    _describe(
        trip.trip,
        update.trip_id,
        context,
        start=(update.start_date, update.start_time),
        route_id=update.route_id,
        direction_id=update.direction_id,
    )
    _name(trip.vehicle, update.operator_id, update.vehicle_id, context)
    trip.timestamp = min(int(update.ts), context.header_ts)
    _add_stops(trip, update, loose=update.trip_id in context.place.loose)


def _cancel(update: Any, order: Cancellation, context: Context) -> None:
    """Fill in a trip that is not driven."""
    update.timestamp = min(int(order.cancelled_at), context.header_ts)
    trip = update.trip
    trip.trip_id, trip.start_date, trip.route_id = order.trip_id, order.start_date, order.route_id
    trip.direction_id = order.direction_id
    if order.start_time is not None:
        trip.start_time = order.start_time
    trip.schedule_relationship = rt.TripDescriptor.CANCELED


def _bytes(message: Any) -> bytes:
    encoded: bytes = message.SerializeToString()
    return encoded


def _translate(text: Any, words: Sequence[str]) -> None:
    for language, word in zip(_LANGUAGES, words, strict=True):
        translation = text.translation.add()
        translation.language = language
        translation.text = word


def _is_on_its_way(vehicle: Vehicle) -> bool:
    off_m = vehicle.off_route_m
    return vehicle.state in _WITH_TRIP and off_m is not None and off_m <= OFF_PATH_M_MAX


def _name(descriptor: Any, operator_id: str, vehicle_id: str, context: Context) -> None:
    descriptor.id = f"{operator_id}/{vehicle_id}" if vehicle_id in context.shared_ids else vehicle_id
    descriptor.label = vehicle_id


def _describe(
    descriptor: Any,
    trip_id: str,
    context: Context,
    *,
    start: tuple[str | None, str | None],
    route_id: str | None,
    direction_id: int | None,
) -> None:
    descriptor.trip_id = trip_id
    start_date, start_time = start
    if start_date is not None:
        descriptor.start_date = start_date
    # One departure of a trip of frequencies.txt is known by its start time.
    if start_time is not None:
        descriptor.start_time = start_time
    loose = trip_id in context.place.loose
    descriptor.schedule_relationship = rt.TripDescriptor.UNSCHEDULED if loose else rt.TripDescriptor.SCHEDULED
    if route_id is not None:
        descriptor.route_id = route_id
    if direction_id is not None:
        descriptor.direction_id = direction_id


def _add_stops(trip: Any, update: TripUpdate, *, loose: bool) -> None:
    relationship = rt.TripUpdate.StopTimeUpdate.UNSCHEDULED if loose else rt.TripUpdate.StopTimeUpdate.SCHEDULED
    last_s, last_sequence, last_stop = 0, -1, ""
    for stop in update.stops:
        if stop.stop_sequence <= last_sequence or stop.stop_id == last_stop:
            continue
        arrival_s = max(int(stop.arrival_at), last_s + 1)
        departure_s = max(int(stop.departure_at), arrival_s)
        last_s, last_sequence, last_stop = departure_s, stop.stop_sequence, stop.stop_id
        predicted = trip.stop_time_update.add()
        predicted.stop_sequence = stop.stop_sequence
        predicted.stop_id = stop.stop_id
        predicted.arrival.time = arrival_s
        predicted.departure.time = departure_s
        if not loose:
            # Many readers know delays alone. A trip without exact times has no schedule to be late by.
            predicted.arrival.delay = arrival_s - int(stop.scheduled_at)
        # Seconds to either side; 0 would say that the time is certain.
        uncertainty_s = max(1, round(stop.uncertainty_s))
        predicted.arrival.uncertainty = predicted.departure.uncertainty = uncertainty_s
        predicted.schedule_relationship = relationship
