"""Books that can be checked: an altered audit row is named, deny numbers miss nobody, shifts meet the ledger."""

from __future__ import annotations

import asyncio
import secrets
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sql import query
from sql.migrate import FOLDER, list_migrations, migrate
from sql.pool import open_pool
from ticketing.api import TicketingApi, TopUp
from ticketing.books import audit
from ticketing.card import CardKeys
from ticketing.errors import Problem
from ticketing.keys import FileSigner, IssuerKeys
from ticketing.keyset import IssuerKey, KeySet, kid_of
from ticketing.refund_booking import Refunding
from ticketing.service import Ticketing
from ticketing.shifts_api import ShiftClosing, ShiftOpening
from ticketing.tariff import parse_tariff

TARIFF = parse_tariff((Path(__file__).parents[2] / "ticketing" / "tariff.toml").read_text(), "tariff.toml")
CARD_KEYS = CardKeys(1, bytes(range(16)), bytes(range(16, 32)))


class Town:
    """An API on a database of its own."""

    def __init__(self, pool: Any, service: Ticketing) -> None:
        self.pool = pool
        self.service = service
        self.api = TicketingApi(service)

    async def broken(self) -> list[tuple[int, bool]]:
        return [(row["seq"], row["changed"]) for row in await self.pool.fetch(query("audit.broken"))]


@pytest_asyncio.fixture
async def town(database: str) -> AsyncIterator[Town]:
    private = Ed25519PrivateKey.generate()
    public = private.public_key()
    kid = kid_of(public.public_bytes_raw())
    keys = IssuerKeys(FileSigner(kid, private), KeySet([IssuerKey(kid, "takt", public)]))
    pool = await open_pool(database)
    async with Ticketing(pool, keys, TARIFF, card_keys=(CARD_KEYS,)) as service:
        yield Town(pool, service)
        assert sum(row["minor"] for row in await pool.fetch(query("ledger.balances"))) == 0
        assert await pool.fetch(query("cards.purse_differences")) == []
    pool.terminate()


async def work(town: Town, count: int = 5, subject: str = "olena") -> list[str]:
    return [(await town.api.desk.sell("single", subject=subject)).id for _ in range(count)]


# --- audit -----------------------------------------------------------------------------------------------------------


async def test_rows_of_many_at_once_make_one_chain_without_gaps(town):
    await asyncio.gather(*(work(town, 5, f"desk-{number}") for number in range(8)))
    assert await town.broken() == []
    seqs = [row["seq"] for row in await town.pool.fetch("SELECT seq FROM audit ORDER BY seq")]
    assert seqs == list(range(1, 41))


async def test_what_was_rolled_back_leaves_neither_row_nor_gap(town):
    await work(town, 1)
    with pytest.raises(Problem):
        await town.api.desk.change_ticket(str(uuid.uuid4()), "revoke", "nothing", subject="olena")
    async with town.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await audit(connection, "olena", "sell", "ticket:none")
        await transaction.rollback()
    await work(town, 1)
    assert [row["seq"] for row in await town.pool.fetch("SELECT seq FROM audit ORDER BY seq")] == [1, 2]
    assert await town.broken() == []


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("subject", "'somebody else'"),
        ("details", "'{\"amount_minor\": 1}'"),
        ("at", "at + interval '1 microsecond'"),
        ("action", "'resume'"),
        ("object", "'ticket:other'"),
        ("hash", "sha256('')"),
    ],
)
async def test_an_altered_row_is_named(town, column, value):
    await work(town)
    await town.pool.execute("ALTER TABLE audit DISABLE TRIGGER audit_append_only")
    await town.pool.execute(f"UPDATE audit SET {column} = {value} WHERE seq = 3")
    assert (await town.broken())[0] == (3, True)


async def test_a_row_that_was_altered_and_hashed_again_breaks_the_one_behind_it(town):
    await work(town)
    await town.pool.execute("ALTER TABLE audit DISABLE TRIGGER audit_append_only")
    await town.pool.execute("UPDATE audit SET subject = 'somebody else' WHERE seq = 3")
    await town.pool.execute("UPDATE audit a SET hash = audit_hash(a) WHERE seq = 3")
    assert await town.broken() == [(4, False)]


async def test_a_row_taken_out_of_the_middle_or_the_beginning_is_missed(town):
    await work(town)
    await town.pool.execute("ALTER TABLE audit DISABLE TRIGGER audit_append_only")
    await town.pool.execute("DELETE FROM audit WHERE seq IN (1, 3)")
    assert await town.broken() == [(2, False), (4, False)]


