"""Where fares of a GTFS feed hold: areas of stops, stations of platforms, and networks of routes."""

from __future__ import annotations

from collections.abc import Mapping
from zoneinfo import ZoneInfo

from ticketing.feed_rows import FareFiles, Row
from ticketing.feed_times import named_zone
from ticketing.legs import Words, places_of


def areas_by_stop(feed: FareFiles) -> dict[str, Words]:
    """The areas that stop_areas.txt gives stops and stations; TariffError names what is wrong."""
    feed.unique("areas.txt", "area_id")
    areas: dict[str, set[str]] = {}
    for row in feed["stop_areas.txt"]:
        feed.refer(row, "area_id", "areas.txt", "area_id")
        feed.refer(row, "stop_id", "stops.txt", "stop_id")
        areas.setdefault(row.need("stop_id"), set()).add(row.need("area_id"))
    return {stop: frozenset(names) for stop, names in areas.items()}


def known_areas(feed: FareFiles) -> Words | None:
    """The areas that rules may name: those of areas.txt, else of stop_areas.txt; None: the feed has neither."""
    for file in ("areas.txt", "stop_areas.txt"):
        if feed[file].present:
            return feed[file].ids("area_id")
    return None


def network_by_route(feed: FareFiles) -> dict[str, str]:
    """The network of each route, from route_networks.txt or from routes.txt; both is an error."""
    feed.unique("networks.txt", "network_id")
    feed.unique("route_networks.txt", "route_id")
    named = [row for row in feed["routes.txt"] if row.get("network_id")]
    for file in ("networks.txt", "route_networks.txt"):
        if named and feed[file].rows:
            named[0].fail("network_id", f"leave the column empty, or leave {file} out: a feed says it in one of them")
    for row in feed["route_networks.txt"]:
        feed.refer(row, "network_id", "networks.txt", "network_id")
        feed.refer(row, "route_id", "routes.txt", "route_id")
    if named:
        return {row.need("route_id"): row.get("network_id") for row in named}
    return {row.need("route_id"): row.need("network_id") for row in feed["route_networks.txt"]}


def known_networks(feed: FareFiles) -> Words | None:
    """The networks that rules may name; None where the feed says nothing of networks, and a tariff's file may."""
    for file in ("networks.txt", "route_networks.txt"):
        if feed[file].present:
            return feed[file].ids("network_id")
    named = frozenset(row.get("network_id") for row in feed["routes.txt"]) - {""}
    return named or None


def station_by_stop(feed: FareFiles) -> dict[str, str]:
    """What each stop is a part of: a platform of its station, a boarding area of its platform.

    TariffError where a stop would be a part of itself.
    """
    rows: dict[str, Row] = {}
    for row in feed["stops.txt"]:
        if row.get("parent_station"):
            rows.setdefault(row.need("stop_id"), row)
    parents = {stop: row.get("parent_station") for stop, row in rows.items()}
    right: set[str] = set()
    for stop, row in rows.items():
        seen: set[str] = set()
        place = stop
        while place in parents and place not in right:
            if place in seen:
                row.fail("parent_station", f"{stop!r} comes to be a part of itself: name the station that it is in")
            seen.add(place)
            place = parents[place]
        right |= seen
    return parents


def zone_by_stop(feed: FareFiles, parents: Mapping[str, str]) -> dict[str, ZoneInfo]:
    """The time zones of stops that have one: that of the station, else their own."""
    rows: dict[str, Row] = {}
    for row in feed["stops.txt"]:
        if row.get("stop_timezone"):
            rows.setdefault(row.need("stop_id"), row)
    if not rows:
        return {}
    zones = {stop: named_zone(row.get("stop_timezone"), row, "stop_timezone") for stop, row in rows.items()}
    found = {}
    for stop in {*zones, *parents}:
        above = [zones[place] for place in places_of(stop, parents) if place in zones]
        if above:
            found[stop] = above[-1]
    return found
