"""The textbook's line: deviations from the (virtual) schedule alone, for which the laws have closed forms.

All vehicles are updated together, stop by stop, and nothing is cut: the timetable's slack is taken to be large
enough for every hold, so it falls out. With s the shift to the vehicle ahead, a law turns eps into f(s) eps + noise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from dispatch.holding import Gains, forward_s, simple_s, two_way_s
from simulators.scenario import Linear

Floats = NDArray[np.float64]
LINEAR_LAWS = ("none", "forward", "two-way", "simple")


def run_linear(linear: Linear, laws: Sequence[str], rng: np.random.Generator) -> dict[str, Floats]:
    """By law: variance of arrival headways after 1, 2, ... segments from perfect, s^2; all with the same noise."""
    eps = {law: np.zeros(linear.vehicles) for law in laws}
    variance = {law: np.empty(linear.stops) for law in laws}
    for stop in range(linear.stops):
        noise = rng.normal(0.0, linear.segment_noise_s, linear.vehicles)
        for law in laws:
            eps[law] = step(linear, law, eps[law]) + noise
            variance[law][stop] = np.mean((eps[law] - np.roll(eps[law], 1)) ** 2)
    return variance


def step(linear: Linear, law: str, eps: Floats) -> Floats:
    """Deviations one stop on, without the noise: dwell adds beta (eps_n - eps_(n-1)), the law its hold."""
    ahead, behind = np.roll(eps, 1), np.roll(eps, -1)
    headway_s, back_s = eps - ahead, behind - eps  # above the scheduled one, which falls out as well
    chosen = linear.gains
    gains = Gains(chosen.alpha_forward, chosen.alpha_two_way, chosen.alpha_self, linear.beta, chosen.f0, chosen.kappa)
    holds: dict[str, Callable[[], Floats]] = {
        "none": lambda: np.zeros_like(eps),
        "forward": lambda: forward_s(0.0, gains, headway_s, 0.0),
        "two-way": lambda: two_way_s(0.0, gains, headway_s, back_s, 0.0),
        "simple": lambda: simple_s(0.0, gains, eps, ahead),
    }
    return eps + linear.beta * headway_s + holds[law]()


def closed_form(linear: Linear, law: str) -> Floats:
    """What `run_linear` tends to, s^2: sums over the segments of the mean of |f(w)|^(2 j) |1 - exp(-i w)|^2."""
    shift = np.exp(-2j * np.pi * np.arange(4096) / 4096)
    beta, gains = linear.beta, linear.gains
    alpha, alpha2 = gains.alpha_forward, gains.alpha_two_way
    symbol = {
        "none": 1 + beta - beta * shift,
        "forward": 1 - alpha + alpha * shift,
        "two-way": 1 - 2 * alpha2 + alpha2 * (shift + 1 / shift),
        "simple": np.full_like(shift, gains.f0),
    }[law]
    power = np.abs(symbol[None, :]) ** (2 * np.arange(linear.stops)[:, None])
    terms: Floats = np.mean(power * np.abs(1 - shift) ** 2, axis=1)
    return np.cumsum(terms) * linear.segment_noise_s**2
