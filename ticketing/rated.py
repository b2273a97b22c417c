"""A rated day as values: who pays, what each tap costs and why, what the next day needs, and what has changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from ticketing.capping import Spent
from ticketing.changes import Linked
from ticketing.city_schema import Name
from ticketing.city_tariff import CityTariff

StepKind = Literal[
    "fare", "concession", "transfer", "later_transfer", "pass", "trip", "extension", "cap", "after_rides",
    "first_rides", "combination", "discount", "regrouped", "surcharge", "entered", "continued", "so_far", "paid_before",
    "no_exit", "no_entry", "same_stop", "unknown_fare",
]  # fmt: skip


class Step(msgspec.Struct, frozen=True, omit_defaults=True):
    """One rule at work: what it did to the amount (minor units), and the facts that it used.

    rider 0 holds the medium, 1 and more ride along. tap is the first ride of the journey for a transfer whose time runs
    from it; since_s and until_s its half-open time; limit_minor and spent_minor a cap's amount and what had been spent;
    number the rides made or left; percent what a category pays; other the second rule of a combination; held what the
    ride was taken from, by its id (HeldPass).
    """

    kind: StepKind
    amount_minor: int = 0
    rule: str = ""
    rider: int = 0
    tap: str | None = None
    since_s: float | None = None
    until_s: float | None = None
    limit_minor: int | None = None
    spent_minor: int | None = None
    number: int | None = None
    percent: int | None = None
    other: str | None = None
    held: str | None = None


class Line(msgspec.Struct, frozen=True):
    """What one tap costs: charge_minor is the sum of its explanation's amounts."""

    tap_id: str
    at_s: float
    charge_minor: int
    explanation: tuple[Step, ...]
    network: str | None = None
    route_id: str | None = None
    stop_id: str | None = None


class HeldPass(msgspec.Struct, frozen=True):
    """A pass, or trips bought ahead (product "trips"), that an account holds: valid in [from_s, until_s).

    rides_left None: as many as one likes. networks: where it holds (empty: everywhere) when the tariff does not sell
    the product any more.
    """

    id: str
    product: str
    from_s: float
    until_s: float
    rides_left: int | None = None
    networks: tuple[str, ...] | None = None


class Carried(msgspec.Struct, frozen=True):
    """What a day hands to the next: the caps' periods, and by rider the rides whose transfer time may still run."""

    spent: dict[str, Spent] = {}
    linked: tuple[tuple[Linked, ...], ...] = ()


class Former(msgspec.Struct, frozen=True, array_like=True):
    """What a holder's category was until an instant (Unix seconds, half-open), where it is another one now."""

    until_s: float
    category: str | None


class Account(msgspec.Struct, frozen=True):
    """Who pays: the medium's kind, the holder's category, passes held, and what earlier days hand over.

    former: the categories before this one, the oldest first. replaced: another card takes this one's place, on the same
    day maybe, so that every ride of a day is handed over with it.
    """

    media: str | None = None
    category: str | None = None
    passes: tuple[HeldPass, ...] = ()
    carried: Carried = Carried()
    former: tuple[Former, ...] = ()
    replaced: bool = False

    def category_at(self, at_s: float) -> str | None:
        """The category of the holder at an instant: a ride is priced by that of its beginning."""
        return next((one.category for one in self.former if at_s < one.until_s), self.category)


class DayRating(msgspec.Struct, frozen=True):
    """A rated day: one line for each tap in tap-time order; rides taken from passes by their ids; for the next day.

    names are those of the rules at work, for receipts of a time when the tariff is another (`named`).
    """

    day: str
    tariff_version: int
    currency: str
    lines: tuple[Line, ...]
    rides_used: dict[str, int]
    carried: Carried
    names: dict[str, Name] = {}

    @property
    def total_minor(self) -> int:
        """What the day costs."""
        return sum(line.charge_minor for line in self.lines)


class Difference(msgspec.Struct, frozen=True):
    """What to post for a tap: positive is owed by the rider, negative is given back."""

    tap_id: str
    amount_minor: int


def after_day(account: Account, rating: DayRating) -> Account:
    """The account as the next day finds it."""
    passes = tuple(
        msgspec.structs.replace(held, rides_left=held.rides_left - rating.rides_used.get(held.id, 0))
        if held.rides_left is not None
        else held
        for held in account.passes
    )
    return msgspec.structs.replace(account, passes=passes, carried=rating.carried)


def difference(old: DayRating | None, new: DayRating | None) -> tuple[Difference, ...]:
    """What to post so that an account which paid the old rating has paid the new one; taps without change are left out.

    None is a day that was not rated before, or that is taken back whole.
    """
    return difference_of_days((old,) if old else (), (new,) if new else ())


def difference_of_days(old: Sequence[DayRating], new: Sequence[DayRating]) -> tuple[Difference, ...]:
    """The same over several days, by tap: a late tap of Monday may change what Wednesday cost under a weekly cap."""
    paid = {line.tap_id: line.charge_minor for rating in old for line in rating.lines}
    owed = {line.tap_id: line.charge_minor for rating in new for line in rating.lines}
    return tuple(
        Difference(tap_id, owed.get(tap_id, 0) - paid.get(tap_id, 0))
        for tap_id in (*owed, *(tap_id for tap_id in paid if tap_id not in owed))
        if owed.get(tap_id, 0) != paid.get(tap_id, 0)
    )


def with_lines(rating: DayRating, others: DayRating) -> DayRating:
    """A rating together with the lines of taps that it does not hold, in the order of the day."""
    held = {line.tap_id for line in rating.lines}
    lines = [*rating.lines, *(line for line in others.lines if line.tap_id not in held)]
    return msgspec.structs.replace(
        rating, lines=tuple(sorted(lines, key=lambda line: line.at_s)), names=rating.names | others.names
    )


def named(rating: DayRating, tariff: CityTariff) -> DayRating:
    """The rating with the names of all rules that its receipt will speak of."""
    rules = {word for line in rating.lines for step in line.explanation for word in (step.rule, step.other) if word}
    names = {rule: tariff.names[rule] for rule in rules if rule in tariff.names}
    networks = {line.network for line in rating.lines if line.network in tariff.network_names}
    names |= {f"network {network}": tariff.network_names[network] for network in networks if network}
    return msgspec.structs.replace(rating, names=names)
