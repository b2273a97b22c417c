"""A rider whose card was replaced stays the same, on a real PostgreSQL: caps go on, carried tickets are given back."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from datetime import date, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from sql import query
from tests.integration.rated_city import DAY, KEYS, UID, RatedCity, rated_city, shipped
from tests.integration.test_categories import SCHOOL, become
from tests.integration.test_late_rides import CAPPED, give_back, late, now, sell
from tests.integration.test_rating import BUSES_OF_2008
from ticketing.days import service_day
from ticketing.desk import Ticket
from ticketing.errors import Problem
from ticketing.replacing import Replacing

NEW, THIRD = bytes.fromhex("04112233445588"), bytes.fromhex("04112233445599")
MONTHLY = BUSES_OF_2008 + (
    '[[cap]]\nid = "week"\nname = { uk = "Т", en = "Week" }\nperiod = "week"\namount_minor = 400\n'
    '[[cap]]\nid = "month"\nname = { uk = "М", en = "Month" }\nperiod = "month"\namount_minor = 700\n'
)


async def replace(town: RatedCity, old: bytes = UID, new: bytes = NEW, money: int = 0) -> None:
    """One card gives way to another, which is enrolled for it and gets money of its own afterwards."""
    await town.api.cards.enrol([new.hex()], KEYS, subject="admin")
    body = Replacing(new.hex(), "lost")
    await town.api.replacing.replace(old.hex(), body=body, subject="desk1", idempotency_key=None)
    if money:
        await town.api.cards.top_up(new.hex(), money, subject="desk1")


async def told(town: RatedCity, uid: bytes, *clocks: str, day: str = DAY) -> list[int | None]:
    return [(await town.ride(clock, day, uid=uid)).charged_minor for clock in clocks]


@pytest.mark.parametrize("settled", [False, True])
async def test_a_days_cap_goes_on_over_a_replaced_card(database, settled):
    async with rated_city(database, BUSES_OF_2008, money=1000) as town:
        assert await told(town, UID, "08:00", "09:00", "10:00") == [90, 90, 90]
        if settled:
            await town.settle()
        await replace(town)
        assert await told(town, NEW, "12:00", "13:00") == ([30, 0] if settled else [90, 90])
        await town.settle()
        assert await town.charges(uid=NEW) == [30, 0]
        assert await town.balance(NEW) == 700
        assert await told(town, NEW, "08:00", day="2026-03-05") == [90]


@pytest.mark.parametrize("rated", ["before", "between", "after"])
async def test_a_transfer_goes_on_over_a_replaced_card(database, rated):
    """Lviv: forty minutes from the first ride, whichever card it was made with, and whenever that is rated."""
    async with rated_city(database, shipped("lviv"), money=10_000) as town:
        assert await told(town, UID, "08:00") == [1700]
        if rated == "before":
            await town.settle()
        await replace(town)
        if rated != "after":
            await town.settle()
        assert await told(town, NEW, "08:25") == ([1700] if rated == "after" else [0])
        await town.settle()
        assert await told(town, NEW, "08:39", "08:40") == [0, 1700]
        assert await told(town, NEW, "08:20", day="2026-03-05") == [1700]
        await town.settle()
        assert await town.charges(uid=NEW) == [0, 0, 1700]
        assert await town.balance(NEW) == 10_000 - 3 * 1700


async def test_a_transfer_goes_on_over_two_cards_on_one_day(database):
    async with rated_city(database, shipped("lviv"), money=10_000) as town:
        await told(town, UID, "08:00")
        await replace(town)
        await town.settle()
        assert await told(town, NEW, "08:15") == [0]
        await replace(town, NEW, THIRD)
        await town.settle()
        assert await told(town, THIRD, "08:30", "08:41") == [0, 1700]


async def test_a_ride_told_late_of_before_opens_the_transfer_and_one_after_the_new_cards_first_does_not(database):
    async with rated_city(database, shipped("lviv"), money=10_000) as town:
        await replace(town)
        assert await told(town, NEW, "09:00", "10:00") == [1700, 1700]
        await town.judge(town.tap(town.at("09:30"), late_s=7200))  # whoever found the lost card
        await town.settle()
        assert await town.charges(uid=NEW) == [1700, 1700]
        await town.judge(town.tap(town.at("08:45"), late_s=9000))
        await town.settle()
        assert await town.charges(uid=NEW) == [0, 1700]


async def test_weeks_and_months_go_on_over_two_replaced_cards_of_which_one_was_never_used(database):
    async with rated_city(database, MONTHLY, money=5000) as town:
        for day in ("2026-03-02", "2026-03-03"):
            await told(town, UID, "08:00", "09:00", day=day)  # 3.60 of the week's 4.00
        await town.settle()
        await replace(town)
        await replace(town, NEW, THIRD)
        assert await told(town, THIRD, "08:00", "09:00") == [40, 0]
        await town.settle()
        assert await told(town, THIRD, "08:00", "09:00", "10:00", "11:00", day="2026-03-09") == [90, 90, 90, 30]
        assert await told(town, THIRD, "08:00", day="2026-03-10") == [0]
        await town.settle()
        assert await town.balance(THIRD) == 5000 - 700


async def test_a_late_ride_of_the_lost_card_counts_and_one_after_it_was_blocked_does_not(database):
    async with rated_city(database, CAPPED, money=1000) as town:
        day_s = now(town)
        for _ in range(3):
            await town.judge(town.tap(day_s))
        await town.settle()
        await town.api.cards.block(UID.hex(), "lost", subject="desk1")
        await replace(town)
        now(town)
        assert (await town.judge(town.tap(town.now_s + 1, NEW)))[0].charged_minor == 30
        assert (await town.judge(town.tap(town.now_s + 5, late_s=5)))[0].verdict == "denied"  # whoever found it
        await town.settle()
        assert (await town.balance(NEW), await town.debt()) == (700, 0)
        assert await late(town, 1.0 + town.now_s - day_s) == "denied"
        await town.settle()
        assert (await town.balance(NEW), await town.debt()) == (
            730,
            30,
        )  # the fourth ride, and the cap was reached by it


async def test_rides_of_both_cards_told_in_any_order_come_to_the_cap_once(database):
    """Two workers rate the two accounts at once, the lost card's rides among them."""
    async with rated_city(database, CAPPED, money=1000) as town:
        since_s = now(town) - 60
        lost = [town.tap(since_s + number, late_s=120) for number in range(3)]
        await replace(town)
        now(town)
        mine = [town.tap(town.now_s + number, NEW) for number in range(3)]
        for one, other in zip(lost, mine, strict=True):
            await asyncio.gather(town.judge(one), town.judge(other))
            workers = [town.accounts.rate(f"card:{uid.hex()}") for uid in (NEW, UID, NEW)]
            await asyncio.gather(*workers)
        await town.settle()
        assert await town.pool.fetchval("SELECT sum(total_minor) FROM day_rating") == 300
        day = await town.pool.fetchval("SELECT max(service_date) FROM day_rating")
        assert await town.charges(str(day), NEW) == [30, 0, 0]


