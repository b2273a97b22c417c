"""A fleet on a straight line: it keeps to the rules of the road, and bunches by itself."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from dispatch.network import Network
from simulators.duties import plan_duties
from simulators.frames import frame_of
from simulators.vehicles import DWELLING, HOME, RUNNING, WAITING, Fleet, VehicleSettings

DAY = dt.date(2026, 7, 13)
MakeLine = Callable[..., Network]
STILL = VehicleSettings(
    running_variation=0.0, traffic_variation=0.0, lateness_s_mean=0.0, lateness_s_sd=0.0, warm_up_s=60.0
)


def fleet_of(
    network: Network, settings: VehicleSettings, seed: int = 1, before_s: float = 100.0
) -> tuple[Fleet, float]:
    now_s = network.day_start_s(DAY) + 28_800 - before_s
    duties = plan_duties(network, now_s - 7_200, now_s + 40_000)
    return Fleet(network, duties, settings, rng=np.random.default_rng(seed), now_s=now_s), now_s


def departures(fleet: Fleet, now_s: float, until_s: float, step_s: float = 1.0) -> dict[int, list[float]]:
    times: dict[int, list[float]] = {}
    for at_s in np.arange(now_s, until_s, step_s).tolist():
        for service in fleet.step(at_s):
            opened = service.dwell_s > 0.0
            leaves_s = (service.at_s + service.dwell_s)[opened]
            for place, leave_s in zip(service.place[opened].tolist(), leaves_s.tolist(), strict=True):
                times.setdefault(place, []).append(leave_s)
    return times


def c_vh(times_s: list[float], headway_s: float) -> float:
    return float(np.std(np.diff(sorted(times_s)) - headway_s) / headway_s)


def test_headways_fall_apart_along_the_line_without_control(line: MakeLine) -> None:
    network = line(stops=30, trips=40, headway_s=300)
    early, late = [], []
    for seed in range(4):
        fleet, now_s = fleet_of(network, VehicleSettings(warm_up_s=60.0), seed)
        times = departures(fleet, now_s, now_s + 18_000)
        order = np.argsort(fleet.halts.along_m)
        places = fleet.halts.place[order].tolist()
        early.append(c_vh(times[places[2]], 300.0))
        late.append(c_vh(times[places[27]], 300.0))

    assert np.mean(early) < 0.25
    assert np.mean(late) > 2.0 * np.mean(early)


def test_the_same_seed_plays_the_same_day(line: MakeLine) -> None:
    first, now_s = fleet_of(line(), VehicleSettings(), seed=7)
    second, _ = fleet_of(line(), VehicleSettings(), seed=7)
    other, _ = fleet_of(line(), VehicleSettings(), seed=8)

    assert departures(first, now_s, now_s + 3_000) == departures(second, now_s, now_s + 3_000)
    assert departures(other, now_s, now_s + 3_000) != departures(second, now_s + 3_000, now_s + 6_000)


def test_vehicles_never_go_backwards_nor_jump(line: MakeLine) -> None:
    fleet, now_s = fleet_of(line(trips=10), VehicleSettings())
    before: dict[int, tuple[int, float]] = {}
    for at_s in np.arange(now_s, now_s + 4_000, 1.0).tolist():
        fleet.step(at_s)
        frame = frame_of(fleet, fleet.shown(at_s), at_s)
        for v, run, odometer_m, speed in zip(
            frame.vehicle.tolist(), frame.run.tolist(), frame.odometer_m.tolist(), frame.speed_mps.tolist(), strict=True
        ):
            if v in before and before[v][0] == run:
                assert -1e-6 <= odometer_m - before[v][1] <= 30.0
            assert 0.0 <= speed <= 30.0
            before[v] = (run, odometer_m)
    assert len(before) == 10


def test_nobody_leaves_a_terminal_before_time(line: MakeLine) -> None:
    fleet, now_s = fleet_of(line(), VehicleSettings())
    starts_s = fleet.duties.start_s()
    for at_s in np.arange(now_s, now_s + 6_000, 1.0).tolist():
        fleet.step(at_s)
        left = fleet.phase != WAITING
        assert (starts_s[left] <= at_s).all()


def test_a_vehicle_is_home_after_its_last_run(line: MakeLine) -> None:
    fleet, now_s = fleet_of(line(trips=2), VehicleSettings())

    fleet.step(now_s + 5_000)

    assert (fleet.phase == HOME).all()
    assert fleet.shown(now_s + 5_000).size == 0


def test_a_long_pause_is_spent_at_the_depot(line: MakeLine) -> None:
    network = line(blocks=False, trips=2, headway_s=7_200, spacing_m=30.0)
    one_block = replace(network, trip_block=np.zeros(2, dtype=np.int32), block_id=["B"])
    fleet, now_s = fleet_of(one_block, STILL)
    seen = []
    for at_s in np.arange(now_s, now_s + 9_000, 10.0).tolist():
        fleet.step(at_s)
        seen.append(fleet.shown(at_s).size)

    turns = np.flatnonzero(np.diff(seen))
    assert len(fleet.duties) == 1
    assert seen[0] == 1
    assert len(turns) == 3  # off to the depot, back, and home
    assert turns[1] * 10.0 == pytest.approx(100 + 7_200 - 120, abs=20)


def test_without_chance_the_timetable_is_kept(line: MakeLine) -> None:
    network = line(stops=12, trips=5, headway_s=300, leg_s=90)
    fleet, now_s = fleet_of(network, STILL)
    times = departures(fleet, now_s, now_s + 4_000)
    last_place = fleet.halts.place[np.argsort(fleet.halts.along_m)[10]]

    due_s = network.day_start_s(DAY) + 28_800 + np.arange(5) * 300 + 10 * 90

    assert np.abs(np.array(times[int(last_place)]) - due_s).max() < 90


def test_who_comes_late_stays_longer(line: MakeLine) -> None:
    fleet, now_s = fleet_of(line(trips=1), STILL)
    vehicle, row = np.zeros(200, dtype=np.intp), np.full(200, 5)
    fleet.times.headways_s[:] = 300.0
    dwell_s = {}
    for waited_s in (30.0, 300.0, 900.0):
        draws = []
        for _ in range(100):
            fleet.load[:] = 0
            fleet.served_s[fleet.halts.place[5]] = now_s
            draws.append(float(fleet._serve(vehicle[:1], row[:1], np.array([now_s + waited_s])).dwell_s[0]))
        dwell_s[waited_s] = float(np.mean(draws))

    # 8 s for the doors and 2 s a rider, of whom 3.5 come in a headway.
    assert dwell_s[30.0] == pytest.approx(8.7, abs=1.0)
    assert dwell_s[300.0] == pytest.approx(15.0, abs=1.5)
    assert dwell_s[900.0] == pytest.approx(29.0, abs=2.5)


def test_a_full_vehicle_takes_nobody(line: MakeLine) -> None:
    fleet, now_s = fleet_of(line(trips=1), VehicleSettings(capacity=10))
    for at_s in np.arange(now_s, now_s + 2_000, 1.0).tolist():
        fleet.step(at_s)
        assert 0 <= fleet.load[0] <= 10


def test_trams_do_not_overtake(line: MakeLine) -> None:
    settings = VehicleSettings(running_variation=0.6, warm_up_s=60.0)
    fleet, now_s = fleet_of(line(stops=30, trips=15, headway_s=120, route_type=0), settings)
    order: dict[int, list[int]] = {}
    for at_s in np.arange(now_s, now_s + 6_000, 1.0).tolist():
        for service in fleet.step(at_s):
            for v, place in zip(service.vehicle.tolist(), service.place.tolist(), strict=True):
                order.setdefault(place, []).append(v)
    arrivals = [vehicles for vehicles in order.values() if len(vehicles) == 15]
    assert arrivals
    assert all(vehicles == sorted(vehicles) for vehicles in arrivals)


def test_a_feed_with_two_timing_points_still_has_halts_between_them(line: MakeLine) -> None:
    fleet, _ = fleet_of(line(stops=2, spacing_m=4_500.0, leg_s=900), VehicleSettings())

    assert fleet.halts.along_m.tolist() == [450.0 * i for i in range(11)]


def test_nobody_stops_on_a_motorway(line: MakeLine) -> None:
    fleet, _ = fleet_of(line(stops=2, spacing_m=4_500.0, leg_s=200), VehicleSettings())

    assert fleet.halts.along_m.tolist() == [0.0, 1_500.0, 3_000.0, 4_500.0]


def test_stops_at_one_place_and_legs_of_no_time_are_survived(line: MakeLine) -> None:
    fleet, now_s = fleet_of(line(stops=5, spacing_m=0.0, leg_s=0, trips=3), VehicleSettings())

    fleet.step(now_s + 3_600)

    assert (fleet.phase == HOME).all()


def asked(fleet: Fleet, now_s: float, **instruction: object) -> bool:
    return fleet.instruct(0, {"id": "i-1", "ts": now_s, "kind": "hold", **instruction}, now_s)


def leaves_s(fleet: Fleet, stop: int, now_s: float, until_s: float) -> float:
    """When the only vehicle leaves a stop; answers are kept in the drivers' notes."""
    for at_s in np.arange(now_s, until_s, 0.5).tolist():
        fleet.step(at_s)
        if fleet.phase[0] == RUNNING and fleet.halt[0] == stop:
            return float(fleet.since_s[0])
    raise AssertionError(f"it never left stop {stop}")


