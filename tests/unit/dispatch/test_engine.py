"""The engine on tiny networks: a few fixes in, a headway, a passage or a refusal out."""

import msgspec
import numpy as np
import pytest

from dispatch.config import DispatchSettings
from dispatch.engine import Engine
from dispatch.observations import join

STRAIGHT = ((0, 0), (2000, 0))
STOPS = (0, 500, 1000, 1500, 2000)


@pytest.fixture
def line(road, pattern):
    """A straight road of 2 km, five stops, 10 m/s; trips a and b five minutes apart."""
    return road(pattern(STRAIGHT, STOPS, {"a": 3600, "b": 3900, "c": 7200}))


def drive(vehicle, trip, start_s, *, from_m=0, to_m=2000, every_s=10, mps=10.0, y=0.0):
    seconds = np.arange(0, (to_m - from_m) / mps + 1, every_s)
    return [(vehicle, trip, start_s + second, from_m + mps * second, y) for second in seconds]


def play(engine, road, rows, *, step_s=10):
    """Send rows in order of time, a tick every `step_s`; the last snapshot."""
    rows = sorted(rows, key=lambda row: row[2])
    first_s, last_s = rows[0][2], rows[-1][2]
    snapshot = None
    for now_s in np.arange(first_s, last_s + step_s, step_s):
        batch = [row for row in rows if now_s - step_s < row[2] <= now_s]
        if batch:
            engine.ingest(road.fixes(*batch))
        snapshot = engine.tick(road.zero_s + now_s)
    return snapshot


def passages(engine, road):
    """(vehicle, stop) -> (arrival, departure), seconds of the service day."""
    found = engine.passage_log.all()
    return {
        (engine.fleet.key[v].partition("/")[2], int(k)): tuple(np.nan_to_num((a - road.zero_s, d - road.zero_s)))
        for v, k, a, d in zip(found.vehicle, found.stop, found.arrival_s, found.departure_s, strict=True)
    }


def test_three_fixes_make_a_headway(line):
    engine = Engine(line.network)
    engine.ingest(line.fixes(("1", "a", 3620, 200, 0), ("1", "a", 3660, 600, 0), ("2", "b", 3950, 500, 0)))
    snapshot = engine.tick(line.zero_s + 3950)
    follower = next(row for row in snapshot.headways if row.vehicle_id == "2")
    assert (follower.leader_id, follower.estimated, follower.state) == ("1", False, "regular")
    assert follower.headway_s == pytest.approx(300, abs=1)
    assert follower.scheduled_headway_s == pytest.approx(300, abs=1)
    assert follower.deviation_s == pytest.approx(0, abs=1)


def test_a_vehicle_is_late_by_its_fix_against_the_timetable_at_its_place(line):
    engine = Engine(line.network)
    engine.ingest(line.fixes(("1", "a", 3650, 400, 0), ("1", "a", 3700, 700, 0)))
    (vehicle,) = engine.tick(line.zero_s + 3710).vehicles
    assert vehicle.deviation_s == pytest.approx(30, abs=0.5)
    assert (vehicle.trip_id, vehicle.distance_m, vehicle.state, vehicle.age_s) == ("a", 700, "on_trip", 10)
    assert (vehicle.next_stop_id, vehicle.next_stop_sequence, vehicle.start_date) == ("R0-2", 3, "20260713")


@pytest.mark.parametrize("every_s", [1, 5, 30])
def test_a_vehicle_that_does_not_stop_passes_where_the_line_says(line, every_s):
    engine = Engine(line.network)
    play(engine, line, drive("1", "a", 3600, from_m=-100 + 100, every_s=every_s), step_s=30)
    seen = passages(engine, line)
    for stop in (1, 2, 3):
        assert seen["1", stop] == pytest.approx((3600 + 50 * stop, 3600 + 50 * stop), abs=0.6)


@pytest.mark.parametrize("every_s", [1, 30])
def test_a_dwell_is_arrival_to_departure(line, every_s):
    def place(second):  # 10 m/s, standing at 1,000 m from 100 to 160
        return 10 * second if second < 100 else 1000 if second < 160 else 1000 + 10 * (second - 160)

    rows = [("1", "a", 3600 + s, place(s), 0) for s in range(0, 240, every_s)]
    engine = Engine(line.network)
    play(engine, line, rows, step_s=30)
    arrival_s, departure_s = passages(engine, line)["1", 2]
    assert arrival_s == pytest.approx(3700, abs=3 if every_s == 1 else 20)
    assert departure_s == pytest.approx(3760, abs=3 if every_s == 1 else 25)


