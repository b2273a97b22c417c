"""Late fixes: what has come late corrects what was told, and never moves a vehicle back."""

import numpy as np
import pytest

from dispatch.engine import Engine
from dispatch.late import FIXES_MAX, FORGOTTEN_S, TOLD_EVERY_S

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


def departure_s(engine, line, stop):
    found = engine.passage_log.all()
    (at,) = np.flatnonzero(found.stop == stop)
    return found.departure_s[at] - line.zero_s


def stood_at(engine, line, second):
    """A vehicle that stood at 400 m from 3640 to 3660, of which the fix at `second` comes late."""
    tell(engine, line, 3641, ("1", "a", 3640, 400, 0))
    tell(engine, line, 3642, ("1", "a", 3635, 350, 0))
    tell(engine, line, 3672, ("1", "a", 3671, 600, 0))
    before_s = departure_s(engine, line, 1)
    snapshot = tell(engine, line, 3672 + TOLD_EVERY_S, ("1", "a", second, 400, 0))
    return before_s, snapshot


def test_a_late_fix_corrects_the_passages_on_both_sides_of_it(line):
    engine = Engine(line.network)
    before_s, snapshot = stood_at(engine, line, 3660)
    (vehicle,) = snapshot.vehicles
    assert (vehicle.ts, vehicle.distance_m) == (line.zero_s + 3671, 600)
    assert before_s == pytest.approx(3640 + 31 / 2, abs=2)
    assert departure_s(engine, line, 1) == pytest.approx(3660 + 11 / 2, abs=2)
    assert engine.counters["tracks_told_anew"] == 2
    assert engine.counters["fixes"] == 2
    assert not any(name.startswith("fix_refused") for name in engine.counters)


def test_a_correction_is_told_once(line):
    engine = Engine(line.network)
    stood_at(engine, line, 3660)
    written = engine.passage_log.written
    tell(engine, line, 3690, ("1", "a", 3660, 400, 0), ("1", "a", 3671, 600, 0))
    assert engine.passage_log.written == written
    assert engine.counters["fix_refused.duplicate"] == 2


@pytest.mark.parametrize(("at_s", "x_m", "reason"), [(3660, 5400, "late_teleport"), (3400, 0, "out_of_order")])
def test_what_cannot_be_or_is_too_old_is_refused_with_its_reason(line, at_s, x_m, reason):
    engine = Engine(line.network)
    stood_at(engine, line, 3660)
    wanted = departure_s(engine, line, 1)
    tell(engine, line, 3690, ("1", "a", at_s + 0.5, x_m, 0))
    assert departure_s(engine, line, 1) == wanted
    assert {name: n for name, n in engine.counters.items() if name.startswith("fix_refused")} == {
        f"fix_refused.{reason}": 1
    }


def drive(engine, line, *, until_s):
    """A vehicle a on its way at 5 m/s from 3600 on, a fix every ten seconds, but none from 3800 to 3840."""
    for second in range(3600, until_s, 10):
        if not 3800 < second < 3840:
            tell(engine, line, second + 1, ("1", "a", second, 5 * (second - 3600), 0))


def test_the_first_late_fix_of_a_vehicle_is_told_however_long_it_has_come_in_order(line):
    engine = Engine(line.network)
    drive(engine, line, until_s=3860)
    before_s, written = departure_s(engine, line, 2), engine.passage_log.written
    tell(engine, line, 3860, ("1", "a", 3820, 1005, 0))
    assert before_s == pytest.approx(3800, abs=3)
    assert departure_s(engine, line, 2) == pytest.approx(3819, abs=3)
    assert "fix_refused.out_of_order" not in engine.counters
    assert engine.passage_log.written == written + 1  # what had been told before and stands is not told again


