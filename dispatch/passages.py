"""Passages: when each vehicle came to a stop and left it, by interpolation along its path between two fixes.

A stop has a zone of up to 25 m before and behind it. Coming into the zone and leaving it are interpolated between the
two fixes that bracket each; what a vehicle needs to roll through the zone is taken off at both ends, and what remains
is its dwell. A vehicle that does not stop has arrival = departure = the moment at which it passes. That works as well
with a fix a second, where noise makes a standing vehicle jump to and fro, as with a fix every half minute.

Nothing is invented: stops passed during a silence, off the route or in a jump that no vehicle can drive are refused and
counted, and so are those before the first fix and after the last fix of a trip (definitions.md, section 1).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np

from dispatch.fleet import Fleet
from dispatch.network import Flags, Floats, Ints, Network
from dispatch.observations import Rows

ZONE_M = 25.0
ROLL_MPS = 5.0  # mean speed while braking to a stop from, or starting to, some 10 m/s

SILENCE, OFF_ROUTE, JUMP = "silence", "off_route", "jump"
TRACK_START, TRACK_END = "track_start", "track_end"


@dataclass(frozen=True, slots=True)
class StopZones:
    """Where each pattern's stops begin and end; a stop is left at `leave_m`, the last one when its zone is entered."""

    first: Ints  # [P + 1] into the columns
    stop_m: Floats
    enter_m: Floats
    leave_m: Floats
    base_m: Floats  # [P]
    leave_axis_m: Floats  # leave_m + base_m, ascending over all patterns

    def stops(self, pattern: Ints) -> Ints:
        """How many stops each pattern has."""
        return self.first[pattern + 1] - self.first[pattern]

    def stops_left(self, pattern: Ints, along_m: Floats) -> Ints:
        """How many stops lie behind a vehicle at `along_m`: the position of the first that it has not left."""
        found = np.searchsorted(self.leave_axis_m, self.base_m[pattern] + np.maximum(along_m, -1.0), side="right")
        stops: Ints = np.minimum(np.maximum(found - self.first[pattern], 0), self.stops(pattern)).astype(np.int32)
        return stops


@dataclass(frozen=True, slots=True)
class Passages:
    """N passages; `stop` is the position in the pattern. nan where a time is not known (or the trip ends there)."""

    vehicle: Ints
    trip: Ints
    zero_s: Floats  # Unix time at which the trip's own stop times count zero
    stop: Ints
    arrival_s: Floats
    departure_s: Floats

    def __len__(self) -> int:
        return len(self.vehicle)

    def take(self, rows: Rows | Flags) -> Passages:
        """Those at `rows`, in that order."""
        return Passages(*(getattr(self, column.name)[rows] for column in fields(self)))


NO_PASSAGES = Passages(*(np.zeros(0, dtype) for dtype in (np.int32, np.int32, float, np.int32, float, float)))


def zone_stops(network: Network) -> StopZones:
    """Zones of all stops, cut in the middle where stops are near each other."""
    first, stop_m = network.pattern_stop_start, network.pattern_stop_along_m
    rows = np.arange(len(stop_m))
    of = np.repeat(np.arange(len(first) - 1), np.diff(first))
    is_first, is_last = rows == first[of], rows == first[of + 1] - 1
    before_m = np.where(is_first, np.inf, stop_m - np.roll(stop_m, 1))
    after_m = np.where(is_last, np.inf, np.roll(stop_m, -1) - stop_m)
    enter_m = stop_m - np.minimum(ZONE_M, before_m / 2)
    leave_m = stop_m + np.minimum(ZONE_M, after_m / 2)
    leave_m = np.where(is_last, enter_m, leave_m)
    length_m = stop_m[first[1:] - 1] + 4 * ZONE_M if len(stop_m) else np.zeros(0)
    base_m = np.concatenate(([0.0], np.cumsum(length_m)))[:-1]
    return StopZones(first, stop_m, enter_m, leave_m, base_m, leave_m + base_m[of])


