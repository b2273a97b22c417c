"""Control: which lines are advised on or run automatically, by which law, since when, and whether it helps.

Off is the default, and only a person changes it. What a line was like in the ten minutes before it was switched on
is kept beside what it is like now: excess wait (EWT) and headway adherence (c_vh) of all its stops, both directions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import msgspec
import numpy as np

from dispatch.advice import DEFAULT_LAW
from dispatch.claims import Timetable
from dispatch.holding import LAWS
from dispatch.lines import Lines
from dispatch.measures import Pairs, headway_adherence, mean_wait, pair_departures
from dispatch.network import Flags, Network
from dispatch.passages import PassageLog, Passages

Mode = Literal["off", "advise", "automatic"]
OFFERED: Final = [name for name in LAWS if name != "none"]
WINDOW_S = 600.0  # long enough for a line of ten minutes, short enough to see what a hold has done
PASSAGES_MAX = 100_000  # of which the measures are taken: bounds what a tick spends on them
PASSAGES_OF_ALL_MAX = 10_000
PAIRS_MIN = 30  # fewer headways say nothing
FILE_VERSION = 1


class Measured(msgspec.Struct, frozen=True):
    """Regularity of a route over the last ten minutes; null where too little was seen."""

    ewt_s: float | None = None
    c_vh: float | None = None


NOTHING = Measured()


class LineControl(msgspec.Struct):
    """A row of GET /api/v1/control; `since` in Unix seconds, `ewt_before_s` and `c_vh_before` from when it began."""

    route_id: str
    short_name: str
    mode: Mode = "off"
    law: str = DEFAULT_LAW
    by: str | None = None
    since: float | None = None
    ewt_s: float | None = None
    c_vh: float | None = None
    ewt_before_s: float | None = None
    c_vh_before: float | None = None
    advised: int = 0
    applied: int = 0
    declined: int = 0


class _Kept(msgspec.Struct):
    version: int
    lines: list[LineControl]


@dataclass(slots=True)
class ControlTable:
    """All routes of a network, and those of the file that it does not have now: they may come back."""

    lines: dict[str, LineControl] = field(default_factory=dict)
    version: int = 0  # rises with every change of mode, law or count
    changes: int = 0  # of what is kept in the file

    def use_network(self, network: Network) -> None:
        """Have a row for every route."""
        for route_id, name in zip(network.route_id, network.route_short_name, strict=True):
            line = self.lines.setdefault(route_id, LineControl(route_id, name))
            line.short_name = name
        self.version += 1

    def set(self, route_id: str, mode: Mode, law: str | None, by: str, now_s: float) -> LineControl:
        """Switch a line; what it was like before stands from when it was last off."""
        line = self.lines[route_id]
        if mode != "off" and line.mode == "off":
            line.ewt_before_s, line.c_vh_before = line.ewt_s, line.c_vh
            line.advised = line.applied = line.declined = 0
        line.mode, line.law, line.by, line.since = mode, law or line.law, by, now_s
        self.version += 1
        self.changes += 1
        return line

    def mode_of(self, route_id: str) -> Mode:
        """The mode of a route."""
        line = self.lines.get(route_id)
        return "off" if line is None else line.mode

    def count(self, route_id: str, what: Literal["advised", "applied", "declined"]) -> None:
        """Count what became of an advice."""
        line = self.lines.get(route_id)
        if line is not None:
            setattr(line, what, getattr(line, what) + 1)
            self.version += 1

    def measure(self, measured: dict[str, Measured]) -> None:
        """Note how routes are now."""
        for route_id, line in self.lines.items():
            found = measured.get(route_id, NOTHING)
            if (line.ewt_s, line.c_vh) != (found.ewt_s, found.c_vh):
                line.ewt_s, line.c_vh = found.ewt_s, found.c_vh
                self.version += 1

    def rows(self, network: Network) -> list[LineControl]:
        """A row for each route, in the feed's order."""
        return [self.lines[route_id] for route_id in network.route_id if route_id in self.lines]

    def to_bytes(self) -> bytes:
        """The lines that are not as they were made, for a file."""
        kept = [line for line in self.lines.values() if line.since is not None]
        return msgspec.json.format(msgspec.json.encode(_Kept(FILE_VERSION, kept)), indent=1)

    def restore(self, data: bytes) -> int:
        """Take over what `to_bytes` made; returns how many lines are controlled.

        Raises:
            ValueError: it is nothing that `to_bytes` made, or names a law that there is not.
        """
        try:
            kept = msgspec.json.decode(data, type=_Kept)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ValueError(f"the file of controlled lines cannot be read: {error}") from None
        if kept.version != FILE_VERSION:
            raise ValueError(f"the file of controlled lines is of version {kept.version}, not {FILE_VERSION}")
        unknown = [line.law for line in kept.lines if line.law not in LAWS]
        if unknown:
            raise ValueError(f"the file of controlled lines names a law that there is not: {unknown[0]}")
        self.lines |= {line.route_id: line for line in kept.lines}
        self.version += 1
        return sum(line.mode != "off" for line in kept.lines)


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
        found[route_id[one]] = Measured(_figure(ewt_s, 1), _figure(headway_adherence(h, scheduled, group[rows]), 3))
    return found


def _figure(value: float, digits: int) -> float | None:
    return None if np.isnan(value) else round(value, digits)
