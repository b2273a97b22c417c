"""Settlements over HTTP, for whoever shares out a city's takings."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import date, datetime

import msgspec

from ticketing.errors import Problem
from ticketing.routes import Route
from ticketing.settlement import SettledDay, Settlement, Settlements


class SettledDays(msgspec.Struct, frozen=True):
    """The days that have been settled, newest first."""

    settlements: list[SettledDay]


class SettlementApi:
    """Operations on settlements."""

    def __init__(self, settlements: Settlements, clock: Callable[[], float] = time.time) -> None:
        self._settlements = settlements
        self._clock = clock

    def routes(self) -> list[Route]:
        """The operations."""
        return [
            Route("GET", "/api/v1/settlements", "settlements:read", self.list_days),
            Route("GET", "/api/v1/settlements/{day}", "settlements:read", self.show),
            Route("POST", "/api/v1/settlements/{day}", "settlements:make", self.settle),
        ]

    async def list_days(self) -> SettledDays:
        """List the days that have been settled, each with the hash of its newest version."""
        return SettledDays(await self._settlements.list_days())

    async def show(self, day: str) -> Settlement:
        """Show a day's settlement: taps, fares, sales and their shares by operator, product and route."""
        found = await self._settlements.find(read_day(day))
        if found is None:
            raise Problem(404, "Not settled", f"{day} has not been settled; POST here settles it")
        return found

    async def settle(self, day: str, *, subject: str) -> Settlement:
        """Settle a day that is over; where that changes nothing, its settlement stays as it is."""
        return await self._settlements.settle(read_day(day), subject, self._clock())


def read_day(text: str) -> date:
    """A date as YYYY-MM-DD.

    Raises:
        Problem: 422 where it is none.
    """
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()  # noqa: DTZ007  a business day has no time zone
    except ValueError:
        raise Problem(422, "No date", f"day: {text[:20]!r} is not a date such as 2026-01-31") from None
