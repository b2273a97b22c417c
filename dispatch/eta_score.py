"""The live score: how well predictions of the last day did, by route and time left, beside the timetable's.

Cells of time left are cut so that both the horizons of the mean error and the buckets of the benchmark are made of
whole cells (definitions.md, section 2). Sums are kept by hour for a day, and since the start for counters that rise.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np

from dispatch.accuracy import BUCKETS, HORIZONS_S, accurate
from dispatch.network import Floats, Ints
from dispatch.scatter import LEFT_S

CELLS_S = np.array(sorted({float(edge) for pair in HORIZONS_S for edge in pair} | {b.from_s for b in BUCKETS}))
CELLS = len(CELLS_S) - 1
SUMS = ("n", "error_s", "within", "baseline_error_s", "baseline_within", "banded")
HOURS = 24
ROUTES_MAX = 2000
ROUTES_NAMED = 40  # routes with labels of their own in /metrics: the first that were scored
OTHER = "other"


class LiveHorizon(msgspec.Struct, frozen=True):
    """A horizon of time left: ours beside the baseline; `within_uncertainty` is how many fell into their own band."""

    from_s: float
    to_s: float
    n: int
    mae_s: float | None
    within: float | None
    baseline_mae_s: float | None
    baseline_within: float | None
    within_uncertainty: float | None


class RouteAccuracy(msgspec.Struct, frozen=True):
    """How well one route's arrivals were predicted."""

    route_id: str
    horizons: list[LiveHorizon]
    score: float | None
    baseline_score: float | None


class Uncertainty(msgspec.Struct, frozen=True):
    """What uncertainty a prediction gets now, of all lines together; `to_s` null: no end."""

    from_s: float
    to_s: float | None
    uncertainty_s: float


class AccuracyReply(msgspec.Struct, frozen=True):
    """GET /api/v1/accuracy: predictions of the last 24 hours whose arrivals have been seen since `since`."""

    as_of: float
    since: float
    horizons: list[LiveHorizon]
    score: float | None
    baseline_score: float | None
    routes: list[RouteAccuracy]
    uncertainty: list[Uncertainty]
    waiting: int


class Counted(NamedTuple):
    """What has been counted since the start for one label of route and horizon."""

    route_id: str
    horizon: str
    n: float
    error_s: float
    within: float
    baseline_error_s: float
    baseline_within: float


