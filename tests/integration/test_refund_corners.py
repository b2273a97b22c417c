"""Corners of money that goes back, on a real PostgreSQL: groups, shifts, several at once, and no more than was paid."""

from __future__ import annotations

import asyncio

import pytest

from tests.integration.money_town import FINE, GROUP, MONTH, TEN, money_town
from ticketing.books import Books
from ticketing.errors import Problem
from ticketing.penalties_api import PenaltiesApi, PenaltyChange
from ticketing.refund_booking import Refunding
from ticketing.shifts import Shift, Shifts


async def cash(town) -> int:
    return (await town.balances())["cash"]


async def ride(town, token: str) -> str:
    tap = town.tap("qr", token, offline=False)
    await town.judge(tap)
    return town.told[tap.id].verdict.value


def shifts(town) -> Shifts:
    return Shifts(Books(town.service.store), "UAH")


async def close(town, number: int, counted_minor: int) -> Shift:
    return await shifts(town).close(number, counted_minor, subject="desk1", whose=None)


async def test_of_a_group_that_has_travelled_half_its_rides_half_goes_back_and_once(database):
    async with money_town(database, 1, flat=True) as town:
        sold = await town.api.desk.sell("group", subject="desk1")
        for _ in range(2):
            assert await ride(town, sold.token) == "accepted"
        asked = [town.api.desk.refund(sold.id, Refunding("rain"), subject=f"desk{number}") for number in range(8)]
        said = await asyncio.gather(*asked, return_exceptions=True)
        assert sum(isinstance(one, Problem) and one.title == "Refunded already" for one in said) == 7
        ticket = await town.api.desk.get_ticket(sold.id)
        assert (ticket.refunded_minor, ticket.uses, ticket.status) == (GROUP // 2, 2, "revoked")
        assert await cash(town) == GROUP // 2
        assert await ride(town, sold.token) == "revoked"


async def test_a_refund_after_the_shift_was_closed_is_the_next_ones_and_changes_no_report(database):
    async with money_town(database, 1, flat=True) as town:
        first = await shifts(town).open("desk1", 1000)
        sold = [await town.api.desk.sell("ten", subject="desk1") for _ in range(2)]
        closed = await close(town, first.id, 1000 + 2 * TEN)
        await town.api.desk.refund(sold[0].id, Refunding("rain"), subject="desk1")  # without any shift
        second = await shifts(town).open("desk1", 5000)
        await town.api.desk.refund(sold[1].id, Refunding("rain"), subject="desk1")
        assert await shifts(town).get(first.id, whose=None) == closed
        report = await shifts(town).get(second.id, whose=None)
        assert (report.expected_minor, [line.cash_minor for line in report.lines]) == (5000 - TEN, [-TEN])
        assert await cash(town) == 0


async def test_a_refund_while_the_shift_closes_is_in_it_or_after_it(database):
    async with money_town(database, 1, flat=True) as town:
        shift = await shifts(town).open("desk1", 0)
        sold = [await town.api.desk.sell("ten", subject="desk1") for _ in range(6)]
        back = [town.api.desk.refund(one.id, Refunding("rain"), subject="desk1") for one in sold[:4]]
        closed, *_ = await asyncio.gather(close(town, shift.id, 0), *back)
        assert closed.expected_minor == sum(line.cash_minor for line in closed.lines if line.kind != "difference")
        assert (await shifts(town).get(shift.id, whose=None)) == closed


async def test_no_more_goes_back_than_was_paid_even_where_an_admin_wants_all_of_it(database):
    async with money_town(database, 1, flat=True) as town:
        sold = await town.api.desk.sell("month", subject="desk1")
        await ride(town, sold.token)
        ticket = await town.api.desk.refund(sold.id, Refunding("strike", override=True), subject="boss")
        assert (ticket.refunded_minor, await cash(town)) == (MONTH, 0)
        with pytest.raises(Problem, match="has been reversed before"):
            await town.api.desk.refund(sold.id, Refunding("strike", override=True), subject="boss")
        assert await town.pool.fetchval("SELECT count(*) FROM transfer WHERE kind = 'refund'") == 1


async def test_a_penalty_is_paid_once_whoever_takes_it_and_taken_back_once(database):
    async with money_town(database, 1, flat=True) as town:
        api = PenaltiesApi(town.penalties)
        issued = [
            await town.penalties.issue("bus", "no ticket", vehicle="v1", route_id=None, subject="bus:olena")
            for _ in range(2)
        ]
        one, other = (penalty.reference for penalty in issued)
        with pytest.raises(Problem, match="of tram, not of bus"):
            await api.pay(one, subject="tram:petro", role="inspector", idempotency_key=None)
        asked = [api.pay(one, subject=f"desk{n}", role="cashier", idempotency_key=None) for n in range(6)]
        said = await asyncio.gather(*asked, return_exceptions=True)
        assert sum(isinstance(answer, Problem) and answer.status == 409 for answer in said) == 5
        with pytest.raises(Problem, match="is paid already"):
            await api.cancel(one, body=PenaltyChange("mistake"), subject="desk1", idempotency_key=None)
        asked = [
            api.cancel(other, body=PenaltyChange("mistake"), subject="desk1", idempotency_key="k") for _ in range(4)
        ]
        assert {penalty.state for penalty in await asyncio.gather(*asked)} == {"cancelled"}
        with pytest.raises(Problem, match="is cancelled already"):
            await api.pay(other, subject="desk1", role="cashier", idempotency_key=None)
        balances = await town.balances()
        assert (balances["cash"], -balances["penalties"], balances["penalty"]) == (FINE, FINE, 0)
