"""The books: that nobody altered the audit log, and that cards and prices are what the ledger says."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg

from deploy.commands.audit import sentence
from deploy.doctor.database import ANSWER_S_MAX
from deploy.doctor.patient import Finding, Patient
from sql import query

BOOKS_S_MAX = 60.0
SHOWN_MAX = 5
AS_EVIDENCE = "compare it with a backup from before, and keep this database as evidence"


def check_books(patient: Patient) -> list[Finding]:
    """Nobody altered the audit log, and every purse, ticket and penalty is as the ledger says."""
    return asyncio.run(_ask_books(patient.database_url)) if patient.database_url is not None else []


async def _ask_books(url: str) -> list[Finding]:
    try:
        connection = await asyncpg.connect(url, timeout=ANSWER_S_MAX, command_timeout=BOOKS_S_MAX)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError, TimeoutError):
        return []  # check_postgres says it
    try:
        broken = await connection.fetch(query("audit.broken"))
        purses = await connection.fetch(query("cards.purse_differences"))
        debts = await connection.fetch(query("rating.debt_differences"))
        prices = await connection.fetch(query("ledger.price_differences"))
        balances = await connection.fetch(query("ledger.balances"))
    except (asyncpg.UndefinedFunctionError, asyncpg.UndefinedColumnError):
        return []  # not migrated yet, which is said as well
    finally:
        await connection.close(timeout=ANSWER_S_MAX)
    found = [Finding("audit log", "fail", sentence(row), AS_EVIDENCE) for row in broken]
    found = found or [Finding("audit log", "ok", "the chain is whole")]
    if sum(row["minor"] for row in balances):
        found.append(Finding("ledger", "fail", "does not sum to zero", AS_EVIDENCE))
    wrong = [_difference(row, "holds", row["balance_minor"]) for row in purses[:SHOWN_MAX]]
    wrong += [_difference(row, "owes", row["debt_minor"]) for row in debts[:SHOWN_MAX]]
    wrong += [Finding("ledger", "fail", _mispriced(row), AS_EVIDENCE) for row in prices[:SHOWN_MAX]]
    right = Finding("ledger", "ok", f"{len(balances)} accounts sum to zero, every purse and price agrees")
    return found + (wrong or [right])


def _difference(row: Any, does: str, minor: int) -> Finding:
    text = f"card {row['uid'].hex()} {does} {minor} and its transfers say {row['booked_minor']}"
    return Finding("ledger", "fail", text, AS_EVIDENCE)


def _mispriced(row: Any) -> str:
    return f"transfer {row['id']} ({row['kind']}) is of {row['amount_minor']} and what it is for of {row['due_minor']}"
