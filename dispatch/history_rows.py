"""What a tick leaves for history: the passages, alerts and thinned fixes that are new, and the rows made of them.

Taking is done between two ticks and copies a few columns; rows of text and numbers are made later, by the writer.
"""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass, field
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import msgspec
import numpy as np

from dispatch.alerts import Alert
from dispatch.claims import Timetable
from dispatch.fleet_view import VEHICLE_STATES, FleetView
from dispatch.headway import Headways
from dispatch.measures import in_peak, stop_visits
from dispatch.network import Floats, Ints, Network
from dispatch.passages import PassageLog, Passages
from dispatch.snapshot import Snapshot

FIX_EVERY_S = 15.0
STANDING_EVERY_S = 60.0
STANDING_M = 15.0
DEGREE_M = 111_195.0  # of latitude, on a sphere of the earth's mean radius

PASSAGE_COLUMNS = [
    "service_date",
    "trip_id",
    "zero_s",
    "vehicle",
    "stop_sequence",
    "start_date",
    "route_id",
    "direction_id",
    "stop_id",
    "visit",
    "arrival_s",
    "departure_s",
    "due_s",
    "frequent_s",
    "is_peak",
]
FIX_COLUMNS = [
    "service_date",
    "at",
    "vehicle",
    "lat",
    "lon",
    "bearing_deg",
    "speed_mps",
    "state",
    "route_id",
    "direction_id",
    "trip_id",
    "distance_m",
    "off_route_m",
    "deviation_s",
    "next_stop_id",
    "occupancy",
    "headway_s",
    "scheduled_headway_s",
    "leader",
    "headway_estimated",
]

Row = tuple[Any, ...]
_NO_HEADWAY: Row = (None, None, None, None)


class EngineLike(Protocol):
    """The engine as history needs it: read between two ticks, by the thread that ticks."""

    @property
    def passage_log(self) -> PassageLog:
        """The newest passages."""

    @property
    def timetable(self) -> Timetable:
        """What runs when."""


@dataclass(frozen=True, slots=True)
class PassageChunk:
    """Passages of one tick, with what the timetable said of them then."""

    network: Network
    keys: list[str]  # "<operator>/<vehicle>" of each passage
    passages: Passages
    start_dates: list[str | None]
    frequent_s: Floats

    def __len__(self) -> int:
        return len(self.passages)

    def rows(self) -> list[Row]:
        """Rows of PASSAGE_COLUMNS; what the feed gives no date for is left out."""
        network, of = self.network, self.passages
        pattern = network.trip_pattern[of.trip]
        at = network.pattern_stop_start[pattern] + of.stop
        time = network.trip_time_start[of.trip] + of.stop
        due = network.departure_s[time]
        columns = zip(
            self.keys,
            self.start_dates,
            of.zero_s.tolist(),
            of.trip.tolist(),
            network.trip_stop_sequence[time].tolist(),
            network.pattern_route[pattern].tolist(),
            network.pattern_direction[pattern].tolist(),
            network.pattern_stop[at].tolist(),
            stop_visits(network)[at].tolist(),
            _nulls(of.arrival_s),
            _nulls(of.departure_s),
            (of.zero_s + due).tolist(),
            _nulls(self.frequent_s),
            in_peak(due).tolist(),
            strict=True,
        )
        shift_days = dt.timedelta(days=math.floor(network.shift_s / 86_400))
        found = []
        for key, date, zero_s, trip, sequence, route, direction, stop, visit, *times in columns:
            if date is None:
                continue
            start = _date_of(date)
            place = (network.route_id[route], direction, network.stop_id[stop], visit)
            found.append((start + shift_days, network.trip_id[trip], zero_s, key, sequence, start, *place, *times))
        return found


@dataclass(frozen=True, slots=True)
class FixChunk:
    """Vehicles of one tick that are kept; `rows_kept` index the view's columns."""

    network: Network
    view: FleetView
    rows_kept: Ints
    headways: Headways
    key_by_vehicle: list[str]

    def __len__(self) -> int:
        return len(self.rows_kept)

    def rows(self) -> list[Row]:
        """Rows of FIX_COLUMNS."""
        network, view, at = self.network, self.view, self.rows_kept
        trip, pattern = view.trip[at], view.pattern[at]
        stop = network.pattern_stop[network.pattern_stop_start[pattern] + np.maximum(view.next_stop[at], 0)]
        zone = ZoneInfo(network.timezone)
        headways = self._headways()
        columns = zip(
            at.tolist(),
            view.ts_s[at].tolist(),
            np.round(view.lat_deg[at], 6).tolist(),
            np.round(view.lon_deg[at], 6).tolist(),
            _nulls(view.bearing_deg[at]),
            _nulls(view.speed_mps[at]),
            view.state[at].tolist(),
            trip.tolist(),
            network.pattern_route[pattern].tolist(),
            network.pattern_direction[pattern].tolist(),
            _nulls(view.along_m[at]),
            _nulls(view.offset_m[at]),
            _nulls(view.deviation_s[at]),
            stop.tolist(),
            (view.next_stop[at] >= 0).tolist(),
            strict=True,
        )
        found: list[Row] = []
        for i, ts, lat, lon, bearing, speed, state, its_trip, route, direction, *place, stop_at, has_stop in columns:
            line: Row = (None, None, None)
            if its_trip >= 0:
                line = (network.route_id[route], direction, network.trip_id[its_trip])
            next_stop = network.stop_id[stop_at] if has_stop else None
            day = dt.datetime.fromtimestamp(ts, zone).date()
            seen = (day, ts, view.key[i], lat, lon, bearing, speed, VEHICLE_STATES[state])
            headway = headways.get((int(view.vehicle[i]), its_trip), _NO_HEADWAY)
            found.append((*seen, *line, *place, next_stop, view.occupancy[i], *headway))
        return found

    def _headways(self) -> dict[tuple[int, int], Row]:
        """Headway, scheduled one, leader and whether it is an estimate, by vehicle and trip."""
        of, keys = self.headways, self.key_by_vehicle
        told = zip(_nulls(of.headway_s), _nulls(of.scheduled_s), of.leader.tolist(), of.estimated.tolist(), strict=True)
        rows = [
            (headway_s, scheduled_s, keys[leader] if leader >= 0 else None, estimated)
            for headway_s, scheduled_s, leader, estimated in told
        ]
        return dict(zip(zip(of.vehicle.tolist(), of.trip.tolist(), strict=True), rows, strict=True))


