"""Headway now: how long ago a vehicle's leader was where the vehicle is, beside what the timetable says of the two.

Every mark of a line (see lines) remembers the last two vehicles that passed, when, and when they were due. A vehicle
standing between two marks asks both who was there before it: that is its leader, on whatever pattern, and no search
among vehicles is needed. Where nobody has been seen there yet (a start, a gap in the fixes), the leader is the next
vehicle ahead on the line, and the time since it was here is taken from its timetable and marked `estimated`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dispatch.fleet import Fleet
from dispatch.lines import MARK_M, Lines
from dispatch.network import Flags, Floats, Ints, Network
from dispatch.observations import Rows
from dispatch.timetable import scheduled_at

HEADWAY_STATES = ("bunched", "short", "regular", "long", "gapped", "unknown")
BUNCHED, SHORT, REGULAR, LONG, GAPPED, UNKNOWN = range(len(HEADWAY_STATES))

FREE_MPS = 7.0  # between two marks a vehicle that took longer has been standing, and then went on at this speed
CANDIDATES = 6  # vehicles ahead that are looked at for an estimate
EXPANDED_MAX = 2_000_000  # marks passed in one step of all vehicles: a bound on memory, far above any real step


@dataclass(frozen=True, slots=True)
class HeadwayLimits:
    """Bounds of the states as shares of the scheduled headway, and from when on a headway says nothing."""

    bunched_ratio: float = 0.25
    short_ratio: float = 0.5
    long_ratio: float = 1.5
    gapped_ratio: float = 2.0
    headway_s_max: float = 7200.0
    scheduled_s_min: float = 1.0


@dataclass(frozen=True, slots=True)
class Headways:
    """Headways of n vehicles under way; nan and -1 where there is no leader."""

    vehicle: Ints
    trip: Ints
    leader: Ints
    next_stop: Ints  # position in the pattern
    headway_s: Floats
    scheduled_s: Floats  # of the same two trips, whichever of them is due first
    ratio: Floats
    estimated: Flags
    state: Ints  # index of HEADWAY_STATES
    gap_m: Floats  # road between the two, while the leader is ahead on the same line
    since_s: Floats  # the fix it was computed from

    def __len__(self) -> int:
        return len(self.vehicle)


PASSERS = 3  # with two, a vehicle that was overtaken on a mark would take its follower for its leader


class MarkMemory:
    """The last passers of every mark: row 0 the latest. `due_s` is when the timetable wanted it there."""

    def __init__(self, marks: int) -> None:
        self.vehicle = np.full((PASSERS, marks), -1, dtype=np.int32)
        self.trip = np.full((PASSERS, marks), -1, dtype=np.int32)
        self.time_s = np.full((PASSERS, marks), -np.inf)
        self.due_s = np.full((PASSERS, marks), np.nan)

    def nbytes(self) -> int:
        """Bytes held."""
        return self.vehicle.nbytes + self.trip.nbytes + self.time_s.nbytes + self.due_s.nbytes

    def add(self, mark: Ints, vehicle: Ints, trip: Ints, time_s: Floats, due_s: Floats) -> None:
        """Remember that vehicles passed marks; what the same vehicle said before on the same trip is replaced."""
        for rows in _apart(mark, time_s):
            self._add_apart(mark[rows], vehicle[rows], trip[rows], time_s[rows], due_s[rows])

    def _add_apart(self, mark: Ints, vehicle: Ints, trip: Ints, time_s: Floats, due_s: Floats) -> None:
        known = (self.vehicle[:, mark] == vehicle) & (self.trip[:, mark] == trip)
        late = known[1:].any(axis=0) | (known[0] & (time_s < self.time_s[1, mark]))
        again = known[0] & ~late
        if late.any():
            self._correct(mark[late], vehicle[late], trip[late], time_s[late], due_s[late])
        left = ~again & ~late
        for slot in range(PASSERS):
            if not left.any():
                break
            chosen = left & (time_s > self.time_s[slot, mark])
            left &= ~chosen
            at = mark[chosen]
            for column in (self.vehicle, self.trip, self.time_s, self.due_s):
                column[slot + 1 :, at] = column[slot:-1, at].copy()
            self._put(slot, at, vehicle[chosen], trip[chosen], time_s[chosen], due_s[chosen])
        if again.any():
            self._put(0, mark[again], vehicle[again], trip[again], time_s[again], due_s[again])

    def _correct(self, mark: Ints, vehicle: Ints, trip: Ints, time_s: Floats, due_s: Floats) -> None:
        """Put right when vehicles passed that others have followed since; the order may change by it."""
        known = (self.vehicle[:, mark] == vehicle) & (self.trip[:, mark] == trip)
        times_s = np.where(known, time_s, self.time_s[:, mark])
        order = np.argsort(-times_s, axis=0, kind="stable")
        dues_s = np.where(known, due_s, self.due_s[:, mark])
        for column, now in (
            (self.vehicle, self.vehicle[:, mark]),
            (self.trip, self.trip[:, mark]),
            (self.time_s, times_s),
            (self.due_s, dues_s),
        ):
            column[:, mark] = np.take_along_axis(now, order, axis=0)

    def _put(self, slot: int, mark: Ints, vehicle: Ints, trip: Ints, time_s: Floats, due_s: Floats) -> None:
        self.vehicle[slot, mark] = vehicle
        self.trip[slot, mark] = trip
        self.time_s[slot, mark] = time_s
        self.due_s[slot, mark] = due_s

    def before(self, mark: Ints, vehicle: Ints) -> tuple[Ints, Ints, Floats, Floats]:
        """Who passed each mark before the vehicle did, or last if it has not: vehicle (-1 for none), trip, time, due.

        Whoever passed after the vehicle is its follower, however near.
        """
        own = self.vehicle[:, mark] == vehicle
        slot = np.where(own.any(axis=0), own.argmax(axis=0) + 1, 0)
        slot_in = np.minimum(slot, PASSERS - 1)
        who = self.vehicle[slot_in, mark]
        # Its own passage on the trip before is nobody to follow either.
        nobody = (slot >= PASSERS) | (who == vehicle)
        return (
            np.where(nobody, -1, who),
            self.trip[slot_in, mark],
            self.time_s[slot_in, mark],
            self.due_s[slot_in, mark],
        )


def _apart(mark: Ints, time_s: Floats) -> Iterator[Rows]:
    """Rows in rounds without a mark twice, each mark's passages in order of time."""
    order = np.lexsort((time_s, mark))
    while len(order):
        again = np.zeros(len(order), dtype=np.bool_)
        again[1:] = mark[order[1:]] == mark[order[:-1]]
        yield order[~again]
        order = order[again]


