"""Where vehicles stand still: every stop of a pattern, and halts between stops that the feed leaves far apart.

Some feeds name a few timing points a trip and leave out the stops between them. Vehicles stop there all the same:
riders gather, dwell times grow, bunches form. So a long leg gets halts at even distances, unless it is driven too fast
for them: nobody stops every 450 m on a motorway.
A *place* is what vehicles of one route and direction share: whoever comes first takes its waiting riders.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dispatch.network import Network
from dispatch.timetable import point_at

Index = NDArray[np.intp]
Ints = NDArray[np.int32]
Floats = NDArray[np.float64]

PIECE_S_MIN = 55.0  # from one halt to the next, standing included
PLACE_GRID_M = 200.0  # halts of two patterns in one square are one place
AROUND_S = 1_800.0  # a place's headway is that of the hour around
HEADWAY_S_MIN, HEADWAY_S_MAX = 90.0, 3_600.0


@dataclass(frozen=True, slots=True)
class Halts:
    """H halts of some patterns: those of pattern p are rows first[p] ... first[p] + count[p] - 1, in driving order."""

    first: Index  # [P], -1 for patterns that nobody asked for
    count: Index  # [P]
    leg: Index  # [H] position within the pattern of the stop at or before the halt
    share: Floats  # [H] of the leg's length that lies behind the halt; 0 at a stop
    along_m: Floats  # [H]
    x_m: Floats  # [H]
    y_m: Floats  # [H]
    stop: Index  # [H] StopIdx, -1 between stops
    place: Index  # [H] dense numbers from 0
    places: int


def make_halts(network: Network, patterns: Index, spacing_m: float) -> Halts:
    """The halts of the patterns given (PatternIdx, each once)."""
    first = np.full(len(network.pattern_id), -1, dtype=np.intp)
    count = np.zeros(len(network.pattern_id), dtype=np.intp)
    owners: list[Index] = []
    legs: list[Index] = []
    shares: list[Floats] = []
    alongs: list[Floats] = []
    total = 0
    _, a_trip = np.unique(network.trip_pattern, return_index=True)
    trip_of_pattern = dict(zip(network.trip_pattern[a_trip].tolist(), a_trip.tolist(), strict=True))
    for pattern in patterns.tolist():
        begin, end = network.pattern_stop_start[pattern], network.pattern_stop_start[pattern + 1]
        time = network.trip_time_start[trip_of_pattern[pattern]]
        lasts_s = network.arrival_s[time + 1 : time + end - begin] - network.departure_s[time : time + end - begin - 1]
        leg, share, along_m = _halts_of(network.pattern_stop_along_m[begin:end], lasts_s, spacing_m)
        first[pattern], count[pattern] = total, leg.size
        total += leg.size
        owners.append(np.full(leg.size, pattern))
        legs.append(leg)
        shares.append(share)
        alongs.append(along_m)
    owner, along_m = np.concatenate(owners), np.concatenate(alongs)
    leg, share = np.concatenate(legs), np.concatenate(shares)
    x_m, y_m = point_at(network, network.pattern_path[owner], along_m)
    place = _places(network, owner, x_m, y_m)
    return Halts(
        first=first,
        count=count,
        leg=leg,
        share=share,
        along_m=along_m,
        x_m=x_m,
        y_m=y_m,
        stop=np.where(share > 0, -1, network.pattern_stop[network.pattern_stop_start[owner] + leg]).astype(np.intp),
        place=place,
        places=int(place.max(initial=-1)) + 1,
    )


def _halts_of(stop_along_m: Floats, lasts_s: Ints, spacing_m: float) -> tuple[Index, Floats, Floats]:
    """Leg, share and distance of each halt of one pattern, whose legs last `lasts_s` by one of its trips."""
    length_m = np.diff(stop_along_m)
    pieces = np.minimum(np.round(length_m / spacing_m), np.floor(lasts_s / PIECE_S_MIN))
    pieces = np.maximum(pieces, 1.0).astype(np.intp)
    leg = np.append(np.repeat(np.arange(pieces.size), pieces), pieces.size)
    before = np.append(np.repeat(np.cumsum(pieces) - pieces, pieces), pieces.sum())
    share = (np.arange(leg.size) - before) / np.append(pieces, 1)[leg]
    along_m = stop_along_m[leg] + share * np.append(length_m, 0.0)[leg]
    return leg, share, along_m


def _places(network: Network, owner: Index, x_m: Floats, y_m: Floats) -> Index:
    line = network.pattern_route[owner].astype(np.int64) * 2 + network.pattern_direction[owner]
    square = np.stack((line, np.floor(x_m / PLACE_GRID_M), np.floor(y_m / PLACE_GRID_M)), axis=1).astype(np.int64)
    _, place = np.unique(square, axis=0, return_inverse=True)
    return place.reshape(-1).astype(np.intp)


def place_headways(place: Index, due_s: Floats) -> Floats:
    """The scheduled headway, seconds, at each of N visits of places, all lines' ways that share a place together.

    It is the mean of the hour around, so that riders come evenly although the timetable is not quite even.
    """
    order = np.lexsort((due_s, place))
    # One axis for all places: far enough from each other that no hour reaches into the next place.
    axis_s = (
        due_s[order] - due_s.min(initial=np.inf) + place[order] * (np.ptp(due_s) + 3 * AROUND_S if due_s.size else 0)
    )
    first = np.searchsorted(axis_s, axis_s - AROUND_S, side="left")
    last = np.searchsorted(axis_s, axis_s + AROUND_S, side="right") - 1
    headway_s = np.empty(due_s.size)
    headway_s[order] = (axis_s[last] - axis_s[first]) / np.maximum(last - first, 1)
    return np.asarray(np.clip(np.where(headway_s > 0, headway_s, HEADWAY_S_MAX), HEADWAY_S_MIN, HEADWAY_S_MAX))
