"""Calls: who has left the places of the watched lines, and when the vehicles of those lines will be where.

Predictions say when each vehicle comes and goes. Who stands at a stop came when it came; a vehicle that is being held
is where the hold has it, not where its timetable would.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dispatch.arrivals import Predictions
from dispatch.control_stops import ControlStops
from dispatch.fleet import Fleet
from dispatch.network import Flags, Floats, Ints, Network
from dispatch.passages import Passages

KEPT = 6  # departures remembered of each place


@dataclass(frozen=True, slots=True)
class Departure:
    """Who left a place when, and when the timetable wanted it to. Unix seconds."""

    vehicle: int
    left_s: float
    due_s: float
    came_s: float


@dataclass(slots=True)
class Departures:
    """The last departures from every place of the lines that are looked at."""

    controls: ControlStops
    network: Network
    _of: dict[int, deque[Departure]] = field(default_factory=dict)

    def add(self, passages: Passages, watched: Flags) -> None:
        """Take in passages; only those of lines that are `watched` (by line) count."""
        network = self.network
        row = network.pattern_stop_start[network.trip_pattern[passages.trip]] + passages.stop
        chosen = np.flatnonzero(watched[self.controls.line[row]] & ~np.isnan(passages.departure_s))
        for i in chosen[np.argsort(passages.departure_s[chosen], kind="stable")].tolist():
            due_s = (
                passages.zero_s[i] + network.departure_s[network.trip_time_start[passages.trip[i]] + passages.stop[i]]
            )
            left_s = float(passages.departure_s[i])
            came_s = float(passages.arrival_s[i])
            came_s = left_s if np.isnan(came_s) else came_s
            seen = self._of.setdefault(int(self.controls.place[row[i]]), deque(maxlen=KEPT))
            for told in [d for d in seen if d.vehicle == int(passages.vehicle[i]) and d.due_s == float(due_s)]:
                seen.remove(told)  # a late fix has corrected it
            seen.append(Departure(int(passages.vehicle[i]), left_s, float(due_s), came_s))

    def last(self, place: int, but: int, from_s: float, to_s: float) -> Departure | None:
        """The last departure from a place within a span of time, other than the vehicle's own."""
        found = [d for d in self._of.get(place, ()) if d.vehicle != but and from_s <= d.left_s <= to_s]
        return max(found, key=lambda d: d.left_s, default=None)


@dataclass(frozen=True, slots=True)
class Hold:
    """A hold that a vehicle has been asked for: at which stop of which run, and until when (Unix seconds)."""

    trip: int
    zero_s: float
    stop: int
    until_s: float


@dataclass(frozen=True, slots=True)
class Calls:
    """When vehicles of the watched lines will be where: sorted by place, then by arrival. Unix seconds."""

    place: NDArray[np.int64]
    row: NDArray[np.intp]  # of the network's pattern_stop
    vehicle: Ints
    trip: Ints
    zero_s: Floats
    stop: Ints  # position in the pattern
    arrival_s: Floats
    departure_s: Floats
    due_s: Floats  # departure in the timetable

    def at(self, place: int) -> range:
        """The rows of one place."""
        first, last = np.searchsorted(self.place, [place, place + 1])
        return range(int(first), int(last))


def call_up(
    made: Predictions,
    fleet: Fleet,
    network: Network,
    controls: ControlStops,
    watched: Flags,
    holds: Mapping[int, Hold],
) -> Calls:
    """The predictions of the watched lines as calls: who stands at a stop came when it came, who is held goes later."""
    trips = np.flatnonzero(watched[controls.line[network.pattern_stop_start[network.trip_pattern[made.trip]]]])
    count = np.diff(made.start)[trips]
    of = np.repeat(trips, count)
    at = np.arange(len(of)) - np.repeat(np.cumsum(count) - count, count) + made.start[of]
    stop, trip, zero_s, vehicle = made.stop[at], made.trip[of], made.zero_s[of], made.vehicle[of]
    row = network.pattern_stop_start[network.trip_pattern[trip]] + stop
    arrival_s, departure_s = made.arrival_s[at].copy(), made.departure_s[at].copy()
    stands = (fleet.trip[vehicle] == trip) & (fleet.zero_s[vehicle] == zero_s) & (fleet.next_stop[vehicle] == stop)
    stands &= (stop > 0) & ~np.isnan(fleet.enter_s[vehicle])
    arrival_s[stands] = np.minimum(arrival_s[stands], fleet.enter_s[vehicle[stands]])
    for number, hold in holds.items():
        on = (vehicle == number) & (trip == hold.trip) & (zero_s == hold.zero_s)
        here = on & (stop == hold.stop)
        if here.any():
            late_s = max(0.0, hold.until_s - float(departure_s[here][0]))
            departure_s[on & (stop >= hold.stop)] += late_s
            arrival_s[on & (stop > hold.stop)] += late_s
    due_s = zero_s + network.departure_s[network.trip_time_start[trip] + stop]
    place = controls.place[row]
    order = np.lexsort((due_s, departure_s, arrival_s, place))
    return Calls(
        place[order],
        row[order],
        vehicle[order],
        trip[order],
        zero_s[order],
        stop[order],
        arrival_s[order],
        departure_s[order],
        due_s[order],
    )