def pass_marks(
    fleet: Fleet, network: Network, lines: Lines, memory: MarkMemory, rows: Rows, from_m: Floats, from_s: Floats
) -> None:
    """Let vehicles pass the marks between where they were (`from_m` at `from_s`) and where they have got to."""
    way = lines.pattern_way[fleet.pattern[rows]]
    before = fleet.mark_row[rows]
    after = lines.row_at(way, fleet.place_m[rows]).astype(np.int32)
    count = np.where(before >= 0, np.maximum(after - before, 0), 0)
    fleet.mark_row[rows] = np.maximum(after, before)
    if not 0 < count.sum() <= EXPANDED_MAX:
        return
    of = np.repeat(np.arange(len(rows)), count)
    row = np.arange(len(of)) - np.repeat(np.cumsum(count) - count, count) + before[of] + 1
    vehicle = rows[of]
    along_m = lines.way_along_m[row]
    gone_m = fleet.place_m[vehicle] - from_m[of]
    pace = np.divide(fleet.place_s[vehicle] - from_s[of], gone_m, out=np.zeros(len(of)), where=gone_m > 0)
    time_s = from_s[of] + (along_m - from_m[of]) * pace
    trip = fleet.trip[vehicle]
    due_s = fleet.zero_s[vehicle] + scheduled_at(network, trip, along_m)
    memory.add(lines.way_mark[row], vehicle.astype(np.int32), trip, time_s, due_s)


