"""Blocks by id, by rule, and those that no vehicle could run."""

import numpy as np
import pytest

from dispatch.network_blocks import BlockRuleError, block_rule, name_blocks, number_blocks, overlapping


def ints(*values: int) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    return np.array(values, dtype=np.int32)


def test_the_rule_names_the_block_where_the_feed_does_not() -> None:
    rule = block_rule("^([0-9]+_[0-9]+)_")
    named = name_blocks(["1_7_0_0", "1_7_1_1", "1_8_0_0", "odd"], [None, "", "own", None], rule)
    assert named == ["1_7", "1_7", "own", None]
    assert number_blocks(named)[0] == ["1_7", "own"]
    assert number_blocks(named)[1].tolist() == [0, 0, 1, -1]


def test_a_group_that_takes_no_part_names_no_block() -> None:
    assert name_blocks(["x", "ab"], [None, None], block_rule("x|a(b)")) == [None, "b"]


@pytest.mark.parametrize(
    ("pattern", "words"), [("(", "is not a regular expression"), ("^a+", "has no group"), ("(?:a)", "has no group")]
)
def test_a_bad_rule_is_refused(pattern: str, words: str) -> None:
    with pytest.raises(BlockRuleError, match=words):
        block_rule(pattern)


def test_trips_of_one_block_and_service_that_overlap_are_found() -> None:
    block, service = ints(0, 0, 0, 1, -1, -1), ints(0, 0, 1, 0, 0, 0)
    start_s, end_s = ints(0, 90, 50, 0, 0, 0), ints(100, 200, 300, 500, 9, 9)
    assert overlapping(block, service, start_s, end_s) == [1]
    assert overlapping(block[:0], service[:0], start_s[:0], end_s[:0]) == []


def test_a_trip_may_begin_when_the_one_before_ends() -> None:
    assert overlapping(ints(0, 0), ints(0, 0), ints(0, 100), ints(100, 200)) == []
