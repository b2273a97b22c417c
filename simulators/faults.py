"""What goes wrong between a vehicle and the broker: noise, gaps, doubles, lateness, wrong clocks, garbage.

Each fault is a transformer of a batch of outgoing positions, and each takes what the one before gave, so they compose.
Shares are per message unless said otherwise. With the same generator the same faults happen again.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
METRES_PER_DEGREE = 111_195.0
HELD_MAX = 10_000  # messages kept back at once; beyond it none is delayed


@dataclass(frozen=True, slots=True)
class FaultSettings:
    """How often what goes wrong; the defaults are a good day."""

    noise_m: float = 3.0  # standard deviation of a receiver's error, each axis
    wander_s: float = 40.0  # how long an error lasts: neighbouring fixes err alike
    gap_share: float = 0.0004  # a vehicle falls silent, chance a message
    gap_s_mean: float = 25.0
    double_share: float = 0.001
    late_share: float = 0.002
    late_s_max: float = 8.0
    clock_off_share: float = 0.01  # of vehicles, for good
    clock_off_s: float = 4.0  # standard deviation among those
    garbage_share: float = 0.0001

    def none_at_all(self) -> FaultSettings:
        """The same with nothing going wrong."""
        return FaultSettings(0.0, self.wander_s, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


class Receiver:
    """The fleet's satellite receivers: errors that wander (a first-order autoregression), silences, wrong clocks."""

    def __init__(self, vehicles: int, settings: FaultSettings, rng: np.random.Generator) -> None:
        self.settings = settings
        self.rng = rng
        self.error_m: Floats = rng.normal(0.0, settings.noise_m, (2, vehicles))
        self.silent_until_s: Floats = np.full(vehicles, -np.inf)
        wrong = rng.random(vehicles) < settings.clock_off_share
        self.clock_off_s: Floats = np.where(wrong, rng.normal(0.0, settings.clock_off_s, vehicles), 0.0)

    def blur(
        self, vehicle: NDArray[np.intp], lat_deg: Floats, lon_deg: Floats, interval_s: float
    ) -> tuple[Floats, Floats]:
        """Places as the receivers see them, `interval_s` seconds after the last time."""
        kept = np.exp(-interval_s / self.settings.wander_s)
        fresh = self.rng.normal(0.0, self.settings.noise_m * np.sqrt(1 - kept**2), (2, vehicle.size))
        self.error_m[:, vehicle] = kept * self.error_m[:, vehicle] + fresh
        north_m, east_m = self.error_m[0, vehicle], self.error_m[1, vehicle]
        lon_scale = METRES_PER_DEGREE * np.cos(np.radians(lat_deg))
        return lat_deg + north_m / METRES_PER_DEGREE, lon_deg + east_m / lon_scale

    def heard(self, vehicle: NDArray[np.intp], now_s: float) -> NDArray[np.bool_]:
        """Which of the vehicles are not in a silence; some fall into one now."""
        falls = self.rng.random(vehicle.size) < self.settings.gap_share
        lasts_s = self.rng.exponential(max(self.settings.gap_s_mean, 1e-9), int(falls.sum()))
        self.silent_until_s[vehicle[falls]] = now_s + lasts_s
        return np.asarray(self.silent_until_s[vehicle] <= now_s)


@dataclass(slots=True)
class Link:
    """The radio link of all devices: what it gets it delivers, sometimes twice, later, or as garbage."""

    settings: FaultSettings
    rng: np.random.Generator
    doubled: int = 0
    delayed: int = 0
    spoilt: int = 0
    _held: list[tuple[float, int, int, bytes]] = field(default_factory=list)
    _count: int = 0

    def send(self, messages: Iterable[tuple[int, bytes]], now_s: float) -> list[tuple[int, bytes]]:
        """(sender, payload) pairs that come out now, for those that go in now."""
        going = list(messages)
        draws = self.rng.random(len(going))
        settings = self.settings
        late_below = settings.late_share
        double_below = late_below + settings.double_share
        garbage_below = double_below + settings.garbage_share
        out: list[tuple[int, bytes]] = []
        for (sender, payload), draw in zip(going, draws.tolist(), strict=True):
            if draw >= garbage_below:
                out.append((sender, payload))
            elif draw < late_below and len(self._held) < HELD_MAX:
                self.delayed += 1
                self._count += 1
                later_s = now_s + float(self.rng.uniform(0.0, settings.late_s_max))
                heapq.heappush(self._held, (later_s, self._count, sender, payload))
            elif draw < double_below:
                self.doubled += 1
                out.extend([(sender, payload)] * 2)
            else:
                self.spoilt += 1
                out.append((sender, spoil(payload, self.rng)))
        while self._held and self._held[0][0] <= now_s:
            _, _, sender, payload = heapq.heappop(self._held)
            out.append((sender, payload))
        return out


def spoil(payload: bytes, rng: np.random.Generator) -> bytes:
    """Garbage such as devices do send: cut short, bits turned, nothing at all, not a number, a place in the sea."""
    kind = int(rng.integers(6))
    if kind == 0:
        return payload[: int(rng.integers(len(payload) + 1))]
    if kind == 1 and payload:
        at = int(rng.integers(len(payload)))
        return payload[:at] + bytes([payload[at] ^ (1 << int(rng.integers(8)))]) + payload[at + 1 :]
    if kind == 2:
        return b""
    if kind == 3:
        return b'{"ts": NaN, "lat": Infinity, "lon": -Infinity}'
    if kind == 4:
        return b'{"ts": 0, "lat": 0, "lon": 0}'
    return rng.bytes(int(rng.integers(1, 200)))
