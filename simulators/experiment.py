"""Control laws compared on one line: every law runs through the same draws of the same seeds, and is measured alike.

Regularity is pooled over stops and runs by summing numerators and denominators (definitions of TfL's excess wait and
TCQSM's headway adherence): headways of one stop never mix with another's.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

import msgspec
import numpy as np
from numpy.typing import NDArray

from dispatch.holding import LAWS
from simulators.line import LoopRun, Outcome
from simulators.line_draws import Draws
from simulators.line_linear import LINEAR_LAWS, run_linear
from simulators.line_timetable import Timetable
from simulators.scenario import Linear, Loop, Scenario

Floats = NDArray[np.float64]
Progress = Callable[[int], None]

POOL_PAYS_S = 6.0  # of work that is left: below it, starting processes takes longer than they save


class LawResult(msgspec.Struct, frozen=True):
    """One law on all seeds. Times in seconds; None where a kind of scenario has no such figure.

    `mean_hold_s` and `hold_s_p95` are over all visits of control stops, held or not; `denied_boardings` counts a rider
    once for each vehicle without room for them; `headway_variance_s2_by_stop` is of departures at each stop of a
    loop, and of arrivals after 1, 2, ... segments of a linear scenario.
    """

    law: str
    ewt_s: float | None
    c_vh: float | None
    mean_hold_s: float | None
    hold_s_p95: float | None
    mean_wait_s: float | None
    mean_ride_s: float | None
    denied_boardings: int | None
    headway_variance_s2_by_stop: list[float | None]


def laws_of(scenario: Scenario) -> tuple[str, ...]:
    """The laws that a scenario can be run with."""
    return LINEAR_LAWS if isinstance(scenario, Linear) else tuple(LAWS)


def parameters_of(scenario: Scenario) -> dict[str, object]:
    """The scenario's own figures, and those that follow from them."""
    given: dict[str, object] = msgspec.to_builtins(scenario)
    if isinstance(scenario, Linear):
        return {"segment_noise_variance_s2": scenario.segment_noise_s**2, **given}
    return {
        "segment_noise_variance_s2": (scenario.run_s_mean * scenario.run_cv) ** 2,
        "beta": scenario.beta,
        "cycle_s": scenario.cycle_s,
        "dwell_s_mean": scenario.dwell_s_mean,
        "recovery_s": scenario.recovery_s,
        **given,
    }


def compare(
    scenario: Scenario, laws: Sequence[str], seeds: int, *, workers: int = 1, progress: Progress = lambda _done: None
) -> list[LawResult]:
    """Each law on seeds 0 ... seeds - 1; the result depends on neither the workers nor the other laws.

    With `workers` above 1 the seeds go to that many processes once the first has shown that it pays.
    `progress` hears of each seed that is done.
    """
    tallies = {law: Tally() for law in laws}
    for one in _seeds(scenario, laws, seeds, workers):
        for law, tally in one.items():
            tallies[law].add(tally)
        progress(1)
    return [tallies[law].result(law, scenario) for law in laws]


def _seeds(scenario: Scenario, laws: Sequence[str], seeds: int, workers: int) -> Iterator[dict[str, Tally]]:
    began_s = time.perf_counter()
    yield run_seed(scenario, laws, 0)
    left = range(1, seeds)
    if workers < 2 or (time.perf_counter() - began_s) * len(left) < POOL_PAYS_S:
        for seed in left:
            yield run_seed(scenario, laws, seed)
        return
    context = multiprocessing.get_context("spawn")  # a fork would copy whatever threads the caller has
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        try:
            yield from pool.map(_Seed(scenario, tuple(laws)), left, chunksize=4)
        finally:
            pool.shutdown(cancel_futures=True)


@dataclass(frozen=True, slots=True)
class _Seed:
    """`run_seed` of one scenario, as a process can be told of it."""

    scenario: Scenario
    laws: tuple[str, ...]

    def __call__(self, seed: int) -> dict[str, Tally]:
        return run_seed(self.scenario, self.laws, seed)


def run_seed(scenario: Scenario, laws: Sequence[str], seed: int) -> dict[str, Tally]:
    """All laws through the draws of one seed."""
    rng = np.random.default_rng(seed)
    if isinstance(scenario, Linear):
        return {law: Tally.of_linear(variance) for law, variance in run_linear(scenario, laws, rng).items()}
    timetable, draws = Timetable(scenario), Draws(scenario, rng)
    return {law: Tally.of_loop(LoopRun(timetable, law, draws).run()) for law in laws}


