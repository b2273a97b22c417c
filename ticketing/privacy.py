"""What is known of one rider: shown in one document, forgotten when the rider asks, and in time anyhow.

A tap is kept with its account for a set number of days, for the rider's receipts and for disputes. Then it is deleted
and counted: how many rode a line in an hour is kept, who they were is not. No name is ever stored; an account is a
card's number or a bank card's pseudonym. The ledger is append only and stays, as accounts must: it says what was paid,
and no longer leads to any trip. What is known of a validator's boot goes when that boot has been silent for as long.

A tap is never forgotten before its day has been settled: operators' money depends on it. A rider's request to be
forgotten is therefore kept until the last of that rider's days has been, and until all that was ridden since is paid.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import msgspec

from sql import query
from ticketing.books import Books, audit
from ticketing.errors import Problem

FORGOTTEN_AT_ONCE = 5_000
ROUNDS_MAX = 2_000  # in one go: ten million taps
TRIPS_MAX = 100_000
LETTERS_DAYS = 30
_UID = re.compile(r"[0-9A-Fa-f]{14}")
_BANK_ID = re.compile(r"[0-9A-Za-z]{1,64}")


class Forgotten(msgspec.Struct, frozen=True):
    """What came of a request to be forgotten: trips deleted now; done is false while some wait to be settled."""

    account: str
    trips: int
    ratings: int
    done: bool


class RiderData(msgspec.Struct, frozen=True):
    """Everything about one account, for the rider."""

    account: str
    medium: dict[str, Any]
    trips: list[dict[str, Any]]
    tickets: list[dict[str, Any]]
    ratings: list[dict[str, Any]]
    transfers: list[dict[str, Any]]
    charges: list[dict[str, Any]]


class Privacy:
    """Retention, export and erasure."""

    def __init__(self, books: Books, keep_days: int) -> None:
        self._books = books
        self._keep_days = keep_days

    async def tidy(self, now_s: float, settled_until_s: float) -> int:
        """Forget what has been kept long enough and whoever asked for it; returns how many taps were deleted.

        settled_until_s (Unix seconds): everything received before has been settled.
        """
        before_s = min(now_s - self._keep_days * 86_400.0, settled_until_s)
        gone = await self._forget(None, before_s)
        async with self._books.writing() as connection:
            day = datetime.fromtimestamp(before_s, UTC).date()
            await connection.execute(query("privacy.forget_ratings"), None, day)
            await connection.execute(query("privacy.forget_places"), before_s)
            await connection.execute(query("privacy.forget_boots"), before_s)
            await connection.execute(query("privacy.forget_letters"), now_s - LETTERS_DAYS * 86_400.0)
            wishes = await connection.fetch(query("privacy.asked"))
        for wish in wishes:
            forgotten = await self._meet(wish["id"], wish["account"], settled_until_s)
            gone += forgotten.trips
        return gone

    async def export(self, account: str, subject: str) -> RiderData:
        """Everything about one account; Problem 404 where there is none."""
        account = _known_form(account)
        async with self._books.writing() as connection:
            await self._know(connection, account)
            kind, _, name = account.partition(":")
            medium = await connection.fetchrow(query(f"privacy.{kind}"), account)
            found = RiderData(
                account,
                _medium(medium),
                _rows(await connection.fetch(query("privacy.trips"), account, TRIPS_MAX)),
                _rows(await connection.fetch(query("privacy.tickets"), account)),
                [
                    {**row, "rating": msgspec.json.decode(row["rating"])}
                    for row in _rows(await connection.fetch(query("privacy.ratings"), account))
                ],
                _rows(await connection.fetch(query("privacy.transfers"), *_ledger_names(kind, name), TRIPS_MAX)),
                _rows(await connection.fetch(query("privacy.charges"), account)),
            )
            await audit(connection, subject, "export", _pseudonym(account), trips=len(found.trips))
        return found

    async def erase(self, account: str, subject: str, settled_until_s: float) -> Forgotten:
        """Forget an account's trips: those that have been settled now, the rest once they are.

        Raises:
            Problem: 404 where there is no such account, 409 while it still owes something.
        """
        account = _known_form(account)
        async with self._books.writing() as connection:
            await self._know(connection, account)
            owed = await connection.fetchval(query("privacy.owes"), account)
            if owed:
                raise Problem(
                    409, "Not paid", "money is still owed on this account, for trips that are needed until it is paid"
                )
            wish = await connection.fetchval(query("privacy.ask"), account, subject)
            await connection.execute(query("privacy.end_top_up"), account)
            await audit(connection, subject, "erase", _pseudonym(account))
        return await self._meet(wish, account, settled_until_s)

    async def _meet(self, wish: int, account: str, settled_until_s: float) -> Forgotten:
        """Forget what may be forgotten of an account; nothing while rides made since have yet to be paid."""
        async with self._books.reading() as connection:
            if await _is_unpaid(connection, account):
                return Forgotten(account, 0, 0, False)
        trips = await self._forget(account, settled_until_s)
        kind, _, name = account.partition(":")
        async with self._books.writing() as connection:
            if kind == "bank":  # in the order in which a tap locks them
                await connection.fetch(query("privacy.lock_media"), name)
                await connection.fetchrow(query("bank.lock_account"), name)
            day = datetime.fromtimestamp(settled_until_s, UTC).date()
            ratings = await connection.execute(query("privacy.forget_ratings"), account, day)
            left = await connection.fetchval(query("privacy.has_trips"), account)
            done = not left and not await _is_unpaid(connection, account)
            if done:
                await connection.execute(query(f"privacy.cut_{kind}"), name if kind == "bank" else account)
                await connection.execute(query("privacy.done"), wish)
        return Forgotten(account, trips, int(ratings.rpartition(" ")[2]), done)

    async def _forget(self, account: str | None, before_s: float) -> int:
        """Delete taps in rounds of a transaction each, so that nobody waits long for a lock; returns how many."""
        gone = 0
        for _ in range(ROUNDS_MAX):
            async with self._books.writing() as connection:
                some = await connection.fetchval(query("privacy.forget"), account, before_s, FORGOTTEN_AT_ONCE)
            gone += some
            if some < FORGOTTEN_AT_ONCE:
                break
        return gone

    async def _know(self, connection: Any, account: str) -> None:
        if not await connection.fetchval(query("privacy.know_account"), account):
            raise Problem(404, "No such account", f"nothing is known here of {account}")


async def _is_unpaid(connection: Any, account: str) -> bool:
    """Whether an account owes something, or the acquirer has yet to say what became of its money."""
    if await connection.fetchval(query("privacy.owes"), account):
        return True
    return bool(await connection.fetchval(query("privacy.has_answers_to_come"), account))


def _known_form(text: str) -> str:
    """An account as it is stored; a card's may be written as a receipt's is: its UID alone, in either case."""
    kind, colon, name = text.partition(":")
    if not colon:
        kind, name = "card", kind
    if kind == "card" and _UID.fullmatch(name):
        return f"card:{name.lower()}"
    if kind == "bank" and _BANK_ID.fullmatch(name):
        return text
    raise Problem(422, "No account", f"{text[:80]!r} is not an account: write card:<uid, 14 hex digits> or bank:<id>")


def _ledger_names(kind: str, name: str) -> tuple[str, str]:
    return (f"purse:{name}", f"debt:{name}") if kind == "card" else (f"bank_debt:{name}", f"bank:{name}")


def _pseudonym(account: str) -> str:
    """What the audit log calls an account: it must not itself remember who asked to be forgotten."""
    return f"account of a {account.partition(':')[0]}"


def _medium(record: Any) -> dict[str, Any]:
    """A medium's row; what a card's holder was before is a list of its own."""
    found = dict(record)
    if former := found.get("former_categories"):
        found["former_categories"] = msgspec.json.decode(former)
    return found


def _rows(records: list[Any]) -> list[dict[str, Any]]:
    return [dict(record) for record in records]
