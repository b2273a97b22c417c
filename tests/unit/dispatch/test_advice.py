"""What is said of a hold: what it does by itself, what it does with those behind held in turn, and when it is not."""

import numpy as np
import pytest

from dispatch.advice import AdviceDesk, hold_of
from dispatch.effects import effect_of, helps, reason_of
from dispatch.holding import Gains, Limits, Situation
from dispatch.holding_plan import Line
from dispatch.situations import Case

H_S = 300.0
NAMES = {0: "a", 1: "b", 2: "c"}.__getitem__


def case(*gaps_s: float, early_s: float = 0.0) -> Case:
    """Vehicle b behind a, then others, each so many seconds after the one before it; nobody but riders at stops."""
    line = Line(list(gaps_s), [0.0] * len(gaps_s), 0.01, closed=False)
    behind_s = gaps_s[1] if len(gaps_s) > 1 else None
    at = Situation(
        arrival_s=0.0,
        ready_s=0.0,
        scheduled_departure_s=early_s,
        scheduled_headway_s=H_S,
        slack_s=0.0,
        headway_s=gaps_s[0],
        leader_departure_s=-gaps_s[0],
        deviation_s=-early_s,
        leader_deviation_s=0.0,
        follower_arrivals_s=tuple(np.cumsum(gaps_s[1:]).tolist()),
        line=line,
    )
    return Case(1, "town/b", 0, 0.0, 3, 3, 0, False, at, Gains(), 0, True, 2, gaps_s[0], behind_s, 0.0, True, 10.0)


def test_a_hold_that_pays_only_with_the_next_one_says_so() -> None:
    effect = effect_of(case(60.0, 60.0, 780.0), 90.0)
    assert effect.riders_wait_saved_s is not None
    assert effect.joint is not None
    assert effect.riders_wait_saved_s < 0 < effect.joint.riders_wait_saved_s
    assert effect.joint.held == 1
    assert effect.joint.excess_wait_after_s < effect.joint.excess_wait_s
    reason = reason_of(case(60.0, 60.0, 780.0), effect, NAMES)
    assert "with those behind held in turn (1), excess wait on the line goes from" in reason["en"]
    assert "якщо потім затримати й тих, хто позаду (1), зайве очікування на лінії зміниться з" in reason["uk"]


def test_a_hold_that_suffices_by_itself_speaks_of_no_other() -> None:
    reason = reason_of(case(100.0, 500.0, 300.0), effect_of(case(100.0, 500.0, 300.0), 90.0), NAMES)
    assert "in turn" not in reason["en"]
    assert "; excess wait on the line goes from" in reason["en"]


def test_nothing_is_expected_of_a_hold_that_nobody_follows() -> None:
    alone = case(100.0)
    assert effect_of(alone, 60.0).joint is None
    assert helps(alone, 60.0)


def test_what_makes_riders_wait_longer_is_not_advised_whatever_the_law() -> None:
    early = case(240.0, 60.0, 300.0, early_s=60.0)  # the timetable would have it wait, with its follower close behind
    assert not helps(early, 60.0)
    desk = AdviceDesk(lambda: "id")
    assert desk.consider(early, "schedule", None, NAMES, 0.0) is None  # type: ignore[arg-type]
    assert desk.counts["none.no_gain"] == 1
    assert desk.open == {}


@pytest.mark.parametrize("law", ["forward", "two-way", "even", "prediction", "optimal"])
def test_what_a_law_of_headways_asks_for_a_bunched_vehicle_helps(law: str) -> None:
    bunched = case(80.0, 520.0, 300.0)
    hold_s = hold_of(bunched, law, Limits())
    assert hold_s >= 30
    assert helps(bunched, hold_s)
