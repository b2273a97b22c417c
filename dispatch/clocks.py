"""Clocks: which vehicles' clocks are wrong, as the gateway finds and puts right, for dispatchers to see."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

TOLD_WITHIN_S = 120.0  # the gateway repeats itself every half minute that it hears the vehicle
CLOCKS_MAX = 20_000


@dataclass(slots=True)
class WrongClocks:
    """By how much clocks are ahead of ours, and when that was last told; CLOCKS_MAX at most, the oldest word goes."""

    _told: dict[str, tuple[float, float]] = field(default_factory=dict)

    def note(self, event: dict[str, Any], now_s: float) -> None:
        """Take an event `clock` of a vehicle: its `clock_off_s` in seconds, None where it is right again."""
        key, off_s = str(event.get("vehicle_key", "")), event.get("clock_off_s")
        self._told.pop(key, None)
        if isinstance(off_s, int | float):
            self._told[key] = (float(off_s), now_s)
            if len(self._told) > CLOCKS_MAX:
                del self._told[next(iter(self._told))]

    def off_s(self, keys: list[str], now_s: float) -> list[float | None]:
        """For each vehicle by how many seconds its clock is ahead (below 0: behind); None where nobody says so."""
        if not self._told:
            return [None] * len(keys)
        return [self._off_s(key, now_s) for key in keys]

    def _off_s(self, key: str, now_s: float) -> float | None:
        off_s, told_s = self._told.get(key, (None, now_s))
        return off_s if abs(now_s - told_s) <= TOLD_WITHIN_S else None
