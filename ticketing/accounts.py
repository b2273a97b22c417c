"""Rates accounts anew after their taps came in: bounded batches, each in one transaction, whatever is lost in between.

A transaction locks some accounts, reads what is due of them, rates their days (ticketing.rerating), posts what changed,
stores the days and clears the taps' marks. Killed at any point, nothing of it happened and the taps are due as before;
that nothing is posted twice is held by the version of the day and by a name of every transfer. Several processes may
work at once: an account that one of them holds is passed over by the others.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from sql import query
from ticketing.account_rows import (
    day_of_row,
    due_of_row,
    encode,
    former_of_json,
    group_rows,
    handed_on_of_json,
    ticket_of_row,
    uid_of,
)
from ticketing.days import service_day
from ticketing.editions import Editions
from ticketing.heirs import hand_on
from ticketing.ledger import Transfer
from ticketing.purse import PurseBook, in_posting_order
from ticketing.rerating import DueTap, Holder, Rerated, apart, owed, rerate, ticket_uses
from ticketing.rounds import IDLE_S, Rounds
from ticketing.store import AWAY, RETRIED, Store
from ticketing.tariff_file import media_of

BATCH_MAX = 32
"""Accounts of one transaction: their cards are locked while they are rated, and taps of those cards wait."""
DUE_TAPS_MAX = 5_000
TICKETS_BACK_S = 40 * 86_400
"""Tickets that ended up to this long before the first day read are read as well: an earlier day may be rated again."""
SET_ASIDE_S, SET_ASIDE_S_MAX, SET_ASIDE_MAX = 5.0, 600.0, 10_000
LOOP_S_MAX = 0.005


class Accounts:
    """The worker: `async with accounts.rounds` keeps every account rated.

    counters: accounts and days that were rated, transfers posted, failures of the database, and accounts set aside
    because they could not be rated (tried again after ever longer pauses, while others go on).
    """

    def __init__(
        self,
        store: Store,
        editions: Editions,
        clock: Callable[[], float] = time.time,
        *,
        batch_max: int = BATCH_MAX,
        idle_s: float = IDLE_S,
    ) -> None:
        self._store = store
        self._editions = editions
        self._clock = clock
        self._batch_max = batch_max
        self._media = {kind: media_of(editions.current.tariff, kind) for kind in ("card", "bank")}
        self.counters: Counter[str] = Counter()
        self._cursor = ""
        self._aside: dict[str, tuple[float, float]] = {}  # account: not before, and the next pause
        self.rounds = Rounds(
            "ticketing-accounts", self.rate_due, self._figures, self.counters, full=batch_max, idle_s=idle_s
        )

    def gauges(self) -> dict[str, float]:
        """Taps that wait for their rating, the age of the oldest, and accounts that could not be rated."""
        return {**self.rounds.gauges(), "accounts_set_aside": float(len(self._aside))}

    async def rate_due(self) -> int:
        """Rate one batch of accounts with something due; returns how many were looked at, 0 when all is done.

        Raises what a database raises that is away; an account that cannot be rated is set aside and counted.
        """
        accounts = await self._find_due()
        if accounts:
            await self._rate_or_set_aside(accounts)
        return len(accounts)

    async def rate(self, account: str) -> bool:
        """Rate this account now; False where another process is rating it."""
        async with self._store.transaction() as connection:
            return bool(await self._rate_in(connection, [account]))

    async def _find_due(self) -> list[str]:
        """Accounts by name, taking turns, so that one with many taps does not hold up the others."""
        async with self._store.connection() as connection:
            rows = await connection.fetch(query("rating.due_accounts"), self._cursor, self._batch_max)
            found = [row["account"] for row in rows]
            self._cursor = found[-1] if len(found) == self._batch_max else ""
            if len(found) < self._batch_max:
                waiting = await connection.fetch(
                    query("rating.waiting_accounts"), self._clock(), self._batch_max - len(found)
                )
                found += [row["account"] for row in waiting if row["account"] not in found]
        now_s = time.monotonic()
        return [account for account in found if self._aside.get(account, (0.0, 0.0))[0] <= now_s]

    async def _rate_or_set_aside(self, accounts: list[str]) -> None:
        """Rate a batch; one that fails is tried account by account, and what fails alone is set aside."""
        try:
            async with self._store.transaction() as connection:
                rated = await self._rate_in(connection, accounts)
        except RETRIED:
            self.counters["retried"] += 1  # met another process: what is due stays due
            return
        except AWAY:
            raise
        except Exception:  # a fault of ours, or a row that no rule foresaw: others must not wait for it
            if len(accounts) > 1:
                for account in accounts:
                    await self._rate_or_set_aside([account])
                return
            self._set_aside(accounts[0])
            return
        for account in rated:
            self._aside.pop(account, None)

    def _set_aside(self, account: str) -> None:
        self.counters["set_aside"] += 1
        _, pause_s = self._aside.get(account, (0.0, SET_ASIDE_S))
        if len(self._aside) >= SET_ASIDE_MAX:
            self._aside.clear()
        self._aside[account] = (time.monotonic() + pause_s, min(SET_ASIDE_S_MAX, pause_s * 2))

    async def _figures(self) -> dict[str, float]:
        async with self._store.connection() as connection:
            row = await connection.fetchrow(query("rating.oldest_due"))
        age_s = max(0.0, self._clock() - row["received_s"]) if row["received_s"] is not None else 0.0
        return {"due_taps": float(row["taps"]), "oldest_due_s": age_s}

    async def _rate_in(self, connection: Any, accounts: Sequence[str]) -> list[str]:
        """Rate those of the accounts that nobody else holds, within a transaction; which those are."""
        locked = [row["account"] for row in await connection.fetch(query("rating.try_lock"), list(accounts))]
        if not locked:
            return []
        reader = _Reader(self._editions, self._media, self._clock())
        holders, purses = await reader.read(connection, locked)
        changes = _Changes()
        until = time.perf_counter() + LOOP_S_MAX
        for holder in holders:
            if time.perf_counter() > until:
                await asyncio.sleep(0)
                until = time.perf_counter() + LOOP_S_MAX
            changes.add(holder, rerate(holder, self._editions.of_day, reader.now_s), purses.get(holder.account))
        await changes.write(connection)
        await hand_on(connection, changes.replaced, reader.now_s)
        self.counters["accounts"] += len(locked)
        self.counters["days"] += len(changes.days)
        self.counters["transfers"] += len(changes.posted)
        return locked


class _Reader:
    """Reads accounts that are locked."""

    def __init__(self, editions: Editions, media: dict[str, str | None], now_s: float) -> None:
        self._tariff = editions.current.tariff
        self._media = media
        self.now_s = now_s

    async def read(self, connection: Any, accounts: Sequence[str]) -> tuple[list[Holder], dict[str, PurseBook]]:
        uids = {account: uid for account in accounts if (uid := uid_of(account)) is not None}
        cards = {row["uid"]: row for row in await connection.fetch(query("rating.lock_cards"), list(uids.values()))}
        await connection.execute(query("rating.lock_tickets"), list(uids.values()))
        due_rows = group_rows(await connection.fetch(query("rating.due_taps"), list(accounts), DUE_TAPS_MAX))
        due = {account: [due_of_row(row, self._tariff) for row in due_rows.get(account, ())] for account in accounts}
        since = [self._since(due[account]) for account in accounts]
        days = group_rows(await connection.fetch(query("rating.days"), list(accounts), since))
        oldest_s = (min(since) - date(1970, 1, 1)).total_seconds() - TICKETS_BACK_S
        tickets = group_rows(await connection.fetch(query("rating.tickets"), list(uids.values()), oldest_s), "card_uid")
        riders = {row["uid"]: row for row in await connection.fetch(query("rating.riders"), list(uids.values()))}
        holders = []
        for account in accounts:
            uid = uids.get(account)
            card = cards.get(uid) if uid is not None else None
            stored = tuple(day_of_row(row) for row in days.get(account, ()))
            mine = tuple(apart(due[account], [tap for one in stored for tap in one.taps]))
            held = tuple(ticket_of_row(row) for row in tickets.get(uid, ()))
            media = self._media["bank" if uid is None else "card"]
            category = card["category"] if card else None
            holder = Holder(account, media, category, stored, mine, held)
            if (row := riders.get(uid)) is not None:
                former, handed_on = former_of_json(row["former"]), handed_on_of_json(row["handed_on"])
                holder = holder._replace(former=former, handed_on=handed_on, replaced=row["replaced"])
            holders.append(holder)
        purses = {
            account: PurseBook(uid, row["balance_minor"], row["debt_minor"], row["currency"])
            for account, uid in uids.items()
            if (row := cards.get(uid)) is not None
        }
        return holders, purses

    def _since(self, due: Sequence[DueTap]) -> date:
        """The day from which an account is read: that of its first due tap, one more where rides may begin before."""
        first_s = min((one.tap.at_s for one in due), default=self.now_s - 86_400)
        day = service_day(first_s, self._tariff.day_start, self._tariff.zone)
        return day - timedelta(days=1) if self._tariff.exits or not due else day


class _Changes:
    """What a batch of ratings changes, gathered for statements that do it all at once."""

    def __init__(self) -> None:
        self.days: list[tuple[str, Rerated]] = []
        self.posted: list[tuple[Transfer, bytes, UUID | None, str]] = []
        self.replaced: dict[bytes, date] = {}  # cards that gave way to others: their first changed day
        self._purses: list[tuple[bytes, int, int]] = []
        self._uses: dict[str, int] = {}
        self._rated: list[tuple[str, str, str]] = []

    def add(self, holder: Holder, rerated: Sequence[Rerated], purse: PurseBook | None) -> None:
        """An account's new days; what they change is posted to its purse, where it has one."""
        self.days.extend((holder.account, one) for one in rerated)
        self._rated.extend(due.key for due in holder.due)
        self._uses.update(ticket_uses(holder, rerated))
        uid = uid_of(holder.account)
        if purse is None or uid is None:
            return
        if holder.replaced and rerated:
            self.replaced[uid] = rerated[0].day
        numbers: Counter[date] = Counter()
        by_tap = {tap_id: one for one, tap_id, _ in owed(holder, rerated)}
        for tap_id, minor in in_posting_order([(tap_id, minor) for _, tap_id, minor in owed(holder, rerated)]):
            one = by_tap[tap_id]
            for transfer in purse.change(minor):
                name = f"{holder.account}/{one.day}/{one.version}/{numbers[one.day]}"
                numbers[one.day] += 1
                self.posted.append((transfer, uid, UUID(tap_id.partition("@")[0]), name))
        if rerated:
            last = rerated[-1]
            for transfer in purse.recover():
                self.posted.append((transfer, uid, None, f"{holder.account}/{last.day}/{last.version}/debt"))
        self._purses.append((uid, purse.balance_minor, purse.debt_minor))

    async def write(self, connection: Any) -> None:
        """All of it, in statements that each know what the one before did."""
        if self.posted:
            rows = [
                (t.kind.value, t.debit, t.credit, t.amount.minor, t.amount.currency, uid, tap_id, name)
                for t, uid, tap_id, name in self.posted
            ]
            await connection.execute(query("rating.post"), *_columns(rows))
            await connection.execute(query("rating.set_purses"), *_columns(self._purses))
        if self._uses:
            uses = [(UUID(ticket_id), change) for ticket_id, change in self._uses.items()]
            await connection.execute(query("rating.set_uses"), *_columns(uses))
        if self.days:
            stored = await connection.fetchval(
                query("rating.store_days"), *_columns([_day_row(*day) for day in self.days])
            )
            if stored != len(self.days):
                raise RuntimeError("a day was rated by another process at the same time")
        if self._rated:
            await connection.execute(query("rating.set_rated"), *_columns(self._rated))


def _columns(rows: Sequence[Sequence[Any]]) -> Iterator[list[Any]]:
    return (list(column) for column in zip(*rows, strict=True))


def _day_row(account: str, one: Rerated) -> tuple[Any, ...]:
    rating, taps = encode(one.rating).decode(), encode(one.taps).decode()
    total = one.rating.total_minor
    return (account, one.day, one.version, one.edition_id, total, rating, taps, one.again_at_s)
