"""Arrivals: when each vehicle will be at the stops ahead of it.

The delay that a vehicle has now is carried from stop to stop through the timetable, and grows or shrinks by what roads
and stops take beyond it (see running); the more time is left, the more of it is drawn back (see pull). It does not go
past a layover that is long enough to absorb it: the next trip of a block leaves on time, or as soon as the vehicle has
come and turned round. Nothing is predicted for what is over.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from dispatch.fleet import Fleet
from dispatch.network import Flags, Floats, Ints, Network
from dispatch.observations import Rows
from dispatch.running import Outlook
from dispatch.scatter import DRIVEN, FOLLOWS

TURN_S = 60.0  # the least time between the last stop of a trip and the first of the next
BY_TRIP = ("vehicle", "trip", "zero_s", "ts_s", "delay_s", "follows")  # the columns of Predictions with one row a trip
AT_ONCE = 8192  # vehicles: the columns of their stops stay in the cache
APART_S = 1e6  # longer than any trip is ahead: it keeps trips apart that stand in one column
NEXT_TRIP_WITHIN_S = 3600.0  # trips that start later are the timetable's business


@dataclass(frozen=True, slots=True)
class Predictions:
    """Stops ahead of n trips in CSR form: stops of trip i are `start[i]:start[i + 1]` of the columns below.

    A vehicle has one row for the trip that it drives and one for the next of its block. Instants are Unix seconds.
    """

    vehicle: Ints  # [n]
    trip: Ints
    zero_s: Floats
    ts_s: Floats  # the fix it was computed from
    delay_s: Floats  # expected at the first of the stops
    follows: Flags  # the trip comes after the one that the vehicle drives
    start: Ints  # [n + 1]
    stop: Ints  # position in the pattern
    scheduled_s: Floats  # arrival in the timetable (the first stop's departure)
    arrival_s: Floats
    departure_s: Floats
    drawn_s: Floats  # how much later than the delay and the roads alone say (see pull); below 0 earlier
    uncertainty_s: Floats  # half width of the band in which two of three such arrivals fall (see scatter)

    def __len__(self) -> int:
        return len(self.vehicle)


@dataclass(frozen=True, slots=True)
class _Ways:
    """Vehicles about to go on from `from_stop` of a trip, `delay_s` late; `left` of the leg to it is still ahead."""

    vehicle: Rows
    trip: Ints
    zero_s: Floats
    ts_s: Floats
    delay_s: Floats
    from_stop: Ints
    left: Floats
    follows: bool


def predict(
    fleet: Fleet, network: Network, outlook: Outlook, rows: Rows, deviation_s: Floats, now_s: float
) -> Predictions:
    """Predictions for vehicles on a trip, whose deviation from the timetable is known (seconds, late above 0)."""
    parts = [
        _predict(fleet, network, outlook, rows[first : first + AT_ONCE], deviation_s[first : first + AT_ONCE], now_s)
        for first in range(0, max(len(rows), 1), AT_ONCE)
    ]
    return _join([own for own, _ in parts] + [after for _, after in parts])


def _predict(
    fleet: Fleet, network: Network, outlook: Outlook, rows: Rows, deviation_s: Floats, now_s: float
) -> tuple[Predictions, Predictions]:
    """Of some vehicles: of the trips that they drive, and of the next of their blocks."""
    trip, zero_s, ts_s = fleet.trip[rows], fleet.zero_s[rows], fleet.ts_s[rows]
    next_stop = fleet.next_stop[rows]
    left = _left_of_leg(network, network.trip_pattern[trip], next_stop, fleet.along_m[rows])
    own = _spread(network, outlook, _Ways(rows, trip, zero_s, ts_s, deviation_s, next_stop, left, False), now_s)
    follows, next_zero_s = fleet.next_trip[rows], fleet.next_zero_s[rows]
    begins_s = network.departure_s[network.trip_time_start[np.maximum(follows, 0)]] + next_zero_s
    ends_s = ts_s.copy()
    ahead = np.diff(own.start) > 0
    ends_s[ahead] = own.arrival_s[own.start[1:][ahead] - 1]
    with np.errstate(invalid="ignore"):
        goes_on = (follows >= 0) & (begins_s - ts_s < NEXT_TRIP_WITHIN_S)
    late_s = np.maximum(ends_s + TURN_S - begins_s, 0.0)[goes_on]
    size = len(late_s)
    after = _Ways(
        rows[goes_on],
        follows[goes_on],
        next_zero_s[goes_on],
        ts_s[goes_on],
        late_s,
        np.zeros(size, dtype=np.int32),
        np.ones(size),
        True,
    )
    return own, _spread(network, outlook, after, now_s)


def _left_of_leg(network: Network, pattern: Ints, stop: Ints, along_m: Floats) -> Floats:
    """Which share of the way from the stop before to `stop` still lies ahead."""
    row = np.minimum(network.pattern_stop_start[pattern] + stop, network.pattern_stop_start[pattern + 1] - 1)
    here_m = network.pattern_stop_along_m[row]
    leg_m = np.where(stop > 0, here_m - network.pattern_stop_along_m[np.maximum(row - 1, 0)], 0.0)
    left = np.divide(here_m - along_m, leg_m, out=np.zeros(len(row)), where=leg_m > 0)
    share: Floats = np.clip(left, 0.0, 1.0)
    return share


def _spread(network: Network, outlook: Outlook, ways: _Ways, now_s: float) -> Predictions:
    """Arrival and departure at every stop from `from_stop` on."""
    pattern = network.trip_pattern[ways.trip]
    first = network.pattern_stop_start[pattern]
    count = np.maximum(network.pattern_stop_start[pattern + 1] - first - ways.from_stop, 0)
    start = np.concatenate(([0], np.cumsum(count))).astype(np.int32)
    of = np.repeat(np.arange(len(count)), count)
    stop = np.arange(len(of)) - np.repeat(start[:-1] - ways.from_stop, count)
    row = np.repeat(network.trip_time_start[ways.trip], count) + stop
    known = np.repeat(first, count) + stop
    due_s, leaves_s = network.arrival_s[row], network.departure_s[row]
    leg_s = due_s - network.departure_s[np.maximum(row - 1, 0)]  # at first stops nonsense, taken times 0
    run_s = outlook.rate[known] * leg_s + outlook.run_s[known]
    begins = start[:-1][count > 0]
    run_s[begins] *= np.where(ways.from_stop > 0, ways.left, 0.0)[count > 0]
    dwell_s = outlook.dwell_s[known]
    gained_s = np.cumsum(run_s + dwell_s)
    before_s = np.zeros(len(count))
    before_s[count > 0] = gained_s[begins] - run_s[begins] - dwell_s[begins]
    departs_s = gained_s + np.repeat(ways.delay_s + ways.zero_s - before_s, count)
    arrival_s = np.maximum(due_s + departs_s - dwell_s, now_s)
    line = outlook.line[known]
    drawn_s = np.zeros(len(of))
    if not ways.follows:
        added_s = gained_s - dwell_s - np.repeat(before_s, count)
        late_s = added_s + np.repeat(ways.delay_s, count)
        drawn_s = outlook.pull.drawn_s(line, arrival_s - now_s, late_s, added_s)
        _keep_in_order(drawn_s, arrival_s, of, now_s)
        arrival_s += drawn_s
        departs_s += drawn_s
    departure_s = np.maximum(leaves_s + departs_s, arrival_s)
    scheduled_s = np.where(stop == 0, leaves_s, due_s) + np.repeat(ways.zero_s, count)
    return Predictions(
        ways.vehicle.astype(np.int32),
        ways.trip,
        ways.zero_s,
        ways.ts_s,
        ways.delay_s,
        np.full(len(count), ways.follows),
        start,
        stop.astype(np.int32),
        scheduled_s,
        arrival_s,
        departure_s,
        drawn_s,
        outlook.scatter.uncertainty_s(FOLLOWS if ways.follows else DRIVEN, line, arrival_s - now_s),
    )


def _keep_in_order(drawn_s: Floats, arrival_s: Floats, of: NDArray[np.intp], now_s: float) -> None:
    """Draw arrivals only so far that none comes before now, and none before one that is earlier on its trip."""
    moved_s = arrival_s + drawn_s
    np.maximum(moved_s, now_s, out=moved_s)
    back = np.flatnonzero(moved_s[1:] < moved_s[:-1])
    wrong = of[back][of[back] == of[back + 1]]
    if len(wrong):
        rows = np.flatnonzero(np.bincount(wrong, minlength=of[-1] + 1)[of])
        apart_s = of[rows] * APART_S
        moved_s[rows] = np.maximum.accumulate(moved_s[rows] - now_s + apart_s) - apart_s + now_s
    np.subtract(moved_s, arrival_s, out=drawn_s)


def _join(parts: list[Predictions]) -> Predictions:
    """All, one behind the other."""
    columns = {
        field.name: np.concatenate([getattr(part, field.name) for part in parts])
        for field in fields(Predictions)
        if field.name != "start"
    }
    count = np.concatenate([np.diff(part.start) for part in parts])
    start = np.concatenate(([0], np.cumsum(count))).astype(np.int32)
    return Predictions(start=start, **columns)


def leave_out(made: Predictions, runs: set[tuple[int, float]]) -> Predictions:
    """The predictions without those of some runs (trip, zero): nothing is promised of what is cancelled."""
    if not runs:
        return made
    kept = np.array([run not in runs for run in zip(made.trip.tolist(), made.zero_s.tolist(), strict=True)], dtype=bool)
    count = np.diff(made.start)
    rows = np.repeat(kept, count)
    columns = {
        field.name: getattr(made, field.name)[kept if field.name in BY_TRIP else rows]
        for field in fields(Predictions)
        if field.name != "start"
    }
    return Predictions(start=np.concatenate(([0], np.cumsum(count[kept]))).astype(np.int32), **columns)
