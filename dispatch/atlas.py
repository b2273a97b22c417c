"""What the pages draw of a network by itself: each line's main patterns, their shapes and stops, and the map."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property

import msgspec
import numpy as np

from dispatch.network import Network
from dispatch.schemas import (
    Feature,
    FeatureCollection,
    Geometry,
    LineStop,
    MapReply,
)


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
        lat, lon = self.network.unproject(self.network.point_x_m[points], self.network.point_y_m[points])
        return list(zip(np.round(lon, 6).tolist(), np.round(lat, 6).tolist(), strict=True))

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
