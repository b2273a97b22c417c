"""Riders' purchases: tickets bought over HTTP as a kiosk does, a few of them revoked, a few sold for yesterday.

Buying is slower than tapping and may fail: the stock is bounded, at most a few requests are under way, and after a
failure there is a pause.
"""

from __future__ import annotations

import asyncio
import ssl
import time
import uuid
from dataclasses import dataclass
from typing import Any

import aiohttp
import numpy as np

from simulators.riders import Riders, Ticket

REQUEST_S_MAX = 10.0


@dataclass(frozen=True, slots=True)
class SalesSettings:
    """What is bought, how much is kept in stock, and how fast."""

    product_single: str = "single"
    many_rides_product: str = "day"
    singles_stock: int = 120
    passes_stock: int = 60
    revoked_stock: int = 8
    expired_stock: int = 4
    at_once: int = 2
    pause_s_first: float = 1.0
    pause_s_max: float = 30.0


@dataclass(slots=True)
class SalesStatistics:
    """What was bought, and what went wrong."""

    sold: int = 0
    revoked: int = 0
    refused: int = 0  # by the server, with a problem document
    failed: int = 0  # no answer
    last_problem: str = ""


class Sales:
    """Keeps the riders in tickets; `run` does so until it is cancelled."""

    def __init__(
        self,
        http_url: str,
        kiosk_token: str,
        riders: Riders,
        settings: SalesSettings,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.statistics = SalesStatistics()
        self._url = http_url.rstrip("/")
        self._token = kiosk_token
        self._riders = riders
        self._settings = settings
        self._tls = tls
        self._no_expired = False
        self._failures = 0

    async def run(self, rng: np.random.Generator) -> None:
        """Buy whenever the stock is low."""
        timeout = aiohttp.ClientTimeout(total=REQUEST_S_MAX)
        headers = {"Authorization": f"Bearer {self._token}"}
        connector = aiohttp.TCPConnector(ssl=self._tls if self._tls is not None else True)
        async with (
            aiohttp.ClientSession(timeout=timeout, headers=headers, connector=connector) as session,
            asyncio.TaskGroup() as group,
        ):
            for number in range(self._settings.at_once):
                group.create_task(self._buy_always(session, rng), name=f"sales {number + 1}")

    async def _buy_always(self, session: aiohttp.ClientSession, rng: np.random.Generator) -> None:
        while True:
            try:
                bought = await self._buy_what_is_short(session)
                self._failures = 0
            except (aiohttp.ClientError, TimeoutError, ValueError, KeyError) as error:
                self.statistics.failed += 1
                self.statistics.last_problem = type(error).__name__
                self._failures += 1
                bought = False
            pause_s = 0.0 if bought else self._settings.pause_s_first
            if self._failures:
                longer_s = self._settings.pause_s_first * 2.0 ** min(self._failures, 8)
                pause_s = min(longer_s, self._settings.pause_s_max)
            await asyncio.sleep(pause_s * float(rng.uniform(0.5, 1.5)))

    async def _buy_what_is_short(self, session: aiohttp.ClientSession) -> bool:
        """Buy one ticket of the kind that is shortest; False when nothing is short."""
        riders, settings = self._riders, self._settings
        if len(riders.singles) < settings.singles_stock // 4:
            return self._keep(riders.singles, await self._buy(session, settings.product_single))
        if len(riders.revoked) < settings.revoked_stock:
            ticket = await self._buy(session, settings.product_single)
            if ticket is not None and await self._revoke(session, ticket):
                riders.revoked.append(ticket)
            return ticket is not None
        if len(riders.passes) < settings.passes_stock:
            return self._keep(riders.passes, await self._buy(session, settings.many_rides_product))
        if len(riders.expired) < settings.expired_stock and not self._no_expired:
            # A pass of a day ends with its service day, so one that began 23.75 hours ago is over; desks sell no older.
            ticket = await self._buy(session, settings.many_rides_product, valid_from=time.time() - 85_500.0)
            self._no_expired = ticket is None  # this one does not even sell that: nobody holds such a ticket
            return self._keep(riders.expired, ticket)
        if len(riders.singles) < settings.singles_stock:
            return self._keep(riders.singles, await self._buy(session, settings.product_single))
        return False

    @staticmethod
    def _keep(stock: Any, ticket: Ticket | None) -> bool:
        if ticket is not None:
            stock.append(ticket)
        return ticket is not None

    async def _buy(
        self, session: aiohttp.ClientSession, product_id: str, valid_from: float | None = None
    ) -> Ticket | None:
        body: dict[str, Any] = {"product_id": product_id}
        if valid_from is not None:
            body["valid_from"] = valid_from
        sold = await self._post(session, "/api/v1/tickets", body)
        if sold is None:
            return None
        self.statistics.sold += 1
        return Ticket(str(sold["id"]), str(sold["token"]), str(sold.get("jwt") or ""))

    async def _revoke(self, session: aiohttp.ClientSession, ticket: Ticket) -> bool:
        done = await self._post(session, f"/api/v1/tickets/{ticket.ticket_id}/revoke", {"reason": "lost phone"})
        self.statistics.revoked += done is not None
        return done is not None

    async def _post(self, session: aiohttp.ClientSession, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        """The answer, or None when the server refuses; a server error is a failure like no answer."""
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        async with session.post(self._url + path, json=body, headers=headers) as response:
            if response.status >= 500 or response.status == 429:
                raise ValueError(f"{path}: {response.status}")
            answer = await response.json(content_type=None)
            if response.status >= 400:
                self.statistics.refused += 1
                self.statistics.last_problem = f"{path}: {response.status} {str(answer)[:200]}"
                return None
            return dict(answer)
