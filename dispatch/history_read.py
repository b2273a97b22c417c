"""History read back: measures from sums that pool, passages for a report, and fixes for playback."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import asyncpg

from dispatch.fleet_documents import Vehicle
from dispatch.measures import HeadwayMeasure, MeasureLimits, headway_figures, punctuality_figures
from dispatch.schemas import Measure
from sql import query

By = Literal["route", "stop", "hour", "day"]
GONE = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError)
WAIT_S_MAX = 5.0
PASSAGES_MAX = 2_000_000
HEADWAYS_MAX = 50_000  # in a minute of playback: more than 20,000 vehicles leave stops
ALERTS_MAX = 2000
ALERT_LOST_S = 2 * 3600.0  # an alert that nobody saw close, for dispatch died, is not shown as open for longer
FIXES_MAX = 10_000  # a page: what is decoded at once holds up the loop for some 20 ms

_Key = tuple[str, int, str | None, int | None, Any]


class HistoryAwayError(Exception):
    """The database did not answer."""


@dataclass(frozen=True, slots=True)
class FixesSpan:
    """What there is of fixes in a span of time (Unix seconds)."""

    fixes: int
    vehicles: int
    from_s: float | None
    to_s: float | None


@dataclass(frozen=True, slots=True)
class StoredHeadway:
    """The headway that dispatchers saw beside a fix, in seconds."""

    headway_s: float
    scheduled_s: float | None
    leader_id: str | None
    estimated: bool


@dataclass(frozen=True, slots=True)
class StoredFix:
    """A stored fix as readers of the live stream know it."""

    at_s: float
    key: str
    vehicle: Vehicle
    headway: StoredHeadway | None = None


class HistoryReader:
    """Questions to the database of history; every one of them ends in time or raises HistoryAwayError."""

    def __init__(self, pool: Any, timezone: str, limits: MeasureLimits | None = None) -> None:
        self._pool = pool
        self._timezone = timezone
        self._limits = limits or MeasureLimits()

    async def measures(self, from_s: float, to_s: float, route_id: str | None, by: By) -> list[Measure]:
        """Measures of the departures in `from_s <= t < to_s`, by route and direction, and within them by `by`."""
        of, limits = (from_s, to_s, route_id, by, self._timezone), self._limits
        headways = await self._fetch("history.headway_sums", *of, limits.bunched_ratio, limits.gapped_ratio)
        punctuality = await self._fetch("history.punctuality_sums", *of, limits.early_s, limits.late_s)
        return await asyncio.to_thread(_join, headways, punctuality)

    async def passages(self, from_s: float, to_s: float, route_id: str | None) -> list[Any]:
        """Rows of the query history.passages."""
        return await self._fetch("history.passages", from_s, to_s, route_id, PASSAGES_MAX)

    async def latest_span(self) -> tuple[float, float] | None:
        """From the first to the newest passage of the newest service day; None when nothing is kept."""
        row = (await self._fetch("history.latest_span"))[0]
        return None if row["from_s"] is None else (row["from_s"], row["to_s"])

    async def alert_counts(self, from_s: float, to_s: float, route_id: str | None) -> list[Any]:
        """Rows of the query history.alert_counts."""
        return await self._fetch("history.alert_counts", from_s, to_s, route_id)

    async def decisions(self, from_s: float, to_s: float, route_id: str | None, rows_max: int) -> list[Any]:
        """Rows of the query decisions.between."""
        return await self._fetch("decisions.between", from_s, to_s, route_id, rows_max)

    async def fixes_span(self, from_s: float, to_s: float) -> FixesSpan:
        """What there is to play back."""
        row = (await self._fetch("history.fixes_span", from_s, to_s))[0]
        return FixesSpan(row["fixes"], row["vehicles"], row["from_s"], row["to_s"])

    async def fixes(self, from_s: float, to_s: float) -> list[StoredFix]:
        """Fixes in `from_s <= t < to_s` by time; at most FIXES_MAX, and then the last ones are missing."""
        rows = await self._fetch("history.fixes", from_s, to_s, FIXES_MAX)
        return await asyncio.to_thread(lambda: [read_fix(row) for row in rows])

    async def past_headways(self, from_s: float, to_s: float, routes: list[str]) -> list[Any]:
        """Rows of the query playback.headways, at most HEADWAYS_MAX."""
        return await self._fetch("playback.headways", from_s, to_s, routes, HEADWAYS_MAX)

    async def past_alerts(self, from_s: float, to_s: float) -> list[Any]:
        """Rows of the query playback.alerts, at most ALERTS_MAX."""
        return await self._fetch("playback.alerts", from_s, to_s, ALERT_LOST_S, ALERTS_MAX)

    async def past_counts(self, from_s: float, to_s: float) -> tuple[int, int]:
        """How many alerts opened and how many decisions were taken."""
        row = (await self._fetch("playback.counts", from_s, to_s))[0]
        return row["alerts"], row["decisions"]

    async def stringline(self, from_s: float, to_s: float, route_id: str, rows_max: int) -> list[Any]:
        """Rows of the query playback.stringline."""
        return await self._fetch("playback.stringline", from_s, to_s, route_id, rows_max)

    async def _fetch(self, name: str, *arguments: Any) -> list[Any]:
        try:
            async with self._pool.acquire(timeout=WAIT_S_MAX) as connection:
                rows: list[Any] = await connection.fetch(query(name), *arguments)
        except GONE as error:
            raise HistoryAwayError(str(error)) from error
        return rows


def headway_measure(row: Mapping[str, Any]) -> HeadwayMeasure:
    """The measures of pooled sums (formulas: dispatch.measures); `squares` are deviations from each stop's own mean."""
    pairs, h, scheduled = row["pairs"], row["h"], row["s"]
    mean_s = scheduled / pairs
    c_vh = math.sqrt(row["squares"] / pairs) / mean_s if mean_s else math.nan
    awt_s = row["hh"] / (2 * h) if h > 0 else math.nan
    swt_s = row["ss"] / (2 * scheduled) if scheduled > 0 else math.nan
    shares = (row["bunched"] / pairs, row["gapped"] / pairs, row["waited"] / pairs)
    return headway_figures((row["route_id"], row["direction_id"]), pairs, mean_s, c_vh, (awt_s, swt_s), shares)


