"""GTFS-Realtime 2.0 (gtfs.org/realtime) from a snapshot's rows: vehicle positions, trip updates and alerts.

Times are whole Unix seconds, every message is a full data set, and entity ids stay with what they name. What a vehicle
off its route does is nobody's trip: it is shown where it is, without one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from google.protobuf.json_format import MessageToJson
from google.transit import gtfs_realtime_pb2 as rt

from dispatch.alerts import Alert
from dispatch.snapshot import TripUpdate, Vehicle

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
_OCCUPANCY = dict(rt.VehiclePosition.OccupancyStatus.items())
# Vehicles whose trip is a fact: what has fallen silent or left the road is shown without.
_WITH_TRIP = frozenset({"on_trip", "layover"})


def vehicle_positions(
    vehicles: Sequence[Vehicle], start_times: dict[tuple[str, str], str], header_ts: int, feed_version: str
) -> bytes:
    """The VehiclePositions feed; `start_times` by trip and start date are those of frequency-based trips.

    A vehicle's id is its own; where two operators use the same, "<operator>/<vehicle>" tells them apart.
    """
    message = _message(header_ts, feed_version)
    twice = shared_ids(vehicles)
    for vehicle in vehicles:
        entity = message.entity.add()
        entity.id = f"v:{vehicle.operator_id}/{vehicle.vehicle_id}"
        position = entity.vehicle
        _name(position.vehicle, vehicle.operator_id, vehicle.vehicle_id, twice)
        position.position.latitude = vehicle.lat
        position.position.longitude = vehicle.lon
        if vehicle.bearing_deg is not None:
            position.position.bearing = vehicle.bearing_deg % 360.0
        if vehicle.speed_mps is not None and vehicle.speed_mps >= 0:
            position.position.speed = vehicle.speed_mps
        # The header's time is never before what it heads, though a device's clock may be ahead of ours.
        position.timestamp = min(int(vehicle.ts), header_ts)
        if vehicle.occupancy in _OCCUPANCY:
            position.occupancy_status = _OCCUPANCY[vehicle.occupancy]
        if vehicle.trip_id is None or vehicle.state not in _WITH_TRIP:
            continue
        _describe(
            position.trip,
            vehicle.trip_id,
            start_date=vehicle.start_date,
            start_time=start_times.get((vehicle.trip_id, vehicle.start_date or "")),
            route_id=vehicle.route_id,
            direction_id=vehicle.direction_id,
        )
        if vehicle.next_stop_id is not None and vehicle.next_stop_sequence is not None:
            position.current_stop_sequence = vehicle.next_stop_sequence
            position.stop_id = vehicle.next_stop_id
            position.current_status = rt.VehiclePosition.IN_TRANSIT_TO
    return _bytes(message)


def trip_updates(updates: Iterable[TripUpdate], twice: frozenset[str], header_ts: int, feed_version: str) -> bytes:
    """The TripUpdates feed: arrival and departure at each stop ahead, in order, each later than the one before."""
    message = _message(header_ts, feed_version)
    seen: set[str] = set()
    for update in updates:
        identity = f"t:{update.trip_id}:{update.start_date}:{update.start_time or ''}"
        if not update.stops or identity in seen:  # two vehicles claim one trip: the first keeps it
            continue
        seen.add(identity)
        entity = message.entity.add()
        entity.id = identity
        trip = entity.trip_update
        _describe(
            trip.trip,
            update.trip_id,
            start_date=update.start_date,
            start_time=update.start_time,
            route_id=update.route_id,
            direction_id=update.direction_id,
        )
        _name(trip.vehicle, update.operator_id, update.vehicle_id, twice)
        trip.timestamp = min(int(update.ts), header_ts)
        _add_stops(trip, update)
    return _bytes(message)


def alerts(found: Iterable[Alert], header_ts: int, feed_version: str) -> bytes:
    """The Alerts feed: what passengers may know, so no driver's alarm, and nothing that is over."""
    message = _message(header_ts, feed_version)
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
        for language, text in zip(("en", "uk"), _TEXTS[alert.kind], strict=True):
            for field in (entity.alert.header_text, entity.alert.description_text):
                translation = field.translation.add()
                translation.language = language
                translation.text = text
    return _bytes(message)


def to_json(message: bytes) -> bytes:
    """A feed as JSON, with the names of the specification."""
    feed = rt.FeedMessage()
    feed.ParseFromString(message)
    return MessageToJson(feed, preserving_proto_field_name=True, indent=None).encode()


def start_times_of(updates: Iterable[TripUpdate]) -> dict[tuple[str, str], str]:
    """Start times of frequency-based trips under way, by trip and start date."""
    return {(u.trip_id, u.start_date): u.start_time for u in updates if u.start_time is not None}


def shared_ids(vehicles: Iterable[Vehicle]) -> frozenset[str]:
    """Vehicle ids that more than one operator uses."""
    counts = Counter(vehicle.vehicle_id for vehicle in vehicles)
    return frozenset(name for name, count in counts.items() if count > 1)


def _message(header_ts: int, feed_version: str) -> Any:
    message = rt.FeedMessage()
    message.header.gtfs_realtime_version = "2.0"
    message.header.incrementality = rt.FeedHeader.FULL_DATASET
    message.header.timestamp = header_ts
    if feed_version:
        message.header.feed_version = feed_version
    return message


def _bytes(message: Any) -> bytes:
    encoded: bytes = message.SerializeToString()
    return encoded


def _name(descriptor: Any, operator_id: str, vehicle_id: str, twice: frozenset[str]) -> None:
    descriptor.id = f"{operator_id}/{vehicle_id}" if vehicle_id in twice else vehicle_id
    descriptor.label = vehicle_id


def _describe(
    descriptor: Any,
    trip_id: str,
    *,
    start_date: str | None,
    start_time: str | None,
    route_id: str | None,
    direction_id: int | None,
) -> None:
    descriptor.trip_id = trip_id
    if start_date is not None:
        descriptor.start_date = start_date
    if start_time is None:
        descriptor.schedule_relationship = rt.TripDescriptor.SCHEDULED
    else:
        # A trip of frequencies.txt is known by its start time, and without exact_times it is not SCHEDULED.
        descriptor.start_time = start_time
    if route_id is not None:
        descriptor.route_id = route_id
    if direction_id is not None:
        descriptor.direction_id = direction_id


def _add_stops(trip: Any, update: TripUpdate) -> None:
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
