"""Where vehicles may be held: one rule for lines of many stops, of few, and of branches that share a road."""

import numpy as np

from dispatch.control_stops import ControlRule, place_controls
from dispatch.lines import draw_lines

RULE = ControlRule(every_stops=5, every_m=2500.0, end_m=800.0, halt_m=450.0)


def positions(network, pattern=0, rule=RULE):
    """Positions in a pattern of its control stops."""
    controls = place_controls(network, draw_lines(network), rule)
    first, last = network.pattern_stop_start[pattern : pattern + 2]
    return np.flatnonzero(controls.is_control[first:last]).tolist()


def straight(road, pattern, stops_m, **more):
    return road(pattern(((0, 0), (stops_m[-1], 0)), stops_m, {"a": 3600}, **more)).network


def test_the_terminal_and_every_fifth_stop(road, pattern):
    assert positions(straight(road, pattern, range(0, 7000, 400))) == [0, 5, 10, 15]


def test_nobody_is_held_where_hardly_anybody_is_left_to_come(road, pattern):
    assert positions(straight(road, pattern, range(0, 6401, 400))) == [0, 5, 10]
    assert positions(straight(road, pattern, [0, 300])) == [0]


def test_stops_far_apart_are_control_stops_by_their_distance(road, pattern):
    assert positions(straight(road, pattern, [0, 2600, 3000, 5600, 9000])) == [0, 1, 3]


def test_patterns_that_share_a_road_share_its_control_stops(road, pattern):
    names = [f"s{n}" for n in range(13)]
    whole = pattern(((0, 0), (6000, 0)), range(0, 6001, 500), {"a": 0, "b": 600}, stops=names)
    short = pattern(((1000, 0), (6000, 0)), range(0, 5001, 500), {"c": 300}, stops=names[2:])
    network = road(whole, short).network
    assert positions(network, 0) == [0, 5, 10]
    assert positions(network, 1) == [0, 3, 8]  # its own terminal, and the stops s5 and s10


def test_the_two_visits_of_a_loop_are_two_places(road, pattern):
    names = ["s0", "s1", "s2", "s1", "s0"]
    line = pattern(((0, 0), (6000, 0), (0, 0)), [0, 3000, 6000, 9000, 12000], {"a": 0}, stops=names)
    network = road(line).network
    controls = place_controls(network, draw_lines(network), RULE)
    assert len(set(controls.place.tolist())) == 5
    assert positions(network) == [0, 1, 2, 3]


def test_halts_are_counted_by_the_way_where_a_feed_names_few_stops(road, pattern):
    network = straight(road, pattern, [0, 9000])
    controls = place_controls(network, draw_lines(network), RULE)
    assert controls.halts_ahead.tolist() == [20.0, 0.0]
    assert controls.spacing_halts.tolist() == [20]
