"""The snapshot: the fleet at one instant as columns, and the rows that readers get, made when they are asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import msgspec

from dispatch.alerts import Alert
from dispatch.arrivals import Predictions
from dispatch.fleet_documents import (
    AlertsDocument,
    Headway,
    HeadwaysDocument,
    TripUpdate,
    TripUpdatesDocument,
    Vehicle,
    VehiclesDocument,
)
from dispatch.fleet_view import FleetView
from dispatch.headway import Headways
from dispatch.network import Network
from dispatch.orders import Cancellation
from dispatch.snapshot_rows import list_headways, list_trip_updates, list_vehicles

_ENCODE = msgspec.json.Encoder().encode


@dataclass(frozen=True)
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

    @property
    def feed_version(self) -> str:
        """The version of the feed that this was computed with."""
        return self.network.feed_version

    @cached_property
    def vehicles(self) -> list[Vehicle]:
        """A row for each vehicle that is listed."""
        return list_vehicles(self.network, self.fleet, self.as_of_s, self.clock_off_s)

    @cached_property
    def headways(self) -> list[Headway]:
        """A row for each vehicle that is under way on a trip."""
        return list_headways(self.network, self.headway_columns, self.key_by_vehicle)

    @cached_property
    def trip_updates(self) -> list[TripUpdate]:
        """Predictions for each trip with stops ahead."""
        starts = (self.start_dates, self.start_times)
        return list_trip_updates(self.network, self.predictions, self.key_by_vehicle, starts)

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
