"""Rides told of late, of tickets given back and cards blocked meanwhile: each is owed or shown, and none is lost."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import pytest

from sql import query
from tests.integration.rated_city import UID, RatedCity, rated_city, shipped
from tests.integration.test_rating import BUSES_OF_2008
from ticketing.books import Books
from ticketing.errors import Problem
from ticketing.flagged import FlaggedApi
from ticketing.refund_booking import Refunding
from ticketing.verdict import Offline

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


def now(town: RatedCity) -> float:
    """Tickets are sold, given back and blocked by the database's clock, which is this one."""
    town.now_s = time.time()
    return town.now_s


async def sell(town: RatedCity, product: str):
    return await town.api.desk.sell(product, subject="desk1", card_uid=UID.hex(), valid_from=now(town) - 3600)


async def give_back(town: RatedCity, ticket_id: str, *, override: bool = False):
    return await town.api.desk.refund(ticket_id, Refunding("moved away", override), subject="desk1")


async def late(town: RatedCity, before_s: float = 600.0) -> str:
    """A ride before now that its validator took alone and tells of now."""
    at_s = now(town) - before_s
    return (await town.judge(town.tap(at_s, late_s=before_s)))[0].verdict.value


@pytest.mark.parametrize("product", ["ten", "month"])
@pytest.mark.parametrize("money", [0, 500])
@pytest.mark.parametrize("tariff", [CAPPED, FLAT], ids=["capped", "flat"])
async def test_a_ride_before_its_ticket_was_given_back_whole_is_paid_from_the_card(database, tariff, money, product):
    async with rated_city(database, tariff, money=money) as town:
        sold = await sell(town, product)
        assert (await give_back(town, sold.id)).refunded_minor == sold.price_minor
        await late(town)
        await town.settle()
        assert (await town.balance(), await town.debt()) == ((410, 0) if money else (0, 90))


async def test_what_was_ridden_before_a_part_was_given_back_stays_paid_by_the_ticket(database):
    async with rated_city(database, CAPPED, money=500) as town:
        sold = await sell(town, "ten")
        await town.judge(town.tap(now(town)))
        await town.settle()
        assert (await give_back(town, sold.id)).refunded_minor == 720
        assert await late(town, 2 * 3600 - 600) == "accepted"
        await town.settle()
        assert (await town.balance(), await town.debt()) == (410, 0)
        assert (await town.api.desk.get_ticket(sold.id)).uses == 1


async def test_a_pass_that_was_used_covers_its_rides_until_its_rest_was_given_back(database):
    async with rated_city(database, CAPPED, money=500) as town:
        sold = await sell(town, "month")
        await town.judge(town.tap(now(town) - 1))
        await town.settle()
        assert 0 < ((await give_back(town, sold.id)).refunded_minor or 0) < 5000
        assert await late(town) == "accepted"
        await town.settle()
        assert (await town.balance(), await town.debt()) == (500, 0)


async def test_a_ticket_revoked_again_covers_nothing_more(database):
    async with rated_city(database, CAPPED, money=500) as town:
        sold = await sell(town, "month")
        await town.api.desk.change_ticket(sold.id, "suspend", "lost", subject="desk1")
        await town.pool.execute("UPDATE ticket SET status_at = now() - interval '1 hour'")
        for reason in ("lost", "lost for good"):
            await town.api.desk.change_ticket(sold.id, "revoke", reason, subject="desk1")
        await late(town)
        await town.settle()
        assert await town.balance() == 410


@pytest.mark.parametrize("status", ["used_up", "expired", "revoked"])
@pytest.mark.parametrize("tariff", [CAPPED, FLAT], ids=["capped", "flat"])
async def test_a_ride_without_the_money_is_owed_whatever_ticket_the_card_once_had(database, tariff, status):
    async with rated_city(database, tariff) as town:
        sold = await sell(town, "ten")
        changed = {"used_up": "uses = 10", "expired": "valid_until = now() - interval '1 hour', valid_from = 'epoch'",
                   "revoked": "status = 'revoked', status_at = now() - interval '1 hour'"}  # fmt: skip
        await town.pool.execute(f"UPDATE ticket SET {changed[status]}")
        tap = town.tap(now(town) - 600, late_s=600)
        for _ in range(2):  # sent again, it is owed once
            await town.judge(tap)
            await town.settle()
            assert (await town.balance(), await town.debt()) == (0, 90)
        assert await town.pool.fetchval("SELECT conflict FROM tap") is True
        assert (await town.api.desk.get_ticket(sold.id)).uses == (10 if status == "used_up" else 0)


