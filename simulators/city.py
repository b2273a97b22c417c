"""A made-up city as a GTFS feed: a river, a ring and radials, twelve lines of trams and buses, a few hundred vehicles.

It lets anyone see the product at work without a city's data, and it is a feed like any other: the reader has no favours
for it. The same seed and first day give the same bytes.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import zipfile
from collections.abc import Iterable

import numpy as np

from simulators.city_map import JUNCTIONS, degrees, draw_map
from simulators.city_timetable import DAY_FACTORS, LINES, TRAM, Line, Trip, Variant, plan_trips, plan_variants

AGENCY_ID = "misto"
TIMEZONE = "Europe/Kyiv"
# A ring comes back to where it began, so no place tells its directions apart. By direction: its way runs clockwise.
RING_HEADSIGNS = "За годинниковою стрілкою", "Проти годинникової стрілки"
ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # a zip's zero: the bytes depend on the seed and the first day alone

Row = Iterable[object]


def make_city(seed: int, first_day: dt.date) -> bytes:
    """A GTFS zip valid for a year from `first_day`."""
    variants = plan_variants(draw_map(seed))
    trips = [trip for service in DAY_FACTORS for trip in plan_trips(variants, service)]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=4) as archive:
        for name, (header, rows) in _tables(seed, first_day, variants, trips).items():
            text = io.StringIO()
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(header.split(","))
            writer.writerows(rows)
            archive.writestr(zipfile.ZipInfo(name, ZIP_TIME), text.getvalue(), zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def _tables(
    seed: int, first_day: dt.date, variants: list[Variant], trips: list[Trip]
) -> dict[str, tuple[str, Iterable[Row]]]:
    first, last = f"{first_day:%Y%m%d}", f"{first_day + dt.timedelta(days=364):%Y%m%d}"
    return {
        "agency.txt": (
            "agency_id,agency_name,agency_url,agency_timezone,agency_lang",
            [(AGENCY_ID, "Міський транспорт", "https://example.com/", TIMEZONE, "uk")],
        ),
        "feed_info.txt": (
            "feed_publisher_name,feed_publisher_url,feed_lang,feed_start_date,feed_end_date,feed_version",
            [("Takt", "https://example.com/", "uk", first, last, f"city-{seed}-{first}")],
        ),
        "calendar.txt": (
            "service_id,monday,tuesday,wednesday,thursday,friday,saturday,sunday,start_date,end_date",
            [
                ("weekday", 1, 1, 1, 1, 1, 0, 0, first, last),
                ("saturday", 0, 0, 0, 0, 0, 1, 0, first, last),
                ("sunday", 0, 0, 0, 0, 0, 0, 1, first, last),
            ],
        ),
        "routes.txt": (
            "route_id,agency_id,route_short_name,route_long_name,"
            "route_type,route_color,route_text_color,route_sort_order",
            _routes(),
        ),
        "stops.txt": ("stop_id,stop_name,stop_lat,stop_lon", _stops(variants)),
        "shapes.txt": ("shape_id,shape_pt_lat,shape_pt_lon,shape_pt_sequence", _shapes(variants)),
        "trips.txt": (
            "route_id,service_id,trip_id,trip_headsign,direction_id,block_id,shape_id",
            _trips(trips),
        ),
        "stop_times.txt": ("trip_id,arrival_time,departure_time,stop_id,stop_sequence", _stop_times(trips)),
        "translations.txt": ("table_name,field_name,language,translation,field_value", _translations(variants)),
    }


def _routes() -> Iterable[Row]:
    for order, line in enumerate(LINES):
        way = line.variants[0]
        middle = way[len(way) // 2]
        ends = way[0], middle if way[0] == way[-1] else way[-1]
        name = " - ".join(JUNCTIONS[end][2] for end in ends)
        yield _route_id(line), AGENCY_ID, line.number, name, line.kind, line.color, line.text_color, order


def _stops(variants: list[Variant]) -> Iterable[Row]:
    stops = {stop.stop_id: stop for variant in variants for stop in variant.route.stops}
    for stop in stops.values():
        ((lat, lon),) = degrees(np.array([[stop.x_m, stop.y_m]]))
        yield stop.stop_id, stop.name_uk, f"{lat:.6f}", f"{lon:.6f}"


def _shapes(variants: list[Variant]) -> Iterable[Row]:
    for variant in variants:
        for sequence, (lat, lon) in enumerate(degrees(variant.route.points).tolist()):
            yield variant.shape_id, f"{lat:.6f}", f"{lon:.6f}", sequence


def _trips(trips: list[Trip]) -> Iterable[Row]:
    for number, trip in enumerate(trips):
        variant = trip.variant
        yield (
            _route_id(variant.line),
            trip.service,
            _trip_id(number),
            _headsign(variant),
            variant.direction,
            trip.block_id,
            variant.shape_id,
        )


def _headsign(variant: Variant) -> str:
    if variant.ring:
        return RING_HEADSIGNS[variant.direction]
    return JUNCTIONS[variant.way[len(variant.way) // 2] if variant.circular else variant.way[-1]][2]


def _stop_times(trips: list[Trip]) -> Iterable[Row]:
    for number, trip in enumerate(trips):
        trip_id = _trip_id(number)
        calls = zip(trip.times_s, trip.variant.route.stops, strict=True)
        for sequence, (time_s, stop) in enumerate(calls, start=1):
            clock = f"{time_s // 3600:02d}:{time_s // 60 % 60:02d}:{time_s % 60:02d}"
            yield trip_id, clock, clock, stop.stop_id, sequence


def _translations(variants: list[Variant]) -> Iterable[Row]:
    names = {stop.name_uk: stop.name_en for variant in variants for stop in variant.route.stops}
    names |= {uk: en for _, _, uk, en in JUNCTIONS.values()}
    for uk, en in names.items():
        yield "stops", "stop_name", "en", en, uk


def _route_id(line: Line) -> str:
    return f"{'t' if line.kind == TRAM else 'b'}{line.number}"


def _trip_id(number: int) -> str:
    return f"{number + 1:05d}"