def test_noise_while_standing_makes_no_second_passage(line):
    rng = np.random.default_rng(1)
    engine = Engine(line.network)
    rows = drive("1", "a", 3600, to_m=1000, every_s=1)
    rows += [("1", "a", 3700 + s, 1000 + rng.normal(0, 4), rng.normal(0, 4)) for s in range(1, 61)]
    rows += drive("1", "a", 3761, from_m=1010, every_s=1)
    play(engine, line, rows, step_s=1)
    arrival_s, departure_s = passages(engine, line)["1", 2]
    assert arrival_s == pytest.approx(3700, abs=4)
    assert departure_s == pytest.approx(3760, abs=4)


def test_no_passage_is_told_of_across_a_silence(line):
    engine = Engine(line.network)
    engine.ingest(line.fixes(("1", "a", 3610, 100, 0), ("1", "a", 3731, 1200, 0), ("1", "a", 3771, 1600, 0)))
    engine.tick(line.zero_s + 3771)
    assert sorted(stop for _, stop in passages(engine, line)) == [3]
    assert engine.tracks.refused["silence"] == 2


def test_no_passage_is_told_of_off_the_route(line):
    engine = Engine(line.network)
    rows = [(3610, 100, 0), (3640, 400, 0), (3660, 600, 90), (3680, 800, 0), (3720, 1200, 0)]
    engine.ingest(line.fixes(*(("1", "a", *row) for row in rows)))
    engine.tick(line.zero_s + 3720)
    assert sorted(stop for _, stop in passages(engine, line)) == [2]
    assert engine.tracks.refused["off_route"] == 1
    assert engine.tracks.off_route == 1


def test_an_unknown_trip_is_counted_and_treated_as_none(line):
    engine = Engine(line.network)
    engine.ingest(line.fixes(("1", "nonsense", 3000, 5000, 5000)))
    (vehicle,) = engine.tick(line.zero_s + 3000).vehicles
    assert (vehicle.state, vehicle.trip_id, vehicle.assigned) == ("unassigned", None, None)
    assert engine.counters["claim_refused.unknown_trip"] == 1


def test_a_vehicle_without_a_trip_is_listed_at_once(line):
    engine = Engine(line.network)
    engine.ingest(line.fixes(("1", None, 3000, 9000, 9000)))
    (vehicle,) = engine.tick(line.zero_s + 3000).vehicles
    assert (vehicle.vehicle_id, vehicle.operator_id, vehicle.state) == ("1", "op", "unassigned")


def test_an_older_fix_never_moves_a_vehicle_back(line):
    engine = Engine(line.network)
    engine.ingest(line.fixes(("1", "a", 3660, 600, 0)))
    engine.tick(line.zero_s + 3660)
    engine.ingest(line.fixes(("1", "a", 3650, 500, 0), ("1", "a", 3660, 999, 0)))
    (vehicle,) = engine.tick(line.zero_s + 3661).vehicles
    assert (vehicle.distance_m, vehicle.ts) == (600, line.zero_s + 3660)
    assert (engine.counters["tracks_told_anew"], engine.counters["fix_refused.duplicate"]) == (1, 1)
    assert "fix_refused.out_of_order" not in engine.counters


def test_shuffled_and_repeated_input_ends_in_the_same_state(line):
    rows = drive("1", "a", 3600) + drive("2", "b", 3900, to_m=1500)
    clean = Engine(line.network)
    clean.ingest(line.fixes(*rows))
    wanted = clean.tick(line.zero_s + 4060)
    mixed = Engine(line.network)
    order = np.random.default_rng(5).permutation(len(rows) * 3) % len(rows)
    mixed.ingest(line.fixes(*(rows[i] for i in order)))
    found = mixed.tick(line.zero_s + 4060)
    assert sorted(found.vehicles, key=lambda row: row.vehicle_id) == wanted.vehicles
    assert [row.headway_s for row in found.headways] == [row.headway_s for row in wanted.headways]
    assert passages(mixed, line) == passages(clean, line)


def test_who_has_overtaken_keeps_the_distance_the_two_were_given(line):
    engine = Engine(line.network)
    rows = drive("2", "b", 3780) + drive("1", "a", 3794, to_m=1900)  # "a" is due 300 s before "b"
    overtaken = next(row for row in play(engine, line, rows).headways if row.vehicle_id == "1")
    assert (overtaken.leader_id, overtaken.state) == ("2", "bunched")
    assert overtaken.headway_s == pytest.approx(14, abs=1)
    assert overtaken.scheduled_headway_s == pytest.approx(300, abs=1)
    assert overtaken.deviation_s == pytest.approx(-286, abs=1)