async def test_fares_that_come_back_to_a_lost_card_are_on_the_new_one(database):
    async with rated_city(database, SCHOOL, money=5000) as town:
        await told(town, UID, "08:00", "09:00")
        await town.settle()
        await replace(town)
        await become(town, "student", "12:00", from_=DAY)  # the old one's holder was a student all the day
        await town.settle()
        assert await town.charges() == [400, 400]
        assert (await town.balance(), await town.balance(NEW)) == (0, 5000 - 800)
        assert (await ledger_of(town)).get("replaced_cards", 0) == 0


async def ledger_of(town: RatedCity) -> dict[str, int]:
    return {row["account"]: row["minor"] for row in await town.pool.fetch(query("ledger.balances"))}


# --- carried tickets given back ---------------------------------------------------------------------------------------


async def carried_ticket(town: RatedCity, uid: bytes = NEW) -> Ticket:
    (held,) = (await town.api.get_card(uid.hex())).tickets
    return await town.api.desk.get_ticket(held.id)


@pytest.mark.parametrize("product", ["ten", "month"])
async def test_a_carried_ticket_brings_its_whole_price_once_where_it_was_paid(database, product):
    async with rated_city(database, CAPPED) as town:
        sold = await sell(town, product)
        await replace(town)
        await replace(town, NEW, THIRD)
        last = await carried_ticket(town, THIRD)
        for one in (sold.id, (await carried_ticket(town)).id):
            with pytest.raises(Problem, match="it went on as ticket") as refused:
                await give_back(town, one, override=True)
            assert refused.value.title == "Ticket carried"
        assert (await give_back(town, last.id)).refunded_minor == sold.price_minor
        assert {"cash", "sales"}.isdisjoint({name for name, minor in (await ledger_of(town)).items() if minor})
        for override in (False, True):
            with pytest.raises(Problem) as refused:
                await give_back(town, last.id, override=override)
            assert refused.value.title == "Refunded already"


async def test_of_carried_rides_the_rest_is_given_back_whichever_card_made_them(database):
    async with rated_city(database, CAPPED) as town:
        sold = await sell(town, "ten")
        for _ in range(2):
            await town.judge(town.tap(now(town)))
        await town.settle()
        await replace(town)
        await town.judge(town.tap(now(town), NEW))
        await town.settle()
        assert (await give_back(town, (await carried_ticket(town)).id)).refunded_minor == 560
        assert (await town.api.desk.get_ticket(sold.id)).uses == 2
        await late(town)  # the two rides that it had brought were made, and what was not ridden was given back
        await town.settle()
        assert (await town.balance(), await town.debt(), await town.debt(NEW)) == (0, 90, 0)


