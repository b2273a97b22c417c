"""Taps into rides: one tap or a pair, in tap-time order, with what is missing, and rides that count as one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from math import inf
from typing import Literal

import msgspec

from ticketing.city_schema import Exit
from ticketing.city_tariff import CityTariff
from ticketing.days import day_bounds_s, service_day
from ticketing.legs import NONE, Leg, Rider
from ticketing.transfer_rules import JoinRule

TapKind = Literal["board", "in", "out"]
RideKind = Literal["ride", "no_exit", "no_entry", "same_stop", "open"]


_SAID = Exit(max_minutes=1440, missing_minor=0)
"""The exit of an entry that is said to be one where nobody has to tap out."""


class FareTap(msgspec.Struct, frozen=True):
    """An accepted tap as rating needs it; at_s in Unix seconds by the device's clock.

    kind "board" is a reader that does not know: where riders tap out, it is an entry and an exit in turn; "in" and
    "out" make a ride anywhere. companions are the categories of those who ride along on the medium ("" for the default
    one). areas add to those of the stop.
    distance_m and stops are the ride's, with its last tap, where the device or the back office knows them.
    """

    id: str
    at_s: float
    network: str | None = None
    kind: TapKind = "board"
    stop_id: str | None = None
    areas: tuple[str, ...] = ()
    route_id: str | None = None
    direction_id: int | None = None
    vehicle: str | None = None
    companions: tuple[str, ...] = ()
    distance_m: int | None = None
    stops: int | None = None


class Ride(msgspec.Struct, frozen=True):
    """A leg with what was odd about it; parts: where several rides are one, the leg after each of them but the last."""

    leg: Leg
    kind: RideKind
    companions: tuple[str, ...] = ()
    parts: tuple[Leg, ...] = ()


def in_order(taps: Iterable[FareTap]) -> list[FareTap]:
    """Each tap once, by the time it was taken and then by its id: whenever it was uploaded, it stands here."""
    return sorted({tap.id: tap for tap in taps}.values(), key=lambda tap: (tap.at_s, tap.id))


def list_rides(taps: Sequence[FareTap], tariff: CityTariff, as_of_s: float | None = None) -> list[Ride]:
    """The rides of ordered taps. as_of_s: an entry whose longest journey is not over by then is still open;
    None: everything is over, and an entry without exit stays without."""
    rides: list[Ride] = []
    inside: FareTap | None = None
    for tap in taps:
        exit_ = _exit_after(tap, tariff) if tap.kind != "out" or inside is None else None
        if inside is not None:
            rule = _exit_of(inside, tariff)
            in_time = tap.at_s < inside.at_s + rule.max_minutes * 60
            closes = tap.kind == "out" or (tap.kind == "board" and exit_ is not None and in_time)
            if closes and in_time:
                rides.append(_closed(inside, tap, rule, tariff))
                inside = None
                continue
            if tap.kind != "board" or exit_ is not None or not in_time:
                rides.append(_ride(inside, inside, _unclosed(inside, tariff, "no_exit"), tariff))
                inside = None
        if tap.kind == "out":
            rides.append(_ride(tap, tap, "no_entry", tariff))
        elif exit_ is not None:
            inside = tap
        else:
            rides.append(_ride(tap, tap, "ride", tariff))
    if inside is not None:
        over = as_of_s is None or as_of_s >= inside.at_s + _exit_of(inside, tariff).max_minutes * 60
        rides.append(_ride(inside, inside, _unclosed(inside, tariff, "no_exit" if over else "open"), tariff))
    # A ride on a bus may begin after an entry and end before its exit.
    rides.sort(key=lambda ride: ride.leg.start_s)
    rules = [rule for table in tariff.tables for rule in table.join_rules]
    return _joined(rides, rules, tariff) if rules else rides


def by_service_day(taps: Iterable[FareTap], tariff: CityTariff) -> dict[date, tuple[FareTap, ...]]:
    """Taps by the service day in which their ride began, both in order."""
    days: dict[date, list[FareTap]] = {}
    inside: tuple[FareTap, date] | None = None
    today, over_s = date.min, -inf  # of the tap before, which is mostly this one's as well
    for tap in in_order(taps):
        if tap.at_s >= over_s:
            today = service_day(tap.at_s, tariff.day_start, tariff.zone)
            over_s = day_bounds_s(today, tariff.day_start, tariff.zone)[1]
        day = today
        is_exit = tap.kind == "out" or (tap.kind == "board" and (_network(tap, tariff) or "") in tariff.exits)
        if inside is not None and is_exit and tap.at_s < inside[0].at_s + _exit_of(inside[0], tariff).max_minutes * 60:
            day, inside = inside[1], None
        elif tap.kind != "out" and _exit_after(tap, tariff) is not None:
            inside = tap, day
        days.setdefault(day, []).append(tap)
    return {day: tuple(days[day]) for day in sorted(days)}


def _network(tap: FareTap, tariff: CityTariff) -> str | None:
    return tap.network if tap.network is not None else tariff.network_of(tap.route_id)


def _exit_after(tap: FareTap, tariff: CityTariff) -> Exit | None:
    """How riders of an entry's network tap out; None where they do not, and this one is not said to be an entry."""
    return tariff.exits.get(_network(tap, tariff) or "") or (_SAID if tap.kind == "in" else None)


