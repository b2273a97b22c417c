"""Running times: slow roads are learnt from who has driven them, and what was learnt survives as bytes."""

import io

import numpy as np
import pytest

from dispatch.lines import draw_lines
from dispatch.passages import Passages
from dispatch.pull import Outcomes
from dispatch.running import RunningTimes, Step
from dispatch.running_file import restore, to_bytes

STRAIGHT = ((0, 0), (2000, 0))
STOPS = (0, 500, 1000, 1500, 2000)
TRIPS = {f"t{i}": 3600 + 300 * i for i in range(12)}


@pytest.fixture
def line(road, pattern):
    """A straight road of 2 km, five stops 50 s apart, a trip every five minutes."""
    return road(pattern(STRAIGHT, STOPS, TRIPS))


def times_of(road):
    return RunningTimes(road.network, draw_lines(road.network).pattern_line)


def drive(road, running, trip, slow_s, *, trips=TRIPS):
    """One trip on which the leg to stop 2 takes `slow_s` longer than planned."""
    index, start_s = road.network.trip_id.index(trip), trips[trip]
    at_s = road.zero_s + start_s + 50.0 * np.arange(5) + np.where(np.arange(5) >= 2, slow_s, 0.0)
    each = np.full(5, index, dtype=np.int32)
    stop = np.arange(5, dtype=np.int32)
    running.learn(Passages(each, each, np.full(5, road.zero_s), stop, at_s, at_s), float(at_s[-1]))
    return float(at_s[-1])


def test_nothing_learnt_is_the_timetable(line):
    outlook = times_of(line).outlook(line.zero_s)
    assert not np.any((outlook.rate, outlook.run_s, outlook.dwell_s))


def test_a_slow_road_is_learnt_and_told_apart_from_the_others(line):
    running = times_of(line)
    for trip in TRIPS:
        now_s = drive(line, running, trip, 40.0)
    outlook = running.outlook(now_s)
    beyond_s = outlook.run_s + outlook.rate * 50.0
    assert beyond_s[2] == pytest.approx(40.0, abs=6.0)
    assert np.abs(np.delete(beyond_s, (0, 2))).max() < 6.0


def test_one_breakdown_is_not_what_a_road_is_like(line):
    running = times_of(line)
    for trip in TRIPS:
        now_s = drive(line, running, trip, 1200.0 if trip == "t11" else 0.0)
    outlook = running.outlook(now_s)
    assert np.abs(outlook.run_s + outlook.rate * 50.0).max() < 1200.0 / 20


def test_what_was_believed_wrongly_is_given_up(line):
    """A rate that has run away (a timetable in steps once made it so) comes back to what vehicles take."""
    running = times_of(line)
    running.run[0].total[:], running.run[0].weight[:] = 800.0, 100.0
    for trip in TRIPS:
        now_s = drive(line, running, trip, 0.0)
    outlook = running.outlook(now_s + 7200.0)
    assert np.abs(outlook.run_s + outlook.rate * 50.0).max() < 25.0


def test_a_timetable_in_steps_does_not_run_away(road, pattern):
    """Legs of 0 s and then one of 400 s, driven evenly: together they take what they take."""
    stops = tuple(range(0, 5500, 500))
    steps = road(pattern(((0, 0), (5000, 0)), stops, {f"t{i}": 3600 + 600 * i for i in range(40)}))
    network = steps.network
    for column in (network.arrival_s, network.departure_s):
        late = (column - column[network.trip_time_start[:-1]].repeat(len(stops))) >= 250
        column[:] = column[network.trip_time_start[:-1]].repeat(len(stops)) + np.where(late, 500, 0)
    running = times_of(steps)
    each, stop = np.zeros(len(stops), dtype=np.int32), np.arange(len(stops), dtype=np.int32)
    for trip in range(40):
        at_s = steps.zero_s + 3600.0 + 600 * trip + 50.0 * stop
        running.learn(Passages(each, each + trip, np.full(len(stops), steps.zero_s), stop, at_s, at_s), float(at_s[-1]))
    outlook = running.outlook(float(at_s[-1]))
    leg_s = np.diff(network.arrival_s[: len(stops)], prepend=network.arrival_s[0])
    assert leg_s + outlook.rate * leg_s + outlook.run_s == pytest.approx(np.r_[0, np.full(10, 50.0)], abs=25.0)


def test_a_leg_is_known_only_where_both_its_ends_were_seen(line):
    running = times_of(line)
    at_s = np.array([line.zero_s + 3600.0, line.zero_s + 3700.0])
    each, stop = np.zeros(2, dtype=np.int32), np.array([0, 2], dtype=np.int32)
    running.learn(Passages(each, each, np.full(2, line.zero_s), stop, at_s, at_s), float(at_s[-1]))
    assert running.legs_learnt == 0


def test_a_leg_may_end_in_a_later_batch(line):
    running = times_of(line)
    each, zero_s = np.zeros(1, dtype=np.int32), np.array([line.zero_s])
    for stop in (0, 1):
        at_s = np.array([line.zero_s + 3600.0 + 60 * stop])
        running.learn(Passages(each, each, zero_s, np.full(1, stop, dtype=np.int32), at_s, at_s), float(at_s[0]))
    assert running.legs_learnt == 1


