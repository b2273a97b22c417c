"""Holding laws: how long a vehicle that is ready at a control stop should wait, from what is known at that moment.

Every law is a pure function of a `Situation` and `Gains`; it gives seconds, before the limits that `held_s` applies.
In what follows h is the headway on arrival, H the scheduled one, dbar the slack that the timetable has at this stop.

Sources: Daganzo, "A headway-based approach to eliminate bus bunching" (2009): forward. Daganzo and Pilachowski,
"Reducing bunching with bus-to-bus cooperation" (2011): two-way. Xuan, Argote and Daganzo, "Dynamic bus holding
strategies for schedule reliability" (2011): simple. Bartholdi and Eisenstein, "A self-coordinating bus route to resist
bus bunching" (2012). Cats and others, "Impacts of holding control strategies on transit performance" (2011): even.
Berrebi, Watkins and Laval, "A real-time bus dispatching policy to minimize passenger wait" (2015): prediction.
`optimal` is ours: see `dispatch.holding_plan`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from dispatch.holding_plan import Floats, Line, plan

# The linear laws are arithmetic alone: they take one vehicle's figures or a whole row's.
Seconds = TypeVar("Seconds", float, Floats)


@dataclass(frozen=True, slots=True)
class Gains:
    """The parameters of the laws, all without unit.

    `beta` is the line's own: by what share a headway's deviation grows until the next control stop. Where that is the
    next stop, it is the riders per second times the seconds that one takes to board, 0.01 to 0.1.
    """

    alpha_forward: float = 0.2
    alpha_two_way: float = 1 / 3
    alpha_self: float = 0.1
    beta: float = 0.05
    f0: float = 0.5
    kappa: float = 0.7


@dataclass(frozen=True, slots=True)
class Limits:
    """What a driver can be asked for, in seconds; the defaults are for advice that is shown to a dispatcher."""

    shown_s_min: float = 30.0  # a shorter hold is not worth a message
    stop_s_max: float = 90.0  # riders on board put up with 60 to 120 s
    terminal_s_max: float = 600.0
    step_s: float = 10.0  # rounded to it; 0: not rounded


class Situation(NamedTuple):
    """What is known when a vehicle is ready to leave a control stop. Instants in seconds of one clock."""

    arrival_s: float
    ready_s: float
    scheduled_departure_s: float
    scheduled_headway_s: float
    slack_s: float  # dbar: what the timetable has for waiting here
    headway_s: float  # since the leader's arrival here
    leader_departure_s: float
    deviation_s: float  # of this vehicle from its (virtual) schedule, on arrival
    leader_deviation_s: float
    follower_arrivals_s: tuple[float, ...] = ()  # predicted, of the vehicles behind, nearest first
    line: Line | None = None


def forward_s(slack_s: float, gains: Gains, headway_s: Seconds, scheduled_s: float) -> Seconds:
    """dbar + (alpha + beta)(H - h): keep the distance to the vehicle ahead."""
    return slack_s + (gains.alpha_forward + gains.beta) * (scheduled_s - headway_s)


def two_way_s(slack_s: float, gains: Gains, headway_s: Seconds, back_s: Seconds, scheduled_s: float) -> Seconds:
    """dbar + alpha (h_back - h) + beta (H - h): keep the middle between two neighbours."""
    return slack_s + gains.alpha_two_way * (back_s - headway_s) + gains.beta * (scheduled_s - headway_s)


def simple_s(slack_s: float, gains: Gains, deviation_s: Seconds, leader_deviation_s: Seconds) -> Seconds:
    """dbar + (f0 - 1 - beta) eps_n + beta eps_(n-1): decay towards the virtual schedule."""
    return slack_s + (gains.f0 - 1 - gains.beta) * deviation_s + gains.beta * leader_deviation_s


def none(_at: Situation, _gains: Gains) -> float:
    """Go when ready."""
    return 0.0


def schedule(at: Situation, _gains: Gains) -> float:
    """Wait for the timetable."""
    return at.scheduled_departure_s - at.ready_s


def forward(at: Situation, gains: Gains) -> float:
    """`forward_s` at one stop."""
    return forward_s(at.slack_s, gains, at.headway_s, at.scheduled_headway_s)


def two_way(at: Situation, gains: Gains) -> float:
    """`two_way_s` at one stop; with nobody behind it has but one neighbour to mind."""
    if not at.follower_arrivals_s:
        return forward(at, gains)
    back_s = at.follower_arrivals_s[0] - at.arrival_s
    return two_way_s(at.slack_s, gains, at.headway_s, back_s, at.scheduled_headway_s)


def simple(at: Situation, gains: Gains) -> float:
    """`simple_s` at one stop."""
    return simple_s(at.slack_s, gains, at.deviation_s, at.leader_deviation_s)


def self_coordinating(at: Situation, gains: Gains) -> float:
    """alpha times the time until the follower arrives: no target headway at all."""
    if not at.follower_arrivals_s:
        return 0.0
    return gains.alpha_self * max(0.0, at.follower_arrivals_s[0] - at.ready_s)


def even(at: Situation, gains: Gains) -> float:
    """Leave in the middle between leader and follower, but no later than kappa H after the leader."""
    latest_s = at.leader_departure_s + gains.kappa * at.scheduled_headway_s
    if not at.follower_arrivals_s:
        return latest_s - at.ready_s
    middle_s = (at.leader_departure_s + at.follower_arrivals_s[0]) / 2
    return min(middle_s, latest_s) - at.ready_s


def prediction(at: Situation, _gains: Gains) -> float:
    """Leave g after the last departure, g = max over i of (A_i - d_last) / (i + 1): the headway all behind can keep."""
    if not at.follower_arrivals_s:
        return 0.0
    last_s = at.leader_departure_s
    return last_s + max((a - last_s) / i for i, a in enumerate(at.follower_arrivals_s, 2)) - at.ready_s


def optimal(at: Situation, _gains: Gains) -> float:
    """The hold of this vehicle in the `plan` that costs the riders of the whole line the least time."""
    return 0.0 if at.line is None else float(plan(at.line)[0])


Law = Callable[[Situation, Gains], float]


LAWS: dict[str, Law] = {
    "none": none,
    "schedule": schedule,
    "forward": forward,
    "two-way": two_way,
    "simple": simple,
    "self-coordinating": self_coordinating,
    "even": even,
    "prediction": prediction,
    "optimal": optimal,
}
LOOKS_BEHIND = frozenset({"two-way", "self-coordinating", "even", "prediction"})  # need `follower_arrivals_s`
LOOKS_ROUND = frozenset({"optimal"})  # need `line`


def held_s(hold_s: float, limits: Limits, *, terminal: bool) -> float:
    """A law's hold within what a driver can be asked for."""
    cap_s = limits.terminal_s_max if terminal else limits.stop_s_max
    within_s = min(max(0.0, hold_s), cap_s)
    if within_s < limits.shown_s_min:
        return 0.0
    return min(round(within_s / limits.step_s) * limits.step_s, cap_s) if limits.step_s else within_s
