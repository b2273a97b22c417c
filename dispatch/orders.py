"""Orders: what a dispatcher has decided about trips: who drives which, and which are not driven at all."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import msgspec

from dispatch.claims import Claim, Timetable
from dispatch.fleet import NO_TRIP
from dispatch.network import Ints

ORDERS_MAX = 10_000
KEPT_S = 6 * 3600.0  # a cancelled trip is told of until so long after its end

Run: TypeAlias = tuple[int, float]  # trip, zero
Departure: TypeAlias = tuple[str | None, str | None]  # start_date, start_time; None: the one that is due


class Assignment(msgspec.Struct, frozen=True):
    """A vehicle put on a trip by hand; trip_id None: it is held to what it says itself again."""

    vehicle_id: str
    operator_id: str
    trip_id: str | None
    start_date: str | None
    assigned_by: str
    assigned_at: float


class Cancellation(msgspec.Struct, frozen=True):
    """A trip of one service day that is not driven."""

    trip_id: str
    start_date: str
    start_time: str | None  # of trips of frequencies.txt
    route_id: str
    direction_id: int
    cancelled_by: str
    cancelled_at: float
    reason: str | None = None


@dataclass(slots=True)
class Orders:
    """Orders in force: by vehicle, and by run."""

    by_vehicle: dict[str, Claim] = field(default_factory=dict)
    cancelled: dict[Run, Cancellation] = field(default_factory=dict)

    def assign(self, key: str, claim: Claim) -> None:
        """Hold a vehicle to a run; the oldest order makes room."""
        self.by_vehicle.pop(key, None)
        self.by_vehicle[key] = claim
        while len(self.by_vehicle) > ORDERS_MAX:
            del self.by_vehicle[next(iter(self.by_vehicle))]

    def claim_of(self, key: str, driven: int) -> Claim | None:
        """What a vehicle is held to. The order is carried out once it drives something else: the block goes on."""
        claim = self.by_vehicle.get(key)
        if claim is not None and driven not in (NO_TRIP, claim.trip):
            del self.by_vehicle[key]
            return None
        return claim

    def release(self, key: str) -> None:
        """Hold a vehicle to what it says itself."""
        self.by_vehicle.pop(key, None)

    def carry(self, trip: Ints, shift_s: float) -> None:
        """Move the orders onto a new network: `trip` says where each old trip stands there, -1 where it is gone."""
        self.by_vehicle = {
            key: replace(claim, trip=int(trip[claim.trip]), zero_s=claim.zero_s + shift_s, route=-1, block=-1)
            for key, claim in self.by_vehicle.items()
            if trip[claim.trip] >= 0
        }
        self.cancelled = {
            (int(trip[run[0]]), run[1] + shift_s): order for run, order in self.cancelled.items() if trip[run[0]] >= 0
        }

    def forget(self, timetable: Timetable, now_s: float) -> None:
        """Drop what is long over."""
        over = [run for run in self.cancelled if now_s > run[1] + float(timetable.last_s[run[0]]) + KEPT_S]
        for run in over:
            del self.cancelled[run]


def find_run(timetable: Timetable, trip_id: str, departure: Departure, now_s: float) -> Claim | str:
    """The run of a trip on a service date and at a start time (where given), near `now_s`; else the reason why none."""
    counts: Counter[str] = Counter()
    claim = timetable.read_claim((trip_id, None, None, *departure, None), now_s, counts)
    return claim if claim.trip != NO_TRIP else next(iter(counts), "unknown_trip")


def describe(timetable: Timetable, run: Run, by: str, now_s: float, reason: str | None) -> Cancellation:
    """The order that a run is not driven, by the ids of the feed."""
    network, (trip, zero_s) = timetable.network, run
    pattern = network.trip_pattern[trip]
    return Cancellation(
        network.trip_id[trip],
        timetable.start_date(trip, zero_s),
        timetable.start_time(trip, zero_s),
        network.route_id[network.pattern_route[pattern]],
        int(network.pattern_direction[pattern]),
        by,
        now_s,
        reason,
    )
