"""Which trips one vehicle runs in a row: from block_id, or from a rule that finds the block in the trip's id."""

from __future__ import annotations

import re

import numpy as np

from dispatch.network import Ints


class BlockRuleError(ValueError):
    """The block pattern cannot be used; the text says why."""


def block_rule(pattern: str) -> re.Pattern[str]:
    """The compiled rule; BlockRuleError when it is no regular expression or has no group."""
    try:
        rule = re.compile(pattern)
    except re.error as error:
        raise BlockRuleError(f"the block pattern {pattern!r} is not a regular expression: {error}") from None
    if rule.groups < 1:
        raise BlockRuleError(
            f"the block pattern {pattern!r} has no group: put the part of the trip_id that names its block in brackets"
        )
    return rule


def name_blocks(trip_id: list[str], given: list[str | None], rule: re.Pattern[str] | None) -> list[str | None]:
    """The block of each trip: the feed's own where it has one, else the rule's first group, else None."""
    if rule is None:
        return [block or None for block in given]
    named = []
    for trip, block in zip(trip_id, given, strict=True):
        found = None if block else rule.search(trip)
        named.append(block or (found.group(1) if found else None) or None)
    return named


def number_blocks(named: list[str | None]) -> tuple[list[str], Ints]:
    """Block ids in order of appearance, and the index of each trip's, -1 for none."""
    index: dict[str, int] = {}
    block = np.array([-1 if name is None else index.setdefault(name, len(index)) for name in named], dtype=np.int32)
    return list(index), block


def overlapping(block: Ints, service: Ints, start_s: Ints, end_s: Ints) -> list[int]:
    """Trips that begin before an earlier trip of the same block and service has ended."""
    trips = np.flatnonzero(block >= 0)
    order = trips[np.lexsort((end_s[trips], start_s[trips], service[trips], block[trips]))]
    before, after = order[:-1], order[1:]
    same = (block[before] == block[after]) & (service[before] == service[after])
    return [int(trip) for trip in after[same & (start_s[after] < end_s[before])]]
