"""Days of riders through the judge, the rating and the ledger of a real PostgreSQL: charged what the receipt says."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta

import pytest
from msgspec.structs import replace

from tests.integration.rated_city import DAY, KEYS, OTHER, UID, RatedCity, rated_city, shipped
from ticketing.accounts import Accounts
from ticketing.books import Books
from ticketing.card import sun_message
from ticketing.editions import TariffSource, open_editions
from ticketing.errors import Problem
from ticketing.receipts_api import CardProof, ReceiptsApi
from ticketing.trips_desk import TripsDesk
from ticketing.verdict import Offline


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


@pytest.mark.parametrize("rated_before", [False, True])
async def test_a_tap_that_waited_in_a_link_is_rated_when_it_was_made(database, rated_before):
    async with rated_city(database, shipped("lviv"), money=10_000) as lviv:
        waiting = lviv.tap(lviv.at("08:00"), received_s=lviv.at("10:30"))  # nobody decided it offline
        for clock in ("08:30", "09:20"):
            assert (await lviv.ride(clock)).charged_minor == 1700
        if rated_before:
            await lviv.settle()
        assert (await lviv.judge(waiting))[0].verdict == "accepted"
        assert (await lviv.ride("10:31")).charged_minor == 1700  # no change of a ride that was made at eight
        await lviv.settle()
        assert await lviv.charges() == [1700, 0, 1700, 1700]  # 08:30 is a change now
        assert await lviv.balance() == 10_000 - 5100
        await lviv.check()


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


async def test_trips_bought_ahead_are_taken_one_by_one_and_held_within_limits(database):
    async with rated_city(database, shipped("kyiv")) as kyiv:
        kyiv.now_s = kyiv.at("07:00")
        desk = TripsDesk(Books(kyiv.service.store), kyiv.api.desk.sales, kyiv.editions.sold.tariff, lambda: kyiv.now_s)
        sold = await desk.sell(UID.hex(), 10, subject="desk1", idempotency_key="k1")
        assert await desk.sell(UID.hex(), 10, subject="desk1", idempotency_key="k1") == sold
        assert sold.price_minor == 7700
        for clock in ("08:00", "09:00"):
            assert (await kyiv.ride(clock)).charged_minor == 0
        assert (await kyiv.ride("10:00", operator="city_train")).verdict == "insufficient_funds"  # trips are not for it
        await kyiv.settle()
        assert await uses(kyiv) == 2
        steps = [line.explanation[-1] for line in (await kyiv.day()).lines]
        assert [(step.kind, step.number) for step in steps] == [("trip", 9), ("trip", 8)]
        await desk.sell(UID.hex(), 50, subject="desk1")
        with pytest.raises(Problem, match="holds 58 trips"):
            await desk.sell(UID.hex(), 50, subject="desk1")
        with pytest.raises(Problem, match="1 to 50"):
            await desk.sell(UID.hex(), 51, subject="desk1")


async def feed_bank_taps(kyiv: RatedCity, account: str, clocks: list[str]) -> None:
    """Taps as the judge of bank cards stores them."""
    await kyiv.pool.executemany(
        "INSERT INTO tap (operator, device, id, boot, seq, taken_at, received_at, medium, content_hash, verdict,"
        " account, rating_due) VALUES ('bus', 'door', gen_random_uuid(), 'a', $1, to_timestamp($2), to_timestamp($2),"
        " 'bank', '', 'accepted', $3, true)",
        [(number, kyiv.at(clock), account) for number, clock in enumerate(clocks)],
    )


async def test_kyiv_by_bank_card_four_trips_and_two_debits(database):
    async with rated_city(database, shipped("kyiv")) as kyiv:
        await feed_bank_taps(kyiv, "bank:rider", ["08:00", "09:00", "17:00", "18:00"])
        kyiv.now_s = kyiv.at("18:01")
        await kyiv.settle()
        shown = await receipts(kyiv).day("bank:rider", DAY)
        assert [tap.charge_minor for tap in shown.taps] == [800] * 4
        assert [(debit.amount_minor, debit.at) for debit in shown.debits] == [
            (1600, kyiv.at("09:00")),
            (1600, kyiv.at("18:00")),
        ]
        assert "16,00\u00a0₴ списано після другої поїздки о 09:00" in shown.text.uk
        assert "debited after the second trip at 18:00" in shown.text.en
        assert await kyiv.pool.fetchval("SELECT count(*) FROM transfer") == 0  # charging is another's part
        await kyiv.pool.execute("DELETE FROM day_rating")


def receipts(city: RatedCity) -> ReceiptsApi:
    books = Books(city.service.store)
    trips = TripsDesk(books, city.api.desk.sales, city.editions.sold.tariff, lambda: city.now_s)
    store = city.service.store
    return ReceiptsApi(store, city.editions, city.accounts, trips, lambda: city.service.readers, lambda: city.now_s)


async def test_a_receipt_says_which_rule_which_fact_and_how_much(database):
    async with rated_city(database, shipped("lviv"), money=10_000) as lviv:
        told = [await lviv.ride(clock) for clock in ("08:00", "08:25", "08:39", "08:40")]
        api = receipts(lviv)
        shown = await api.day(UID.hex(), DAY)  # rated by being asked for
        assert [tap.tap_id for tap in shown.taps] == [answer.id for answer in told]
        assert (
            [tap.charge_minor for tap in shown.taps] == [answer.charged_minor for answer in told] == [1700, 0, 0, 1700]
        )
        change = shown.taps[1].reasons[1]
        assert (change.kind, change.rule, change.amount_minor) == ("transfer", "forty", -1700)
        assert (change.since, change.until) == (lviv.at("08:00"), lviv.at("08:40"))
        assert change.text.uk == "Пересадка «40 хвилин»: перша поїздка о 08:00, діє до 08:40"
        assert "Total: UAH\u00a034.00" in shown.text.en
        assert shown.receipt_id
        assert await api.by_id(shown.receipt_id) == shown
        assert "Разом: 34,00" in await api.text(shown.receipt_id)
        for nobodys in ("00000000-0000-4000-8000-000000000000", "x" * 32):
            with pytest.raises(Problem) as problem:
                await api.by_id(nobodys)
            assert problem.value.status == 404
        days = [(UID.hex(), day) for day in ("2026-02-30", "9999-12-31", "0001-01-01")]
        for text, day in (("04de5f1eacc049", DAY), ("bank?", DAY), *days):
            with pytest.raises(Problem):
                await api.day(text, day)


async def test_a_receipt_says_what_its_day_still_owes_and_what_is_paid_pays_the_oldest_day(database):
    async with rated_city(database, shipped("lviv"), money=1000) as lviv:
        days = ("2026-03-03", DAY, "2026-03-05")
        for day in days:  # let in offline: 17.00 each, and 10.00 in the purse
            await lviv.judge(lviv.tap(lviv.at("08:00", day), late_s=1))
            await lviv.settle()
        api = receipts(lviv)

        async def owed() -> list[tuple[int, int]]:
            shown = [await api.day(UID.hex(), day) for day in days]
            assert {day.to_charge_minor for day in shown} == {0}
            return [(day.charged_minor, day.owed_minor) for day in shown]

        assert await owed() == [(1000, 700), (0, 1700), (0, 1700)]
        assert "Owed: UAH\u00a07.00" in (await api.day(UID.hex(), days[0])).text.en
        await lviv.api.cards.top_up(UID.hex(), 2000, subject="desk1")
        assert await owed() == [(1700, 0), (1300, 400), (0, 1700)]
        await lviv.api.cards.top_up(UID.hex(), 2500, subject="desk1")
        assert await owed() == [(1700, 0), (1700, 0), (1700, 0)]


async def test_a_rider_reads_the_day_by_holding_the_card_to_a_phone(database):
    async with rated_city(database, shipped("lviv"), money=10_000) as lviv:
        await lviv.ride("08:00")
        api = receipts(lviv)
        proof = CardProof(sun_message(KEYS, UID, 50, b"12345678"), DAY)
        assert (await api.by_card(body=proof)).total_minor == 1700
        with pytest.raises(Problem, match="used before"):
            await api.by_card(body=proof)
        with pytest.raises(Problem, match="p="):
            await api.by_card(body=CardProof("p=00&c=00"))


async def test_a_day_under_a_flat_tariff_has_its_receipt_too(database):
    flat = BUSES_OF_2008.partition("[[cap]]")[0]
    async with rated_city(database, flat, money=1000) as city:
        told = [(await city.ride(f"{hour:02d}:00")).charged_minor for hour in (8, 9)]
        shown = await receipts(city).day(UID.hex(), DAY)
        assert [tap.charge_minor for tap in shown.taps] == told == [90, 90]
        assert shown.receipt_id is None
        assert "Fare “Bus”: £0.90" in shown.text.en


async def test_another_tariff_rates_new_days_and_leaves_old_ones_theirs(database):
    async with rated_city(database, shipped("lviv"), money=10_000) as lviv:
        await lviv.ride("08:00")
        await lviv.settle()
        dear = shipped("lviv").replace("price_minor = 1700", "price_minor = 2500")
        async with lviv.service.store.connection() as connection:
            editions = await open_editions(connection, TariffSource("dear.toml", dear))
        await lviv.pool.execute(
            "UPDATE tariff_edition SET used_from"
            " = to_timestamp($1::float8 + CASE WHEN file = 'dear.toml' THEN 0 ELSE -1e6 END)",
            lviv.at("06:00", "2026-03-05"),
        )  # the test's days lie in the past
        async with lviv.service.store.connection() as connection:
            editions = await open_editions(connection, TariffSource("dear.toml", dear))
        late = (await lviv.judge(lviv.tap(lviv.at("10:00"), late_s=90_000)))[0]
        assert late.verdict == "accepted"
        accounts = Accounts(lviv.service.store, editions, lambda: lviv.now_s)
        await lviv.judge(lviv.tap(lviv.at("12:00", "2026-03-05")))  # judged under the old, rated by the new one
        while await accounts.rate_due():
            pass
        assert await lviv.charges() == [1700, 1700]
        assert await lviv.charges("2026-03-05") == [2500]


async def test_two_workers_at_once_post_each_difference_once(database):
    async with rated_city(database, shipped("lviv"), money=100_000) as lviv:
        uids = [bytes.fromhex(f"04de5f1eacc1{number:02x}") for number in range(24)]
        await lviv.api.cards.enrol([uid.hex() for uid in uids], KEYS, subject="admin")
        for uid in uids:
            await lviv.api.cards.top_up(uid.hex(), 10_000, subject="desk1")
            await lviv.judge(lviv.tap(lviv.at("08:30"), uid))
        await lviv.settle()
        for uid in uids:
            await lviv.judge(lviv.tap(lviv.at("08:00"), uid, late_s=5000))
        workers = [
            Accounts(lviv.service.store, lviv.editions, lambda: lviv.now_s, batch_max=size) for size in (3, 5, 7)
        ]

        async def work(worker: Accounts) -> None:
            while await worker.rate_due():
                pass

        await asyncio.gather(*(work(worker) for worker in workers))
        await lviv.settle()
        assert [await lviv.balance(uid) for uid in uids] == [8300] * 24
        assert await lviv.pool.fetchval("SELECT count(*) FROM transfer WHERE rated IS NOT NULL") == 24


class CutError(Exception):
    """The worker is gone."""


class CutConnection:
    """A connection that is gone after so many statements."""

    def __init__(self, connection: object, statements: int) -> None:
        self._connection, self._left = connection, statements

    def __getattr__(self, name: str) -> object:
        if name in ("execute", "fetch", "fetchval", "fetchrow"):
            self._left -= 1
            if self._left < 0:
                raise CutError
        return getattr(self._connection, name)


async def test_a_worker_that_dies_between_any_two_statements_loses_and_doubles_nothing(database):
    async with rated_city(database, TEN_RIDES, money=2000) as lviv:
        lviv.now_s = lviv.at("07:00")
        await lviv.api.desk.sell("ten", subject="desk1", card_uid=UID.hex(), valid_from=lviv.at("09:00"))
        await lviv.ride("08:30")
        await lviv.ride("09:30")
        await lviv.settle()
        await lviv.judge(lviv.tap(lviv.at("08:00"), late_s=9000), lviv.tap(lviv.at("07:00"), late_s=9000))
        before = await state(lviv)
        statements = 0
        while True:
            try:
                async with lviv.service.store.transaction() as connection:
                    await lviv.accounts._rate_in(CutConnection(connection, statements), [f"card:{UID.hex()}"])
            except CutError:
                assert await state(lviv) == before
                statements += 1
            else:
                break
        assert statements >= 9
        assert await lviv.charges() == [1700, 1700, 0, 0]
        after = await state(lviv)
        await lviv.settle()
        assert await state(lviv) == after


async def state(city: RatedCity) -> list[object]:
    rows = []
    for statement in (
        "SELECT id, kind, debit, credit, amount_minor FROM transfer ORDER BY id",
        "SELECT uid, balance_minor, debt_minor FROM card ORDER BY uid",
        "SELECT id, uses FROM ticket",
        "SELECT account, service_date, version, total_minor FROM day_rating ORDER BY 1, 2",
        "SELECT id, rating_due FROM tap ORDER BY id",
    ):
        rows.append([tuple(row) for row in await city.pool.fetch(statement)])
    return rows


async def test_an_account_that_cannot_be_rated_holds_up_nobody(database):
    async with rated_city(database, shipped("lviv"), money=10_000) as lviv:
        await lviv.ride("08:00")
        await lviv.judge(lviv.tap(lviv.at("08:00"), OTHER))
        await lviv.pool.execute(
            "INSERT INTO day_rating (account, service_date, version, tariff_id, total_minor, rating, taps)"
            " SELECT $1, '2026-03-04', 1, id, 0, '{}', '[]' FROM tariff_edition",
            f"card:{UID.hex()}",
        )  # no rating at all
        assert await lviv.accounts.rate_due() == 2
        assert await lviv.charges(uid=OTHER) == [1700]
        assert lviv.accounts.counters["set_aside"] == 1
        assert lviv.accounts.gauges()["accounts_set_aside"] == 1
        assert await lviv.accounts.rate_due() == 0  # not before its time
        await lviv.pool.execute("DELETE FROM day_rating WHERE rating = '{}'")
        assert await lviv.accounts.rate(f"card:{UID.hex()}")
        assert await lviv.charges() == [1700]


@pytest.mark.parametrize("flat", [True, False])
async def test_a_rider_let_in_after_a_refusal_that_was_lost_owes_the_ride_once(database, flat):
    """Refused online, the answer lost, decided alone, sent again with that: no free ride, and no silence about it."""
    tariff = BUSES_OF_2008.partition("[[cap]]")[0] if flat else BUSES_OF_2008
    async with rated_city(database, tariff, money=120) as city:
        assert city.pricing.flat == flat
        assert (await city.ride("08:00")).charged_minor == 90
        refused = city.tap(city.at("10:00"))
        assert (await city.judge(refused))[0].verdict == "insufficient_funds"
        await city.settle()
        assert (await city.balance(), await city.debt()) == (30, 0)
        alone = replace(refused, offline=Offline("accepted", 4), received_s=refused.received_s + 3.0)
        for _ in range(2):
            assert (await city.judge(alone))[0].verdict == "insufficient_funds"
            await city.settle()
            assert (await city.balance(), await city.debt()) == (0, 60)
        stored = await city.pool.fetchrow("SELECT conflict, offline_verdict, rules_version FROM tap WHERE conflict")
        assert tuple(stored) == (True, "accepted", 4)
        assert await city.pool.fetchval("SELECT times FROM security_event WHERE kind = 'offline_conflict'") == 1
        assert city.service.counters["conflicts"] == 2  # each answer about it says so
        await city.check()


async def test_a_ride_without_the_money_under_one_price_becomes_a_debt_once(database):
    flat = BUSES_OF_2008.partition("[[cap]]")[0]
    async with rated_city(database, flat, money=120) as city:
        assert city.pricing.flat
        assert (await city.ride("08:00")).charged_minor == 90
        tap = city.tap(city.at("10:00"), late_s=3600)
        for _ in range(2):  # sent again, it is owed once
            (answer,) = await city.judge(tap)
            assert answer.verdict == "insufficient_funds"
            await city.settle()
            assert (await city.balance(), await city.debt()) == (0, 60)
        day = await receipts(city).day(UID.hex(), DAY)
        assert [tap.charge_minor for tap in day.taps] == [90, 90]
        assert day.receipt_id is not None
        card = await city.api.cards.top_up(UID.hex(), 500, subject="desk1")
        assert (card.balance_minor, card.debt_minor) == (440, 0)