def _exit_of(tap: FareTap, tariff: CityTariff) -> Exit:
    return _exit_after(tap, tariff) or _SAID


def _unclosed(entry: FareTap, tariff: CityTariff, kind: RideKind) -> RideKind:
    """What an entry without exit is: where nobody has to tap out, a ride like any other."""
    return kind if (_network(entry, tariff) or "") in tariff.exits else "ride"


def _closed(entry: FareTap, exit_: FareTap, rule: Exit, tariff: CityTariff) -> Ride:
    station = {table.station_of(entry.stop_id) for table in tariff.tables}
    same = entry.stop_id is not None and station == {table.station_of(exit_.stop_id) for table in tariff.tables}
    quick = exit_.at_s < entry.at_s + rule.same_stop_minutes * 60
    return _ride(entry, exit_, "same_stop" if same and quick else "ride", tariff)


def _ride(entry: FareTap, last: FareTap, kind: RideKind, tariff: CityTariff) -> Ride:
    to_areas = NONE if entry is last else tariff.areas_of(last.stop_id).union(last.areas)
    way = None if entry is last else tariff.distance_of(entry.stop_id, last.stop_id)
    said_m = last.distance_m if last.distance_m is not None else entry.distance_m
    said_stops = last.stops if last.stops is not None else entry.stops
    leg = Leg(
        taps=(entry.id,) if entry is last else (entry.id, last.id),
        start_s=entry.at_s,
        end_s=last.at_s,
        network=_network(entry, tariff),
        from_areas=tariff.areas_of(entry.stop_id).union(entry.areas),
        to_areas=to_areas,
        from_stop=entry.stop_id,
        to_stop=None if entry is last else last.stop_id,
        route_id=entry.route_id,
        direction_id=entry.direction_id,
        vehicle=entry.vehicle,
        distance_m=said_m if said_m is not None or way is None else way.metres,
        stops=said_stops if said_stops is not None or way is None else way.stops,
    )
    return Ride(leg, kind, entry.companions)


def _joined(rides: list[Ride], rules: Sequence[JoinRule], tariff: CityTariff) -> list[Ride]:
    """Consecutive rides that a rule joins, as one effective leg: the standard's fare_leg_join_rules."""
    joined: list[Ride] = []
    parts: list[Leg] = []  # what the last one is made of
    for ride in rides:
        before = joined[-1] if joined else None
        if before is not None and before.kind == ride.kind == "ride" and before.companions == ride.companions:
            one, two = before.leg, ride.leg
            if any(_may_be_one(rule, parts, two, tariff) and _joins(rule, one, two, tariff) for rule in rules):
                joined[-1] = Ride(_merged(one, two), "ride", before.companions, (*before.parts, one))
                parts.append(two)
                continue
        joined.append(ride)
        parts = [ride.leg]
    return joined