def test_what_a_new_vehicle_did_before_its_first_fix_came_is_told(line):
    engine = Engine(line.network)
    tell(engine, line, 3661, ("1", "a", 3660, 600, 0))
    tell(engine, line, 3663, ("1", "a", 3640, 400, 0), ("1", "a", 3630, 300, 0))
    assert departure_s(engine, line, 1) == pytest.approx(3650, abs=1)


def test_a_vehicle_that_came_late_long_ago_loses_none_of_its_fixes(line):
    engine = Engine(line.network)
    tell(engine, line, 3601, ("1", "a", 3600, 0, 0))
    tell(engine, line, 3602, ("1", "a", 3599, 0, 0))
    began_s = int(3600 + FORGOTTEN_S + 100)
    for second in range(3610, began_s + 1, 10):
        tell(engine, line, second + 1, ("1", "a", second, 450, 0))
    assert len(engine.folding.late) == 0
    tell(engine, line, began_s + 41, ("1", "a", began_s + 40, 600, 0))
    tell(engine, line, began_s + 42, ("1", "a", began_s + 30, 460, 0))
    assert departure_s(engine, line, 1) == pytest.approx(began_s + 33, abs=2)


def test_a_vehicle_whose_trip_was_guessed_meanwhile_keeps_it_and_its_passages(line):
    engine = Engine(line.network)
    for second in range(3600, 3700, 5):
        tell(engine, line, second + 1, ("1", None, second, 10 * (second - 3600), 0))
    (vehicle,) = engine.look(line.zero_s + 3700).vehicles
    written = engine.passage_log.written
    (after,) = tell(engine, line, 3701, ("1", None, 3692, 920, 0)).vehicles
    assert (vehicle.trip_id, after.trip_id) == ("a", "a")
    assert engine.passage_log.written == written


def test_a_follower_keeps_its_true_leader_when_the_leader_is_told_late(line):
    engine = Engine(line.network)
    tell(engine, line, 3601, ("1", "a", 3600, 0, 0))
    tell(engine, line, 3602, ("1", "a", 3599, 0, 0))
    tell(engine, line, 3700, ("1", "a", 3700, 600, 0))
    tell(engine, line, 4000, ("1", "a", 3780, 1900, 0), ("2", "b", 3900, 0, 0), ("2", "b", 3950, 500, 0))
    before = {row.vehicle_id: row.headway_s for row in engine.look(line.zero_s + 4000).headways}["2"]
    tell(engine, line, 4001, ("1", "a", 3650, 590, 0))
    after = {row.vehicle_id: row.headway_s for row in tell(engine, line, 4006).headways}["2"]
    assert before == pytest.approx(3950 - 3683, abs=3)
    assert after == pytest.approx(3950 - 3642, abs=3)


def test_a_flood_of_late_fixes_holds_no_more_than_its_limit(line):
    engine = Engine(line.network)
    tell(engine, line, 3601, ("1", "a", 3600, 0, 0))
    tell(engine, line, 3602, ("1", "a", 3599, 0, 0))
    tell(engine, line, 3700, ("1", "a", 3700, 1000, 0))
    flood = [("1", "a", 3601 + second / 20, 10 * second / 20, 0) for second in range(1900)]
    (vehicle,) = tell(engine, line, 3701, *flood).vehicles
    assert vehicle.distance_m == 1000
    assert engine.counters["fix_refused.out_of_order"] >= 1900 - FIXES_MAX


def test_a_vehicle_that_was_put_on_another_trip_by_hand_stays_on_it(line):
    engine = Engine(line.network)
    tell(engine, line, 3641, ("1", "a", 3640, 400, 0))
    tell(engine, line, 3642, ("1", "a", 3635, 350, 0))
    tell(engine, line, 3672, ("1", "a", 3671, 600, 0))
    engine.assign("op/1", "b", None, "dispatcher", line.zero_s + 3673)
    (vehicle,) = tell(engine, line, 3680, ("1", "a", 3660, 400, 0)).vehicles
    assert vehicle.trip_id == "b"
