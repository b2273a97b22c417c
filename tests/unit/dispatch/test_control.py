"""What a controlled line was like before and is now, from passages, and modes that only a person changes."""

import numpy as np
import pytest

from dispatch.claims import Timetable
from dispatch.control import ControlTable
from dispatch.control_measures import Measured, measure_routes, recent_pairs
from dispatch.lines import draw_lines
from dispatch.passages import PassageLog, Passages

TRIPS = {f"t{n}": 3600 + 300 * n for n in range(40)}


@pytest.fixture
def line(road, pattern):
    return road(pattern(((0, 0), (1000, 0)), (0, 500, 1000), TRIPS))


def measured(line, departures_s, now_s, again=(), is_wanted=True):
    """EWT and c_vh of departures (trip -> second) from the second stop, each 300 s after the one before by plan."""
    log = PassageLog(10_000)
    for trip, at_s in [*departures_s.items(), *again]:
        ints = [np.array([value], np.int32) for value in (trip, trip, 1)]
        at = np.array([line.zero_s + at_s])
        log.add(Passages(ints[0], ints[1], np.array([line.zero_s]), ints[2], at - 5, at))
    network, lines = line.network, draw_lines(line.network)
    wanted = np.full(len(lines.line_route), is_wanted)
    pairs = recent_pairs(log, network, lines, Timetable(network), line.zero_s + now_s, wanted)
    return measure_routes(pairs, lines, network.route_id)


@pytest.fixture(autouse=True)
def few_pairs_suffice(monkeypatch):
    """Headways of five minutes at one stop: it takes twenty minutes to see some."""
    monkeypatch.setattr("dispatch.control_measures.PAIRS_MIN", 3)
    monkeypatch.setattr("dispatch.control_measures.WINDOW_S", 1200.0)


def test_even_headways_have_no_excess_wait(line):
    found = measured(line, {n: 3650 + 300 * n for n in range(6)}, 3650 + 1500)
    assert found == {"R": Measured(0.0, 0.0)}


def test_pairs_wait_longer(line):
    """Headways of 100 and 500 s: 26 x 10^4 / 1,200 = 216.7 s of wait, where 150 s are scheduled."""
    found = measured(line, {n: 3650 + 300 * n + 200 * (n % 2 == 0) for n in range(6)}, 3650 + 2000)
    assert found["R"].ewt_s == pytest.approx(66.7, abs=0.1)
    assert found["R"].c_vh == pytest.approx(2 / 3, abs=0.001)


def test_only_the_last_minutes_count(line):
    early = {n: 3650 + 300 * n + 200 * (n % 2 == 0) for n in range(7)}
    late = {n: 3650 + 300 * n for n in range(10, 16)}
    assert measured(line, early | late, 3650 + 300 * 15)["R"] == Measured(0.0, 0.0)


def test_of_a_vehicle_that_came_twice_the_later_departure_counts(line):
    regular = {n: 3650 + 300 * n for n in range(6)}
    found = measured(line, regular | {2: 3650 + 590}, 3650 + 1500, again=[(2, 3650 + 600)])
    assert found == {"R": Measured(0.0, 0.0)}


def test_in_a_large_city_only_the_lines_asked_for_are_measured(line, monkeypatch):
    regular = {n: 3650 + 300 * n for n in range(6)}
    assert measured(line, regular, 3650 + 1500, is_wanted=False) == {"R": Measured(0.0, 0.0)}
    monkeypatch.setattr("dispatch.control_measures.PASSAGES_OF_ALL_MAX", 3)
    assert measured(line, regular, 3650 + 1500, is_wanted=False) == {}
    assert measured(line, regular, 3650 + 1500, is_wanted=True) == {"R": Measured(0.0, 0.0)}


def test_too_little_says_nothing(line):
    assert measured(line, {0: 3650, 1: 3950}, 4000) == {}
    assert measured(line, {}, 4000) == {}


def test_a_line_is_off_until_somebody_switches_it(line):
    table = ControlTable()
    table.use_network(line.network)
    assert [row.mode for row in table.rows(line.network)] == ["off"]
    assert table.mode_of("unknown") == "off"
    assert b'"lines": []' in table.to_bytes()


def test_what_it_was_like_before_stands_from_when_it_was_last_off(line):
    table = ControlTable()
    table.use_network(line.network)
    table.measure({"R": Measured(40.0, 0.5)})
    table.set("R", "advise", None, "desk1", 1.0)
    table.count("R", "advised")
    table.measure({"R": Measured(20.0, 0.3)})
    row = table.set("R", "automatic", "even", "desk2", 2.0)
    assert (row.ewt_before_s, row.c_vh_before, row.ewt_s, row.advised, row.law, row.by) == (
        40,
        0.5,
        20,
        1,
        "even",
        "desk2",
    )
    table.set("R", "off", None, "desk1", 3.0)
    row = table.set("R", "advise", None, "desk1", 4.0)
    assert (row.ewt_before_s, row.advised, row.law) == (20.0, 0, "even")
