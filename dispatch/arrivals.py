"""Arrivals: when each vehicle will be at the stops ahead of it: the timetable, moved by the delay it has now.

A delay does not go past a layover that is long enough to absorb it: the next trip of a block leaves on time, or as soon
as the vehicle has come and turned round.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dispatch.fleet import Fleet
from dispatch.network import Floats, Ints, Network
from dispatch.observations import Rows

TURN_S = 60.0  # the least time between the last stop of a trip and the first of the next
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
    start: Ints  # [n + 1]
    stop: Ints  # position in the pattern
    scheduled_s: Floats  # arrival in the timetable (the first stop's departure)
    arrival_s: Floats
    departure_s: Floats

    def __len__(self) -> int:
        return len(self.vehicle)


def predict(fleet: Fleet, network: Network, rows: Rows, deviation_s: Floats) -> Predictions:
    """Predictions for vehicles on a trip, whose deviation from the timetable is known (seconds, late above 0)."""
    trip, zero_s, ts_s = fleet.trip[rows], fleet.zero_s[rows], fleet.ts_s[rows]
    end_s = network.arrival_s[network.trip_time_start[trip + 1] - 1] + zero_s + deviation_s
    follows = fleet.next_trip[rows]
    some = np.maximum(follows, 0)
    start_s = network.departure_s[network.trip_time_start[some]] + fleet.next_zero_s[rows]
    with np.errstate(invalid="ignore"):
        has_next = (follows >= 0) & (start_s - ts_s < NEXT_TRIP_WITHIN_S)
    carried_s = np.maximum(end_s + TURN_S - start_s, 0.0)
    vehicle = np.concatenate((rows, rows[has_next]))
    return _spread(
        network,
        vehicle.astype(np.int32),
        np.concatenate((trip, follows[has_next])),
        np.concatenate((zero_s, fleet.next_zero_s[rows][has_next])),
        fleet.ts_s[vehicle],
        np.concatenate((deviation_s, carried_s[has_next])),
        np.concatenate((fleet.next_stop[rows], np.zeros(np.count_nonzero(has_next), dtype=np.int32))),
    )


def _spread(
    network: Network, vehicle: Ints, trip: Ints, zero_s: Floats, ts_s: Floats, delay_s: Floats, from_stop: Ints
) -> Predictions:
    """Timetable plus delay at every stop from `from_stop` on, never before the fix it was computed from."""
    pattern = network.trip_pattern[trip]
    stops = network.pattern_stop_start[pattern + 1] - network.pattern_stop_start[pattern]
    count = np.maximum(stops - from_stop, 0)
    start = np.concatenate(([0], np.cumsum(count))).astype(np.int32)
    of = np.repeat(np.arange(len(trip)), count)
    stop = (np.arange(len(of)) - start[of] + from_stop[of]).astype(np.int32)
    row = network.trip_time_start[trip][of] + stop
    moved_s = (zero_s + delay_s)[of]
    earliest_s = ts_s[of]
    arrival_s = np.maximum(network.arrival_s[row] + moved_s, earliest_s)
    departure_s = np.maximum(network.departure_s[row] + moved_s, earliest_s)
    scheduled_s = np.where(stop == 0, network.departure_s[row], network.arrival_s[row]) + zero_s[of]
    return Predictions(vehicle, trip, zero_s, ts_s, delay_s, start, stop, scheduled_s, arrival_s, departure_s)
