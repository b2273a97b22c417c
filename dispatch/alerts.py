"""Alerts: what a dispatcher should look at, opened and closed by a table with hysteresis, one for each cause.

A cause is a kind and a vehicle, or a kind and a line. Each tick says of every cause whether it is ON, may HOLD (better,
but not yet well) or is OFF. An alert opens when its cause has been ON long enough, closes when it has been OFF long
enough, and keeps its id, who acknowledged, shelved or closed it and when. One that a person has closed does not come
back before its cause has been OFF. What is over stays listed for a while.

Nobody reads a flood. At most `open_max` alerts are open and at most `opened_max` open in ten minutes; the others wait
and are counted, drivers' alarms never do. How many have opened in the last ten minutes is a figure that is told.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from enum import IntEnum

import msgspec

KINDS = ("bunched", "gapped", "off_route", "silent", "late_departure", "missing", "alarm")
RATE_S = 600.0  # alarm systems are judged by alarms in ten minutes (ANSI/ISA-18.2, EEMUA 191)
SHELVED_S_MAX = 8 * 3600.0  # a shift


class Condition(IntEnum):
    """What a tick says of a cause."""

    OFF = 0
    HOLD = 1
    ON = 2


class Stage(IntEnum):
    """Where a cause stands."""

    PENDING = 0
    OPEN = 1
    CLEARING = 2
    DISMISSED = 3  # closed by a person while it lasts
    CLOSED = 4


# (stage, condition) -> (next stage, what must have passed in this stage first)
TRANSITIONS: dict[tuple[Stage, Condition], tuple[Stage, str]] = {
    (Stage.PENDING, Condition.ON): (Stage.OPEN, "open_s"),
    (Stage.PENDING, Condition.HOLD): (Stage.PENDING, "at_once"),
    (Stage.PENDING, Condition.OFF): (Stage.CLOSED, "at_once"),
    (Stage.OPEN, Condition.ON): (Stage.OPEN, "at_once"),
    (Stage.OPEN, Condition.HOLD): (Stage.OPEN, "at_once"),
    (Stage.OPEN, Condition.OFF): (Stage.CLEARING, "at_once"),
    (Stage.CLEARING, Condition.ON): (Stage.OPEN, "at_once"),
    (Stage.CLEARING, Condition.HOLD): (Stage.OPEN, "at_once"),
    (Stage.CLEARING, Condition.OFF): (Stage.CLOSED, "close_s"),
    (Stage.DISMISSED, Condition.ON): (Stage.DISMISSED, "at_once"),
    (Stage.DISMISSED, Condition.HOLD): (Stage.DISMISSED, "at_once"),
    (Stage.DISMISSED, Condition.OFF): (Stage.CLOSED, "close_s"),
}


@dataclass(frozen=True, slots=True)
class AlertLimits:
    """How long a cause must be on or off, from when on it is one, and how many alerts may be open."""

    open_s: float = 60.0
    close_s: float = 60.0
    bunched_hold_ratio: float = 0.35
    gapped_hold_ratio: float = 1.75
    silent_s: float = 180.0
    late_departure_s: float = 180.0  # still at the first stop so long after its time,
    late_departure_hold_s: float = 60.0
    missing_s: float = 600.0  # no vehicle has come for a trip so long after its start
    followed_share: float = 0.5  # of a line's trips under way that have a vehicle; below, nobody reports from there
    closed_kept_s: float = 900.0
    alarm_kept_s: float = 1800.0  # an acknowledged alarm closes by itself
    open_max: int = 1000
    opened_max: int = 100  # in ten minutes
    closed_max: int = 200


class Alert(msgspec.Struct):
    """A row of GET /api/v1/alerts; instants are Unix seconds."""

    id: str
    kind: str
    state: str  # open, acknowledged, shelved, closed
    route_id: str | None
    direction_id: int | None
    vehicle_id: str  # "" where a trip has none
    leader_id: str | None
    stop_id: str | None
    opened_at: float
    updated_at: float
    headway_s: float | None
    scheduled_headway_s: float | None
    ratio: float | None
    acknowledged_by: str | None = None
    acknowledged_at: float | None = None
    closed_at: float | None = None
    closed_by: str | None = None  # None: it was over by itself
    close_reason: str | None = None
    shelved_by: str | None = None
    shelved_until: float | None = None
    late_s: float | None = None  # of late departures, silence, and the trip that has been missing the longest
    trip_id: str | None = None


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a tick saw of one cause; `vehicle` is "<operator>/<vehicle>", or "<route>/<direction>" of a missing trip."""

    kind: str
    vehicle: str
    condition: Condition
    route_id: str | None = None
    direction_id: int | None = None
    leader_id: str | None = None
    stop_id: str | None = None
    headway_s: float | None = None
    scheduled_headway_s: float | None = None
    ratio: float | None = None
    late_s: float | None = None
    trip_id: str | None = None


