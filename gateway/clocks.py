"""Devices whose clock is wrong: by how much, and when their fixes were taken by ours.

A network can hold a fix back but cannot bring it early, and a wrong clock still runs. So the largest difference between
a device's time and ours, over fixes that agree with one another, is its clock's error and the shortest way through the
network: what NTP's clock filter takes (RFC 5905, section 10). Its fixes keep their distances in time, so one that comes
late still comes late.

Three things look like a wrong clock but are not. Fixes that a device has kept and sends in one go run faster than
time. A few minutes behind may be a network's delay. And where most of the fleet disagrees with us, it is our clock
that was set, unless the difference is one that only a broken device shows: 1970, the week counter of GPS that began
again after 1,024 weeks, 2038.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf, isnan, nan

import numpy as np

from gateway.admission import Flags, Floats, Limits, future, stale

AGREE_S = 5.0  # how far fixes of one clock may lie apart: what mobile networks add to one and not to another
FIXES_MIN, SPAN_S = 4, 20.0  # how many fixes must agree, and over how long, to show how a clock runs
DELAY_S_MAX = 1800.0  # a fix up to this far behind may have been held back somewhere: stale, whatever the clock
OURS_S_MAX = 365 * 86_400.0  # no server that anybody can log in to is this far off
FADE = 1e-3  # seconds per second: more than any clock loses, and little while all fixes come late
SETTLED_S = 0.5  # what is in use follows what is seen in steps, so that a fix sent twice keeps one time
TOLD_EVERY_S = 30.0
LATELY_S = 300.0
CLOCKS_MAX = 20_000


@dataclass(frozen=True, slots=True)
class Righted:
    """Times by our clock, which of the fixes they were changed for, and what is new of vehicles' clocks.

    news: vehicle key, and by how many seconds its clock is ahead (below 0: behind); None: it is right again.
    """

    ts_s: Floats
    changed: Flags
    news: list[tuple[str, float | None]]


@dataclass(slots=True)
class _Trial:
    """Fixes in a row that may have been told by one wrong clock."""

    ts_s: float
    ahead_s: float  # the largest difference from our time,
    least_s: float  # and the smallest
    since_s: float
    same_since_s: float
    fixes: int = 1
    same: int = 1  # fixes with the time of the last one

    def add(self, ts_s: float, now_s: float) -> None:
        """One more; it begins anew with one that does not agree with those before."""
        if ts_s == self.ts_s:  # sent twice, or a clock that stands
            self.same += 1
            return
        ahead_s = ts_s - now_s
        most_s, least_s = max(self.ahead_s, ahead_s), min(self.least_s, ahead_s)
        if most_s - least_s <= AGREE_S:
            self.fixes += 1
            self.ahead_s, self.least_s = most_s, least_s
        else:
            self.ahead_s = self.least_s = ahead_s
            self.since_s, self.fixes = now_s, 1
        self.ts_s, self.same_since_s, self.same = ts_s, now_s, 1

    def runs(self, now_s: float) -> bool:
        """Whether a clock is seen that runs as ours does."""
        return self.fixes >= FIXES_MIN and now_s - self.since_s >= SPAN_S and not -DELAY_S_MAX <= self.ahead_s < 0

    def agrees(self, now_s: float) -> bool:
        """Whether the device was heard lately and its fixes agree with one another, however far off they are."""
        return self.fixes >= FIXES_MIN and self.same_since_s - self.since_s >= SPAN_S and self.lately(now_s)

    def lately(self, now_s: float) -> bool:
        """Whether a fix with a time of its own has come of late."""
        return 0 <= now_s - self.same_since_s <= LATELY_S

    def stands(self, now_s: float) -> bool:
        """Whether a clock is seen that stands still, at a time that was none of ours."""
        far = abs(self.ts_s - now_s) > OURS_S_MAX
        return far and self.same >= FIXES_MIN and now_s - self.same_since_s >= SPAN_S


@dataclass(slots=True)
class _Clock:
    """What is known of a device's clock; ahead_s is nan before its fixes have agreed with one another."""

    ahead_s: float = nan  # in use
    best_s: float = nan  # the largest difference seen, fading, as clocks drift
    stands_at_s: float = nan  # the time it always tells, where it does not run
    heard_s: float = -inf
    told_s: float = -inf
    trial: _Trial | None = None

    def lag_s(self, ts_s: float, now_s: float) -> float:
        """How long ago a fix was taken, by what is known of the clock; below 0 is impossible, nan: nothing is known."""
        if isnan(self.stands_at_s):
            return now_s - (ts_s - self.ahead_s)
        return 0.0 if ts_s == self.stands_at_s else nan

    def confirm(self, ts_s: float, now_s: float) -> None:
        """Take a fix that fits what is known: the quickest way through the network says most."""
        self.trial = None
        if ts_s != self.stands_at_s:
            faded_s = self.best_s - FADE * max(0.0, now_s - self.heard_s)
            self.best_s = max(ts_s - now_s, faded_s)
            if abs(self.best_s - self.ahead_s) > SETTLED_S:
                self.ahead_s = self.best_s
        self.heard_s = now_s

    def adopt(self, trial: _Trial, now_s: float) -> None:
        """Believe what the last fixes speak for."""
        self.stands_at_s = trial.ts_s if trial.stands(now_s) else nan
        self.ahead_s = self.best_s = trial.ahead_s if isnan(self.stands_at_s) else trial.ts_s - now_s
        self.trial, self.heard_s, self.told_s = None, now_s, -inf


