"""A rider's data over HTTP, for whoever answers riders' requests."""

from __future__ import annotations

import time
from collections.abc import Callable

from ticketing.privacy import Forgotten, Privacy, RiderData
from ticketing.routes import Route
from ticketing.settlement import Settlements


class PrivacyApi:
    """Operations on what is known of one rider."""

    def __init__(self, privacy: Privacy, settlements: Settlements, clock: Callable[[], float] = time.time) -> None:
        self._privacy = privacy
        self._settlements = settlements
        self._clock = clock

    def routes(self) -> list[Route]:
        """The operations."""
        return [
            Route("GET", "/api/v1/riders/{account}", "riders:export", self.export),
            Route("DELETE", "/api/v1/riders/{account}", "riders:erase", self.erase),
        ]

    async def export(self, account: str, *, subject: str) -> RiderData:
        """Show everything that is known of one account (card:<uid> or bank:<id>): trips, tickets, receipts, money."""
        return await self._privacy.export(account, subject)

    async def erase(self, account: str, *, subject: str) -> Forgotten:
        """Forget one account's trips: what has been settled at once, the rest when it is."""
        return await self._privacy.erase(account, subject, await self._settlements.settled_until_s(self._clock()))
