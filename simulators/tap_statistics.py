"""What became of all taps of a play, for people to look at."""

from __future__ import annotations

import math
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np

LATENCIES_KEPT = 5_000


@dataclass(slots=True)
class TapStatistics:
    """What became of all taps, for people to look at."""

    made: int = 0
    sent: int = 0
    resent: int = 0
    refused_full: int = 0
    offline: int = 0  # riders who were shown the validator's own word
    set_aside: int = 0
    receipted: int = 0
    receipted_by_range: int = 0  # by the cumulative receipt, since the verdict was lost
    duplicate_answers: int = 0
    put_back: int = 0  # to be sent once more, with the word that their riders were let in
    by_verdict: Counter[str] = field(default_factory=Counter)
    by_own_verdict: Counter[str] = field(default_factory=Counter)
    by_medium: Counter[str] = field(default_factory=Counter)
    by_trick: Counter[str] = field(default_factory=Counter)
    latencies_s: deque[float] = field(default_factory=lambda: deque(maxlen=LATENCIES_KEPT))

    def as_dict(self) -> dict[str, Any]:
        """Counts, verdicts by name, and the latency from sending to verdict in milliseconds."""
        p50, p99 = np.percentile(self.latencies_s, [50, 99]) if self.latencies_s else (math.nan, math.nan)
        return {
            "taps": self.made,
            "sent": self.sent,
            "resent": self.resent,
            "refused_full": self.refused_full,
            "offline": self.offline,
            "set_aside": self.set_aside,
            "receipted": self.receipted,
            "receipted_by_range": self.receipted_by_range,
            "duplicate_answers": self.duplicate_answers,
            "put_back": self.put_back,
            "by_verdict": dict(self.by_verdict),
            "by_own_verdict": dict(self.by_own_verdict),
            "by_medium": dict(self.by_medium),
            "by_trick": dict(self.by_trick),
            "latency_p50_ms": None if math.isnan(p50) else round(float(p50) * 1000, 1),
            "latency_p99_ms": None if math.isnan(p99) else round(float(p99) * 1000, 1),
        }