def _join(headways: list[Any], punctuality: list[Any]) -> list[Measure]:
    found = {_key(row): headway_measure(row) for row in headways}
    return [_measure(key, found.get(key), row) for row in punctuality for key in (_key(row),)]


def _measure(key: _Key, headway: HeadwayMeasure | None, row: Mapping[str, Any]) -> Measure:
    count, early, late = row["passages"], row["early"], row["late"]
    shares = ((count - early - late) / count, early / count, late / count)
    punctuality = punctuality_figures((key[0], key[1]), count, shares)
    day = key[4].isoformat() if key[4] is not None else None
    return Measure(key[0], key[1], headway, punctuality, stop_id=key[2], hour=key[3], day=day)


def _key(row: Mapping[str, Any]) -> _Key:
    return row["route_id"], row["direction_id"], row["by_stop"], row["by_hour"], row["by_day"]


def read_fix(row: Mapping[str, Any]) -> StoredFix:
    """A row of the query history.fixes as a reader of the live stream would know it; what is not kept is null."""
    operator_id, _, vehicle_id = row["vehicle"].partition("/")
    vehicle = Vehicle(
        vehicle_id=vehicle_id,
        operator_id=operator_id,
        lat=row["lat"],
        lon=row["lon"],
        bearing_deg=_rounded(row["bearing_deg"]),
        speed_mps=_rounded(row["speed_mps"]),
        ts=row["at"],
        age_s=0.0,
        state=row["state"],
        route_id=row["route_id"],
        direction_id=row["direction_id"],
        trip_id=row["trip_id"],
        start_date=None,
        block_id=None,
        pattern_id=None,
        distance_m=_rounded(row["distance_m"]),
        off_route_m=_rounded(row["off_route_m"]),
        deviation_s=_rounded(row["deviation_s"]),
        next_stop_id=row["next_stop_id"],
        next_stop_sequence=None,
        occupancy=row["occupancy"],
        assigned=None,
    )
    return StoredFix(row["at"], row["vehicle"], vehicle, _headway_of(row))


def _headway_of(row: Mapping[str, Any]) -> StoredHeadway | None:
    headway_s, leader = row.get("headway_s"), row.get("leader")
    if headway_s is None:
        return None
    leader_id = None if leader is None else leader.partition("/")[2]
    return StoredHeadway(headway_s, row["scheduled_headway_s"], leader_id, bool(row["headway_estimated"]))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
