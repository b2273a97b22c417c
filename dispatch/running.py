"""Running times: how much longer than the timetable says vehicles take from stop to stop, learnt as they pass.

What a leg took beyond its scheduled time is explained in steps, each of which sees what the one before it left over:
how the whole line runs now, what this road always takes, what it takes at this hour, and what the last vehicles on it
took. Every step is a mean by group that is drawn to 0 as far as the groups have been seen to differ less from each
other than single vehicles do (empirical Bayes: the weight of the prior is the variance within groups over the variance
between them, both measured as observations come). So a step that explains nothing in a city says nothing there.

What lies far out weighs less the further out it lies (Huber's weights), so a breakdown is not what a road is like,
but nothing that was believed before keeps the means from coming to what vehicles really take.

A road is a pair of stops, whatever trip, pattern or route goes from the one to the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dispatch.network import Flags, Floats, Ints, Network
from dispatch.passages import Passages
from dispatch.pull import Pull
from dispatch.scatter import Scatter

HOURS = 24
NOW_S = 2400.0  # half-life of "now": some vehicles of a frequent line
USUAL_S = 14 * 86_400.0  # half-life of "always"
OUTLIER = 3.0  # what lies further out than so many mean deviations loses weight
STOP_S = 60.0  # legs vary as if they were that much longer: part of what they take has nothing to do with their length
FIRST_SURPRISE_S = (20.0, 10.0)  # mean size of what is not explained: of a run, of a dwell
LEG_S_MAX = 1800.0  # a longer leg is a break or a lost vehicle
SURE = 1000.0  # observations that it takes to believe the measured variances as much as the first guess:
FIRST_SHARE = 0.9  # that nine tenths of the variance lie within groups
SURPRISE_KEPT = 500.0
FIRST_SURPRISES = 30.0  # observations that the first guess of a surprise is worth
MOMENTS_KEPT = 50_000.0  # observations after which the variances are half forgotten


class Step:
    """Means of G groups, drawn to 0 by as many observations as the groups' likeness is worth; old ones fade."""

    def __init__(self, groups: int, half_life_s: float) -> None:
        self.half_life_s = half_life_s
        self.total = np.zeros(groups)
        self.weight = np.zeros(groups)
        self.at_s = np.zeros(groups)
        # Squares within groups, of how many observations; squares about 0, exposure and number of all observations.
        self.moments = np.zeros(5)

    def prior(self) -> float:
        """How much exposure the prior is worth: variance within groups over variance between them."""
        within, seen, about, exposure, count = self.moments.tolist()
        if not about:
            return np.inf
        share = (within / about * count + SURE * FIRST_SHARE) / (seen + SURE)
        share = min(max(share, 0.1), 0.999)
        return float(exposure / count * share / (1 - share))

    def estimate(self, group: Ints | slice, now_s: float) -> Floats:
        """What each group is expected to take for one unit of exposure."""
        fade = self._fade(group, now_s)
        estimate: Floats = self.total[group] * fade / (self.weight[group] * fade + self.prior())
        return estimate

    def add(self, group: Ints, value: Floats, exposure: Floats, now_s: float) -> None:
        """Take in what `exposure` of each group took."""
        fade = self._fade(group, now_s)
        weight = self.weight[group] * fade
        known = weight > 0.1 * exposure
        mean = np.divide(self.total[group] * fade, weight, out=np.zeros(len(group)), where=known)
        rate = value / exposure
        within = ((rate - mean) ** 2 * exposure * weight / (weight + exposure))[known]
        self.moments *= 0.5 ** (len(group) / MOMENTS_KEPT)
        self.moments += (within.sum(), known.sum(), (rate**2 * exposure).sum(), exposure.sum(), len(group))
        self.total[group] *= fade
        self.weight[group] = weight
        self.at_s[group] = now_s
        np.add.at(self.total, group, value)
        np.add.at(self.weight, group, exposure)

    def _fade(self, group: Ints | slice, now_s: float) -> Floats:
        fade: Floats = 0.5 ** (np.maximum(now_s - self.at_s[group], 0.0) / self.half_life_s)
        return fade


