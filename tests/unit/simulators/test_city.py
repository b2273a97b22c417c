"""The made-up city: a valid feed that a dispatcher would believe."""

import csv
import datetime as dt
import io
import zipfile

import numpy as np
import pytest

from dispatch.feed import Feed, read_feed
from dispatch.timetable import blocks_on, busiest_weekday, running_at, runs_on
from simulators.city import make_city
from simulators.city_map import degrees, river
from simulators.city_names import romanise, stop_names

FIRST_DAY = dt.date(2026, 11, 21)
MONDAY = dt.date(2026, 11, 23)


@pytest.fixture(scope="module")
def packed() -> bytes:
    return make_city(1, FIRST_DAY)


@pytest.fixture(scope="module")
def city(packed: bytes) -> Feed:
    return read_feed(packed)


def test_our_own_reader_finds_no_problem(city: Feed) -> None:
    assert city.problems == []
    assert city.network.pattern_drawn.all()
    assert city.network.feed_version == "city-1-20261121"


def test_the_same_seed_gives_the_same_bytes_and_another_seed_other_curves(packed: bytes) -> None:
    assert make_city(1, FIRST_DAY) == packed
    assert make_city(2, FIRST_DAY) != packed


def test_a_few_hundred_vehicles_in_the_peak(city: Feed) -> None:
    blocks = blocks_on(city.network, MONDAY)
    start_s, end_s = blocks.runs.start_s[blocks.start[:-1]], blocks.runs.end_s[blocks.start[1:] - 1]
    peak_s = city.network.day_start_s(MONDAY) + 8.5 * 3600
    assert 240 <= int(((start_s <= peak_s) & (peak_s <= end_s)).sum()) <= 310
    assert (blocks.block >= 0).all()


def test_vehicles_rest_between_trips_and_go_on_from_where_they_are(city: Feed) -> None:
    network = city.network
    blocks = blocks_on(network, MONDAY)
    inner = np.ones(len(blocks.runs) - 1, dtype=bool)
    inner[blocks.start[1:-1] - 1] = False
    assert (blocks.runs.start_s[1:][inner] - blocks.runs.end_s[:-1][inner]).min() >= 300
    pattern = network.trip_pattern[blocks.runs.trip]
    first = network.pattern_stop[network.pattern_stop_start[pattern]]
    last = network.pattern_stop[network.pattern_stop_start[pattern + 1] - 1]
    assert (first[1:][inner] == last[:-1][inner]).all()


def test_service_from_half_past_four_until_after_midnight_for_a_year(city: Feed) -> None:
    network = city.network
    runs = runs_on(network, MONDAY)
    hours = (runs.start_s - runs.day_start_s[0]) / 3600
    assert 4.5 <= hours.min() < 5
    assert 24 < hours.max() <= 25.5
    assert len(running_at(network, network.day_start_s(MONDAY) + 24.5 * 3600)) > 20
    assert len(runs_on(network, FIRST_DAY + dt.timedelta(days=364))) > 0
    assert len(runs_on(network, FIRST_DAY + dt.timedelta(days=365))) == 0
    weekday, saturday, sunday = (len(runs_on(network, MONDAY + dt.timedelta(days=n))) for n in (0, 5, 6))
    assert weekday > saturday > sunday > 1_000
    assert busiest_weekday(network, FIRST_DAY) == MONDAY


def test_lines_of_every_kind(city: Feed) -> None:
    network = city.network
    assert len(network.route_id) == 12
    assert set(network.route_type.tolist()) == {0, 3}
    starts = network.pattern_stop_start
    ends = network.pattern_stop[starts[:-1]] == network.pattern_stop[starts[1:] - 1]
    by_route = {network.route_id[route]: int((network.pattern_route == route).sum()) for route in range(12)}
    assert by_route["t2"] == 4  # with short turns
    assert by_route["b5"] == 4  # with two branches
    assert by_route["b7"] == 1  # out and back in one trip
    assert {network.route_id[route] for route in network.pattern_route[ends]} == {"t1", "b7"}


def test_the_directions_of_every_line_are_called_differently(city: Feed) -> None:
    network = city.network
    for route in range(len(network.route_id)):
        patterns = np.flatnonzero(network.pattern_route == route).tolist()
        there, back = (
            {network.pattern_headsign[p] for p in patterns if network.pattern_direction[p] == d} for d in (0, 1)
        )
        assert there.isdisjoint(back)


def test_the_ring_runs_clockwise_in_its_first_direction(city: Feed) -> None:
    network = city.network
    (pattern,) = (p for p, sign in enumerate(network.pattern_headsign) if sign == "За годинниковою стрілкою")
    rows = slice(network.pattern_stop_start[pattern], network.pattern_stop_start[pattern + 1])
    stops = network.pattern_stop[rows]
    east, north = network.stop_lon_deg[stops], network.stop_lat_deg[stops]
    assert (east[:-1] * north[1:] - east[1:] * north[:-1]).sum() < 0  # twice the area, counted anticlockwise


def test_stops_lie_on_the_kerb_of_their_street(city: Feed) -> None:
    network = city.network
    for pattern in range(len(network.pattern_id)):
        rows = slice(network.pattern_stop_start[pattern], network.pattern_stop_start[pattern + 1])
        steps_m = np.diff(network.pattern_stop_along_m[rows])
        assert steps_m.min() > 150
        assert steps_m.max() < 1_600  # across the river


def test_every_name_has_its_translation(packed: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        tables = {
            name: list(csv.DictReader(archive.read(name).decode().splitlines()))
            for name in ("stops.txt", "translations.txt")
        }
    translated = {row["field_value"]: row["translation"] for row in tables["translations.txt"]}
    assert {row["stop_name"] for row in tables["stops.txt"]} <= translated.keys()
    assert translated["Вул. Каштанова"] == "Kashtanova St"


def test_the_river_is_closed_and_crosses_the_map() -> None:
    ring = degrees(river())
    assert list(ring[0]) == list(ring[-1])
    assert max(lat for lat, _ in ring) - min(lat for lat, _ in ring) > 0.18


def test_names_are_different_and_romanised_by_the_rules() -> None:
    names = list(stop_names())
    assert len({uk for uk, _ in names}) == len(names) >= 240
    assert romanise("Згода") == "Zghoda"
    assert romanise("Яблуневий гай") == "Yablunevyi hai"
    assert romanise("Солов'їна Надіївка") == "Solovina Nadiivka"
