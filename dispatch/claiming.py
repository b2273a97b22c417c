"""Claiming: which trip each vehicle is held to: a dispatcher's order, else its claim, else what it signed on to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dispatch.assignment import assign
from dispatch.claims import Claim
from dispatch.fleet import GIVEN, NO_TRIP, NOBODY, Fleet
from dispatch.ground import Ground
from dispatch.observations import Descriptor
from dispatch.orders import Orders
from dispatch.passages import TRACK_END
from dispatch.tracks import TrackCounts


@dataclass(slots=True)
class FoldCounts:
    """What folding has counted; all of it only rises."""

    fixes: int = 0
    passages: int = 0
    trips_ended: int = 0
    trips_inferred: int = 0
    trips_exchanged: int = 0
    refolded: int = 0
    tracks: TrackCounts = field(default_factory=TrackCounts)
    refused: Counter[str] = field(default_factory=Counter)  # fixes that were not folded, by reason
    claims: Counter[str] = field(default_factory=Counter)  # claims that were not accepted, by reason

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Within, fixes are folded that were counted when they were folded first: they are not counted again."""
        held = self.tracks, self.claims, self.fixes, self.trips_ended
        self.tracks, self.claims = TrackCounts(), Counter()
        try:
            yield
        finally:
            self.tracks, self.claims, self.fixes, self.trips_ended = held


class Claiming:
    """Puts vehicles of one fleet onto trips. `ground` is exchanged with the feed."""

    def __init__(self, ground: Ground, fleet: Fleet, orders: Orders, counts: FoldCounts) -> None:
        self.ground = ground
        self.signed_on: dict[str, Descriptor] = {}
        self._fleet, self._orders, self._counts = fleet, orders, counts

    def sign(self, key: str, event: dict[str, Any], vehicles_max: int) -> None:
        """Take a driver's `sign_on` or `sign_off`: it holds for a vehicle whose device claims nothing by itself."""
        if event.get("event") == "sign_on":
            self.signed_on[key] = descriptor_of(event)
        else:
            self.signed_on.pop(key, None)
        while len(self.signed_on) > vehicles_max:
            del self.signed_on[next(iter(self.signed_on))]
        row = self._fleet.index.get(key)
        if row is not None and self._fleet.descriptor[row] is None:
            self.claim(row, None)

    def claim(self, row: int, descriptor: Descriptor | None) -> None:
        """Take over what a vehicle claims; one that claims nothing is held to what it signed on to."""
        fleet, key = self._fleet, self._fleet.key[row]
        claim = self._orders.claim_of(key, int(fleet.trip[row]))
        if claim is None:
            wanted = descriptor if descriptor is not None else self.signed_on.get(key)
            claim = self.ground.timetable.read_claim(wanted, float(fleet.ts_s[row]), self._counts.claims)
        self.take(row, claim)

    def take(self, row: int, claim: Claim) -> None:
        """Hold a vehicle to a claim that has been read."""
        fleet, timetable = self._fleet, self.ground.timetable
        fleet.claimed_route[row], fleet.claimed_direction[row] = claim.route, claim.direction
        fleet.claims_trip[row] = claim.trip != NO_TRIP
        fleet.claim_s[row] = fleet.ts_s[row]
        if claim.trip != NO_TRIP:
            if claim.trip != fleet.trip[row] or claim.zero_s != fleet.zero_s[row]:
                self.leave_trip(row)
                assign(fleet, timetable, row, claim.trip, claim.zero_s, GIVEN)
            fleet.assigned[row] = GIVEN
            fleet.is_loose[row] = claim.is_loose
        elif fleet.assigned[row] == GIVEN:
            self.leave_trip(row)
            assign(fleet, timetable, row, NO_TRIP, np.nan, NOBODY)

    def leave_trip(self, row: int) -> None:
        """Count the stops of a trip that is given up before its end."""
        fleet, network = self._fleet, self.ground.network
        if fleet.trip[row] == NO_TRIP or np.isnan(fleet.place_m[row]):
            return
        stops = network.pattern_stop_start[fleet.pattern[row] + 1] - network.pattern_stop_start[fleet.pattern[row]]
        self._counts.tracks.refused[TRACK_END] += int(max(stops - fleet.next_stop[row], 0))


def descriptor_of(event: dict[str, Any]) -> Descriptor:
    """What a sign-on claims; whatever is not what it should be is nothing."""

    def text(name: str) -> str | None:
        value = event.get(name)
        return value if isinstance(value, str) and value else None

    direction = event.get("direction_id")
    return (
        text("trip_id"),
        text("route_id"),
        direction if direction in (0, 1) else None,
        text("start_date"),
        text("start_time"),
        text("block_id"),
    )
