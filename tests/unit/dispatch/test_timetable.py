"""What runs when, and where it should be, on a street of three stops."""

import datetime as dt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.network import Network
from dispatch.timetable import (
    Runs,
    blocks_on,
    busiest_weekday,
    first_day_shown,
    move_to,
    point_at,
    running_at,
    runs_on,
    scheduled_at,
    scheduled_place,
    service_date,
    services_on,
    trips_on,
)

MONDAY = dt.date(2026, 3, 23)  # in Kyiv clocks go forward on the Sunday after
H = 3600


def ints(*values: int) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    return np.array(values, dtype=np.int32)


def make_network(**changes: object) -> Network:
    """Stops at 0, 500 and 1,500 m of a bent path. Trip 0 at 08:00, trip 1 at 23:50 until 24:20, trip 2 by frequency."""
    fields: dict[str, object] = {
        "feed_version": "1",
        "timezone": "Europe/Kyiv",
        "origin_lat_deg": 50.0,
        "origin_lon_deg": 30.0,
        "route_id": ["R"],
        "route_short_name": ["1"],
        "route_long_name": ["One"],
        "route_type": ints(3),
        "route_color": [""],
        "route_text_color": [""],
        "stop_id": ["a", "b", "c"],
        "stop_name": ["Alpha", "Beta", "Gamma"],
        "stop_lat_deg": np.array([50.0, 50.0, 50.0]),
        "stop_lon_deg": np.array([30.0, 30.01, 30.02]),
        "path_start": ints(0, 3),
        "point_x_m": np.array([0.0, 1000.0, 1000.0]),
        "point_y_m": np.array([0.0, 0.0, 500.0]),
        "point_along_m": np.array([0.0, 1000.0, 1500.0]),
        "pattern_id": ["R:0:x"],
        "pattern_route": ints(0),
        "pattern_direction": ints(0),
        "pattern_path": ints(0),
        "pattern_headsign": ["Gamma"],
        "pattern_drawn": np.array([True]),
        "pattern_stop_start": ints(0, 3),
        "pattern_stop": ints(0, 1, 2),
        "pattern_stop_along_m": np.array([0.0, 500.0, 1500.0]),
        "trip_id": ["t0", "t1", "t2"],
        "trip_pattern": ints(0, 0, 0),
        "trip_service": ints(0, 0, 1),
        "trip_block": ints(0, 0, -1),
        "trip_headsign": ["", "", ""],
        "trip_time_start": ints(0, 3, 6, 9),
        "arrival_s": ints(8 * H, 8 * H + 100, 8 * H + 360, 85_800, 86_400, 87_600, 0, 100, 300),
        "departure_s": ints(8 * H, 8 * H + 160, 8 * H + 360, 85_800, 86_400, 87_600, 0, 100, 300),
        "trip_stop_sequence": ints(1, 2, 3, 1, 2, 3, 1, 2, 3),
        "frequency_trip": ints(2),
        "frequency_start_s": ints(9 * H),
        "frequency_end_s": ints(10 * H),
        "frequency_headway_s": ints(1200),
        "frequency_exact": np.array([False]),
        "service_id": ["weekday", "daily"],
        "first_date": MONDAY,
        "service_runs": np.array([[1, 1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1, 1]], dtype=bool),
        "block_id": ["B"],
    }
    return Network(**(fields | changes))  # type: ignore[arg-type]


def seconds(runs: Runs) -> list[float]:
    return (runs.start_s - runs.day_start_s[runs.day]).tolist()


def test_services_and_trips_of_a_day() -> None:
    network = make_network()
    assert services_on(network, MONDAY).tolist() == [True, True]
    assert services_on(network, MONDAY + dt.timedelta(days=5)).tolist() == [False, True]
    assert services_on(network, MONDAY - dt.timedelta(days=1)).tolist() == [False, False]
    assert services_on(network, MONDAY + dt.timedelta(days=7)).tolist() == [False, False]
    assert trips_on(network, MONDAY + dt.timedelta(days=5)).tolist() == [2]


def test_runs_expand_frequencies_in_order_of_departure() -> None:
    runs = runs_on(make_network(), MONDAY)
    assert runs.trip.tolist() == [0, 2, 2, 2, 1]
    assert seconds(runs) == [8 * H, 9 * H, 9 * H + 1200, 9 * H + 2400, 85_800]
    assert (runs.end_s - runs.start_s).tolist() == [360, 300, 300, 300, 1800]


def test_yesterdays_trips_run_past_midnight() -> None:
    network = make_network()
    tuesday = MONDAY + dt.timedelta(days=1)
    running = running_at(network, network.day_start_s(tuesday) + 600)
    assert [network.trip_id[trip] for trip in running.trip] == ["t1"]
    assert [running.dates[day] for day in running.day] == [MONDAY]
    assert len(running_at(network, network.day_start_s(tuesday) + 1201)) == 0


