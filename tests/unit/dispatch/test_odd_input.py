"""The odd things that a city sends, through the gateway's rules and the engine: each with its answer."""

import numpy as np
import pytest

from dispatch.engine import Engine
from gateway.admission import Limits, Memory, Outcome, admit

LENGTH_M = 12_000
STRAIGHT = ((0, 0), (LENGTH_M, 0))
STOPS = tuple(range(0, LENGTH_M + 1, 1000))
DAY_S = 86_400


class Door:
    """Fixes as vehicles send them, judged as the gateway does, folded as dispatch does; a tick after each."""

    def __init__(self, line):
        self.line, self.engine, self.memory = line, Engine(line.network), Memory()
        self.outcomes = []

    def send(self, *rows, now_s):
        fixes = self.line.fixes(*rows)
        judged = admit(fixes, self.memory, self.line.zero_s + now_s, Limits())
        self.outcomes += [Outcome(code).name.lower() for code in judged.outcome]
        if judged.mask.any():
            self.engine.ingest(fixes.take(np.flatnonzero(judged.mask)))
        return {row.vehicle_id: row for row in self.engine.tick(self.line.zero_s + now_s).vehicles}

    def passed(self):
        return sorted(self.engine.passage_log.all().stop.tolist())


@pytest.fixture
def door(road, pattern):
    """A road of 12 km at 10 m/s with a stop at every kilometre; trips a and b ten minutes apart."""
    return Door(road(pattern(STRAIGHT, STOPS, {"a": 3600, "b": 4200})))


def drive(door, vehicle, trip, from_s, to_s, *, ahead_m=0, every_s=10):
    found = {}
    for second in range(from_s, to_s + 1, every_s):
        start_s = 3600 if trip == "a" else 4200
        found = door.send((vehicle, trip, second, 10 * (second - start_s) + ahead_m, 0), now_s=second)
    return found


def test_one_fix_that_jumps_5_km_is_refused_and_the_vehicle_stays_where_it_was(door):
    drive(door, "1", "a", 3600, 3800)
    found = door.send(("1", "a", 3810, 7100, 0), now_s=3810)
    assert door.outcomes[-1] == "teleport"
    assert found["1"].distance_m == 2000
    found = drive(door, "1", "a", 3820, 3850)
    assert found["1"].distance_m == 2500
    assert door.passed() == [0, 1, 2]


def test_a_vehicle_that_stays_5_km_further_is_believed_but_no_passage_is_made_up_on_the_way(door):
    drive(door, "1", "a", 3600, 3800)
    found = drive(door, "1", "a", 3810, 3960, ahead_m=5000)
    assert door.outcomes[21:26] == ["teleport"] * 3 + ["admitted"] * 2
    assert found["1"].distance_m == 8600
    assert door.passed() == [0, 1, 8]
    assert door.engine.tracks.refused["jump"] == 6


def test_two_vehicles_with_one_id_are_not_one_that_flies(door):
    found = {}
    for second in range(3600, 3900, 10):
        x_m = 10 * (second - 3600)
        door.send(("1", "a", second, x_m, 0), now_s=second)
        found = door.send(("1", "a", second + 5, x_m + 6000, 0), now_s=second + 5)
    assert found["1"].distance_m == 2900
    assert door.outcomes.count("teleport") == 30
    assert door.passed() == [0, 1, 2]


@pytest.mark.parametrize(("off_s", "reason"), [(-DAY_S, "stale"), (DAY_S, "future"), (-DAY_S * 20_000, "stale")])
def test_a_clock_a_day_off_is_refused_with_its_reason_and_moves_nothing(door, off_s, reason):
    drive(door, "2", "a", 3600, 3700)
    found = door.send(("1", "a", 3710 + off_s, 500, 0), ("2", "a", 3710, 1100, 0), now_s=3710)
    assert door.outcomes[-2:] == [reason, "admitted"]
    assert found.keys() == {"2"}
    found = door.send(("1", "b", 3720, 0, 0), now_s=3720)  # its clock is set
    assert found["1"].trip_id == "b"


def test_a_trip_that_does_not_exist_leaves_the_vehicle_on_the_map_without_one(door):
    drive(door, "2", "a", 3600, 3700)
    found = door.send(("1", "no_such_trip", 3710, 500, 400), now_s=3710)
    assert (found["1"].trip_id, found["1"].state) == (None, "unassigned")
    assert door.engine.counters["claim_refused.unknown_trip"] == 1
    assert found["2"].trip_id == "a"


def test_a_vehicle_that_drives_its_trip_backwards_passes_no_stop(door):
    found = {}
    for second in range(3600, 4000, 10):
        found = door.send(("1", "a", second, LENGTH_M - 1500 - 10 * (second - 3600), 0), now_s=second)
    assert found["1"].distance_m == LENGTH_M - 1500 - 3900
    assert door.passed() == []


def test_all_of_it_at_once_does_no_harm_to_the_one_that_drives_well(door):
    rng = np.random.default_rng(11)
    found = {}
    for second in range(3600, 4200, 10):
        rows = [("good", "a", second, 10 * (second - 3600), 0)]
        rows += [("twin", "b", second - 0.5 * n, float(rng.uniform(0, LENGTH_M)), 0) for n in range(3)]
        rows += [("late", "a", second - float(rng.uniform(0, 400)), float(rng.uniform(0, LENGTH_M)), 0)]
        rows += [("clock", "a", second + float(rng.normal(0, DAY_S)), 100, 0)]
        rows += [("lost", f"trip {rng.integers(1e9)}", second, float(rng.normal(0, 1e5)), float(rng.normal(0, 1e5)))]
        found = door.send(*rows, now_s=second)
    assert found["good"].distance_m == 5900
    good = door.engine.fleet.index["op/good"]
    log = door.engine.passage_log.all()
    assert sorted(log.stop[log.vehicle == good].tolist()) == [0, 1, 2, 3, 4, 5]
