"""The online sale on a real PostgreSQL and a real HTTP acquirer: paid once and issued once, whatever gets lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio
from msgspec.structs import replace

from simulators.acquirer import Acquirer, Mood, open_acquirer
from sql import query
from sql.pool import open_pool
from tests.integration.ticket_city import issuer_keys
from ticketing.api import TicketingApi
from ticketing.books import Books
from ticketing.errors import Problem
from ticketing.money import Money
from ticketing.operations import Drain, Operations
from ticketing.payment import operation_key
from ticketing.payment_http import HttpPayments
from ticketing.purchases import Method, Purchase, PurchaseApi, PurchaseOrder, Purchases
from ticketing.refund_booking import Refunding
from ticketing.refunds_owed import PayOut, RefundsOwedApi
from ticketing.service import Ticketing
from ticketing.settlement import Settlements
from ticketing.settlement_document import faults
from ticketing.shifts_api import ShiftClosing, ShiftOpening
from ticketing.tariff import parse_tariff
from ticketing.verdict import Tap

TARIFF = parse_tariff((Path(__file__).parents[2] / "ticketing" / "tariff.toml").read_text(), "tariff.toml")
SOMEBODY = SimpleNamespace(remote="192.0.2.7")


@dataclass
class Shop:
    """An online sale with its acquirer; offset_s moves its clock."""

    pool: Any
    service: Ticketing
    desk: TicketingApi
    api: PurchaseApi
    operations: Operations
    acquirer: Acquirer
    offset_s: float = 0.0

    def now(self) -> float:
        return time.time() + self.offset_s

    async def buy(
        self, token: str = "tok", key: str | None = None, product: str = "single", valid_from: float | None = None
    ) -> Purchase:
        body = PurchaseOrder(product, Method(token), valid_from=valid_from)
        return await self.api.buy(body=body, request=SOMEBODY, idempotency_key=key)

    async def ask_again(self) -> int:
        """What the worker does when a while has passed."""
        self.offset_s += 7200
        return await Drain(self.operations).once()

    async def tickets(self) -> int:
        return int(await self.pool.fetchval("SELECT count(*) FROM ticket"))


@pytest_asyncio.fixture
async def shop(database: str) -> AsyncIterator[Shop]:
    pool = await open_pool(database)
    acquirer = Acquirer("secret")
    service = Ticketing(pool, issuer_keys(), TARIFF, clock=lambda: shop.now())  # noqa: PLW0108  # there is none yet
    async with (
        service,
        open_acquirer(acquirer),
        HttpPayments(acquirer.url, "secret", timeout_s=0.5) as payments,
    ):
        desk = TicketingApi(service)
        operations = Operations(service.store, payments, service.clock)
        api = PurchaseApi(Purchases(Books(service.store), desk.desk, operations), lambda _: 0.0)
        shop = Shop(pool, service, desk, api, operations, acquirer)
        yield shop
        # Whatever a test did: what the acquirer took is what our books say that it took, and the ledger is even.
        balances = await pool.fetch(query("ledger.balances"))
        assert sum(row["minor"] for row in balances) == 0
        assert sum(row["minor"] for row in balances if row["account"] == "acquirer") == sum(acquirer.charged.values())
        assert await pool.fetchval("SELECT count(*) FROM payment WHERE state = 'asked'") == 0
    await pool.close()


async def test_a_ticket_is_paid_and_rides(shop):
    bought = await shop.buy()
    assert (bought.payment, bought.price_minor, bought.receipt.amount_minor) == ("approved", 800, 800)
    assert bought.qr_svg.startswith("<svg")
    assert await shop.api.get(bought.purchase_id) == bought
    tap = Tap(
        bought.id, "a1", 1, shop.now(), "qr", bought.token, None, "7", None, None, None, None, "kpt", "d", shop.now()
    )
    assert [answer.verdict for answer in await shop.service.validate([tap])] == ["accepted"]


async def test_the_same_key_buys_once_and_another_order_under_it_is_refused(shop):
    first = await shop.buy(key="k1")
    assert await shop.buy(key="k1") == first
    assert await shop.tickets() == 1
    with pytest.raises(Problem) as refused:
        await shop.buy(key="k1", product="ten")
    assert refused.value.status == 422


async def test_twenty_retries_at_once_buy_one_ticket(shop):
    await asyncio.gather(*(shop.buy(key="k1") for _ in range(20)))
    assert await shop.tickets() == 1
    assert list(shop.acquirer.charged.values()) == [800]


async def test_a_declined_card_buys_nothing_and_says_so_each_time(shop):
    for _ in range(2):
        with pytest.raises(Problem) as declined:
            await shop.buy("decline-1", key="k1")
        assert (declined.value.status, await shop.tickets()) == (402, 0)
    assert (await shop.buy("tok", key="k2")).payment == "approved"


async def test_a_payment_whose_answer_is_lost_is_pending_and_issued_later_once(shop):
    pending = await shop.buy("timeout-1", key="k1")
    assert (pending.payment, pending.id, pending.token) == ("pending", None, None)
    assert await shop.buy("timeout-1", key="k1") == pending
    assert await shop.ask_again() == 1
    issued = await shop.api.get(pending.purchase_id)
    assert issued.payment == "approved"
    assert issued.qr_svg
    assert await shop.ask_again() == 0
    assert (await shop.tickets(), list(shop.acquirer.charged.values())) == (1, [800])


async def test_a_payment_that_was_lost_and_declined_is_declined_later(shop):
    shop.acquirer.mood = Mood(timeout=1.0, decline=1.0)
    pending = await shop.buy()
    shop.acquirer.mood = Mood()
    await shop.ask_again()
    assert (await shop.api.get(pending.purchase_id)).payment == "declined"


async def test_double_answers_and_two_workers_issue_once(shop):
    shop.acquirer.mood = Mood(timeout=1.0)
    pending = await shop.buy("twice-1")
    shop.acquirer.mood = Mood()
    shop.offset_s += 7200
    await asyncio.gather(*(Drain(shop.operations).once() for _ in range(4)))
    assert (await shop.api.get(pending.purchase_id)).payment == "approved"
    assert await shop.tickets() == 1


async def test_two_answers_to_one_payment_are_booked_once(shop):
    shop.acquirer.mood = Mood(timeout=1.0)
    pending = await shop.buy()
    shop.acquirer.mood = Mood()
    # Both have asked before either has booked: the second finds it done.
    await shop.pool.execute("UPDATE payment SET next_at = 'epoch'")
    asking = [asyncio.create_task(shop.operations.ask(pending.purchase_id))]
    await asyncio.sleep(0)
    await shop.pool.execute("UPDATE payment SET next_at = 'epoch' WHERE state = 'asked'")
    asking.append(asyncio.create_task(shop.operations.ask(pending.purchase_id)))
    await asyncio.gather(*asking)
    assert await shop.tickets() == 1


async def test_an_acquirer_that_is_down_leaves_the_purchase_pending(shop):
    shop.acquirer.mood = Mood(down=True)
    pending = await shop.buy()
    await shop.ask_again()
    assert (await shop.api.get(pending.purchase_id)).payment == "pending"
    shop.acquirer.mood = Mood()
    await shop.ask_again()
    assert (await shop.api.get(pending.purchase_id)).payment == "approved"


async def test_a_purchase_that_nobody_answered_for_days_is_issued_once_the_bank_is_back(shop):
    shop.acquirer.mood = Mood(timeout=1.0)
    pending = await shop.buy("tok", key="k1")
    shop.acquirer.mood = Mood(down=True)
    await shop.pool.execute("UPDATE payment SET asks = 31")
    for _ in range(3):
        await shop.ask_again()
    shop.acquirer.mood = Mood()
    await shop.ask_again()
    issued = await shop.api.get(pending.purchase_id)
    assert (issued.payment, await shop.tickets(), len(shop.acquirer.charged)) == ("approved", 1, 1)
    # So is money that goes back.
    shop.acquirer.mood = Mood(down=True)
    await shop.desk.desk.refund(str(issued.id), Refunding("rain"), subject="desk1")
    await shop.pool.execute("UPDATE payment SET asks = 31 WHERE kind = 'refund'")
    for _ in range(3):
        await shop.ask_again()
    shop.acquirer.mood = Mood()
    await shop.ask_again()


async def test_a_refund_at_the_desk_goes_back_to_the_card(shop):
    bought = await shop.buy()
    await shop.desk.desk.refund(bought.id, Refunding("changed plans"), subject="desk1")
    await shop.ask_again()
    assert list(shop.acquirer.charged.values()) == [0]
    assert (await shop.api.get(bought.purchase_id)).payment == "returned"


async def owed_by_a_bank(shop):
    """A ticket whose refund its bank would not take."""
    bought = await shop.buy()
    shop.acquirer.mood = Mood(decline_refunds=True)
    await shop.desk.desk.refund(bought.id, Refunding("rain"), subject="desk1")
    await shop.ask_again()
    return bought


async def test_what_a_bank_would_not_take_back_is_paid_out_in_cash_once_and_belongs_to_the_shift(shop):
    books, desk, shifts = Books(shop.service.store), shop.desk.desk, shop.desk.shifts
    bought = await owed_by_a_bank(shop)
    (owed,) = (await RefundsOwedApi(books).list_owed()).refunds
    assert (owed.ticket_id, owed.amount_minor, owed.state, owed.reason) == (bought.id, 800, "owed", "card_closed")
    assert "pay-out" in owed.what_to_do.en
    assert "pay-out" in owed.what_to_do.uk
    assert (await desk.get_ticket(bought.id)).refund_owed_minor == 800
    with pytest.raises(Problem, match="no open shift"):
        await desk.pay_out(bought.id, PayOut(), subject="desk1")
    shift = await shifts.open(body=ShiftOpening(1000), subject="desk1")
    for _ in range(2):
        ticket = await desk.pay_out(bought.id, PayOut(), subject="desk1", idempotency_key="p1")
        assert (ticket.refund_owed_minor, ticket.refunded_minor) == (0, 800)
    with pytest.raises(Problem, match="paid out"):
        await desk.pay_out(bought.id, PayOut(), subject="desk1", idempotency_key="p2")
    with pytest.raises(Problem, match="unclear"):
        await desk.pay_out(bought.id, PayOut(0), subject="desk1")
    assert (await RefundsOwedApi(books).list_owed()).refunds == []
    report = await shifts.close(shift.id, body=ShiftClosing(200), subject="desk1", role="cashier")
    assert [(line.kind, line.count, line.cash_minor) for line in report.lines] == [("reversal", 1, -800)]
    assert (report.expected_minor, report.difference_minor) == (200, 0)
    balances = {row["account"]: row["minor"] for row in await shop.pool.fetch(query("ledger.balances"))}
    assert (balances["refunds_owed"], balances["cash"], balances["sales"], balances["acquirer"]) == (0, -800, 0, 800)
    settlements = Settlements(books, TARIFF)
    settled = await settlements.make(date.fromtimestamp(time.time()))
    assert faults(settled) == []
    moved = [(line.debit_minor, line.credit_minor) for line in settled.accounts if line.account == "refunds_owed"]
    assert moved in ([(800, 800)], [])  # of another business day in the first hours of the day
    said = await shop.pool.fetchval("SELECT count(*) FROM audit WHERE action = 'pay_out' AND subject = 'desk1'")
    assert said == 1


@pytest.mark.parametrize(("returned", "paid"), [(300, 500), (800, 0), (0, 800)])
async def test_a_refund_that_the_acquirer_knows_with_another_amount_ends_with_a_person(shop, returned, paid):
    """As where a backup was restored, and the ticket was given back once more under another rule."""
    bought = await shop.buy()
    (charge,) = shop.acquirer.charges()
    key = operation_key("return", bought.purchase_id)
    shop.acquirer.mood = Mood(decline_refunds=not returned)
    await shop.operations._payments.refund(charge.id, Money(returned or 1, "UAH"), key)
    shop.acquirer.mood = Mood()
    shop.acquirer.operations[key] = replace(shop.acquirer.operations[key], asked="another")
    await shop.desk.desk.refund(bought.id, Refunding("rain"), subject="desk1")
    asks = shop.acquirer.asks
    while await shop.ask_again():
        assert asks.total() < 100, "it is asked for again for ever"
    (owed,) = (await RefundsOwedApi(Books(shop.service.store)).list_owed()).refunds
    assert (owed.ticket_id, owed.amount_minor, owed.state, owed.reason) == (bought.id, 800, "unclear", "http_409")
    assert "--bank-returned" in owed.what_to_do.en
    await shop.desk.shifts.open(body=ShiftOpening(1000), subject="desk1")
    with pytest.raises(Problem, match="statement"):
        await shop.desk.desk.pay_out(bought.id, PayOut(), subject="desk1")
    with pytest.raises(Problem, match="no more"):
        await shop.desk.desk.pay_out(bought.id, PayOut(801), subject="desk1")
    for _ in range(2):
        await shop.desk.desk.pay_out(bought.id, PayOut(returned), subject="desk1", idempotency_key="p1")
    assert (await RefundsOwedApi(Books(shop.service.store)).list_owed()).refunds == []
    cash = "SELECT coalesce(sum(amount_minor), 0)::bigint FROM transfer WHERE credit = 'cash'"
    assert await shop.pool.fetchval(cash) == paid
    assert await shop.pool.fetchval("SELECT count(*) FROM payment WHERE state = 'unclear'") == 0


async def test_twenty_cashiers_at_once_pay_a_refund_out_once(shop):
    bought = await owed_by_a_bank(shop)
    for number in range(20):
        await shop.desk.shifts.open(body=ShiftOpening(1000), subject=f"desk{number}")
    paying = (shop.desk.desk.pay_out(bought.id, PayOut(), subject=f"desk{number}") for number in range(20))
    done = await asyncio.gather(*paying, return_exceptions=True)
    assert sum(not isinstance(one, Problem) for one in done) == 1
    assert await shop.pool.fetchval("SELECT sum(amount_minor)::bigint FROM transfer WHERE credit = 'cash'") == 800


@pytest.mark.parametrize("token", ["4111111111111111", "tok-4111 1111 1111 1111", "x y", "ключ"])
async def test_no_card_number_is_taken_for_a_token(shop, token):
    with pytest.raises(Problem) as refused:
        await shop.buy(token)
    assert refused.value.status == 422
    assert "4111" not in refused.value.detail
    assert await shop.pool.fetchval("SELECT count(*) FROM purchase") == 0


async def test_unknown_products_and_purchases_and_too_many_tries(shop):
    with pytest.raises(Problem, match="not in the tariff"):
        await shop.buy(product="gold")
    with pytest.raises(Problem) as unknown:
        await shop.api.get("a" * 32)
    assert unknown.value.status == 404
    with pytest.raises(Problem) as off:
        await PurchaseApi(None, lambda _: 0.0).get("a" * 32)
    assert (off.value.status, "payments.url" in off.value.detail) == (503, True)
    limited = PurchaseApi(shop.api._purchases, lambda _: 1.0)
    with pytest.raises(Problem) as much:
        await limited.buy(body=PurchaseOrder("single", Method("tok")), request=SOMEBODY, idempotency_key=None)
    assert much.value.status == 429
