"""Tops up city cards whose purse has run low, from the bank card that their holders have named, each time once.

An order and its question to the acquirer are committed before anything is asked; the answer is booked with the order's
end in one transaction (ticketing.operations). Agreements are looked at in turn by UID, a part at a time, so that taps
pay nothing for this: with n of them a purse is seen to be low within n / SWEPT_MAX rounds.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from sql import query
from ticketing import ledger
from ticketing.auto_top_up import out_of_bounds
from ticketing.books import audit
from ticketing.cards import settle_debt
from ticketing.money import Money
from ticketing.operations import Drain, Operations
from ticketing.payment import Approved, Declined, operation_key
from ticketing.payment_rows import Operation, write_down
from ticketing.rounds import IDLE_S, Rounds
from ticketing.tariff import Tariff

SWEPT_MAX = 1000
"""Agreements compared with their purses in one round."""
ORDERS_MAX = 64
"""Top-ups written down in one round."""
LATER_S = 600.0
"""A card that cannot be topped up now (blocked, or often enough today) is looked at again so much later."""
ANSWER_S = 60.0
"""A card whose order has no answer yet is."""
MADE_BY = "auto_top_up"
OUT_OF_BOUNDS = "out_of_bounds"


class ToppingUp:
    """The worker: `async with topping_up.rounds` keeps purses filled. It books the answers to its orders, too."""

    def __init__(self, operations: Operations, tariff: Tariff, *, idle_s: float = IDLE_S) -> None:
        self._operations = operations
        self._tariff = tariff
        self._store = operations.store
        self._drain = Drain(operations)
        self._after = b""
        self.counters: Counter[str] = Counter()
        self.rounds = Rounds(
            "ticketing-topping-up", self.once, self._figures, self.counters, full=ORDERS_MAX, idle_s=idle_s
        )
        operations.of_top_ups = self

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
        await write_down(connection, Operation(order_id, "charge", amount, token, top_up_id=order_id), now_s)

    async def settle(self, connection: Any, operation: Operation, outcome: Approved | Declined) -> None:
        """Book an answer with the order's end; agreement before card, in the order in which `_order` locks them."""
        order = await connection.fetchrow(query("top_ups.lock_order"), operation.top_up_id)
        if order["state"] == "open":
            await self._book(connection, order, operation, outcome)
            await connection.execute(query("top_ups.forget"), order["card_uid"])

    async def _book(self, connection: Any, order: Any, operation: Operation, outcome: Approved | Declined) -> None:
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

    async def _figures(self) -> dict[str, float]:
        """Agreements that are on and paused, and orders without an answer."""
        async with self._store.connection() as connection:
            row = await connection.fetchrow(query("top_ups.figures"))
        return {name: float(value) for name, value in row.items()}
