"""Tiny feeds with fares, as tests write them, and rides on them that know what a planner would know."""

from __future__ import annotations

from datetime import datetime
from textwrap import dedent

from tests.unit.ticketing.journey_cost import journey_minor
from ticketing.fare_tables import read_fares
from ticketing.fares import Fares
from ticketing.legs import NONE, Leg, Rider

WEDNESDAY = "2026-03-04"
EVERY_DAY = "service_id,monday,tuesday,wednesday,thursday,friday,saturday,sunday,start_date,end_date\n"
CALENDAR = EVERY_DAY + "workdays,1,1,1,1,1,0,0,20260101,20261231\nweekends,0,0,0,0,0,1,1,20260101,20261231\n"


def feed(**files: str) -> dict[str, bytes]:
    """Files by name without their ending, as they would lie in the zip; an agency is there unless given."""
    given = {"agency": "agency_id,agency_timezone\na,America/Vancouver\n"} | files
    return {f"{name}.txt": dedent(text).lstrip("\n").encode() for name, text in given.items()}


def small(**files: str) -> Fares:
    return read_fares(feed(**files))


def ride(
    fares: Fares,
    clock: str,
    route: str | None = None,
    way: str = ">",
    minutes: int = 10,
    *,
    network: str | None = None,
    day: str = WEDNESDAY,
) -> Leg:
    """A leg from one stop to another ("A>B"), on a route or named network, at a time by the feed's clock."""
    from_stop, to_stop = (stop or None for stop in way.split(">"))
    start_s = datetime.fromisoformat(f"{day} {clock}").replace(tzinfo=fares.zone).timestamp()
    return Leg(
        (f"{clock} in", f"{clock} out"),
        start_s,
        start_s + minutes * 60,
        network if route is None else fares.network_by_route.get(route),
        fares.areas_of(from_stop) if from_stop else NONE,
        fares.areas_of(to_stop) if to_stop else NONE,
        from_stop=from_stop,
        to_stop=to_stop,
        route_id=route,
    )


def cost(fares: Fares, *legs: Leg, category: str | None = None, media: str | None = None) -> int | None:
    """What a journey costs, minor units; None where a fare is unknown."""
    return journey_minor(legs, (fares,), Rider(category, media))
