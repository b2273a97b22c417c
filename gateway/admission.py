"""Which fixes may move a vehicle: one rule a function, over the columns of a batch and a small memory per vehicle.

The memory holds the last admitted fix of each vehicle, so a rule sees what came before even within one batch: fixes of
one vehicle are judged in the order in which they came, one round each, all vehicles of a round at once. Time is an
argument, so recorded fixes are judged by their own time. A refused fix leaves no trace but a possible move.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Flags: TypeAlias = NDArray[np.bool_]

EARTH_RADIUS_M = 6_371_008.8  # mean radius, IUGG
METRES_PER_DEGREE = np.pi / 180 * EARTH_RADIUS_M


class Outcome(IntEnum):
    """What became of a fix; where several rules speak against it, the first in this order is its reason."""

    ADMITTED = 0
    STALE = 1
    FUTURE = 2
    OFF_MAP = 3
    FLOOD = 4
    DUPLICATE = 5
    OUT_OF_ORDER = 6
    TELEPORT = 7
    LATE = 8  # admitted as well: a younger one is known, but this one shows what happened in between


@dataclass(frozen=True, slots=True)
class Limits:
    """Where the rules draw their lines."""

    stale_s: float = 300.0
    future_s: float = 60.0
    late_s: float = 150.0  # networks hold messages back for two minutes and more
    speed_mps_max: float = 45.0  # 162 km/h: faster than any bus, tram or metro in service
    jump_m_free: float = 150.0  # how far off GPS may be in a street of tall buildings, whatever the speed
    accuracy_m_max: float = 200.0  # a device that claims to know less than this is still held to it
    consistent_fixes: int = 4  # this many fixes that agree with one another outweigh the memory
    fixes_per_batch_max: int = 0  # of one vehicle in one batch, its newest; 0: no limit
    bounds: tuple[float, float, float, float] | None = None  # south, west, north, east in degrees; None: no rule
    margin_m: float = 50_000.0  # around the bounds


class Fixes(Protocol):
    """The columns that the rules read; gateway's FixBatch has them, and so has dispatch's."""

    @property
    def vehicle_key(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def ts_s(self) -> Floats: ...  # noqa: D102
    @property
    def lat_deg(self) -> Floats: ...  # noqa: D102
    @property
    def lon_deg(self) -> Floats: ...  # noqa: D102
    @property
    def accuracy_m(self) -> Floats: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Admission:
    """One outcome a fix."""

    outcome: NDArray[np.int8]

    @property
    def mask(self) -> Flags:
        """bool[n]: the fixes that were admitted, late ones among them."""
        admitted: Flags = (self.outcome == Outcome.ADMITTED) | (self.outcome == Outcome.LATE)
        return admitted

    def counts(self) -> dict[str, int]:
        """How many fixes ended how, by the outcome's name in lower case; outcomes that did not happen are left out."""
        number = np.bincount(self.outcome, minlength=len(Outcome))
        return {outcome.name.lower(): int(number[outcome]) for outcome in Outcome if number[outcome]}


