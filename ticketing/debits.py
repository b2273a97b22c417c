"""When a medium's charges leave the rider's bank account: each at once, after every second trip, or once a day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, time
from typing import Literal

import msgspec

from ticketing.city_schema import Debit
from ticketing.city_tariff import CityTariff
from ticketing.days import clock_s, day_bounds_s
from ticketing.rating import DayRating

Reason = Literal["each", "pair", "odd", "day"]


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
    trips = [Trip(line.tap_id, line.at_s, line.charge_minor) for line in rating.lines if line.charge_minor > 0]
    rule = tariff.debit_of(media)
    if rule is None or rule.rhythm == "each":
        return DebitPlan(tuple(PlannedDebit(trip.at_s, trip.minor, (trip.tap_id,), "each") for trip in trips))
    if not rating.day:
        return DebitPlan((), tuple(waiting))
    day = date.fromisoformat(rating.day)
    if rule.rhythm == "day":
        end_s = day_bounds_s(day, tariff.day_start, tariff.zone)[1]
        return DebitPlan((_debit(float(end_s), trips, "day"),) if trips else ())
    return _pairs(day, [*waiting, *trips], rule, tariff)


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
