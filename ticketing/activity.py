"""How many taps a minute, counted as they are answered; the last hour is kept."""

from __future__ import annotations

from collections import Counter

import msgspec

from ticketing.verdict import Verdict

MINUTES = 60


class Minute(msgspec.Struct, frozen=True):
    """Taps answered in one minute (Unix seconds of its start)."""

    minute: int
    accepted: int
    refused: int


class Activity(msgspec.Struct, frozen=True):
    """What the validators are doing: rates over the last 60 s, counts by minute and by verdict over the last hour."""

    as_of: float
    taps_per_minute: int
    accepted_per_minute: int
    refused_per_minute: int
    by_minute: list[Minute]
    by_verdict: dict[str, int]
    degraded_since: float | None
    degraded_reason: str | None


class Tally:
    """Answers counted by minute and verdict, and by second for the last minute; bounded, whatever comes."""

    def __init__(self) -> None:
        self._minutes: dict[int, Counter[str]] = {}
        self._seconds: dict[int, Counter[str]] = {}

    def add(self, verdicts: Counter[str], now_s: float) -> None:
        """Count verdicts given now; `unavailable` is not one of them."""
        for slots, span_s in ((self._minutes, 60), (self._seconds, 1)):
            key = int(now_s) // span_s * span_s
            slots.setdefault(key, Counter()).update(verdicts)
            for old in [slot for slot in slots if slot <= key - MINUTES * span_s or slot > key]:
                del slots[old]

    def activity(self, now_s: float, degraded_since: float | None, degraded_reason: str | None) -> Activity:
        """The counts as they stand."""
        this_minute = int(now_s) // 60 * 60
        minutes = []
        by_verdict: Counter[str] = Counter()
        for start in range(this_minute - 60 * (MINUTES - 1), this_minute + 1, 60):
            counts = self._minutes.get(start, Counter())
            by_verdict.update(counts)
            accepted = counts[Verdict.ACCEPTED]
            minutes.append(Minute(start, accepted, counts.total() - accepted))
        last: Counter[str] = Counter()
        for second, counts in self._seconds.items():
            if now_s - 60 < second + 1 <= now_s + 1:
                last.update(counts)
        taken = last[Verdict.ACCEPTED]
        total = last.total()
        return Activity(now_s, total, taken, total - taken, minutes, dict(by_verdict), degraded_since, degraded_reason)
