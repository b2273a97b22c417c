"""A card's agreement to be topped up automatically, as people see it; the bank card's token is never shown."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from sql import query
from ticketing.city_sales import TopUps
from ticketing.money import Money


class LastTopUp(Struct, frozen=True):
    """The newest order; times Unix seconds.

    state: open, unknown (nobody could say yet: it is asked again), approved or declined.
    """

    id: str
    amount_minor: int
    state: str
    reason: str | None
    made_at: float
    done_at: float | None


class AutoTopUp(Struct, frozen=True):
    """Below threshold_minor the purse gets amount_minor from a bank card, at most max_per_day times in 24 hours.

    state: on, or paused, which reason says why: the acquirer's word for a decline, or out_of_bounds of the tariff.
    last_at (Unix seconds): when money was last put on the card so.
    """

    state: str
    threshold_minor: int
    amount_minor: int
    max_per_day: int
    currency: str
    reason: str | None
    last_at: float | None
    last_order: LastTopUp | None


async def read_auto_top_up(connection: Any, uid: bytes) -> AutoTopUp | None:
    """A card's agreement; None where there is none."""
    row = await connection.fetchrow(query("top_ups.get"), uid)
    if row is None:
        return None
    last = None
    if row["order_id"] is not None:
        said = (row["order_state"], row["order_reason"], row["made_at"], row["done_at"])
        last = LastTopUp(row["order_id"], row["order_minor"], *said)
    terms = (row["threshold_minor"], row["amount_minor"], row["max_per_day"], row["currency"])
    return AutoTopUp(row["state"], *terms, row["reason"], row["last_at"], last)


def out_of_bounds(rules: TopUps, threshold_minor: int, amount_minor: int, currency: str) -> str | None:
    """Why a tariff does not allow such an agreement, naming the field; None where it does."""
    if not rules.min_minor <= amount_minor <= rules.max_minor:
        least, most = Money(rules.min_minor, currency), Money(rules.max_minor, currency)
        return f"amount_minor: {least} to {most} can be put on a card at once"
    if threshold_minor + amount_minor > rules.balance_max_minor:
        most = Money(rules.balance_max_minor, currency)
        return f"threshold_minor: with amount_minor it is more than the {most} that a purse may hold"
    return None