class LiveScore:
    """Sums by hour, route and cell of time left."""

    def __init__(self) -> None:
        self.row: dict[str, int] = {}
        self.since_s: float | None = None
        self.total = np.zeros((0, CELLS, len(SUMS)))
        self._hourly = np.zeros((HOURS, 0, CELLS, len(SUMS)))
        self._hour = 0
        self._named: list[str] = []

    def rows_of(self, route_ids: list[str]) -> Ints:
        """The row of each route; routes past ROUTES_MAX share the last one."""
        for route_id in route_ids:
            if len(self.row) < ROUTES_MAX:
                self.row.setdefault(route_id, len(self.row))
        short = len(self.row) - len(self.total)
        if short:
            self.total = np.pad(self.total, ((0, short), (0, 0), (0, 0)))
            self._hourly = np.pad(self._hourly, ((0, 0), (0, short), (0, 0), (0, 0)))
        return np.array([self.row.get(route_id, ROUTES_MAX - 1) for route_id in route_ids], dtype=np.int32)

    def add(
        self, row: Ints, left_s: Floats, error_s: Floats, baseline_error_s: Floats, band_s: Floats, now_s: float
    ) -> None:
        """Score predictions, ours and the baseline's, made `left_s` before the arrival; errors: actual - predicted."""
        self._turn(now_s)
        cell = np.searchsorted(CELLS_S, left_s, side="right") - 1
        inside = (cell >= 0) & (cell < CELLS)
        row, cell = row[inside], cell[inside]
        left_s, error_s, baseline_error_s = left_s[inside], error_s[inside], baseline_error_s[inside]
        size_s = np.abs(error_s)
        values = np.stack(
            (
                np.ones(len(row)),
                size_s,
                accurate(left_s, error_s),
                np.abs(baseline_error_s),
                accurate(left_s, baseline_error_s),
                size_s <= band_s[inside],
            ),
            axis=1,
        )
        np.add.at(self.total, (row, cell), values)
        np.add.at(self._hourly[self._hour % HOURS], (row, cell), values)

    def sums(self) -> tuple[Floats, Floats]:
        """Copies of the sums since the start and by hour of the last day."""
        return self.total.copy(), self._hourly.copy()

    def resume(self, routes: list[str], sums: tuple[Floats, Floats], since_s: float | None, hour: int) -> None:
        """Go on from another's sums, whose rows are those of `routes`.

        Raises:
            ValueError: they have another shape.
        """
        total, hourly = sums
        shape = (len(routes), CELLS, len(SUMS))
        if total.shape != shape or hourly.shape != (HOURS, *shape):
            raise ValueError(f"the score has the shape {total.shape}, not {shape}")
        self.row = {route_id: row for row, route_id in enumerate(routes)}
        self.total, self._hourly, self.since_s, self._hour = total, hourly, since_s, hour

    @property
    def hour(self) -> int:
        """The hour (since 1970) that is being summed up."""
        return self._hour

    def _turn(self, now_s: float) -> None:
        """Let hours that are a day old go."""
        hour = int(now_s // 3600)
        if self.since_s is None:
            self.since_s, self._hour = now_s, hour
        for passed in range(self._hour + 1, min(hour, self._hour + HOURS) + 1):
            self._hourly[passed % HOURS] = 0.0
        self._hour = max(hour, self._hour)

    def reply(self, uncertainty_s: Floats, waiting: int, now_s: float) -> AccuracyReply:
        """What GET /api/v1/accuracy says, with the uncertainty of each bin of time left."""
        self._turn(now_s)
        day = self._hourly.sum(axis=0)
        routes = [
            RouteAccuracy(route_id, horizons_of(day[row]), *scores_of(day[row]))
            for route_id, row in self.row.items()
            if day[row, :, 0].any()
        ]
        every = day.sum(axis=0) if len(day) else np.zeros((CELLS, len(SUMS)))
        since_s = max(self.since_s or now_s, (self._hour + 1 - HOURS) * 3600.0)
        edges: list[float | None] = [0.0, *LEFT_S.tolist(), None]
        bands = [
            Uncertainty(from_s or 0.0, to_s, round(band_s, 1))
            for from_s, to_s, band_s in zip(edges[:-1], edges[1:], uncertainty_s.tolist(), strict=True)
        ]
        return AccuracyReply(now_s, since_s, horizons_of(every), *scores_of(every), routes, bands, waiting)

    def counted(self) -> list[Counted]:
        """Counters since the start by route and horizon; of the routes past ROUTES_NAMED together."""
        scored = [name for name, row in self.row.items() if self.total[row, :, 0].any() and name not in self._named]
        self._named += scored[: ROUTES_NAMED - len(self._named)]
        rows = [self.row[name] for name in self._named]
        rest = np.delete(self.total, rows, axis=0).sum(axis=0)
        found = []
        for name, sums in [*((name, self.total[self.row[name]]) for name in self._named), (OTHER, rest)]:
            for from_s, to_s in HORIZONS_S:
                of = _pooled(sums, from_s, to_s)
                if of[0]:
                    found.append(Counted(name, f"{from_s}-{to_s}", *of[:5].tolist()))
        return found


def _pooled(sums: Floats, from_s: float, to_s: float) -> Floats:
    pooled: Floats = sums[(CELLS_S[:-1] >= from_s) & (CELLS_S[1:] <= to_s)].sum(axis=0)
    return pooled


def horizons_of(sums: Floats) -> list[LiveHorizon]:
    """Mean errors and shares by horizon, from the sums of cells."""
    found = []
    for from_s, to_s in HORIZONS_S:
        n, error_s, within, baseline_error_s, baseline_within, banded = _pooled(sums, from_s, to_s).tolist()
        means = [
            round(value / n, digits) if n else None
            for value, digits in ((error_s, 2), (within, 4), (baseline_error_s, 2), (baseline_within, 4), (banded, 4))
        ]
        found.append(LiveHorizon(from_s, to_s, int(n), *means))
    return found


def scores_of(sums: Floats) -> tuple[float | None, float | None]:
    """The benchmark's score, ours and the baseline's: the plain mean of the shares of the buckets that have any."""
    pooled = [_pooled(sums, bucket.from_s, bucket.to_s) for bucket in BUCKETS]
    shares = np.array([[of[2] / of[0], of[4] / of[0]] for of in pooled if of[0]])
    if not len(shares):
        return None, None
    ours, baseline = shares.mean(axis=0).tolist()
    return round(ours, 4), round(baseline, 4)
