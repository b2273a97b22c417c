"""Reading a GTFS feed: from a zip, a folder or a URL to a network, with a list of what is wrong with it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

from dispatch.feed_calendar import Services, read_services
from dispatch.feed_places import Shapes, Stops, read_shapes, read_stops
from dispatch.feed_problems import FeedError, Problem, Problems
from dispatch.feed_source import Source, digest, open_source
from dispatch.feed_tables import Table, dates, read_table
from dispatch.feed_trips import Frequencies, Routes, Trips, read_frequencies, read_routes, read_trips
from dispatch.network import Network
from dispatch.network_blocks import block_rule, overlapping
from dispatch.network_build import FeedColumns, build_network
from dispatch.network_calendar import days_kept
from dispatch.timetable import trip_ends_s

FEED_VERSION_CHARACTERS = 100


@dataclass(frozen=True, slots=True)
class Feed:
    """A network, how many rows of each kind the feed itself has, and what is wrong with it."""

    network: Network
    counts: dict[str, int]  # agencies, routes, trips, stops, shapes, stop_times
    problems: list[Problem]


def read_feed(source: str | Path | bytes, block_pattern: str | None = None, today: dt.date | None = None) -> Feed:
    """Read the feed at a path or URL, or in a zip's bytes; `today` is only needed for a calendar without end.

    `block_pattern` is a regular expression whose first group in a trip_id names its block where block_id is empty.
    Raises FeedError, in one sentence, when there is no usable feed; BlockRuleError when the pattern is none.
    """
    rule = block_rule(block_pattern) if block_pattern else None
    opened = open_source(source)
    problems = Problems()
    agency = _require(opened, "agency.txt", problems)
    routes_table = _require(opened, "routes.txt", problems)
    stops_table = _require(opened, "stops.txt", problems)
    trips_table = _require(opened, "trips.txt", problems)
    times_table = _require(opened, "stop_times.txt", problems)
    shapes_table = _read(opened, "shapes.txt", problems)
    timezone = _timezone(agency)
    version, start_date = _feed_info(_read(opened, "feed_info.txt", problems))
    kept = days_kept(today or dt.datetime.now(ZoneInfo(timezone)).date(), start_date)
    services = read_services(
        _read(opened, "calendar.txt", problems), _read(opened, "calendar_dates.txt", problems), kept
    )
    routes, stops, shapes = read_routes(routes_table), read_stops(stops_table), read_shapes(shapes_table)
    trips = read_trips(trips_table, times_table, (routes, stops, shapes, services.service_id), rule, problems)
    frequencies = read_frequencies(_read(opened, "frequencies.txt", problems), trips.trip_id)
    parts = _Parts(routes, stops, shapes, trips, services, frequencies)
    network = build_network(_columns(version or digest(opened)[:12], timezone, start_date, parts), problems)
    _report_overlaps(network, problems)
    counts = {
        "agencies": len(agency.frame),
        "routes": len(routes_table.frame),
        "trips": len(trips_table.frame),
        "stops": len(stops_table.frame),
        "shapes": 0 if shapes_table is None else shapes_table.frame["shape_id"].n_unique(),
        "stop_times": len(times_table.frame),
    }
    return Feed(network, counts, problems.list())


# Required columns, then those that may be missing.
COLUMNS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "agency.txt": (("agency_timezone",), ("agency_name",)),
    "feed_info.txt": ((), ("feed_version", "feed_start_date")),
    "routes.txt": (
        ("route_id", "route_type"),
        ("route_short_name", "route_long_name", "route_color", "route_text_color"),
    ),
    "stops.txt": (("stop_id", "stop_lat", "stop_lon"), ("stop_name", "parent_station")),
    "shapes.txt": (("shape_id", "shape_pt_lat", "shape_pt_lon", "shape_pt_sequence"), ()),
    "trips.txt": (
        ("route_id", "service_id", "trip_id"),
        ("trip_headsign", "direction_id", "block_id", "shape_id"),
    ),
    "stop_times.txt": (
        ("trip_id", "arrival_time", "departure_time", "stop_id", "stop_sequence"),
        ("shape_dist_traveled", "timepoint"),
    ),
    "calendar.txt": (
        (
            "service_id",
            "monday",
            "tuesday",
            "wednesday",
            "thursday",
            "friday",
            "saturday",
            "sunday",
            "start_date",
            "end_date",
        ),
        (),
    ),
    "calendar_dates.txt": (("service_id", "date", "exception_type"), ()),
    "frequencies.txt": (("trip_id", "start_time", "end_time", "headway_secs"), ("exact_times",)),
}


def _read(source: Source, name: str, problems: Problems) -> Table | None:
    required, optional = COLUMNS[name]
    return read_table(source, name, required, optional, problems)


def _require(source: Source, name: str, problems: Problems) -> Table:
    table = _read(source, name, problems)
    if table is None:
        raise FeedError(name, None, f"is missing from {source.name}; a GTFS feed must have it")
    if not len(table.frame):
        raise FeedError(name, None, "has no rows")
    return table


def _timezone(agency: Table) -> str:
    """The time zone of all agencies: GTFS wants one for the whole feed."""
    zone = agency.frame["agency_timezone"][0]
    try:
        ZoneInfo(zone or "")
    except (KeyError, ValueError, OSError):
        row = int(agency.frame["row"][0])
        raise agency.refuse(row, f"agency_timezone {zone!r} is no time zone; give one such as Europe/Kyiv") from None
    other = agency.frame["agency_timezone"].is_not_null() & (agency.frame["agency_timezone"] != zone).fill_null(
        value=False
    )
    agency.report(
        other, "another_timezone", f"agency_timezone {{agency_timezone}} differs; all times are read in {zone}"
    )
    return str(zone)


def _feed_info(table: Table | None) -> tuple[str | None, dt.date | None]:
    """feed_version and feed_start_date, where the feed states them."""
    if table is None or not len(table.frame):
        return None, None
    version = table.frame["feed_version"][0]
    day = dates(table.frame["feed_start_date"])
    bad = day.is_null() & table.frame["feed_start_date"].is_not_null()
    table.report(bad, "bad_date", "feed_start_date {feed_start_date} is not a date YYYYMMDD; it is not used")
    return version and version[:FEED_VERSION_CHARACTERS], None if day[0] is None else dt.date.fromordinal(day[0])


def _report_overlaps(network: Network, problems: Problems) -> None:
    start_s, end_s = trip_ends_s(network)
    late = overlapping(network.trip_block, network.trip_service, start_s, end_s)
    if late:
        trip = network.trip_id[late[0]]
        block = network.block_id[int(network.trip_block[late[0]])]
        message = f"trip {trip} begins before block {block} has finished an earlier one; one vehicle cannot run both"
        problems.add(Problem("trips.txt", None, "block_overlap", message, len(late)))


@dataclass(frozen=True, slots=True)
class _Parts:
    routes: Routes
    stops: Stops
    shapes: Shapes
    trips: Trips
    services: Services
    frequencies: Frequencies


def _columns(version: str, timezone: str, start_date: dt.date | None, parts: _Parts) -> FeedColumns:
    routes, stops, shapes, trips = parts.routes, parts.stops, parts.shapes, parts.trips
    services, frequencies = parts.services, parts.frequencies
    return FeedColumns(
        feed_version=version,
        timezone=timezone,
        feed_start_date=start_date,
        route_id=routes.route_id,
        route_short_name=routes.short_name,
        route_long_name=routes.long_name,
        route_type=routes.route_type,
        route_color=routes.color,
        route_text_color=routes.text_color,
        stop_id=stops.stop_id,
        stop_name=stops.name,
        stop_lat_deg=stops.lat_deg,
        stop_lon_deg=stops.lon_deg,
        shape_id=shapes.shape_id,
        shape_start=shapes.start,
        shape_lat_deg=shapes.lat_deg,
        shape_lon_deg=shapes.lon_deg,
        trip_id=trips.trip_id,
        trip_route=trips.route,
        trip_service=trips.service,
        trip_direction=trips.direction,
        trip_shape=trips.shape,
        trip_headsign=trips.headsign,
        trip_block=trips.block,
        block_id=trips.block_id,
        time_start=trips.time_start,
        time_stop=trips.times.stop,
        time_sequence=trips.times.sequence,
        time_arrival_s=trips.times.arrival_s,
        time_departure_s=trips.times.departure_s,
        time_dist=trips.times.dist,
        time_timed=trips.times.timed,
        frequency_trip=frequencies.trip,
        frequency_start_s=frequencies.start_s,
        frequency_end_s=frequencies.end_s,
        frequency_headway_s=frequencies.headway_s,
        frequency_exact=frequencies.exact,
        service_id=services.service_id,
        first_date=services.first_date,
        service_runs=services.runs,
    )
