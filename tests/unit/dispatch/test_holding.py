"""Holding laws as the literature writes them, and what a driver is asked for in the end."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.holding import LAWS, Gains, Limits, Situation, held_s
from dispatch.holding_plan import Line, joint, plan

H_S = 360.0
GAINS = Gains(alpha_forward=0.2, alpha_two_way=1 / 3, alpha_self=0.1, beta=0.05, f0=0.5, kappa=0.7)


def situation(headway_s: float = H_S, followers_s: tuple[float, ...] = (360.0,), **changed: float) -> Situation:
    """A vehicle that came at 0 and is ready at 20; its leader had left 340 s before, when all is as scheduled."""
    at = Situation(
        arrival_s=0.0,
        ready_s=20.0,
        scheduled_departure_s=20.0,
        scheduled_headway_s=H_S,
        slack_s=0.0,
        headway_s=headway_s,
        leader_departure_s=20.0 - headway_s,
        deviation_s=0.0,
        leader_deviation_s=0.0,
        follower_arrivals_s=followers_s,
    )
    return at._replace(**changed)


def line(gap_s: list[float], on_board: float = 0.0, *, closed: bool = True) -> Line:
    return Line(gap_s, [on_board] * len(gap_s), riders_per_s=0.025, closed=closed)


def test_none_never_waits() -> None:
    assert LAWS["none"](situation(headway_s=10.0), GAINS) == 0.0


def test_schedule_waits_for_the_timetable_and_cannot_wait_for_what_is_past() -> None:
    assert LAWS["schedule"](situation(scheduled_departure_s=95.0), GAINS) == 75.0
    assert LAWS["schedule"](situation(scheduled_departure_s=-40.0), GAINS) == -60.0


def test_forward_holds_who_is_close_behind_its_leader() -> None:
    assert LAWS["forward"](situation(headway_s=260.0, slack_s=10.0), GAINS) == pytest.approx(10 + 0.25 * 100)


def test_two_way_looks_at_both_neighbours() -> None:
    hold_s = LAWS["two-way"](situation(headway_s=300.0, followers_s=(420.0,)), GAINS)
    assert hold_s == pytest.approx((420 - 300) / 3 + 0.05 * 60)


def test_two_way_with_nobody_behind_is_forward() -> None:
    alone = situation(headway_s=300.0, followers_s=())
    assert LAWS["two-way"](alone, GAINS) == LAWS["forward"](alone, GAINS)


def test_simple_decays_towards_the_virtual_schedule() -> None:
    hold_s = LAWS["simple"](situation(deviation_s=-100.0, leader_deviation_s=20.0), GAINS)
    assert hold_s == pytest.approx((0.5 - 1 - 0.05) * -100 + 0.05 * 20)


def test_self_coordinating_waits_for_a_share_of_the_time_behind_it() -> None:
    assert LAWS["self-coordinating"](situation(followers_s=(420.0,)), GAINS) == pytest.approx(40.0)
    assert LAWS["self-coordinating"](situation(followers_s=()), GAINS) == 0.0


def test_even_leaves_in_the_middle_but_not_later_than_kappa() -> None:
    middle = situation(headway_s=100.0, followers_s=(200.0,))  # leader left at -80
    assert LAWS["even"](middle, GAINS) == pytest.approx((-80 + 200) / 2 - 20)
    far = situation(headway_s=100.0, followers_s=(900.0,))
    assert LAWS["even"](far, GAINS) == pytest.approx(-80 + 0.7 * H_S - 20)


def test_prediction_leaves_the_headway_that_all_behind_can_keep() -> None:
    # The last departure was at -180; the second behind comes 900 s after it: three headways of 300 s.
    at = situation(headway_s=200.0, followers_s=(100.0, 720.0))
    assert LAWS["prediction"](at, GAINS) == pytest.approx(-180 + 300 - 20)


@pytest.mark.parametrize("law", [law for law in LAWS if law not in {"none", "schedule", "forward", "simple"}])
def test_every_law_answers_with_nobody_behind(law: str) -> None:
    assert np.isfinite(LAWS[law](situation(followers_s=()), GAINS))


def test_plan_leaves_an_even_line_alone() -> None:
    assert plan(line([360.0] * 5)).tolist() == pytest.approx([0.0] * 5, abs=1e-6)


def test_plan_holds_the_vehicle_ahead_of_a_wide_gap() -> None:
    held = plan(line([200.0, 520.0, 360.0, 360.0, 360.0]))
    assert held.argmax() == 0
    assert held[0] > 100.0
    assert held[1] == 0.0  # whoever is late goes


def test_plan_evens_the_gaps_when_nobody_is_on_board() -> None:
    gap_s = np.array([200.0, 520.0, 300.0, 420.0, 360.0])
    held = plan(line(gap_s.tolist()))
    after_s = gap_s + held - np.roll(held, 1)
    assert np.ptp(after_s) < 0.02 * np.ptp(gap_s)
    assert held.min() == 0.0  # not all are held: no target headway makes the whole line wait


def test_plan_holds_less_the_more_are_on_board() -> None:
    gap_s = [250.0, 470.0, 360.0, 360.0, 360.0]
    holds_s = [float(plan(line(gap_s, on_board))[0]) for on_board in (0.0, 20.0, 60.0, 1000.0)]
    assert holds_s == sorted(holds_s, reverse=True)
    assert holds_s[-1] == 0.0


def test_plan_reckons_with_less_from_others_where_drivers_disobey() -> None:
    # Two vehicles ahead of a gap of 12 min: the second is to do most of it, unless it can hardly be relied on.
    seen = line([240.0, 240.0, 720.0, 360.0, 360.0])
    shares = []
    for compliance in (1.0, 0.8, 0.5):
        held = plan(seen._replace(compliance=compliance))
        shares.append(float(held[0] / held.sum()))
        assert held[1] <= plan(seen)[1]
    assert shares == sorted(shares)


def test_plan_of_a_line_where_nobody_obeys_is_still_a_plan() -> None:
    assert np.isfinite(plan(line([200.0, 520.0, 360.0])._replace(compliance=0.0))).all()


def test_plan_of_an_open_line_does_not_hold_the_last_for_nobody() -> None:
    held = plan(line([200.0, 520.0, 360.0], closed=False))
    assert held[0] > 0.0
    assert held[2] == pytest.approx(0.0, abs=1e-6)


def test_plan_of_one_vehicle_and_of_a_line_without_riders() -> None:
    assert plan(line([3600.0])).tolist() == pytest.approx([0.0])
    nobody = line([200.0, 520.0], on_board=1.0)._replace(riders_per_s=0.0)
    assert plan(nobody).tolist() == [0.0, 0.0]


def test_optimal_is_the_first_hold_of_the_plan_and_nothing_without_a_line() -> None:
    seen = line([200.0, 520.0, 360.0])
    assert LAWS["optimal"](situation()._replace(line=seen), GAINS) == pytest.approx(plan(seen)[0])
    assert LAWS["optimal"](situation(), GAINS) == 0.0


@pytest.mark.parametrize(
    ("law_s", "terminal", "shown_s"),
    [
        (-50.0, False, 0.0),
        (29.0, False, 0.0),  # would be rounded to 30
        (24.0, False, 0.0),
        (34.0, False, 30.0),
        (87.0, False, 90.0),
        (400.0, False, 90.0),
        (400.0, True, 400.0),
        (4000.0, True, 600.0),
    ],
)
def test_advice_is_rounded_capped_and_not_shown_below_half_a_minute(
    law_s: float, terminal: bool, shown_s: float
) -> None:
    assert held_s(law_s, Limits(), terminal=terminal) == shown_s


def test_without_steps_a_hold_is_only_capped() -> None:
    free = Limits(shown_s_min=0.0, stop_s_max=90.0, terminal_s_max=300.0, step_s=0.0)
    assert held_s(12.3, free, terminal=False) == 12.3
    assert held_s(float("nan"), free, terminal=False) == 0.0


@given(st.floats(allow_nan=True, allow_infinity=True), st.booleans(), st.sampled_from([0.0, 10.0, 7.0]))
def test_whatever_a_law_says_the_driver_is_asked_for_something_sane(
    law_s: float, terminal: bool, step_s: float
) -> None:
    limits = Limits(step_s=step_s)
    asked_s = held_s(law_s, limits, terminal=terminal)
    assert asked_s == 0.0 or limits.shown_s_min - step_s / 2 <= asked_s <= (600.0 if terminal else 90.0)


@given(st.lists(st.floats(-100.0, 5000.0), min_size=1, max_size=12), st.floats(0.0, 90.0), st.floats(0.0, 1.0))
def test_a_plan_is_always_finite_and_never_negative(gap_s: list[float], on_board: float, compliance: float) -> None:
    held = plan(line(gap_s, on_board)._replace(compliance=compliance))
    assert np.isfinite(held).all()
    assert (held >= 0.0).all()


def test_a_hold_of_the_plan_saves_what_the_plan_says() -> None:
    seen = line([200.0, 520.0, 360.0, 360.0], closed=False)
    found = joint(seen, float(plan(seen)[0]))
    squares_s2 = sum(gap_s**2 for gap_s in seen.gap_s)
    assert found.wait_s == pytest.approx(squares_s2 / (2 * sum(seen.gap_s)))
    assert found.wait_after_s < found.wait_s
    assert found.saved_s > 0
    assert found.vehicles == 4


def test_who_is_held_before_a_vehicle_that_follows_closely_needs_it_to_be_held_as_well() -> None:
    # 60 s behind its leader, its follower 60 s behind it, and then nobody for long: both have to wait.
    seen = line([60.0, 60.0, 700.0], closed=False)
    alone_s2 = (60 + 90) ** 2 + 0.0 + 700**2
    assert alone_s2 > sum(gap_s**2 for gap_s in seen.gap_s)  # by itself the hold makes riders wait for longer
    found = joint(seen, 90.0)
    assert found.held == 1
    assert found.saved_s > 0


def test_holding_who_has_a_wide_gap_ahead_helps_nobody() -> None:
    assert joint(line([700.0, 300.0, 300.0], closed=False), 90.0).saved_s < 0
    assert joint(line([300.0], closed=False), 60.0).saved_s < 0


@given(st.lists(st.floats(0.0, 2000.0), min_size=1, max_size=8), st.floats(0.0, 600.0), st.floats(0.0, 1.0))
def test_what_is_expected_of_a_hold_is_always_a_number(gap_s: list[float], hold_s: float, compliance: float) -> None:
    assert np.isfinite(joint(line(gap_s)._replace(compliance=compliance), hold_s)).all()