def test_an_unseen_leader_is_estimated_by_the_timetable_and_said_so(line):
    engine = Engine(line.network)
    engine.ingest(line.fixes(("1", "a", 3960, 1600, 0), ("2", "b", 3960, 600, 0)))
    snapshot = engine.tick(line.zero_s + 3960)
    first, second = sorted(snapshot.headways, key=lambda row: row.vehicle_id)
    assert (first.leader_id, first.state) == (None, "unknown")
    assert (second.leader_id, second.estimated, second.headway_s, second.gap_m) == ("1", True, 100, 1000)
    assert second.scheduled_headway_s == 300


def test_the_leader_may_drive_another_pattern_that_shares_the_road(road, pattern):
    fork = road(
        pattern(((0, 0), (1000, 0), (2000, 0)), STOPS, {"a": 3600}),
        pattern(((0, 0), (1000, 0), (1000, 1000)), STOPS, {"b": 3900}),
    )
    engine = Engine(fork.network)
    rows = drive("1", "a", 3600) + drive("2", "b", 3880, to_m=800)
    follower = next(row for row in play(engine, fork, rows).headways if row.vehicle_id == "2")
    assert (follower.leader_id, follower.estimated) == ("1", False)
    assert follower.headway_s == pytest.approx(280, abs=2)
    assert follower.scheduled_headway_s == pytest.approx(300, abs=2)


def test_after_the_fork_the_branches_do_not_follow_each_other(road, pattern):
    fork = road(
        pattern(((0, 0), (1000, 0), (2000, 0)), STOPS, {"a": 3600, "x": 3500}),
        pattern(((0, 0), (1000, 0), (1000, 1000)), STOPS, {"b": 3900}),
    )
    engine = Engine(fork.network)
    rows = drive("1", "a", 3600) + drive("2", "b", 3880, to_m=1600)
    rows = [(*row[:3], min(row[3], 1000), max(0, row[3] - 1000)) if row[0] == "2" else row for row in rows]
    snapshot = play(engine, fork, rows)
    follower = next(row for row in snapshot.headways if row.vehicle_id == "2")
    assert (follower.leader_id, follower.state) == (None, "unknown")


def test_the_other_direction_is_no_leader(road, pattern):
    both = road(
        pattern(STRAIGHT, STOPS, {"a": 3600}),
        pattern(STRAIGHT[::-1], STOPS, {"b": 3600}, direction=1),
    )
    engine = Engine(both.network)
    rows = drive("1", "a", 3600) + [("2", "b", s, 2000 - x, y) for _, _, s, x, y in drive("2", "b", 3600, to_m=1500)]
    assert {row.leader_id for row in play(engine, both, rows).headways} == {None}


def test_bunched_vehicles_raise_one_alert_that_closes_when_it_is_over(line):
    engine = Engine(line.network)
    rows = drive("1", "a", 3600, mps=5) + drive("2", "b", 3640, mps=5, to_m=1900)
    snapshot = play(engine, line, rows)
    (alert,) = snapshot.alerts
    assert (alert.kind, alert.state, alert.vehicle_id, alert.leader_id) == ("bunched", "open", "2", "1")
    assert alert.headway_s == pytest.approx(40, abs=3)
    engine.acknowledge(alert.id, "anna", line.zero_s + 4000)
    for now_s in range(4021, 4300, 20):
        snapshot = engine.tick(line.zero_s + now_s)
    (over,) = [alert for alert in snapshot.alerts if alert.kind == "bunched"]
    assert (over.id, over.state, over.acknowledged_by) == (alert.id, "closed", "anna")


def test_the_block_goes_on_with_its_next_trip(road, pattern):
    two = road(
        pattern(STRAIGHT, STOPS, {"a": 3600}, blocks={"a": "B"}),
        pattern(STRAIGHT[::-1], STOPS, {"b": 4000}, direction=1, blocks={"b": "B"}),
    )
    engine = Engine(two.network)
    claim = (None, None, None, None, None, "B")
    rows = drive("1", claim, 3600) + [("1", claim, 3810 + s, 2000, 0) for s in range(0, 200, 10)]
    waiting = play(engine, two, rows).vehicles[0]
    assert (waiting.trip_id, waiting.state, waiting.deviation_s, waiting.direction_id) == ("b", "layover", 0, 1)
    rows = [("1", claim, 4020 + s, 2000 - 10 * s, 0) for s in range(0, 100, 10)]
    away = play(engine, two, rows).vehicles[0]
    assert (away.trip_id, away.state) == ("b", "on_trip")
    assert away.deviation_s == pytest.approx(20, abs=1)


