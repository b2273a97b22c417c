"""How many zones a ride goes through, by the borders between them."""

from __future__ import annotations

from collections.abc import Mapping

from ticketing.legs import NONE, Leg, Words


class Zones:
    """Zones and how many borders lie between two of them on the shortest way, where there is one."""

    def __init__(self, beside: Mapping[str, Words]) -> None:
        self._hops = {zone: _hops_from(zone, beside) for zone in beside}

    def passed(self, leg: Leg) -> int | None:
        """Through how many zones a ride goes: those that it touched, or those on the way between the two farthest.

        A stop in two zones counts for the one that makes it fewer. None where a zone is not known, or not reached.
        """
        starts, ends, via = (areas & self._hops.keys() for areas in (leg.from_areas, leg.to_areas, leg.via_areas))
        if not starts or (leg.to_areas and not ends):
            return None
        counts = [
            count
            for start in starts
            for end in ends or (start,)
            if (count := self._zones_among(via | {start, end})) is not None
        ]
        return min(counts, default=None)

    def _zones_among(self, touched: Words) -> int | None:
        apart = [self._hops[one].get(other) for one in touched for other in touched]
        known = [hops for hops in apart if hops is not None]
        return max(len(touched), 1 + max(known)) if len(known) == len(apart) else None


def _hops_from(zone: str, beside: Mapping[str, Words]) -> dict[str, int]:
    """How many borders away every zone is that can be reached from one, itself included."""
    found = {zone: 0}
    edge = [zone]
    while edge:
        edge = sorted({other for one in edge for other in beside.get(one, NONE)} - found.keys())
        found |= dict.fromkeys(edge, max(found.values()) + 1)
    return found
