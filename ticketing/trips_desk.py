"""Trips bought ahead onto a city card, cheaper by the dozen, and never more than the tariff lets a card hold."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from sql import query
from ticketing.books import Books
from ticketing.card_checks import parse_card_uid
from ticketing.errors import Problem
from ticketing.sales import Order, Sales, SoldTicket
from ticketing.tariff import TRIPS, Tariff


class TripsDesk:
    """Sells trips; raises Problem for what cannot be done as asked."""

    def __init__(self, books: Books, sales: Sales, tariff: Tariff, clock: Callable[[], float] = time.time) -> None:
        self._books = books
        self._sales = sales
        self._tariff = tariff
        self._clock = clock

    async def sell(self, uid_text: str, trips: int, *, subject: str, idempotency_key: str | None = None) -> SoldTicket:
        """So many trips for cash, as one ticket on the card; the same key and request again get the same ticket."""
        uid = parse_card_uid(uid_text)
        try:
            product = self._tariff.trips_ahead(trips)
        except ValueError as error:
            raise Problem(422, "Not sold", f"trips: {error}") from None
        order = Order(product, int(self._clock()), subject, card_uid=uid)

        async def sale(connection: Any) -> SoldTicket:
            held = await connection.fetchval(query("rating.trips_held"), uid, TRIPS, self._clock())
            if held is None:
                raise Problem(404, "No such card", f"no card {uid.hex()} is enrolled here")
            most = self._tariff.trips.held_max if self._tariff.trips else 0
            if held + trips > most:
                raise Problem(
                    409, "Too many trips", f"the card holds {held} trips; with {trips} it had more than {most}"
                )
            return await self._sales.sell(connection, order)

        return await self._books.once(subject, idempotency_key, ("trips", uid_text, trips), SoldTicket, sale)
