"""Bank cards from the tap to the rider's statement, on a real PostgreSQL and a real HTTP acquirer."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import date

import pytest
import pytest_asyncio

from simulators.acquirer import Mood
from sql import query
from tests.integration.bank_town import KYIV, LONDON, BankTown, bank_town
from tests.integration.ticket_city import issuer_keys
from ticketing.api import TicketingApi
from ticketing.bank import BankCards, RiskLimits
from ticketing.bank_api import MoneyBack
from ticketing.books import Books
from ticketing.errors import Problem
from ticketing.inspection import Inspector
from ticketing.payment import medium_key
from ticketing.receipts_api import ReceiptsApi
from ticketing.seams import Seams
from ticketing.service import Ticketing
from ticketing.trips_desk import TripsDesk

PAR = "V0010013021298327000000000001"


@pytest_asyncio.fixture
async def town(database: str) -> AsyncIterator[BankTown]:
    async with bank_town(database) as town:
        yield town


# --- what a day costs, and when it is charged ------------------------------------------------------------------------


async def test_four_trips_in_kyiv_are_two_debits(town):
    seen = []
    for clock in ("08:00", "09:00", "17:00", "18:30"):
        assert await town.ride(clock) == ("accepted", None)
        await town.work()
        seen.append(await town.debits())
    assert seen == [[], [1600], [1600], [1600, 1600]]
    assert (await town.account()).unpaid_minor == 0


async def test_a_controller_sees_whether_a_bank_card_was_tapped_here(town):
    """At his own reader: a telephone and its plastic are two, since each admits whoever holds it."""
    inspector = Inspector(Books(town.service.store), lambda: town.service.readers, town.service.clock)

    async def seen(token: str, vehicle: str | None) -> tuple[str, bool | None]:
        found = await inspector.inspect("bank", token, vehicle)
        return found.verdict.value, found.used_here

    assert await seen("card-1", "7") == ("unknown", None)
    await town.ride("08:00", par=PAR)
    await town.work()
    await town.ride("08:01", "phone-1", par=PAR, vehicle="77")
    assert [await seen("card-1", vehicle) for vehicle in ("7", "77", None)] == [
        ("accepted", True),
        ("accepted", False),
        ("accepted", None),
    ]
    assert await seen("phone-1", "77") == ("accepted", True)
    assert await seen("4111111111111111", "77") == ("malformed", None)
    async with town.pool.acquire() as connection:
        await connection.fetchval(query("lists.deny"), "bank", medium_key("card-1"), False, "by hand")
    assert await seen("card-1", "7") == ("denied", True)


async def test_an_odd_trip_in_kyiv_is_debited_after_its_hour(town):
    for clock in ("08:00", "09:00", "17:00"):
        await town.ride(clock)
        await town.work()
    town.at("21:06")
    await town.work()
    assert await town.debits() == [1600]
    town.at("21:08")
    await town.work()
    assert await town.debits() == [1600, 800]


async def test_a_late_trip_in_kyiv_waits_for_one_of_the_next_day(town):
    await town.ride("22:30")
    await town.work()
    assert await town.debits() == []
    town.at("09:00", "2026-03-05")
    await town.ride()
    await town.work()
    assert await town.debits() == [1600]


async def test_a_late_trip_in_kyiv_is_debited_the_next_evening_where_no_other_follows(town):
    await town.ride("22:30")
    await town.work()
    town.at("21:08", "2026-03-05")
    await town.work()
    assert await town.debits() == [800]


async def test_a_day_in_london_is_one_debit_of_the_cap(database):
    async with bank_town(database, LONDON) as town:
        for clock in ("08:00", "09:10", "10:20", "11:30"):
            await town.ride(clock)
            await town.work()
        town.at("04:29", "2026-03-05")
        await town.work()
        assert await town.debits() == []
        town.at("04:31", "2026-03-05")
        await town.work()
        assert await town.debits() == [450]


async def test_a_late_tap_that_makes_the_day_dearer_is_charged_and_one_that_caps_it_is_not(database):
    async with bank_town(database, LONDON) as town:
        await town.ride("08:00")
        await town.work()
        town.at("05:00", "2026-03-05")
        await town.work()
        yesterday = town.now_s - 18 * 3600
        for hour in range(4):
            tap = town.tap(offline="accepted", ts=yesterday + hour * 3600)
            assert [answer.verdict for answer in await town.judge(tap)] == ["accepted"]
        await town.work()
        assert await town.debits() == [150, 300]


async def test_a_day_that_cannot_be_understood_holds_up_no_other(town):
    for token in ("card-1", "card-2"):
        await town.ride("08:00", token)
    await town.work()
    for token in ("card-1", "card-2"):
        await town.ride("09:00", token)
    while await town.accounts.rate_due():
        pass
    account = (await town.account("card-1")).id
    broken = "UPDATE day_rating SET rating = '{}' WHERE account = $1"
    rating = await town.value("SELECT rating::text FROM day_rating WHERE account = $1", f"bank:{account}")
    await town.pool.execute(broken, f"bank:{account}")
    while await town.charging.once():
        pass
    assert (await town.debits("card-1"), await town.debits("card-2")) == ([], [1600])
    assert town.charging.counters["set_aside"] == 1
    await town.pool.execute(
        "UPDATE day_rating SET rating = $2::text::jsonb WHERE account = $1", f"bank:{account}", rating
    )
    await town.work()
    assert await town.debits("card-1") == [1600]


# --- what goes wrong at the acquirer ---------------------------------------------------------------------------------


async def test_a_decline_denies_the_card_until_its_debt_is_recovered(town):
    await town.ride("08:00")
    await town.work()
    town.acquirer.mood = Mood(decline_tokens=["card-1"])
    await town.ride("09:00")
    await town.work()
    account = await town.account()
    assert (account.state, account.blocked_for, account.debt_minor) == ("blocked", "debt", 1600)
    assert await town.ride("09:05") == ("denied", "debt")
    assert await town.value("SELECT count(*) FROM deny_entry WHERE kind = 'bank' AND NOT removed") == 1
    # The rider asks while the account is still empty, and once more when there is money on it.
    assert (await town.recover(account.id)).state == "blocked"
    with pytest.raises(Problem, match="a minute"):
        await town.recover(account.id)
    town.now_s += 120
    town.acquirer.mood = Mood()
    standing = await town.recover(account.id)
    assert (standing.state, standing.debt_minor) == ("good", 0)
    assert await town.ride() == ("accepted", None)
    assert await town.debits() == [1600]
    assert await town.value("SELECT removed FROM deny_entry WHERE kind = 'bank' ORDER BY seq DESC LIMIT 1")
    with pytest.raises(Problem, match="owes nothing"):
        await town.recover(account.id)


async def test_a_recovery_repeated_under_its_key_asks_the_bank_once_and_has_its_answer(town):
    for clock in ("08:00", "09:00"):
        for token in ("card-1", "card-2"):
            await town.ride(clock, token)
        await town.work()
        town.acquirer.mood = Mood(decline_tokens=["card-1", "card-2"])
    one, other = [await town.account(token) for token in ("card-1", "card-2")]
    asked = "SELECT count(*) FROM payment WHERE kind = 'charge'"
    before = await town.value(asked)
    first = await town.recover(one.id, "again")
    assert (first.state, await town.value(asked)) == ("blocked", before + 1)
    assert await town.recover(one.id, "again") == first  # and not 429
    town.now_s += 120
    town.acquirer.mood = Mood()
    assert (await town.recover(one.id, "again")).debt_minor == 1600
    assert await town.value(asked) == before + 1
    # Another rider's key is another's, and a cashier's is his own.
    assert (await town.recover(other.id, "again")).state == "good"
    assert (await town.recover(one.id, "again", "cashier")).state == "good"
    with pytest.raises(Problem, match="another request"):
        await town.recover(other.id, "again", "cashier")


async def test_a_debt_is_asked_for_again_on_schedule_and_by_the_next_tap(town):
    await town.ride("08:00")
    await town.work()
    town.acquirer.mood = Mood(decline_tokens=["card-1"])
    await town.ride("09:00")
    await town.work()
    asked = len(town.acquirer.operations)
    await town.ride("10:00")  # the first attempt since the decline
    await town.work()
    assert len(town.acquirer.operations) == asked + 1
    await town.ride("10:10")
    await town.work()
    assert len(town.acquirer.operations) == asked + 1  # within the hour: not again
    town.acquirer.mood = Mood()
    town.at("12:00", "2026-03-12")
    await town.work()
    assert await town.debits() == [1600]
    assert (await town.account()).state == "good"


async def test_a_decline_for_good_is_asked_for_again_by_nobody_but_the_rider(town):
    await town.ride("08:00")
    await town.work()
    town.acquirer.mood = Mood(decline=1.0, final=True)
    await town.ride("09:00")
    await town.work()
    assert (await town.account()).next_try_at is None


async def test_a_time_out_after_booking_is_charged_once(town):
    await town.ride("08:00", "timeout-1")
    await town.work()
    await town.ride("09:00", "timeout-1")
    await town.work()
    assert await town.debits("timeout-1") == [1600]  # booked there, unknown here
    assert (await town.account("timeout-1")).charges[0].state == "asked"
    town.now_s += 60
    await town.work()
    assert await town.debits("timeout-1") == [1600]
    assert (await town.account("timeout-1")).charges[0].state == "paid"


async def test_an_acquirer_that_answers_twice_is_booked_once(town):
    for clock in ("08:00", "09:00", "10:00", "11:00"):
        await town.ride(clock, "twice-1")
        await town.work()
    assert await town.debits("twice-1") == [1600, 1600]


async def test_an_acquirer_that_is_down_is_asked_again_and_nobody_is_refused_for_it(town):
    town.acquirer.mood = Mood(down=True)
    await town.ride("08:00")
    await town.work()
    assert await town.ride("09:00") == ("denied", "awaits_verification")  # the first ride's risk was taken
    town.acquirer.mood = Mood()
    town.now_s += 60
    await town.work()
    assert await town.ride("09:30") == ("accepted", None)
    await town.work()
    assert await town.debits() == [1600]


async def test_an_answer_that_never_comes_is_unclear_in_the_end_and_asked_again_when_somebody_wants_it(town):
    await town.ride("08:00")
    await town.work()
    town.acquirer.mood = Mood(down=True)
    await town.ride("09:00")
    for _ in range(40):
        await town.work()
        town.now_s += 7200
    assert await town.value("SELECT count(*) FROM payment WHERE state = 'unclear'") == 1
    town.acquirer.mood = Mood()
    await town.work()
    assert await town.debits() == []
    await town.recover((await town.account()).id)
    await town.work()
    assert await town.debits() == [1600]


# --- who may ride ----------------------------------------------------------------------------------------------------


async def test_a_new_card_rides_once_before_it_is_verified(town):
    assert await town.ride("08:00") == ("accepted", None)
    assert await town.ride("08:30") == ("denied", "awaits_verification")
    await town.work()
    assert (await town.account()).state == "good"
    assert await town.ride("08:40") == ("accepted", None)


async def test_a_new_card_that_its_reader_could_not_authenticate_waits_for_its_verification(town):
    assert await town.ride("08:00", oda="none") == ("denied", "not_verified")
    await town.work()
    assert await town.ride("08:01", oda="none") == ("accepted", None)
    assert await town.ride("08:02", oda="failed") == ("denied", "offline_authentication_failed")


async def test_a_card_that_is_not_real_is_denied_until_it_is_verified_anew(town):
    await town.ride("08:00", "unverified-1")
    await town.work()
    assert await town.ride("09:00", "unverified-1") == ("denied", "verification_declined")


@pytest.mark.parametrize("par", ["", "0", "UNKNOWN", "0" * 29, PAR[:-1], PAR + "0", PAR[:-1] + "-"])
async def test_what_is_no_par_joins_nobody(town, par):
    """A reader writes something of its own where it knows none: two strangers at it stay two."""
    for token in ("one", "other"):
        assert await town.ride("08:00", token, par=par) == ("accepted", None)
    assert (await town.account("one")).id != (await town.account("other")).id


async def test_phone_and_card_of_one_account_are_joined_by_their_par(town):
    await town.ride("08:00", "plastic", par=PAR)
    await town.work()
    await town.ride("09:00", "phone", par=PAR)
    await town.work()
    account = await town.account("plastic")
    assert account.id == (await town.account("phone")).id
    assert (account.media, account.charges[0].amount_minor) == (2, 1600)
    town.acquirer.mood = Mood(decline=1.0)
    for clock in ("10:00", "11:00"):
        await town.ride(clock, "plastic", par=PAR)
    await town.work()
    assert await town.ride("12:00", "phone", par=PAR) == ("denied", "debt")
    assert await town.ride("12:05", "watch", par=PAR) == ("denied", "debt")
    assert await town.value("SELECT count(DISTINCT medium) FROM deny_entry WHERE kind = 'bank' AND NOT removed") == 3


async def test_a_token_whose_par_comes_later_joins_the_account_of_the_par(town):
    await town.ride("08:00", "phone")
    await town.ride("08:10", "plastic", par=PAR)
    await town.work()
    first = await town.account("phone")
    town.at("21:30")
    await town.work()  # what the phone owes under its own account is charged there
    await town.ride("21:40", "phone", par=PAR)
    assert (await town.account("phone")).id == (await town.account("plastic")).id != first.id


@pytest.mark.parametrize(
    ("limits", "rides", "reason"),
    [
        (RiskLimits(unpaid_minor_max=2400), 3, "unpaid_limit"),
        (RiskLimits(taps_per_hour_max=2), 2, "too_many_taps"),
        (RiskLimits(unverified_rides_max=0), 0, "awaits_verification"),
    ],
)
async def test_limits_of_risk(database, limits, rides, reason):
    async with bank_town(database, KYIV, limits) as town:
        town.at("08:00")
        said = []
        for _ in range(rides + 1):
            said.append(await town.ride())
            await town.charging.once()  # verified, and not rated: nothing is charged
        assert said == [("accepted", None)] * rides + [("denied", reason)]


async def test_hours_pass_and_what_was_charged_counts_no_more(database):
    async with bank_town(database, KYIV, RiskLimits(unpaid_minor_max=1600, taps_per_hour_max=2)) as town:
        for clock in ("08:00", "08:10"):
            await town.ride(clock)
            await town.work()
        assert await town.ride("08:20") == ("denied", "too_many_taps")
        assert await town.ride("09:01") == ("accepted", None)


async def test_passback_is_for_one_medium_on_one_vehicle(database):
    async with bank_town(database, KYIV, RiskLimits(unverified_rides_max=9), passback_minutes=5) as town:
        assert await town.ride("08:00") == ("accepted", None)
        assert await town.ride("08:02") == ("passback", None)
        assert await town.ride("08:02", vehicle="8") == ("accepted", None)
        assert await town.ride("08:02", "card-2") == ("accepted", None)
        assert await town.ride("08:08", vehicle="8") == ("accepted", None)


async def test_what_was_ridden_offline_is_owed_whatever_we_would_have_said(town):
    await town.ride("08:00")
    await town.work()
    town.acquirer.mood = Mood(decline_tokens=["card-1"])
    await town.ride("09:00")
    await town.work()
    (answer,) = await town.judge(town.tap(offline="accepted", ts=town.now_s + 60))
    assert (answer.verdict, answer.reason) == ("accepted", "debt")
    assert await town.value("SELECT count(*) FROM tap WHERE conflict AND verdict = 'accepted'") == 1
    assert (await town.judge(town.tap(offline="denied")))[0].verdict == "denied"
    town.acquirer.mood = Mood()
    town.at("21:30")
    await town.recover((await town.account()).id)
    await town.work()
    assert sum(await town.debits()) == 2400


async def test_the_same_tap_again_has_the_same_answer_and_another_under_its_id_none(town):
    tap = town.tap()
    first = await town.judge(tap)
    assert await town.judge(tap) == first
    other = town.tap("card-2", id=tap.id, seq=tap.seq)
    assert [(a.verdict, a.reason) for a in await town.judge(other)] == [("malformed", "id_reused")]
    await town.work()
    assert await town.value("SELECT count(*) FROM tap") == 1


async def test_a_batch_is_answered_in_order_with_its_receipt(town):
    taps = [town.tap("card-1"), town.tap("card-2", oda="none")]
    taps += [town.tap("4111111111111111"), town.tap("card-1", vehicle="8")]
    answers = await town.judge(*taps)
    assert [(a.verdict.value, a.reason) for a in answers] == [
        ("accepted", None),
        ("denied", "not_verified"),
        ("malformed", "card_number"),
        ("denied", "awaits_verification"),
    ]
    assert {answer.seq_through for answer in answers} >= {4}


async def test_a_hundred_first_taps_at_once_are_one_account_and_one_ride(town):
    sold, bank = town.service.tariff, BankCards(800, 0)
    async with Ticketing(town.pool, issuer_keys(), sold, seams=Seams(bank=bank), clock=lambda: town.now_s) as other:
        judges = (town.service, other)
        taps = [town.tap("new", device=f"door-{number}", par=PAR if number % 3 else None) for number in range(100)]
        answers = await asyncio.gather(*(judges[n % 2].validate([tap]) for n, tap in enumerate(taps)))
    verdicts = Counter((answer.verdict.value, answer.reason) for (answer,) in answers)
    assert verdicts == {("accepted", None): 1, ("denied", "awaits_verification"): 99}
    assert await town.value("SELECT count(*) FROM bank_medium") == 1
    assert await town.value("SELECT count(*) FROM tap") == 100


# --- money back ------------------------------------------------------------------------------------------------------


async def test_a_cashier_gives_money_back_and_no_more_than_was_paid(town):
    for clock in ("08:00", "09:00"):
        await town.ride(clock)
        await town.work()
    account = await town.account()
    charge = account.charges[0]
    back = MoneyBack(charge.id, "the bus broke down", 600)
    for _ in range(2):  # a retry under the same key is harmless
        account = await town.api.refund(account.id, body=back, subject="desk1", idempotency_key="r1")
    assert list(town.acquirer.charged.values()) == [1000]
    with pytest.raises(Problem, match=r"10\.00 UAH of this charge"):
        await town.api.refund(account.id, body=MoneyBack(charge.id, "x", 1001), subject="desk1", idempotency_key=None)
    await town.api.refund(account.id, body=MoneyBack(charge.id, "x"), subject="desk1", idempotency_key=None)
    assert list(town.acquirer.charged.values()) == [0]
    await town.work()
    assert await town.debits() == [1600]  # given back is not charged again


async def test_a_day_that_becomes_cheaper_is_given_back(town):
    for clock in ("08:00", "09:00"):
        await town.ride(clock)
        await town.work()
    await make_cheaper(town)
    await town.work()
    assert list(town.acquirer.charged.values()) == [1100]
    assert [charge.amount_minor for charge in (await town.account()).charges] == [-500, 1600]


async def test_a_days_receipt_says_what_is_charged_still_to_be_charged_and_owed(town):
    books, tariff = Books(town.service.store), town.charging._editions
    trips = TripsDesk(books, TicketingApi(town.service).desk.sales, tariff.sold.tariff, town.service.clock)
    readers = lambda: town.service.readers  # noqa: E731
    api = ReceiptsApi(town.service.store, tariff, town.accounts, trips, readers, town.service.clock)
    account = None

    async def stands(clock: str | None = None) -> tuple[int, int, int, int]:
        nonlocal account
        if clock is not None:
            await town.ride(clock)
            await town.work()
        account = account or f"bank:{(await town.account()).id}"
        day = await api.day(account, "2026-03-04")
        assert all(words.en in day.text.en.splitlines() for words in day.paid)
        return day.charged_minor, day.to_charge_minor, day.owed_minor, day.to_give_back_minor

    assert await stands("08:00") == (0, 800, 0, 0)
    assert await stands("09:00") == (1600, 0, 0, 0)
    town.acquirer.mood = Mood(decline_tokens=["card-1"])
    assert await stands("10:00") == (1600, 800, 0, 0)
    assert await stands("11:00") == (1600, 0, 1600, 0)
    town.acquirer.mood = Mood()
    town.now_s += 120
    await town.recover((await town.account()).id)
    assert await stands() == (3200, 0, 0, 0)
    town.acquirer.mood = Mood(down=True)
    await town.ride("12:00")
    assert await stands("13:00") == (3200, 1600, 0, 0)  # asked, and not answered
    text = (await api.day(account, "2026-03-04")).text
    assert "Списано: 32,00\u00a0₴\nЩе буде списано: 16,00\u00a0₴" in text.uk


async def test_a_debt_that_becomes_cheaper_is_asked_for_at_its_new_amount(town):
    await town.ride("08:00")
    await town.work()
    town.acquirer.mood = Mood(decline_tokens=["card-1"])
    await town.ride("09:00")
    await town.work()
    await make_cheaper(town)
    town.acquirer.mood = Mood()
    await town.work()
    assert await town.debits() == [1100]
    assert (await town.account()).state == "good"


async def test_what_was_paid_with_another_trips_charge_is_given_back_of_that_one(town):
    """A trip that was charged together with one that had become cheaper cost less than itself; all of it goes back."""
    for clock in ("08:00", "09:00"):
        await town.ride(clock)
        await town.work()
    town.at("07:30")
    early = town.now_s
    await town.ride("09:30", ts=early, offline="accepted")
    await town.ride("10:00")
    while await town.accounts.rate_due():
        pass
    await set_price(town, 2, 300)  # that of nine: it is debited with that of ten
    await town.work()
    assert sorted(await town.debits()) == [300, 800, 1600]
    await set_price(town, 3, 0)
    await town.work()
    assert sum(town.acquirer.charged.values()) == 800 + 800 + 300


@pytest.mark.parametrize("cheaper", ["2026-03-04", "2026-03-05"])
async def test_a_debt_for_trips_of_two_days_is_asked_for_anew_for_both_of_them(town, cheaper):
    """The evening's trip and the morning's were declined together, and one of them becomes cheaper."""
    await town.ride("22:30")
    await town.work()
    town.acquirer.mood = Mood(decline_tokens=["card-1"])
    town.at("08:00", "2026-03-05")
    await town.ride()
    await town.work()
    assert (await town.account()).debt_minor == 1600
    town.acquirer.mood = Mood()
    town.at("22:10")
    early = town.now_s
    town.at("09:00", "2026-03-05")
    await town.ride(ts=early, offline="accepted")  # the evening's trip waits for none of the morning any more
    await town.work()
    await set_price(town, 1 if cheaper == "2026-03-04" else 0, 300, cheaper)
    town.at("21:08", "2026-03-05")
    await town.work()
    assert sum(town.acquirer.charged.values()) == 800 + 800 + 300
    account = await town.account()
    assert (account.state, account.debt_minor, account.unpaid_minor) == ("good", 0, 0)


@pytest.mark.parametrize("others", ["asked", "declined"])
async def test_a_correction_waits_for_the_charges_that_it_is_in(town, others):
    """What one charge cannot give back was paid with others that the bank has yet to answer, or has declined."""

    async def write_down() -> None:
        while await town.accounts.rate_due():
            pass
        account = await town.account()
        await town.charging.charge_day(account.id, date(2026, 3, 4))

    await town.ride("08:00")
    await town.operations.ask(await town.value("SELECT key FROM payment WHERE kind = 'verify'"))
    await town.ride("09:00")
    await write_down()  # 16.00 for both
    town.at("07:30")
    await town.ride("09:30", ts=town.now_s, offline="accepted")
    await town.ride("10:00")
    while await town.accounts.rate_due():
        pass
    await set_price(town, 2, 300)
    await write_down()  # 8.00 for the late trip, and 3.00 for that of ten, less what that of nine costs no more
    await town.operations.ask(await town.value("SELECT key FROM payment WHERE amount_minor = 300"))
    if others == "declined":
        town.acquirer.mood = Mood(decline=1.0)
        while await town.charging.once():
            pass
        town.acquirer.mood = Mood()
    await set_price(town, 3, 0)
    await write_down()
    town.at("10:01")
    await town.work()
    town.at("10:01", "2026-03-05")  # a debt is asked for again after a day
    await town.work()
    assert sum(town.acquirer.charged.values()) == 800 + 800 + 300
    account = await town.account()
    assert (account.state, account.debt_minor, account.unpaid_minor) == ("good", 0, 0)


async def set_price(town: BankTown, line: int, minor: int, day: str = "2026-03-04") -> None:
    """Rate a trip of the day at so much, as a late tap would."""
    await town.pool.execute(
        "UPDATE day_rating SET version = version + 1, rating = jsonb_set(jsonb_set("
        "rating, ARRAY['lines', $1::text, 'charge_minor'], to_jsonb($2::bigint)),"
        " ARRAY['lines', $1::text, 'explanation'], '[]') WHERE service_date = $3::text::date", str(line), minor, day,
    )  # fmt: skip


async def make_cheaper(town: BankTown) -> None:
    """Rate the day's second trip at 3.00, as a late tap or a corrected tariff would."""
    await town.pool.execute(
        """UPDATE day_rating SET version = version + 1, rating = jsonb_set(
               jsonb_set(rating, '{lines,1,charge_minor}', '300'), '{lines,1,explanation}', '[]')"""
    )


async def test_a_bank_card_at_two_places_at_once_is_flagged_and_not_refused(town):
    here, near, far = (
        {"lat": 50.4501, "lon": 30.5234},
        {"lat": 50.4460, "lon": 30.5150},
        {"lat": 50.2501, "lon": 30.5234},
    )
    assert await town.ride("08:00", **here) == ("accepted", None)
    await town.work()  # its bank has answered
    assert await town.ride("08:01", vehicle="near", **near) == ("accepted", None)
    assert await town.ride("08:02", vehicle="far", **far) == ("accepted", None)
    assert await town.ride("09:30", vehicle="back", **here) == ("accepted", None)
    assert await town.ride("09:31", "card-2", vehicle="another card", **far) == ("accepted", None)
    assert await town.ride("09:32", vehicle="unknown place") == ("accepted", None)
    flagged = await town.pool.fetch("SELECT vehicle FROM tap WHERE flags = '{elsewhere}'")
    assert [row["vehicle"] for row in flagged] == ["far"]
    account = (await town.account()).id
    event = await town.pool.fetchrow("SELECT subject, times FROM security_event WHERE kind = 'elsewhere'")
    assert tuple(event) == (f"bank:{account}", 1)