def test_a_late_vehicle_leaves_late_only_as_far_as_the_layover_does_not_absorb_it(road, pattern):
    two = road(
        pattern(STRAIGHT, STOPS, {"a": 3600}, blocks={"a": "B"}),
        pattern(STRAIGHT[::-1], STOPS, {"b": 4000}, direction=1, blocks={"b": "B"}),
    )

    def next_trip(late_s):
        engine = Engine(two.network)
        snapshot = play(engine, two, drive("1", "a", 3600 + late_s, to_m=1000))
        return next(update for update in snapshot.trip_updates if update.trip_id == "b").stops[0].delay_s

    assert next_trip(100) == 0  # arrives at 3,900, turns by 3,960
    assert next_trip(200) == pytest.approx(60, abs=2)  # arrives at 4,000, turns by 4,060


def test_a_trip_is_dropped_after_its_end(line):
    engine = Engine(line.network)
    rows = drive("1", "a", 3600) + [("1", "a", 3810 + s, 2000, 0) for s in range(0, 200, 10)]
    (vehicle,) = play(engine, line, rows).vehicles
    assert (vehicle.state, vehicle.trip_id) == ("unassigned", None)
    assert engine.counters["trips_ended"] == 1


def test_a_trip_past_midnight_belongs_to_the_day_before(road, pattern):
    late = road(pattern(STRAIGHT, STOPS, {"night": 90_000}))
    engine = Engine(late.network)
    play(engine, late, drive("1", "night", 90_030, to_m=1000))
    (vehicle,) = engine.tick(late.zero_s + 90_131).vehicles
    assert (vehicle.start_date, vehicle.trip_id) == ("20260713", "night")
    assert vehicle.deviation_s == pytest.approx(30, abs=1)


def test_a_clock_a_day_off_is_no_reason_to_drive_yesterdays_trip(line):
    engine = Engine(line.network)
    claim = ("a", None, None, "20260710", None, None)
    engine.ingest(line.fixes(("1", claim, 3650, 500, 0)))
    (vehicle,) = engine.tick(line.zero_s + 3650).vehicles
    assert vehicle.start_date in {None, "20260713"}
    assert engine.counters["claim_refused.trip_not_due"] == 1


def test_a_vehicle_that_jumps_five_kilometres_is_off_its_route_until_it_is_back(line):
    engine = Engine(line.network)
    engine.ingest(line.fixes(("1", "a", 3650, 500, 0), ("1", "a", 3660, 5600, 5000)))
    (vehicle,) = engine.tick(line.zero_s + 3660).vehicles
    assert (vehicle.state, vehicle.distance_m, vehicle.deviation_s) == ("off_route", None, None)
    assert vehicle.off_route_m > 5000
    engine.ingest(line.fixes(("1", "a", 3670, 700, 0)))
    (vehicle,) = engine.tick(line.zero_s + 3670).vehicles
    assert (vehicle.state, vehicle.distance_m) == ("on_trip", 700)


def test_a_silent_vehicle_is_said_to_be_silent_and_not_moved(line):
    engine = Engine(line.network, DispatchSettings(forget_s=600))
    engine.ingest(line.fixes(("1", "a", 3650, 500, 0)))
    engine.tick(line.zero_s + 3650)
    (vehicle,) = engine.tick(line.zero_s + 3800).vehicles
    assert (vehicle.state, vehicle.distance_m, vehicle.age_s) == ("silent", 500, 150)
    assert engine.tick(line.zero_s + 4251).vehicles == []


def test_a_loop_is_driven_once_around(road, pattern):
    square = ((0, 0), (500, 0), (500, 500), (0, 500), (0, 0))
    loop = road(pattern(square, (0, 500, 1000, 1500, 2000), {"a": 3600}, stops=("A", "B", "C", "D", "A")))
    corner = np.array(square, dtype=float)
    rows = []
    for second in range(0, 201, 5):
        leg, gone = divmod(10 * second, 500)
        here = corner[min(leg, 3)] + (corner[min(leg, 3) + 1] - corner[min(leg, 3)]) * (gone / 500 if leg < 4 else 1)
        rows.append(("1", "a", 3600 + second, *here.tolist()))
    engine = Engine(loop.network)
    play(engine, loop, rows)
    seen = passages(engine, loop)
    assert sorted(stop for _, stop in seen) == [0, 1, 2, 3, 4]
    assert seen["1", 3][1] == pytest.approx(3750, abs=1)


