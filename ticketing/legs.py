"""A ride as its fare sees it: where and when it began and ended, how long it was, and who rides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from ticketing.money import Rounding, percent_of

Words = frozenset[str]
NONE: Words = frozenset()


class Leg(msgspec.Struct, frozen=True):
    """One ride as its taps tell it; areas of both ends, of what lies between (where known), times in Unix seconds.

    taps are the ids of the taps that made it, the last of them carries its charge.
    """

    taps: tuple[str, ...]
    start_s: float
    end_s: float
    network: str | None = None
    from_areas: Words = NONE
    to_areas: Words = NONE
    via_areas: Words = NONE
    from_stop: str | None = None
    to_stop: str | None = None
    route_id: str | None = None
    direction_id: int | None = None
    vehicle: str | None = None
    distance_m: int | None = None
    stops: int | None = None

    @property
    def lasts_s(self) -> float | None:
        """How long the ride took; None where nobody tapped out."""
        return self.end_s - self.start_s if len(self.taps) > 1 else None

    def within(self, areas: Words) -> bool:
        """Whether the ride begins, runs and ends inside these areas; an unknown beginning is outside."""
        return (
            not self.from_areas.isdisjoint(areas)
            and (not self.to_areas or not self.to_areas.isdisjoint(areas))
            and self.via_areas <= areas
        )

    def outside(self, areas: Words) -> Words:
        """The known areas of the ride that are not among these."""
        ends = [end for end in (self.from_areas, self.to_areas) if end and end.isdisjoint(areas)]
        return frozenset().union(*ends) | (self.via_areas - areas)


class Rider(msgspec.Struct, frozen=True, cache_hash=True):
    """Who pays with what: a rider category and a fare medium (None: not known), and the category's percentage.

    percent is what a rider of the category pays of a price that names no category; rounded to round_minor, half up
    unless rounding says down or up.
    """

    category: str | None = None
    media: str | None = None
    percent: int = 100
    round_minor: int = 1
    rounding: Rounding = "half_up"

    def part_of(self, minor: int) -> int:
        """What the rider pays of a price for everybody."""
        return percent_of(minor, self.percent, self.round_minor, self.rounding)


def is_or_unnamed(named: Words, found: Words, named_anywhere: Words) -> bool:
    """Equal, or empty where no rule of the column names what was found."""
    return not named.isdisjoint(found) if named else found.isdisjoint(named_anywhere)


def places_of(stop_id: str, parents: Mapping[str, str]) -> Iterator[str]:
    """A stop, and what it is a part of, in order: its station, or its platform and the station of that."""
    place: str | None = stop_id
    while place is not None:
        yield place
        place = parents.get(place)
