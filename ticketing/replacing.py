"""A lost or worn city card gives way to another: purse, tickets and concession go there, and the old one is over.

The old card keeps its rides: what a validator uploads late is still rated with the tickets that it held until now. So
its tickets are not moved but revoked, and the new card gets tickets for what is left of them. Caps and transfers go on:
the first day of the new card begins with what the old one's last day handed on.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta, Struct

from sql import query
from ticketing import ledger
from ticketing.account_rows import card_account
from ticketing.books import Books, Done, audit, book
from ticketing.card_checks import parse_card_uid
from ticketing.cards import Card, CardDesk
from ticketing.errors import Problem
from ticketing.masking import mask_text
from ticketing.money import Money
from ticketing.routes import Route
from ticketing.status_places import take_place


class Replacing(Struct, forbid_unknown_fields=True):
    """The card that takes another one's place, enrolled and never used, and why."""

    new_uid: Annotated[str, Meta(min_length=14, max_length=20)]
    reason: Annotated[str, Meta(min_length=1, max_length=200)]


class ReplacingApi:
    """The one operation by which a city card gives way to another."""

    def __init__(self, books: Books, cards: CardDesk, clock: Callable[[], float] = time.time) -> None:
        self._books = books
        self._cards = cards
        self._clock = clock

    def routes(self) -> list[Route]:
        """Method, path, permission and handler."""
        return [Route("POST", "/api/v1/cards/{uid}/replace", "tickets:change", self.replace)]

    async def replace(self, uid: str, *, body: Replacing, subject: str, idempotency_key: str | None) -> Card:
        """Carry all that a city card holds to another one and end it for good; shows the new card."""
        old, new = parse_card_uid(uid), parse_card_uid(body.new_uid)

        async def carry(connection: Any) -> Done:
            await connection.fetch(query("replacing.lock_cards"), [old, new])
            rows = {bytes(row["uid"]): row for row in await connection.fetch(query("replacing.cards"), [old, new])}
            await _check(connection, rows, old, new)
            row = rows[old]
            carried = await self._carry_tickets(connection, old, new, subject, body.reason)
            await connection.execute(query("replacing.empty_purse"), old)
            await connection.execute(query("replacing.fill"), new, row["balance_minor"], row["category"])
            if row["balance_minor"]:
                for line, card in ledger.replaced(old, new, Money(row["balance_minor"], row["currency"])):
                    await book(connection, line, subject, card_uid=card)
            await connection.execute(query("replacing.note"), old, new)
            await self._hand_over_day(connection, old)
            await connection.fetchval(query("top_ups.remove"), old)
            await connection.execute(query("top_ups.forget"), old)
            # On the deny list and not revoked: rides of before, told late, are judged by when they were made.
            await connection.fetchval(query("lists.deny"), "card", old, False, f"replaced_by:{new.hex()}")
            said = {"by": f"card:{new.hex()}", "amount_minor": row["balance_minor"], "tickets": carried}
            await audit(connection, subject, "replace", f"card:{old.hex()}", reason=body.reason, **said)
            return Done()

        asked = ("replace", uid, body.new_uid, body.reason)
        await self._books.once(subject, idempotency_key, asked, Done, carry)
        return await self._cards.get_card(body.new_uid)

    async def _hand_over_day(self, connection: Any, old: bytes) -> None:
        """Have the old card's newest days rated once more: now all their rides are handed over, not the last ones."""
        now_s = self._clock()
        since = datetime.fromtimestamp(now_s - 86_400.0, UTC).date()  # today's in any zone, and the day before
        await connection.execute(query("rating.look_again"), card_account(old), since, now_s)

    async def _carry_tickets(self, connection: Any, old: bytes, new: bytes, subject: str, reason: str) -> int:
        """Give the new card what is left of the old one's tickets; says of how many."""
        tickets = await connection.fetch(query("replacing.lock_tickets"), old, self._clock())
        for ticket in tickets:
            await _carry_ticket(connection, ticket["id"], new, subject)
            await connection.execute(query("replacing.end_ticket"), ticket["id"], mask_text(reason))
        return len(tickets)


async def _carry_ticket(connection: Any, ticket_id: UUID, new: bytes, subject: str) -> None:
    new_id = UUID(bytes=secrets.token_bytes(16), version=4)

    def carry(*place: int) -> Any:
        return connection.fetchval(query("replacing.carry_ticket"), ticket_id, new_id, new, *place, subject)

    await take_place(connection, carry)


async def _check(connection: Any, rows: dict[bytes, Any], old: bytes, new: bytes) -> None:
    """Problem 404 or 409 says why the one cannot take the other's place."""
    for uid in (old, new):
        if uid not in rows:
            raise Problem(404, "No such card", f"no card {uid.hex()} is enrolled here")
    before, after = rows[old], rows[new]
    if old == new:
        raise Problem(409, "Same card", "a card is replaced by another one")
    if before["replaced"]:
        raise Problem(409, "Card replaced", f"card {old.hex()} has been replaced before")
    if before["debt_minor"]:
        owes = Money(before["debt_minor"], before["currency"])
        raise Problem(409, "Card owes", f"card {old.hex()} owes {owes}: put that on it first, then replace it")
    if await connection.fetchval(query("top_ups.under_way"), old):
        raise Problem(409, "Top-up under way", f"a top-up of card {old.hex()} is under way: try again in a minute")
    fresh = after["untouched"] and not (after["balance_minor"] or after["debt_minor"] or after["holds_tickets"])
    if not fresh or after["denied"] or after["status"] != "active":
        raise Problem(409, "Card in use", f"card {new.hex()} is or was somebody's: enrol another one for this")
