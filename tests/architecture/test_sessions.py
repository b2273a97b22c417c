"""Connections go back to their pool as they are, so nothing may leave state in a session of PostgreSQL."""

import re

import pytest

from tests.architecture.test_contracts import ROOT, tracked

LEAVES_STATE = re.compile(
    r"\bpg_(?:try_)?advisory_lock|\bLISTEN\s+[a-z\"]|add_listener|\bSET\s+(?:SESSION|ROLE)\b|[\"']SET\s+(?!LOCAL)"
    r"|set_config\([^)]*false\)|\bCREATE\s+TEMP|\bWITH\s+HOLD\b"
)
OWN_CONNECTION = {"sql/migrate.py", "deploy/embedded_postgres.py"}  # opened and closed for a few statements


def leaving(text: str) -> list[str]:
    return [found.group().strip() for line in text.splitlines() for found in LEAVES_STATE.finditer(line)]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT pg_advisory_lock(1)",
        "LISTEN taps",
        'execute("SET search_path TO x")',
        "SET SESSION AUTHORIZATION x",
        "CREATE TEMP TABLE t (a int)",
        "SELECT set_config('lock_timeout', $1, false)",
        "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
    ],
)
def test_what_leaves_state_is_found(statement):
    assert leaving(statement)


def test_what_ends_with_its_transaction_is_allowed():
    assert leaving("SELECT pg_advisory_xact_lock(1)") == []
    assert leaving("""execute("SET LOCAL lock_timeout = '1s'")""") == []
    assert leaving("UPDATE card\nSET counter = 1") == []


def test_no_statement_leaves_state_in_its_session():
    found = {
        name: left
        for path in tracked("*.py", "*.sql")
        if (name := str(path.relative_to(ROOT))).split("/")[0] != "tests"
        and name not in OWN_CONNECTION
        and (left := leaving(path.read_text()))
    }
    assert found == {}, "see sql/pool.py: a connection comes back to its pool as it is"