async def test_a_database_from_before_the_chain_is_chained(empty_database, tmp_path):
    for migration in list_migrations():
        if migration.version < 5:
            source = FOLDER / f"{migration.version:04d}_{migration.name}.sql"
            (tmp_path / source.name).write_text(source.read_text())
    await migrate(empty_database, tmp_path)
    connection = await asyncpg.connect(empty_database)
    for number in range(3):
        await connection.execute("INSERT INTO audit (subject, action, object) VALUES ('a', 'b', $1)", str(number))
    await migrate(empty_database)
    assert await connection.fetch(query("audit.broken")) == []
    assert await connection.fetchval("SELECT count(*) FROM audit WHERE hash IS NOT NULL") == 3
    with pytest.raises(asyncpg.RestrictViolationError):
        await connection.execute("UPDATE audit SET subject = 'x'")
    await connection.close()


# --- deny list -------------------------------------------------------------------------------------------------------


async def test_whoever_polls_the_deny_list_misses_nobody(town):
    """An entry that is numbered first and committed last must not come to lie behind a poller."""
    async with town.pool.acquire() as slow, town.pool.acquire() as quick:
        transaction = slow.transaction()
        await transaction.start()
        first = await slow.fetchval(query("lists.deny"), "card", secrets.token_bytes(7), False, "slow")
        other = asyncio.create_task(quick.fetchval(query("lists.deny"), "card", secrets.token_bytes(7), False, "quick"))
        polled = await town.api.lists.deny_list(0)
        assert (polled.sequence, polled.entries) == (0, [])
        await transaction.commit()
        second = await other
    assert (first, second) == (1, 2)
    assert [entry.seq for entry in (await town.api.lists.deny_list(polled.sequence)).entries] == [1, 2]


async def test_an_entry_that_was_rolled_back_leaves_no_gap(town):
    async with town.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.fetchval(query("lists.deny"), "card", bytes(7), False, "no")
        await transaction.rollback()
    await town.pool.execute(
        "INSERT INTO deny_entry (kind, medium, reason) SELECT 'card', int4send(n), 'many' FROM generate_series(1, 5) n"
    )
    assert [entry.seq for entry in (await town.api.lists.deny_list(0)).entries] == [1, 2, 3, 4, 5]


# --- status lists ----------------------------------------------------------------------------------------------------


async def test_a_list_is_the_same_to_the_byte_until_something_in_it_changes(town):
    sold = await work(town, 2)
    first, first_cwt = await town.api.lists.status_list(1), await town.api.lists.status_list_cwt(1)
    town.api.lists._made[1].checked_s -= 60
    assert (await town.api.lists.status_list(1), await town.api.lists.status_list_cwt(1)) == (first, first_cwt)
    await town.api.desk.change_ticket(sold[0], "revoke", "lost", subject="olena")
    town.api.lists._made[1].checked_s -= 60
    assert await town.api.lists.status_list(1) != first
    assert await town.api.lists.status_list_cwt(1) != first_cwt
    with pytest.raises(Problem, match="no status list 2"):
        await town.api.lists.status_list_cwt(2)


async def test_the_ages_of_the_lists_are_measured(town):
    await work(town, 1)
    await town.api.lists.status_list(1)
    await town.pool.fetchval(query("lists.deny"), "card", bytes(7), False, "lost")
    await town.api.lists.deny_list(0)
    town.api.lists._made[1].checked_s -= 60
    gauges = town.service.gauges()
    assert 60 <= gauges["status_list_age_seconds"] < 120
    assert (gauges["status_lists"], gauges["deny_list_sequence"], gauges["issuer_keys"]) == (1, 1, 1)
    assert 0 <= gauges["deny_list_age_seconds"] < 60


# --- shifts ----------------------------------------------------------------------------------------------------------


async def test_a_cashiers_day_meets_the_ledger(town):
    api = town.api
    shift = await api.shifts.open(body=ShiftOpening(10_000), subject="olena")
    sold = await work(town, 3)
    await work(town, 2, "petro")  # another desk
    await api.desk.refund(sold[0], Refunding("rain"), subject="olena")
    await api.cards.enrol(["04DE5F1EACC040"], CARD_KEYS, subject="admin")
    await api.top_up("04DE5F1EACC040", body=TopUp(5_000), subject="olena", idempotency_key="k1")
    await api.top_up("04DE5F1EACC040", body=TopUp(5_000), subject="olena", idempotency_key="k1")
    price = TARIFF.products["single"].price_minor
    report = await api.shifts.get(shift.id, subject="olena", role="cashier")
    assert {line.kind: (line.count, line.cash_minor) for line in report.lines} == {
        "sale": (3, 3 * price),
        "refund": (1, -price),
        "top_up": (1, 5_000),
    }
    assert report.expected_minor == 10_000 + 2 * price + 5_000
    closed = await api.shifts.close(shift.id, body=ShiftClosing(report.expected_minor), subject="olena", role="cashier")
    assert (closed.difference_minor, closed.counted_minor) == (0, report.expected_minor)
    assert await town.broken() == []


