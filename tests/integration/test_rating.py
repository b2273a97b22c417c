"""Days of riders through the judge, the rating and the ledger of a real PostgreSQL: charged what the receipt says."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from tests.integration.rated_city import DAY, UID, RatedCity, rated_city, shipped


async def test_lviv_by_leocard_three_taps_within_forty_minutes(database):
    async with rated_city(database, shipped("lviv"), money=10_000) as lviv:
        told = [(await lviv.ride(clock)).charged_minor for clock in ("08:00", "08:25", "08:39", "08:40")]
        assert told == [1700, 0, 0, 1700]
        await lviv.settle()
        assert await lviv.charges() == told
        assert await lviv.balance() == 10_000 - 3400


async def test_london_reaches_its_cap_on_the_fourth_ride(database):
    tariff = shipped("london")
    async with rated_city(database, tariff, money=10_000) as london:
        rides = [("08:00", 0), ("09:10", 0), ("10:20", 0), ("11:30", 0)]
        told = [(await london.ride(clock)).charged_minor for clock, _ in rides]
        assert told == [175, 175, 175, 0]  # the hopper's hour is over each time; 5.25 is the day's cap for buses
        await london.settle()
        assert await london.charges() == told


BUSES_OF_2008 = """
version = 1
city = { uk = "Лондон", en = "London" }
currency = "GBP"
timezone = "Europe/London"
service_day_starts = "04:30"
[[network]]
id = "bus"
name = { uk = "Автобус", en = "Bus" }
operators = ["*"]
[[fare]]
id = "bus_ride"
name = { uk = "Автобус", en = "Bus" }
price_minor = 90
[[cap]]
id = "day"
name = { uk = "Межа на день", en = "Daily cap" }
period = "day"
amount_minor = 300
"""


async def test_a_part_of_the_fourth_fare_reaches_the_cap(database):
    """londonbanter.co.uk post73705: 0.90, 0.90, 0.90, 0.30 and nothing more."""
    async with rated_city(database, BUSES_OF_2008, money=1000) as london:
        told = [(await london.ride(f"{hour:02d}:00")).charged_minor for hour in range(8, 13)]
        assert told == [90, 90, 90, 30, 0]
        assert (await london.ride("04:29", "2026-03-05")).charged_minor == 0  # still the day before
        assert (await london.ride("04:30", "2026-03-05")).charged_minor == 90
        await london.settle()
        assert await london.charges() == [90, 90, 90, 30, 0, 0]
        assert await london.charges("2026-03-05") == [90]


async def test_a_late_tap_rates_the_day_again_and_posts_the_difference(database):
    async with rated_city(database, shipped("lviv"), money=10_000) as lviv:
        assert (await lviv.ride("08:30")).charged_minor == 1700
        assert (await lviv.ride("09:05")).charged_minor == 0
        await lviv.settle()
        late = lviv.tap(lviv.at("08:00"), late_s=7200)
        answer = (await lviv.judge(late))[0]
        assert (answer.verdict, answer.charged_minor) == ("accepted", 1700)
        await lviv.settle()
        # 08:00 begins the journey now: 08:30 is a change, and 09:05 lies beyond its forty minutes.
        assert await lviv.charges() == [1700, 0, 1700]
        assert await lviv.balance() == 10_000 - 3400
        kinds = await lviv.pool.fetch("SELECT kind, amount_minor FROM transfer WHERE rated IS NOT NULL ORDER BY id")
        assert [tuple(row) for row in kinds] == [("reversal", 1700), ("fare", 1700)]
        assert (await lviv.judge(late))[0].charged_minor == 1700  # sent again: the answer that it had
        await lviv.settle()
        assert await lviv.balance() == 10_000 - 3400
        assert await lviv.pool.fetchval("SELECT version FROM day_rating") == 2


async def test_a_late_tap_under_a_cap_changes_nothing_but_its_own_line(database):
    async with rated_city(database, BUSES_OF_2008, money=1000) as london:
        for hour in range(8, 12):
            await london.ride(f"{hour:02d}:00")
        await london.judge(london.tap(london.at("07:00"), late_s=20_000))
        await london.settle()
        assert await london.charges() == [90, 90, 90, 30, 0]
        assert await london.balance() == 700


async def test_a_late_tap_of_monday_changes_what_the_rest_of_the_week_costs(database):
    weekly = BUSES_OF_2008.replace("amount_minor = 300", "amount_minor = 300") + (
        '[[cap]]\nid = "week"\nname = { uk = "Тиждень", en = "Week" }\nperiod = "week"\namount_minor = 270\n'
    )
    async with rated_city(database, weekly, money=1000) as london:
        for day in (3, 4, 5):
            await london.ride("08:00", f"2026-03-0{day}")
        await london.settle()
        assert await london.balance() == 730
        await london.judge(london.tap(london.at("08:00", "2026-03-02"), late_s=4 * 86_400))
        await london.settle()
        assert [await london.charges(f"2026-03-0{day}") for day in (2, 3, 4, 5)] == [[90], [90], [90], [0]]
        assert await london.balance() == 730


async def test_a_change_over_midnight_of_the_service_day(database):
    lviv_at_night = shipped("lviv").replace('service_day_starts = "03:00"', 'service_day_starts = "00:00"')
    async with rated_city(database, lviv_at_night, money=10_000) as lviv:
        assert (await lviv.ride("23:45", "2026-03-04")).charged_minor == 1700
        assert (await lviv.ride("00:10", "2026-03-05")).charged_minor == 0
        await lviv.settle()
        assert (await lviv.ride("00:24", "2026-03-05")).charged_minor == 0
        assert (await lviv.ride("00:25", "2026-03-05")).charged_minor == 1700
        await lviv.settle()
        assert await lviv.charges("2026-03-05") == [0, 0, 1700]
        # A late tap of the evening before begins the journey earlier: what came after midnight is paid anew.
        await lviv.judge(lviv.tap(lviv.at("23:35"), late_s=4000))
        await lviv.settle()
        assert await lviv.charges() == [1700, 0]
        assert await lviv.charges("2026-03-05") == [0, 1700, 0]


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25)])
async def test_days_of_23_and_25_hours_are_one_day_each(database, day, hours):
    async with rated_city(database, BUSES_OF_2008, money=1000) as london:
        before = (date.fromisoformat(day) - timedelta(days=1)).isoformat()
        first, last = london.at("04:30", before), london.at("04:29", day)
        assert london.at("04:30", day) - first == hours * 3600
        for at_s in [first + n * 3600 for n in range(6)] + [last]:
            await london.judge(london.tap(at_s))
        await london.settle()
        assert await london.charges(before) == [90, 90, 90, 30, 0, 0, 0]
        assert (await london.ride("04:30", day)).charged_minor == 90


async def test_taps_of_one_batch_are_priced_one_after_the_other(database):
    async with rated_city(database, BUSES_OF_2008, money=1000) as london:
        for first in (0, 3):
            taps = [london.tap(london.at("08:00") + n * 60) for n in range(first, min(5, first + 3))]
            told = [answer.charged_minor for answer in await london.judge(*taps)]
            assert told == [90, 90, 90, 30, 0][first : first + 3]
        late = [london.tap(london.at("05:00", "2026-03-05") + n * 60, late_s=3600 - n * 60) for n in range(5)]
        assert [answer.charged_minor for answer in await london.judge(*late)] == [90, 90, 90, 30, 0]
        await london.settle()
        assert await london.charges() == await london.charges("2026-03-05") == [90, 90, 90, 30, 0]


async def test_a_ride_without_the_money_becomes_a_debt_that_the_next_top_up_pays(database):
    async with rated_city(database, shipped("lviv"), money=2000) as lviv:
        assert (await lviv.ride("08:00")).charged_minor == 1700
        answer = (await lviv.judge(lviv.tap(lviv.at("07:00"), late_s=4000)))[0]
        assert answer.verdict == "insufficient_funds"  # and a conflict: the validator let the rider in
        await lviv.settle()
        assert await lviv.charges() == [1700, 1700]
        assert (await lviv.balance(), await lviv.debt()) == (0, 1400)
        assert (await lviv.ride("09:00")).verdict == "insufficient_funds"
        card = await lviv.api.cards.top_up(UID.hex(), 5000, subject="desk1")
        assert (card.balance_minor, card.debt_minor) == (3600, 0)


async def test_a_flat_tariff_asks_nothing_and_marks_nothing(database):
    flat = BUSES_OF_2008.partition("[[cap]]")[0]
    async with rated_city(database, flat, money=1000) as city:
        assert city.pricing.flat
        assert [(await city.ride(f"{hour:02d}:00")).charged_minor for hour in (8, 9)] == [90, 90]
        assert city.pricing.counters["quotes"] == 0
        assert await city.pool.fetchval("SELECT count(*) FROM tap WHERE rating_due") == 0


TEN_RIDES = (
    shipped("lviv")
    + """
