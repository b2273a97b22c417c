"""The simulated city under control: drivers who obey a law bring the excess wait down within half an hour."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

import numpy as np
import pytest

from dispatch.feed import read_feed
from dispatch.network import Network
from simulators.city import make_city
from simulators.vehicles import VehicleSettings
from tests.unit.simulators.control_room import ControlRoom, play_line

DAY = dt.date(2026, 7, 13)
SEEDS = range(3)
BEFORE_S, SETTLED_S, END_S = 600.0, 1_200.0, 2_400.0


@pytest.fixture(scope="module")
def city() -> Network:
    return read_feed(make_city(1, DAY)).network


def excess_wait_s(
    city: Network, route: str, law: str, settings: VehicleSettings | None = None, seeds: Iterable[int] = SEEDS
) -> float:
    """From the 20th to the 40th minute after the law was switched on, mean of the seeds."""
    found_s = []
    for seed in seeds:
        fleet, now_s = play_line(city, DAY, route, settings or VehicleSettings(), seed)
        room = ControlRoom(fleet, law)
        room.watch(now_s, now_s + END_S)
        found_s.append(room.excess_wait_s(now_s + SETTLED_S, now_s + END_S))
    return float(np.mean(found_s))


@pytest.mark.parametrize("route", ["2", "6"])
def test_holding_brings_the_excess_wait_down(city: Network, route: str) -> None:
    none_s = excess_wait_s(city, route, "none")
    assert none_s > 10.0
    assert excess_wait_s(city, route, "forward") < 0.9 * none_s
    assert excess_wait_s(city, route, "two-way") < 0.6 * none_s
    assert excess_wait_s(city, route, "optimal") < 0.6 * none_s


def test_drivers_who_never_obey_leave_the_line_as_it_was(city: Network) -> None:
    stubborn = VehicleSettings(hold_compliance=0.0)
    held_s, left_alone_s = (excess_wait_s(city, "6", law, stubborn, seeds=[0]) for law in ("two-way", "none"))
    assert held_s == left_alone_s  # to the last digit: one seed says as much as three


def test_a_line_left_alone_falls_apart_in_tens_of_minutes_not_at_once(city: Network) -> None:
    fresh = VehicleSettings(warm_up_s=60.0, lateness_s_mean=0.0, lateness_s_sd=10.0)
    waits_s = []
    for seed in SEEDS:
        fleet, now_s = play_line(city, DAY, "2", fresh, seed)
        room = ControlRoom(fleet, "none")
        room.watch(now_s, now_s + END_S)
        waits_s.append(
            [room.excess_wait_s(now_s + at_s, now_s + at_s + 600.0) for at_s in (0.0, 600.0, 1_200.0, 1_800.0)]
        )
    first_s, *_, last_s = np.mean(waits_s, axis=0)
    assert first_s < 8.0
    assert last_s > 2.0 * max(first_s, 5.0)
