"""The inbox: fixes and events that wait for the next tick; both have a bound, and of fixes the newest win."""

from __future__ import annotations

from collections import Counter, deque
from threading import Lock
from typing import Any

import numpy as np

from dispatch.network import Flags
from dispatch.observations import Observations, join, newest_rows

PAST_S_MAX = 86_400.0
FUTURE_S_MAX = 120.0  # a vehicle whose clock is further ahead would shut out its own true fixes
EVENTS_MAX = 10_000


class Inbox:
    """`put` and `tell` may be called from another thread than the rest; neither waits for longer than an append."""

    def __init__(self, fixes_max: int, refused: Counter[str]) -> None:
        self._fixes_max = fixes_max
        self._refused = refused
        self._door = Lock()  # held for an append or a swap
        self._fixes: list[Observations] = []
        self._waiting = 0
        self._events: deque[dict[str, Any]] = deque(maxlen=EVENTS_MAX)

    def put(self, fixes: Observations) -> None:
        """Take fixes; when there is no room, only the newest of each vehicle stay."""
        with self._door:
            self._fixes.append(fixes)
            self._waiting += len(fixes)
            if self._waiting > self._fixes_max:
                self._thin()

    def tell(self, event: dict[str, Any]) -> None:
        """Take a vehicle's event; when there is no room, the oldest goes."""
        if len(self._events) == EVENTS_MAX:
            self._refused["event_inbox_full"] += 1
        self._events.append(event)

    def fixes(self) -> Observations | None:
        """All fixes that wait; they wait no more."""
        with self._door:
            parts, self._fixes, self._waiting = self._fixes, [], 0
        return join(parts) if parts else None

    def events(self) -> list[dict[str, Any]]:
        """All events that wait, in their order; they wait no more."""
        return [self._events.popleft() for _ in range(len(self._events))]

    def _thin(self) -> None:
        fixes = join(self._fixes)
        number: dict[str, int] = {}
        vehicle = np.array([number.setdefault(key, len(number)) for key in fixes.vehicle_key], dtype=np.intp)
        kept = newest_rows(vehicle, fixes.ts_s)[-self._fixes_max :]
        self._refused["inbox_full"] += len(fixes) - len(kept)
        self._fixes = [fixes.take(kept)]
        self._waiting = len(kept)


def sane(fixes: Observations, now_s: float) -> Flags:
    """Fixes that can be computed with at all; admission at the gateway judges much more narrowly."""
    with np.errstate(invalid="ignore"):
        timely = (fixes.ts_s >= now_s - PAST_S_MAX) & (fixes.ts_s <= now_s + FUTURE_S_MAX)
        on_earth: Flags = (np.abs(fixes.lat_deg) <= 90) & (np.abs(fixes.lon_deg) <= 180)
    return timely & on_earth
