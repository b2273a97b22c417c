"""What the acquirer's answers change: charges paid, cards blocked for debts, debts recovered, money given back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sql import query
from ticketing import ledger
from ticketing.errors import Problem
from ticketing.ledger import Transfer
from ticketing.money import Money
from ticketing.operations import Operations
from ticketing.payment import Approved, Declined, in_letters, operation_key
from ticketing.payment_rows import Operation, book_payment, write_down
from ticketing.store import Store

DAY_S = 86_400.0
RETRY_DAYS = (1, 3, 7, 14, 30)
"""A declined charge is asked for again this many days after the attempt before; after the last, only on request."""
ASKED_AGAIN_S_MIN = 60.0
MADE_BY = "charging"
DEBT = "debt"
NOT_VERIFIED = "verification_declined"


class Collecting:
    """The effects of verifications, charges and refunds of bank accounts.

    fare_minor is what a ride that is not rated yet is taken to cost, for the limit of what is unpaid.
    """

    def __init__(self, operations: Operations, fare_minor: int) -> None:
        self._operations = operations
        self._fare_minor = fare_minor
        self._store: Store = operations.store
        self._clock: Callable[[], float] = operations.clock
        operations.of_accounts = self

    def use_fare(self, fare_minor: int) -> None:
        """Count by this from now on: the tariff has changed."""
        self._fare_minor = fare_minor

    async def settle(self, connection: Any, operation: Operation, outcome: Approved | Declined) -> None:
        """Book an answer about an account, which is locked first."""
        account = await connection.fetchrow(query("bank.lock_account"), operation.account_id)
        match operation.kind:
            case "verify":
                await self._verified(connection, account, outcome)
            case "charge":
                await self._charged(connection, account, operation, outcome)
            case _:
                await self._given_back(connection, operation, outcome)
        await self.count_unpaid(connection, account["id"])

    async def count_unpaid(self, connection: Any, account_id: str) -> None:
        """Work out anew what an account, which is locked, owes for rides that were not charged yet."""
        await connection.execute(query("bank.set_unpaid"), account_id, self._fare_minor)

    async def _verified(self, connection: Any, account: Any, outcome: Approved | Declined) -> None:
        if isinstance(outcome, Declined):
            if not account["verified"] and account["blocked"] is None:
                await _block(connection, account["id"], NOT_VERIFIED)
            return
        await connection.execute(query("bank.verified"), account["id"], self._clock())
        if account["blocked"] == NOT_VERIFIED:
            await _release(connection, account["id"])

    async def _charged(self, connection: Any, account: Any, operation: Operation, outcome: Approved | Declined) -> None:
        charge = await connection.fetchrow(query("bank.get_charge"), operation.charge_id)
        amount, now_s = Money(charge["amount_minor"], charge["currency"]), self._clock()
        was_debt = charge["state"] == DEBT
        if isinstance(outcome, Declined):
            if not was_debt:
                await connection.execute(query("bank.set_charge"), charge["id"], DEBT, now_s, None)
                await _book(connection, ledger.bank_declined(amount, account["id"]), operation.key)
            await _block(connection, account["id"], DEBT)
            again_s = _again_s(charge["payments"], now_s, outcome)
            await connection.execute(query("bank.set_recovery"), account["id"], again_s, None)
            return
        await connection.execute(query("bank.set_charge"), charge["id"], "paid", now_s, in_letters(outcome.id))
        await _book(connection, ledger.bank_charge(amount, account["id"], recovered=was_debt), operation.key)
        if not account["verified"]:
            await connection.execute(query("bank.verified"), account["id"], now_s)
        if was_debt:  # a correction may have waited for it
            await connection.execute(query("bank.look_at_days_of_charge"), charge["id"], now_s)
        if was_debt and not await connection.fetchval(query("bank.has_debt"), account["id"]):
            await _release(connection, account["id"])

    async def _given_back(self, connection: Any, operation: Operation, outcome: Approved | Declined) -> None:
        state = "paid" if isinstance(outcome, Approved) else "declined"
        acquirer_id = in_letters(outcome.id) if isinstance(outcome, Approved) else None
        done = (operation.charge_id, state, self._clock(), acquirer_id)
        await connection.execute(query("bank.set_charge"), *done)
        if state == "paid" and operation.amount is not None:
            await _book(connection, ledger.bank_refund(operation.amount), operation.key)

    async def recover_due(self, account_id: str) -> None:
        """Ask for an account's debts again, if that is still due."""
        async with self._store.transaction() as connection:
            account = await connection.fetchrow(query("bank.lock_account"), account_id)
            if account["recover_at"] is not None and account["recover_at"] <= self._clock():
                await self._write_recovery(connection, account)

    async def recover(self, connection: Any, account_id: str) -> list[str]:
        """Ask for an account's debts again since somebody wants it; the keys of what is asked.

        Problem 404 for no account, 409 where there is nothing to recover, 429 just after the last time.
        """
        account = await connection.fetchrow(query("bank.lock_account"), account_id)
        if account is None:
            raise Problem(404, "No such account", "there is no bank account under this id")
        unclear = await connection.fetchval(query("bank.has_unclear"), account_id)
        if account["blocked"] is None and not unclear:
            raise Problem(409, "Nothing to recover", "this card owes nothing that was declined: it may ride")
        recovered_at, now_s = account["recovered_at"], self._clock()
        if recovered_at is not None and now_s < recovered_at + ASKED_AGAIN_S_MIN:
            raise Problem(429, "Asked just now", "the bank was asked a moment ago: try again in a minute")
        return await self._write_recovery(connection, account)

    async def _write_recovery(self, connection: Any, account: Any) -> list[str]:
        """New payments for the debts, under keys of their own; what nobody ever answered keeps its key."""
        account_id, now_s = account["id"], self._clock()
        await connection.execute(query("bank.reopen_unclear"), account_id, now_s)
        keys = []
        for charge in await connection.fetch(query("bank.list_debts"), account_id):
            key = operation_key("again", charge["id"], charge["payments"])
            amount = Money(charge["amount_minor"], charge["currency"])
            whose = {"account_id": account_id, "charge_id": charge["id"]}
            await write_down(connection, Operation(key, "charge", amount, account["token"], **whose), now_s)
            keys.append(key)
        if not keys and account["blocked"] == NOT_VERIFIED:
            key = operation_key("verify", account_id, account["tries"])
            question = Operation(key, "verify", token=account["token"], account_id=account_id)
            await write_down(connection, question, now_s)
            keys.append(key)
        await connection.execute(query("bank.set_recovery"), account_id, None, now_s)
        return keys


