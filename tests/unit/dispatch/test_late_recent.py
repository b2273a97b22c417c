"""What is kept of the fleet's last minutes: bounded, told to nobody whom it does not fit, and gone with its network."""

import pytest

from dispatch import recent
from dispatch.engine import Engine

STRAIGHT = ((0, 0), (2000, 0))
STOPS = (0, 500, 1000, 1500, 2000)


@pytest.fixture
def line(road, pattern):
    """A straight road of 2 km, five stops, 10 m/s; trips a and b five minutes apart."""
    return road(pattern(STRAIGHT, STOPS, {"a": 3600, "b": 3900}))


def tell(engine, line, now_s, *rows):
    if rows:
        engine.ingest(line.fixes(*rows))
    return engine.tick(line.zero_s + now_s)


def passed(engine, line, trip):
    """Stop and second of departure (of arrival at the last stop) of a trip's passages."""
    found = engine.passage_log.all().take(engine.passage_log.all().trip == line.network.trip_id.index(trip))
    left = zip(found.stop.tolist(), found.arrival_s.tolist(), found.departure_s.tolist(), strict=True)
    return {stop: (arrival_s if stop == len(STOPS) - 1 else at_s) - line.zero_s for stop, arrival_s, at_s in left}


def test_no_more_is_kept_than_its_bound_and_what_is_too_old_for_it_is_refused(line, monkeypatch):
    monkeypatch.setattr(recent, "FIXES_MAX", 20)
    engine = Engine(line.network)
    for second in range(3600, 3760, 2):
        if second != 3740:
            tell(engine, line, second + 1, ("1", "a", second, 10 * (second - 3600), 0))
            assert engine.folding.late.recent.size <= 20 + 2
    written = engine.passage_log.written
    tell(engine, line, 3760, ("1", "a", 3681, 900, 0))
    assert engine.counters["fix_refused.out_of_order"] == 1
    (vehicle,) = tell(engine, line, 3761, ("1", "a", 3740, 1395, 0)).vehicles
    assert (vehicle.trip_id, vehicle.distance_m) == ("a", 1580)
    assert engine.counters["tracks_told_anew"] == 1
    assert engine.passage_log.written == written


def test_of_many_vehicles_late_at_once_only_some_are_looked_up(line, monkeypatch):
    monkeypatch.setattr(recent, "FIXES_AT_ONCE", 25)
    engine = Engine(line.network)
    keys = [str(number) for number in range(10)]
    for second in range(3600, 3700, 10):
        tell(engine, line, second + 1, *((key, "a", second, 10 * (second - 3600), 0) for key in keys))
    tell(engine, line, 3701, *((key, "a", 3655, 550, 0) for key in keys))
    assert (engine.counters["tracks_told_anew"], engine.counters["fix_refused.out_of_order"]) == (3, 7)
    tell(engine, line, 3712, *((key, "a", 3710, 1100, 0) for key in keys))
    tell(engine, line, 3713, *((key, "a", 3705, 1050, 0) for key in keys))
    assert (engine.counters["tracks_told_anew"], engine.counters["fix_refused.out_of_order"]) == (13, 7)


def test_a_fleet_that_reports_in_order_is_followed_without_any_memory_of_its_own(line):
    engine = Engine(line.network)
    for second in range(3600, 3790, 5):
        tell(engine, line, second + 1, ("1", "a", second, 10 * (second - 3600), 0))
    assert len(engine.folding.late) == 0


def test_what_a_vehicle_claimed_and_when_is_told_with_its_fixes(line):
    engine = Engine(line.network)
    tell(engine, line, 3771, ("1", "a", 3770, 1700, 0))
    tell(engine, line, 3831, ("1", "a", 3830, 1990, 0))
    tell(engine, line, 3901, ("1", "b", 3900, 0, 0))
    tell(engine, line, 3931, ("1", "b", 3930, 300, 0))
    before = passed(engine, line, "a")
    (vehicle,) = tell(engine, line, 3941, ("1", "a", 3800, 1990, 0)).vehicles
    after = passed(engine, line, "a")
    assert (vehicle.trip_id, vehicle.distance_m) == ("b", 300)
    assert engine.counters["tracks_told_anew"] == 1
    assert before[4] == pytest.approx(3770 + 275 / 290 * 60 + 5, abs=2)
    assert after[4] == pytest.approx(3770 + 275 / 290 * 30 + 5, abs=2)


def test_nothing_from_before_a_switch_is_told_on_the_new_network(line):
    engine = Engine(line.network)
    tell(engine, line, 3601, ("1", "a", 3600, 0, 0))
    tell(engine, line, 3661, ("1", "a", 3660, 600, 0))
    assert engine.switch(line.network) == 1
    (vehicle,) = tell(engine, line, 3662, ("1", "a", 3640, 400, 0)).vehicles
    assert (vehicle.trip_id, vehicle.distance_m) == ("a", 600)
    assert engine.counters["fix_refused.out_of_order"] == 1