def find_headways(
    fleet: Fleet,
    network: Network,
    lines: Lines,
    memory: MarkMemory,
    rows: Rows,
    frequent_s: Floats,
    limits: HeadwayLimits,
) -> Headways:
    """Headway now of each of `rows`: vehicles on their route, under way on a trip.

    `frequent_s` is the scheduled headway of trips that are run by frequency, nan for all others.
    """
    way = lines.pattern_way[fleet.pattern[rows]]
    place_m, at_s = fleet.along_m[rows], fleet.ts_s[rows]
    leader, passed_s, leader_due_s = _seen(lines, memory, way, place_m, rows.astype(np.int32))
    trip = fleet.trip[rows]
    due_s = fleet.zero_s[rows] + scheduled_at(network, trip, place_m)
    headway_s = at_s - passed_s
    with np.errstate(invalid="ignore"):
        unseen = (leader < 0) | ~(headway_s >= 0) | (headway_s > limits.headway_s_max)
    line_m, _ = lines.line_m_at(way, place_m)
    ahead = _Ahead(fleet, network, lines, rows, line_m)
    guess = ahead.estimate(np.flatnonzero(unseen))
    estimated = unseen & (guess.leader >= 0)
    leader = np.where(estimated, guess.leader, np.where(unseen, -1, leader)).astype(np.int32)
    headway_s = np.where(estimated, guess.headway_s, np.where(unseen, np.nan, headway_s))
    leader_due_s = np.where(estimated, guess.due_s, np.where(unseen, np.nan, leader_due_s))
    scheduled_s = due_s - leader_due_s
    # One that has overtaken its leader-to-be is still meant to keep the distance that the two were given.
    scheduled_s = np.abs(np.where(np.isnan(frequent_s), scheduled_s, frequent_s))
    known = scheduled_s >= limits.scheduled_s_min
    ratio = np.divide(headway_s, scheduled_s, out=np.full(len(rows), np.nan), where=known)
    return Headways(
        rows.astype(np.int32),
        trip,
        leader,
        np.minimum(fleet.next_stop[rows], ahead.stops[rows] - 1),
        headway_s,
        scheduled_s,
        ratio,
        estimated,
        judge(ratio, limits),
        ahead.gap_m(leader),
        at_s.copy(),
    )


def judge(ratio: Floats, limits: HeadwayLimits) -> Ints:
    """State of each ratio of observed to scheduled headway (definitions.md, section 2), as index of HEADWAY_STATES."""
    bounds = (limits.bunched_ratio, limits.short_ratio)
    state = np.searchsorted(bounds, ratio, side="right").astype(np.int32)  # below a bound: the tighter state
    state[ratio > limits.long_ratio] = LONG
    state[ratio > limits.gapped_ratio] = GAPPED
    state[np.isnan(ratio)] = UNKNOWN
    return state


def _seen(lines: Lines, memory: MarkMemory, way: Ints, place_m: Floats, vehicle: Ints) -> tuple[Ints, Floats, Floats]:
    """Who was at each place before, when, and when it was due there, from the marks on both sides of the place."""
    first, last = lines.way_start[way], lines.way_start[way + 1] - 1
    row = np.clip(lines.row_at(way, place_m), first, last)
    ahead = np.minimum(row + 1, last)
    who, trip, here_s, here_due_s = memory.before(lines.way_mark[row], vehicle)
    who_ahead, trip_ahead, there_s, there_due_s = memory.before(lines.way_mark[ahead], vehicle)
    gone_m = np.clip(place_m - lines.way_along_m[row], 0.0, 2 * MARK_M)
    span_m = np.maximum(lines.way_along_m[ahead] - lines.way_along_m[row], 1e-9)
    left_m = np.maximum(span_m - gone_m, 0.0)
    same = (who >= 0) & (who == who_ahead) & (trip == trip_ahead) & (there_s >= here_s) & (ahead > row)
    pace = 1 / FREE_MPS
    with np.errstate(invalid="ignore"):
        # The last moment at a place is when it was left: a stand between two marks is put before the place.
        from_ahead_s = there_s - left_m * np.minimum((there_s - here_s) / span_m, pace)
        passed_s = np.where(same, np.maximum(from_ahead_s, here_s), here_s + gone_m * pace)
        due_s = np.where(same, here_due_s + (there_due_s - here_due_s) * (gone_m / span_m), here_due_s + gone_m * pace)
    return who, passed_s, due_s