@pytest.mark.parametrize("money", [0, 500])
@pytest.mark.parametrize("tariff", [CAPPED, FLAT], ids=["capped", "flat"])
async def test_a_ride_before_the_card_was_blocked_is_paid_and_one_after_it_is_not(database, tariff, money):
    async with rated_city(database, tariff, money=money) as town:
        await town.api.cards.block(UID.hex(), "lost", subject="desk1")
        before = town.tap(now(town) - 600, late_s=600)
        for _ in range(2):
            assert (await town.judge(before))[0].verdict == "denied"
            await town.settle()
            assert (await town.balance(), await town.debt()) == ((410, 0) if money else (0, 90))
        after_s = now(town) + 60
        assert (await town.judge(town.tap(after_s, late_s=60)))[0].verdict == "denied"
        await town.settle()
        assert (await town.balance(), await town.debt()) == ((410, 0) if money else (0, 90))


async def test_lviv_as_it_is_shipped_loses_no_late_ride(database):
    async with rated_city(database, shipped("lviv"), money=10_000) as lviv:
        sold = await sell(lviv, "month")
        await give_back(lviv, sold.id)
        assert await late(lviv) == "accepted"
        await lviv.settle()
        assert await lviv.balance() == 10_000 - 1700


async def test_a_ride_by_a_code_that_was_given_back_is_flagged_and_owed_by_its_ticket(city):
    sold = await city.sell("ten", valid_from=city.now() - 3600)
    refunded = await city.api.desk.refund(sold.id, Refunding("moved away"), subject="desk1")
    await city.sell()
    taken_s = city.now() - 600
    offline = city.tap(sold.token, ts=taken_s, offline=Offline("accepted", 1))
    for _ in range(2):  # sent again, it is owed once
        assert (await city.judge(offline))[0].verdict == "revoked"
    (tap,) = (await FlaggedApi(Books(city.service.store), city.now).list_flagged()).taps
    assert (tap.id, tap.conflict, tap.ticket_id, tap.product_id) == (offline.id, True, sold.id, "ten")
    assert (tap.refunded_minor, tap.before_change, tap.account) == (refunded.refunded_minor, True, None)
    assert tap.flags == ["owed"]
    assert tap.at == pytest.approx(taken_s)
    assert (await FlaggedApi(Books(city.service.store), city.now).list_flagged(operator="other")).taps == []
    owed = sold.price_minor // 10
    assert (await city.api.desk.get_ticket(sold.id)).owed_minor == owed
    books = await balances(city)
    assert (books["fares"], books[f"ticket_debt:{sold.id}"], sum(books.values())) == (-owed, owed, 0)


async def balances(city):
    return Counter({row["account"]: row["minor"] for row in await city.pool.fetch(query("ledger.balances"))})


async def test_what_a_ticket_owes_is_taken_at_a_desk_once(city):
    sold = await city.sell("single", valid_from=city.now() - 3600)
    with pytest.raises(Problem, match="owes nothing"):
        await city.api.desk.take_owed(sold.id, subject="desk1")
    await city.api.desk.refund(sold.id, Refunding("moved away"), subject="desk1")
    await city.judge(city.tap(sold.token, ts=city.now() - 600, offline=Offline("accepted", 1)))
    assert (await city.api.desk.get_ticket(sold.id)).owed_minor == sold.price_minor
    for _ in range(2):
        done = await city.api.desk.take_owed(sold.id, subject="desk1", idempotency_key="k1")
        assert done.owed_minor == 0
    with pytest.raises(Problem, match="owes nothing"):
        await city.api.desk.take_owed(sold.id, subject="desk2")
    assert +(await balances(city)) == Counter(cash=sold.price_minor)
    await city.judge(city.tap(sold.token, ts=city.now() - 500, offline=Offline("accepted", 1)))  # somebody's copy
    assert (await city.api.desk.get_ticket(sold.id)).owed_minor == 0


async def test_copies_told_at_once_owe_no_more_than_was_given_back(city):
    sold = await city.sell("single", valid_from=city.now() - 3600)
    await city.api.desk.refund(sold.id, Refunding("moved away"), subject="desk1")
    taps = [
        city.tap(sold.token, ts=city.now() - 600 + n, offline=Offline("accepted", 1), device=f"d{n}") for n in range(6)
    ]
    await asyncio.gather(*(city.judge(tap) for tap in taps))
    assert (await city.api.desk.get_ticket(sold.id)).owed_minor == sold.price_minor


