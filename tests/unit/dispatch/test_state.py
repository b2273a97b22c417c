"""Dispatch that has died goes on as if it had not: an engine and its twin that was never interrupted say the same."""

from __future__ import annotations

import random
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from dispatch import assignment, contest
from dispatch.controller import Controller
from dispatch.engine import Engine
from dispatch.fleet import COLUMNS
from dispatch.ground import fingerprint
from dispatch.instructions import Instruction
from dispatch.snapshot import Snapshot
from dispatch.state import capture, resume
from dispatch.state_file import FORMAT, OutOfDateError, from_bytes, from_steps, to_bytes, to_steps

STRAIGHT = ((0, 0), (6000, 0))
STOPS = tuple(range(0, 6001, 600))
TRIPS = {f"t{i}": 3600 + 300 * i for i in range(6)}


@pytest.fixture
def line(road, pattern):
    """A road of 6 km with a trip every five minutes, ten seconds to a hundred metres, and blocks of two trips."""
    back = pattern(STRAIGHT[::-1], STOPS, {f"u{i}": 4500 + 300 * i for i in range(6)}, direction=1)
    blocks = {f"t{i}": f"b{i}" for i in range(6)} | {f"u{i}": f"b{i}" for i in range(6)}
    return road(pattern(STRAIGHT, STOPS, TRIPS, blocks=blocks), replace(back, blocks=blocks))


class Drive:
    """Six vehicles, each with a way of its own to be late, that say their trip or say nothing."""

    def __init__(self, line, seed, *, silent=()):
        rng = random.Random(seed)
        self.line, self.silent = line, silent
        self.late_s = [rng.uniform(-20, 240) for _ in TRIPS]
        self.every_s = [rng.choice((3, 5, 7)) for _ in TRIPS]
        self.noise_m = rng.uniform(0, 5)

    def fixes(self, now_s):
        rng = random.Random(now_s)
        rows = []
        for i, (trip, start_s) in enumerate(TRIPS.items()):
            if now_s % self.every_s[i]:
                continue
            x_m = min(max((now_s - start_s - self.late_s[i]) * 10, 0), 6000)
            y_m = rng.gauss(0, self.noise_m)
            rows.append((str(i), None if i in self.silent else trip, now_s, x_m + rng.gauss(0, self.noise_m), y_m))
        return self.line.fixes(*rows) if rows else None


def play(engine, drive, from_s, to_s, *, every=1) -> Snapshot:
    """Fixes of every second; a tick every so many."""
    snapshot = None
    for now_s in range(from_s, to_s):
        fixes = drive.fixes(now_s)
        if fixes is not None:
            engine.ingest(fixes)
        if (now_s - from_s) % every == every - 1 or now_s == to_s - 1:
            snapshot = engine.tick(drive.line.zero_s + now_s)
    return snapshot


def again(engine, now_s, control=None) -> Engine:
    """The engine that a new process has, from what the old one wrote."""
    feed = fingerprint(engine.network)
    state = from_bytes(to_bytes(capture(engine, now_s, control), feed), feed, now_s + 3)
    fresh = Engine(engine.network)
    resume(fresh, state)
    return fresh


def said(snapshot: Snapshot):
    return (
        snapshot.vehicles,
        [msgspec.structs.replace(row, headway_s=row.headway_s and round(row.headway_s)) for row in snapshot.headways],
        snapshot.alerts,
        [(update.trip_id, len(update.stops)) for update in snapshot.trip_updates],
    )


@pytest.mark.parametrize(("seed", "silent"), [(1, ()), (2, ()), (3, (0, 3)), (4, range(6))])
def test_the_next_tick_after_a_restart_is_its_twins(line, seed, silent):
    drive, twin = Drive(line, seed, silent=silent), Engine(line.network)
    play(twin, drive, 3580, 4180, every=4)
    restarted = again(twin, line.zero_s + 4179)
    # Five seconds are missed, and told again by the gateway before the first tick.
    expected, found = play(twin, drive, 4180, 4185), play(restarted, drive, 4180, 4185, every=5)
    assert said(found) == said(expected)
    expected, found = play(twin, drive, 4185, 4385, every=2), play(restarted, drive, 4185, 4385, every=2)
    assert said(found) == said(expected)
    log, other = restarted.passage_log.all(), twin.passage_log.all()
    for name in log.__dataclass_fields__:
        assert np.array_equal(getattr(log, name), getattr(other, name), equal_nan=True), name


def test_a_vehicles_state_is_the_one_it_had_to_the_last_column(line):
    twin = Engine(line.network)
    play(twin, Drive(line, 5), 3580, 4300, every=5)
    restarted = again(twin, line.zero_s + 4299)
    for name in COLUMNS:
        mine, theirs = (getattr(engine.fleet, name)[:6] for engine in (restarted, twin))
        assert np.array_equal(mine, theirs, equal_nan=True), name
    assert restarted.fleet.descriptor == twin.fleet.descriptor


