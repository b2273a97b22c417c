"""The fleet: one row a vehicle, one column a fact, grown as vehicles appear; the newest fix wins and none goes back."""

from __future__ import annotations

from typing import Any, NewType

import numpy as np

from dispatch.network import Flags, Floats, Ints
from dispatch.observations import Descriptor, Observations, Rows

VehicleIdx = NewType("VehicleIdx", int)

NO_TRIP = -1
MOVED_M = 15.0  # a shorter way says nothing about the heading
NOBODY, GIVEN, INFERRED = 0, 1, 2  # who assigned the trip: indices of snapshot.ASSIGNED

SPEED_MPS_MAX = 100.0  # 360 km/h

# Column: (dtype, value of a new row). nan: not known.
COLUMNS: dict[str, tuple[Any, float]] = {
    "ts_s": (np.float64, -np.inf),
    "received_s": (np.float64, -np.inf),
    "lat_deg": (np.float64, np.nan),
    "lon_deg": (np.float64, np.nan),
    "x_m": (np.float64, np.nan),
    "y_m": (np.float64, np.nan),
    "speed_mps": (np.float64, np.nan),
    "bearing_deg": (np.float64, np.nan),
    "heading_deg": (np.float64, np.nan),
    "trip": (np.int32, NO_TRIP),
    "zero_s": (np.float64, np.nan),
    "pattern": (np.int32, 0),
    "assigned": (np.int32, NOBODY),
    "next_trip": (np.int32, NO_TRIP),
    "next_zero_s": (np.float64, np.nan),
    "claims_trip": (np.bool_, False),
    "claim_s": (np.float64, -np.inf),
    "is_loose": (np.bool_, False),
    "claimed_route": (np.int32, -1),
    "claimed_direction": (np.int32, -1),
    "along_m": (np.float64, np.nan),
    "offset_m": (np.float64, np.nan),
    "on_route_s": (np.float64, np.nan),
    "off_route": (np.bool_, False),
    "place_m": (np.float64, np.nan),
    "place_s": (np.float64, np.nan),
    "halt_m": (np.float64, np.nan),
    "moved_s": (np.float64, np.nan),
    "next_stop": (np.int32, 0),
    "enter_s": (np.float64, np.nan),
    "mark_row": (np.int32, -1),
    "finished": (np.bool_, False),
    "finished_s": (np.float64, np.nan),
    "delay_s": (np.float64, np.nan),
}