def test_groups_that_are_alike_are_drawn_together_and_others_are_not():
    rng = np.random.default_rng(3)
    group = np.tile(np.arange(50, dtype=np.int32), 24)
    one = np.ones(50)
    alike, unlike = Step(50, 1e9), Step(50, 1e9)
    centre = rng.normal(0.0, 30.0, 50)
    for part in np.split(group, 24):
        alike.add(part, rng.normal(0.0, 10.0, 50), one, 0.0)
        unlike.add(part, centre[part] + rng.normal(0.0, 10.0, 50), one, 0.0)
    everywhere = np.arange(50, dtype=np.int32)
    assert np.abs(alike.estimate(everywhere, 0.0)).mean() < 2.5
    assert np.abs(unlike.estimate(everywhere, 0.0) - centre).mean() < 5.0


def test_what_was_learnt_survives_a_restart_and_a_change_of_the_feed(line, road, pattern):
    running = times_of(line)
    for trip in TRIPS:
        now_s = drive(line, running, trip, 40.0)
    again = times_of(line)
    assert restore(again, to_bytes(running)) == 5
    assert np.array_equal(again.outlook(now_s).run_s, running.outlook(now_s).run_s)
    stops = ("R0-1", "R0-2", "R0-3", "new")
    changed = times_of(road(pattern(STRAIGHT, STOPS[:4], {"x": 3600}, stops=stops)))
    assert restore(changed, to_bytes(running)) == 2
    assert changed.outlook(now_s).run_s[1] == running.outlook(now_s).run_s[2]


def test_the_scatter_of_predictions_survives_by_line_and_older_files_are_read_without_it(line, road, pattern):
    running = times_of(line)
    drive(line, running, "t0", 40.0)
    one = np.zeros(500, dtype=np.int32)
    running.scatter.add(one, one, np.full(500, 100.0), np.full(500, 300.0), line.zero_s + 4000.0)
    again, old = times_of(line), times_of(line)
    restore(again, to_bytes(running))
    at = (0, np.zeros(1, dtype=np.int32), np.full(1, 100.0))
    assert again.scatter.uncertainty_s(*at) == running.scatter.uncertainty_s(*at)
    restore(old, as_before(to_bytes(running)))
    assert old.legs_learnt == 0
    assert old.scatter.counts.sum() == 0
    assert np.array_equal(old.run[1].total, running.run[1].total)


def test_the_pull_survives_by_line_and_older_files_are_read_without_it(line, road, pattern):
    running = times_of(line)
    teach_pull(running, line.zero_s + 4000.0)
    other, again, old = times_of(road(pattern(STRAIGHT, STOPS, {"x": 3600}, route="S"))), times_of(line), times_of(line)
    at = (np.zeros(1, dtype=np.int32), np.full(1, 600.0), np.full(1, 100.0), np.full(1, 20.0))
    restore(again, to_bytes(running))
    assert again.pull.drawn_s(*at) == running.pull.drawn_s(*at) < -15.0
    restore(other, to_bytes(running))
    assert np.array_equal(other.pull.shares[0], running.pull.shares[-1])  # a new line is like all others
    restore(old, as_before(to_bytes(running), "takt-running-2", ("pull",)))
    assert not old.pull.sums.squares.any()
    assert np.array_equal(old.scatter.counts, running.scatter.counts)


@pytest.mark.parametrize("damage", [lambda sums: sums.squares.__imul__(-1), lambda sums: sums.products.fill(np.nan)])
def test_a_pull_that_cannot_be_is_refused_with_all_the_rest(line, damage):
    running, again = times_of(line), times_of(line)
    teach_pull(running, line.zero_s + 4000.0)
    damage(running.pull.sums)
    before = to_bytes(again)
    with pytest.raises(ValueError, match="pull"):
        restore(again, to_bytes(running))
    assert to_bytes(again) == before


def teach_pull(running, now_s):
    """Predictions ten minutes ahead of vehicles that made up a quarter of their delay."""
    delay_s = np.linspace(-200.0, 200.0, 400)
    line, each, none = np.zeros(400, dtype=np.int32), np.ones(400), np.zeros(400)
    running.pull.add(Outcomes(line, 600.0 * each, delay_s, none, none, -0.25 * delay_s, 20.0 * each), now_s)
    running.scatter.add(line, line, 600.0 * each, none, now_s)


def as_before(data, version="takt-running-1", without=("scatter", "surprises", "pull")):
    """The same file as a version before would have written it."""
    with np.load(io.BytesIO(data)) as file:
        columns = {name: file[name] for name in file.files if not name.startswith(without)}
    out = io.BytesIO()
    np.savez_compressed(out, **columns | {"format": np.array(version)})
    return out.getvalue()


@pytest.mark.parametrize("spoil", [lambda data: b"", lambda data: data[:-40], lambda data: b"x" * 100])
def test_spoiled_bytes_are_refused_and_change_nothing(line, spoil):
    running = times_of(line)
    drive(line, running, "t0", 40.0)
    before = to_bytes(running)
    with pytest.raises(ValueError, match="running times"):
        restore(running, spoil(before))
    assert to_bytes(running) == before
