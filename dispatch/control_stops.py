"""Control stops: where a vehicle of a line may be held, by one rule for every feed.

A line's patterns are walked from their first stop, those with most trips first. The first stop is a terminal, whose
departure is regulated. From there on every third stop is a control stop, or the first one 1.5 km on where stops lie far
apart; what is a control stop on one pattern is one on all that serve it, and the count begins anew there. In the last
800 m nobody is held, for there is nobody left to do it for.

Stops of a feed are not always all the places where vehicles stop: some feeds name timing points alone. So the growth of
a headway is reckoned by *halts*, one for each stop or each 450 m, whichever is more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dispatch.lines import Lines
from dispatch.measures import stop_visits
from dispatch.network import Flags, Floats, Ints, Network

VISITS = 64  # a pattern that comes to a stop more often is counted as if it came the last time again


@dataclass(frozen=True, slots=True)
class ControlRule:
    """How far apart control stops lie."""

    every_stops: int = 3
    every_m: float = 1500.0
    end_m: float = 800.0
    halt_m: float = 450.0


@dataclass(frozen=True, slots=True)
class ControlStops:
    """For each row of the network's `pattern_stop`: what it is to control; `spacing_halts` is by line."""

    line: Ints
    place: NDArray[np.int64]  # one number for line, stop and visit: the same for all patterns of a line
    is_control: Flags  # terminals included
    is_terminal: Flags
    halts_ahead: Floats  # still to come on the pattern
    spacing_halts: Ints  # from one control stop to the next, on the mean


def place_controls(network: Network, lines: Lines, rule: ControlRule | None = None) -> ControlStops:
    """The control stops of a network."""
    rule = rule or ControlRule()
    first, rows = network.pattern_stop_start, len(network.pattern_stop)
    pattern = np.repeat(np.arange(len(first) - 1), np.diff(first))
    line = lines.pattern_line[pattern]
    place = (line.astype(np.int64) * (len(network.stop_id) + 1) + network.pattern_stop) * VISITS + stop_visits(network)
    is_terminal = np.zeros(rows, dtype=np.bool_)
    is_terminal[first[:-1][np.diff(first) > 0]] = True
    is_control = is_terminal.copy()
    trips = np.bincount(network.trip_pattern, minlength=len(first) - 1)
    chosen: set[int] = set()
    for one in np.argsort(-trips, kind="stable").tolist():
        span = slice(int(first[one]), int(first[one + 1]))
        found = _walk(place[span].tolist(), network.pattern_stop_along_m[span].tolist(), chosen, rule)
        chosen.update(int(place[span.start + at]) for at in found)
        is_control[[span.start + at for at in found]] = True
    end_m = network.pattern_stop_along_m[first[pattern + 1] - 1]
    nth = np.arange(rows) - first[pattern]
    stops_ahead = first[pattern + 1] - first[pattern] - 1 - nth
    by_way = (end_m - network.pattern_stop_along_m) / rule.halt_m
    halts_ahead = np.maximum(stops_ahead, by_way)
    return ControlStops(line, place, is_control, is_terminal, halts_ahead, _spacing(line, halts_ahead, is_control))


def _walk(places: list[int], along_m: list[float], chosen: set[int], rule: ControlRule) -> list[int]:
    """Positions of the control stops of one pattern, without its first stop."""
    found, since, since_m = [], 0, along_m[0] if along_m else 0.0
    for at in range(1, len(places) - 1):
        since += 1
        if along_m[-1] - along_m[at] < rule.end_m:
            break
        if places[at] in chosen or since >= rule.every_stops or along_m[at] - since_m >= rule.every_m:
            found.append(at)
            since, since_m = 0, along_m[at]
    return found


def _spacing(line: Ints, halts_ahead: Floats, is_control: Flags) -> Ints:
    """Halts of each line for each of its control stops."""
    lines = int(line.max(initial=-1)) + 1
    begins = np.bincount(
        line, weights=np.where(np.diff(halts_ahead, prepend=-1.0) > 0, halts_ahead, 0.0), minlength=lines
    )
    controls = np.bincount(line, weights=is_control, minlength=lines)
    spacing: Ints = np.maximum(np.round(begins / np.maximum(controls, 1)), 1).astype(np.int32)
    return spacing
