"""Where vehicles may be held: one rule for lines of many stops, of few, and of branches that share a road."""

from dataclasses import replace

import numpy as np

from dispatch.control_stops import ControlRule, place_controls
from dispatch.lines import draw_lines

RULE = ControlRule(every_stops=5, every_m=2500.0, end_m=800.0, halt_m=450.0)


def positions(network, pattern=0, rule=RULE, own=None):
    """Positions in a pattern of its control stops."""
    controls = place_controls(network, draw_lines(network), rule, own)
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


def timed(network, *positions):
    """The same network with timepoints at these positions of its only pattern."""
    flags = np.zeros(len(network.pattern_stop), dtype=np.bool_)
    flags[list(positions)] = True
    return replace(network, pattern_stop_timed=flags)


def test_timepoints_are_control_stops_and_the_rule_fills_what_lies_between(road, pattern):
    line = straight(road, pattern, range(0, 12000, 400))
    rule = ControlRule(every_stops=3, every_m=1500.0, end_m=800.0)
    assert positions(line, rule=rule) == [0, 3, 6, 9, 12, 15, 18, 21, 24, 27]
    # 3 gives way to 5, 11 to 13 and 16 to 19; with none in sight the count goes on as ever.
    assert positions(timed(line, 0, 5, 13, 19, 29), rule=rule) == [0, 5, 8, 13, 19, 22, 25]


def test_a_timepoint_near_the_end_is_none_to_wait_at(road, pattern):
    line = straight(road, pattern, range(0, 6401, 400))
    assert positions(timed(line, 0, 9, 15)) == [0, 9, 14]


def test_a_feed_that_calls_every_stop_a_timepoint_says_nothing_by_it(road, pattern):
    line = straight(road, pattern, range(0, 7000, 400))
    assert positions(timed(line, *range(18))) == positions(line)


def test_a_list_of_their_own_stands_instead_of_the_rule(road, pattern):
    line = straight(road, pattern, range(0, 7000, 400))
    assert positions(timed(line, 4), own={"R": {"R0-1", "R0-7", "R0-17", "nowhere"}}) == [0, 1, 7]
    assert positions(line, own={"R": set()}) == [0]
    assert positions(line, own={"S": {"R0-1"}}) == positions(line)
    assert positions(line, own={"R": {"of", "another", "feed"}}) == positions(line)