def test_headways_are_seen_and_not_estimated(line):
    twin, drive = Engine(line.network), Drive(line, 6)
    play(twin, drive, 3580, 4500, every=5)
    (before, after) = twin.look(line.zero_s + 4500), again(twin, line.zero_s + 4499).look(line.zero_s + 4500)
    assert [row.estimated for row in after.headways] == [row.estimated for row in before.headways]
    assert not all(row.estimated for row in after.headways)


def test_an_alert_is_as_people_left_it(line):
    engine = Engine(line.network)
    for now_s in range(3500, 4000, 10):  # nobody sets off
        engine.ingest(line.fixes(("0", "t0", now_s, 0, 0), ("1", "t1", now_s, 0, 0)))
        engine.tick(line.zero_s + now_s)
    (alert,) = [alert for alert in engine.desk.alerts() if alert.vehicle_id == "0"]
    engine.acknowledge(alert.id, "dispatcher", line.zero_s + 4000)
    engine.event({"vehicle_key": "op/1", "event": "alarm"})
    engine.tick(line.zero_s + 4001)
    engine.shelve(alert.id, "dispatcher", line.zero_s + 4600, line.zero_s + 4002)
    restarted = again(engine, line.zero_s + 4002)
    assert restarted.desk.alerts() == engine.desk.alerts()
    assert restarted.gauges == engine.gauges
    engine.close_alert(alert.id, "dispatcher", "road works", line.zero_s + 4003)
    restarted = again(engine, line.zero_s + 4003)
    for now_s in range(4010, 4200, 10):
        restarted.ingest(line.fixes(("0", "t0", now_s, 0, 0)))
        restarted.tick(line.zero_s + now_s)
    assert [a.state for a in restarted.desk.alerts() if a.vehicle_id == "0" and a.kind == alert.kind] == ["closed"]


def test_what_roads_take_is_learnt_again(line):
    twin = Engine(line.network)
    play(twin, Drive(line, 7), 3580, 4700, every=10)
    restarted = again(twin, line.zero_s + 4699)
    now_s = line.zero_s + 4700
    mine, theirs = (engine.running.outlook(now_s) for engine in (restarted, twin))
    assert np.abs(mine.run_s - theirs.run_s).max() < 2.0
    assert restarted.running.legs_learnt >= 0.9 * twin.running.legs_learnt > 0


def test_who_signed_on_is_still_signed_on(line):
    engine = Engine(line.network)
    engine.event({"vehicle_key": "op/0", "event": "sign_on", "trip_id": "t0"})
    play(engine, Drive(line, 8, silent=(0,)), 3580, 3620)
    assert again(engine, line.zero_s + 3620).folding.claiming.signed_on == engine.folding.claiming.signed_on != {}


def test_who_names_no_trip_stays_on_the_route_it_drove(road, pattern):
    """At the terminal another route's run is nearer in time, and only the route driven so far tells them apart."""
    line = road(
        pattern(STRAIGHT, STOPS, {"t0": 3600}),
        pattern(STRAIGHT[::-1], STOPS, {"u0": 4700}, direction=1),
        pattern(STRAIGHT[::-1], STOPS, {"s0": 4800}, route="S", direction=1),
    )
    way = [(now_s, min((now_s - 3600) * 10, 6000)) for now_s in range(3600, 4500, 5)]
    back = [(now_s, 6000 - (now_s - 4800) * 10) for now_s in range(4805, 5000, 5)]
    twin = Engine(line.network)

    def drive(engine, times):
        for now_s, x_m in times:
            engine.ingest(line.fixes(("0", None, now_s, x_m, 0)))
            engine.tick(line.zero_s + now_s)
        return engine.network.trip_id[engine.fleet.trip[0]]

    assert drive(twin, way[:100]) == "t0"
    drive(twin, way[100:])
    restarted = again(twin, line.zero_s + 4500)
    assert [drive(engine, back) for engine in (twin, restarted)] == ["u0", "u0"]


def test_whose_turn_it_is_goes_on(line, monkeypatch):
    """Of more vehicles than are looked at at once the same ones would have it after every restart."""
    monkeypatch.setattr(assignment, "VEHICLES_AT_ONCE", 1)
    monkeypatch.setattr(contest, "VEHICLES_AT_ONCE", 1)
    engine = Engine(line.network)
    play(engine, Drive(line, 4, silent=range(6)), 3580, 4700)
    folding, restarted = engine.folding, again(engine, line.zero_s + 4700).folding
    turns = folding.inference.turn, folding.contest.turn
    assert (restarted.inference.turn, restarted.contest.turn) == turns
    assert all(turns)


