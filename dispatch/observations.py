"""Observations: what vehicles said about themselves, as columns of fixes: the shape in which they enter dispatch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from dispatch.network import Floats

# (trip_id, route_id, direction_id, start_date "YYYYMMDD", start_time "HH:MM:SS", block_id): what the device claims.
Descriptor: TypeAlias = tuple[str | None, str | None, int | None, str | None, str | None, str | None]

Rows: TypeAlias = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Observations:
    """N fixes; nan and None stand for what is not known. `ts_s` is the device's time, `received_s` ours."""

    vehicle_key: list[str]  # "<operator>/<vehicle>"
    ts_s: Floats
    received_s: Floats
    lat_deg: Floats
    lon_deg: Floats
    speed_mps: Floats
    bearing_deg: Floats
    accuracy_m: Floats
    odometer_m: Floats
    descriptor: list[Descriptor | None]  # None: nothing claimed
    occupancy: list[str | None]  # GTFS-Realtime OccupancyStatus

    def __len__(self) -> int:
        return len(self.vehicle_key)

    def take(self, rows: Rows) -> Observations:
        """The fixes at `rows`, in that order."""
        at = rows.tolist()
        return Observations(
            [self.vehicle_key[i] for i in at],
            self.ts_s[rows],
            self.received_s[rows],
            self.lat_deg[rows],
            self.lon_deg[rows],
            self.speed_mps[rows],
            self.bearing_deg[rows],
            self.accuracy_m[rows],
            self.odometer_m[rows],
            [self.descriptor[i] for i in at],
            [self.occupancy[i] for i in at],
        )


def join(parts: Sequence[Observations]) -> Observations:
    """All fixes of `parts` (one at least) as one batch, in their order."""
    if len(parts) == 1:
        return parts[0]
    return Observations(
        [key for part in parts for key in part.vehicle_key],
        np.concatenate([part.ts_s for part in parts]),
        np.concatenate([part.received_s for part in parts]),
        np.concatenate([part.lat_deg for part in parts]),
        np.concatenate([part.lon_deg for part in parts]),
        np.concatenate([part.speed_mps for part in parts]),
        np.concatenate([part.bearing_deg for part in parts]),
        np.concatenate([part.accuracy_m for part in parts]),
        np.concatenate([part.odometer_m for part in parts]),
        [claim for part in parts for claim in part.descriptor],
        [level for part in parts for level in part.occupancy],
    )


def newest_rows(vehicle: Rows, ts_s: Floats) -> Rows:
    """For each vehicle the row of its newest fix; of equal ones the last that came."""
    order = np.lexsort((np.arange(len(vehicle)), ts_s, vehicle))
    last = np.flatnonzero(np.diff(vehicle[order], append=-1))
    return np.sort(order[last])


def in_rounds(vehicle: Rows, ts_s: Floats) -> Iterator[Rows]:
    """Rows in rounds: the oldest fix of every vehicle, then each one's second, and so on; no vehicle twice in a round.

    So a batch that holds many fixes of one vehicle is folded in order of time, and each round is one vector operation.
    """
    if not len(vehicle):
        return
    order = np.lexsort((ts_s, vehicle))
    of = vehicle[order]
    first = np.flatnonzero(np.diff(of, prepend=-1))
    rank = np.arange(len(of)) - np.repeat(first, np.diff(first, append=len(of)))
    by_rank = order[np.argsort(rank, kind="stable")]
    ends = np.cumsum(np.bincount(rank))
    start = 0
    for end in ends.tolist():
        yield by_rank[start:end]
        start = end
