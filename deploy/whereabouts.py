"""Where vehicles are: told by dispatch every few seconds, so that ticketing knows a tap's place without asking anyone.

A tap must not wait for another process. What is known is a few seconds old, in which a bus goes a street further.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from deploy.links import WHEREABOUTS, Links, Outgoing
from dispatch.network import Flags, Floats
from dispatch.snapshot import Snapshot
from ticketing.reading import judged_at_s
from ticketing.seams import Place
from ticketing.verdict import Tap

TOLD_EVERY_S = 2.0
STOP_AHEAD_M = 60.0  # who taps so close before a stop boards at it
PATTERN_APART_M = 1e7
APART_S_MAX = 60.0  # a position says nothing about a tap that was made longer before or after it


class _Told(msgspec.Struct, array_like=True):
    """Columns of n vehicles: float64, float64, float64, int32 (index of routes, -1: none), int8; stops as they are."""

    keys: list[str]
    lat_deg: bytes
    lon_deg: bytes
    ts_s: bytes
    route: bytes
    direction: bytes
    routes: list[str]
    stops: list[str | None]


_ENCODE = msgspec.msgpack.Encoder().encode
_TOLD = msgspec.msgpack.Decoder(_Told)


def told(snapshot: Snapshot) -> bytes:
    """Where the fleet is, as a message."""
    fleet, network = snapshot.fleet, snapshot.network
    on_trip = fleet.trip >= 0
    route = np.where(on_trip, network.pattern_route[fleet.pattern], -1).astype(np.int32)
    direction = np.where(on_trip, network.pattern_direction[fleet.pattern], -1).astype(np.int8)
    return _ENCODE(
        _Told(
            fleet.key,
            fleet.lat_deg.tobytes(),
            fleet.lon_deg.tobytes(),
            fleet.ts_s.tobytes(),
            route.tobytes(),
            direction.tobytes(),
            network.route_id,
            _stops(snapshot, on_trip),
        )
    )


def _stops(snapshot: Snapshot, on_trip: Flags) -> list[str | None]:
    """The stop of its pattern that each vehicle on a trip reached last, or is about to."""
    fleet, network = snapshot.fleet, snapshot.network
    known = on_trip & np.isfinite(fleet.along_m)
    first, last = network.pattern_stop_start[:-1], network.pattern_stop_start[1:] - 1
    # One sorted row of all patterns' stops: the pattern decides, then the way along it.
    row_m = network.pattern_stop_along_m + np.repeat(np.arange(len(first)) * PATTERN_APART_M, last - first + 1)
    pattern = np.where(known, fleet.pattern, 0)
    wanted_m = np.where(known, fleet.along_m, 0.0) + STOP_AHEAD_M + pattern * PATTERN_APART_M
    at = np.clip(np.searchsorted(row_m, wanted_m, "right") - 1, first[pattern], last[pattern])
    stops = network.pattern_stop[at]
    return [network.stop_id[stop] if is_known else None for stop, is_known in zip(stops, known, strict=True)]


class Teller:
    """Dispatch's end: sees the snapshots in the tick's thread, and sends from the loop's."""

    def __init__(self, links: Links) -> None:
        self._outgoing = Outgoing(links, WHEREABOUTS, size=1)
        self._told_s = -np.inf
        self._waiting: bytes | None = None

    async def run(self) -> None:
        """Send what is told; ends by cancellation."""
        await self._outgoing.run()

    def note(self, snapshot: Snapshot) -> None:
        """Take down where the fleet is, every TOLD_EVERY_S."""
        if 0 <= snapshot.as_of_s - self._told_s < TOLD_EVERY_S:
            return
        self._told_s = snapshot.as_of_s
        self._waiting = told(snapshot)

    def flush(self) -> None:
        """Send what was taken down."""
        data, self._waiting = self._waiting, None
        if data is not None:
            self._outgoing.put(data)


class LastPlaces:
    """Ticketing's end: the newest place of every vehicle."""

    def __init__(self) -> None:
        self._row: dict[str, int] = {}
        self._routes: list[str] = []
        self._stops: list[str | None] = []
        nothing: Floats = np.zeros(0)
        self._lat_deg = self._lon_deg = self._ts_s = nothing
        self._route = self._direction = nothing.astype(np.int32)

    def take(self, data: bytes) -> None:
        """Replace what is known by what was told."""
        said = _TOLD.decode(data)
        self._row = {key: row for row, key in enumerate(said.keys)}
        self._routes, self._stops = said.routes, said.stops
        self._lat_deg, self._lon_deg, self._ts_s = (
            np.frombuffer(column) for column in (said.lat_deg, said.lon_deg, said.ts_s)
        )
        self._route = np.frombuffer(said.route, np.int32)
        self._direction = np.frombuffer(said.direction, np.int8).astype(np.int32)

    async def places(self, taps: Sequence[Tap]) -> list[Place | None]:
        """Where each of these taps was made, in order; None where nobody knows."""
        return [self._place(tap) for tap in taps]

    def _place(self, tap: Tap) -> Place | None:
        row = self._row.get(f"{tap.operator}/{tap.vehicle}") if tap.vehicle else None
        at_s = judged_at_s(tap) if tap.offline is None else tap.ts
        if row is None or abs(at_s - self._ts_s[row]) > APART_S_MAX:
            return None
        route = int(self._route[row])
        return Place(
            float(self._lat_deg[row]),
            float(self._lon_deg[row]),
            self._routes[route] if route >= 0 else None,
            int(self._direction[row]) if route >= 0 else None,
            self._stops[row],
        )


async def hear_places(links: Links) -> LastPlaces:
    """What dispatch tells, from now on."""
    places = LastPlaces()
    await links.receive(WHEREABOUTS, places.take)
    return places
