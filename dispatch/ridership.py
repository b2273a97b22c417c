"""Ridership: how many riders board at a halt, learnt from taps, so that advice knows a busy line from a quiet one.

A tap is a rider who gets on where its vehicle stands, or at the stop that it has just left. A visit is a vehicle with
a validator that has left a stop. Both fade within an hour, for the morning says little of noon. What taps say is riders
a visit; how many there are besides, who do not tap, is told by a setting. Where nobody has set it, taps only say which
lines are busier than others: the network's mean is taken to be what the rule of thumb supposes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dispatch.control_stops import ControlStops
from dispatch.fleet import Fleet
from dispatch.network import Floats, Network
from dispatch.passages import Passages

FADES_S = 3600.0
STEP_S = 60.0  # between two steps of fading
VISITS_MIN = 100.0  # in the whole network: before that nothing is known
TAPS_MIN = 50.0
SUPPOSED_VISITS = 20.0  # the network's mean counts at every line as so many visits
A_HALT_MIN, A_HALT_MAX = 0.3, 30.0
TAP_AGE_S_MAX = 120.0  # a tap that comes later was made where its vehicle is no more
TAPPERS_S = 2 * 3600.0  # a vehicle without a tap for so long has no validator that works

Tap = tuple[str, float, int]  # "<operator>/<vehicle>", Unix seconds, riders


@dataclass(slots=True)
class Ridership:
    """Taps and visits by place (see ControlStops) of one network; `share` of riders who tap, None where unknown."""

    network: Network
    controls: ControlStops
    share: float | None = None
    ignored: int = 0  # taps of vehicles that are on no trip, or that come too late
    _index: NDArray[np.intp] = field(init=False)  # place of each row of pattern_stop, numbered without gaps
    _taps: Floats = field(init=False)
    _visits: Floats = field(init=False)
    _tapped_s: dict[int, float] = field(default_factory=dict)  # by vehicle, when it last took a tap
    _faded_s: float = field(default=np.nan)

    def __post_init__(self) -> None:
        places, index = np.unique(self.controls.place, return_inverse=True)
        self._index = index.astype(np.intp)
        self._taps, self._visits = np.zeros(len(places)), np.zeros(len(places))

    def take(self, taps: Iterable[Tap], fleet: Fleet, now_s: float) -> None:
        """Count taps where their vehicles are, as far as that is known."""
        self._fade(now_s)
        for key, at_s, riders in taps:
            vehicle = fleet.index.get(key, -1)
            row = -1 if vehicle < 0 or not -60.0 <= now_s - at_s <= TAP_AGE_S_MAX else self._row(fleet, vehicle)
            if row < 0:
                self.ignored += 1
                continue
            self._taps[self._index[row]] += riders
            self._tapped_s[vehicle] = now_s

    def visit(self, passages: Passages, now_s: float) -> None:
        """Count the departures of vehicles that take taps."""
        self._fade(now_s)
        left = np.flatnonzero(~np.isnan(passages.departure_s) & np.isin(passages.vehicle, list(self._tapped_s)))
        rows = self.network.pattern_stop_start[self.network.trip_pattern[passages.trip[left]]] + passages.stop[left]
        np.add.at(self._visits, self._index[rows], 1.0)

    def a_halt(self, row: int, usual: float) -> float | None:
        """Riders who board at a halt from this row of `pattern_stop` to the end of its pattern; None: not known.

        `usual` is what the rule of thumb supposes.
        """
        taps, visits = float(self._taps.sum()), float(self._visits.sum())
        if taps < TAPS_MIN or visits < VISITS_MIN:
            return None
        mean = taps / visits
        pattern = int(np.searchsorted(self.network.pattern_stop_start, row, side="right")) - 1
        ahead = self._index[row : int(self.network.pattern_stop_start[pattern + 1]) - 1]
        here = (float(self._taps[ahead].sum()) + SUPPOSED_VISITS * mean) / (
            float(self._visits[ahead].sum()) + SUPPOSED_VISITS
        )
        found = usual * here / mean if self.share is None else here / self.share
        return min(max(found, A_HALT_MIN), A_HALT_MAX)

    def _row(self, fleet: Fleet, vehicle: int) -> int:
        """Where who gets on now gets on: the row of the stop where the vehicle stands, or of the one that it left."""
        trip, stop = int(fleet.trip[vehicle]), int(fleet.next_stop[vehicle])
        if trip < 0 or stop < 0:
            return -1
        pattern = int(self.network.trip_pattern[trip])
        first, end = self.network.pattern_stop_start[pattern : pattern + 2].tolist()
        stands = not np.isnan(fleet.enter_s[vehicle])
        return int(min(max(first + stop - (not stands), first), end - 1))

    def _fade(self, now_s: float) -> None:
        since_s = now_s - self._faded_s
        if 0 <= since_s < STEP_S:
            return
        self._faded_s = now_s
        if not since_s > 0:  # the first time, or the clock was set back
            return
        kept = float(np.exp(-since_s / FADES_S))
        self._taps *= kept
        self._visits *= kept
        self._tapped_s = {vehicle: at_s for vehicle, at_s in self._tapped_s.items() if now_s - at_s <= TAPPERS_S}
