"""What readers ask for, put together from a publication and the network: routes, one line and arrivals."""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property

import msgspec

from dispatch.atlas import Atlas
from dispatch.board import Publication
from dispatch.fleet_documents import Headway, HeadwaysDocument, TripUpdatesDocument, Vehicle, VehiclesDocument
from dispatch.schemas import (
    Arrival,
    LineDirection,
    LineReply,
    LineVehicle,
    Route,
    RouteDirection,
    RoutesReply,
)

_VEHICLES = msgspec.json.Decoder(VehiclesDocument)
_HEADWAYS = msgspec.json.Decoder(HeadwaysDocument)
_TRIP_UPDATES = msgspec.json.Decoder(TripUpdatesDocument)
ARRIVALS_MAX = 100
# A predicted time this long past is one that nobody waits for any more.
_GONE_S = 30.0


class View:
    """One publication decoded as far as somebody asks; kept until the next one."""

    def __init__(self, publication: Publication, atlas: Atlas) -> None:
        self.publication = publication
        self.atlas = atlas

    @cached_property
    def vehicles(self) -> list[Vehicle]:
        """The vehicles' rows."""
        return _VEHICLES.decode(self.publication.vehicles).vehicles

    @cached_property
    def headways(self) -> HeadwaysDocument:
        """The headways' rows."""
        return _HEADWAYS.decode(self.publication.headways)

    @cached_property
    def operators_by_vehicle(self) -> dict[str, list[str]]:
        """Who runs a vehicle of this name; more than one where two operators chose the same."""
        found: dict[str, list[str]] = defaultdict(list)
        for vehicle in self.vehicles:
            found[vehicle.vehicle_id].append(vehicle.operator_id)
        return found

    @cached_property
    def routes_json(self) -> bytes:
        """GET /api/v1/routes."""
        return msgspec.json.encode(_routes_of(self))

    @cached_property
    def arrivals_by_stop(self) -> dict[str, list[Arrival]]:
        """Arrivals at every stop that has some, soonest first."""
        return _arrivals_of(self)

    def line(self, route: int) -> LineReply:
        """GET /api/v1/routes/{route_id}/line for a RouteIdx."""
        network = self.atlas.network
        by_direction = _line_vehicles(self, network.route_id[route])
        directions = [
            LineDirection(
                main.direction_id,
                main.headsign,
                main.pattern_id,
                main.length_m,
                self.atlas.shape_of(main.pattern),
                self.atlas.stops_of(main.pattern),
                by_direction.get(main.direction_id, []),
            )
            for main in self.atlas.main_patterns.get(route, [])
        ]
        return LineReply(network.route_id[route], network.route_short_name[route], self.publication.as_of_s, directions)

    def headways_of(self, route_id: str) -> HeadwaysDocument:
        """GET /api/v1/headways?route_id=."""
        rows = [row for row in self.headways.headways if row.route_id == route_id]
        return HeadwaysDocument(self.headways.as_of, self.headways.feed_version, rows)


def _routes_of(view: View) -> RoutesReply:
    network = view.atlas.network
    headways: dict[str, list[Headway]] = defaultdict(list)
    vehicles: dict[str, list[Vehicle]] = defaultdict(list)
    for headway in view.headways.headways:
        headways[headway.route_id].append(headway)
    for vehicle in view.vehicles:
        if vehicle.route_id is not None:
            vehicles[vehicle.route_id].append(vehicle)
    routes = []
    for route, route_id in enumerate(network.route_id):
        rows, running = headways[route_id], vehicles[route_id]
        worst = max((row for row in rows if row.ratio is not None), key=_badness, default=None)
        late = max((v.deviation_s for v in running if v.deviation_s is not None), key=abs, default=None)
        routes.append(
            Route(
                route_id=route_id,
                short_name=network.route_short_name[route],
                long_name=network.route_long_name[route],
                route_type=int(network.route_type[route]),
                color=network.route_color[route],
                text_color=network.route_text_color[route],
                directions=[
                    RouteDirection(main.direction_id, main.headsign, main.pattern_id, main.length_m)
                    for main in view.atlas.main_patterns.get(route, [])
                ],
                vehicles=len(running),
                bunched=sum(row.state == "bunched" for row in rows),
                gapped=sum(row.state == "gapped" for row in rows),
                worst_ratio=worst.ratio if worst else None,
                worst_headway_s=worst.headway_s if worst else None,
                worst_deviation_s=late,
            )
        )
    return RoutesReply(view.publication.as_of_s, routes)


def _badness(row: Headway) -> float:
    """How far a headway is from its plan, as a factor: half and double are equally bad."""
    ratio = row.ratio or 0.0
    return max(ratio, 1.0 / max(ratio, 1e-3))


def _line_vehicles(view: View, route_id: str) -> dict[int, list[LineVehicle]]:
    """Vehicles of a route by direction, from the start of the line to its end."""
    headways = {(row.vehicle_id, row.trip_id): row for row in view.headways.headways if row.route_id == route_id}
    found: dict[int, list[LineVehicle]] = defaultdict(list)
    for vehicle, line_m in zip(view.vehicles, view.publication.line_m, strict=True):
        if vehicle.route_id != route_id or vehicle.direction_id is None:
            continue
        row = headways.get((vehicle.vehicle_id, vehicle.trip_id or ""))
        found[vehicle.direction_id].append(
            LineVehicle(
                **msgspec.structs.asdict(vehicle),
                line_m=line_m,
                leader_id=row.leader_id if row else None,
                headway_s=row.headway_s if row else None,
                scheduled_headway_s=row.scheduled_headway_s if row else None,
                deviation_headway_s=row.deviation_s if row else None,
                headway_state=row.state if row else "unknown",
                gap_m=row.gap_m if row else None,
            )
        )
    for rows in found.values():
        rows.sort(key=lambda v: (v.line_m is None, v.line_m or 0.0, v.vehicle_id))
    return found


def _arrivals_of(view: View) -> dict[str, list[Arrival]]:
    network, atlas = view.atlas.network, view.atlas
    as_of_s = view.publication.as_of_s
    found: dict[str, list[Arrival]] = defaultdict(list)
    for update in _TRIP_UPDATES.decode(view.publication.trip_updates).trip_updates:
        trip = atlas.trip_by_id.get(update.trip_id)
        route = atlas.route_by_id.get(update.route_id)
        if trip is None or route is None:
            continue
        headsign = network.trip_headsign[trip] or network.pattern_headsign[int(network.trip_pattern[trip])]
        for stop in update.stops:
            if stop.arrival_at >= as_of_s - _GONE_S:
                found[stop.stop_id].append(
                    Arrival(
                        update.route_id,
                        network.route_short_name[route],
                        headsign,
                        update.trip_id,
                        update.vehicle_id,
                        stop.scheduled_at,
                        stop.arrival_at,
                        stop.delay_s,
                        stop.uncertainty_s,
                    )
                )
    for rows in found.values():
        rows.sort(key=lambda arrival: arrival.predicted_at)
        del rows[ARRIVALS_MAX:]
    return dict(found)