def start_tracks(fleet: Fleet, zones: StopZones, rows: Rows) -> int:
    """Begin a track at the newest place of `rows`; returns how many stops lie behind it unseen."""
    behind = zones.stops_left(fleet.pattern[rows], fleet.along_m[rows])
    unseen = int(np.maximum(behind - fleet.next_stop[rows], 0).sum())
    fleet.next_stop[rows] = np.maximum(behind, fleet.next_stop[rows])
    fleet.place_m[rows] = fleet.along_m[rows]
    fleet.place_s[rows] = fleet.ts_s[rows]
    fleet.enter_s[rows] = np.nan
    return unseen


def pass_stops(fleet: Fleet, zones: StopZones, rows: Rows) -> Passages:
    """Go on from the place where each of `rows` was to its newest one; returns the stops left on the way.

    Where a vehicle did not get further, the time at its place moves on instead, so that a later passage is
    interpolated from the moment it was last seen there.
    """
    pattern, next_stop = fleet.pattern[rows], fleet.next_stop[rows]
    from_m, from_s = fleet.place_m[rows], fleet.place_s[rows]
    to_m, to_s = np.maximum(fleet.along_m[rows], from_m), fleet.ts_s[rows]
    pace = np.divide(to_s - from_s, to_m - from_m, out=np.zeros(len(rows)), where=to_m > from_m)
    left = np.maximum(zones.stops_left(pattern, to_m), next_stop)
    passages = _passed(fleet, zones, rows, left - next_stop, pace)
    _note_entry(fleet, zones, rows, left, from_m, from_s, to_m, pace)
    fleet.place_m[rows] = to_m
    fleet.place_s[rows] = to_s
    fleet.next_stop[rows] = left
    return passages


def _passed(fleet: Fleet, zones: StopZones, rows: Rows, count: Ints, pace: Floats) -> Passages:
    """The passages of the next `count` stops of each of `rows`, which have come on at `pace` (seconds a metre)."""
    if not count.any():
        return NO_PASSAGES
    of = np.repeat(np.arange(len(rows)), count)
    nth = np.arange(len(of)) - np.repeat(np.cumsum(count) - count, count)
    vehicle = rows[of]
    pattern, from_m, from_s = fleet.pattern[vehicle], fleet.place_m[vehicle], fleet.place_s[vehicle]
    stop = fleet.next_stop[vehicle] + nth
    row = zones.first[pattern] + stop
    stop_m, enter_m, leave_m = zones.stop_m[row], zones.enter_m[row], zones.leave_m[row]
    entered_s = from_s + (enter_m - from_m) * pace[of]
    # Only the first stop of a step can be the one whose entry was noted before.
    noted_s = np.where(nth > 0, np.nan, fleet.enter_s[vehicle])
    entered_s = np.where(enter_m >= from_m, entered_s, noted_s)
    left_s = from_s + (leave_m - from_m) * pace[of]
    arrival_s, departure_s = _dwell(entered_s, left_s, stop_m - enter_m, leave_m - stop_m)
    # Whoever was seen before the stop or at it had not left it then.
    departure_s = np.where(stop_m >= from_m, np.maximum(departure_s, from_s), departure_s)
    final = row == zones.first[pattern + 1] - 1
    arrival_s = np.where(final, entered_s + (stop_m - enter_m) / ROLL_MPS, arrival_s)
    departure_s = np.where(final, np.nan, departure_s)
    return Passages(
        vehicle.astype(np.int32),
        fleet.trip[vehicle],
        fleet.zero_s[vehicle],
        stop.astype(np.int32),
        arrival_s,
        departure_s,
    )


def _dwell(entered_s: Floats, left_s: Floats, before_m: Floats, after_m: Floats) -> tuple[Floats, Floats]:
    """Arrival and departure from the times at both ends of the zone; arrival nan where the entry was not seen."""
    zone_m = np.maximum(before_m + after_m, 1e-9)
    inside_s = left_s - entered_s
    rolled_s = np.minimum(inside_s, zone_m / ROLL_MPS)
    arrival_s = entered_s + rolled_s * (before_m / zone_m)
    unseen = np.isnan(entered_s)
    departure_s = left_s - np.where(unseen, after_m / ROLL_MPS, rolled_s * (after_m / zone_m))
    return arrival_s, departure_s


