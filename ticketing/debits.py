"""When a medium's charges leave the rider's account: each at once, after every second trip, or once a day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, time
from typing import Literal

import msgspec

from ticketing.city_sales import Debit
from ticketing.city_tariff import CityTariff
from ticketing.days import clock_s, day_bounds_s
from ticketing.rated import DayRating

Reason = Literal["each", "pair", "odd", "day", "correction"]


class Trip(msgspec.Struct, frozen=True):
    """A charged trip that no debit has taken yet."""

    tap_id: str
    at_s: float
    minor: int


class PlannedDebit(msgspec.Struct, frozen=True):
    """One debit for some trips, due at at_s (Unix seconds) at the earliest."""

    at_s: float
    minor: int
    tap_ids: tuple[str, ...]
    reason: Reason


class DebitPlan(msgspec.Struct, frozen=True):
    """The debits of a day, in order, and what waits for a trip of the next one."""

    debits: tuple[PlannedDebit, ...]
    waiting: tuple[Trip, ...] = ()


def plan_debits(rating: DayRating, tariff: CityTariff, media: str | None, waiting: Sequence[Trip] = ()) -> DebitPlan:
    """The debits of a rated day under the medium's rhythm; waiting is what the day before left over.

    A debit that a later tap would change (an odd trip before its hour) is planned until its time comes.
    """
    rule = tariff.debit_of(media)
    charged = [line for line in rating.lines if line.charge_minor > 0]
    apart = [
        line
        for line in charged
        if rule is None or rule.rhythm == "each" or (rule.networks and line.network not in rule.networks)
    ]
    trips = [Trip(line.tap_id, line.at_s, line.charge_minor) for line in charged if line not in apart]
    debits = [PlannedDebit(line.at_s, line.charge_minor, (line.tap_id,), "each") for line in apart]
    left: tuple[Trip, ...] = tuple(waiting)
    if rule is not None and rating.day:
        day = date.fromisoformat(rating.day)
        if rule.rhythm == "day" and trips:
            debits.append(_debit(float(day_bounds_s(day, tariff.day_start, tariff.zone)[1]), trips, "day"))
        elif rule.rhythm == "pair":
            pairs = _pairs(day, [*waiting, *trips], rule, tariff)
            debits, left = [*debits, *pairs.debits], pairs.waiting
    return DebitPlan(tuple(sorted(debits, key=lambda debit: debit.at_s)), left)


def still_due(rating: DayRating, plan: DebitPlan, debited: Mapping[str, int]) -> tuple[PlannedDebit, ...]:
    """What a plan still asks for when some taps have been debited before: by tap id, minor units.

    A late tap may pair trips anew or make them cheaper; what has been taken for a trip is not taken again, and what was
    taken too much goes back at once: an amount below zero, with the reason correction.
    """
    planned = {tap_id for debit in plan.debits for tap_id in debit.tap_ids} | {trip.tap_id for trip in plan.waiting}
    charges = {line.tap_id: line.charge_minor for line in rating.lines}
    due = []
    for debit in plan.debits:
        taken = sum(debited.get(tap_id, 0) for tap_id in debit.tap_ids)
        if debit.minor != taken:
            reason: Reason = debit.reason if debit.minor > taken else "correction"
            due.append(PlannedDebit(debit.at_s, debit.minor - taken, debit.tap_ids, reason))
    back = {tap_id: minor for tap_id, minor in debited.items() if tap_id in charges and tap_id not in planned and minor}
    if back:
        at_s = max(line.at_s for line in rating.lines if line.tap_id in back)
        due.append(PlannedDebit(at_s, -sum(back.values()), tuple(back), "correction"))
    return tuple(due)


def part_of_changes(changes: Mapping[str, int], minor: int) -> dict[str, int]:
    """Which taps so much of a correction is for: of changes (by tap, minor units, below zero in all) a part of -minor.

    What became dearer is paid by the others at once, so all of that is in it.
    """
    part = {tap_id: change for tap_id, change in changes.items() if change > 0}
    left = minor + sum(part.values())
    for tap_id, change in changes.items():
        if change < 0 and left > 0:
            part[tap_id] = -min(left, -change)
            left += part[tap_id]
    return part


def close_waiting(day: date, tariff: CityTariff, media: str | None, waiting: Sequence[Trip]) -> DebitPlan:
    """The debits of a day without trips: what waited for one is debited at the odd trip's hour."""
    rule = tariff.debit_of(media)
    return _pairs(day, list(waiting), rule, tariff) if rule is not None and rule.odd_at is not None else DebitPlan(())


def _pairs(day: date, trips: list[Trip], rule: Debit, tariff: CityTariff) -> DebitPlan:
    debits = [_debit(two.at_s, [one, two], "pair") for one, two in zip(trips[::2], trips[1::2], strict=False)]
    if len(trips) % 2 == 0:
        return DebitPlan(tuple(debits))
    odd = trips[-1]
    if rule.wait_from is not None and odd.at_s >= _at(day, rule.wait_from, tariff):
        return DebitPlan(tuple(debits), (odd,))
    due_s = max(odd.at_s, _at(day, rule.odd_at or "00:00", tariff))
    return DebitPlan((*debits, _debit(due_s, [odd], "odd")))


def _debit(at_s: float, trips: Sequence[Trip], reason: Reason) -> PlannedDebit:
    return PlannedDebit(at_s, sum(trip.minor for trip in trips), tuple(trip.tap_id for trip in trips), reason)


def _at(day: date, clock: str, tariff: CityTariff) -> float:
    return float(clock_s(day, time.fromisoformat(clock), tariff.day_start, tariff.zone))
