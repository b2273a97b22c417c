"""Rides that are told of late: of tickets given back meanwhile, of blocked cards; each is owed or shown, and none is lost."""

from __future__ import annotations

import time

import pytest

from tests.integration.rated_city import UID, RatedCity, rated_city, shipped
from tests.integration.test_rating import BUSES_OF_2008
from ticketing.desk import Refunding

TEN = """
[[product]]
id = "ten"
name = { uk = "Десять", en = "Ten rides" }
price_minor = 800
valid = { days = 30 }
rides = 10
[[product]]
id = "month"
name = { uk = "Місяць", en = "Month" }
price_minor = 5000
valid = { days = 30 }
[refund]
days = 14
used = "rest"
"""
CAPPED = BUSES_OF_2008 + TEN
FLAT = BUSES_OF_2008.partition("[[cap]]")[0] + TEN


def now(city: RatedCity) -> float:
    """Tickets are sold, given back and blocked by the database's clock, which is this one."""
    city.now_s = time.time()
    return city.now_s


async def sell(city: RatedCity, product: str):
    return await city.api.desk.sell(product, subject="desk1", card_uid=UID.hex(), valid_from=now(city) - 3600)


async def give_back(city: RatedCity, ticket_id: str, *, override: bool = False):
    return await city.api.desk.refund(ticket_id, Refunding("moved away", override), subject="desk1")


async def late(city: RatedCity, before_s: float = 600.0) -> str:
    """A ride before now that its validator took alone and tells of now."""
    at_s = now(city) - before_s
    return (await city.judge(city.tap(at_s, late_s=before_s)))[0].verdict.value


@pytest.mark.parametrize("product", ["ten", "month"])
@pytest.mark.parametrize("money", [0, 500])
@pytest.mark.parametrize("tariff", [CAPPED, FLAT], ids=["capped", "flat"])
async def test_a_ride_before_its_ticket_was_given_back_whole_is_paid_from_the_card(database, tariff, money, product):
    async with rated_city(database, tariff, money=money) as city:
        sold = await sell(city, product)
        assert (await give_back(city, sold.id)).refunded_minor == sold.price_minor
        await late(city)
        await city.settle()
        assert (await city.balance(), await city.debt()) == ((410, 0) if money else (0, 90))


async def test_what_was_ridden_before_a_part_was_given_back_stays_paid_by_the_ticket(database):
    async with rated_city(database, CAPPED, money=500) as city:
        sold = await sell(city, "ten")
        await city.judge(city.tap(now(city)))
        await city.settle()
        assert (await give_back(city, sold.id)).refunded_minor == 720
        assert await late(city, 2 * 3600 - 600) == "accepted"
        await city.settle()
        assert (await city.balance(), await city.debt()) == (410, 0)
        assert (await city.api.desk.get_ticket(sold.id)).uses == 1


async def test_a_pass_that_was_used_covers_its_rides_until_its_rest_was_given_back(database):
    async with rated_city(database, CAPPED, money=500) as city:
        sold = await sell(city, "month")
        await city.judge(city.tap(now(city) - 1))
        await city.settle()
        assert 0 < ((await give_back(city, sold.id)).refunded_minor or 0) < 5000
        assert await late(city) == "accepted"
        await city.settle()
        assert (await city.balance(), await city.debt()) == (500, 0)


async def test_a_ticket_revoked_again_covers_nothing_more(database):
    async with rated_city(database, CAPPED, money=500) as city:
        sold = await sell(city, "month")
        await city.api.desk.change_ticket(sold.id, "suspend", "lost", subject="desk1")
        await city.pool.execute("UPDATE ticket SET status_at = now() - interval '1 hour'")
        for reason in ("lost", "lost for good"):
            await city.api.desk.change_ticket(sold.id, "revoke", reason, subject="desk1")
        await late(city)
        await city.settle()
        assert await city.balance() == 410


@pytest.mark.parametrize("status", ["used_up", "expired", "revoked"])
@pytest.mark.parametrize("tariff", [CAPPED, FLAT], ids=["capped", "flat"])
async def test_a_ride_without_the_money_is_owed_whatever_ticket_the_card_once_had(database, tariff, status):
    async with rated_city(database, tariff) as city:
        sold = await sell(city, "ten")
        changed = {"used_up": "uses = 10", "expired": "valid_until = now() - interval '1 hour', valid_from = 'epoch'",
                   "revoked": "status = 'revoked', status_at = now() - interval '1 hour'"}  # fmt: skip
        await city.pool.execute(f"UPDATE ticket SET {changed[status]}")
        tap = city.tap(now(city) - 600, late_s=600)
        for _ in range(2):  # sent again, it is owed once
            await city.judge(tap)
            await city.settle()
            assert (await city.balance(), await city.debt()) == (0, 90)
        assert await city.pool.fetchval("SELECT conflict FROM tap") is True
        assert (await city.api.desk.get_ticket(sold.id)).uses == (10 if status == "used_up" else 0)


@pytest.mark.parametrize("money", [0, 500])
@pytest.mark.parametrize("tariff", [CAPPED, FLAT], ids=["capped", "flat"])
async def test_a_ride_before_the_card_was_blocked_is_paid_and_one_after_it_is_not(database, tariff, money):
    async with rated_city(database, tariff, money=money) as city:
        await city.api.cards.block(UID.hex(), "lost", subject="desk1")
        before = city.tap(now(city) - 600, late_s=600)
        for _ in range(2):
            assert (await city.judge(before))[0].verdict == "denied"
            await city.settle()
            assert (await city.balance(), await city.debt()) == ((410, 0) if money else (0, 90))
        after_s = now(city) + 60
        assert (await city.judge(city.tap(after_s, late_s=60)))[0].verdict == "denied"
        await city.settle()
        assert (await city.balance(), await city.debt()) == ((410, 0) if money else (0, 90))


async def test_lviv_as_it_is_shipped_loses_no_late_ride(database):
    async with rated_city(database, shipped("lviv"), money=10_000) as lviv:
        sold = await sell(lviv, "month")
        await give_back(lviv, sold.id)
        assert await late(lviv) == "accepted"
        await lviv.settle()
        assert await lviv.balance() == 10_000 - 1700