def alone(line: MakeLine, compliance: float = 1.0, before_s: float = -200.0) -> tuple[Fleet, float]:
    fleet, now_s = fleet_of(line(trips=1), replace(STILL, hold_compliance=compliance), before_s=before_s)
    fleet.step(now_s)
    return fleet, now_s


def test_a_driver_waits_at_the_named_stop_for_as_long_as_asked_and_says_so(line: MakeLine) -> None:
    free, now_s = alone(line)
    held, _ = alone(line)

    assert asked(held, now_s, stop_id="S6", hold_s=60.0, until_ts=now_s + 900.0)

    left_s = leaves_s(held, 6, now_s, now_s + 900.0)
    assert left_s == pytest.approx(leaves_s(free, 6, now_s, now_s + 900.0) + 60.0, abs=10.0)
    notes = held.drivers.due(now_s + 900.0)
    assert [(note.event, note.instruction_id) for note in notes] == [
        ("instruction_read", "i-1"),
        ("instruction_done", "i-1"),
    ]
    assert now_s < notes[0].at_s < now_s + 10.0
    assert notes[1].at_s == left_s


def test_a_driver_leaves_at_the_instant_that_is_named(line: MakeLine) -> None:
    fleet, now_s = alone(line)

    asked(fleet, now_s, stop_id="S6", depart_at=now_s + 500.0, hold_s=10.0, until_ts=now_s + 900.0)

    assert leaves_s(fleet, 6, now_s, now_s + 900.0) == now_s + 500.0