@dataclass(slots=True)
class Tally:
    """Sums over runs, from which every figure of a law follows; one column a stop."""

    runs: int = 0
    count_by_stop: Floats = field(default_factory=lambda: np.zeros(0))
    sum_s_by_stop: Floats = field(default_factory=lambda: np.zeros(0))
    sum_s2_by_stop: Floats = field(default_factory=lambda: np.zeros(0))
    holds_s: list[NDArray[np.float32]] = field(default_factory=list)
    wait_s: float = 0.0
    ride_s: float = 0.0
    riders: int = 0
    denied: int = 0

    @classmethod
    def of_loop(cls, outcome: Outcome) -> Tally:
        """Of one run of a loop."""
        headways_s = [np.diff(departures_s) for departures_s in outcome.departures_s_by_stop]
        return cls(
            1,
            np.array([len(h) for h in headways_s], dtype=float),
            np.array([h.sum() for h in headways_s]),
            np.array([(h**2).sum() for h in headways_s]),
            [np.array(outcome.holds_s, dtype=np.float32)],
            outcome.wait_s,
            outcome.ride_s,
            outcome.riders,
            outcome.denied,
        )

    @classmethod
    def of_linear(cls, variance_s2: Floats) -> Tally:
        """Of one row of vehicles; its headways deviate from the scheduled one by a mean of zero."""
        return cls(1, np.ones(len(variance_s2)), np.zeros(len(variance_s2)), variance_s2)

    def add(self, other: Tally) -> None:
        """Take another run in."""
        if not self.runs:
            stops = len(other.count_by_stop)
            self.count_by_stop, self.sum_s_by_stop, self.sum_s2_by_stop = (np.zeros(stops) for _ in range(3))
        self.runs += other.runs
        self.count_by_stop = self.count_by_stop + other.count_by_stop
        self.sum_s_by_stop = self.sum_s_by_stop + other.sum_s_by_stop
        self.sum_s2_by_stop = self.sum_s2_by_stop + other.sum_s2_by_stop
        self.holds_s += other.holds_s
        self.wait_s += other.wait_s
        self.ride_s += other.ride_s
        self.riders += other.riders
        self.denied += other.denied

    def result(self, law: str, scenario: Scenario) -> LawResult:
        """The figures of one law."""
        with np.errstate(divide="ignore", invalid="ignore"):
            mean_s = self.sum_s_by_stop / self.count_by_stop
            variance_s2 = np.maximum(self.sum_s2_by_stop / self.count_by_stop - mean_s**2, 0.0)
        by_stop = [round(float(v), 3) if np.isfinite(v) else None for v in variance_s2]
        if isinstance(scenario, Linear):
            return LawResult(law, None, None, None, None, None, None, None, by_stop)
        ewt_s, c_vh = self._regularity(scenario)
        holds_s = np.concatenate(self.holds_s)
        return LawResult(
            law,
            ewt_s,
            c_vh,
            round(float(holds_s.mean()), 2) if len(holds_s) else None,
            round(float(np.percentile(holds_s, 95)), 2) if len(holds_s) else None,
            round(self.wait_s / self.riders, 2) if self.riders else None,
            round(self.ride_s / self.riders, 2) if self.riders else None,
            self.denied,
            by_stop,
        )

    def _regularity(self, loop: Loop) -> tuple[float | None, float | None]:
        """Excess wait, seconds, and c_vh: the scheduled headway is the same for all pairs."""
        count, sum_s, sum_s2 = (float(c.sum()) for c in (self.count_by_stop, self.sum_s_by_stop, self.sum_s2_by_stop))
        if not sum_s:
            return None, None
        seen = self.count_by_stop > 0  # each stop's headways deviate from their own mean
        within_s2 = sum_s2 - float((self.sum_s_by_stop[seen] ** 2 / self.count_by_stop[seen]).sum())
        deviation_s = max(within_s2 / count, 0.0) ** 0.5
        return round(sum_s2 / (2 * sum_s) - loop.headway_s / 2, 3), round(deviation_s / loop.headway_s, 4)
