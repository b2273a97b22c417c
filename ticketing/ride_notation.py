"""Rides in the short notation of worked examples, and the taps that they stand for.

A ride is `[day] HH:MM[-HH:MM] [network] [route] [FROM>TO or @PLACE] [5.2km] [3stops] [+category]`, in any order: a
second time is the tap out, a day a date or a weekday, places are zones or stops, + somebody who comes along; what is
no network of the tariff names the route.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from ticketing.city_schema import EVERYWHERE
from ticketing.city_tariff import CityTariff
from ticketing.days import WEEKDAYS
from ticketing.journeys import FareTap, TapKind

_CLOCK = re.compile(r"(\d\d):([0-5]\d)(?::([0-5]\d))?")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
# Before the time it is a day in any spelling; after it, "Sun" may be the name of a route.
_WEEKDAY = re.compile(r"mon(day)?|tue(sday)?|wed(nesday)?|thu(rsday)?|fri(day)?|sat(urday)?|sun(day)?", re.IGNORECASE)
_WAY = re.compile(r"(\d+(?:\.\d+)?)(km|m|stops?)")


@dataclass(slots=True)
class _Written:
    """What the words of a ride have said so far; ends_s in Unix seconds, way by the name of a tap's field."""

    day: date
    network: str | None
    ends_s: list[float] = field(default_factory=list)
    places: list[str | None] = field(default_factory=list)
    route: list[str] = field(default_factory=list)
    companions: tuple[str, ...] = ()
    way: dict[str, int] = field(default_factory=dict)


class Notation(NamedTuple):
    """What rides leave unsaid: their tariff, the day (YYYY-MM-DD), the network; networks are words for some of them."""

    tariff: CityTariff
    day: str
    network: str | None
    networks: Mapping[str, str]

    def taps(self, ride: str, number: int) -> list[FareTap]:
        """The taps of a ride, whose ids begin with its number; ValueError where it cannot be read."""
        usual = self.network or self.tariff.network_by_operator.get(EVERYWHERE)
        written = self._read(ride, _Written(date.fromisoformat(self.day), usual))
        if not 1 <= len(written.ends_s) <= 2:
            raise ValueError(f"{ride!r}: write the time as 08:00, or 08:00-08:30 with a tap out")
        route_id = " ".join(written.route) or None
        network = written.network
        if route_id is not None and self.network is None and network == usual:
            network = self.tariff.network_of(route_id) or usual
        kinds: tuple[TapKind, ...] = ("in", "out") if len(written.ends_s) == 2 else ("board",)
        zones = self.tariff.zones
        return [
            FareTap(
                f"{number:04d}/{kind}",
                at_s,
                network,
                kind,
                stop_id=place if place not in zones else None,
                areas=(place,) if place is not None and place in zones else (),
                route_id=route_id,
                companions=written.companions,
                distance_m=written.way.get("distance_m"),
                stops=written.way.get("stops"),
            )
            for kind, at_s, place in zip(kinds, written.ends_s, [*written.places, None, None], strict=False)
        ]

    def _read(self, ride: str, written: _Written) -> _Written:
        for word in ride.split():
            if _CLOCK.match(word):
                written.ends_s = [_at_s(clock, written.day, self.tariff) for clock in word.split("-")]
            elif word in WEEKDAYS or (not written.ends_s and _WEEKDAY.fullmatch(word)):
                written.day += timedelta(days=WEEKDAYS.index(word[:3].lower()) - written.day.weekday())
            elif _DATE.fullmatch(word):
                written.day = date.fromisoformat(word)
            elif (way := _WAY.fullmatch(word)) is not None:
                written.way |= _way(*way.groups())
            elif word.startswith("+"):
                written.companions += (word[1:],)
            elif ">" in word or word.startswith("@"):
                written.places = [place or None for place in word.removeprefix("@").split(">")]
            elif (named := self.networks.get(word, word)) in self.tariff.networks:
                written.network = named
            else:
                written.route.append(word)
        return written


def _at_s(clock: str, day: date, tariff: CityTariff) -> float:
    parts = _CLOCK.fullmatch(clock)
    if parts is None:
        raise ValueError(f"{clock!r}: write a time such as 08:00; 25:10 is after the midnight that follows")
    hours = int(parts[1])
    day += timedelta(days=hours // 24)
    local = datetime(day.year, day.month, day.day, hours % 24, int(parts[2]), int(parts[3] or 0), tzinfo=tariff.zone)
    return local.timestamp()


def _way(number: str, unit: str) -> dict[str, int]:
    if unit.startswith("stop"):
        return {"stops": int(number)}
    return {"distance_m": round(Decimal(number) * (1000 if unit == "km" else 1))}
