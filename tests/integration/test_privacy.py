"""What is known of a rider: all of it is shown, none of it stays longer than it may, and the money is left right."""

from __future__ import annotations

import msgspec
import pytest

from sql import query
from tests.integration.ticket_city import CARD_KEYS, UID, City
from ticketing.books import Books
from ticketing.card import sun_message
from ticketing.days import service_day
from ticketing.errors import Problem
from ticketing.privacy import Privacy
from ticketing.settlement import Settlements

ACCOUNT = f"card:{UID.hex()}"
DAY_S = 86_400.0
OTHER = bytes.fromhex("04112233445566")


@pytest.fixture
def privacy(city: City) -> Privacy:
    return Privacy(Books(city.service.store), 120)


async def ride(city: City, times: int = 3) -> None:
    await city.api.cards.enrol([UID.hex(), OTHER.hex()], CARD_KEYS, subject="admin")
    for uid in (UID, OTHER):
        await city.api.cards.top_up(uid.hex(), 10_000, subject="desk1")
    for counter in range(1, times + 1):
        assert await city.card(counter, device=f"door-{counter}", vehicle=f"bus-{counter}") == "accepted"
    other = sun_message(CARD_KEYS, OTHER, 1, b"12345")
    assert await city.say(other, "card", device="door-o", vehicle="bus-o") == "accepted"


async def settle(city: City) -> float:
    """Settle today as if it were over; up to when everything is settled now."""
    settlements = Settlements(Books(city.service.store), city.service.tariff)
    tariff = city.service.tariff
    today = service_day(city.now(), tariff.service_day_start, tariff.zone)
    await settlements.settle(today, "nightly", city.now() + 3 * DAY_S)
    return await settlements.settled_until_s(city.now() + 3 * DAY_S)


async def test_a_rider_is_shown_all_that_is_known(city: City, privacy: Privacy) -> None:
    await ride(city)
    found = await privacy.export(ACCOUNT, "admin")
    assert [(trip["vehicle"], trip["verdict"]) for trip in found.trips] == [(f"bus-{n}", "accepted") for n in (1, 2, 3)]
    assert found.medium["balance_minor"] == 10_000 - sum(trip["charged_minor"] for trip in found.trips)
    assert (found.medium["blocked"], found.medium["block_reason"]) == (False, None)
    await city.api.cards.block(UID.hex(), "lost", subject="desk1")
    found = await privacy.export(f"card:{UID.hex()}", subject="admin")
    assert (found.medium["blocked"], found.medium["block_reason"]) == (True, "lost")
    await city.api.cards.block(UID.hex(), "found", subject="desk1", removed=True)
    assert {row["kind"] for row in found.transfers} == {"top_up", "fare"}
    assert OTHER.hex() not in msgspec.json.encode(found).decode()


async def test_a_card_is_named_as_on_its_receipt(city: City, privacy: Privacy) -> None:
    await ride(city, 1)
    for name in (UID.hex(), UID.hex().upper(), f"card:{UID.hex().upper()}"):
        assert (await privacy.export(name, "admin")).account == ACCOUNT
    for name in ("", "card:", "card:zz", "bank:", "bank:a b", f"{UID.hex()}00", "purse:x"):
        with pytest.raises(Problem, match="is not an account"):
            await privacy.erase(name, "admin", 0.0)


async def test_who_asks_to_be_forgotten_is_once_his_days_are_settled(city: City, privacy: Privacy) -> None:
    await ride(city)
    waiting = await privacy.erase(ACCOUNT, "admin", 0.0)
    assert (waiting.trips, waiting.done) == (0, False)
    assert len((await privacy.export(ACCOUNT, "admin")).trips) == 3
    until_s = await settle(city)
    assert await privacy.tidy(city.now(), until_s) == 3
    found = await privacy.export(ACCOUNT, "admin")
    assert found.trips == []
    counted = await city.pool.fetch("SELECT operator, medium, verdict::text, taps, riders FROM tap_count")
    assert sum(row["taps"] for row in counted) == 3
    assert {row["medium"] for row in counted} == {"card"}
    assert await city.value("SELECT count(*) FROM erasure WHERE done_at IS NULL OR account <> ''") == 0
    assert await city.value("SELECT count(*) FROM tap WHERE card_uid = $1", OTHER) == 1
    text = str(await city.pool.fetch("SELECT object, details::text FROM audit WHERE action IN ('erase', 'export')"))
    assert UID.hex() not in text


async def test_a_counter_that_was_forgotten_is_still_spent(city: City, privacy: Privacy) -> None:
    await ride(city)
    await privacy.erase(ACCOUNT, "admin", await settle(city))
    replayed = city.tap(sun_message(CARD_KEYS, UID, 2, b"12345"), "card", device="elsewhere")
    assert (await city.judge(replayed))[0].verdict == "replayed"
    assert await city.card(9, device="later", vehicle="bus-9") == "accepted"


