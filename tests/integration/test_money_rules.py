"""The tariff's rules about money at the desk, over the API on a real PostgreSQL: refunds, top-ups, concessions."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from typing import Any

import msgspec
import pytest

from tests.integration.rated_city import rated_city, shipped
from tests.integration.test_rating import receipts
from tests.integration.ticket_city import CARD_KEYS, UID, City
from ticketing.api import Sale, TopUp
from ticketing.city_sales import Refund, TopUps
from ticketing.errors import Problem
from ticketing.refund_booking import Refunding
from ticketing.verdict import Offline

NIGHTMARES = ["", "x" * 36, "00000000-0000-0000-0000-000000000000", "' OR 1=1 --", "../..", "\u202e"]


def rule(city: City, **changes: Any) -> None:
    """The desk of a tariff that says otherwise."""
    tariff = dataclasses.replace(city.service.tariff, **changes)
    city.api.desk.sales.tariff = tariff
    city.api.cards._tariff = tariff


async def refund(city: City, ticket_id: str, role: str = "cashier", override: bool = False, key: str | None = None):
    body = Refunding("broke down", override)
    return await city.api.refund(ticket_id, body=body, subject=f"{role}1", role=role, idempotency_key=key)


async def test_a_used_single_ticket_is_not_refunded_and_stays_as_it_is(city):
    sold = await city.sell()
    assert await city.say(sold.token) == "accepted"
    with pytest.raises(Problem) as refused:
        await refund(city, sold.id)
    assert (refused.value.status, refused.value.title) == (409, "Not refundable")
    assert "'single'" in refused.value.detail
    assert "used once" in refused.value.detail
    assert "admin" in refused.value.detail
    ticket = await city.api.get_ticket(sold.id)
    assert (ticket.status, ticket.refunded_minor, ticket.reason) == ("valid", None, None)
    assert await city.balances() == {"cash": 800, "sales": -800}


async def test_an_admin_may_give_it_back_with_a_reason_and_the_audit_says_so(city):
    sold = await city.sell()
    await city.say(sold.token)
    with pytest.raises(Problem) as forbidden:
        await refund(city, sold.id, override=True)
    assert forbidden.value.status == 403
    done = await refund(city, sold.id, "admin", override=True)
    assert (done.status, done.uses, done.refunded_minor) == ("revoked", 1, 800)
    row = await city.pool.fetchrow("SELECT subject, details FROM audit WHERE action = 'refund_override'")
    assert row["subject"] == "admin1"
    assert json.loads(row["details"]) == {"reason": "broke down", "uses": 1, "amount_minor": 800}
    assert set((await city.balances()).values()) == {0}
    with pytest.raises(Problem, match="reversed before"):
        await refund(city, sold.id, "admin", override=True)


async def test_a_ticket_that_lay_too_long_or_is_over_brings_nothing(city):
    sold = await city.sell()
    city.offset_s = 14 * 86_400
    with pytest.raises(Problem, match="more than 14 days ago"):
        await refund(city, sold.id)
    city.offset_s = 15 * 86_400 + 1
    with pytest.raises(Problem, match="its time is over"):
        await refund(city, sold.id)


async def test_where_the_tariff_gives_the_rest_a_part_goes_back_once(city):
    products = dict(city.service.tariff.products)
    products["ten"] = msgspec.structs.replace(products["ten"], refund=Refund(14, "rest"))
    rule(city, products=products)
    sold = await city.sell("ten")
    for vehicle in ("a", "b", "c"):
        assert await city.say(sold.token, vehicle=vehicle) == "accepted"
    answers = await asyncio.gather(*(refund(city, sold.id) for _ in range(5)), return_exceptions=True)
    given = [answer for answer in answers if not isinstance(answer, Problem)]
    assert [(one.refunded_minor, one.price_minor) for one in given] == [(5390, 7700)]
    assert await city.balances() == {"cash": 2310, "sales": -2310}


async def test_a_refund_under_a_key_is_given_once_and_its_answer_again(city):
    sold = await city.sell()
    first = await refund(city, sold.id, key="r1")
    assert await refund(city, sold.id, key="r1") == first
    assert await city.value("SELECT count(*) FROM transfer WHERE kind = 'refund'") == 1


async def test_a_late_tap_on_a_refunded_ticket_is_history_and_its_medium_is_denied(city):
    taken = city.now() - 60
    sold = await city.sell("ten", valid_from=taken - 60)
    await refund(city, sold.id)
    answer = (await city.judge(city.tap(sold.token, ts=taken, offline=Offline("accepted", 1))))[0]
    assert answer.verdict.value == "revoked"
    assert await city.value("SELECT conflict FROM tap") is True
    assert await city.value("SELECT count(*) FROM deny_entry WHERE kind = 'ticket'") == 1


@pytest.mark.parametrize("ticket_id", NIGHTMARES)
async def test_what_is_no_ticket_is_404(city, ticket_id):
    with pytest.raises(Problem) as refused:
        await refund(city, ticket_id)
    assert refused.value.status == 404


# --- top-ups ---------------------------------------------------------------------------------------------------------


async def top_up(city: City, minor: int, key: str | None = None):
    return await city.api.top_up(UID.hex(), body=TopUp(minor), subject="desk1", idempotency_key=key)


async def test_a_purse_is_topped_up_within_bounds_and_holds_no_more_than_they_say(city):
    await city.api.cards.enrol([UID.hex()], CARD_KEYS, subject="admin")
    rule(city, top_ups=TopUps(min_minor=500, max_minor=10_000, balance_max_minor=15_000))
    for minor in (1, 499, 10_001, 2**53, 10**12):
        with pytest.raises(Problem) as refused:
            await top_up(city, minor)
        assert (refused.value.status, "5.00 UAH to 100.00 UAH" in refused.value.detail) == (422, True)
    assert (await top_up(city, 10_000)).balance_minor == 10_000
    with pytest.raises(Problem) as full:
        await top_up(city, 6_000)
    assert (full.value.status, "50.00 UAH fit in" in full.value.detail) == (409, True)
    assert (await top_up(city, 5_000)).balance_minor == 15_000
    assert await city.balances() == {"cash": 15_000, "purse": -15_000}


async def test_twenty_at_once_do_not_fill_a_purse_beyond_its_bound(city):
    await city.api.cards.enrol([UID.hex()], CARD_KEYS, subject="admin")
    rule(city, top_ups=TopUps(max_minor=10_000, balance_max_minor=35_000))
    answers = await asyncio.gather(*(top_up(city, 10_000) for _ in range(20)), return_exceptions=True)
    assert sum(not isinstance(answer, Problem) for answer in answers) == 3
    assert (await city.api.get_card(UID.hex())).balance_minor == 30_000


async def test_a_debt_is_paid_first_and_what_it_takes_does_not_fill_the_purse(city):
    await city.api.cards.enrol([UID.hex()], CARD_KEYS, subject="admin")
    rule(city, top_ups=TopUps(max_minor=10_000, balance_max_minor=10_000))
    await city.pool.execute("UPDATE card SET debt_minor = 4000")
    await city.pool.execute(
        "INSERT INTO transfer (kind, debit, credit, amount_minor, currency, card_uid, made_by)"
        " VALUES ('fare', 'debt:' || encode($1, 'hex'), 'fares', 4000, 'UAH', $1, 'test')",
        UID,
    )
    assert (await top_up(city, 10_000)).balance_minor == 6_000
    assert (await top_up(city, 4_000)).balance_minor == 10_000


# --- concessions -----------------------------------------------------------------------------------------------------


async def test_a_concessions_pass_goes_on_a_card_that_has_the_concession(city):
    products = dict(city.service.tariff.products)
    products["student"] = msgspec.structs.replace(products["month"], id="student", categories=("student", "pupil"))
    rule(city, products=products)
    await city.api.cards.enrol([UID.hex()], CARD_KEYS, subject="admin")
    for category in (None, "senior"):
        await city.pool.execute("UPDATE card SET category = $1", category)
        with pytest.raises(Problem) as refused:
            await city.sell("student", card_uid=UID.hex())
        assert (refused.value.status, refused.value.title) == (409, "Wrong category")
        assert "student, pupil" in refused.value.detail
    await city.pool.execute("UPDATE card SET category = 'pupil'")
    assert (await city.sell("student", card_uid=UID.hex())).token is None
    with pytest.raises(Problem) as unknown:
        await city.sell("student", card_uid="04112233445566")
    assert unknown.value.status == 404
    assert await city.value("SELECT count(*) FROM ticket") == 1


async def test_a_machine_sells_no_concession_as_a_code_and_a_cashier_does(city):
    products = dict(city.service.tariff.products)
    products["student"] = msgspec.structs.replace(products["month"], id="student", categories=("student",))
    rule(city, products=products)
    for role, status in (("vendor", 409), ("cashier", None)):
        sale = city.api.sell(body=Sale("student"), subject="x", role=role, idempotency_key=None)
        if status is None:
            assert (await sale).token
        else:
            with pytest.raises(Problem) as refused:
                await sale
            assert refused.value.status == status
    rule(city, products=products, default_category="student")
    assert (await city.api.sell(body=Sale("student"), subject="x", role="vendor", idempotency_key=None)).token


async def test_nothing_is_told_of_a_bank_account_that_there_is_not(database):
    async with rated_city(database, shipped("kyiv")) as kyiv:
        for account in ("bank:nobody", f"bank:{'a' * 32}", "bank:1' OR '1"):
            with pytest.raises(Problem) as refused:
                await receipts(kyiv).day(account, "today")
            assert refused.value.status in (404, 422)
        await kyiv.pool.execute("INSERT INTO bank_account (id, token, made_at) VALUES ($1, 'abc', now())", "ab" * 16)
        assert (await receipts(kyiv).day(f"bank:{'ab' * 16}", "today")).taps == []