def test_instructions_and_what_was_decided_go_on(line):
    engine, decided = Engine(line.network), []
    ids = iter("abcdef")
    controller = Controller(decided.append, lambda: next(ids))
    snapshot = play(engine, Drive(line, 9), 3580, 4000, every=5)
    controller.observe(engine, snapshot)
    controller.set_mode("R", "advise", None, "dispatcher", snapshot.as_of_s)
    controller.table.count("R", "advised")
    controller.event({"vehicle_key": "op/0", "event": "online"}, snapshot.as_of_s)
    held = Instruction("i", "op", "0", None, None, "hold", "", 30.0, None, None, "sent", snapshot.as_of_s, "dispatcher")
    controller.note(held, snapshot.as_of_s)
    controller.progress("i", True, snapshot.as_of_s + 1)

    feed = fingerprint(engine.network)
    data = to_bytes(capture(engine, snapshot.as_of_s, controller.memory(), list(decided)), feed)
    state = from_bytes(data, feed, snapshot.as_of_s)
    restarted = Controller(decided.append, lambda: next(ids))
    restarted.table.restore(controller.table.to_bytes())
    restarted.resume(state.facts.control)
    fresh = Engine(line.network)
    resume(fresh, state)
    restarted.observe(fresh, fresh.tick(snapshot.as_of_s + 1))
    assert restarted.instructions.rows() == controller.instructions.rows()
    assert restarted.instructions.get("i").state == "delivered"
    assert (restarted.table.lines["R"].advised, restarted.table.lines["R"].mode) == (1, "advise")
    assert state.facts.decisions == decided[:2]
    restarted.event({"vehicle_key": "op/0", "event": "instruction_done", "instruction_id": "i"}, snapshot.as_of_s + 2)
    assert restarted.instructions.get("i").state == "done"
    restarted.observe(fresh, fresh.tick(snapshot.as_of_s + 3))
    assert decided[-1].known["instruction"]["state"] == "done"


# -- the file ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def written(line):
    engine = Engine(line.network)
    play(engine, Drive(line, 1), 3580, 3900, every=10)
    return to_bytes(capture(engine, 1000.0), "feed")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda _: b"", "no state"),
        (lambda _: b"\xff" * 100, "no state"),
        (lambda _: b'{"format": 1}', "no state"),
        (lambda data: data[:-1], "damaged"),
        (lambda data: data[:200], "damaged"),
        (lambda data: data[:60] + bytes([data[60] ^ 1]) + data[61:], "damaged"),
        (lambda data: data.replace(b"takt-state-1", b"takt-state-9", 1), "format 9"),
        (lambda _: FORMAT, "damaged"),
    ],
)
def test_a_spoiled_file_is_told_apart(written, spoil, reason):
    with pytest.raises(ValueError, match=reason):
        from_bytes(spoil(written), "feed", 1000.0)


@pytest.mark.parametrize(
    ("feed", "now_s", "reason"),
    [("other", 1000.0, "another feed"), ("feed", 4000.0, "50 minutes old"), ("feed", 900.0, "of the future")],
)
def test_another_feed_or_hour_is_left_alone(written, feed, now_s, reason):
    with pytest.raises(OutOfDateError, match=reason):
        from_bytes(written, feed, now_s)


def test_a_state_that_does_not_fit_changes_nothing(line, road, pattern):
    engine = Engine(line.network)
    play(engine, Drive(line, 1), 3580, 3900, every=10)
    state = capture(engine, 1000.0)
    fewer = Engine(road(pattern(STRAIGHT, STOPS, {"t0": 3600})).network)
    with pytest.raises(ValueError, match="column"):
        resume(fewer, state)
    assert (len(fewer.fleet), fewer.passage_log.written, fewer.desk.alerts()) == (0, 0, [])
    state.arrays["passages.vehicle"] = state.arrays["passages.vehicle"] + 1000
    with pytest.raises(ValueError, match=r"passages\.vehicle points outside"):
        resume(Engine(line.network), state)


def test_a_network_is_known_by_all_that_is_in_it(line):
    network = line.network
    assert fingerprint(network) == fingerprint(replace(network))
    assert fingerprint(replace(network, shift_s=1.0)) != fingerprint(network)
    assert fingerprint(replace(network, departure_s=network.departure_s + 1)) != fingerprint(network)


def test_steps_keep_milliseconds_and_what_is_no_time():
    time_s = np.array([[1e9, 1e9 + 0.1234, -np.inf, 1e9 - 7200.5, 1e9 - 1e12, 1e9 + 5]])
    found = from_steps(to_steps(time_s, 1e9 + 10), 1e9 + 10, -np.inf)
    assert np.isneginf(found[0, [2, 4]]).all()
    assert np.abs(found[0, [0, 1, 3, 5]] - time_s[0, [0, 1, 3, 5]]).max() <= 0.0006
