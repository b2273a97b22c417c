"""Charges bank cards for what their days were rated at, in the tariff's rhythm, and goes after what was declined.

Rated days say what is due (ticketing.debits); what was charged for a tap before is never charged again. A charge is
written down with its taps in one transaction, asked at the acquirer under a key that follows from it, and booked with
the answer (ticketing.operations): killed at any point, the next one goes on where this one stopped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import asyncpg
import msgspec

from sql import query
from ticketing.collecting import Collecting, forgive
from ticketing.debits import (
    DebitPlan,
    PlannedDebit,
    Trip,
    close_waiting,
    part_of_changes,
    plan_debits,
    still_due,
)
from ticketing.editions import Editions
from ticketing.money import Money
from ticketing.operations import Drain, Operations
from ticketing.payment import operation_key
from ticketing.payment_rows import Operation, write_down
from ticketing.rated import Carried, DayRating
from ticketing.rounds import IDLE_S, Rounds
from ticketing.store import AWAY
from ticketing.tariff_file import media_of

BATCH_MAX = 64
SET_ASIDE_S = 600.0
BUSY_AGAIN_S = 30.0
"""A correction waits so long for the answer to the charge that it corrects."""
_RATING = msgspec.json.Decoder(DayRating)
_TRIPS = msgspec.json.Decoder(tuple[Trip, ...])


class Charging:
    """The worker: `async with charging.rounds` keeps every card charged."""

    def __init__(
        self,
        operations: Operations,
        collecting: Collecting,
        editions: Editions,
        *,
        idle_s: float = IDLE_S,
    ) -> None:
        self._operations = operations
        self._collecting = collecting
        self._editions = editions
        self._store = operations.store
        self._clock: Callable[[], float] = operations.clock
        self._drain = Drain(operations)
        self.counters: Counter[str] = operations.counters
        self.rounds = Rounds(
            "ticketing-charging", self.once, self._figures, self.counters, full=BATCH_MAX, idle_s=idle_s
        )

    async def once(self) -> int:
        """One round: what is due is written down, debts are asked for again, and the acquirer is asked."""
        now_s = self._clock()
        async with self._store.connection() as connection:
            days = await connection.fetch(query("bank.list_days_due"), now_s, BATCH_MAX)
            recoveries = await connection.fetch(query("bank.list_recoveries_due"), now_s, BATCH_MAX)
        for row in days:
            await self._charge_or_set_aside(row["account_id"], row["day"])
        for row in recoveries:
            await self._collecting.recover_due(row["id"])
        asked = await self._drain.once()
        return max(len(days), len(recoveries), asked)

    async def _charge_or_set_aside(self, account_id: str, day: date) -> None:
        """Look at a day; one that cannot be understood is looked at again later, and holds up no other."""
        try:
            await self.charge_day(account_id, day)
        except (asyncpg.PostgresError, *AWAY):
            raise
        except Exception:  # a rating that no rule foresaw
            self.counters["set_aside"] += 1
            async with self._store.connection() as connection:
                await connection.execute(query("bank.postpone_day"), account_id, day, self._clock() + SET_ASIDE_S)

    async def charge_day(self, account_id: str, day: date) -> None:
        """Write down what is due of a day by now, and when to look again."""
        now_s = self._clock()
        async with self._store.transaction() as connection:
            account = await connection.fetchrow(query("bank.lock_account"), account_id)
            if await connection.fetchval(query("bank.lock_day"), account_id, day, now_s) is None:
                return  # another one was here
            look = _Look(connection, self._editions, account, day, now_s)
            await look.take()
            await self._collecting.count_unpaid(connection, account_id)
        self.counters["days"] += 1
        self._operations.fail_point("written")

    async def _figures(self) -> dict[str, float]:
        """Open and unclear payments, the age of the oldest charge not answered, debts."""
        async with self._store.connection() as connection:
            row = await connection.fetchrow(query("bank.figures"), self._clock())
        return {name: float(value) for name, value in row.items()}


class _Look:
    """One look at an account's day, within the transaction that locks both."""

    def __init__(self, connection: Any, editions: Editions, account: Any, day: date, now_s: float) -> None:
        self._connection = connection
        self._editions = editions
        self._account = account
        self._id: str = account["id"]
        self._day = day
        self._now_s = now_s
        self._later: list[float] = []

    async def take(self) -> None:
        """What is due by now becomes charges; the rest says when to look again."""
        waited = await self._waiting(self._day - timedelta(days=1))
        rating, plan = await self._plan(waited)
        targets = _targets(rating, waited)
        debited = await self._debited(targets)
        for due in still_due(rating, plan, debited):
            if due.at_s > self._now_s:
                self._later.append(due.at_s)
            else:
                await self._write(due, targets, debited, rating.currency)
        before = await self._waiting(self._day)
        left = msgspec.json.encode(plan.waiting).decode()
        again_s = min(self._later, default=None)
        done = (rating.total_minor, left, again_s)
        await self._connection.execute(query("bank.set_day"), self._id, self._day, *done)
        if before != plan.waiting:
            tomorrow = self._day + timedelta(days=1)
            await self._connection.execute(query("bank.look_at_day"), self._id, tomorrow, self._now_s)

    async def _waiting(self, day: date) -> tuple[Trip, ...]:
        kept = await self._connection.fetchval(query("bank.get_waiting"), self._id, day)
        return _TRIPS.decode(kept) if kept else ()

    async def _plan(self, waited: Sequence[Trip]) -> tuple[DayRating, DebitPlan]:
        row = await self._connection.fetchrow(query("bank.get_rating"), self._id, self._day)
        tariff = self._editions.of_day(self._day, row["tariff_id"] if row else None).tariff
        media = media_of(tariff, "bank")
        if row is None:
            nothing = DayRating(self._day.isoformat(), tariff.version, tariff.currency, (), {}, Carried())
            return nothing, close_waiting(self._day, tariff, media, waited)
        rating = _RATING.decode(row["rating"])
        return rating, plan_debits(rating, tariff, media, waited)

    async def _debited(self, targets: Mapping[str, int]) -> dict[str, int]:
        rows = await self._connection.fetch(query("bank.taken"), self._id, list(targets))
        return {row["tap_id"]: row["minor"] for row in rows}

    async def _write(
        self, due: PlannedDebit, targets: Mapping[str, int], debited: Mapping[str, int], currency: str
    ) -> None:
        """A charge of the difference between what its taps cost and what was taken for them, or money back."""
        changes = {tap_id: targets[tap_id] - debited.get(tap_id, 0) for tap_id in due.tap_ids}
        changes = {tap_id: minor for tap_id, minor in sorted(changes.items()) if minor}
        amount = sum(changes.values())
        if amount > 0:
            await self._charge(due, changes, Money(amount, currency))
        elif amount < 0:
            await self._give_back(changes, -amount, currency)

    async def _charge(self, due: PlannedDebit, changes: Mapping[str, int], amount: Money) -> None:
        charge_id = await self._key("charge", changes)
        row = (charge_id, self._id, self._day, due.reason, amount.minor, amount.currency, due.at_s, self._now_s)
        await self._connection.execute(query("bank.insert_charge"), *row, None, None)
        await self._keep_taps(charge_id, changes)
        token = self._account["token"]
        charge = Operation(charge_id, "charge", amount, token, account_id=self._id, charge_id=charge_id)
        await write_down(self._connection, charge, self._now_s)

    async def _give_back(self, changes: Mapping[str, int], minor: int, currency: str) -> None:
        """Money back from the newest charges of these taps, then others; a debt is taken back and asked for anew."""
        charges = await self._connection.fetch(query("bank.charges_of_taps"), self._id, list(changes))
        if any(charge["state"] == "asked" for charge in charges):
            self._later.append(self._now_s + BUSY_AGAIN_S)
            return
        debts = [charge["id"] for charge in charges if charge["state"] == "debt"]
        if debts:
            forgiven = [await forgive(self._connection, self._id, debt_id, self._now_s) for debt_id in debts]
            self._later.append(self._now_s if all(forgiven) else self._now_s + BUSY_AGAIN_S)
            return
        # A charge may be less than its taps cost, since it was for others that had become cheaper: what is beyond it
        # was paid with these others' charges, or will be. What cannot be given back yet is not noted as given back.
        others = await self._connection.fetch(query("bank.charges_left"), self._id, list(changes))
        room = sum(max(0, charge["left_minor"]) for charge in (*charges, *others))
        if room < minor and await self._connection.fetchval(query("bank.has_asked"), self._id):
            self._later.append(self._now_s + BUSY_AGAIN_S)
            return
        left = dict(changes)
        for charge in (*charges, *others):
            part = min(-sum(left.values()), charge["left_minor"])
            if part > 0:
                taps = part_of_changes(left, part)
                await self._refund(charge, Money(part, currency), taps)
                left = {tap_id: change for tap_id, was in left.items() if (change := was - taps.get(tap_id, 0))}

    async def _refund(self, charge: Any, amount: Money, taps: Mapping[str, int]) -> None:
        refund_id = await self._key("refund", taps, charge["id"], charge["left_minor"])
        row = (refund_id, self._id, self._day, "correction", -amount.minor, amount.currency, self._now_s, self._now_s)
        await self._connection.execute(query("bank.insert_charge"), *row, charge["id"], None)
        await self._keep_taps(refund_id, taps)
        paid = charge["acquirer_id"]
        refund = Operation(refund_id, "refund", amount, refunds=paid, account_id=self._id, charge_id=refund_id)
        await write_down(self._connection, refund, self._now_s)

    async def _key(self, kind: str, changes: Mapping[str, int], *more: object) -> str:
        """Follows from what is charged for which taps, and from how often these were charged before."""
        times = await self._connection.fetchval(query("bank.count_charges_of_taps"), self._id, list(changes))
        return operation_key(kind, self._id, tuple(changes.items()), times, *more)

    async def _keep_taps(self, charge_id: str, changes: Mapping[str, int]) -> None:
        taps = (list(changes), list(changes.values()))
        await self._connection.execute(query("bank.insert_charge_taps"), charge_id, *taps)


def _targets(rating: DayRating, waited: Sequence[Trip]) -> dict[str, int]:
    """What each tap costs: those of the day, and those of the day before that waited for this one."""
    return {trip.tap_id: trip.minor for trip in waited} | {line.tap_id: line.charge_minor for line in rating.lines}
