"""Tops up city cards whose purse has run low, from the bank card that their holders have named, each time once.

An order and its question to the acquirer are committed before anything is asked; the answer is booked with the order's
end in one transaction (ticketing.operations). Agreements are looked at in turn by UID, a part at a time, so that taps
pay nothing for this: with n of them a purse is seen to be low within n / SWEPT_MAX rounds.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from types import TracebackType
from typing import Any, Self

import asyncpg

from sql import query
from ticketing import ledger
from ticketing.auto_top_up import out_of_bounds
from ticketing.books import audit
from ticketing.cards import settle_debt
from ticketing.money import Money
from ticketing.operations import Drain, Operation, Operations, write_down
from ticketing.payment import Approved, Declined, operation_key
from ticketing.store import AWAY, RETRIED
from ticketing.tariff import Tariff

SWEPT_MAX = 1000
"""Agreements compared with their purses in one round."""
ORDERS_MAX = 64
"""Top-ups written down in one round."""
IDLE_S = 1.0
BACK_OFF_S_MAX = 30.0
GAUGE_S = 5.0
LATER_S = 600.0
"""A card that cannot be topped up now (blocked, or often enough today) is looked at again so much later."""
ANSWER_S = 60.0
"""A card whose order has no answer yet is."""
MADE_BY = "auto_top_up"
OUT_OF_BOUNDS = "out_of_bounds"


class ToppingUp:
    """The worker: `async with ToppingUp(...)` keeps purses filled. It books the answers to its orders, too."""

    def __init__(self, operations: Operations, tariff: Tariff, *, idle_s: float = IDLE_S) -> None:
        self._operations = operations
        self._tariff = tariff
        self._idle_s = idle_s
        self._store = operations.store
        self._drain = Drain(operations)
        self._after = b""
        self.counters: Counter[str] = Counter()
        self._gauges: dict[str, float] = {}
        self._gauges_at = 0.0
        self._task: asyncio.Task[None] | None = None
        operations.of_top_ups = self

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._work(), name="ticketing-topping-up")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def gauges(self) -> dict[str, float]:
        """Agreements that are on and paused, and orders without an answer; read every GAUGE_S."""
        return dict(self._gauges)

    async def _work(self) -> None:
        failures = 0
        while True:
            try:
                busy = await self.once()
                await self._measure()
            except RETRIED:
                self.counters["retried"] += 1
                busy = 0
            except (asyncpg.PostgresError, *AWAY):
                self.counters["failures"] += 1
                failures += 1
                busy = 0
            except Exception:  # a fault of ours: purses must be filled after it all the same
                self.counters["faults"] += 1
                failures += 1
                busy = 0
            else:
                failures = 0
            if busy < ORDERS_MAX:
                await asyncio.sleep(min(BACK_OFF_S_MAX, self._idle_s * 2 ** min(failures, 8)))

    async def once(self) -> int:
        """One round: the next part of the agreements is looked at, and the acquirer is asked; how much there was."""
        async with self._store.connection() as connection:
            rows = await connection.fetch(query("top_ups.sweep"), self._after, SWEPT_MAX, self._operations.clock())
        low = [row["card_uid"] for row in rows if row["low"]]
        if len(low) > ORDERS_MAX:
            low = low[:ORDERS_MAX]
            self._after = low[-1]
        else:
            self._after = rows[-1]["card_uid"] if len(rows) == SWEPT_MAX else b""
        written = 0
        for uid in low:
            written += await self._order(uid)
        asked = await self._drain.once()
        return max(written, asked)

    async def _order(self, uid: bytes) -> bool:
        """Write a card's top-up down, if it is still wanted and allowed once everybody else is kept out."""
        now_s = self._operations.clock()
        async with self._store.transaction() as connection:
            if await connection.fetchval(query("top_ups.lock"), uid) is None:
                return False
            await connection.execute(query("top_ups.lock_card"), uid)
            row = await connection.fetchrow(query("top_ups.standing"), uid, now_s)
            if row["balance_minor"] >= row["threshold_minor"]:
                return False
            if row["open"] or row["blocked"] or row["today"] >= row["max_per_day"]:
                wait_s = ANSWER_S if row["open"] else LATER_S
                await connection.execute(query("top_ups.look_later"), uid, now_s + wait_s)
                self.counters["put_off"] += 1
                return False
            if self._not_allowed(row):
                await connection.execute(query("top_ups.pause"), uid, OUT_OF_BOUNDS)
                await self._note_pause(connection, uid, OUT_OF_BOUNDS)
                return False
            await self._write(connection, uid, row, now_s)
        self.counters["orders"] += 1
        self._operations.fail_point("written")
        return True

    def _not_allowed(self, row: Any) -> bool:
        """Whether the tariff has changed so that it would not allow this any more."""
        rules = self._tariff.top_ups
        return out_of_bounds(rules, row["threshold_minor"], row["amount_minor"], row["currency"]) is not None

    async def _write(self, connection: Any, uid: bytes, row: Any, now_s: float) -> None:
        """The order and its question, under a key that follows from the card, its orders before and what is asked."""
        amount, token = Money(row["amount_minor"], row["currency"]), row["method_token"]
        order_id = operation_key(MADE_BY, uid.hex(), row["orders"], token, amount.minor, amount.currency)
        order = (order_id, uid, amount.minor, amount.currency, now_s)
        await connection.execute(query("top_ups.insert_order"), *order)
        await write_down(connection, order_id, "charge", now_s, top_up_id=order_id, token=token, amount=amount)

    async def settle(self, connection: Any, operation: Operation, outcome: Approved | Declined) -> None:
        """Book an answer with the order's end; agreement before card, in the order in which `_order` locks them."""
        order = await connection.fetchrow(query("top_ups.lock_order"), operation.top_up_id)
        if order["state"] != "open":
            return
        uid, now_s = order["card_uid"], self._operations.clock()
        if isinstance(outcome, Declined):
            await connection.execute(query("top_ups.settle_order"), order["id"], "declined", outcome.reason, now_s)
            if await connection.fetchval(query("top_ups.pause_method"), uid, operation.key, outcome.reason):
                await self._note_pause(connection, uid, outcome.reason)
            return
        await connection.execute(query("top_ups.settle_order"), order["id"], "approved", None, now_s)
        await connection.execute(query("top_ups.topped_up"), uid, now_s)
        amount = Money(order["amount_minor"], order["currency"])
        await connection.fetchrow(query("cards.top_up"), uid, amount.minor)
        transfer = ledger.top_up(uid, amount, ledger.ACQUIRER)
        line = (transfer.kind.value, transfer.debit, transfer.credit, amount.minor, amount.currency)
        await connection.execute(query("top_ups.book"), *line, uid, MADE_BY, operation.key)
        await settle_debt(connection, uid, MADE_BY)
        await audit(connection, MADE_BY, "top_up", f"card:{uid.hex()}", amount_minor=amount.minor, order=order["id"])
        self.counters["topped_up"] += 1

    async def _note_pause(self, connection: Any, uid: bytes, reason: str) -> None:
        await audit(connection, MADE_BY, "pause_auto_top_up", f"card:{uid.hex()}", reason=reason)
        self.counters["pauses"] += 1

    async def _measure(self) -> None:
        if time.monotonic() < self._gauges_at:
            return
        self._gauges_at = time.monotonic() + GAUGE_S
        async with self._store.connection() as connection:
            row = await connection.fetchrow(query("top_ups.figures"))
        self._gauges = {name: float(value) for name, value in row.items()}