class Decision(msgspec.Struct, frozen=True):
    """A decision on a vehicle, and what was known when it was taken; the same id again tells what became of it."""

    id: str
    kind: str
    state: str
    vehicle: str  # "<operator>/<vehicle>"
    decided_at: float
    decided_by: str
    known: dict[str, Any]
    route_id: str | None = None
    direction_id: int | None = None

    def row(self, zone: ZoneInfo) -> Row:
        """Arguments of the query history.keep_decision."""
        day = dt.datetime.fromtimestamp(self.decided_at, zone).date()
        known = msgspec.json.encode(self.known).decode()
        line = (self.route_id, self.direction_id)
        return day, self.id, self.kind, self.state, self.vehicle, *line, self.decided_at, self.decided_by, known


def alert_row(alert: Alert, zone: ZoneInfo) -> Row:
    """Arguments of the query history.keep_alert."""
    day = dt.datetime.fromtimestamp(alert.opened_at, zone).date()
    line = (alert.vehicle_id, alert.route_id, alert.direction_id)
    times = (alert.opened_at, alert.closed_at, alert.acknowledged_by, alert.acknowledged_at)
    return day, alert.id, alert.kind, alert.state, *line, *times, msgspec.json.encode(alert).decode()


@dataclass(slots=True)
class Taker:
    """Remembers what was taken, so that each tick gives only what is new."""

    _log: PassageLog | None = None
    _taken: int = 0
    _alerts: dict[str, tuple[str, float | None]] = field(default_factory=dict)
    _kept_s: Floats = field(default_factory=lambda: np.zeros(0))
    _kept_deg: Floats = field(default_factory=lambda: np.zeros((2, 0)))
    _kept_state: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int32))

    def passages(self, engine: EngineLike, snapshot: Snapshot) -> PassageChunk | None:
        """Passages since the last time."""
        log = engine.passage_log
        if log is not self._log:
            self._log, self._taken = log, log.carried  # what was carried over has been taken before
        if log.written == self._taken:
            return None
        new = log.since(self._taken)
        self._taken = log.written
        keys = [snapshot.key_by_vehicle[i] for i in new.vehicle.tolist()]
        timetable = engine.timetable
        dates = timetable.start_dates(new.trip, new.zero_s)
        return PassageChunk(snapshot.network, keys, new, dates, timetable.frequent_s(new.trip, new.zero_s))

    def alerts(self, snapshot: Snapshot) -> list[Alert]:
        """Copies of the alerts that opened, closed or were acknowledged since the last time."""
        now = {alert.id: (alert.state, alert.acknowledged_at) for alert in snapshot.alerts}
        changed = [alert for alert in snapshot.alerts if self._alerts.get(alert.id) != now[alert.id]]
        self._alerts = now
        return [msgspec.structs.replace(alert) for alert in changed]

    def fixes(self, snapshot: Snapshot) -> FixChunk | None:
        """Where vehicles are: every 15 s, of those that stand and stay what they are every 60 s."""
        view = snapshot.fleet
        if not len(view.vehicle):
            return None
        self._grow(int(view.vehicle.max()) + 1)
        row = view.vehicle
        since_s = view.ts_s - self._kept_s[row]
        north_m = (view.lat_deg - self._kept_deg[0, row]) * DEGREE_M
        east_m = (view.lon_deg - self._kept_deg[1, row]) * DEGREE_M * np.cos(np.radians(view.lat_deg))
        moved = ~(np.hypot(north_m, east_m) < STANDING_M) | (view.state != self._kept_state[row])
        kept = np.flatnonzero(((since_s >= FIX_EVERY_S) & moved) | (since_s >= STANDING_EVERY_S))
        kept = kept[~np.isnan(view.lat_deg[kept]) & ~np.isnan(view.lon_deg[kept])]
        if not len(kept):
            return None
        at = row[kept]
        self._kept_s[at] = view.ts_s[kept]
        self._kept_deg[:, at] = view.lat_deg[kept], view.lon_deg[kept]
        self._kept_state[at] = view.state[kept]
        told = (snapshot.headway_columns, snapshot.key_by_vehicle)
        return FixChunk(snapshot.network, view, kept.astype(np.int32), *told)

    def _grow(self, size: int) -> None:
        more = size - len(self._kept_s)
        if more > 0:
            more += size
            self._kept_s = np.pad(self._kept_s, (0, more), constant_values=-np.inf)
            self._kept_deg = np.pad(self._kept_deg, ((0, 0), (0, more)), constant_values=np.nan)
            self._kept_state = np.pad(self._kept_state, (0, more), constant_values=-1)


def _date_of(text: str) -> dt.date:
    return dt.date(int(text[:4]), int(text[4:6]), int(text[6:8]))


def _nulls(column: Floats) -> list[float | None]:
    """A column for the database: nan as null."""
    return [None if math.isnan(value) else value for value in column.tolist()]