@dataclass(slots=True)
class _Cause:
    stage: Stage
    since_s: float
    alert: Alert | None = None


class DeskMemory(msgspec.Struct):
    """A desk as it stood: causes as (kind, subject, stage, since, alert), what is over, and when alerts opened."""

    causes: list[tuple[str, str, int, float, Alert | None]]
    closed: list[Alert]
    opened: list[float]
    counts: dict[str, int]


@dataclass(slots=True)
class AlertDesk:
    """All causes that are being watched, and the alerts made of them."""

    limits: AlertLimits
    counts: Counter[str] = field(default_factory=Counter)
    _causes: dict[tuple[str, str], _Cause] = field(default_factory=dict)
    _closed: list[Alert] = field(default_factory=list)
    _open: int = 0
    _opened: deque[float] = field(default_factory=deque)

    def watch(self, sightings: list[Sighting], now_s: float) -> None:
        """Move every cause by what this tick saw; a cause that was not seen is OFF."""
        seen = {(sighting.kind, sighting.vehicle): sighting for sighting in sightings}
        for key in [key for key in self._causes if key not in seen and key[0] != "alarm"]:
            self._move(key, Sighting(*key, Condition.OFF), now_s)
        for key, sighting in seen.items():
            self._move(key, sighting, now_s)
        self._close_alarms(now_s)
        self._unshelve(now_s)
        self._forget_openings(now_s)
        kept_from_s = now_s - self.limits.closed_kept_s
        self._closed = [a for a in self._closed if (a.closed_at or 0.0) >= kept_from_s][-self.limits.closed_max :]

    def alarm(self, sighting: Sighting, now_s: float) -> None:
        """A driver's alarm: open at once, once for each vehicle until it is closed."""
        cause = self._causes.setdefault((sighting.kind, sighting.vehicle), _Cause(Stage.PENDING, now_s))
        if cause.stage is Stage.PENDING:
            self._open_alert(cause, sighting, now_s)
        elif cause.alert is not None:
            cause.alert.updated_at = now_s

    def memory(self) -> DeskMemory:
        """The desk as it stands: copies, so that what comes later does not change it."""
        causes = [
            (kind, subject, int(cause.stage), cause.since_s, cause.alert and msgspec.structs.replace(cause.alert))
            for (kind, subject), cause in self._causes.items()
        ]
        closed = [msgspec.structs.replace(alert) for alert in self._closed]
        return DeskMemory(causes, closed, list(self._opened), dict(self.counts))

    def resume(self, memory: DeskMemory) -> None:
        """Go on from where another desk stood; this one has seen nothing yet."""
        for kind, subject, stage, since_s, alert in memory.causes:
            self._causes[kind, subject] = _Cause(Stage(stage), since_s, alert)
            self._open += alert is not None
        self._closed = memory.closed
        self._opened.extend(memory.opened)
        self.counts.update(memory.counts)

    def resume_alarms(self, memory: DeskMemory, now_s: float) -> int:
        """Take up drivers' alarms alone, unless a shift has passed since; returns how many.

        They stand whatever the feed is, and however long nobody was there to see them.
        """
        taken = 0
        for kind, subject, stage, since_s, alert in memory.causes:
            if kind == "alarm" and alert is not None and 0 <= now_s - alert.opened_at < SHELVED_S_MAX:
                self._causes[kind, subject] = _Cause(Stage(stage), since_s, alert)
                self._open += 1
                taken += 1
        return taken

    @property
    def opened_lately(self) -> int:
        """How many alerts have opened in the last ten minutes."""
        return len(self._opened)

    @property
    def open(self) -> int:
        """How many alerts are not closed."""
        return self._open

    def acknowledge(self, alert_id: str, by: str, now_s: float) -> Alert | None:
        """Note who has seen an alert; the first one stays, and one that is closed stays as it was closed.

        None where there is no such alert.
        """
        alert = self._find(alert_id)
        if alert is not None and alert.acknowledged_at is None and alert.state != "closed":
            alert.acknowledged_by, alert.acknowledged_at, alert.updated_at = by, now_s, now_s
            alert.state = "acknowledged" if alert.state == "open" else alert.state
        return alert

    def shelve(self, alert_id: str, by: str, until_s: float, now_s: float) -> Alert | None:
        """Put an alert aside until a time, a shift away at most; the last word counts. None where there is none."""
        alert = self._find(alert_id)
        if alert is not None and alert.state != "closed":
            alert.shelved_by, alert.shelved_until = by, min(until_s, now_s + SHELVED_S_MAX)
            alert.state, alert.updated_at = "shelved", now_s
            self.counts["shelved"] += 1
        return alert

    def close(self, alert_id: str, by: str, reason: str, now_s: float) -> Alert | None:
        """Close an alert by hand; its cause raises no other before it has been over. None where there is none."""
        alert = self._find(alert_id)
        key = next((key for key, cause in self._causes.items() if cause.alert is alert), None)
        if alert is None or key is None:
            return alert
        cause = self._causes[key]
        alert.closed_by, alert.close_reason = by, reason
        self._close(cause, now_s)
        self.counts["closed_by_hand"] += 1
        cause.alert, cause.stage, cause.since_s = None, Stage.DISMISSED, now_s
        if key[0] == "alarm":
            del self._causes[key]
        return alert

    def _find(self, alert_id: str) -> Alert | None:
        return next((alert for alert in self.alerts() if alert.id == alert_id), None)

    def _unshelve(self, now_s: float) -> None:
        for cause in self._causes.values():
            alert = cause.alert
            if alert is not None and alert.state == "shelved" and now_s >= (alert.shelved_until or 0.0):
                alert.state = "open" if alert.acknowledged_at is None else "acknowledged"
                alert.shelved_until, alert.updated_at = None, now_s

    def _forget_openings(self, now_s: float) -> None:
        while self._opened and not now_s - RATE_S < self._opened[0] <= now_s:
            self._opened.popleft()

    def alerts(self) -> list[Alert]:
        """Open alerts, the newest first, then those that are over."""
        open_ones = [cause.alert for cause in self._causes.values() if cause.alert is not None]
        return sorted(open_ones, key=lambda alert: -alert.opened_at) + self._closed[::-1]

    def _move(self, key: tuple[str, str], sighting: Sighting, now_s: float) -> None:
        cause = self._causes.get(key)
        if cause is None:
            if sighting.condition is not Condition.ON:
                return
            cause = self._causes[key] = _Cause(Stage.PENDING, now_s)
        stage, wait = TRANSITIONS[cause.stage, sighting.condition]
        if stage is not cause.stage and now_s - cause.since_s >= getattr(self.limits, wait, 0.0):
            self._enter(key, cause, stage, sighting, now_s)
        elif stage is Stage.DISMISSED:
            cause.since_s = now_s
        elif cause.alert is not None and sighting.condition is not Condition.OFF:
            _refresh(cause.alert, sighting, now_s)

    def _enter(self, key: tuple[str, str], cause: _Cause, stage: Stage, sighting: Sighting, now_s: float) -> None:
        match stage:
            case Stage.OPEN if cause.alert is None:
                self._open_alert(cause, sighting, now_s)
                return
            case Stage.CLOSED:
                del self._causes[key]
                self._close(cause, now_s)
        cause.stage, cause.since_s = stage, now_s

    def _open_alert(self, cause: _Cause, sighting: Sighting, now_s: float) -> None:
        crowded = self._open >= self.limits.open_max or len(self._opened) >= self.limits.opened_max
        if crowded and sighting.kind != "alarm":
            self.counts["flood"] += 1
            cause.since_s = now_s  # asks again after open_s
            return
        operator_id, _, vehicle_id = sighting.vehicle.partition("/")
        cause.stage, cause.since_s = Stage.OPEN, now_s
        cause.alert = Alert(
            f"{sighting.kind}.{operator_id}.{vehicle_id}.{int(now_s)}",
            sighting.kind,
            "open",
            sighting.route_id,
            sighting.direction_id,
            "" if sighting.kind == "missing" else vehicle_id,
            sighting.leader_id,
            sighting.stop_id,
            now_s,
            now_s,
            sighting.headway_s,
            sighting.scheduled_headway_s,
            sighting.ratio,
            late_s=sighting.late_s,
            trip_id=sighting.trip_id,
        )
        self._opened.append(now_s)
        self._open += 1
        self.counts[f"opened_{sighting.kind}"] += 1

    def _close(self, cause: _Cause, now_s: float) -> None:
        if cause.alert is None:
            return
        cause.alert.state, cause.alert.closed_at, cause.alert.updated_at = "closed", now_s, now_s
        self._closed.append(cause.alert)
        self._open -= 1

    def _close_alarms(self, now_s: float) -> None:
        for key in [key for key in self._causes if key[0] == "alarm"]:
            cause = self._causes[key]
            seen_at = cause.alert.acknowledged_at if cause.alert is not None else now_s - self.limits.alarm_kept_s
            if seen_at is not None and now_s - seen_at >= self.limits.alarm_kept_s:
                del self._causes[key]
                self._close(cause, now_s)


def _refresh(alert: Alert, sighting: Sighting, now_s: float) -> None:
    alert.updated_at = now_s
    alert.leader_id, alert.stop_id = sighting.leader_id, sighting.stop_id
    alert.headway_s, alert.scheduled_headway_s = sighting.headway_s, sighting.scheduled_headway_s
    alert.ratio, alert.late_s, alert.trip_id = sighting.ratio, sighting.late_s, sighting.trip_id
