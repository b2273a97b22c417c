"""Inspections: what a controller sees of a medium, without using it up."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import msgspec

from sql import query
from ticketing.books import Books
from ticketing.payment import medium_key
from ticketing.reading import Readers, Reading, read_shown
from ticketing.verdict import SAY, Say, Verdict


class Inspection(msgspec.Struct, frozen=True):
    """What is known of a medium now. verdict: what a tap would be refused for, uses and money aside; else accepted.

    last_used_at (Unix seconds) and last_place (operator/vehicle) tell the last accepted tap; used_here says whether it
    was in the last three hours on the vehicle that was named, null where none was. A code whose last use was elsewhere,
    or longer ago, is used_up.
    """

    verdict: Verdict
    reason: str | None
    say: Say
    ticket_id: str | None = None
    card_uid: str | None = None
    product_id: str | None = None
    valid_until: float | None = None
    uses: int | None = None
    uses_allowed: int | None = None
    balance_minor: int | None = None
    currency: str | None = None
    last_used_at: float | None = None
    last_place: str | None = None
    used_here: bool | None = None


class _Facts(msgspec.Struct):
    """What the books say of a medium, but for the verdict."""

    ticket_id: UUID | None
    product_id: str | None
    valid_until: float | None
    uses: int | None
    uses_allowed: int | None
    balance_minor: int | None
    currency: str | None
    last_used_at: float | None
    last_place: str | None


USED_HERE_S_MAX = 3 * 3600.0
"""Longer than any ride: what was tapped on this vehicle before that was tapped for another ride."""
NOT_HERE = Say("Дійсний, але тут не прикладено", "Valid, but not tapped on this vehicle")


class Inspector:
    """Looks media up as the judge would read them."""

    def __init__(self, books: Books, readers: Callable[[], Readers], clock: Callable[[], float] = time.time) -> None:
        self._books = books
        self._readers = readers
        self._clock = clock

    async def inspect(self, medium: str, token: str, vehicle: str | None) -> Inspection:
        """Read a token and say what it is worth now; a card's message counts as read, so it is good for no tap."""
        now_s = self._clock()
        reading = read_shown(medium, token, now_s, self._readers())
        if reading.preset is not None and reading.medium is None:
            return _refused(Verdict(reading.preset), reading.reason)
        preset = reading.preset
        async with self._books.writing() as connection:
            if reading.tap.medium == "bank":
                row = await connection.fetchrow(query("bank.inspect"), medium_key(token))
            elif reading.card_uid is not None:
                fresh = await spend_message(connection, reading)
                row = await connection.fetchrow(query("cards.inspect"), reading.card_uid, now_s)
                preset = preset if fresh else Verdict.REPLAYED
            else:
                row = await connection.fetchrow(query("tickets.inspect"), reading.ticket_id, now_s)
        if row is None:
            return _refused(Verdict.UNKNOWN, None)
        return _seen(Verdict(preset or row["verdict"]), reading, msgspec.convert(dict(row), _Facts), vehicle)


async def spend_message(connection: Any, reading: Reading) -> bool:
    """Count a card's message as read; False for one read before, older than the last, or of a card not enrolled."""
    message = (reading.card_uid, reading.counter, UUID(reading.tap.id), reading.key_version)
    return bool(await connection.fetchval(query("cards.see"), *message))


def _refused(verdict: Verdict, reason: str | None) -> Inspection:
    return Inspection(verdict, reason, SAY[verdict])


def _seen(verdict: Verdict, reading: Reading, facts: _Facts, vehicle: str | None) -> Inspection:
    place = facts.last_place
    here = None if vehicle is None else _used_here(facts, vehicle, reading.tap.received_s)
    if verdict is Verdict.ACCEPTED and here is False and reading.ticket_id is not None and _all_used(facts):
        verdict = Verdict.USED_UP
    return Inspection(
        verdict,
        reading.reason,
        NOT_HERE if verdict is Verdict.ACCEPTED and here is False else SAY[verdict],
        ticket_id=str(facts.ticket_id) if facts.ticket_id else None,
        card_uid=reading.card_uid.hex() if reading.card_uid else None,
        product_id=facts.product_id,
        valid_until=facts.valid_until,
        uses=facts.uses,
        uses_allowed=facts.uses_allowed,
        balance_minor=facts.balance_minor,
        currency=facts.currency,
        last_used_at=facts.last_used_at,
        last_place=place,
        used_here=here,
    )


def _used_here(facts: _Facts, vehicle: str, now_s: float) -> bool:
    place, at_s = facts.last_place, facts.last_used_at
    if place is None or at_s is None:
        return False
    return vehicle in (place, place.rpartition("/")[2]) and now_s - at_s < USED_HERE_S_MAX


def _all_used(facts: _Facts) -> bool:
    return facts.uses_allowed is not None and facts.uses is not None and facts.uses >= facts.uses_allowed
