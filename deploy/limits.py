"""How much one caller may ask: token buckets in a table of bounded size."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """`burst` requests at once, then `per_s` a second."""

    per_s: float
    burst: float


class TokenBuckets:
    """A bucket per key; when the table is full the key that has been quiet the longest is forgotten."""

    def __init__(self, rate: Rate, keys_max: int = 10_000) -> None:
        self.rate = rate
        self.refused = 0
        self._keys_max = keys_max
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # key -> tokens left, at what time

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key: str, now_s: float, cost: float = 1.0) -> float:
        """Take `cost` tokens: 0.0 when there were enough, else the seconds to wait (and nothing is taken)."""
        left, at_s = self._buckets.get(key, (self.rate.burst, now_s))
        # A clock that was set back must not freeze a bucket, nor fill it.
        left = min(self.rate.burst, left + max(0.0, now_s - at_s) * self.rate.per_s)
        enough = left >= cost
        self._buckets[key] = (left - cost if enough else left, now_s)
        self._buckets.move_to_end(key)
        if len(self._buckets) > self._keys_max:
            self._buckets.popitem(last=False)
        if enough:
            return 0.0
        self.refused += 1
        return (cost - left) / self.rate.per_s


def retry_after(wait_s: float) -> str:
    """The Retry-After header for a wait."""
    return str(max(1, math.ceil(wait_s)))