@dataclass(frozen=True, slots=True)
class Groups:
    """N observations for a step, which holds a mean per unit of size: the group of each, its size, its weight.

    The weight is one over the variance that a value of that size has.
    """

    group: Ints
    size: Floats
    weight: Floats


class Roads:
    """The roads of a network: pairs of stops, and the road into each stop of each pattern."""

    def __init__(self, network: Network) -> None:
        stop = network.pattern_stop.astype(np.int64)
        first = network.pattern_stop_start[:-1]
        before = np.roll(stop, 1)
        before[first] = -1  # no road leads to a first stop: it stands for itself
        key = (before + 1) * (len(network.stop_id) + 1) + stop
        self.key, of = np.unique(key, return_inverse=True)
        self.into = of.astype(np.int32)  # [rows of pattern_stop]
        self.is_first = before == -1

    def __len__(self) -> int:
        return len(self.key)


@dataclass(frozen=True, slots=True)
class Outlook:
    """Expected beyond the timetable, for each row of the network's `pattern_stop`; 0 at first stops."""

    rate: Floats  # of the scheduled time of the leg that ends here: seconds a second
    run_s: Floats  # of this leg, on top of the rate
    dwell_s: Floats  # between arrival and departure
    line: Ints  # whose it is
    pull: Pull
    scatter: Scatter


