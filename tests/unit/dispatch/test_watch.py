"""The watch: silence, late departures and trips that nobody drives, on a line of four trips."""

import pytest

from dispatch.engine import Engine

STRAIGHT = ((0, 0), (4000, 0))
STOPS = (0, 1000, 2000, 3000, 4000)


@pytest.fixture
def line(road, pattern):
    """A road of 4 km that takes 40 minutes, a trip every five."""
    return road(pattern(STRAIGHT, STOPS, {name: 3600 + 300 * i for i, name in enumerate("abcd")}, pace_s_per_m=0.6))


def play(engine, line, starts, from_s, to_s, *, step_s=20):
    """Vehicles 1, 2, ... on trips that leave when `starts` says (None: not yet); the open alerts at the end."""
    for now_s in range(from_s, to_s + 1, step_s):
        places = {trip: 0.0 if at_s is None else max(now_s - at_s, 0) / 0.6 for trip, at_s in starts.items()}
        engine.ingest(line.fixes(*((f"v{trip}", trip, now_s, x, 0) for trip, x in places.items())))
        snapshot = engine.tick(line.zero_s + now_s)
    return open_ones(snapshot)


def open_ones(snapshot):
    return {(alert.kind, alert.vehicle_id): alert for alert in snapshot.alerts if alert.state == "open"}


def test_who_does_not_set_off_is_a_late_departure_until_he_does(line):
    engine = Engine(line.network)
    alerts = play(engine, line, {"a": None}, 3560, 3600 + 260)
    alert = alerts["late_departure", "va"]
    assert (alert.trip_id, alert.route_id, alert.late_s) == ("a", "R", 260)
    assert play(engine, line, {"a": 3880}, 3880, 4100) == {}


def test_who_waits_for_his_time_is_not_late(line):
    assert play(Engine(line.network), line, {"b": None}, 3560, 3900) == {}


def test_a_vehicle_that_falls_silent_on_its_trip_is_told_of_and_closed_when_it_is_heard_again(line):
    engine = Engine(line.network)
    play(engine, line, {"a": 3600}, 3600, 3900)
    for now_s in range(3920, 4200, 20):
        snapshot = engine.tick(line.zero_s + now_s)
    alert = open_ones(snapshot)["silent", "va"]
    assert (alert.trip_id, alert.late_s) == ("a", 280)
    assert ("silent", "va") not in play(engine, line, {"a": 3600}, 4200, 4400)


def test_a_trip_that_nobody_drives_is_missing_where_the_others_have_their_vehicles(line):
    engine = Engine(line.network)
    alerts = play(engine, line, {"a": 3600, "c": 4200}, 3600, 4700)
    alert = alerts["missing", ""]
    assert (alert.trip_id, alert.route_id, alert.direction_id) == ("b", "R", 0)
    assert alert.late_s >= 700
    assert [kind for kind, _ in play(engine, line, {"a": 3600, "c": 4200, "b": 3900}, 4720, 4900)].count("missing") == 0


def test_a_trip_that_was_driven_to_its_end_early_is_not_missing(line):
    engine = Engine(line.network)
    play(engine, line, {"a": 3600}, 3540, 3600)
    trips = {"a": 3600 - 900, "b": 3900, "c": 4200, "d": 4500}  # a is a quarter of an hour early all the way
    assert ("missing", "") not in play(engine, line, trips, 3620, 5300)
    without = {"b": 3900, "c": 4200, "d": 4500}  # and then its vehicle goes home
    assert ("missing", "") not in play(engine, line, without, 5320, 5900)


def test_of_trips_that_began_before_anybody_looked_nothing_is_said(line):
    alerts = play(Engine(line.network), line, {"a": 3600, "c": 4200}, 3920, 4900)
    assert ("missing", "") not in alerts


def test_a_line_from_which_hardly_anybody_reports_misses_nothing(line):
    alerts = play(Engine(line.network), line, {"d": 4500}, 3600, 5400)
    assert ("missing", "") not in alerts


def test_a_trip_that_is_cancelled_is_missed_by_nobody(line):
    engine = Engine(line.network)
    play(engine, line, {"a": 3600}, 3600, 3620)
    engine.cancel("b", (None, None), "dispatcher", line.zero_s + 3620)
    assert ("missing", "") not in play(engine, line, {"a": 3600, "c": 4200}, 3640, 4900)
    engine.restore("b", (None, None), line.zero_s + 4900)
    alerts = play(engine, line, {"a": 3600, "c": 4200}, 4920, 5060)
    assert alerts["missing", ""].trip_id == "b"


def test_several_missing_trips_of_a_line_are_one_alert_of_the_longest(road, pattern):
    trips = {name: 3600 + 120 * i for i, name in enumerate("abcdef")}
    dense = road(pattern(STRAIGHT, STOPS, trips, pace_s_per_m=0.6))
    engine = Engine(dense.network)
    driven = {name: trips[name] for name in "adef"}
    alerts = play(engine, dense, driven, 3600, 4700)
    assert [kind for kind, _ in alerts].count("missing") == 1
    assert alerts["missing", ""].trip_id == "b"


def test_the_first_and_the_last_trip_of_the_day_are_no_gap(line):
    """Nobody is ahead of the first, and nobody behind the last: neither has a headway that could be too long."""
    engine = Engine(line.network)
    first = play(engine, line, {"a": 3600}, 3560, 4400)
    assert not {kind for kind, _ in first} & {"gapped", "bunched"}
    last = play(Engine(line.network), line, {"c": 4200, "d": 4500}, 4160, 5600)
    assert not {kind for kind, _ in last} & {"gapped", "bunched"}
