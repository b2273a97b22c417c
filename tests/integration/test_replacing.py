"""A lost card gives way to another on a real PostgreSQL: nothing is lost, nothing twice, late rides stay paid."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from sql import query
from tests.integration.rated_city import KEYS, rated_city
from tests.integration.test_late_rides import CAPPED, late, now, sell
from tests.integration.ticket_city import CARD_KEYS, UID, City
from ticketing.api import Issue, Sale
from ticketing.cards import Card
from ticketing.errors import Problem
from ticketing.refund_booking import Refunding
from ticketing.replacing import Replacing

NEW = bytes.fromhex("04112233445566")
OTHER = bytes.fromhex("04112233445577")
SPARE = bytes.fromhex("04112233445588")


async def replace(city: City, new: bytes = NEW, old: bytes = UID, key: str | None = None) -> Card:
    body = Replacing(new.hex(), "lost on the tram")
    return await city.api.replacing.replace(old.hex(), body=body, subject="desk1", idempotency_key=key)


async def prepared(city: City, product: str | None = "month", minor: int = 5000) -> None:
    """The old card with a product and money; two new ones with nothing."""
    await city.api.cards.enrol([UID.hex()], CARD_KEYS, subject="admin", product_id=product)
    await city.api.cards.enrol([NEW.hex(), OTHER.hex()], CARD_KEYS, subject="admin")
    if minor:
        await city.api.cards.top_up(UID.hex(), minor, subject="desk1")


async def ledger_of(city: City) -> dict[str, int]:
    return {row["account"]: row["minor"] for row in await city.pool.fetch(query("ledger.balances"))}


async def test_a_cashier_enrols_the_card_that_takes_a_lost_ones_place_and_sees_no_keys(city):
    await prepared(city)
    for _ in range(2):  # the answer was lost
        card = await city.api.enrol_one(SPARE.hex(), body=Issue(), subject="desk1", idempotency_key="k1")
        assert (card.uid, card.status, card.balance_minor, card.tickets) == (SPARE.hex(), "active", 0, [])
        told = msgspec.json.encode(card).decode()
        assert "read_key" not in told
        assert CARD_KEYS.file_read_key(SPARE).hex() not in told
    with pytest.raises(Problem, match="enrolled already"):
        await city.api.enrol_one(SPARE.hex(), body=Issue(), subject="desk1", idempotency_key="k2")
    with pytest.raises(Problem, match="key_version 77"):
        await city.api.enrol_one("04112233445599", body=Issue(77), subject="desk1", idempotency_key=None)
    assert (await replace(city, SPARE)).balance_minor == 5000


async def test_purse_pass_and_concession_go_to_the_new_card_and_the_old_one_is_over(city):
    await prepared(city)
    await city.pool.execute("UPDATE card SET category = 'pupil' WHERE uid = $1", UID)
    assert await city.card(1) == "accepted"
    before = await city.api.get_card(UID.hex())
    new = await replace(city)
    assert (new.uid, new.status, new.balance_minor, new.category) == (NEW.hex(), "active", 5000, "pupil")
    (carried,) = new.tickets
    assert (carried.product_id, carried.status, carried.valid_until) == (
        "month",
        "valid",
        before.tickets[0].valid_until,
    )
    old = await city.api.get_card(UID.hex())
    assert (old.status, old.balance_minor, old.tickets[0].status) == ("replaced", 0, "revoked")
    assert await city.card(2) == "revoked"
    assert (await ledger_of(city)).get("replaced_cards", 0) == 0
    assert (await ledger_of(city))[f"purse:{NEW.hex()}"] == -5000
    assert await city.pool.fetch(query("cards.purse_differences")) == []


async def test_of_counted_rides_the_rest_goes_on(city):
    await prepared(city, "ten", 0)
    assert [await city.card(counter, vehicle=f"v{counter}") for counter in (1, 2, 3)] == ["accepted"] * 3
    (carried,) = (await replace(city)).tickets
    assert (carried.uses, carried.uses_allowed) == (0, 7)


async def test_nothing_is_done_with_the_old_card_any_more(city):
    await prepared(city)
    await replace(city)
    tried: list[Any] = [
        city.api.cards.top_up(UID.hex(), 1000, subject="desk1"),
        city.api.cards.block(UID.hex(), "found again", subject="desk1", removed=True),
        city.api.sell(body=Sale("day", card_uid=UID.hex()), subject="desk1", role="cashier", idempotency_key=None),
        replace(city, OTHER),
    ]
    for one in tried:
        with pytest.raises(Problem) as refused:
            await one
        assert (refused.value.status, refused.value.title) == (409, "Card replaced")


async def test_a_used_or_blocked_or_unknown_card_takes_no_place(city):
    await prepared(city)
    await city.api.cards.top_up(NEW.hex(), 1000, subject="desk1")
    await city.api.cards.block(OTHER.hex(), "stolen", subject="desk1")
    said = []
    for new in (NEW, OTHER, bytes(7), UID):
        with pytest.raises(Problem) as refused:
            await replace(city, new)
        said.append(refused.value.title)
    assert said == ["Card in use", "Card in use", "No such card", "Same card"]
    assert (await city.api.get_card(UID.hex())).balance_minor == 5000


async def test_what_is_owed_is_paid_before(city):
    await prepared(city, None, 0)
    await city.pool.execute("UPDATE card SET debt_minor = 800 WHERE uid = $1", UID)
    with pytest.raises(Problem, match=r"owes 8\.00 UAH"):
        await replace(city)


async def test_twenty_desks_at_once_replace_it_once(city):
    await prepared(city)
    answers = await asyncio.gather(*(replace(city, (NEW, OTHER)[n % 2]) for n in range(20)), return_exceptions=True)
    assert sum(isinstance(answer, Card) for answer in answers) == 1
    held = [await city.api.get_card(uid.hex()) for uid in (UID, NEW, OTHER)]
    assert sum(card.balance_minor for card in held) == 5000
    assert sum(ticket.status == "valid" for card in held for ticket in card.tickets) == 1


async def test_the_same_request_again_gets_the_same_answer(city):
    await prepared(city)
    first = await replace(city, key="k1")
    assert await replace(city, key="k1") == first


async def test_a_late_ride_of_before_is_covered_by_the_pass_that_the_old_card_held(database):
    async with rated_city(database, CAPPED, money=500) as town:
        await sell(town, "month")
        body = Replacing(SPARE.hex(), "lost")
        await town.api.cards.enrol([SPARE.hex()], KEYS, subject="admin")
        await town.api.replacing.replace(UID.hex(), body=body, subject="desk1", idempotency_key=None)
        await late(town)
        await town.judge(town.tap(now(town) + 60, late_s=60))  # whoever found it rides, and owes nobody's money
        await town.settle()
        assert (await town.balance(), await town.debt()) == (0, 0)
        assert (await town.api.get_card(SPARE.hex())).balance_minor == 500


async def test_a_late_ride_of_before_without_a_pass_is_owed_by_the_old_card(database):
    async with rated_city(database, CAPPED, money=500) as town:
        body = Replacing(SPARE.hex(), "lost")
        await town.api.cards.enrol([SPARE.hex()], KEYS, subject="admin")
        await town.api.replacing.replace(UID.hex(), body=body, subject="desk1", idempotency_key=None)
        await late(town)
        await town.settle()
        assert (await town.balance(), await town.debt()) == (0, 90)


async def test_a_carried_ticket_is_not_given_back_at_the_old_card(city):
    """Its worth is on the new card: paid out at the old one, it would be there twice."""
    await prepared(city, "ten", 0)
    (held,) = (await city.api.get_card(UID.hex())).tickets
    await replace(city)
    for override in (False, True):
        with pytest.raises(Problem) as refused:
            await city.api.desk.refund(held.id, Refunding("moved away", override), subject="boss")
        assert (refused.value.status, refused.value.title) == (409, "Ticket carried")
    assert await city.pool.fetchval("SELECT count(*) FROM transfer WHERE kind = 'refund'") == 0


async def test_a_late_ride_of_before_takes_none_of_the_rides_that_were_carried(database):
    async with rated_city(database, CAPPED) as town:
        await sell(town, "ten")
        await town.api.cards.enrol([SPARE.hex()], KEYS, subject="admin")
        body = Replacing(SPARE.hex(), "lost")
        card = await town.api.replacing.replace(UID.hex(), body=body, subject="desk1", idempotency_key=None)
        assert [ticket.uses_allowed for ticket in card.tickets] == [10]
        await late(town)
        await town.settle()
        assert (await town.balance(), await town.debt()) == (0, 90)  # ten rides were bought, and ten are left


async def test_what_a_replaced_card_owes_by_then_can_be_paid_and_no_more_put_on_it(database):
    async with rated_city(database, CAPPED, money=500) as town:
        await town.api.cards.enrol([SPARE.hex()], KEYS, subject="admin")
        body = Replacing(SPARE.hex(), "lost")
        await town.api.replacing.replace(UID.hex(), body=body, subject="desk1", idempotency_key=None)
        await late(town)
        await town.settle()
        with pytest.raises(Problem, match=r"owes 0\.90 GBP: put exactly that"):
            await town.api.cards.top_up(UID.hex(), 500, subject="desk1")
        card = await town.api.cards.top_up(UID.hex(), 90, subject="desk1")
        assert (card.balance_minor, card.debt_minor) == (0, 0)
        with pytest.raises(Problem, match="and is over"):
            await town.api.cards.top_up(UID.hex(), 500, subject="desk1")


async def test_money_and_tickets_put_on_a_card_while_it_is_replaced_go_along_or_are_refused(city):
    await prepared(city, None)
    sales = [city.sell("month", card_uid=UID.hex()) for _ in range(5)]
    put = [city.api.cards.top_up(UID.hex(), 1000, subject="desk1") for _ in range(5)]
    said = await asyncio.gather(*put[:2], *sales[:2], replace(city), *put[2:], *sales[2:], return_exceptions=True)
    assert all(not isinstance(one, BaseException) or isinstance(one, Problem) for one in said)
    old, new = await city.api.get_card(UID.hex()), await city.api.get_card(NEW.hex())
    assert old.balance_minor == 0
    assert all(ticket.status == "revoked" for ticket in old.tickets)
    assert len(new.tickets) == len(old.tickets)