[[product]]
id = "ten"
name = { uk = "10 поїздок", en = "Ten rides" }
price_minor = 15000
rides = 10
valid = { days = 90 }
"""
)


async def uses(city: RatedCity) -> int:
    return int(await city.pool.fetchval("SELECT uses FROM ticket"))


async def test_ten_rides_on_the_card_are_taken_for_what_would_cost_something(database):
    async with rated_city(database, TEN_RIDES) as lviv:
        lviv.now_s = lviv.at("07:00")
        await lviv.api.desk.sell("ten", subject="desk1", card_uid=UID.hex(), valid_from=lviv.now_s)
        told = [await lviv.ride(clock) for clock in ("08:00", "08:25", "09:30")]
        assert [answer.verdict for answer in told] == ["accepted"] * 3
        assert [answer.charged_minor for answer in told] == [0, 0, 0]
        assert await uses(lviv) == 2  # the change at 08:25 is free by itself
        await lviv.settle()
        assert await lviv.charges() == [0, 0, 0]
        assert await uses(lviv) == 2
        # A late tap that shows 09:30 to be a change gives its ride back and takes one of its own.
        await lviv.judge(lviv.tap(lviv.at("09:10"), late_s=3000))
        await lviv.settle()
        assert await uses(lviv) == 2
        await lviv.judge(lviv.tap(lviv.at("06:59"), late_s=9000))  # before the ticket was valid: no money, so a debt
        await lviv.settle()
        assert await lviv.debt() == 1700
        assert (await lviv.day()).rides_used == {str(await lviv.pool.fetchval("SELECT id FROM ticket")): 2}


async def test_a_refunded_pass_covered_what_was_ridden_before(database):
    async with rated_city(database, shipped("lviv"), money=10_000) as lviv:
        lviv.now_s = lviv.at("07:00")
        sold = await lviv.api.desk.sell("month", subject="desk1", card_uid=UID.hex(), valid_from=lviv.now_s)
        assert (await lviv.ride("08:00")).charged_minor == 0
        await lviv.settle()
        await lviv.pool.execute("UPDATE ticket SET status = 'revoked', status_at = to_timestamp($1)", lviv.at("12:00"))
        assert (await lviv.ride("13:00")).charged_minor == 1700
        await lviv.judge(lviv.tap(lviv.at("11:00"), late_s=9000))
        await lviv.settle()
        assert await lviv.charges() == [0, 0, 1700]
        assert sold.product_id == "month"


async def test_london_by_tube_is_charged_at_the_exit_and_without_one_when_time_is_up(database):
    async with rated_city(database, shipped("london").replace('id = "1"', 'id = "1"\nstops = ["bank"]', 1).replace(
        'id = "2"', 'id = "2"\nstops = ["angel"]', 1), money=10_000) as london:  # fmt: skip
        entry = await london.ride("10:00", operator="rail", stop_id="bank", vehicle=None, device="g1")
        exit_ = await london.ride("10:20", operator="rail", stop_id="angel", vehicle=None, device="g2")
        assert [entry.charged_minor, exit_.charged_minor] == [0, 290]
        await london.settle()
        assert await london.charges() == [0, 290]
        inside = await london.ride("20:00", operator="rail", stop_id="bank", vehicle=None, device="g1")
        assert inside.charged_minor == 0
        await london.settle()
        assert await london.charges() == [0, 290, 0]
        await london.settle(after_s=110 * 60)
        assert await london.charges() == [0, 290, 580]
        assert await london.balance() == 10_000 - 870
        assert (await london.day(DAY)).lines[2].explanation[-1].kind == "no_exit"
