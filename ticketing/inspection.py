"""Inspections: what a controller sees of a medium, without using it up."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable

import msgspec

from sql import query
from ticketing.books import Books
from ticketing.reading import Readers, Reading, read_tap
from ticketing.verdict import SAY, Say, Tap, Verdict


class Inspection(msgspec.Struct, frozen=True):
    """What is known of a medium now. verdict: what a tap would be refused for, uses and money aside; else accepted.

    last_used_at (Unix seconds) and last_place (operator/vehicle) tell the last accepted tap; used_here compares the
    place with the vehicle that was named, null where none was.
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
    last_used_at: float | None = None
    last_place: str | None = None
    used_here: bool | None = None


class Inspector:
    """Looks media up as the judge would read them."""

    def __init__(self, books: Books, readers: Callable[[], Readers], clock: Callable[[], float] = time.time) -> None:
        self._books = books
        self._readers = readers
        self._clock = clock

    async def inspect(self, medium: str, token: str, vehicle: str | None) -> Inspection:
        """Read a token and say what it is worth now; a card's message counts as read, so it is good for no tap."""
        now_s = self._clock()
        tap = Tap(str(uuid.uuid4()), "", 0, now_s, medium, token, None, vehicle, None, None, None, None, "", "", now_s)
        reading = read_tap(tap, self._readers())
        if reading.preset is not None and reading.medium is None:
            return _refused(Verdict(reading.preset), reading.reason)
        async with self._books.writing() as connection:
            if reading.card_uid is not None:
                fresh = await connection.fetchval(
                    query("cards.see"), reading.card_uid, reading.counter, uuid.UUID(tap.id), reading.key_version
                )
                row = await connection.fetchrow(query("cards.inspect"), reading.card_uid, now_s)
                preset = reading.preset if fresh or row is None else Verdict.REPLAYED
            else:
                row = await connection.fetchrow(query("tickets.inspect"), reading.ticket_id, now_s)
                preset = reading.preset
        if row is None:
            return _refused(Verdict.UNKNOWN, None)
        verdict = Verdict(preset or row["verdict"])
        return _seen(verdict, reading, dict(row), vehicle)


NOT_HERE = Say("Дійсний, але тут не прикладено", "Valid, but not tapped on this vehicle")


def _refused(verdict: Verdict, reason: str | None) -> Inspection:
    return Inspection(verdict, reason, SAY[verdict])


def _seen(verdict: Verdict, reading: Reading, row: dict[str, object], vehicle: str | None) -> Inspection:
    row.pop("verdict")
    place = row["last_place"]
    here = None if vehicle is None else isinstance(place, str) and vehicle in (place, place.rpartition("/")[2])
    uid = reading.card_uid.hex() if reading.card_uid else None
    fields = msgspec.convert(row, _Facts)
    return Inspection(
        verdict,
        reading.reason,
        NOT_HERE if verdict is Verdict.ACCEPTED and here is False else SAY[verdict],
        str(fields.ticket_id) if fields.ticket_id else None,
        uid,
        fields.product_id,
        fields.valid_until,
        fields.uses,
        fields.uses_allowed,
        fields.balance_minor,
        fields.last_used_at,
        fields.last_place,
        here,
    )


class _Facts(msgspec.Struct):
    ticket_id: uuid.UUID | None
    product_id: str | None
    valid_until: float | None
    uses: int | None
    uses_allowed: int | None
    balance_minor: int | None
    last_used_at: float | None
    last_place: str | None