async def forgive(connection: Any, account_id: str, charge_id: str, now_s: float) -> bool:
    """Take a debt back, since its rides cost something else by now; False while the acquirer is asked for it.

    It may have been for rides of two days: both are looked at again, so that each asks for its own.
    """
    if charge_id not in {row["id"] for row in await connection.fetch(query("bank.list_debts"), account_id)}:
        return False
    charge = await connection.fetchrow(query("bank.set_charge"), charge_id, "void", now_s, None)
    await connection.execute(query("bank.look_at_days_of_charge"), charge_id, now_s)
    debt = ledger.bank_declined(Money(charge["amount_minor"], charge["currency"]), account_id)
    await _book(connection, Transfer(ledger.Kind.REVERSAL, debt.credit, debt.debit, debt.amount), None)
    if not await connection.fetchval(query("bank.has_debt"), account_id):
        await _release(connection, account_id)
    return True


def _again_s(payments: int, now_s: float, outcome: Declined) -> float | None:
    """When a declined charge is asked for again after so many payments; never by itself what was declined for good."""
    if outcome.final or payments > len(RETRY_DAYS):
        return None
    return now_s + RETRY_DAYS[payments - 1] * DAY_S


async def _block(connection: Any, account_id: str, why: str) -> None:
    await connection.execute(query("bank.block"), account_id, why)
    await connection.execute(query("bank.deny_media"), account_id, False, why)


async def _release(connection: Any, account_id: str) -> None:
    await connection.execute(query("bank.unblock"), account_id)
    await connection.execute(query("bank.deny_media"), account_id, True, "recovered")


async def _book(connection: Any, transfer: Transfer, key: str | None) -> None:
    await book_payment(connection, transfer, key, made_by=MADE_BY)