@dataclass(slots=True)
class Memory:
    """The last admitted fix of each vehicle, and the place it may have moved to. At most `vehicles_max`; when full, the
    eighth that was heard longest ago is forgotten.
    """

    vehicles_max: int = 200_000
    evicted: int = 0
    _slot: dict[str, int] = field(default_factory=dict)
    _ts_s: Floats = field(default_factory=lambda: np.full(0, -np.inf))
    _lat_deg: Floats = field(default_factory=lambda: np.zeros(0))
    _lon_deg: Floats = field(default_factory=lambda: np.zeros(0))
    _moved_ts_s: Floats = field(default_factory=lambda: np.full(0, -np.inf))
    _moved_lat_deg: Floats = field(default_factory=lambda: np.zeros(0))
    _moved_lon_deg: Floats = field(default_factory=lambda: np.zeros(0))
    _moved_fixes: Ints = field(default_factory=lambda: np.zeros(0, np.int64))

    def __len__(self) -> int:
        return len(self._slot)

    def heard(self, since_s: float, until_s: float) -> int:
        """The number of vehicles whose last admitted fix was taken between two times, both included."""
        ts_s = self._ts_s[: len(self._slot)]
        return int(np.count_nonzero((ts_s >= since_s) & (ts_s <= until_s)))

    def _slots(self, vehicle_key: Sequence[str]) -> Ints:
        """int[n]: where each fix's vehicle is remembered; new vehicles get a place."""
        get = self._slot.get
        slots = [get(key, -1) for key in vehicle_key]
        if -1 in slots:
            self._make_room({key for key, slot in zip(vehicle_key, slots, strict=True) if slot < 0})
            slots = [self._slot[key] for key in vehicle_key]
        return np.array(slots, np.int64)

    def _make_room(self, new: set[str]) -> None:
        if len(self._slot) + len(new) > self.vehicles_max:
            self._evict(max(len(new), self.vehicles_max // 8))
        for key in new:
            self._slot[key] = len(self._slot)
        short = len(self._slot) - len(self._ts_s)
        if short > 0:
            more = max(short, len(self._ts_s), 64)
            for name, empty in _EMPTY.items():
                column = getattr(self, name)
                setattr(self, name, np.concatenate((column, np.full(more, empty, column.dtype))))

    def _evict(self, number: int) -> None:
        """Forget the `number` vehicles with the oldest fixes and close the gaps."""
        used = len(self._slot)
        kept = np.sort(np.argsort(self._ts_s[:used], kind="stable")[number:])
        for name, empty in _EMPTY.items():
            column = getattr(self, name)
            column[: len(kept)] = column[kept]
            column[len(kept) :] = empty
        keys = list(self._slot)  # insertion order is slot order
        self._slot = {keys[old]: new for new, old in enumerate(kept.tolist())}
        self.evicted += used - len(kept)


_EMPTY = {
    "_ts_s": -np.inf,
    "_lat_deg": 0.0,
    "_lon_deg": 0.0,
    "_moved_ts_s": -np.inf,
    "_moved_lat_deg": 0.0,
    "_moved_lon_deg": 0.0,
    "_moved_fixes": 0,
}


def stale(ts_s: Floats, now_s: float | Floats, limits: Limits) -> Flags:
    """A fix is stale when it was taken too long ago to say where the vehicle is."""
    return ts_s < now_s - limits.stale_s


def future(ts_s: Floats, now_s: float | Floats, limits: Limits) -> Flags:
    """A fix is from the future when its device's clock is further ahead than clocks drift."""
    return ts_s > now_s + limits.future_s


def off_map(lat_deg: Floats, lon_deg: Floats, limits: Limits) -> Flags:
    """A fix is off the map when it lies outside the network's bounds and their margin."""
    if limits.bounds is None:
        return np.zeros(len(lat_deg), np.bool_)
    south, west, north, east = limits.bounds
    margin_lat_deg = limits.margin_m / METRES_PER_DEGREE
    margin_lon_deg = margin_lat_deg / max(np.cos(np.radians(max(abs(south), abs(north)))), 0.01)
    inside = (lat_deg >= south - margin_lat_deg) & (lat_deg <= north + margin_lat_deg)
    inside &= (lon_deg >= west - margin_lon_deg) & (lon_deg <= east + margin_lon_deg)
    return np.logical_not(inside)


def flood(newer: Ints, limits: Limits) -> Flags:
    """A fix is flood when its batch holds more newer fixes of the same vehicle than one vehicle may ask us to judge."""
    if limits.fixes_per_batch_max <= 0:
        return np.zeros(len(newer), np.bool_)
    return newer >= limits.fixes_per_batch_max


def duplicate(ts_s: Floats, last_ts_s: Floats) -> Flags:
    """A fix is a duplicate when its vehicle's last admitted fix was taken at the same time."""
    return np.equal(ts_s, last_ts_s)


def late(ts_s: Floats, last_ts_s: Floats) -> Flags:
    """A fix is late when a younger one of its vehicle has already been admitted."""
    return np.less(ts_s, last_ts_s)


def out_of_order(ts_s: Floats, last_ts_s: Floats, limits: Limits) -> Flags:
    """A fix is out of order when it is too late to be of any use."""
    return np.less(ts_s, last_ts_s - limits.late_s)


def teleport(gap_m: Floats, elapsed_s: Floats, accuracy_m: Floats, limits: Limits) -> Flags:
    """A fix is a teleport when no vehicle could have come that far in the time, with both places a little wrong."""
    known_m = np.where(np.isnan(accuracy_m), 0.0, np.minimum(accuracy_m, limits.accuracy_m_max))
    return gap_m > limits.speed_mps_max * elapsed_s + limits.jump_m_free + known_m


def admit(batch: Fixes, memory: Memory, now_s: float | Floats, limits: Limits) -> Admission:
    """Judge the n fixes of a batch and remember the admitted ones.

    `now_s` is Unix seconds: one time for all, or float64[n] when a recording is judged by the times of its own.
    """
    ts_s, lat_deg, lon_deg = batch.ts_s, batch.lat_deg, batch.lon_deg
    outcome = np.zeros(len(ts_s), np.int8)
    outcome[off_map(lat_deg, lon_deg, limits)] = Outcome.OFF_MAP
    outcome[future(ts_s, now_s, limits)] = Outcome.FUTURE
    outcome[stale(ts_s, now_s, limits)] = Outcome.STALE
    rows = np.flatnonzero(outcome == Outcome.ADMITTED)
    if not len(rows):
        return Admission(outcome)
    keys = batch.vehicle_key
    slots = memory._slots(keys if len(rows) == len(keys) else [keys[i] for i in rows.tolist()])
    older, newer = _ranks(slots)
    flooding = flood(newer, limits)
    if flooding.any():
        outcome[rows[flooding]] = Outcome.FLOOD
        rows, slots, older = rows[~flooding], slots[~flooding], older[~flooding]
    for turn in _turns(older):
        at = rows[turn]
        now_at_s = now_s[at] if isinstance(now_s, np.ndarray) else now_s
        outcome[at] = _judge(batch, at, slots[turn], memory, now_at_s, limits)
    return Admission(outcome)


def _turns(older: Ints) -> list[Ints]:
    """Rows in rounds, each vehicle at most once in each, in the order in which its fixes came."""
    order = np.argsort(older, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(older[order])) + 1)


def _ranks(slots: Ints) -> tuple[Ints, Ints]:
    """int[n], int[n]: how many fixes of the same vehicle stand before and behind each one in the batch."""
    order = np.argsort(slots, kind="stable")
    ordered = slots[order]
    first = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    size = np.diff(np.append(first, len(slots)))
    before = np.arange(len(slots)) - np.repeat(first, size)
    older, newer = np.empty_like(slots), np.empty_like(slots)
    older[order] = before
    newer[order] = np.repeat(size, size) - before - 1
    return older, newer


def _judge(
    batch: Fixes, at: Ints, slots: Ints, memory: Memory, now_s: float | Floats, limits: Limits
) -> NDArray[np.int8]:
    """Outcomes of fixes `at` of distinct vehicles remembered at `slots`; the memory moves on with the admitted."""
    ts_s, lat_deg, lon_deg = batch.ts_s[at], batch.lat_deg[at], batch.lon_deg[at]
    last_ts_s = memory._ts_s[slots]
    # Only a step of our own clock can leave a memory ahead of the time; it must not silence the vehicle until then.
    last_ts_s = np.where(last_ts_s > now_s + limits.future_s, -np.inf, last_ts_s)
    gap_m = distance_m(lat_deg, lon_deg, memory._lat_deg[slots], memory._lon_deg[slots])
    jumped = teleport(gap_m, np.abs(ts_s - last_ts_s), batch.accuracy_m[at], limits)
    outcome = np.zeros(len(at), np.int8)
    behind = late(ts_s, last_ts_s)
    outcome[behind] = Outcome.LATE
    if jumped.any():
        outcome[jumped] = Outcome.TELEPORT
    outcome[out_of_order(ts_s, last_ts_s, limits)] = Outcome.OUT_OF_ORDER
    outcome[duplicate(ts_s, last_ts_s)] = Outcome.DUPLICATE
    moved = np.flatnonzero((outcome == Outcome.TELEPORT) & ~behind)
    if len(moved):
        settled = _follow(memory, slots[moved], batch, at[moved], limits)
        outcome[moved[settled]] = Outcome.ADMITTED
    good = outcome == Outcome.ADMITTED
    kept = slots[good]
    memory._ts_s[kept], memory._lat_deg[kept], memory._lon_deg[kept] = ts_s[good], lat_deg[good], lon_deg[good]
    memory._moved_fixes[kept] = 0
    return outcome


def _follow(memory: Memory, slots: Ints, batch: Fixes, at: Ints, limits: Limits) -> Flags:
    """Remember where vehicles seem to have moved to; true for those whose fixes there have agreed often enough."""
    ts_s, lat_deg, lon_deg = batch.ts_s[at], batch.lat_deg[at], batch.lon_deg[at]
    gap_m = distance_m(lat_deg, lon_deg, memory._moved_lat_deg[slots], memory._moved_lon_deg[slots])
    elapsed_s = ts_s - memory._moved_ts_s[slots]
    agrees = (elapsed_s > 0) & ~teleport(gap_m, elapsed_s, batch.accuracy_m[at], limits)
    seen = np.where(agrees, memory._moved_fixes[slots], 0) + 1
    memory._moved_fixes[slots] = seen
    memory._moved_ts_s[slots], memory._moved_lat_deg[slots], memory._moved_lon_deg[slots] = ts_s, lat_deg, lon_deg
    return seen >= limits.consistent_fixes


def distance_m(lat_deg: Floats, lon_deg: Floats, to_lat_deg: Floats, to_lon_deg: Floats) -> Floats:
    """Metres between places on a plane laid at their middle latitude: good to 0.1 % over the distances judged here."""
    east_deg = (lon_deg - to_lon_deg + 180.0) % 360.0 - 180.0
    north_deg = lat_deg - to_lat_deg
    return METRES_PER_DEGREE * np.hypot(north_deg, east_deg * np.cos(np.radians((lat_deg + to_lat_deg) / 2)))