def test_a_hold_without_a_stop_is_for_the_next_one_and_lasts_until_its_time(line: MakeLine) -> None:
    fleet, now_s = alone(line)
    ahead = int(fleet.halt[0]) + (fleet.phase[0] == RUNNING)

    asked(fleet, now_s, until_ts=now_s + 150.0)

    assert leaves_s(fleet, ahead, now_s, now_s + 900.0) == now_s + 150.0


def test_a_hold_is_bounded_whatever_is_asked(line: MakeLine) -> None:
    fleet, now_s = alone(line)
    ahead = int(fleet.halt[0]) + (fleet.phase[0] == RUNNING)

    asked(fleet, now_s, until_ts=now_s + 1e9)

    assert leaves_s(fleet, ahead, now_s, now_s + 2_000.0) <= fleet.planned_s[0] + 600.0


def test_who_stands_already_stays(line: MakeLine) -> None:
    fleet, now_s = alone(line)
    while fleet.phase[0] != DWELLING:
        now_s += 1.0
        fleet.step(now_s)
    stop, planned_s = int(fleet.halt[0]), float(fleet.until_s[0])

    asked(fleet, now_s, stop_id=f"S{stop}", hold_s=45.0)

    assert leaves_s(fleet, stop, now_s, now_s + 200.0) == planned_s + 45.0