async def test_trips_are_kept_so_long_and_no_longer(city: City, privacy: Privacy) -> None:
    await ride(city)
    until_s = await settle(city)
    assert await privacy.tidy(city.now() + 119 * DAY_S, until_s) == 0
    assert await privacy.tidy(city.now() + 122 * DAY_S, 0.0) == 0  # nothing is settled: operators' money hangs on it
    assert await privacy.tidy(city.now() + 122 * DAY_S, until_s) == 4
    assert await city.value("SELECT count(*) FROM tap") == 0
    assert await city.value("SELECT sum(taps) FROM tap_count") == 4
    assert await city.pool.fetch(query("cards.purse_differences")) == []


async def test_what_a_holder_was_is_shown_and_kept_so_long_as_his_trips(city: City, privacy: Privacy) -> None:
    await ride(city)
    await city.pool.execute("INSERT INTO card_category SELECT uid, now(), 'student' FROM card")
    (former,) = (await privacy.export(ACCOUNT, "admin")).medium["former_categories"]
    assert former["category"] == "student"
    until_s = await settle(city)
    await privacy.tidy(city.now() + 119 * DAY_S, until_s)
    assert await city.value("SELECT count(*) FROM card_category") == 2
    await privacy.erase(ACCOUNT, "admin", until_s)
    assert (await privacy.export(ACCOUNT, "admin")).medium["former_categories"] is None
    await privacy.tidy(city.now() + 122 * DAY_S, until_s)
    assert await city.value("SELECT count(*) FROM card_category") == 0


async def test_what_is_known_of_a_validators_boot_goes_when_it_has_been_silent(
    city: City,
    privacy: Privacy,
) -> None:
    """A clock is learnt once in a boot, however long that lasts: what counts is when the boot was heard last."""
    for boot, learnt_days, heard_days in (("long", 200, 3), ("gone", 200, 121), ("new", 1, 1), ("unheard", 121, None)):
        await city.pool.execute(
            "INSERT INTO validator_clock VALUES ('kpt', 'door', $1, 600, to_timestamp($2))",
            boot,
            city.now() - learnt_days * DAY_S,
        )
        if heard_days is not None:
            await city.pool.execute(
                "INSERT INTO validator_progress VALUES ('kpt', 'door', $1, '{[1,5]}', to_timestamp($2))",
                boot,
                city.now() - heard_days * DAY_S,
            )
    await privacy.tidy(city.now(), city.now() - DAY_S)
    kept = await city.pool.fetch("SELECT boot FROM validator_clock ORDER BY boot")
    assert [row["boot"] for row in kept] == ["long", "new"]
    kept = await city.pool.fetch("SELECT boot FROM validator_progress ORDER BY boot")
    assert [row["boot"] for row in kept] == ["long", "new"]


async def test_a_settlement_is_final_once_its_taps_are_forgotten(city: City, privacy: Privacy) -> None:
    await ride(city)
    until_s = await settle(city)
    tariff = city.service.tariff
    today = service_day(city.now(), tariff.service_day_start, tariff.zone)
    settlements = Settlements(Books(city.service.store), tariff)
    before = await settlements.find(today)
    await privacy.erase(ACCOUNT, "admin", until_s)
    again = await settlements.settle(today, "admin", city.now() + 4 * DAY_S)
    assert before is not None
    assert (again.version, again.hash) == (1, before.hash)


BAD = ["", "card:", "card:04", "card:zz" + "0" * 12, "bank:", "bank:'; DROP", "x:1", "card:" + "G" * 14]


@pytest.mark.parametrize("account", BAD)
async def test_what_is_no_account_is_said_so(city: City, privacy: Privacy, account: str) -> None:
    with pytest.raises(Problem) as refused:
        await privacy.erase(account, "admin", 0.0)
    assert refused.value.status == 422


async def test_nobody_is_nobody(city: City, privacy: Privacy) -> None:
    for account in ("card:04ffffffffffff", "bank:nobody"):
        for act in (privacy.export(account, "admin"), privacy.erase(account, "admin", 0.0)):
            with pytest.raises(Problem) as refused:
                await act
            assert refused.value.status == 404


async def test_who_owes_is_not_forgotten_yet(city: City, privacy: Privacy) -> None:
    await city.pool.execute(
        "INSERT INTO bank_account (id, token, made_at, unpaid_minor) VALUES ('abc', 'aa', now(), 800)"
    )
    with pytest.raises(Problem) as refused:
        await privacy.erase("bank:abc", "admin", 0.0)
    assert (refused.value.status, "still owed" in refused.value.detail) == (409, True)
    await city.pool.execute("UPDATE bank_account SET unpaid_minor = 0, par = sha256('x')")
    assert (await privacy.erase("bank:abc", "admin", 0.0)).done
    assert await city.value("SELECT (par, token) IS NOT DISTINCT FROM (NULL::bytea, '') FROM bank_account")