@dataclass(frozen=True, slots=True)
class _Guess:
    leader: Ints
    headway_s: Floats
    due_s: Floats


class _Ahead:
    """The vehicles of `rows` in their order along each line."""

    def __init__(self, fleet: Fleet, network: Network, lines: Lines, rows: Rows, line_m: Floats) -> None:
        self.fleet, self.network, self.lines, self.rows, self.line_m = fleet, network, lines, rows, line_m
        self.stops = np.diff(network.pattern_stop_start)[fleet.pattern]
        self.line = lines.pattern_line[fleet.pattern[rows]]
        self.order = np.lexsort((line_m, self.line))
        self.rank = np.empty(len(rows), dtype=np.intp)
        self.rank[self.order] = np.arange(len(rows))

    def estimate(self, wanted: Rows) -> _Guess:
        """For each of `wanted` (positions in rows) the nearest vehicle ahead that came over the same road.

        The headway is the scheduled running time of the leader from the follower's place to its own.
        """
        size = len(self.rows)
        guess = _Guess(np.full(size, -1, dtype=np.int32), np.full(size, np.nan), np.full(size, np.nan))
        for step in range(1, CANDIDATES + 1):
            if not len(wanted):
                break
            at = self.rank[wanted] + step
            inside = at < size
            wanted, at = wanted[inside], at[inside]
            candidate = self.order[at]
            same = self.line[candidate] == self.line[wanted]
            wanted, candidate = wanted[same], candidate[same]
            there_m = self._place_on(candidate, wanted)
            lead = self.rows[candidate]
            trip, zero_s = self.fleet.trip[lead], self.fleet.zero_s[lead]
            with np.errstate(invalid="ignore"):
                shares = self.fleet.along_m[lead] >= there_m
            found, trip, zero_s = wanted[shares], trip[shares], zero_s[shares]
            due_s = scheduled_at(self.network, trip, there_m[shares])
            running_s = scheduled_at(self.network, trip, self.fleet.along_m[lead[shares]]) - due_s
            # The leader's fix and the follower's are of different moments: bring both to the follower's.
            running_s += self.fleet.ts_s[self.rows[found]] - self.fleet.ts_s[lead[shares]]
            guess.leader[found] = lead[shares]
            guess.headway_s[found] = np.maximum(running_s, 0.0)
            guess.due_s[found] = due_s + zero_s
            wanted = wanted[~shares]
        return guess

    def _place_on(self, candidate: Rows, wanted: Rows) -> Floats:
        """Where the places of `wanted` lie on the paths of `candidate`; nan where those do not come over them."""
        lines, fleet = self.lines, self.fleet
        way = lines.pattern_way[fleet.pattern[self.rows[wanted]]]
        place_m = fleet.along_m[self.rows[wanted]]
        row = np.clip(lines.row_at(way, place_m), lines.way_start[way], lines.way_start[way + 1] - 1)
        other = lines.pattern_way[fleet.pattern[self.rows[candidate]]]
        there = lines.find_mark(other, lines.way_mark[row])
        return np.where(there >= 0, lines.way_along_m[there] + place_m - lines.way_along_m[row], np.nan)

    def gap_m(self, leader: Ints) -> Floats:
        """Road between each vehicle and its leader; nan where the leader is not ahead on the same line any more."""
        place_m = np.full(len(self.fleet), np.nan)
        line = np.full(len(self.fleet), -1, dtype=np.int64)
        place_m[self.rows], line[self.rows] = self.line_m, self.line
        with np.errstate(invalid="ignore"):
            gap_m = place_m[leader] - self.line_m
            there = (leader >= 0) & (line[leader] == self.line) & (gap_m >= 0)
        return np.where(there, gap_m, np.nan)