@pytest.mark.parametrize(
    "instruction",
    [
        {"until_ts": 1.0},  # out of date
        {"stop_id": "nowhere", "hold_s": 60.0},
        {"stop_id": "S1", "hold_s": 60.0},  # behind it
        {"kind": "depart", "depart_at": 4e9},  # on the way
        {"hold_s": -60.0},
    ],
)
def test_what_cannot_be_done_is_left_undone(line: MakeLine, instruction: dict[str, object]) -> None:
    free, now_s = alone(line)
    told, _ = alone(line)

    asked(told, now_s, **instruction)

    assert leaves_s(told, 8, now_s, now_s + 900.0) == leaves_s(free, 8, now_s, now_s + 900.0)


def test_a_departure_is_put_off_at_the_terminal(line: MakeLine) -> None:
    fleet, now_s = alone(line, before_s=100.0)

    asked(fleet, now_s, kind="depart", stop_id="S0", depart_at=now_s + 190.0, until_ts=now_s + 400.0)

    assert leaves_s(fleet, 0, now_s, now_s + 400.0) == now_s + 190.0
    assert [note.event for note in fleet.drivers.due(now_s + 400.0)] == ["instruction_read", "instruction_done"]


def test_a_departure_may_be_brought_forward_but_not_to_before_the_order_is_read(line: MakeLine) -> None:
    soon, now_s = alone(line, before_s=100.0)
    asked(soon, now_s, kind="depart", depart_at=now_s + 40.0, until_ts=now_s + 400.0)
    assert leaves_s(soon, 0, now_s, now_s + 400.0) == now_s + 40.0

    past, _ = alone(line, before_s=100.0)
    asked(past, now_s, kind="depart", depart_at=now_s - 40.0, until_ts=now_s + 400.0)
    assert now_s < leaves_s(past, 0, now_s, now_s + 400.0) < now_s + 10.0


def test_a_driver_may_not_comply(line: MakeLine) -> None:
    free, now_s = alone(line)
    fleet, _ = alone(line, compliance=0.0)

    asked(fleet, now_s, stop_id="S6", hold_s=60.0)

    assert leaves_s(fleet, 6, now_s, now_s + 900.0) == leaves_s(free, 6, now_s, now_s + 900.0)
    assert [note.event for note in fleet.drivers.due(now_s + 900.0)] == ["instruction_read"]


def test_riders_go_on_to_come_while_a_vehicle_is_held(line: MakeLine) -> None:
    loads = []
    for hold_s in (0.0, 300.0):
        fleet, now_s = alone(line)
        asked(fleet, now_s, stop_id="S6", hold_s=hold_s)
        left_s = leaves_s(fleet, 6, now_s, now_s + 900.0)
        here = int(fleet.halts.place[6])
        assert fleet.served_s[here] == left_s  # the next one finds those who came after that
        loads.append(int(fleet.load[0]))
    assert loads[1] > loads[0]


def test_trams_queue_behind_one_that_is_held(line: MakeLine) -> None:
    network = line(stops=12, trips=2, headway_s=60, route_type=0)
    fleet, now_s = fleet_of(network, replace(STILL, hold_compliance=1.0), before_s=-200.0)
    fleet.instruct(0, {"id": "i-1", "kind": "hold", "stop_id": "S6", "hold_s": 300.0}, now_s)
    order = []
    for at_s in np.arange(now_s, now_s + 1_500.0, 1.0).tolist():
        before = fleet.phase.copy()
        fleet.step(at_s)
        order += [v for v in range(2) if before[v] == DWELLING and fleet.phase[v] == RUNNING and fleet.halt[v] == 6]
    assert order == [0, 1]


def test_a_play_begins_with_vehicles_all_along_the_line(line: MakeLine) -> None:
    fleet, now_s = fleet_of(line(stops=40, trips=30, headway_s=300), VehicleSettings(), before_s=-3_000.0)

    frame = frame_of(fleet, fleet.shown(now_s), now_s)

    assert frame.vehicle.size >= 8
    assert np.unique(np.round(frame.lon_deg, 3)).size >= 6


def test_a_clock_that_steps_back_moves_nobody(line: MakeLine) -> None:
    fleet, now_s = fleet_of(line(), VehicleSettings(), before_s=-1_000.0)
    phase = fleet.phase.copy()

    assert fleet.step(now_s - 3_600) == []
    np.testing.assert_array_equal(fleet.phase, phase)
