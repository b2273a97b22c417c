"""Transactions of the desk: each change with its ledger line, its audit row and its answer, or none of them."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any, TypeVar
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Meta

from sql import query
from ticketing.errors import Problem
from ticketing.ledger import Transfer
from ticketing.masking import mask_text
from ticketing.payment import operation_key
from ticketing.store import AWAY, Store

KEY_CHARACTERS_MAX = 255
IN_THE_WAY = (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError, asyncpg.SerializationError)

T = TypeVar("T", bound=msgspec.Struct)


Act = tuple[str, str, dict[str, object]]
"""What was done to which object, with what belongs to it."""


class Change(msgspec.Struct):
    """Why a person changes something."""

    reason: Annotated[str, Meta(min_length=1, max_length=500)]


class Done(msgspec.Struct):
    """The answer to a change that has no answer of its own."""


class Books:
    """Transactions in which a person's change is made, booked and remembered."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Any]:
        """A connection to look things up with; Problem 503 when the database is away."""
        try:
            async with self._store.connection() as connection:
                yield connection
        except AWAY as error:
            raise _away() from error

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Any]:
        """A connection in a transaction; Problem 503 when the database is away, or others are in the way for long."""
        try:
            async with self._store.transaction() as connection:
                yield connection
        except IN_THE_WAY as error:
            raise Problem(503, "Busy", "others work on the same just now: nothing was done, try again") from error
        except AWAY as error:
            raise _away() from error

    async def once(
        self, subject: str, key: str | None, asked: object, kind: type[T], act: Callable[[Any], Awaitable[T]]
    ) -> T:
        """Act in one transaction; under a client's key only once, after which the stored answer is given again.

        asked is the whole request: the same key with another request is the client's mistake, and refused.
        """
        if key is None:
            async with self.writing() as connection:
                return await act(connection)
        if not 0 < len(key) <= KEY_CHARACTERS_MAX or not key.isprintable():
            raise Problem(422, "Bad Idempotency-Key", f"it has 1 to {KEY_CHARACTERS_MAX} printable characters")
        if mask_text(key) != key:  # what could be a card number is kept as its hash
            key = operation_key("key", key)
        request_hash = hashlib.sha256(msgspec.msgpack.encode(asked)).digest()
        async with self.writing() as connection:
            await connection.execute(query("desk.claim"), subject, key)
            before = await connection.fetchrow(query("desk.answered"), subject, key)
            if before is not None:
                if before["request_hash"] != request_hash:
                    raise Problem(422, "Idempotency-Key reused", "it was used for another request: make a new one")
                return msgspec.msgpack.decode(before["answer"], type=kind)
            done = await act(connection)
            await connection.execute(query("desk.remember"), subject, key, request_hash, msgspec.msgpack.encode(done))
            return done


async def book(
    connection: Any,
    transfer: Transfer,
    subject: str,
    *,
    ticket_id: UUID | None = None,
    card_uid: bytes | None = None,
    reverses: int | None = None,
) -> None:
    """Write one line into the ledger."""
    amount = transfer.amount
    line = (transfer.kind.value, transfer.debit, transfer.credit, amount.minor, amount.currency)
    await connection.fetchval(query("ledger.insert"), *line, ticket_id, card_uid, reverses, subject)


async def audit(connection: Any, subject: str, action: str, what: str, **details: object) -> None:
    """Record who did what, without anything that could be a card number."""
    safe = {name: mask_text(value) if isinstance(value, str) else value for name, value in details.items()}
    await connection.execute(query("desk.audit"), subject, action, what, msgspec.json.encode(safe).decode())


async def audit_all(connection: Any, subject: str, acts: Sequence[Act]) -> None:
    """Record many acts (action, object, details) in one statement, in their order."""
    actions, objects, details = zip(*acts, strict=True) if acts else ((), (), ())
    written = [msgspec.json.encode(one).decode() for one in details]
    await connection.execute(query("desk.audit_all"), subject, list(actions), list(objects), written)


def _away() -> Problem:
    return Problem(503, "Database away", "the database cannot be asked now: try again in a moment")
