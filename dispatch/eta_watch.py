"""The watch over our own predictions: it notes them every 30 s, waits for the arrival, and learns how far off each was.

Each vehicle has its own second of the half minute, so that the work is spread over the ticks. What is scored is pinned
(definitions.md, section 2): trips that vehicles drive, from their first passage on, arrivals at most 15 minutes ahead,
with the timetable plus the delay at the last passage as the baseline. The scatter also learns from what is further
ahead and from the trips that follow, by a tenth of the samples; the pull from one stop of each vehicle in every span of
time left. Where the fleet makes more samples than can wait, some
vehicles are left out of each round, in turn.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np
from numpy.typing import NDArray

from dispatch.arrivals import Predictions
from dispatch.eta_samples import Samples, Waiting, arrivals_of, key_of
from dispatch.eta_score import AccuracyReply, Counted, LiveScore
from dispatch.fleet import Fleet
from dispatch.network import Flags, Floats, Ints, Network
from dispatch.observations import Rows
from dispatch.passages import Passages, join_passages
from dispatch.pull import Outcomes
from dispatch.running import RunningTimes
from dispatch.scatter import DRIVEN, FOLLOWS, LEFT_S, Scatter, bin_of

EVERY_S = 30
SCORED_S = 900.0
NEAR_S = 1800.0  # predicted no further than that, an arrival may still come within the 15 minutes that are scored
FAR_S = 3600.0
FAR_SHARE = 10  # of what is far, or on a trip that follows, every tenth
WAIT_NEAR_S = SCORED_S + 600.0  # an arrival is known when the stop has been left and the next fix has come
WAIT_FAR_S = FAR_S + 1800.0
NEAR_MAX, FAR_MAX = 400_000, 200_000  # samples that wait: 64 bytes each
PASSAGES_MAX = 2_000  # batches between two looks


class EtaWatch:
    """Over one engine's predictions, on one network until the next; `samples_max` of them may wait to be scored."""

    def __init__(self, samples_max: int = NEAR_MAX) -> None:
        self.score = LiveScore()
        self.near, self.far = Waiting(samples_max), Waiting(FAR_MAX)
        self.sampled = self.arrived = 0
        self._passages: deque[Passages] = deque(maxlen=PASSAGES_MAX)
        self._last_s = -math.inf
        self._route_row: Ints = np.zeros(0, dtype=np.int32)
        self._network: Network | None = None

    def note(self, passages: Passages) -> None:
        """Take passages as they are seen; they are worked up at the next look."""
        if len(passages):
            self._passages.append(passages)

    def look(self, made: Predictions, fleet: Fleet, running: RunningTimes, now_s: float) -> None:
        """Settle what has arrived since the last look, and sample the vehicles whose turn it is."""
        if running.network is not self._network:
            self._go_over(running)
        self._settle(running, now_s)
        # More than can wait, were every vehicle sampled each time: one of so many is.
        turns = math.ceil(len(made.stop) * WAIT_NEAR_S / EVERY_S / self.near.room)
        rows: Rows = np.flatnonzero(self._due(made.vehicle, max(turns, 1), now_s))
        self._last_s = now_s
        if len(rows):
            self._sample(made, rows, fleet, running, now_s)

    def reply(self, scatter: Scatter, now_s: float) -> AccuracyReply:
        """What GET /api/v1/accuracy says."""
        left_s = np.concatenate(([LEFT_S[0] / 2], (LEFT_S[:-1] + LEFT_S[1:]) / 2, LEFT_S[-1:]))
        every = np.full(len(left_s), scatter.lines, dtype=np.int32)
        waiting = len(self.near) + len(self.far)
        return self.score.reply(scatter.uncertainty_s(DRIVEN, every, left_s), waiting, now_s)

    def counted(self) -> list[Counted]:
        """Counters since the start by route and horizon."""
        return self.score.counted()

    @property
    def counters(self) -> dict[str, int]:
        """Samples taken, ended by their arrival, and lost because there were too many."""
        lost = self.near.overwritten + self.far.overwritten
        return {"eta_samples": self.sampled, "eta_arrived": self.arrived, "eta_samples_lost": lost}

    def _go_over(self, running: RunningTimes) -> None:
        """On another network trips have other numbers: what waits will not be found again."""
        network = self._network = running.network
        self.near.clear()
        self.far.clear()
        self._passages.clear()
        line_route = np.zeros(len(running.run[0].total), dtype=np.int32)
        line_route[running.pattern_line] = network.pattern_route
        self._route_row = self.score.rows_of(list(network.route_id))[line_route] if len(line_route) else line_route

    def _due(self, vehicle: Ints, turns: int, now_s: float) -> Flags:
        """Of which vehicles the second of the half minute has passed since the last look; of every `turns` one."""
        if not math.isfinite(self._last_s) or now_s - self._last_s >= EVERY_S or now_s < self._last_s:
            due = np.ones(len(vehicle), dtype=np.bool_)
        else:
            second = vehicle % EVERY_S
            due = np.floor((now_s + second) / EVERY_S) > np.floor((self._last_s + second) / EVERY_S)
        if turns > 1:
            due &= (vehicle + int(now_s // EVERY_S)) % turns == 0
        return due

    def _sample(self, made: Predictions, rows: Rows, fleet: Fleet, running: RunningTimes, now_s: float) -> None:
        count = np.diff(made.start)[rows]
        of = np.repeat(rows, count)
        at = made.start[of] + np.arange(len(of)) - np.repeat(np.cumsum(count) - count, count)
        vehicle = made.vehicle[of]
        delay_s = fleet.delay_s[vehicle]
        left_s = made.arrival_s[at] - now_s
        scored = ~made.follows[of] & ~np.isnan(delay_s)
        near = scored & (left_s <= NEAR_S)
        far = ~near & (left_s <= FAR_S) & ((vehicle + int(now_s // EVERY_S)) % FAR_SHARE == 0)
        for waiting, which, wait_s in ((self.near, near, WAIT_NEAR_S), (self.far, far, WAIT_FAR_S)):
            i, j = of[which], at[which]
            pattern = running.network.trip_pattern[made.trip[i]]
            samples = Samples(
                made.vehicle[i],
                key_of(made.vehicle[i], made.trip[i], made.zero_s[i], made.stop[j]),
                running.pattern_line[pattern].astype(np.int32),
                np.where(made.follows[i], FOLLOWS, DRIVEN).astype(np.int32),
                np.full(len(i), now_s),
                made.arrival_s[j],
                np.where(scored[which], made.scheduled_s[j] + delay_s[which], np.nan),
                made.uncertainty_s[j].astype(np.float32),
                *_unmoved(made, i, j, running, now_s),
            )
            self.sampled += len(samples)
            waiting.add(samples, now_s - wait_s)

    def _settle(self, running: RunningTimes, now_s: float) -> None:
        if not self._passages:
            return
        seen = arrivals_of(join_passages(self._passages))
        self._passages.clear()
        for waiting in (self.near, self.far):
            ended, arrival_s = waiting.arrived(seen)
            left_s = arrival_s - ended.made_s
            ahead = left_s >= 0
            ended, arrival_s, left_s = ended.take(ahead), arrival_s[ahead], left_s[ahead]
            if not len(ended):
                continue
            self.arrived += len(ended)
            error_s = arrival_s - ended.predicted_s
            running.scatter.add(ended.kind, ended.line, ended.predicted_s - ended.made_s, error_s, now_s)
            running.pull.add(_outcomes(ended, error_s), now_s)
            known = ~np.isnan(ended.baseline_s)
            self.score.add(
                self._route_row[ended.line[known]],
                left_s[known],
                error_s[known],
                (arrival_s - ended.baseline_s)[known],
                ended.uncertainty_s[known].astype(np.float64),
                now_s,
            )


def _unmoved(
    made: Predictions, trip: NDArray[np.intp], at: NDArray[np.intp], running: RunningTimes, now_s: float
) -> list[NDArray[np.float32]]:
    """The last columns of Samples, of the stops `at` of the `trip`s: what is to be learnt of the pull on driven ones.

    Stops of one vehicle with about as much time left tell the same: the first of them is taken.
    """
    drawn_s = made.drawn_s[at]
    arrival_s = made.arrival_s[at] - drawn_s
    delay_s = arrival_s - made.scheduled_s[at]
    gain_s = delay_s - made.delay_s[trip]
    left_s = np.maximum(arrival_s - now_s, 0.0)
    span = bin_of(left_s)
    told = made.follows[trip] | ((np.diff(trip, prepend=-1) == 0) & (np.diff(span, prepend=-1) == 0))
    line = running.pattern_line[running.network.trip_pattern[made.trip[trip]]]
    full_s = np.where(told, np.nan, running.pull.full_s(line, left_s, delay_s, gain_s))
    return [column.astype(np.float32) for column in (delay_s, gain_s, drawn_s, full_s)]


def _outcomes(ended: Samples, error_s: Floats) -> Outcomes:
    """What predictions that have come true, `error_s` off, tell of the pull; those before a first passage nothing."""
    told = ~np.isnan(ended.full_s) & ~np.isnan(ended.baseline_s)
    ended, error_s = ended.take(told), error_s[told]
    columns = (ended.delay_s, ended.gain_s, ended.full_s, ended.drawn_s, ended.uncertainty_s)
    delay_s, gain_s, full_s, drawn_s, scale_s = (column.astype(np.float64) for column in columns)
    left_s = np.maximum(ended.predicted_s - drawn_s - ended.made_s, 0.0)
    return Outcomes(ended.line, left_s, delay_s, gain_s, full_s, error_s + drawn_s, scale_s)
