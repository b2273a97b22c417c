"""Control stops: where a vehicle of a line may be held: as a dispatcher says, else by one rule for every feed.

A line's patterns are walked from their first stop, those with most trips first. The first stop is a terminal, whose
departure is regulated. From there on every timepoint of the feed is a control stop, for there drivers wait anyway, and
so is every third stop, or the first one 1.5 km on where stops lie far apart; unless a timepoint comes soon, which is
worth going as far again. What is a control stop on one pattern is one on all that serve it, and the count begins anew
there. In the last 800 m nobody is held, for there is nobody left to do it for. A dispatcher's own list for a route
stands instead of all this; its terminals remain.

Stops of a feed are not always all the places where vehicles stop: some feeds name timing points alone. So the growth of
a headway is reckoned by *halts*, one for each stop or each 450 m, whichever is more.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from dispatch.lines import Lines
from dispatch.measures import stop_visits
from dispatch.network import Flags, Floats, Ints, Network

VISITS = 64  # a pattern that comes to a stop more often is counted as if it came the last time again
TIMED_SHARE_MAX = 0.5  # of a pattern's stops: a feed that calls more of them timepoints says nothing by it


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


def place_controls(
    network: Network, lines: Lines, rule: ControlRule | None = None, own: Mapping[str, Collection[str]] | None = None
) -> ControlStops:
    """The control stops of a network; `own` are stop ids by route id, as somebody has listed them.

    A list of which this network knows no stop was made for another version of the feed, and says nothing here.
    """
    rule, names = rule or ControlRule(), set(network.stop_id)
    own = {route: ids for route, ids in (own or {}).items() if not ids or not names.isdisjoint(ids)}
    first, rows = network.pattern_stop_start, len(network.pattern_stop)
    pattern = np.repeat(np.arange(len(first) - 1), np.diff(first))
    line = lines.pattern_line[pattern]
    place = (line.astype(np.int64) * (len(network.stop_id) + 1) + network.pattern_stop) * VISITS + stop_visits(network)
    is_terminal = np.zeros(rows, dtype=np.bool_)
    is_terminal[first[:-1][np.diff(first) > 0]] = True
    is_control = is_terminal.copy()
    trips = np.bincount(network.trip_pattern, minlength=len(first) - 1)
    timed = timed_stops(network)
    chosen: set[int] = set()
    for one in np.argsort(-trips, kind="stable").tolist():
        span = slice(int(first[one]), int(first[one + 1]))
        listed = own.get(network.route_id[int(network.pattern_route[one])])
        if listed is not None:
            found = [
                at
                for at, stop in enumerate(network.pattern_stop[span].tolist())
                if 0 < at < span.stop - span.start - 1 and network.stop_id[stop] in listed
            ]
        else:
            preferred = [at for at, is_timed in enumerate(timed[span].tolist()) if is_timed]
            walked = _Walk(place[span].tolist(), network.pattern_stop_along_m[span].tolist(), frozenset(preferred))
            found = walked.choose(chosen, rule)
        chosen.update(int(place[span.start + at]) for at in found)
        is_control[[span.start + at for at in found]] = True
    end_m = network.pattern_stop_along_m[first[pattern + 1] - 1]
    nth = np.arange(rows) - first[pattern]
    stops_ahead = first[pattern + 1] - first[pattern] - 1 - nth
    by_way = (end_m - network.pattern_stop_along_m) / rule.halt_m
    halts_ahead = np.maximum(stops_ahead, by_way)
    return ControlStops(line, place, is_control, is_terminal, halts_ahead, _spacing(line, halts_ahead, is_control))


class ControlStop(msgspec.Struct, frozen=True):
    """A stop where vehicles of one direction may be held; at a terminal it is the departure that is regulated."""

    direction_id: int
    stop_id: str
    stop_name: str
    is_terminal: bool
    is_timepoint: bool


class StopList(msgspec.Struct, frozen=True):
    """GET /api/v1/routes/{route_id}/control/stops; `stop_ids` are a dispatcher's own; null: by rule."""

    route_id: str
    stop_ids: list[str] | None
    stops: list[ControlStop]


