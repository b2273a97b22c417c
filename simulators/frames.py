"""What a fleet's vehicles would report at one instant: worked out between two halts only when somebody asks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dispatch.timetable import point_at
from simulators.vehicles import DEADHEAD_MPS, DWELLING, HOME, RUNNING, WAITING, Fleet

Index = NDArray[np.intp]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

RAMP = 0.15  # share of a leg's time spent speeding up, and as much slowing down
BEARING_M = 8.0  # a bearing is that from so far behind to so far ahead
OCCUPANCY = ("EMPTY", "MANY_SEATS_AVAILABLE", "FEW_SEATS_AVAILABLE", "STANDING_ROOM_ONLY", "CRUSHED_STANDING_ROOM_ONLY")
CROWDING = np.array([0.03, 0.35, 0.55, 0.85])  # load over capacity at which the next name begins


@dataclass(frozen=True, slots=True)
class Frame:
    """What N vehicles would report at one instant; `run` is a row of the duties or -1 when no trip is claimed."""

    vehicle: Index
    lat_deg: Floats
    lon_deg: Floats
    speed_mps: Floats
    bearing_deg: Floats
    odometer_m: Floats
    run: Index
    door_open: Flags
    occupancy: Index  # into OCCUPANCY


def frame_of(fleet: Fleet, vehicles: Index, now_s: float) -> Frame:
    """Where these vehicles are at `now_s` (Unix seconds), which lies at or after the fleet's last step."""
    network, phase, run = fleet.network, fleet.phase[vehicles], fleet.run[vehicles]
    path = network.pattern_path[fleet.times.pattern[run]]
    along_m, speed_mps = _along(fleet, vehicles, now_s)
    x_m, y_m = point_at(network, path, along_m)
    ahead_x_m, ahead_y_m = point_at(network, path, along_m + BEARING_M)
    behind_x_m, behind_y_m = point_at(network, path, np.maximum(along_m - BEARING_M, 0.0))
    claims = np.ones(vehicles.size, dtype=np.bool_)
    for i in np.flatnonzero(phase == WAITING).tolist():
        x_m[i], y_m[i], claims[i] = _on_the_way(fleet, int(vehicles[i]), now_s, (x_m[i], y_m[i]))
    claims &= phase != HOME
    lat_deg, lon_deg = network.unproject(x_m, y_m)
    east_m, north_m = ahead_x_m - behind_x_m, ahead_y_m - behind_y_m
    return Frame(
        vehicle=vehicles,
        lat_deg=lat_deg,
        lon_deg=lon_deg,
        speed_mps=speed_mps,
        bearing_deg=np.degrees(np.arctan2(east_m, north_m)) % 360.0,
        odometer_m=fleet.driven_m[vehicles] + along_m,
        run=np.where(claims, run, -1),
        door_open=phase == DWELLING,
        occupancy=np.searchsorted(CROWDING, fleet.load[vehicles] / fleet.settings.capacity, side="right"),
    )


def _along(fleet: Fleet, vehicles: Index, now_s: float) -> tuple[Floats, Floats]:
    """Metres along the path and speed: a leg begins and ends at rest, and is driven evenly between."""
    row = fleet.times.row(fleet.run[vehicles], fleet.halt[vehicles])
    along_m = fleet.halts.along_m[row]
    running = fleet.phase[vehicles] == RUNNING
    lasts_s = np.where(running, fleet.until_s[vehicles] - fleet.since_s[vehicles], 1.0)
    time = np.clip((now_s - fleet.since_s[vehicles]) / np.maximum(lasts_s, 0.1), 0.0, 1.0)
    from_end = np.minimum(time, 1.0 - time)
    part = np.where(from_end < RAMP, from_end**2 / (2 * RAMP), from_end - RAMP / 2) / (1 - RAMP)
    way_m = fleet.halts.along_m[np.where(running, row + 1, row)] - along_m
    speed_mps = way_m / np.maximum(lasts_s, 0.1) * np.minimum(from_end / RAMP, 1.0) / (1 - RAMP)
    return along_m + way_m * np.where(time <= 0.5, part, 1.0 - part), np.where(running, speed_mps, 0.0)


def _on_the_way(fleet: Fleet, v: int, now_s: float, stop_xy_m: tuple[float, float]) -> tuple[float, float, bool]:
    """Between two runs: straight from one terminal to the next at an even pace; a trip is claimed only there."""
    from_x_m, from_y_m = float(fleet.from_x_m[v]), float(fleet.from_y_m[v])
    way_m = float(np.hypot(stop_xy_m[0] - from_x_m, stop_xy_m[1] - from_y_m))
    done_m = max(now_s - float(fleet.since_s[v]), 0.0) * DEADHEAD_MPS
    if done_m >= way_m:
        return stop_xy_m[0], stop_xy_m[1], True
    share = done_m / way_m
    x_m = from_x_m + share * (stop_xy_m[0] - from_x_m)
    return x_m, from_y_m + share * (stop_xy_m[1] - from_y_m), False
