"""Fixes as columns: what dispatch takes, built from the decoded messages of one flush in one go."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from gateway.position import Position

Floats: TypeAlias = NDArray[np.float64]
Flags: TypeAlias = NDArray[np.bool_]

# trip_id, route_id, direction_id, start_date "YYYYMMDD", start_time "HH:MM:SS", block_id
Descriptor: TypeAlias = tuple[str | None, str | None, int | None, str | None, str | None, str | None]

SPEED_MPS_MAX = 100.0  # 360 km/h: faster is a broken sensor on any vehicle that keeps a timetable

WRONG_DATE_S = 43_200.0  # a clock that is this far off may give another service date

_DATE = re.compile(r"\d{8}", re.ASCII)
_TIME = re.compile(r"\d{1,2}:\d\d:\d\d", re.ASCII)


@dataclass(frozen=True, slots=True)
class FixBatch:
    """n fixes in the order in which they came; nan and None where the vehicle does not say."""

    vehicle_key: list[str]  # "<operator>/<vehicle>"
    ts_s: Floats  # when the fix was taken, Unix seconds by the device's clock, or by ours where that one is wrong
    received_s: Floats  # when it reached the gateway
    lat_deg: Floats
    lon_deg: Floats
    speed_mps: Floats
    bearing_deg: Floats
    accuracy_m: Floats
    odometer_m: Floats
    descriptor: list[Descriptor | None]  # None: the vehicle claims nothing
    occupancy: list[str | None]

    def __len__(self) -> int:
        return len(self.vehicle_key)

    def where(self, mask: Flags) -> FixBatch:
        """The fixes at which `mask` (bool[n]) is true; the batch itself, not a copy, where that is all of them."""
        if mask.all():
            return self
        rows = np.flatnonzero(mask)
        at = rows.tolist()
        return FixBatch(
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

    def at_times(self, ts_s: Floats) -> FixBatch:
        """The same fixes, taken at other times than their devices said.

        Where those are far off, so is the service date that a device takes from its clock: the claim loses its date.
        """
        far = np.flatnonzero(np.abs(ts_s - self.ts_s) >= WRONG_DATE_S).tolist()
        descriptor = list(self.descriptor)
        for i in far:
            claim = descriptor[i]
            if claim is not None:
                descriptor[i] = (*claim[:3], None, *claim[4:])
        return replace(self, ts_s=ts_s, descriptor=descriptor)


def build(vehicle_key: list[str], positions: Sequence[Position], received_s: float) -> FixBatch:
    """Columns of decoded positions; `vehicle_key[i]` sent `positions[i]`.

    A speed, bearing, accuracy or odometer that cannot be true becomes unknown: many devices write -1 for it, and a good
    place is not thrown away for that.
    """
    return FixBatch(
        vehicle_key,
        np.array([fix.ts for fix in positions], np.float64),
        np.full(len(positions), received_s),
        np.array([fix.lat for fix in positions], np.float64),
        np.array([fix.lon for fix in positions], np.float64),
        _within([fix.speed_mps for fix in positions], 0.0, SPEED_MPS_MAX),
        _within([fix.bearing_deg for fix in positions], 0.0, 360.0),
        _within([fix.accuracy_m for fix in positions], 0.0, np.inf),
        _within([fix.odometer_m for fix in positions], 0.0, np.inf),
        [describe(fix) for fix in positions],
        [fix.occupancy for fix in positions],
    )


def describe(fix: Position) -> Descriptor | None:
    """What the vehicle claims to serve, or None; a malformed date or time is left out of the claim."""
    if fix.trip_id is None and fix.route_id is None and fix.block_id is None:
        return None
    return (
        fix.trip_id,
        fix.route_id,
        fix.direction_id if fix.direction_id in (0, 1) else None,
        fix.start_date if fix.start_date is not None and _DATE.fullmatch(fix.start_date) else None,
        fix.start_time if fix.start_time is not None and _TIME.fullmatch(fix.start_time) else None,
        fix.block_id,
    )


def _within(values: list[float | None], least: float, most: float) -> Floats:
    column = np.array(values, np.float64)  # None becomes nan
    column[~((column >= least) & (column <= most))] = np.nan
    return column