def list_stops(network: Network, controls: ControlStops, route_id: str, own: Sequence[str] | None) -> StopList:
    """The control stops of a route, each once for a direction, in the order of its patterns."""
    timed = timed_stops(network)
    found: dict[tuple[int, int], ControlStop] = {}
    for pattern in np.flatnonzero(network.pattern_route == network.route_id.index(route_id)).tolist():
        direction = int(network.pattern_direction[pattern])
        for row in range(*network.pattern_stop_start[pattern : pattern + 2].tolist()):
            if not controls.is_control[row]:
                continue
            stop = int(network.pattern_stop[row])
            names = (direction, network.stop_id[stop], network.stop_name[stop])
            one = ControlStop(*names, bool(controls.is_terminal[row]), bool(timed[row]))
            found.setdefault((direction, stop), one)
    return StopList(route_id, None if own is None else list(own), list(found.values()))


def find_strangers(network: Network, route_id: str, stop_ids: Iterable[str]) -> str | None:
    """The first of these stops at which no vehicle of the route can be held: it does not call there, or ends there."""
    known: set[str] = set()
    for pattern in np.flatnonzero(network.pattern_route == network.route_id.index(route_id)).tolist():
        first, end = network.pattern_stop_start[pattern : pattern + 2].tolist()
        known.update(network.stop_id[stop] for stop in network.pattern_stop[first : end - 1].tolist())
    return next((stop_id for stop_id in stop_ids if stop_id not in known), None)


def timed_stops(network: Network) -> Flags:
    """For each row of `pattern_stop`: an inner stop that the feed calls a timepoint, where that says something."""
    first, rows = network.pattern_stop_start, len(network.pattern_stop)
    timed = np.zeros(rows, dtype=np.bool_)
    if len(network.pattern_stop_timed) != rows:
        return timed
    timed[:] = network.pattern_stop_timed
    ends = np.diff(first) > 0
    timed[first[:-1][ends]] = timed[first[1:][ends] - 1] = False
    counts = np.diff(first)
    pattern = np.repeat(np.arange(len(counts)), counts)
    share = np.bincount(pattern, weights=timed, minlength=len(counts)) / np.maximum(counts - 2, 1)
    timed &= share[pattern] <= TIMED_SHARE_MAX
    return timed


@dataclass(frozen=True, slots=True)
class _Walk:
    """One pattern's stops in their order: places, metres, and which of them are preferred."""

    place: list[int]
    along_m: list[float]
    preferred: frozenset[int]

    def choose(self, chosen: Collection[int], rule: ControlRule) -> list[int]:
        """Positions of the control stops, without the first stop; `chosen` are places that are some already."""
        place, along_m = self.place, self.along_m
        found, since, since_m = [], 0, along_m[0] if along_m else 0.0
        for at in range(1, len(place) - 1):
            since += 1
            if along_m[-1] - along_m[at] < rule.end_m:
                break
            taken = place[at] in chosen or at in self.preferred
            due = since >= rule.every_stops or along_m[at] - since_m >= rule.every_m
            if taken or (due and not self._preferred_soon(at, since, since_m, rule)):
                found.append(at)
                since, since_m = 0, along_m[at]
        return found

    def _preferred_soon(self, at: int, since: int, since_m: float, rule: ControlRule) -> bool:
        """Whether a preferred stop comes before twice the usual distance from the last control stop."""
        return any(
            at < ahead <= at + 2 * rule.every_stops - since
            and self.along_m[ahead] - since_m <= 2 * rule.every_m
            and self.along_m[-1] - self.along_m[ahead] >= rule.end_m
            for ahead in self.preferred
        )


def _spacing(line: Ints, halts_ahead: Floats, is_control: Flags) -> Ints:
    """Halts of each line for each of its control stops."""
    lines = int(line.max(initial=-1)) + 1
    begins = np.bincount(
        line, weights=np.where(np.diff(halts_ahead, prepend=-1.0) > 0, halts_ahead, 0.0), minlength=lines
    )
    controls = np.bincount(line, weights=is_control, minlength=lines)
    spacing: Ints = np.maximum(np.round(begins / np.maximum(controls, 1)), 1).astype(np.int32)
    return spacing
