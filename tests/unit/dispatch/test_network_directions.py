"""Directions told apart by where trips lead."""

import numpy as np

from dispatch.network_directions import UNKNOWN, infer_directions


def infer(direction: list[int], route: list[int], lead: list[tuple[float, float]]) -> list[int]:
    found = infer_directions(np.array(direction, np.int32), np.array(route, np.int32), np.array(lead).reshape(-1, 2))
    return found.tolist()


def test_trips_against_the_first_are_direction_one() -> None:
    assert infer([UNKNOWN] * 4, [0] * 4, [(9, 1), (-8, 0), (3, -2), (-1, 5)]) == [0, 1, 0, 1]


def test_each_route_has_its_own_first_trip_and_loops_lead_nowhere() -> None:
    assert infer([UNKNOWN] * 5, [1, 0, 1, 0, 0], [(0, 0), (-5, 0), (0, -7), (5, 0), (0, 0)]) == [0, 0, 0, 1, 0]
    assert infer([UNKNOWN] * 3, [1, 1, 1], [(0, 0), (0, 4), (0, -4)]) == [0, 0, 1]


def test_what_is_stated_stands() -> None:
    assert infer([1, UNKNOWN, 0], [0, 0, 1], [(1, 0), (-1, 0), (-1, 0)]) == [1, 0, 0]
    assert infer([], [], []) == []
