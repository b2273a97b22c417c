"""The line simulator: what must hold on any line, whatever the law."""

import msgspec
import numpy as np
import pytest

from dispatch.holding import LAWS
from simulators.line import LoopRun, Outcome
from simulators.line_draws import Draws
from simulators.line_timetable import Timetable
from simulators.scenario import LawGains, Loop

CALM = Loop(run_cv=0.0, traffic_cv=0.0, riders_per_min=0.0, run_s_mean=75.0, overtaking=True)  # 400 s of recovery


def run(loop: Loop, law: str, seed: int = 0) -> Outcome:
    return LoopRun(Timetable(loop), law, Draws(loop, np.random.default_rng(seed))).run()


def headways_s(outcome: Outcome) -> np.ndarray:
    return np.concatenate([np.diff(departures_s) for departures_s in outcome.departures_s_by_stop])


def changed(loop: Loop | None = None, **fields: object) -> Loop:
    return msgspec.structs.replace(loop or Loop(), **fields)


def test_without_chance_the_timetable_is_kept_to_the_second() -> None:
    outcome = run(CALM, "schedule")
    assert headways_s(outcome) == pytest.approx(360.0)
    assert set(np.round(outcome.holds_s, 3)) == {0.0, 200.0}


def test_without_chance_and_control_vehicles_are_early_by_the_recovery() -> None:
    rounds_s = [round(departures_s[10] - departures_s[0], 3) for departures_s in run(CALM, "none").departures_s_by_stop]
    assert set(rounds_s) == {CALM.driven_s}


def test_an_uncontrolled_line_bunches_and_holding_keeps_it_apart() -> None:
    loose, held = headways_s(run(Loop(), "none")), headways_s(run(Loop(), "prediction"))
    assert (loose < 60).mean() > 0.3
    assert (held < 60).mean() < 0.02


def test_every_law_sees_the_same_draws_and_changes_none_of_them() -> None:
    loop = Loop()
    draws = Draws(loop, np.random.default_rng(3))
    first = [LoopRun(Timetable(loop), law, draws).run() for law in LAWS]
    again = [LoopRun(Timetable(loop), law, Draws(loop, np.random.default_rng(3))).run() for law in reversed(LAWS)]
    assert first == again[::-1]


def test_nobody_overtakes_unless_the_scenario_lets_him() -> None:
    for overtaking in (False, True):
        loop = changed(overtaking=overtaking, run_cv=0.4)
        timetable = Timetable(loop)
        order: list[list[int]] = [[] for _ in range(loop.stops)]

        class Watched(LoopRun):
            def _leave(self, vehicle, at_s):  # type: ignore[no-untyped-def]
                order[vehicle.stop].append((at_s, vehicle.number))  # noqa: B023
                super()._leave(vehicle, at_s)

        Watched(timetable, "none", Draws(loop, np.random.default_rng(1))).run()
        # Round the loop the same vehicle always follows the same one, or somebody got past.
        steps = {
            (b - a) % loop.vehicles for at in order for (_, a), (_, b) in zip(sorted(at), sorted(at)[1:], strict=False)
        }
        assert (steps == {1}) is not overtaking


def test_who_comes_gets_on_or_is_counted_as_denied() -> None:
    outcome = run(changed(capacity=20), "none")
    assert outcome.denied > 0
    roomy = run(changed(capacity=10_000), "two-way")
    assert roomy.denied == 0
    come = 1.5 / 60 * 40 * 14_400
    assert roomy.riders == pytest.approx(come, rel=0.05)


def test_mean_wait_is_what_the_headways_say_where_there_is_room() -> None:
    outcome = run(changed(capacity=10_000), "schedule")
    h = headways_s(outcome)
    assert outcome.wait_s / outcome.riders == pytest.approx((h**2).sum() / (2 * h.sum()), rel=0.05)


def test_a_ride_takes_as_long_as_its_stops() -> None:
    outcome = run(changed(CALM, riders_per_min=0.1, ride_stops_min=3, ride_stops_max=3, dwell_s=20.0), "none")
    three_runs_two_dwells_s = 3 * 75 + 2 * 20
    assert outcome.ride_s / outcome.riders == pytest.approx(three_runs_two_dwells_s, rel=0.05)


def test_dwell_is_the_longer_of_boarding_and_alighting() -> None:
    line = changed(CALM, riders_per_min=0.5, ride_stops_min=3, ride_stops_max=3, run_s_mean=60.0)
    for on_s, off_s in ((4.0, 0.0), (0.0, 4.0), (4.0, 4.0)):
        loop = changed(line, boarding_s=on_s, alighting_s=off_s)
        outcome = run(loop, "schedule")
        three_runs_s, two_dwells_s = 3 * 60, 2 * (5 + 4 * 0.5 * 6)
        held_s = 2 / 20 * loop.recovery_s  # one stop in twenty is a terminal
        assert outcome.ride_s / outcome.riders == pytest.approx(three_runs_s + two_dwells_s + held_s, rel=0.03)


def test_drivers_who_never_obey_make_every_law_none() -> None:
    loop = changed(compliance=0.0)
    assert headways_s(run(loop, "optimal")).tolist() == headways_s(run(loop, "none")).tolist()
    assert set(run(loop, "optimal").holds_s) == {0.0}


@pytest.mark.parametrize("law", LAWS)
def test_no_hold_is_longer_than_its_cap(law: str) -> None:
    holds_s = run(changed(stop_hold_s_max=40.0, terminal_hold_s_max=120.0), law).holds_s
    assert 0.0 <= min(holds_s) <= max(holds_s) <= 120.0
    assert np.mean(np.array(holds_s) > 40.0) <= 0.26  # terminals are a quarter of the control stops


@pytest.mark.parametrize(
    "fields",
    [
        {"vehicles": 2, "headway_s": 1800.0},
        {"vehicles": 1, "headway_s": 3600.0},
        {"vehicles": 1, "headway_s": 3600.0, "overtaking": True, "riders_per_min": 0.0, "compliance": 0.0},
        {"headway_s": 7200.0, "riders_per_min": 0.1},
        {"control_every": 1, "stops_per_direction": 2, "ride_stops_min": 1, "ride_stops_max": 3},
        {"vehicles": 40, "headway_s": 60.0},  # cannot be driven
        {"riders_per_min": 60.0, "warmup_s": 0.0, "duration_s": 1200.0},
        {"run_cv": 2.0, "traffic_cv": 2.0, "overtaking": True, "compliance": 0.5},
        {"stops_per_direction": 2, "ride_stops_min": 1, "ride_stops_max": 3, "vehicles": 2},
        {"control_every": 100, "dwell_s": 0.0},
        {"warmup_s": 0.0, "duration_s": 60.0},
        {"capacity": 1},
        {"stop_hold_s_max": 0.0, "terminal_hold_s_max": 0.0},
        {"gains": LawGains(0.0, 0.0, 0.0, 0.0, 0.0)},
    ],
)
@pytest.mark.parametrize("law", LAWS)
def test_odd_lines_run_to_their_end(fields: dict[str, object], law: str) -> None:
    loop = changed(**{"duration_s": 3600.0, **fields})
    outcome = run(loop, law)
    assert len(outcome.departures_s_by_stop) == loop.stops
    assert all(np.diff(departures_s).min(initial=0.0) >= 0.0 for departures_s in outcome.departures_s_by_stop)
    assert np.isfinite([outcome.wait_s, outcome.ride_s]).all()
