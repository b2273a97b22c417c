"""Which transfer rules of a table are for a change between two leg groups, and how long each allows it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import product
from zoneinfo import ZoneInfo

from ticketing.legs import NONE, Leg, is_or_unnamed
from ticketing.transfer_rules import TransferRule


class TransferTable:
    """The transfer rules of one set of tables. empty_is_any: an empty leg group of a rule stands for all of them.

    longest_s: the longest time that a transfer may take, seconds; infinite where one has no limit.
    """

    def __init__(self, rules: Sequence[TransferRule], *, empty_is_any: bool) -> None:
        self._rules = rules
        self._empty_is_any = empty_is_any
        self._named_from = NONE.union(*(rule.from_groups for rule in rules))
        self._named_to = NONE.union(*(rule.to_groups for rule in rules))
        self._empty = [rule for rule in rules if not rule.from_groups or not rule.to_groups]
        self._exact: dict[tuple[str, str], tuple[TransferRule, ...]] = {}
        for rule in rules:
            for pair in product(rule.from_groups, rule.to_groups):
                self._exact[pair] = (*self._exact.get(pair, ()), rule)
        self.longest_s = max(((_longest_s(rule) or math.inf) + rule.round_up_s for rule in rules), default=0)

    def between(self, from_group: str, to_group: str) -> Sequence[TransferRule]:
        """The rules for changing between two leg groups: exact ones, else those whose empty fields stand for them."""
        if self._empty_is_any:
            return [
                rule
                for rule in self._rules
                if (not rule.from_groups or from_group in rule.from_groups)
                and (not rule.to_groups or to_group in rule.to_groups)
            ]
        if (from_group, to_group) in self._exact:
            return self._exact[from_group, to_group]
        from_word, to_word = frozenset((from_group,)), frozenset((to_group,))
        return [
            rule
            for rule in self._empty
            if is_or_unnamed(rule.from_groups, from_word, self._named_from)
            and is_or_unnamed(rule.to_groups, to_word, self._named_to)
        ]

    def leads_on(self, group: str) -> bool:
        """Whether a feed has changes that may go on from a leg group."""
        return group in self._named_from or any(not rule.from_groups for rule in self._empty)


def transfer_span_s(rule: TransferRule, first: Leg, zone: ZoneInfo) -> tuple[float, float]:
    """The half-open time of a transfer rule that begins with a leg, Unix seconds; without a limit it never ends."""
    since_s = first.start_s if rule.from_departure else first.end_s
    if rule.until_s is not None:
        return since_s, _next_clock_s(since_s, rule.until_s, zone)
    if rule.limit_s is None:
        return since_s, math.inf
    counted_s = since_s
    if rule.round_up_s:
        offset = datetime.fromtimestamp(since_s, zone).utcoffset()
        local_s = since_s + (offset.total_seconds() if offset else 0)
        counted_s += -local_s % rule.round_up_s
    return since_s, counted_s + rule.limit_s


@lru_cache(maxsize=4096)
def _next_clock_s(since_s: float, clock_s: int, zone: ZoneInfo) -> float:
    """When the clock shows a time next, after an instant."""
    local = datetime.fromtimestamp(since_s, zone)
    at = local.replace(hour=clock_s // 3600, minute=clock_s % 3600 // 60, second=0, microsecond=0, fold=0)
    return (at if at.timestamp() > since_s else at + timedelta(days=1)).timestamp()


def _longest_s(rule: TransferRule) -> int | None:
    """The longest time that the rule may give, but for rounding; a day may have 25 hours."""
    return rule.limit_s if rule.until_s is None else 90_000
