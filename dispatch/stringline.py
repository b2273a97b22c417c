"""The stringline of one route: what was driven and what the timetable had, as lines of time against place.

Control rooms look at it most: two lines that run into each other are a bunch, the white between them is a gap. Places
are metres along the main pattern of the direction, the strip that the ladder draws; a stop that the main pattern does
not have is left out, and a line is drawn over one missing stop and not over more. Where the timetable of now has none
of the runs that were driven, it had other times then (a demo's day begins anew each time): the plan is that of these.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

import msgspec
import numpy as np

from dispatch.atlas import Atlas, MainPattern
from dispatch.headway import HEADWAY_STATES, HeadwayLimits, judge
from dispatch.network import Network
from dispatch.schemas import LineStop
from dispatch.timetable import runs_on, service_date

STOPS_MISSED_MAX = 1

Point = tuple[float, float]  # Unix seconds, metres along the strip
Run = tuple[int, float]  # a trip, and when its times count zero
Driven = tuple[float, float, str | None]  # and the state of the headway with which the vehicle left the stop


class PlannedRun(msgspec.Struct, frozen=True):
    """A trip as the timetable has it."""

    trip_id: str
    points: list[Point]


class DrivenRun(msgspec.Struct, frozen=True):
    """A trip as one vehicle drove it, in pieces where stops in between were not seen."""

    operator_id: str
    vehicle_id: str
    trip_id: str
    pieces: list[list[Driven]]


class StringlineDirection(msgspec.Struct, frozen=True):
    """One direction of the route."""

    direction_id: int
    headsign: str
    length_m: float
    stops: list[LineStop]
    planned: list[PlannedRun]
    driven: list[DrivenRun]


class Places:
    """Where the stops of a pattern lie on the strip of its direction; kept for the patterns that were asked for."""

    def __init__(self, atlas: Atlas) -> None:
        self._network = atlas.network
        self._known: dict[tuple[int, int], list[float | None]] = {}

    def of(self, pattern: int, main: int) -> list[float | None]:
        """Metres along the main pattern for each stop of a pattern, None for those that it does not have."""
        known = self._known.get((pattern, main))
        if known is None:
            known = self._known[pattern, main] = self._find(pattern, main)
        return known

    def _find(self, pattern: int, main: int) -> list[float | None]:
        stops, _ = self._stops(pattern)
        strip, along_m = self._stops(main)
        found: list[float | None] = []
        first = 0  # stops come in order, so that a loop's second visit is not taken for its first
        for stop in stops:
            at = next((i for i in range(first, len(strip)) if strip[i] == stop), None)
            found.append(None if at is None else along_m[at])
            first = first if at is None else at + 1
        return found

    def _stops(self, pattern: int) -> tuple[list[int], list[float]]:
        network = self._network
        rows = slice(network.pattern_stop_start[pattern], network.pattern_stop_start[pattern + 1])
        return network.pattern_stop[rows].tolist(), network.pattern_stop_along_m[rows].tolist()


class StringlineDrawer:
    """Draws the stringlines of one feed version."""

    def __init__(self, atlas: Atlas, limits: HeadwayLimits | None = None) -> None:
        self.atlas = atlas
        self._limits = limits or HeadwayLimits()
        self._places = Places(atlas)

    def draw(
        self, route: int, span: tuple[float, float], rows: Sequence[Mapping[str, Any]]
    ) -> list[StringlineDirection]:
        """Both directions of a route between two instants; `rows` are those of the query playback.stringline."""
        mains = {main.direction_id: main for main in self.atlas.main_patterns.get(route, [])}
        planned = self._planned(self._runs_then(route, span, rows), mains)
        driven = self._driven(rows, mains)
        return [
            StringlineDirection(
                direction,
                main.headsign,
                main.length_m,
                self.atlas.stops_of(main.pattern),
                planned.get(direction, []),
                driven.get(direction, []),
            )
            for direction, main in sorted(mains.items())
        ]

    def _runs_then(self, route: int, span: tuple[float, float], rows: Sequence[Mapping[str, Any]]) -> list[Run]:
        """The runs of a span by the timetable of then: that of now, unless it has none of those that were driven."""
        network = self.atlas.network
        planned: list[Run] = []
        for date in _dates(network, *span):
            runs = runs_on(network, date)
            mine = network.pattern_route[network.trip_pattern[runs.trip]] == route
            runs = runs.take(mine & (runs.start_s < span[1]) & (runs.end_s > span[0]))
            zeros = (runs.day_start_s[runs.day] + runs.offset_s).tolist()
            planned += zip(runs.trip.tolist(), zeros, strict=True)
        trips = ((self.atlas.trip_by_id.get(row["trip_id"]), row["zero_s"]) for row in rows)
        driven = sorted({(trip, zero_s) for trip, zero_s in trips if trip is not None})
        known = {(trip, round(zero_s)) for trip, zero_s in planned}
        is_known = not driven or any((trip, round(zero_s)) in known for trip, zero_s in driven)
        return planned if is_known else driven

    def _planned(self, runs: Iterable[Run], mains: Mapping[int, MainPattern]) -> dict[int, list[PlannedRun]]:
        network = self.atlas.network
        found: dict[int, list[PlannedRun]] = {}
        for trip, zero_s in runs:
            pattern = int(network.trip_pattern[trip])
            direction = int(network.pattern_direction[pattern])
            points = self._plan_of(trip, zero_s, self._places.of(pattern, mains[direction].pattern))
            if len(points) > 1:
                found.setdefault(direction, []).append(PlannedRun(network.trip_id[trip], points))
        return found

    def _plan_of(self, trip: int, zero_s: float, places: list[float | None]) -> list[Point]:
        network = self.atlas.network
        times = slice(network.trip_time_start[trip], network.trip_time_start[trip + 1])
        points: list[Point] = []
        due = zip(network.arrival_s[times].tolist(), network.departure_s[times].tolist(), places, strict=True)
        for arrival_s, departure_s, place_m in due:
            if place_m is not None:
                points.append((zero_s + arrival_s, place_m))
                if departure_s != arrival_s:
                    points.append((zero_s + departure_s, place_m))
        return points

    def _driven(
        self, rows: Iterable[Mapping[str, Any]], mains: Mapping[int, MainPattern]
    ) -> dict[int, list[DrivenRun]]:
        network, found = self.atlas.network, dict[int, list[DrivenRun]]()
        for (trip_id, _, key), passages in groupby(rows, lambda row: (row["trip_id"], row["zero_s"], row["vehicle"])):
            trip = self.atlas.trip_by_id.get(trip_id)
            if trip is None:
                continue  # driven by another version of the feed
            pattern = int(network.trip_pattern[trip])
            direction = int(network.pattern_direction[pattern])
            pieces = self._pieces(trip, list(passages), self._places.of(pattern, mains[direction].pattern))
            if pieces:
                operator_id, _, vehicle_id = key.partition("/")
                found.setdefault(direction, []).append(DrivenRun(operator_id, vehicle_id, trip_id, pieces))
        return found

    def _pieces(self, trip: int, passages: list[Mapping[str, Any]], places: list[float | None]) -> list[list[Driven]]:
        network = self.atlas.network
        times = slice(network.trip_time_start[trip], network.trip_time_start[trip + 1])
        nth = {sequence: n for n, sequence in enumerate(network.trip_stop_sequence[times].tolist())}
        pieces: list[list[Driven]] = []
        last = -2 - STOPS_MISSED_MAX
        for row in passages:
            at = nth.get(row["stop_sequence"])
            place_m = None if at is None else places[at]
            if at is None or place_m is None:
                continue
            if at - last > 1 + STOPS_MISSED_MAX:
                pieces.append([])
            last, state = at, self._state(row)
            pieces[-1].extend((t, place_m, state) for t in (row["arrival_s"], row["departure_s"]) if t is not None)
        return [piece for piece in pieces if len(piece) > 1]

    def _state(self, row: Mapping[str, Any]) -> str | None:
        headway_s, scheduled_s = row["headway_s"], row["scheduled_s"]
        if headway_s is None or abs(scheduled_s) < self._limits.scheduled_s_min:
            return None
        return HEADWAY_STATES[int(judge(np.array([headway_s / abs(scheduled_s)]), self._limits)[0])]


def _dates(network: Network, from_s: float, to_s: float) -> list[dt.date]:
    """The service days that may have runs in a span: yesterday's service may go on past midnight."""
    first, last = service_date(network, from_s) - dt.timedelta(days=1), service_date(network, to_s)
    return [first + dt.timedelta(days=n) for n in range((last - first).days + 1)]
