"""What the timetable says of runs at their halts, those between stops included: when, and how often somebody comes.

A run is a row of the duties, a halt its number within a run, and a row is where that halt stands among all `Halts`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dispatch.network import Network
from simulators.duties import Duties
from simulators.halts import Halts, make_halts, place_headways

Index = NDArray[np.intp]
Floats = NDArray[np.float64]


class RunTimes:
    """The scheduled times of all runs of some duties, asked about one run or many at once."""

    def __init__(self, network: Network, duties: Duties, halt_spacing_m: float) -> None:
        self._network = network
        self._time = network.trip_time_start[duties.runs.trip]  # [R] where the stop times of each run begin
        self._zero_s = duties.zero_s()
        self.pattern: Index = network.trip_pattern[duties.runs.trip].astype(np.intp)  # [R]
        self.halts: Halts = make_halts(network, np.unique(self.pattern), halt_spacing_m)
        counts = self.count(np.arange(self.pattern.size))
        self._first: Index = np.cumsum(counts) - counts  # [R] where the halts of each run begin in the next column
        run = np.repeat(np.arange(counts.size), counts)
        row = self.row(run, np.arange(counts.sum()) - self._first[run])
        self.headways_s = place_headways(self.halts.place[row], self.due_s(run, row, leaving=True))

    def count(self, run: Index | int) -> Index:
        """How many halts a run has."""
        return np.asarray(self.halts.count[self.pattern[run]])

    def row(self, run: Index, halt: Index) -> Index:
        """The row of a run's halt."""
        return np.asarray(self.halts.first[self.pattern[run]] + halt)

    def due_s(self, run: Index, row: Index, *, leaving: bool) -> Floats:
        """Scheduled arrival at a halt, or departure from it, Unix seconds."""
        network, share = self._network, self.halts.share[row]
        time = self._time[run] + self.halts.leg[row]
        between = share > 0
        left_s = network.departure_s[time]
        there_s = network.arrival_s[np.where(between, time + 1, time)]
        at_stop_s = left_s if leaving else there_s
        return np.asarray(self._zero_s[run] + np.where(between, left_s + share * (there_s - left_s), at_stop_s))

    def headway_s(self, run: Index | int, halt: Index | int) -> Floats:
        """The scheduled headway at a run's halt, seconds."""
        return np.asarray(self.headways_s[self._first[run] + halt])