def test_a_run_is_under_way_from_its_first_second_to_its_last() -> None:
    network = make_network()
    start_s = network.day_start_s(MONDAY) + 8 * H
    under_way = [len(running_at(network, start_s + after_s)) for after_s in (-1, 0, 360, 361)]
    assert under_way == [0, 1, 1, 0]


def test_the_day_the_clocks_go_forward_begins_an_hour_early() -> None:
    network = make_network()
    sunday = MONDAY + dt.timedelta(days=6)
    midnight_s = dt.datetime(2026, 3, 28, 22, tzinfo=dt.UTC).timestamp()
    assert network.day_start_s(sunday) == midnight_s - H
    nine_s = dt.datetime(2026, 3, 29, 6, tzinfo=dt.UTC).timestamp()  # 09:00 in summer time
    assert seconds(running_at(network, nine_s)) == [9 * H]


def test_blocks_are_in_order_and_runs_without_one_stand_alone() -> None:
    blocks = blocks_on(make_network(), MONDAY)
    assert blocks.block.tolist() == [0, -1, -1, -1]
    assert blocks.start.tolist() == [0, 2, 3, 4, 5]
    assert blocks.runs.trip.tolist() == [0, 1, 2, 2, 2]
    assert len(blocks_on(make_network(), MONDAY - dt.timedelta(days=9))) == 0


def test_the_busiest_weekday_is_the_first_with_most_runs() -> None:
    few = np.array([[0, 1, 1, 0, 0, 1, 1], [1, 1, 1, 1, 1, 1, 1]], dtype=bool)
    assert busiest_weekday(make_network(service_runs=few), MONDAY) == MONDAY + dt.timedelta(days=1)
    assert busiest_weekday(make_network(), MONDAY - dt.timedelta(days=60)) == MONDAY
    assert busiest_weekday(make_network(), MONDAY + dt.timedelta(days=60)) == MONDAY
    weekend = np.array([[0, 0, 0, 0, 0, 1, 1], [0, 0, 0, 0, 0, 1, 0]], dtype=bool)
    assert busiest_weekday(make_network(service_runs=weekend), MONDAY) is None


def test_days_are_shown_from_the_feeds_start_or_from_today() -> None:
    today = MONDAY + dt.timedelta(days=3)
    assert first_day_shown(make_network(feed_start_date=MONDAY), today) == MONDAY
    assert first_day_shown(make_network(), today) == today
    assert first_day_shown(make_network(), MONDAY + dt.timedelta(days=900)) == MONDAY


def test_moving_the_timetable_moves_every_day() -> None:
    network = make_network()
    now_s = 2_000_000_000.0
    moved = move_to(network, MONDAY, 8 * H, now_s)
    assert moved.day_start_s(MONDAY) + 8 * H == now_s
    assert service_date(moved, now_s) == MONDAY
    assert [moved.trip_id[trip] for trip in running_at(moved, now_s).trip] == ["t0"]
    assert move_to(moved, MONDAY, 8 * H, now_s).shift_s == moved.shift_s


def test_scheduled_times_wait_at_stops_and_hold_at_the_ends() -> None:
    network = make_network()
    places_m = np.array([-50.0, 0.0, 250.0, 500.0, 1000.0, 1500.0, 9999.0])
    due_s = scheduled_at(network, np.zeros(7, dtype=np.int32), places_m) - 8 * H
    assert due_s.tolist() == [0, 0, 50, 160, 260, 360, 360]
    times_s = np.array([-9.0, 0.0, 50.0, 100.0, 159.0, 260.0, 360.0, 999.0]) + 8 * H
    found_m = scheduled_place(network, np.zeros(8, dtype=np.int32), times_s)
    assert found_m.tolist() == [0, 0, 250, 500, 500, 1000, 1500, 1500]


@given(st.lists(st.tuples(st.sampled_from([0, 1, 2]), st.floats(0, 1500)), min_size=1, max_size=20))
def test_a_trip_is_where_it_should_be_when_it_should_be_there(asked: list[tuple[int, float]]) -> None:
    network = make_network()
    trip, along_m = np.array([t for t, _ in asked], dtype=np.int32), np.array([m for _, m in asked])
    again_m = scheduled_place(network, trip, scheduled_at(network, trip, along_m))
    assert again_m == pytest.approx(along_m, abs=1e-6)


def test_points_lie_on_the_path() -> None:
    x_m, y_m = point_at(make_network(), np.zeros(4, dtype=np.int32), np.array([0.0, 400.0, 1250.0, 5000.0]))
    assert x_m.tolist() == [0, 400, 1000, 1000]
    assert y_m.tolist() == [0, 0, 250, 500]


def test_the_plane_and_the_globe_agree() -> None:
    network = make_network()
    lat_deg, lon_deg = np.array([50.1, 49.9]), np.array([30.2, 29.7])
    assert np.array(network.unproject(*network.project(lat_deg, lon_deg))) == pytest.approx(
        np.array([lat_deg, lon_deg])
    )
