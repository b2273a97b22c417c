"""Cards topped up by themselves, on a real PostgreSQL and a real HTTP acquirer: each time once, and never too much."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from simulators.acquirer import Mood
from sql import query
from tests.integration.bank_town import BankTown, bank_town
from tests.integration.ticket_city import CARD_KEYS, UID
from ticketing.api import TicketingApi, TopUp
from ticketing.auto_top_up import AutoTopUp
from ticketing.auto_top_up_api import AutoTopUpApi, AutoTopUpTerms
from ticketing.books import Books, Change
from ticketing.city_sales import TopUps
from ticketing.errors import Problem
from ticketing.privacy import Privacy
from ticketing.topping_up import ToppingUp

CARD = UID.hex()


@dataclass
class Till:
    """A town with one city card, whose holder has named a bank card by its token."""

    town: BankTown
    desk: TicketingApi
    api: AutoTopUpApi
    worker: ToppingUp

    async def set(self, token: str = "visa", *, card: str = CARD, key: str | None = None, **terms: Any) -> AutoTopUp:
        given = {"threshold_minor": 1000, "amount_minor": 5000} | terms
        return await self.api.set(card, body=AutoTopUpTerms(token, **given), subject="desk1", idempotency_key=key)

    async def work(self, hours: float = 0.0) -> None:
        """All that the worker does until nothing is left to do then."""
        self.town.now_s += hours * 3600
        while await self.worker.once():
            pass

    async def balance(self, card: str = CARD) -> int:
        return (await self.desk.get_card(card)).balance_minor

    async def spend(self, minor: int) -> None:
        """A ride of that price, as the judge books it."""
        async with self.town.pool.acquire() as connection, connection.transaction():
            await connection.execute("UPDATE card SET balance_minor = balance_minor - $2 WHERE uid = $1", UID, minor)
            await connection.execute(
                "INSERT INTO transfer (kind, debit, credit, amount_minor, currency, card_uid, made_by)"
                " VALUES ('fare', 'purse:' || encode($1, 'hex'), 'fares', $2, 'UAH', $1, 'test')",
                UID,
                minor,
            )

    async def check(self) -> None:
        """Purses are what was booked on them."""
        assert await self.town.pool.fetch(query("cards.purse_differences")) == []


@pytest_asyncio.fixture
async def till(database: str) -> AsyncIterator[Till]:
    async with bank_town(database) as town:
        operations = town.operations
        desk = TicketingApi(town.service)
        await desk.cards.enrol([CARD], CARD_KEYS, subject="admin")
        books, tariff = Books(town.service.store), town.service.tariff
        api = AutoTopUpApi(books, operations, tariff, lambda _: 0.0)
        till = Till(town, desk, api, ToppingUp(operations, tariff))
        yield till
        await till.check()


async def test_a_purse_below_its_threshold_is_topped_up_once(till):
    agreed = await till.set()
    assert (agreed.state, agreed.last_order) == ("on", None)
    await till.work()
    await till.work()
    assert (await till.balance(), await till.town.debits("visa")) == (5000, [5000])
    card = await till.desk.get_card(CARD)
    assert card.auto_top_up is not None
    assert card.auto_top_up.last_order is not None
    assert (card.auto_top_up.last_order.state, card.auto_top_up.last_at) == ("approved", till.town.now_s)
    rows = await till.town.pool.fetch("SELECT subject, action FROM audit WHERE action LIKE '%top_up' ORDER BY seq")
    assert [tuple(row) for row in rows] == [("desk1", "set_auto_top_up"), ("auto_top_up", "top_up")]
    line = await till.town.pool.fetchrow("SELECT kind, debit, credit, amount_minor FROM transfer")
    assert tuple(line) == ("top_up", "acquirer", f"purse:{CARD}", 5000)


async def test_a_purse_at_its_threshold_is_left_alone(till):
    await till.desk.top_up(CARD, body=TopUp(1000), subject="desk1", idempotency_key=None)
    await till.set()
    await till.work()
    assert await till.balance() == 1000
    await till.spend(1)
    await till.work()
    assert await till.balance() == 5999


async def test_a_lost_answer_is_asked_for_again_under_its_key(till):
    await till.set("timeout-visa")
    await till.work()
    assert await till.balance() == 0
    shown = await till.api.get(CARD)
    assert shown.last_order is not None
    assert shown.last_order.state == "unknown"
    await till.work(hours=1)
    assert (await till.balance(), await till.town.debits("timeout-visa")) == (5000, [5000])


async def test_an_answer_given_twice_is_booked_once(till):
    await till.set("twice-visa")
    await till.work()
    await till.work(hours=1)
    assert (await till.balance(), await till.town.debits("twice-visa")) == (5000, [5000])


async def test_many_workers_at_once_charge_once(till):
    await till.set(max_per_day=10)
    workers = [ToppingUp(till.town.operations, till.town.service.tariff) for _ in range(5)]
    await asyncio.gather(*(worker.once() for worker in workers))
    await till.work(hours=0.1)
    assert (await till.balance(), await till.town.debits("visa")) == (5000, [5000])


async def test_a_decline_pauses_says_why_and_asks_no_more_until_it_is_set_again(till):
    await till.set("unfunded-visa", max_per_day=3)
    await till.work()
    await till.work(hours=30)
    shown = await till.api.get(CARD)
    assert (shown.state, shown.reason) == ("paused", "insufficient_funds")
    assert shown.last_order is not None
    assert shown.last_order.state == "declined"
    assert (await till.balance(), len(till.town.acquirer.operations)) == (0, 2)
    assert await till.town.value("SELECT count(*) FROM audit WHERE action = 'pause_auto_top_up'") == 1
    assert (await till.set("visa")).state == "on"
    await till.work()
    assert await till.balance() == 5000


async def test_the_same_method_is_asked_anew_after_a_decline_was_cleared(till):
    till.town.acquirer.mood = Mood()
    await till.set("visa")
    till.town.acquirer.mood = Mood(decline=1.0)
    await till.work()
    assert (await till.api.get(CARD)).state == "paused"
    till.town.acquirer.mood = Mood()
    await till.set("visa")
    await till.work()
    assert await till.balance() == 5000


async def test_no_more_than_so_often_in_a_day(till):
    await till.set(max_per_day=2)
    for _ in range(4):
        await till.work(hours=1)
        if balance := await till.balance():
            await till.spend(balance)
    assert await till.town.debits("visa") == [5000, 5000]
    await till.work(hours=24)
    assert (await till.balance(), len(await till.town.debits("visa"))) == (5000, 3)


async def test_a_method_that_fails_its_verification_is_not_taken(till):
    for token, status in (("decline-visa", 402), ("unverified-visa", 402), ("4111111111111111", 422), ("a b", 422)):
        with pytest.raises(Problem) as refused:
            await till.set(token)
        assert refused.value.status == status, token
    till.town.acquirer.mood = Mood(down=True)
    with pytest.raises(Problem) as away:
        await till.set("visa")
    assert away.value.status == 503
    till.town.acquirer.mood = Mood()
    with pytest.raises(Problem) as none:
        await till.api.get(CARD)
    assert none.value.status == 404


async def test_bounds_of_the_tariff(till):
    rules = TopUps(min_minor=500, max_minor=10_000, balance_max_minor=15_000)
    till.api._tariff = till.worker._tariff = replace(till.town.service.tariff, top_ups=rules)
    for terms in ({"amount_minor": 499}, {"amount_minor": 10_001}, {"threshold_minor": 10_001}):
        with pytest.raises(Problem) as refused:
            await till.set(**terms)
        assert (refused.value.status, next(iter(terms)) in refused.value.detail) == (422, True)
    await till.set(threshold_minor=10_000)
    # The tariff may change later: then nothing is taken, and it is said.
    small = msgspec.structs.replace(rules, max_minor=4000)
    till.worker._tariff = replace(till.town.service.tariff, top_ups=small)
    await till.work()
    shown = await till.api.get(CARD)
    assert (shown.state, shown.reason, await till.balance()) == ("paused", "out_of_bounds", 0)


@pytest.mark.parametrize(
    "terms",
    [
        {"threshold_minor": 0},
        {"amount_minor": -1},
        {"amount_minor": 10**13},
        {"max_per_day": 0},
        {"max_per_day": 11},
        {"method_token": ""},
        {"pan": "1"},
    ],
)
def test_terms_that_are_none_are_refused(terms):
    given = {"method_token": "visa", "threshold_minor": 1, "amount_minor": 1} | terms
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(given, AutoTopUpTerms)


async def test_what_is_about_to_come_has_its_room_in_the_purse(till):
    rules = TopUps(balance_max_minor=8000)
    tariff = replace(till.town.service.tariff, top_ups=rules)
    till.desk.cards._tariff = tariff
    await till.set("timeout-visa")
    await till.work()  # the bank has paid, and we do not know it
    with pytest.raises(Problem) as full:
        await till.desk.top_up(CARD, body=TopUp(3001), subject="desk1", idempotency_key=None)
    assert full.value.status == 409
    await till.desk.top_up(CARD, body=TopUp(3000), subject="desk1", idempotency_key=None)
    await till.work(hours=1)
    assert await till.balance() == 8000


async def test_a_blocked_card_is_not_topped_up(till):
    await till.set()
    await till.desk.block(CARD, body=Change("lost"), subject="desk1")
    await till.work()
    assert (await till.balance(), await till.town.debits("visa")) == (0, [])
    await till.desk.unblock(CARD, body=Change("found"), subject="desk1")
    await till.work(hours=1)
    assert await till.balance() == 5000


async def test_a_debt_is_paid_first(till):
    await till.town.pool.execute("UPDATE card SET debt_minor = 800")
    await till.town.pool.execute(
        "INSERT INTO transfer (kind, debit, credit, amount_minor, currency, card_uid, made_by)"
        " VALUES ('fare', 'debt:' || encode($1, 'hex'), 'fares', 800, 'UAH', $1, 'test')",
        UID,
    )
    await till.set()
    await till.work()
    card = await till.desk.get_card(CARD)
    assert (card.balance_minor, card.debt_minor) == (4200, 0)


async def test_ended_while_the_bank_is_asked_it_is_booked_and_then_over(till):
    await till.set("timeout-visa", max_per_day=5)
    await till.work()
    assert await till.api.end(CARD, subject="desk1") is None
    await till.work(hours=1)
    assert await till.balance() == 5000
    await till.spend(5000)
    await till.work(hours=30)
    assert await till.balance() == 0
    with pytest.raises(Problem) as none:
        await till.api.end(CARD, subject="desk1")
    assert none.value.status == 404
    assert await till.town.value("SELECT token FROM payment") == "", "forgotten as soon as it was answered"


async def test_the_end_forgets_the_bank_card(till):
    await till.set("visa")
    await till.work()
    assert await till.town.value("SELECT count(*) FROM payment WHERE token <> ''") == 1
    await till.api.end(CARD, subject="desk1")
    assert await till.town.value("SELECT count(*) FROM payment WHERE token <> ''") == 0
    await till.set("visa", max_per_day=5)
    await till.spend(5000)
    await till.work(hours=25)
    assert await till.balance() == 5000


async def test_a_request_that_is_repeated_after_the_end_does_not_switch_it_on_again(till):
    await till.set(key="k1")
    await till.api.end(CARD, subject="desk1")
    with pytest.raises(Problem) as none:
        await till.set(key="k1")
    assert none.value.status == 404
    with pytest.raises(Problem) as reused:
        await till.set(key="k1", amount_minor=6000)
    assert reused.value.status == 422


async def test_nobodys_card(till):
    for card, status in (("04" + "00" * 6, 404), ("zz", 422)):
        with pytest.raises(Problem) as refused:
            await till.set(card=card)
        assert refused.value.status == status


async def test_what_nobody_answered_for_a_day_is_asked_again_when_it_is_set_again(till):
    await till.set()
    till.town.acquirer.mood = Mood(down=True)
    for _ in range(40):
        await till.work(hours=1)
    assert await till.town.value("SELECT state FROM payment") == "unclear"
    till.town.acquirer.mood = Mood()
    await till.set()
    await till.work()
    assert (await till.balance(), await till.town.debits("visa")) == (5000, [5000])


async def test_more_cards_than_one_round_looks_at_are_all_reached(till, monkeypatch):
    monkeypatch.setattr("ticketing.topping_up.SWEPT_MAX", 3)
    monkeypatch.setattr("ticketing.topping_up.ORDERS_MAX", 2)
    cards = [f"04{number:012x}" for number in range(10)]
    await till.desk.cards.enrol(cards, CARD_KEYS, subject="admin")
    for card in cards:
        await till.set(card=card)
    for _ in range(12):
        await till.worker.once()
    assert {await till.balance(card) for card in cards} == {5000}


async def test_a_forgotten_riders_bank_card_is_forgotten_and_nothing_is_taken_twice_later(till):
    await till.set("timeout-visa")
    await till.work()
    privacy = Privacy(Books(till.town.service.store), 90)
    exported = await privacy.export(f"card:{CARD}", "admin")
    assert exported.medium["auto_top_up"] == "on"
    forgotten = await privacy.erase(f"card:{CARD}", "admin", till.town.now_s)
    assert not forgotten.done  # the acquirer has yet to say what became of the money
    await till.work(hours=1)
    assert await till.balance() == 5000
    await privacy.tidy(till.town.now_s, till.town.now_s)
    assert await till.town.value("SELECT count(*) FROM erasure WHERE done_at IS NULL") == 0
    assert await till.town.value("SELECT token FROM payment") == ""
    assert await till.town.value("SELECT count(*) FROM auto_top_up") == 0
    await till.spend(5000)
    await till.set("timeout-visa", max_per_day=5)
    await till.work()
    await till.work(hours=1)
    assert len(await till.town.debits("timeout-visa")) == 2
