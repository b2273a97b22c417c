"""A rider becomes a student, or is one no more, on a real PostgreSQL: it counts from then on, whenever it is told."""

from __future__ import annotations

import asyncio

import pytest

from tests.integration.rated_city import DAY, UID, RatedCity, rated_city
from ticketing.books import Books
from ticketing.errors import Problem
from ticketing.receipts_api import CategoryChange, ReceiptsApi
from ticketing.trips_desk import TripsDesk

NAME = 'name = { uk = "Н", en = "N" }\n'
SCHOOL = f"""
version = 1
city = {{ uk = "Місто", en = "City" }}
currency = "UAH"
timezone = "Europe/Kyiv"
service_day_starts = "04:30"
default_category = "adult"
[[category]]
id = "adult"
{NAME}
[[category]]
id = "student"
percent = 50
{NAME}
[[network]]
id = "bus"
operators = ["*"]
{NAME}
[[fare]]
id = "ride"
price_minor = 800
{NAME}
[[cap]]
id = "day"
period = "day"
amount_minor = 2000
categories = ["adult"]
{NAME}
[[cap]]
id = "student_day"
period = "day"
amount_minor = 1000
categories = ["student"]
{NAME}
"""


async def become(
    town: RatedCity, category: str | None, clock: str | None = None, *, from_: str | None = None, day: str = DAY
) -> None:
    """What `takt card category` asks for, at an hour."""
    if clock is not None:
        town.now_s = town.at(clock, day)
    service, sold = town.service, town.editions.sold.tariff
    trips = TripsDesk(Books(service.store), town.api.desk.sales, sold)
    api = ReceiptsApi(service.store, town.editions, town.accounts, trips, lambda: service.readers, lambda: town.now_s)
    await api.set_category(UID.hex(), body=CategoryChange(category, from_), subject="desk1")


@pytest.mark.parametrize("settled", [False, True])
async def test_rides_of_before_keep_their_price_on_the_same_day(database, settled):
    async with rated_city(database, SCHOOL, money=10_000) as town:
        assert (await town.ride("08:00")).charged_minor == 800
        if settled:
            await town.settle()
        await become(town, "student", "09:00")
        assert (await town.ride("10:00")).charged_minor == 400
        await town.settle()
        assert await town.charges() == [800, 400]
        await become(town, None, "11:00")
        assert (await town.ride("12:00")).charged_minor == 800
        await town.settle()
        assert await town.charges() == [800, 400, 800]
        assert await town.balance() == 8000


async def test_a_late_ride_is_priced_by_what_its_rider_was_then(database):
    async with rated_city(database, SCHOOL, money=10_000) as town:
        await become(town, "student", "09:00")
        assert (await town.ride("10:00")).charged_minor == 400
        late = town.tap(town.at("08:00"), late_s=9000)
        yesterday = town.tap(town.at("08:00", "2026-03-03"), late_s=95_400)
        assert [answer.charged_minor for answer in await town.judge(late, yesterday)] == [800, 800]
        after = town.tap(town.at("09:00"), late_s=5400)
        assert (await town.judge(after))[0].charged_minor == 400
        await town.settle()
        assert await town.charges() == [800, 400, 400]
        assert await town.charges("2026-03-03") == [800]


async def test_each_category_has_its_own_cap(database):
    async with rated_city(database, SCHOOL, money=10_000) as town:
        for clock in ("06:00", "07:00", "08:00"):
            await town.ride(clock)
        await become(town, "student", "09:00")
        told = [(await town.ride(f"{hour}:00")).charged_minor for hour in (10, 11, 12, 13)]
        await town.settle()
        assert told == [400, 400, 200, 0]
        assert await town.charges() == [800, 800, 400, *told]


async def test_since_a_day_rides_are_priced_anew(database):
    async with rated_city(database, SCHOOL, money=10_000) as town:
        for day in ("2026-03-02", "2026-03-03", DAY):
            await town.ride("08:00", day)
        await town.settle()
        await become(town, "student", "12:00", from_="2026-03-03")
        await town.settle()
        assert [await town.charges(day) for day in ("2026-03-02", "2026-03-03", DAY)] == [[800], [400], [400]]
        assert await town.balance() == 10_000 - 1600
        await become(town, "student", from_="2026-03-02")
        await town.settle()
        assert await town.balance() == 10_000 - 1200
        await become(town, None, from_="2026-03-03")  # it was a mistake
        await town.settle()
        assert [await town.charges(day) for day in ("2026-03-02", "2026-03-03", DAY)] == [[400], [800], [800]]
        assert await town.pool.fetchval("SELECT count(*) FROM card_category") == 2


@pytest.mark.parametrize("day", ["2026-03-05", "2026-01-31", "soon"])
async def test_a_day_to_come_or_long_ago_is_refused(database, day):
    async with rated_city(database, SCHOOL) as town:
        with pytest.raises(Problem) as refused:
            await become(town, "student", "12:00", from_=day)
        assert refused.value.status == 422


async def test_no_card_has_no_category(database):
    async with rated_city(database, SCHOOL) as town:
        await town.pool.execute("DELETE FROM card")
        with pytest.raises(Problem, match="is enrolled here"):
            await become(town, "student", "12:00")


async def test_a_ride_rated_while_the_desk_was_at_it_is_put_right(database):
    """The desk looked at its clock before this ride was made, and its change is committed after it was rated."""
    async with rated_city(database, SCHOOL, money=10_000) as town:
        assert (await town.ride("09:00")).charged_minor == 800
        await town.settle()
        await become(town, "student", "08:59")
        await town.settle(after_s=120)
        assert await town.charges() == [400]


async def test_rides_told_while_categories_change_end_at_what_the_rider_was(database):
    """A student from nine on for two minutes; a ride every four minutes, told in any order."""
    async with rated_city(database, SCHOOL, money=10_000) as town:
        rides = [town.tap(town.at(f"09:{minute:02d}"), late_s=3600.0) for minute in range(0, 40, 4)]
        for category, clock, part in (("student", "09:00", rides[::4]), (None, "09:02", rides[2::4])):
            town.now_s = town.at(clock)
            told = [town.judge(tap) for tap in part]
            await asyncio.gather(become(town, category), *told, town.accounts.rate_due())
        await asyncio.gather(*(town.judge(tap) for tap in rides), town.accounts.rate_due())
        await town.settle()
        assert await town.charges() == [400, 800, 800, 400, 0, 0, 0, 0, 0, 0]
