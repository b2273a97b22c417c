"""Two settled days as an accountant would walk through them: sales, refunds, rides, and what comes late."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from sql import query
from tests.integration.rated_city import UID, rated_city, shipped
from ticketing.books import Books
from ticketing.days import day_bounds_s, service_day
from ticketing.refund_booking import Refunding
from ticketing.settlement import Settlements
from ticketing.settlement_document import Document, faults

FARE_MINOR = 1700  # Lviv by LeoCard, changes within 40 minutes free


async def a_day_ago(city: Any) -> None:
    """All that is booked so far was booked yesterday."""
    for table, columns in (("transfer", "at = at - interval '1 day'"), ("schema_migration", "applied_at = 'epoch'")):
        await city.pool.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        await city.pool.execute(f"UPDATE {table} SET {columns}")
        await city.pool.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


def fares(document: Document) -> dict[tuple[str | None, str | None], int]:
    return {(line.operator, line.route_id): line.minor for line in document.fares}


def moved(document: Document) -> dict[str, int]:
    """Debits less credits by class of account: what an accountant adds up."""
    return {line.account: line.debit_minor - line.credit_minor for line in document.accounts}


async def test_a_late_tap_after_the_nights_settlement_is_the_next_days_correction(database):
    async with rated_city(database, shipped("lviv"), money=10_000) as lviv:
        tariff = lviv.editions.sold.tariff
        today = service_day(time.time(), tariff.service_day_start, tariff.zone)
        yesterday = today - timedelta(days=1)
        settlements = Settlements(Books(lviv.service.store), tariff)
        later_s = time.time() + 2 * 86_400

        # Yesterday: a month's pass sold and one given back; a ride by bus, and a change to the tram that is free.
        lviv.now_s = lviv.at("07:00", str(yesterday))
        passes = [await lviv.api.desk.sell("month", subject="desk1", valid_from=time.time()) for _ in range(2)]
        lviv.now_s = time.time()  # tickets are sold by the database's clock
        await lviv.api.desk.refund(passes[1].id, Refunding("wrong month"), subject="desk1")
        lviv.now_s = lviv.at("07:30", str(yesterday))
        bus = await lviv.ride("08:00", str(yesterday), operator="bus")
        tram = await lviv.ride("08:10", str(yesterday), operator="tram")
        assert [bus.charged_minor, tram.charged_minor] == [FARE_MINOR, 0]
        await lviv.settle()
        await lviv.pool.execute("UPDATE tap SET route_id = 'line of ' || operator")
        await a_day_ago(lviv)

        first = await settlements.settle(yesterday, "nightly", later_s)
        assert faults(first.document) == []
        price = first.document.sales[0].sold_minor // 2
        (sales,) = first.document.sales
        assert (sales.product, sales.sold, sales.refunded, sales.refunded_minor) == ("month", 2, 1, price)
        assert [(line.operator, line.minor) for line in first.document.shares] == [(None, price)]  # nobody rode with it
        assert fares(first.document) == {("bus", "line of bus"): FARE_MINOR}
        assert moved(first.document) == {
            "cash": price + 20_000,  # two purses were filled
            "sales": -price,
            "purse": FARE_MINOR - 20_000,
            "fares": -FARE_MINOR,
        }

        # Today a validator brings a tap of yesterday, taken before both: it pays, and the bus becomes the free change.
        opened_s, _ = day_bounds_s(today, tariff.service_day_start, tariff.zone)
        taken_s = lviv.at("07:50", str(yesterday))
        (late,) = await lviv.judge(lviv.tap(taken_s, late_s=opened_s + 60 - taken_s, operator="metro"))
        assert late.verdict == "accepted"
        await lviv.settle()
        await lviv.pool.execute("UPDATE tap SET route_id = 'line of metro' WHERE operator = 'metro'")
        assert await lviv.charges(str(yesterday)) == [FARE_MINOR, 0, 0]

        second = await settlements.settle(today, "nightly", later_s)
        assert faults(second.document) == []
        assert fares(second.document) == {
            ("bus", "line of bus"): -FARE_MINOR,
            ("metro", "line of metro"): FARE_MINOR,
        }
        assert sum(moved(second.document).values()) == 0
        assert [(line.operator, line.accepted, line.offline) for line in second.document.taps] == [("metro", 1, 1)]

        # What was settled stays settled, whoever asks again; both days together are what was rated.
        for _ in range(2):
            again = await settlements.settle(yesterday, "admin", later_s)
            assert (again.version, again.hash, again.made_by) == (1, first.hash, "nightly")
        assert (await settlements.settle(today, "admin", later_s)).hash == second.hash
        both = [line.minor for document in (first.document, second.document) for line in document.fares]
        assert sum(both) == (await lviv.day(str(yesterday))).total_minor == FARE_MINOR
        assert sum(row["minor"] for row in await lviv.pool.fetch(query("ledger.balances"))) == 0
        assert await lviv.balance(UID) == 10_000 - FARE_MINOR


async def test_a_refund_after_the_sale_was_settled_stands_in_the_day_in_which_it_is_given(database):
    async with rated_city(database, shipped("lviv")) as lviv:
        tariff = lviv.editions.sold.tariff
        today = service_day(time.time(), tariff.service_day_start, tariff.zone)
        settlements = Settlements(Books(lviv.service.store), tariff)
        later_s = time.time() + 2 * 86_400
        lviv.now_s = time.time()
        sold = await lviv.api.desk.sell("month", subject="desk1")
        await a_day_ago(lviv)
        first = await settlements.settle(today - timedelta(days=1), "nightly", later_s)
        await lviv.api.desk.refund(sold.id, Refunding("moved away"), subject="desk1")
        second = await settlements.settle(today, "nightly", later_s)
        assert moved(first.document) == {"cash": sold.price_minor, "sales": -sold.price_minor}
        assert moved(second.document) == {"cash": -sold.price_minor, "sales": sold.price_minor}
        assert [(line.sold, line.refunded) for line in second.document.sales] == [(0, 1)]
        assert [(line.operator, line.minor) for line in second.document.shares] == [(None, -sold.price_minor)]
        assert (await settlements.settle(today - timedelta(days=1), "admin", later_s)).hash == first.hash
