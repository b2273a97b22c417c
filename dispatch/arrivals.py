"""Arrivals: when each vehicle will be at the stops ahead of it.

The delay that a vehicle has now is carried from stop to stop through the timetable, and grows or shrinks by what roads
and stops take beyond it (see running). It does not go past a layover that is long enough to absorb it: the next trip of
a block leaves on time, or as soon as the vehicle has come and turned round. Nothing is predicted for what is over.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from dispatch.fleet import Fleet
from dispatch.network import Flags, Floats, Ints, Network
from dispatch.observations import Rows
from dispatch.running import Outlook
from dispatch.scatter import DRIVEN, FOLLOWS

TURN_S = 60.0  # the least time between the last stop of a trip and the first of the next
BY_TRIP = ("vehicle", "trip", "zero_s", "ts_s", "delay_s", "follows")  # the columns of Predictions with one row a trip
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
    return _join(own, _spread(network, outlook, after, now_s))


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
    stop = (np.arange(len(of)) - (start[:-1] - ways.from_stop)[of]).astype(np.int32)
    row = network.trip_time_start[ways.trip][of] + stop
    known = first[of] + stop
    due_s, leaves_s = network.arrival_s[row], network.departure_s[row]
    leg_s = due_s - network.departure_s[np.maximum(row - 1, 0)]  # at first stops nonsense, taken times 0
    run_s = outlook.rate[known] * leg_s + outlook.run_s[known]
    begins = start[:-1][count > 0]
    run_s[begins] *= np.where(ways.from_stop > 0, ways.left, 0.0)[count > 0]
    dwell_s = outlook.dwell_s[known]
    gained_s = np.cumsum(run_s + dwell_s)
    before_s = np.zeros(len(count))
    before_s[count > 0] = gained_s[begins] - run_s[begins] - dwell_s[begins]
    departs_s = gained_s + (ways.delay_s + ways.zero_s - before_s)[of]
    arrival_s = np.maximum(due_s + departs_s - dwell_s, now_s)
    departure_s = np.maximum(leaves_s + departs_s, arrival_s)
    scheduled_s = np.where(stop == 0, leaves_s, due_s) + ways.zero_s[of]
    return Predictions(
        ways.vehicle.astype(np.int32),
        ways.trip,
        ways.zero_s,
        ways.ts_s,
        ways.delay_s,
        np.full(len(count), ways.follows),
        start,
        stop,
        scheduled_s,
        arrival_s,
        departure_s,
        outlook.scatter.uncertainty_s(FOLLOWS if ways.follows else DRIVEN, outlook.line[known], arrival_s - now_s),
    )


def _join(own: Predictions, after: Predictions) -> Predictions:
    """Both, one behind the other."""
    columns = {
        field.name: np.concatenate((getattr(own, field.name), getattr(after, field.name)))
        for field in fields(Predictions)
        if field.name != "start"
    }
    start = np.concatenate((own.start, own.start[-1] + after.start[1:])).astype(np.int32)
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