@pytest.mark.parametrize("what", ["after", "revoked", "online"])
async def test_no_ticket_owes_a_ride_after_it_was_given_back_or_that_was_paid(city, what):
    """Who rides by a code that was given back is not known, it may be a copy; one only revoked is paid."""
    sold = await city.sell("single", valid_from=city.now() - 3600)
    if what == "revoked":
        await city.api.desk.change_ticket(sold.id, "revoke", "a mistake", subject="desk1")
    else:
        await city.api.desk.refund(sold.id, Refunding("moved away"), subject="desk1")
    at_s = city.now() + (0 if what == "after" else -600)
    tap = city.tap(sold.token, ts=at_s, offline=None if what == "online" else Offline("accepted", 1))
    assert (await city.judge(tap))[0].verdict == "revoked"
    assert (await city.api.desk.get_ticket(sold.id)).owed_minor == 0


async def test_a_ride_told_before_the_refund_keeps_its_part_of_the_price(city):
    """Nothing is owed twice: what is known of is no part of what goes back."""
    sold = await city.sell("single", valid_from=city.now() - 3600)
    tap = city.tap(sold.token, ts=city.now() - 600, offline=Offline("accepted", 1))
    assert (await city.judge(tap))[0].verdict == "accepted"
    with pytest.raises(Problem, match="it was used once"):
        await city.api.desk.refund(sold.id, Refunding("moved away"), subject="desk1")
    assert (await city.api.desk.get_ticket(sold.id)).owed_minor == 0


@pytest.mark.parametrize(("since", "until"), [(2.0, 1.0), (-1.0, 1.0), (0.0, 1e9), (1e12, 2e12), (float("nan"), 1.0)])
async def test_a_time_that_cannot_be_is_refused(city, since, until):
    with pytest.raises(Problem) as refused:
        await FlaggedApi(Books(city.service.store), city.now).list_flagged(from_=since, to=until)
    assert refused.value.status == 422


async def test_what_a_pass_covers_does_not_hang_on_when_the_day_was_rated(database):
    """Bought for the hour before, it gives back that hour's ride; given back unused, the ride is paid again."""
    async with rated_city(database, CAPPED, money=500) as town:
        await town.judge(town.tap(now(town) - 1))
        await town.settle()
        assert await town.balance() == 410
        sold = await sell(town, "month")
        await town.settle()
        assert await town.balance() == 500
        await give_back(town, sold.id)
        await town.settle()
        assert await town.balance() == 410


async def test_a_ride_while_a_pass_was_suspended_is_given_back_once_it_is_resumed(database):
    async with rated_city(database, CAPPED, money=500) as town:
        sold = await sell(town, "month")
        await town.api.desk.change_ticket(sold.id, "suspend", "lost", subject="desk1")
        await town.judge(town.tap(now(town) + 1))
        await town.settle()
        assert await town.balance() == 410
        await town.api.desk.change_ticket(sold.id, "resume", "found", subject="desk1")
        await town.settle()
        assert await town.balance() == 500


async def test_a_ride_on_a_card_that_was_lost_is_not_its_holders_whatever_ticket_is_on_it(database):
    async with rated_city(database, FLAT) as town:
        sold = await sell(town, "ten")
        await give_back(town, sold.id)
        await town.api.cards.block(UID.hex(), "lost", subject="desk1")
        now(town)
        for _ in range(2):  # the first one puts the card on the deny list by itself, too
            at_s = now(town) + 1
            assert (await town.judge(town.tap(at_s, late_s=1)))[0].verdict == "revoked"
            await town.settle()
        assert (await town.balance(), await town.debt()) == (0, 0)


async def test_an_account_with_several_days_to_look_at_again_is_rated_and_once(database):
    async with rated_city(database, CAPPED, money=500) as town:
        for before_s in (20 * 3600.0, 0.0):
            await town.judge(town.tap(now(town) - before_s - 1, late_s=before_s + 1))
        await town.settle()
        await town.api.desk.sell("month", subject="desk1", card_uid=UID.hex(), valid_from=now(town) - 22 * 3600)
        assert await town.pool.fetchval("SELECT count(*) FROM day_rating WHERE again_at IS NOT NULL") == 2
        assert await town.accounts.rate_due() == 1
        await town.settle()
        assert await town.balance() == 500
        assert town.accounts.counters["retried"] == 0