def test_the_way_back_on_the_same_road_counts_its_own_stops(road, pattern):
    there_and_back = road(pattern(((0, 0), (1000, 0), (0, 0)), (0, 400, 1000, 1600, 2000), {"a": 3600}))
    rows = [("1", "a", 3600 + s, 10 * s if s <= 100 else 2000 - 10 * s, 0) for s in range(0, 201, 10)]
    engine = Engine(there_and_back.network)
    play(engine, there_and_back, rows)
    seen = passages(engine, there_and_back)
    assert seen["1", 1][1] == pytest.approx(3640, abs=1)
    assert seen["1", 3][1] == pytest.approx(3760, abs=1)


def test_a_stop_passed_on_the_way_to_the_layover_does_not_count(line):
    engine = Engine(line.network)
    rows = drive("1", "c", 5400, to_m=600) + [("1", "c", 5470 + s, 600, 0) for s in range(0, 1600, 30)]
    rows += [("1", "c", 7100, 300, 0), ("1", "c", 7150, 0, 0), *drive("1", "c", 7210)]
    play(engine, line, rows)
    assert passages(engine, line)["1", 1][1] == pytest.approx(7260, abs=2)


def test_a_full_inbox_keeps_the_newest_of_each_vehicle(line):
    engine = Engine(line.network, DispatchSettings(inbox_fixes_max=10))
    engine.ingest(line.fixes(*drive("1", "a", 3600, to_m=500)))
    engine.ingest(line.fixes(*drive("2", "b", 3900, to_m=500)))
    (one, two) = engine.tick(line.zero_s + 3950).vehicles
    assert (one.distance_m, two.distance_m) == (500, 500)
    assert engine.counters["fix_refused.inbox_full"] == 10


def test_events_sign_on_and_off_and_raise_an_alarm(line):
    engine = Engine(line.network)
    engine.event({"vehicle_key": "op/1", "ts_s": 0.0, "event": "sign_on", "trip_id": "a"})
    engine.ingest(line.fixes(("1", None, 3650, 500, 0)))
    assert engine.tick(line.zero_s + 3650).vehicles[0].trip_id == "a"
    engine.event({"vehicle_key": "op/1", "ts_s": 0.0, "event": "alarm"})
    engine.ingest(line.fixes(("1", None, 3660, 600, 0)))
    snapshot = engine.tick(line.zero_s + 3660)
    assert (snapshot.vehicles[0].trip_id, snapshot.vehicles[0].distance_m) == ("a", 600)
    assert [alert.kind for alert in snapshot.alerts] == ["alarm"]
    assert b"alarm" not in snapshot.alerts_json(public=True)
    alert = snapshot.alerts[0]
    snapshot.alerts[0] = msgspec.structs.replace(alert, kind="bunched", acknowledged_by="desk1", closed_by="desk2")
    assert b"desk" in snapshot.alerts_json()
    assert b"desk" not in snapshot.alerts_json(public=True)
    engine.event({"vehicle_key": "op/1", "ts_s": 0.0, "event": "sign_off"})
    assert engine.tick(line.zero_s + 3661).vehicles[0].trip_id is None


def test_a_trip_is_inferred_where_none_is_given(line):
    engine = Engine(line.network)
    (vehicle,) = play(engine, line, drive("1", None, 3620, to_m=1500)).vehicles
    assert (vehicle.trip_id, vehicle.assigned) == ("a", "inferred")
    assert vehicle.deviation_s == pytest.approx(20, abs=1)


def test_a_vehicle_ten_kilometres_away_is_given_no_trip(line):
    engine = Engine(line.network)
    rows = [("1", None, 3600 + s, 10_000, 10_000) for s in range(0, 100, 10)]
    assert play(engine, line, rows).vehicles[0].state == "unassigned"


def test_a_vehicle_against_the_direction_is_given_no_trip(line):
    engine = Engine(line.network)
    rows = [("1", None, s, 2000 - x, y) for _, _, s, x, y in drive("1", None, 3600)]
    assert play(engine, line, rows).vehicles[0].trip_id is None


