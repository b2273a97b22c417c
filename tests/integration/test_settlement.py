"""Settlements: from taps and the ledger alone, to the byte, and every tap and kopiyka in exactly one of them."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from typing import Any

import msgspec
import pytest

from deploy.commands.settle import rows
from deploy.nightly import settle_due
from tests.integration.ticket_city import CARD_KEYS, UID, City
from ticketing.books import Books
from ticketing.days import day_bounds_s, service_day
from ticketing.errors import Problem
from ticketing.privacy import Privacy
from ticketing.refund_booking import Refunding
from ticketing.settlement import Settlements
from ticketing.settlement_document import canonical, faults

DAY_S = 86_400.0


@pytest.fixture
def settlements(city: City) -> Settlements:
    return Settlements(Books(city.service.store), city.service.tariff)


def today(city: City) -> date:
    tariff = city.service.tariff
    return service_day(city.now(), tariff.service_day_start, tariff.zone)


async def a_day(city: City) -> None:
    """Four singles sold, two used with one operator and one with another; one that is given back."""
    sold = [await city.sell() for _ in range(4)]
    for ticket, operator in zip(sold, ("kpt", "kpt", "bus"), strict=False):
        assert await city.say(ticket.token, operator=operator, device=f"door-{operator}") == "accepted"
    assert await city.say(sold[0].token, device="other") == "used_up"
    await city.api.desk.refund(sold[3].id, Refunding("not used"), subject="cashier")


async def test_a_day_is_shared_out_to_the_last_kopiyka(city: City, settlements: Settlements) -> None:
    await a_day(city)
    made = await settlements.settle(today(city), "admin", city.now() + 2 * DAY_S)
    document = made.document
    assert faults(document) == []
    price = document.sales[0].sold_minor // 4
    assert [(line.sold, line.refunded, line.refunded_minor) for line in document.sales] == [(4, 1, price)]
    assert {(line.operator, line.rides, line.minor) for line in document.shares} == {
        ("kpt", 2, 2 * price),
        ("bus", 1, price),
    }
    assert sum(line.accepted for line in document.taps) == 3
    assert sum(line.refused for line in document.taps) == 1
    table = rows(msgspec.to_builtins(document))
    assert sum(row["minor"] for row in table if row["kind"] == "sales") == 3 * price


async def test_the_same_books_give_the_same_hash_and_others_a_new_version(
    city: City,
    settlements: Settlements,
) -> None:
    await a_day(city)
    day, later_s = today(city), city.now() + 2 * DAY_S
    first = await settlements.settle(day, "admin", later_s)
    again = await asyncio.gather(*(settlements.settle(day, "nightly", later_s) for _ in range(4)))
    assert {(one.version, one.hash, one.made_by) for one in again} == {(1, first.hash, "admin")}
    assert canonical(first.document) == canonical(await settlements.make(day))
    await city.sell()
    second = await settlements.settle(day, "admin", later_s)
    assert (second.version, second.hash != first.hash) == (2, True)
    assert [row.version for row in await settlements.list_days()] == [2]
    with pytest.raises(Exception, match="append only"):
        await city.pool.execute("UPDATE settlement SET version = 3")


async def test_a_day_that_is_not_over_is_not_settled(city: City, settlements: Settlements) -> None:
    with pytest.raises(Problem) as refused:
        await settlements.settle(today(city), "admin", city.now())
    assert refused.value.status == 409
    assert await settlements.find(today(city)) is None


async def test_a_day_before_the_instance_began_is_not_settled(
    city: City,
    settlements: Settlements,
) -> None:
    for day in (today(city) - timedelta(days=1), date(1999, 1, 1), date(1, 1, 2)):
        with pytest.raises(Problem) as refused:
            await settlements.settle(day, "admin", city.now())
        assert (refused.value.status, str(today(city)) in refused.value.detail) == (409, True)
    assert await settlements.list_days() == []


async def test_what_does_not_add_up_is_said_and_not_kept(city: City, settlements: Settlements) -> None:
    await a_day(city)
    document = await settlements.make(today(city))
    (line,) = [line for line in document.accounts if line.account == "sales"]
    rest = [other for other in document.accounts if other is not line]
    bent = msgspec.structs.replace(line, credit_minor=line.credit_minor + 1)
    wrong = msgspec.structs.replace(document, accounts=(*rest, bent))
    assert len(faults(wrong)) == 2


async def test_each_night_settles_the_day_that_is_over_and_those_that_were_missed(
    city: City,
    settlements: Settlements,
) -> None:
    day = today(city)
    assert await settle_due(settlements, city.now()) == []  # this instance began today
    await a_day(city)
    missed = await settle_due(settlements, city.now() + 3 * DAY_S)
    assert day in missed
    assert missed == [missed[0] + timedelta(days=n) for n in range(len(missed))]
    found: Any = await settlements.find(day)
    assert sum(line.accepted for line in found.document.taps) == 3


async def test_a_day_that_was_left_out_is_made_up_for_and_its_taps_wait_for_it(
    city: City,
    settlements: Settlements,
) -> None:
    await a_day(city)
    day, later_s = today(city), city.now() + 3 * DAY_S
    tariff = city.service.tariff
    begins_s, ends_s = day_bounds_s(day, tariff.service_day_start, tariff.zone)
    await settlements.settle(day + timedelta(days=1), "admin", later_s)  # by hand, before its turn
    assert await settlements.settled_until_s(later_s) == begins_s
    assert (await settle_due(settlements, later_s))[0] == day
    assert await settlements.settled_until_s(later_s) > ends_s


async def test_who_rode_just_before_a_day_and_is_forgotten_does_not_keep_it_from_being_settled(
    city: City,
    settlements: Settlements,
) -> None:
    """The service day begins at half past an hour, and what was forgotten is counted by the hour."""
    tariff, books = city.service.tariff, Books(city.service.store)
    yesterday, day = today(city) - timedelta(days=1), today(city)
    begins_s = day_bounds_s(day, tariff.service_day_start, tariff.zone)[0]
    await city.pool.execute("UPDATE schema_migration SET applied_at = applied_at - interval '1 day'")
    await city.api.cards.enrol([UID.hex()], CARD_KEYS, subject="admin")
    await city.api.cards.top_up(UID.hex(), 10_000, subject="desk1")
    assert await city.card(1) == "accepted"
    await city.pool.execute("UPDATE tap SET received_at = to_timestamp($1::float8), rating_due = false", begins_s - 60)
    await settlements.settle(yesterday, "nightly", city.now())
    erased = await Privacy(books, 120).erase(UID.hex(), "admin", await settlements.settled_until_s(city.now()))
    assert (erased.trips, erased.done) == (1, True)
    assert (await settle_due(settlements, city.now() + 2 * DAY_S))[0] == day
    assert (await settlements.settle(yesterday, "admin", city.now())).version == 1  # it is final
