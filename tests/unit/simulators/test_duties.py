"""Who drives what."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable

import numpy as np

from dispatch.network import Network
from simulators.duties import choose_vehicles, plan_duties, vehicle_name
from simulators.provision import needed_devices, validator_name

DAY = dt.date(2026, 7, 13)
MakeLine = Callable[..., Network]


def test_a_block_is_a_vehicle_with_a_name_that_topics_can_hold(line: MakeLine) -> None:
    network = line(trips=3)
    begin_s = network.day_start_s(DAY)

    duties = plan_duties(network, begin_s, begin_s + 86_400)

    assert duties.vehicle_id == ["B-0", "B-1", "B-2"]
    assert duties.start_s().tolist() == [begin_s + 28_800, begin_s + 29_100, begin_s + 29_400]
    np.testing.assert_array_equal(duties.headway_s, [np.nan, 300.0, 300.0])


def test_names_are_always_ids() -> None:
    assert vehicle_name("3/4 5+6#ї") == "3-4-5-6"
    assert vehicle_name("...") == "vehicle"
    assert len(vehicle_name("x" * 200)) == 64
    assert len(validator_name("x" * 64)) == 64


def test_only_the_window_is_planned(line: MakeLine) -> None:
    network = line(trips=10)
    begin_s = network.day_start_s(DAY) + 28_800

    duties = plan_duties(network, begin_s + 1_000, begin_s + 1_300)

    # 11 legs of 75 s: a trip lasts 825 s; those that leave between 175 s and 1,300 s touch the window.
    assert duties.vehicle_id == ["B-1", "B-2", "B-3", "B-4"]


def test_departures_of_a_frequency_are_driven_by_vehicles_in_turn(line: MakeLine) -> None:
    network = line(blocks=False, frequency=True, trips=6, headway_s=600)
    begin_s = network.day_start_s(DAY)

    duties = plan_duties(network, begin_s, begin_s + 86_400)

    # The line ends 4 km from where it begins, so nobody can take a second departure.
    assert duties.vehicle_id == [f"R-00{i}" for i in range(1, 7)]
    assert np.diff(duties.start_s()).tolist() == [600.0] * 5


def test_runs_without_blocks_are_chained_where_one_ends_near_the_next(line: MakeLine) -> None:
    network = line(blocks=False, trips=4, headway_s=1_200, spacing_m=30.0)  # a line of 330 m
    begin_s = network.day_start_s(DAY)

    duties = plan_duties(network, begin_s, begin_s + 86_400)

    assert duties.vehicle_id == ["R-001"]
    assert duties.first.tolist() == [0, 4]


def test_runs_of_one_block_that_overlap_get_two_vehicles(line: MakeLine) -> None:
    network = dataclasses.replace(line(trips=2), trip_block=np.zeros(2, dtype=np.int32))
    begin_s = network.day_start_s(DAY)

    duties = plan_duties(network, begin_s, begin_s + 86_400)

    assert duties.vehicle_id == ["B-0", "B-0-p2"]


def test_a_trip_of_one_stop_is_no_work(line: MakeLine) -> None:
    network = line(stops=1, trips=2)
    begin_s = network.day_start_s(DAY)

    assert len(plan_duties(network, begin_s, begin_s + 86_400)) == 0


def test_no_day_no_vehicles(line: MakeLine) -> None:
    network = line()
    begin_s = network.day_start_s(dt.date(2030, 1, 1))

    assert len(plan_duties(network, begin_s, begin_s + 3_600)) == 0
    assert needed_devices(network, begin_s, 3_600, 10) == []


def test_the_limit_holds_at_every_moment(line: MakeLine) -> None:
    network = line(trips=20)
    begin_s = network.day_start_s(DAY) + 28_800
    duties = plan_duties(network, begin_s, begin_s + 86_400)

    chosen = duties.keep(choose_vehicles(duties, network, begin_s, 2))

    for at_s in np.arange(begin_s, begin_s + 7_000, 50):
        assert ((chosen.start_s() <= at_s) & (chosen.end_s() > at_s)).sum() <= 2
    assert len(chosen) > 4  # later ones follow as earlier ones come home


def test_devices_are_the_same_whenever_they_are_asked_for(line: MakeLine) -> None:
    network = line(trips=20)
    begin_s = network.day_start_s(DAY) + 28_800

    all_day = needed_devices(network, begin_s, 20_000, 100, validator_share=0.5)
    later = needed_devices(network, begin_s + 2_000, 3_000, 100, validator_share=1.0)

    vehicles = {device.id for device in all_day if device.kind == "vehicle"}
    assert len(vehicles) == 20
    assert sum(device.kind == "validator" for device in all_day) == 10
    assert {device.id for device in later if device.kind == "vehicle"} <= vehicles
