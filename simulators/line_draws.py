"""Everything random of one run of a line, drawn before its first event: every law meets the same traffic and riders."""

from __future__ import annotations

from itertools import accumulate

import numpy as np

from simulators.scenario import Loop

BEFORE = 2.0  # headways before the start from which riders already wait


class Draws:
    """Looked up by vehicle and visit (running times, obedience), by time (traffic) and by stop and time (riders)."""

    def __init__(self, loop: Loop, rng: np.random.Generator) -> None:
        span_s = loop.warmup_s + loop.duration_s
        # As many visits as the fastest law can make; should one make more, the row starts again.
        visits = int(1.5 * span_s / (loop.run_s_mean + loop.dwell_s)) + 2 * loop.stops
        noise = _lognormal(rng, loop.run_cv, (loop.vehicles, visits)) * loop.run_s_mean
        self.run_s_by_vehicle: list[list[float]] = noise.tolist()
        periods = int(span_s / loop.traffic_period_s) + 2
        self.traffic_by_period: list[float] = _lognormal(rng, loop.traffic_cv, (periods,)).tolist()
        self.obeys_by_vehicle: list[list[bool]] = (rng.random((loop.vehicles, visits)) < loop.compliance).tolist()
        self.riders_s_by_stop: list[list[float]] = []  # when each rider comes, in order
        self.riders_s_sum_by_stop: list[list[float]] = []  # of all riders before that one
        self.goal_by_stop: list[list[int]] = []  # where each of them gets off
        since_s = -BEFORE * loop.headway_s
        for stop in range(loop.stops):
            count = rng.poisson(loop.riders_per_s * (span_s - since_s))
            riders_s: list[float] = np.sort(rng.uniform(since_s, span_s, count)).tolist()
            rides = rng.integers(loop.ride_stops_min, loop.ride_stops_max + 1, count)
            self.riders_s_by_stop.append(riders_s)
            self.riders_s_sum_by_stop.append(list(accumulate(riders_s, initial=0.0)))
            self.goal_by_stop.append(((stop + rides) % loop.stops).tolist())


def _lognormal(rng: np.random.Generator, variation: float, shape: tuple[int, ...]) -> np.ndarray:
    """Lognormal numbers of mean 1 and that coefficient of variation."""
    sigma = float(np.sqrt(np.log1p(variation**2)))
    return rng.lognormal(-(sigma**2) / 2, sigma, shape)