def _note_entry(
    fleet: Fleet,
    zones: StopZones,
    rows: Rows,
    left: Ints,
    from_m: Floats,
    from_s: Floats,
    to_m: Floats,
    pace: Floats,
) -> None:
    """Remember when the zone of the next stop was entered, where it was."""
    pattern = fleet.pattern[rows]
    row = np.minimum(zones.first[pattern] + left, zones.first[pattern + 1] - 1)
    enter_m = zones.enter_m[row]
    now_s = from_s + (enter_m - from_m) * pace
    earlier_s = np.where(left == fleet.next_stop[rows], fleet.enter_s[rows], np.nan)
    fleet.enter_s[rows] = np.where(enter_m > to_m, np.nan, np.where(enter_m >= from_m, now_s, earlier_s))


def join_passages(parts: Iterable[Passages]) -> Passages:
    """Passages of several batches, of which there is at least one, one behind the other."""
    held = list(parts)
    if len(held) == 1:
        return held[0]
    return Passages(*(np.concatenate([getattr(part, column.name) for part in held]) for column in fields(Passages)))


class PassageLog:
    """The newest passages, at most `room` of them: what the measures of the last hours are computed from."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.written = 0
        self.carried = 0  # so many of those were taken over from a log before
        self.corrected = 0  # `written` after the last of them that may correct an earlier one
        self._ints = np.zeros((3, 0), dtype=np.int32)
        self._floats = np.zeros((3, 0))

    def add(self, passages: Passages, *, may_correct: bool = False) -> None:
        """Append; the oldest make room once the log is full. may_correct: some may have been told before."""
        count = len(passages)
        if not count:
            return
        self._grow(count)
        at = (self.written + np.arange(count)) % self._ints.shape[1]
        self._ints[:, at] = (passages.vehicle, passages.trip, passages.stop)
        self._floats[:, at] = (passages.zero_s, passages.arrival_s, passages.departure_s)
        self.written += count
        if may_correct:
            self.corrected = self.written

    def all(self) -> Passages:
        """Every passage that is kept. Of a vehicle that came to a stop twice on one trip, the later one."""
        kept = min(self.written, self._ints.shape[1])
        oldest = self.written % kept if kept else 0
        newest_first = (np.arange(kept) + oldest)[::-1] % max(kept, 1)
        vehicle, trip, stop = self._ints[:, newest_first]
        zero_s, arrival_s, departure_s = self._floats[:, newest_first]
        order = np.lexsort((stop, zero_s, trip, vehicle))
        key = (vehicle[order], trip[order], zero_s[order], stop[order])
        first = np.ones(kept, dtype=np.bool_)
        first[1:] = np.logical_or.reduce([column[1:] != column[:-1] for column in key])
        rows = order[first]
        return Passages(vehicle[rows], trip[rows], zero_s[rows], stop[rows], arrival_s[rows], departure_s[rows])

    def since(self, written: int) -> Passages:
        """What was added after the first `written`, in the order in which it came; of too many the newest.

        What was corrected in between is told once, as it stands.
        """
        found = self.newest(self.written - written)
        if self.corrected <= written:
            return found
        columns = (found.vehicle, found.trip, found.zero_s, found.stop)
        last = {run: i for i, run in enumerate(zip(*(column.tolist() for column in columns), strict=True))}
        if len(last) == len(found):
            return found
        return found.take(np.array(sorted(last.values()), dtype=np.intp))

    def newest(self, count: int) -> Passages:
        """The last `count` that were added, as they came: what was corrected stands in them twice."""
        size = self._ints.shape[1]
        count = min(count, self.written, size)
        at = (self.written - count + np.arange(count)) % max(size, 1)
        vehicle, trip, stop = self._ints[:, at]
        zero_s, arrival_s, departure_s = self._floats[:, at]
        return Passages(vehicle, trip, zero_s, stop, arrival_s, departure_s)

    def _grow(self, count: int) -> None:
        size = self._ints.shape[1]
        if size >= self.room or self.written + count <= size:
            return
        wanted = min(self.room, max(4096, 2 * size, self.written + count))
        self._ints = np.pad(self._ints, ((0, 0), (0, wanted - size)))
        self._floats = np.pad(self._floats, ((0, 0), (0, wanted - size)))
