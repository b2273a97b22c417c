"""What readers ask for, put together from a publication and the network: routes, one line, arrivals and the map."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property

import msgspec
import numpy as np

from dispatch.board import Publication
from dispatch.fleet_documents import Headway, HeadwaysDocument, TripUpdatesDocument, Vehicle, VehiclesDocument
from dispatch.network import EARTH_RADIUS_M, Floats, Network
from dispatch.schemas import (
    Arrival,
    Feature,
    FeatureCollection,
    Geometry,
    LineDirection,
    LineReply,
    LineStop,
    LineVehicle,
    MapReply,
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


@dataclass(frozen=True, slots=True)
class MainPattern:
    """The pattern that stands for one direction of a route."""

    pattern: int
    direction_id: int
    headsign: str
    pattern_id: str
    length_m: float


class Atlas:
    """What of the answers depends on the network alone; made once for each network."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.route_by_id = {name: index for index, name in enumerate(network.route_id)}
        self.stop_by_id = {name: index for index, name in enumerate(network.stop_id)}
        self.trip_by_id = {name: index for index, name in enumerate(network.trip_id)}
        self.main_patterns = _main_patterns(network)

    @cached_property
    def map_json(self) -> bytes:
        """GET /api/v1/map."""
        return msgspec.json.encode(_map_of(self))

    def shape_of(self, pattern: int) -> list[tuple[float, float]]:
        """A pattern's path as longitude and latitude, to a tenth of a metre or so."""
        path = int(self.network.pattern_path[pattern])
        points = slice(int(self.network.path_start[path]), int(self.network.path_start[path + 1]))
        lon, lat = _unproject(self.network, self.network.point_x_m[points], self.network.point_y_m[points])
        return list(zip(lon, lat, strict=True))

    def stops_of(self, pattern: int) -> list[LineStop]:
        """A pattern's stops in order."""
        network = self.network
        rows = range(int(network.pattern_stop_start[pattern]), int(network.pattern_stop_start[pattern + 1]))
        stops = [(int(network.pattern_stop[row]), float(network.pattern_stop_along_m[row])) for row in rows]
        return [
            LineStop(
                network.stop_id[stop],
                network.stop_name[stop],
                round(float(network.stop_lat_deg[stop]), 6),
                round(float(network.stop_lon_deg[stop]), 6),
                round(along_m, 1),
            )
            for stop, along_m in stops
        ]


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


def _main_patterns(network: Network) -> dict[int, list[MainPattern]]:
    """For each route its directions: of the way with most trips, the pattern with most trips."""
    trips = np.bincount(network.trip_pattern, minlength=len(network.pattern_id))
    ways: dict[tuple[int, int], dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for pattern in range(len(network.pattern_id)):
        line = (int(network.pattern_route[pattern]), int(network.pattern_direction[pattern]))
        ways[line][int(network.pattern_path[pattern])].append(pattern)
    found: dict[int, list[MainPattern]] = defaultdict(list)
    for (route, direction), members in sorted(ways.items()):
        patterns = max((members[path] for path in sorted(members)), key=lambda of: sum(int(trips[p]) for p in of))
        main = max(patterns, key=lambda p: int(trips[p]))
        last = int(network.path_start[int(network.pattern_path[main]) + 1]) - 1
        found[route].append(
            MainPattern(
                main,
                direction,
                network.pattern_headsign[main],
                network.pattern_id[main],
                round(float(network.point_along_m[last]), 1),
            )
        )
    return dict(found)


def _unproject(network: Network, x_m: Floats, y_m: Floats) -> tuple[list[float], list[float]]:
    """Metres east and north of the origin to degrees: the inverse of Network.project."""
    lat = network.origin_lat_deg + np.degrees(y_m / EARTH_RADIUS_M)
    lon = network.origin_lon_deg + np.degrees(x_m / (EARTH_RADIUS_M * np.cos(np.radians(network.origin_lat_deg))))
    return np.round(lon, 6).tolist(), np.round(lat, 6).tolist()


def _map_of(atlas: Atlas) -> MapReply:
    network = atlas.network
    lines = []
    for route, directions in sorted(atlas.main_patterns.items()):
        for main in directions:
            properties = {
                "route_id": network.route_id[route],
                "direction_id": main.direction_id,
                "short_name": network.route_short_name[route],
                "color": network.route_color[route],
                "route_type": int(network.route_type[route]),
            }
            lines.append(Feature(Geometry("LineString", [list(p) for p in atlas.shape_of(main.pattern)]), properties))
    served = np.unique(network.pattern_stop).tolist()
    stops = [
        Feature(
            Geometry(
                "Point", [round(float(network.stop_lon_deg[stop]), 6), round(float(network.stop_lat_deg[stop]), 6)]
            ),
            {"stop_id": network.stop_id[stop], "name": network.stop_name[stop]},
        )
        for stop in served
    ]
    points = [point for line in lines for point in line.geometry.coordinates]
    points += [stop.geometry.coordinates for stop in stops]
    if points:
        corners = np.array(points)
        west, south = corners.min(axis=0).tolist()
        east, north = corners.max(axis=0).tolist()
    else:
        west = east = network.origin_lon_deg
        south = north = network.origin_lat_deg
    return MapReply(
        network.feed_version, (west, south, east, north), FeatureCollection(lines), FeatureCollection(stops)
    )


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