def _back_to(stop_id: str | None, leg: Leg, tariff: CityTariff) -> bool:
    """Whether a ride ends at a stop's station."""
    return any(table.station_of(stop_id) == table.station_of(leg.to_stop) for table in tariff.tables)


def _merged(one: Leg, two: Leg) -> Leg:
    return msgspec.structs.replace(
        one,
        taps=one.taps + two.taps,
        network=one.network if one.network == two.network else None,  # as the standard matches them
        end_s=two.end_s,
        to_areas=two.to_areas,
        to_stop=two.to_stop,
        via_areas=one.via_areas | two.via_areas | _if_one(one.to_areas) | _if_one(two.from_areas),
        distance_m=_sum(one.distance_m, two.distance_m),
        stops=_sum(one.stops, two.stops),
    )


def _may_be_one(rule: JoinRule, parts: Sequence[Leg], two: Leg, tariff: CityTariff) -> bool:
    """Whether a journey of these rides may have this one as well."""
    if not _goes_on(rule, parts, two, tariff):
        return False
    if rule.networks and any(part.network not in rule.networks for part in (*parts, two)):
        return False
    if rule.rides_max is not None and len(parts) >= rule.rides_max:
        return False
    if rule.total_s is not None and not two.start_s < parts[0].start_s + rule.total_s:
        return False
    if not rule.same_route and two.route_id is not None and any(part.route_id == two.route_id for part in parts):
        return False
    return two.network not in rule.once_on or all(part.network != two.network for part in parts)


def _goes_on(rule: JoinRule, parts: Sequence[Leg], two: Leg, tariff: CityTariff) -> bool:
    """Whether a ride is on the network to which the rule changes from the last one's, and leads on."""
    if rule.from_network is not None and (parts[-1].network, two.network) != (rule.from_network, rule.to_network):
        return False
    return not rule.onward or two.to_stop is None or not any(_back_to(part.from_stop, two, tariff) for part in parts)


def _joins(rule: JoinRule, one: Leg, two: Leg, tariff: CityTariff) -> bool:
    if not tariff.hours_hold(rule.hours, one.end_s):
        return False
    if rule.within_s is not None and not two.start_s < one.end_s + rule.within_s:
        return False
    left = {one.to_stop} | {table.station_of(one.to_stop) for table in tariff.tables}
    met = {two.from_stop} | {table.station_of(two.from_stop) for table in tariff.tables}
    if rule.from_stops:
        meets = not rule.from_stops.isdisjoint(left) and not rule.to_stops.isdisjoint(met)
    else:
        meets = rule.anywhere or (one.to_stop is not None and not (left - {None}).isdisjoint(met))
    if not meets or not (rule.optional or rule.zones_min):
        return meets
    both = _merged(one, two)
    if rule.zones_min is not None and _zones_of(both, tariff) < rule.zones_min:
        return False
    return not rule.optional or _priced(both, tariff) or not (_priced(one, tariff) and _priced(two, tariff))


def _zones_of(leg: Leg, tariff: CityTariff) -> int:
    """Through how many zones a ride goes; 0 where no table knows them."""
    return max((table.zones.passed(leg) or 0 for table in tariff.tables), default=0)


def _priced(leg: Leg, tariff: CityTariff) -> bool:
    """Whether the tariff has a price for a ride at all."""
    return any(table.leg_fares(leg, Rider()) for table in tariff.tables)


def _if_one(areas: frozenset[str]) -> frozenset[str]:
    """Where a stop lies in two zones, neither is surely travelled through."""
    return areas if len(areas) == 1 else NONE


def _sum(one: int | None, two: int | None) -> int | None:
    return None if one is None or two is None else one + two