def test_a_claim_that_came_too_early_is_looked_at_again(line):
    engine = Engine(line.network)
    rows = [("1", "c", second, 0, 0) for second in range(-1800, 2000, 60)]  # trip c starts at 7,200
    early = play(engine, line, rows[:5], step_s=60).vehicles[0]
    assert (early.trip_id, engine.counters["claim_refused.trip_not_due"]) == (None, 1)
    assert play(engine, line, rows[5:], step_s=60).vehicles[0].trip_id == "c"


def test_a_frequent_trip_without_a_start_time_is_the_one_it_fits_best(road, pattern):
    frequent = road(pattern(STRAIGHT, STOPS, {"f": 0}), frequencies=[("f", 3600, 7200, 300, False)])
    engine = Engine(frequent.network)
    snapshot = play(engine, frequent, drive("1", "f", 4240, from_m=300, to_m=1000))
    (vehicle,) = snapshot.vehicles
    assert vehicle.deviation_s == pytest.approx(10, abs=1)  # the departure of 4,200, 300 m on
    assert (vehicle.start_date, snapshot.trip_updates[0].start_time) == ("20260713", "01:10:00")


def test_frequent_trips_are_held_to_the_headway_of_their_row(road, pattern):
    frequent = road(pattern(STRAIGHT, STOPS, {"f": 0}), frequencies=[("f", 3600, 7200, 300, False)])
    engine = Engine(frequent.network)
    one, two = (("f", None, None, "20260713", start, None) for start in ("01:00:00", "01:05:00"))
    rows = drive("1", one, 3600) + drive("2", two, 3870, to_m=1000)
    snapshot = play(engine, frequent, rows)
    follower = next(row for row in snapshot.headways if row.vehicle_id == "2")
    assert follower.scheduled_headway_s == 300
    assert follower.headway_s == pytest.approx(270, abs=2)
    assert {update.start_time for update in snapshot.trip_updates} >= {"01:05:00"}


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e308, -1e308])
@pytest.mark.parametrize("column", ["ts_s", "lat_deg", "lon_deg"])
def test_a_fix_that_is_no_fix_is_refused_and_counted(line, column, bad):
    engine = Engine(line.network)
    fixes = line.fixes(("1", "a", 3650, 500, 0), ("2", "b", 3950, 500, 0))
    getattr(fixes, column)[0] = bad
    engine.ingest(fixes)
    snapshot = engine.tick(line.zero_s + 3950)
    assert [row.vehicle_id for row in snapshot.vehicles] == ["2"]
    assert engine.counters["fix_refused.implausible"] == 1


@pytest.mark.parametrize("bad", [np.inf, -np.inf, 1e308, -1.0])
def test_a_speed_or_bearing_that_is_none_does_not_move_anything(line, bad):
    engine = Engine(line.network)
    fixes = line.fixes(("1", "a", 3640, 400, 0), ("1", "a", 3650, 500, 0))
    fixes.speed_mps[:], fixes.bearing_deg[:] = bad, bad
    engine.ingest(fixes)
    assert engine.tick(line.zero_s + 3650).vehicles[0].distance_m == pytest.approx(500)


@pytest.mark.parametrize(
    "claim",
    [
        ("", "", 7, "", "", ""),
        ("a", None, None, "99999999", "xx:yy", None),
        ("a", "r" * 10_000, -5, "20260230", "1:2", "b"),
        (None, "R", 1, None, None, "no such block"),
    ],
)
def test_a_claim_of_nonsense_is_no_obstacle(line, claim):
    engine = Engine(line.network)
    engine.ingest(line.fixes(("1", claim, 3650, 500, 0)))
    assert len(engine.tick(line.zero_s + 3650).vehicles) == 1


def test_events_of_nobody_are_counted(line):
    engine = Engine(line.network)
    for event in (
        {},
        {"event": "alarm"},
        {"vehicle_key": None, "event": "alarm"},
        {"vehicle_key": "op/1", "event": []},
    ):
        engine.event(event)
    assert engine.tick(line.zero_s).alerts == []
    assert engine.counters["fix_refused.event_without_vehicle"] == 3


def test_joined_batches_keep_their_order(line):
    one, two = line.fixes(("1", "a", 1, 0, 0)), line.fixes(("2", "b", 2, 5, 0))
    both = join([one, two])
    assert both.vehicle_key == ["op/1", "op/2"]
    assert len(both.take(np.array([1]))) == 1
