"""Operations at the acquirer: each written down before it is asked, asked until there is an answer, and booked once.

The order is what makes a crash harmless. A row of table payment is committed before anything is asked; the question
goes out under the row's key; the answer is booked in the transaction that settles the row. Whoever dies between two of
these steps leaves a row that is asked again under the same key, and the acquirer answers what it has answered before.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol, assert_never

import asyncpg

from sql import query
from ticketing.payment import Approved, Declined, Outcome, Payments, Unknown, from_letters, in_letters
from ticketing.payment_rows import Operation, read_operation
from ticketing.store import AWAY, Store

IN_HAND_S = 60.0
"""Longer than any answer is waited for: until then nobody else asks the same."""
AGAIN_S_FIRST, AGAIN_S_MAX = 5.0, 3600.0
ASKS_MAX = 32
"""Some 24 hours; after that a person has to look (state unclear), but at purchases: they are asked for every hour."""
OTHER_REQUEST = "http_409"
"""The acquirer knows the key with another request, and will say so for ever."""
_COUNTED = {"verify": "verifications", "charge": "charges", "refund": "refunds"}


class Effects(Protocol):
    """What an answer changes in our books."""

    async def settle(self, connection: Any, operation: Operation, outcome: Approved | Declined) -> None:
        """Book an outcome, in the transaction that settles its row; called once for an operation."""


def no_fail_point(_: str) -> None:
    """Nothing fails here; a test may kill the process instead."""


class Operations:
    """Asks what table payment holds; of_purchases, of_accounts and of_top_ups are told the answers."""

    def __init__(
        self,
        store: Store,
        payments: Payments,
        clock: Callable[[], float],
        statement: str = "Takt",
        fail_point: Callable[[str], None] = no_fail_point,
    ) -> None:
        self.store = store
        self.clock = clock
        self.counters: Counter[str] = Counter()
        self.fail_point = fail_point
        self.of_purchases: Effects | None = None
        self.of_accounts: Effects | None = None
        self.of_top_ups: Effects | None = None
        self._payments = payments
        self._statement = statement

    async def ask(self, key: str) -> bool:
        """Ask one operation if it is due and in nobody's hands; whether it is settled now.

        Faults of the database are raised; the operation is asked again when its time comes.
        """
        now_s = self.clock()
        async with self.store.connection() as connection:
            row = await connection.fetchrow(query("payments.take"), key, now_s, now_s + IN_HAND_S)
        if row is None:
            return False
        operation = read_operation(row)
        self.fail_point("taken")
        outcome = await self._call(operation)
        self.fail_point("answered")
        settled = await self._settle(operation, outcome)
        self.fail_point("settled")
        return settled

    async def ask_now(self, key: str) -> None:
        """Ask one operation for somebody who waits; where the database goes away meanwhile, it is left to workers."""
        try:
            await self.ask(key)
        except (*AWAY, asyncpg.PostgresError):
            self.counters["cut_off"] += 1

    async def _call(self, operation: Operation) -> Outcome:
        key, amount = operation.key, operation.amount
        match operation.kind:
            case "verify":
                assert operation.token is not None
                return await self._payments.verify(from_letters(operation.token), key)
            case "charge":
                assert operation.token is not None
                assert amount is not None
                return await self._payments.charge(from_letters(operation.token), amount, key, self._statement)
            case "refund":
                assert operation.refunds is not None
                assert amount is not None
                return await self._payments.refund(from_letters(operation.refunds), amount, key)
            case _:
                assert_never(operation.kind)

    async def _settle(self, operation: Operation, outcome: Outcome) -> bool:
        """Book an answer with everything that follows from it; an operation that has one already keeps it."""
        now_s, key, counted = self.clock(), operation.key, _COUNTED[operation.kind]
        async with self.store.transaction() as connection:
            row = await connection.fetchrow(query("payments.lock"), key)
            if row["state"] != "asked":
                self.counters["answered_twice"] += 1
                return True
            if isinstance(outcome, Unknown):
                again_s = min(AGAIN_S_MAX, AGAIN_S_FIRST * 2.0 ** min(row["asks"] - 1, 20))
                state = "asked" if _worth_asking(operation, row["asks"], outcome) else "unclear"
                await connection.execute(query("payments.postpone"), key, state, now_s + again_s, outcome.reason)
                self.counters[f"{counted}.unknown"] += 1
                return False
            effects = self._effects(operation)
            if effects is None:
                # Asked by a process that cannot book this: the one that can asks again under the same key.
                await connection.execute(query("payments.postpone"), key, "asked", now_s, None)
                return False
            word, acquirer_id, reason = _said(outcome)
            await connection.execute(query("payments.settle"), key, word, now_s, acquirer_id, reason)
            await effects.settle(connection, operation, outcome)
        self.counters[f"{counted}.{word}"] += 1
        return True

    async def verify(self, token: str, key: str) -> Outcome:
        """Ask whether a token (in letters) may be charged; nothing is written down, since it takes no money."""
        return await self._payments.verify(from_letters(token), key)

    def _effects(self, operation: Operation) -> Effects | None:
        """Whose books an operation is for."""
        if operation.top_up_id is not None:
            return self.of_top_ups
        return self.of_accounts if operation.purchase_id is None else self.of_purchases


def _worth_asking(operation: Operation, asks: int, outcome: Unknown) -> bool:
    """Whether what has no answer after so many asks is asked for again, or a person has to look.

    A buyer waits for a ticket, or for money back, and nobody else would ask for it again. But a ticket that was given
    back once more after a backup was restored, with another amount, never has an answer under the key of before.
    """
    if asks < ASKS_MAX:
        return True
    is_another = operation.kind == "refund" and outcome.reason == OTHER_REQUEST
    return operation.purchase_id is not None and not is_another


def _said(outcome: Approved | Declined) -> tuple[str, str | None, str | None]:
    """The state, the acquirer's id in letters and the reason."""
    if isinstance(outcome, Approved):
        return "approved", in_letters(outcome.id), None
    return "declined", None, outcome.reason


class Drain:
    """Asks everything that is due, a few at a time."""

    def __init__(self, operations: Operations, at_once: int = 8, batch_max: int = 64) -> None:
        self._operations = operations
        self._at_once = at_once
        self._batch_max = batch_max

    async def once(self) -> int:
        """One batch; how many were asked. A fault of one does not keep the others from being asked."""
        operations = self._operations
        async with operations.store.connection() as connection:
            rows = await connection.fetch(query("payments.list_due"), operations.clock(), self._batch_max)
        room = asyncio.Semaphore(self._at_once)

        async def one(key: str) -> None:
            async with room:
                with contextlib.suppress(TimeoutError):
                    await operations.ask(key)

        faults = await asyncio.gather(*(one(row["key"]) for row in rows), return_exceptions=True)
        for fault in faults:
            if isinstance(fault, BaseException):
                raise fault
        return len(rows)
