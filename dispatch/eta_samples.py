"""Samples of our own predictions that wait for the arrival they are about: bounded, and the oldest make room."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from dispatch.network import Flags, Floats, Ints
from dispatch.passages import Passages

# Odd multipliers without pattern: a sum of their multiples modulo 2^64 is as good as unique (multiply-shift hashing).
_MIX = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93], dtype=np.uint64)
NOBODY = -1


@dataclass(frozen=True, slots=True)
class Samples:
    """N predictions, each of one vehicle for one stop; instants are Unix seconds, nan where there is none."""

    vehicle: Ints
    key: NDArray[np.uint64]  # of vehicle, trip, zero and stop
    line: Ints
    kind: Ints  # of scatter: DRIVEN, FOLLOWS
    made_s: Floats
    predicted_s: Floats
    baseline_s: Floats  # nan: not to be scored
    uncertainty_s: NDArray[np.float32]
    # As it would have been without pull, and what pull made of it; the last nan: not to be learnt from.
    delay_s: NDArray[np.float32]  # against the timetable
    gain_s: NDArray[np.float32]  # how much of that was added to the delay that the vehicle had
    drawn_s: NDArray[np.float32]
    full_s: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.vehicle)

    def take(self, rows: NDArray[np.intp] | Flags) -> Samples:
        """Those at `rows`."""
        return Samples(*(getattr(self, name)[rows] for name in COLUMNS))


COLUMNS = tuple(field.name for field in fields(Samples))
DTYPES = (np.int32, np.uint64, np.int32, np.int32, *[np.float64] * 3, *[np.float32] * 5)


def key_of(vehicle: Ints, trip: Ints, zero_s: Floats, stop: Ints) -> NDArray[np.uint64]:
    """One number for a stop of a run by a vehicle."""
    columns = [column.astype(np.uint64) for column in (vehicle, trip, zero_s.astype(np.int64), stop)]
    with np.errstate(over="ignore"):
        parts = [column * mix for column, mix in zip(columns, _MIX, strict=True)]
        key: NDArray[np.uint64] = parts[0] + parts[1] + parts[2] + parts[3]
    return key


@dataclass(frozen=True, slots=True)
class Arrivals:
    """N arrivals that have been seen, in the order of their keys."""

    vehicle: Ints
    key: NDArray[np.uint64]
    arrival_s: Floats

    def __len__(self) -> int:
        return len(self.key)


def arrivals_of(passages: Passages) -> Arrivals:
    """The arrivals among passages: those whose time is known."""
    seen = passages.take(~np.isnan(passages.arrival_s))
    key = key_of(seen.vehicle, seen.trip, seen.zero_s, seen.stop)
    order = np.argsort(key, kind="stable")
    return Arrivals(seen.vehicle[order], key[order], seen.arrival_s[order])


class Waiting:
    """Samples whose arrival has not been seen, `room` at the most; it grows as they come."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.overwritten = 0
        self._held = Samples(*(np.zeros(0, dtype=dtype) for dtype in DTYPES))
        self._next = 0

    def __len__(self) -> int:
        return int(np.count_nonzero(self._held.vehicle != NOBODY))

    def clear(self) -> None:
        """Forget all."""
        self._held.vehicle[:] = NOBODY

    def add(self, samples: Samples, since_s: float) -> None:
        """Take in samples, of too many the first; those made before `since_s` are not waited for any more."""
        count = min(len(samples), self.room)
        if not count:
            return
        size = len(self._held)
        at = (self._next + np.arange(count)) % max(size, 1)
        if count > size or self._live(at, since_s):
            self._grow(count)
            size = len(self._held)
            at = (self._next + np.arange(count)) % size
            self.overwritten += self._live(at, since_s)
        self.overwritten += len(samples) - count
        for name in COLUMNS:
            getattr(self._held, name)[at] = getattr(samples, name)[:count]
        self._next = (self._next + count) % size

    def arrived(self, seen: Arrivals) -> tuple[Samples, Floats]:
        """The samples that these arrivals end, and when each arrived; they wait no more."""
        held = self._held
        if not len(seen) or not len(held):
            return held.take(np.zeros(0, dtype=np.intp)), np.zeros(0)
        # The last entry answers for NOBODY, which is index -1.
        moved = np.zeros(max(int(seen.vehicle.max()), int(held.vehicle.max())) + 2, dtype=np.bool_)
        moved[seen.vehicle] = True
        rows = np.flatnonzero(moved[held.vehicle])
        at = np.minimum(np.searchsorted(seen.key, held.key[rows]), len(seen) - 1)
        found = seen.key[at] == held.key[rows]
        rows, at = rows[found], at[found]
        ended = held.take(rows)
        held.vehicle[rows] = NOBODY
        return ended, seen.arrival_s[at]

    def _live(self, at: NDArray[np.intp], since_s: float) -> int:
        """How many of the places `at` hold a sample made at `since_s` or later that still waits."""
        return int(np.count_nonzero((self._held.vehicle[at] != NOBODY) & (self._held.made_s[at] >= since_s)))

    def _grow(self, count: int) -> None:
        """Make room, at most `room`, with the oldest first."""
        size = len(self._held)
        wanted = min(self.room, max(4096, 2 * size, size + count))
        if wanted <= size:
            return
        order = (np.arange(size) + self._next) % max(size, 1)
        columns = []
        for name, dtype in zip(COLUMNS, DTYPES, strict=True):
            column = np.zeros(wanted, dtype=dtype)
            column[:size] = getattr(self._held, name)[order]
            columns.append(column)
        columns[0][size:] = NOBODY
        self._held = Samples(*columns)
        self._next = size