@dataclass(slots=True)
class Clocks:
    """The clocks that are not taken at their word, CLOCKS_MAX at most: beyond them the first one noted is forgotten."""

    forgotten: int = 0
    _by_key: dict[str, _Clock] = field(default_factory=dict)

    def wrong(self, now_s: float) -> int:
        """How many vehicles heard of lately have a clock that is known to be wrong."""
        return sum(now_s - clock.heard_s <= LATELY_S for clock in self._by_key.values())

    def disputed(self, now_s: float) -> list[float]:
        """By how much, for each device whose fixes agree with one another and are not put right, it is ahead of us."""
        trials = [clock.trial for clock in self._by_key.values() if clock.trial is not None]
        return [trial.ahead_s for trial in trials if trial.agrees(now_s)]

    def put_right(
        self, vehicle_key: Sequence[str], ts_s: Floats, now_s: float, limits: Limits, heard: Callable[[], int]
    ) -> Righted:
        """Times of n fixes by our clock, now_s. `heard` says of how many vehicles positions were admitted lately."""
        odd = stale(ts_s, now_s, limits) | future(ts_s, now_s, limits)
        righted = Righted(ts_s, np.zeros(len(ts_s), np.bool_), [])
        if not self._by_key and not odd.any():
            return righted
        judging = _Judging(self, now_s, heard, righted.news)
        times_s = ts_s.tolist()
        for i, (key, is_odd) in enumerate(zip(vehicle_key, odd.tolist(), strict=True)):
            if is_odd or key in self._by_key:
                times_s[i] = judging.time_of(key, times_s[i], is_odd)
        by_ours_s = np.array(times_s, np.float64)
        return Righted(by_ours_s, by_ours_s != ts_s, righted.news)

    def _note(self, key: str) -> _Clock:
        clock = self._by_key.get(key)
        if clock is None:
            if len(self._by_key) >= CLOCKS_MAX:
                del self._by_key[next(iter(self._by_key))]
                self.forgotten += 1
            clock = self._by_key[key] = _Clock()
        return clock


@dataclass(slots=True)
class _Judging:
    """One batch: on whose side the majority is, is counted once, when it first matters."""

    clocks: Clocks
    now_s: float
    heard: Callable[[], int]
    news: list[tuple[str, float | None]]
    _more_are_right: int | None = None

    def time_of(self, key: str, ts_s: float, is_odd: bool) -> float:
        """When a fix was taken by our clock, as far as that is known; else what the device says."""
        now_s, clock = self.now_s, self.clocks._note(key)
        lag_s = clock.lag_s(ts_s, now_s)
        if abs(lag_s) <= AGREE_S:
            clock.confirm(ts_s, now_s)
        elif not is_odd:
            del self.clocks._by_key[key]
            if not isnan(clock.ahead_s):
                self.news.append((key, None))
            return ts_s
        elif self._learn(clock, ts_s):
            lag_s = clock.lag_s(ts_s, now_s)
        if isnan(lag_s) or lag_s < -AGREE_S:
            return ts_s
        if now_s - clock.told_s >= TOLD_EVERY_S or clock.told_s > now_s:
            clock.told_s = now_s
            self.news.append((key, clock.ahead_s))
        return now_s if ts_s == clock.stands_at_s else ts_s - clock.ahead_s

    def _learn(self, clock: _Clock, ts_s: float) -> bool:
        """Note a fix that no known clock has told; true once it and those before it show one."""
        now_s = self.now_s
        if clock.trial is None:
            clock.trial = _Trial(ts_s, ts_s - now_s, ts_s - now_s, now_s, now_s)
            return False
        trial = clock.trial
        trial.add(ts_s, now_s)
        stands = trial.stands(now_s)
        if not stands and not (trial.runs(now_s) and (abs(trial.ahead_s) > OURS_S_MAX or self._is_not_ours())):
            return False
        clock.adopt(trial, now_s)
        return True

    def _is_not_ours(self) -> bool:
        """Whether at least as many vehicles agree with our clock as not, counting one more that does not."""
        if self._more_are_right is None:
            self._more_are_right = self.heard() - 2 * self.clocks.wrong(self.now_s)
        self._more_are_right -= 1
        return self._more_are_right >= 0