class Fleet:
    """State of all vehicles; `rows` of a column are VehicleIdx, valid below `len(fleet)`.

    trip, zero_s: the trip driven and the Unix time at which its own stop times count zero; pattern follows from trip.
    next_trip, next_zero_s: what follows in its block.
    claims_trip: the device names a trip of ours; claimed_route, claimed_direction: where it does not, what it names;
    claim_s: when that was last looked at.
    is_loose: which departure of its trip of frequencies.txt it drives is told by where it begins.
    along_m, offset_m: the newest fix on its path, nan before it is matched; on_route_s: when it was last on it.
    place_m, place_s: how far along the trip it has been, and when it was last there: what passages are measured from.
    halt_m, moved_s: where it last got on by more than noise, and when.
    next_stop: position in the pattern of the first stop it has not left; enter_s: when it came near that stop.
    mark_row: the last of its way's marks that it has passed. delay_s: at the last passage seen on this trip.
    finished, finished_s: it has reached its last stop, and when.
    """

    ts_s: Floats
    received_s: Floats
    lat_deg: Floats
    lon_deg: Floats
    x_m: Floats
    y_m: Floats
    speed_mps: Floats
    bearing_deg: Floats
    heading_deg: Floats
    trip: Ints
    zero_s: Floats
    pattern: Ints
    assigned: Ints
    next_trip: Ints
    next_zero_s: Floats
    claims_trip: Flags
    claim_s: Floats
    is_loose: Flags
    claimed_route: Ints
    claimed_direction: Ints
    along_m: Floats
    offset_m: Floats
    on_route_s: Floats
    off_route: Flags
    place_m: Floats
    place_s: Floats
    halt_m: Floats
    moved_s: Floats
    next_stop: Ints
    enter_s: Floats
    mark_row: Ints
    finished: Flags
    finished_s: Floats
    delay_s: Floats

    def __init__(self, room: int = 64) -> None:
        self.key: list[str] = []
        self.index: dict[str, int] = {}
        self.descriptor: list[Descriptor | None] = []
        self.occupancy: list[str | None] = []
        for name, (dtype, value) in COLUMNS.items():
            setattr(self, name, np.full(room, value, dtype=dtype))

    def __len__(self) -> int:
        return len(self.key)

    def rows_of(self, keys: list[str], vehicles_max: int) -> Rows:
        """VehicleIdx of each key; new vehicles get a row, and -1 once there are `vehicles_max`."""
        find = self.index.get
        rows = [find(key, -1) for key in keys]
        if -1 in rows:
            rows = [row if row >= 0 else self._add(key, vehicles_max) for row, key in zip(rows, keys, strict=True)]
            self._grow()
        return np.array(rows, dtype=np.intp)

    def fold(self, rows: Rows, fixes: Observations, x_m: Floats, y_m: Floats) -> None:
        """Take over one fix for each of `rows`, each newer than what the row holds."""
        speed_mps = _within(fixes.speed_mps, 0.0, SPEED_MPS_MAX)
        bearing_deg = _within(fixes.bearing_deg, 0.0, 360.0)
        self._turn(rows, bearing_deg, x_m, y_m)
        self.ts_s[rows] = fixes.ts_s
        self.received_s[rows] = fixes.received_s
        self.lat_deg[rows] = fixes.lat_deg
        self.lon_deg[rows] = fixes.lon_deg
        self.x_m[rows] = x_m
        self.y_m[rows] = y_m
        self.speed_mps[rows] = speed_mps
        self.bearing_deg[rows] = bearing_deg
        occupancy = self.occupancy
        for row, level in zip(rows.tolist(), fixes.occupancy, strict=True):
            occupancy[row] = level

    def _turn(self, rows: Rows, bearing_deg: Floats, x_m: Floats, y_m: Floats) -> None:
        """Heading: as the device says, else from the way it has come, else as before."""
        east_m, north_m = x_m - self.x_m[rows], y_m - self.y_m[rows]
        moved = east_m * east_m + north_m * north_m >= MOVED_M**2
        come_deg = np.where(moved, np.degrees(np.arctan2(east_m, north_m)), self.heading_deg[rows])
        self.heading_deg[rows] = np.where(np.isnan(bearing_deg), come_deg, bearing_deg)

    def clear_track(self, rows: Rows) -> None:
        """Forget where on its trip each vehicle is: the next fix starts a new track."""
        for name in (
            "along_m",
            "offset_m",
            "on_route_s",
            "place_m",
            "place_s",
            "halt_m",
            "moved_s",
            "enter_s",
            "delay_s",
            "finished_s",
        ):
            getattr(self, name)[rows] = np.nan
        self.mark_row[rows] = -1
        self.next_stop[rows] = 0
        for name in ("off_route", "finished"):
            getattr(self, name)[rows] = False

    def nbytes_per_vehicle(self) -> int:
        """Bytes of the numeric columns of one row."""
        return int(sum(np.dtype(dtype).itemsize for dtype, _ in COLUMNS.values()))

    def _add(self, key: str, vehicles_max: int) -> int:
        row = self.index.get(key, -1)
        if row < 0 and len(self.key) < vehicles_max:
            row = self.index[key] = len(self.key)
            self.key.append(key)
            self.descriptor.append(None)
            self.occupancy.append(None)
        return row

    def _grow(self) -> None:
        room = len(self.ts_s)
        if len(self.key) <= room:
            return
        wanted = max(len(self.key), 2 * room)
        for name, (dtype, value) in COLUMNS.items():
            grown = np.full(wanted, value, dtype=dtype)
            grown[:room] = getattr(self, name)
            setattr(self, name, grown)


def _within(column: Floats, least: float, most: float) -> Floats:
    """The column with nan in place of what cannot be true."""
    return np.where((column >= least) & (column <= most), column, np.nan)
