"""How regular lines are while they are controlled: excess wait and headway adherence of the last ten minutes."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from dispatch.claims import Timetable
from dispatch.lines import Lines
from dispatch.measures import Pairs, figure, headway_adherence, mean_wait, pair_departures
from dispatch.network import Flags, Network
from dispatch.passages import PassageLog, Passages

WINDOW_S = 600.0  # long enough for a line of ten minutes, short enough to see what a hold has done
PASSAGES_MAX = 100_000  # of which the measures are taken: bounds what a tick spends on them
PASSAGES_OF_ALL_MAX = 10_000
PAIRS_MIN = 30  # fewer headways say nothing


class Measured(msgspec.Struct, frozen=True):
    """Regularity of a route over the last ten minutes; null where too little was seen."""

    ewt_s: float | None = None
    c_vh: float | None = None


NOTHING = Measured()


def recent_pairs(
    log: PassageLog, network: Network, lines: Lines, timetable: Timetable, now_s: float, wanted: Flags
) -> Pairs:
    """Headways at stops of the last ten minutes; of a vehicle that came to a stop twice on one run, the later.

    In a large city only those of the lines that are `wanted` (by line): a tick must not wait for all.
    """
    found = log.since(max(0, log.written - PASSAGES_MAX))
    recent = np.flatnonzero((found.departure_s >= now_s - WINDOW_S - 1800.0) & (found.departure_s <= now_s))
    if len(recent) > PASSAGES_OF_ALL_MAX:
        recent = recent[wanted[lines.pattern_line[network.trip_pattern[found.trip[recent]]]]]
    order = recent[
        np.lexsort((found.departure_s[recent], found.stop[recent], found.trip[recent], found.vehicle[recent]))
    ]
    same = np.ones(len(order), dtype=np.bool_)
    if len(order) > 1:
        columns = (found.vehicle, found.trip, found.zero_s, found.stop)
        same[:-1] = np.logical_or.reduce([column[order[1:]] != column[order[:-1]] for column in columns])
    chosen = order[same]
    passages = Passages(
        found.vehicle[chosen],
        found.trip[chosen],
        found.zero_s[chosen],
        found.stop[chosen],
        found.arrival_s[chosen],
        found.departure_s[chosen],
    )
    frequent_s = timetable.frequent_s(passages.trip, passages.zero_s)
    pairs = pair_departures(passages, frequent_s, network, lines, 7200.0)
    late = pairs.at_s >= now_s - WINDOW_S
    return Pairs(
        pairs.line[late],
        pairs.stop[late],
        pairs.headway_s[late],
        pairs.scheduled_s[late],
        pairs.is_peak[late],
        pairs.at_s[late],
    )


def measure_routes(pairs: Pairs, lines: Lines, route_id: Sequence[str]) -> dict[str, Measured]:
    """EWT and c_vh of each route, its directions and stops pooled."""
    route = lines.line_route[pairs.line]
    group = pairs.line.astype(np.int64) * (int(pairs.stop.max(initial=0)) + 1) + pairs.stop
    found = {}
    for one in np.unique(route).tolist():
        rows = route == one
        if np.count_nonzero(rows) < PAIRS_MIN:
            continue
        h, scheduled = pairs.headway_s[rows], pairs.scheduled_s[rows]
        ewt_s = mean_wait(h) - mean_wait(scheduled)
        found[route_id[one]] = Measured(figure(ewt_s, 1), figure(headway_adherence(h, scheduled, group[rows]), 3))
    return found