@pytest.mark.parametrize("off_minor", [-150, 150])
async def test_a_difference_is_booked_so_that_the_ledgers_cash_is_the_drawers(town, off_minor):
    shift = await town.api.shifts.open(body=ShiftOpening(0), subject="olena")
    await work(town, 2)
    expected = (await town.api.shifts.get(shift.id, subject="olena", role="cashier")).expected_minor
    closed = await town.api.shifts.close(
        shift.id, body=ShiftClosing(expected + off_minor), subject="olena", role="cashier"
    )
    assert (closed.expected_minor, closed.difference_minor) == (expected, off_minor)
    balances = {row["account"]: row["minor"] for row in await town.pool.fetch(query("ledger.balances"))}
    assert balances["cash"] == expected + off_minor
    assert balances["cash_difference"] == -off_minor


async def test_a_shift_is_opened_once_closed_once_and_ones_own(town):
    api = town.api
    shift = await api.shifts.open(body=ShiftOpening(0), subject="olena")
    with pytest.raises(Problem, match="close it first"):
        await api.shifts.open(body=ShiftOpening(0), subject="olena")
    for number, subject in ((shift.id, "petro"), (shift.id + 1, "olena"), (2**80, "olena"), (-1, "olena")):
        with pytest.raises(Problem, match="no shift"):
            await api.shifts.get(number, subject=subject, role="cashier")
    with pytest.raises(Problem, match="no shift"):
        await api.shifts.close(shift.id, body=ShiftClosing(0), subject="petro", role="cashier")
    await api.shifts.close(shift.id, body=ShiftClosing(0), subject="boss", role="admin")
    with pytest.raises(Problem, match="closed already"):
        await api.shifts.close(shift.id, body=ShiftClosing(0), subject="olena", role="cashier")
    assert [found.id for found in (await api.shifts.list_shifts(subject="boss", role="admin")).shifts] == [shift.id]
    assert (await api.shifts.list_shifts(subject="petro", role="cashier")).shifts == []
    await work(town, 1)
    assert (await api.shifts.get(shift.id, subject="olena", role="cashier")).lines == []
    after = await api.shifts.open(body=ShiftOpening(0), subject="petro")
    assert after.id == shift.id + 1, "the refused opening has left a hole in the numbers"


async def test_sales_during_the_closing_belong_to_the_shift_or_come_after_it(town):
    shift = await town.api.shifts.open(body=ShiftOpening(0), subject="olena")
    sales = [asyncio.create_task(work(town, 3)) for _ in range(4)]
    expected = 0
    closed = await town.api.shifts.close(shift.id, body=ShiftClosing(expected), subject="olena", role="cashier")
    await asyncio.gather(*sales)
    report = await town.api.shifts.get(shift.id, subject="olena", role="cashier")
    assert report.lines == closed.lines
    price = TARIFF.products["single"].price_minor
    assert report.expected_minor == price * sum(line.count for line in report.lines if line.kind == "sale")


# --- who waits for whom ----------------------------------------------------------------------------------------------


async def test_hundreds_of_cards_with_passes_are_enrolled_while_desks_work(town):
    uids = [f"04{number:012X}" for number in range(300)]
    shift = await town.api.shifts.open(body=ShiftOpening(0), subject="olena")
    enrolling = asyncio.create_task(town.api.cards.enrol(uids, CARD_KEYS, subject="olena", product_id="day"))
    sold = await asyncio.gather(*(work(town, 3, desk) for desk in ("petro", "ivan")))
    assert len(await enrolling) == 300
    assert sum(len(tickets) for tickets in sold) == 6
    await town.api.shifts.close(shift.id, body=ShiftClosing(0), subject="olena", role="cashier")
    assert await town.broken() == []
    rows = await town.pool.fetch("SELECT action FROM audit WHERE subject = 'olena' ORDER BY seq")
    assert [row["action"] for row in rows].count("enrol") == 300
    assert [row["action"] for row in rows].count("sell") == 300


async def test_whoever_finds_the_chain_held_for_long_is_told_to_try_again_and_nothing_is_booked(town):
    pool = town.pool
    async with pool.acquire() as holder, holder.transaction():
        await holder.execute("SELECT pg_advisory_xact_lock(hashtextextended('takt audit', 0))")
        with pytest.raises(Problem) as refused:
            await town.api.desk.sell("single", subject="olena", idempotency_key="k1")
        assert (refused.value.status, refused.value.title) == (503, "Busy")
    assert await pool.fetchval("SELECT count(*) FROM ticket") == 0
    assert await pool.fetchval("SELECT count(*) FROM transfer") == 0
    await town.api.desk.sell("single", subject="olena", idempotency_key="k1")
    assert await town.broken() == []
