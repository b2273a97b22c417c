"""Accuracy of arrival predictions: mean error by time left, and the share that is near enough (ETA Accuracy Benchmark).

A prediction is judged by the time that was left until the actual arrival when it was made. Buckets, tolerances and the
score are those of the benchmark; the horizons of the mean error are pinned beside them (definitions.md, section 2).
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np

from dispatch.network import Flags, Floats


class Bucket(NamedTuple):
    """Time left `from_s <= x < to_s`; accurate when actual minus predicted is within both bounds, inclusive."""

    from_s: float
    to_s: float
    early_s: float
    late_s: float


BUCKETS = (
    Bucket(0, 180, -30, 90),
    Bucket(180, 360, -60, 150),
    Bucket(360, 600, -60, 210),
    Bucket(600, 900, -90, 270),
)
# The same for a look-up: one bucket begins where the one before ends, and outside of them nothing is accurate.
_EDGES_S = np.array([bucket.from_s for bucket in BUCKETS] + [BUCKETS[-1].to_s], dtype=np.float64)
_EARLY_S = np.array([np.inf, *(bucket.early_s for bucket in BUCKETS), np.inf])
_LATE_S = np.array([-np.inf, *(bucket.late_s for bucket in BUCKETS), -np.inf])
HORIZONS_S = ((0, 60), (60, 180), (180, 300), (300, 600), (600, 900))


class BucketScore(msgspec.Struct, frozen=True):
    """Share of the predictions of one bucket that are accurate."""

    from_s: float
    to_s: float
    n: int
    within: float | None


def accurate(left_s: Floats, error_s: Floats) -> Flags:
    """Which predictions are accurate: `left_s` until the actual arrival, `error_s` = actual minus predicted."""
    bucket = np.searchsorted(_EDGES_S, left_s, side="right")
    return (error_s >= _EARLY_S[bucket]) & (error_s <= _LATE_S[bucket])


def score_buckets(left_s: Floats, error_s: Floats) -> tuple[list[BucketScore], float | None]:
    """Share of each bucket and their plain mean; None where a bucket is empty (the mean is of those that are not)."""
    good = accurate(left_s, error_s)
    scores = []
    for bucket in BUCKETS:
        inside = (left_s >= bucket.from_s) & (left_s < bucket.to_s)
        scores.append(BucketScore(bucket.from_s, bucket.to_s, int(inside.sum()), _mean(good[inside], 4)))
    shares = [score.within for score in scores if score.within is not None]
    return scores, round(float(np.mean(shares)), 4) if shares else None


def _mean(values: Floats | Flags, digits: int) -> float | None:
    return round(float(np.mean(values)), digits) if len(values) else None
