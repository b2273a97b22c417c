"""Stringlines: what was driven and what was planned, on one strip of road."""

from __future__ import annotations

from typing import Any

import pytest

from dispatch.atlas import Atlas
from dispatch.feed import read_feed
from dispatch.network import Network
from dispatch.stringline import StringlineDrawer
from dispatch.timetable import move_to
from tests.integration.web_running import AT_S, DATE, feed_zip

NOW_S = 1_784_000_000.0
ZERO_S = NOW_S - AT_S  # when the service day's times count zero
EIGHT_S = 8 * 3600.0


@pytest.fixture(scope="module")
def network() -> Network:
    return move_to(read_feed(feed_zip()).network, DATE, AT_S, NOW_S)


def passage(trip: str, sequence: int, left_s: float | None, headway_s: float | None = None) -> dict[str, Any]:
    at = None if left_s is None else ZERO_S + EIGHT_S + left_s
    return {
        "vehicle": "kp/101", "trip_id": trip, "zero_s": ZERO_S, "stop_sequence": sequence, "arrival_s": at,
        "departure_s": at, "headway_s": headway_s, "scheduled_s": None if headway_s is None else 300.0,
    }  # fmt: skip


def draw(network: Network, rows: list[dict[str, Any]], span: tuple[float, float] = (NOW_S - 3600, NOW_S + 1200)) -> Any:
    (direction,) = StringlineDrawer(Atlas(network)).draw(0, span, rows)
    return direction


def test_the_plan_stands_behind_what_was_driven(network: Network) -> None:
    drawn = draw(network, [passage("t2", 1, 300, 310.0), passage("t2", 2, 590, 60.0)])
    assert [run.trip_id for run in drawn.planned] == ["t1", "t2", "t3"]
    at_s, place_m = drawn.planned[1].points[1]
    assert at_s == ZERO_S + EIGHT_S + 600
    (run,) = drawn.driven
    assert (run.operator_id, run.vehicle_id, run.trip_id) == ("kp", "101", "t2")
    left = run.pieces[0][-1]
    assert (left[0], left[1], left[2]) == (ZERO_S + EIGHT_S + 590, place_m, "bunched")
    assert run.pieces[0][0][2] == "regular"


def test_a_line_is_drawn_over_one_missing_stop_and_not_over_two(network: Network) -> None:
    over_one = draw(network, [passage("t1", 1, 0), passage("t1", 3, 600)])
    assert [len(piece) for piece in over_one.driven[0].pieces] == [4]
    over_two = draw(network, [passage("t1", 1, 0), passage("t1", 4, 900)])
    assert [[point[1] for point in piece] for piece in over_two.driven[0].pieces] != []
    assert all(len({point[1] for point in piece}) == 1 for piece in over_two.driven[0].pieces)


def test_what_another_feed_drove_is_left_out(network: Network) -> None:
    assert draw(network, [passage("gone", 1, 0), passage("t1", 99, 0), passage("t1", 2, None)]).driven == []


def test_outside_the_service_there_is_no_plan(network: Network) -> None:
    assert draw(network, [], (NOW_S + 7200, NOW_S + 9000)).planned == []


def test_a_day_of_another_timetable_has_the_plan_of_what_was_driven(network: Network) -> None:
    """Yesterday's demo began an hour later: its runs are none of those that today's puts there."""
    yesterday = [passage("t2", 1, 300), passage("t2", 2, 590)]
    for row in yesterday:
        row |= {name: row[name] - 82_800 for name in ("zero_s", "arrival_s", "departure_s")}
    drawn = draw(network, yesterday, (NOW_S - 90_000, NOW_S - 80_000))
    assert [(run.trip_id, run.points[0][0]) for run in drawn.planned] == [("t2", ZERO_S - 82_800 + EIGHT_S + 300)]
    assert drawn.driven[0].pieces[0][0][0] == ZERO_S - 82_800 + EIGHT_S + 300