class RunningTimes:
    """What is known of all roads and stops of one network."""

    def __init__(self, network: Network, pattern_line: Ints) -> None:
        self.network, self.pattern_line = network, pattern_line
        self.line = np.repeat(pattern_line, np.diff(network.pattern_stop_start))  # [rows of pattern_stop]
        self.roads = Roads(network)
        lines, roads = int(pattern_line.max(initial=-1)) + 1, len(self.roads)
        self.run = (Step(lines, NOW_S), Step(roads, USUAL_S), Step(roads * HOURS, USUAL_S), Step(roads, NOW_S))
        self.dwell = (Step(lines, USUAL_S), Step(roads, USUAL_S), Step(roads, NOW_S))
        self.zero_s = network.day_start_s(network.first_date)
        self.surprise_s = np.array(FIRST_SURPRISE_S)
        self.surprises = np.full(2, FIRST_SURPRISES)  # observations behind them
        self.pull, self.scatter = Pull(lines), Scatter(lines)
        self._last = np.zeros((4, 0))  # of each vehicle: trip, zero, stop, departure
        self.legs_learnt = 0

    def hour(self, now_s: float) -> int:
        """Hour of the day, by the timetable's clock (an hour off while clocks are changed, which does no harm)."""
        return int((now_s - self.zero_s) // 3600) % HOURS

    def outlook(self, now_s: float) -> Outlook:
        """What everything is expected to take beyond the timetable from now on."""
        everywhere = slice(None)
        rate, usual, hourly, now = self.run
        hours = slice(self.hour(now_s) * len(self.roads), (self.hour(now_s) + 1) * len(self.roads))
        run_s = usual.estimate(everywhere, now_s) + hourly.estimate(hours, now_s) + now.estimate(everywhere, now_s)
        by_line, usual, now = self.dwell
        dwell_s = usual.estimate(everywhere, now_s) + now.estimate(everywhere, now_s)
        into = self.roads.into
        return Outlook(
            rate.estimate(everywhere, now_s)[self.line],
            np.where(self.roads.is_first, 0.0, run_s[into]),
            np.where(self.roads.is_first, 0.0, by_line.estimate(everywhere, now_s)[self.line] + dwell_s[into]),
            self.line,
            self.pull,
            self.scatter,
        )

    def learn(self, passages: Passages, now_s: float) -> None:
        """Take in passages, those of one vehicle in their order: legs between neighbouring stops, and dwells."""
        if not len(passages):
            return
        left_s = self._left_before(passages)
        network = self.network
        pattern = network.trip_pattern[passages.trip]
        at = network.trip_time_start[passages.trip] + passages.stop
        row = network.pattern_stop_start[pattern] + passages.stop
        scheduled_s = np.maximum(network.arrival_s[at] - network.departure_s[np.maximum(at - 1, 0)], 1.0)
        took_s = passages.arrival_s - left_s
        with np.errstate(invalid="ignore"):
            good = (took_s > 0) & (took_s < LEG_S_MAX)
        self._learn_runs(row[good], scheduled_s[good], (took_s - scheduled_s)[good], now_s)
        stood_s = passages.departure_s - passages.arrival_s - (network.departure_s[at] - network.arrival_s[at])
        with np.errstate(invalid="ignore"):
            good = (passages.stop > 0) & (np.abs(stood_s) < LEG_S_MAX)
        self._learn_dwells(row[good], stood_s[good], now_s)

    def learnt_s(self) -> float:
        """Until when passages have been learnt from (Unix seconds); 0 where nothing has been."""
        return max((float(step.at_s.max(initial=0.0)) for step in (*self.run, *self.dwell)), default=0.0)

    def remember(self, passages: Passages) -> None:
        """Know which stop each vehicle left last and when, from passages that were learnt before."""
        if len(passages):
            self._left_before(passages)

    def _learn_runs(self, row: Ints, scheduled_s: Floats, beyond_s: Floats, now_s: float) -> None:
        road, one = self.roads.into[row], np.ones(len(row))
        hour = (road + self.hour(now_s) * len(self.roads)).astype(np.int32)
        line = Groups(self.line[row], scheduled_s, 1.0 / (scheduled_s + STOP_S))
        groups = (line, Groups(road, one, one), Groups(hour, one, one), Groups(road, one, one))
        self._explain(self.run, groups, beyond_s, 0, now_s)
        self.legs_learnt += len(row)

    def _learn_dwells(self, row: Ints, beyond_s: Floats, now_s: float) -> None:
        road, one = self.roads.into[row], np.ones(len(row))
        groups = (Groups(self.line[row], one, one), Groups(road, one, one), Groups(road, one, one))
        self._explain(self.dwell, groups, beyond_s, 1, now_s)

    def _explain(
        self, steps: tuple[Step, ...], groups: tuple[Groups, ...], value: Floats, which: int, now_s: float
    ) -> None:
        """Let each step see what the ones before it, with this observation in them, leave of `value`.

        Were it what they left before, all steps would learn the first observations of a road at once, and their sum
        too much. `which` surprise says what is far out.
        """
        size = len(value)
        if not size:
            return
        expected = sum(step.estimate(of.group, now_s) * of.size for step, of in zip(steps, groups, strict=True))
        odd = np.abs(value - expected)
        bound = OUTLIER * self.surprise_s[which]
        trust = bound / np.maximum(odd, bound)
        self.surprises[which] += size
        share = max(size / self.surprises[which], 1 - 0.5 ** (size / SURPRISE_KEPT))
        self.surprise_s[which] += share * (np.minimum(odd, bound).mean() - self.surprise_s[which])
        left = value
        for step, of in zip(steps, groups, strict=True):
            weight = of.size * of.weight * trust
            step.add(of.group, left * weight, of.size * weight, now_s)
            left = left - step.estimate(of.group, now_s) * of.size

    def _left_before(self, passages: Passages) -> Floats:
        """When each vehicle left the stop before; nan where that was not seen on the same trip."""
        size = len(passages)
        self._grow(int(passages.vehicle.max()) + 1)
        run = np.stack((passages.trip.astype(float), passages.zero_s, passages.stop.astype(float) - 1))
        before = np.empty((4, size))
        before[:, 0] = self._last[:, passages.vehicle[0]]
        now = np.stack((passages.trip.astype(float), passages.zero_s, passages.stop.astype(float)))
        before[:3, 1:], before[3, 1:] = now[:, :-1], passages.departure_s[:-1]
        first = np.flatnonzero(np.diff(passages.vehicle, prepend=-1))
        before[:, first] = self._last[:, passages.vehicle[first]]
        last = np.flatnonzero(np.diff(passages.vehicle, append=-1))
        self._last[:3, passages.vehicle[last]] = now[:, last]
        self._last[3, passages.vehicle[last]] = passages.departure_s[last]
        same: Flags = (before[:3] == run).all(axis=0)
        return np.where(same, before[3], np.nan)

    def _grow(self, vehicles: int) -> None:
        room = self._last.shape[1]
        if vehicles > room:
            wanted = max(vehicles, 2 * room)
            self._last = np.pad(self._last, ((0, 0), (0, wanted - room)), constant_values=np.nan)
