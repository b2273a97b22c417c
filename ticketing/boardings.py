"""Riders who boarded, counted by vehicle and minute for whoever follows how full vehicles are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from ticketing.verdict import Tap


def by_vehicle(boardings: Iterable[tuple[Tap, int]]) -> list[tuple[str, float, int]]:
    """Riders by operator/vehicle and minute, at the time of the latest of their taps; late taps keep their own time."""
    riders: Counter[tuple[str, int]] = Counter()
    at_s: dict[tuple[str, int], float] = {}
    for tap, count in boardings:
        tapped_s = max(0.0, min(tap.received_s, tap.ts))
        key = f"{tap.operator}/{tap.vehicle}", int(tapped_s // 60)
        riders[key] += count
        at_s[key] = max(tapped_s, at_s.get(key, tapped_s))
    return [(key[0], at_s[key], count) for key, count in riders.items()]
