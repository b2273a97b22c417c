"""Auto-top-up over HTTP: set by a cashier with the holder's bank card at the desk's reader, shown, and ended."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Annotated, Any

from msgspec import Meta, Struct

from sql import query
from ticketing.auto_top_up import AutoTopUp, out_of_bounds, read_auto_top_up
from ticketing.books import Books, Done, audit
from ticketing.card_checks import check_in_use, parse_card_uid
from ticketing.errors import Problem
from ticketing.operations import Operations
from ticketing.payment import Declined, Unknown, bad_token, in_letters, letters, medium_key
from ticketing.routes import Route
from ticketing.tariff import Tariff

MAX_PER_DAY = 10
MinorUnits = Annotated[int, Meta(gt=0, le=10**12)]


class AutoTopUpTerms(Struct, forbid_unknown_fields=True):
    """What the holder agrees to, in minor units; method_token: the acquirer's token of a bank card, not its number."""

    method_token: Annotated[str, Meta(min_length=1, max_length=128)]
    threshold_minor: MinorUnits
    amount_minor: MinorUnits
    max_per_day: Annotated[int, Meta(ge=1, le=MAX_PER_DAY)] = 1


class AutoTopUpApi:
    """The operations; without an acquirer (operations None) none can be set. may_ask: see PurchaseApi."""

    def __init__(
        self, books: Books, operations: Operations | None, tariff: Tariff, may_ask: Callable[[str], float]
    ) -> None:
        self._books = books
        self._operations = operations
        self._tariff = tariff
        self._may_ask = may_ask

    def routes(self) -> list[Route]:
        """The operations."""
        path = "/api/v1/cards/{uid}/auto-top-up"
        return [
            Route("PUT", path, "tickets:change", self.set),
            Route("GET", path, "accounts:read", self.get),
            Route("DELETE", path, "tickets:change", self.end),
        ]

    async def set(self, uid: str, *, body: AutoTopUpTerms, subject: str, idempotency_key: str | None) -> AutoTopUp:
        """Have a city card topped up from a bank card whenever its purse runs low; also goes on after a pause."""
        card_uid = parse_card_uid(uid)
        if why := bad_token(body.method_token):
            raise Problem(422, "Bad payment token", f"method_token: {why}")
        currency = self._tariff.currency
        if why := out_of_bounds(self._tariff.top_ups, body.threshold_minor, body.amount_minor, currency):
            raise Problem(422, "Amount out of range", why)
        await self._know(card_uid, in_use=True)
        operations = await self._verify(body.method_token)
        terms = (in_letters(body.method_token), body.threshold_minor, body.amount_minor, body.max_per_day)

        async def agree(connection: Any) -> Done:
            # First the payment and then the agreement, as its answer is booked.
            await connection.execute(query("top_ups.reopen_unclear"), card_uid, operations.clock())
            await connection.execute(query("top_ups.set"), card_uid, *terms, operations.clock())
            said = {"threshold_minor": terms[1], "amount_minor": terms[2], "max_per_day": terms[3]}
            await audit(connection, subject, "set_auto_top_up", f"card:{card_uid.hex()}", **said)
            return Done()

        await self._books.once(subject, idempotency_key, ("auto_top_up", card_uid, *terms), Done, agree)
        return await self.get(uid)

    async def get(self, uid: str) -> AutoTopUp:
        """A city card's auto-top-up, and what became of the last one."""
        card_uid = parse_card_uid(uid)
        async with self._books.reading() as connection:
            found = await read_auto_top_up(connection, card_uid)
        if found is None:
            await self._know(card_uid)
            raise _none(card_uid)
        return found

    async def end(self, uid: str, *, subject: str) -> None:
        """End a city card's auto-top-up and forget the bank card; a top-up that is under way is still booked."""
        card_uid = parse_card_uid(uid)
        async with self._books.writing() as connection:
            if not await connection.fetchval(query("top_ups.remove"), card_uid):
                raise _none(card_uid)
            await connection.execute(query("top_ups.forget"), card_uid)
            await audit(connection, subject, "end_auto_top_up", f"card:{card_uid.hex()}")

    async def _know(self, card_uid: bytes, *, in_use: bool = False) -> None:
        async with self._books.reading() as connection:
            if await connection.fetchrow(query("cards.get"), card_uid) is None:
                raise Problem(404, "No such card", f"no card {card_uid.hex()} is enrolled here")
            if in_use:
                await check_in_use(connection, card_uid)

    async def _verify(self, token: str) -> Operations:
        """Ask the acquirer whether a bank card may be charged; Problem where it may not, or nobody can say."""
        if self._operations is None:
            raise Problem(503, "Auto-top-up off", "no acquirer is set here: set payments.url to charge bank cards")
        if self._may_ask(f"card {medium_key(token).hex()}") > 0:
            raise Problem(429, "Too many tries", "this bank card was tried too often: wait a little")
        # A key of its own each time: a card that was declined once may be good by now.
        outcome = await self._operations.verify(in_letters(token), letters(secrets.token_bytes(20)))
        match outcome:
            case Declined(reason):
                raise Problem(402, "Card declined", f"the bank card was declined ({reason}): name another one")
            case Unknown():
                raise Problem(503, "Acquirer away", "the acquirer cannot be asked now: nothing was set, try again")
        return self._operations


def _none(card_uid: bytes) -> Problem:
    return Problem(404, "No auto-top-up", f"card {card_uid.hex()} is not topped up by itself")
