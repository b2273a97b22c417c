"""What must hold after every fault, whatever it was: one function reads the validators' record and the database."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg

from simulators.checker import Comparison, compare
from simulators.journal import Entry
from sql import query
from tests.faults.judge_process import MEMORY_MB_MAX

EXCESS = """
    SELECT t.id, t.uses_allowed, count(*) FROM tap JOIN ticket t ON t.id = tap.ticket_id
    WHERE tap.verdict = 'accepted' GROUP BY t.id HAVING count(*) > t.uses_allowed OR count(*) <> t.uses"""
UNFLAGGED = "SELECT count(*) FROM tap WHERE offline_verdict = 'accepted' AND verdict <> 'accepted' AND NOT conflict"


def unreadable(entries: Iterable[Entry]) -> set[str]:
    """Taps that were answered `malformed`: one that nobody can read is kept as a dead letter, not as a tap."""
    return {str(e["id"]) for e in entries if e["what"] == "answered" and e["verdict"] == "malformed"}


async def check_invariants(
    dsn: str,
    entries: Iterable[Entry] = (),
    *,
    judge: dict[str, Any] | None = None,
    log: Path | None = None,
    secrets: Iterable[str] = (),
    waiting: int = 0,
) -> Comparison:
    """I1 to I8 but I4, which is about positions; returns what the checker compared.

    I1 stored once, I2 nothing deleted without a receipt, I3 no use beyond what was sold, I5 memory and queues within
    their bounds, I6 work is possible again, I7 no secret in the log, I8 the books are in order. `judge` is the answer
    of the judging process; `waiting` taps may be without a receipt.
    """
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        rows = await connection.fetch("SELECT id::text, verdict::text, device, operator, conflict, medium FROM tap")
        entries = list(entries)
        comparison = compare(entries, rows)
        lettered = unreadable(entries)
        findings = [finding for finding in comparison.findings if finding.tap_id not in lettered]
        assert findings == [], f"I1, I2: {findings[:5]} of {len(findings)}"
        letters = await connection.fetchval("SELECT count(*) FROM dead_letter")
        assert len(comparison.findings) <= letters, "I1: an unreadable tap has an answer and no dead letter"
        assert comparison.waiting <= waiting, f"I2: {comparison.waiting} taps are neither receipted nor stored"
        assert await connection.fetch(EXCESS) == [], "I3: uses beyond what was sold, or not counted"
        assert await connection.fetchval(UNFLAGGED) == 0, "I3: an excess that is no flagged conflict"
        assert await connection.fetch(query("cards.purse_differences")) == [], "I8: a purse and its transfers differ"
        assert sum(row["minor"] for row in await connection.fetch(query("ledger.balances"))) == 0, "I8: the ledger"
    finally:
        await connection.close()
    if judge is not None:
        assert judge["memory_mb"] < MEMORY_MB_MAX, f"I5: {judge['memory_mb']:.0f} MB"
        assert judge["stats"]["taps_held"] <= 16_384, "I5: too many taps held"
        assert judge["healthy"] == [], f"I6: {judge['healthy']}"
    if log is not None:
        text = log.read_text(errors="replace")
        for secret in (*secrets, urlsplit(dsn).password or "no password"):
            assert secret not in text, "I7: a token or password is in the log"
        # asyncpg's pool warns, with a traceback, of each connection that it cannot make; that one is counted by us.
        for unhandled in ("ERROR:", "never retrieved"):
            assert unhandled not in text, f"I7: an error that nobody handled\n{text[-3000:]}"
    return comparison