@pytest.mark.parametrize("product", ["ten", "month"])
async def test_a_late_ride_of_the_lost_card_is_owed_once_its_carried_ticket_was_given_back_whole(database, product):
    async with rated_city(database, CAPPED) as town:
        await sell(town, product)
        await replace(town)
        await give_back(town, (await carried_ticket(town)).id)
        await late(town)
        await town.settle()
        assert await town.debt() == 90


async def test_a_pass_of_which_only_the_rest_was_given_back_covers_a_late_ride_of_before(database):
    """Its days until then were kept, though no ride was known of: a ride of then is paid by them, and not twice."""
    async with rated_city(database, CAPPED, money=500) as town:
        sold = await sell(town, "month")
        await town.pool.execute(
            "UPDATE ticket SET sold_at = now() - interval '15 days', valid_from = now() - interval '15 days',"
            " valid_until = now() + interval '15 days'"
        )
        assert 0 < ((await give_back(town, sold.id)).refunded_minor or 0) < 5000
        await late(town)
        await town.settle()
        assert (await town.balance(), await town.debt()) == (500, 0)


async def test_what_was_not_carried_is_given_back_though_its_card_was_replaced(database):
    async with rated_city(database, CAPPED) as town:
        over = await sell(town, "month")
        await town.api.desk.change_ticket(over.id, "revoke", "sold by mistake", subject="desk1")
        await replace(town)
        assert (await town.api.get_card(NEW.hex())).tickets == []
        assert (await give_back(town, over.id)).refunded_minor == 5000


async def test_two_desks_give_a_carried_ticket_back_once_while_its_card_is_replaced(database):
    async with rated_city(database, CAPPED) as town:
        await sell(town, "month")
        await replace(town)
        ticket = await carried_ticket(town)
        await town.api.cards.enrol([THIRD.hex()], KEYS, subject="admin")
        body = Replacing(THIRD.hex(), "lost again")
        said = await asyncio.gather(
            *(give_back(town, ticket.id) for _ in range(3)),
            town.api.replacing.replace(NEW.hex(), body=body, subject="desk2", idempotency_key=None),
            return_exceptions=True,
        )  # fmt: skip
        assert all(isinstance(one, Problem) for one in said if isinstance(one, BaseException))
        left = [one for one in (await town.api.get_card(THIRD.hex())).tickets if one.status == "valid"]
        for one in left:
            await give_back(town, one.id)
        assert await town.pool.fetchval("SELECT sum(amount_minor) FROM transfer WHERE kind = 'refund'") == 5000


# --- by chance --------------------------------------------------------------------------------------------------------


def cost(rides_s: list[float]) -> int:
    """What one rider's rides come to under MONTHLY: each is the least that day, week and month leave of the fare."""
    day_sum: Counter[date] = Counter()
    week_sum: Counter[date] = Counter()
    month_sum: Counter[date] = Counter()
    for at_s in sorted(rides_s):
        day = service_day(at_s, time(4, 30), ZoneInfo("Europe/London"))
        week, month = day - timedelta(days=day.weekday()), day.replace(day=1)
        charge = max(0, min(90, 300 - day_sum[day], 400 - week_sum[week], 700 - month_sum[month]))
        for sums, key in ((day_sum, day), (week_sum, week), (month_sum, month)):
            sums[key] += charge
    return sum(day_sum.values())


async def live(url: str, seed: int) -> None:
    """Rides told at once or much later, two replacements in between, and workers whenever."""
    rng = random.Random(seed)
    async with rated_city(url, MONTHLY, money=20_000) as town:
        cards, rides, untold = [UID, NEW, THIRD], [], []
        for turn, uid in enumerate(cards):
            if turn:
                await replace(town, cards[turn - 1], uid)
            for _ in range(rng.randint(2, 6)):
                at_s = now(town) - (0.0 if turn else rng.uniform(1.0, 20 * 86_400.0))
                rides.append(at_s)
                untold.append(town.tap(at_s, uid, late_s=town.now_s + 1 - at_s))
            rng.shuffle(untold)
            told, untold = untold[::2], untold[1::2]
            await asyncio.gather(*(town.judge(tap) for tap in told), *(town.accounts.rate_due() for _ in range(2)))
        await asyncio.gather(*(town.judge(tap) for tap in untold))
        await town.settle()
        paid = await town.pool.fetchval("SELECT sum(total_minor) FROM day_rating")
        assert paid == cost(rides), (seed, sorted(rides))
        left = [await town.balance(uid) - await town.debt(uid) for uid in cards]
        assert sum(left) == 20_000 - paid


@pytest.mark.parametrize("seed", range(4))
async def test_one_riders_days_cost_what_they_cost_whatever_cards_made_them(database, seed):
    await live(database, seed)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 140))
async def test_many_riders_days_cost_what_they_cost_whatever_cards_made_them(database, seed):
    await live(database, seed)
