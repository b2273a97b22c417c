"""Validators whose clocks are wrong, on a real PostgreSQL: judged by what is known of the clock, and flagged."""

from __future__ import annotations

import pytest

from tests.integration.rated_city import RatedCity, rated_city
from tests.integration.test_late_rides import CAPPED, FLAT, now, sell
from tests.integration.ticket_city import City
from ticketing.books import Books
from ticketing.flagged import FlaggedApi
from ticketing.service import Ticketing
from ticketing.verdict import Offline

HOUR_S = 3600.0


async def hear(town: City, behind_s: float) -> None:
    """Taps taken online over a good minute: all that is known of this validator's clock."""
    for at_s in (town.now() - 7200, town.now() - 7150, town.now() - 7100):
        await town.judge(town.tap("nonsense", ts=at_s - behind_s, received_s=at_s))


async def alone(town: City, token: str, at_s: float, behind_s: float) -> str:
    """A ride at an instant of ours, decided by a validator with such a clock, and told now."""
    vehicle = f"v{town.seq.total()}"
    tap = town.tap(token, ts=at_s - behind_s, received_s=town.now(), offline=Offline("accepted", 1), vehicle=vehicle)
    return (await town.judge(tap))[0].verdict.value


async def flags(town: City) -> list[list[str]]:
    """Of the taps that are shown to the desk, newest first."""
    found = await FlaggedApi(Books(town.service.store), town.now).list_flagged()
    return [tap.flags for tap in found.taps]


async def until(town: City | RatedCity, ticket_id: str, end_s: float) -> None:
    ends = "UPDATE ticket SET valid_until = to_timestamp($1) WHERE id = $2::text::uuid"
    await town.pool.execute(ends, end_s, ticket_id)


async def test_an_expired_ticket_and_a_clock_that_is_behind(city):
    sold = await city.sell("ten", valid_from=city.now() - 20 * HOUR_S)
    await until(city, sold.id, city.now() - 5 * HOUR_S)
    await hear(city, 10 * HOUR_S)
    assert await alone(city, sold.token, city.now() - HOUR_S, 10 * HOUR_S) == "expired"
    assert await alone(city, sold.token, city.now() - 6 * HOUR_S, 10 * HOUR_S) == "accepted"
    assert await flags(city) == [["clock"], ["clock"]]
    conflicts = await city.pool.fetch("SELECT conflict FROM tap WHERE offline_verdict IS NOT NULL ORDER BY received_at")
    assert [row["conflict"] for row in conflicts] == [True, False]
    at_s = await city.value("SELECT extract(epoch FROM judged_at)::float8 FROM tap WHERE conflict")
    assert at_s == pytest.approx(city.now() - HOUR_S, abs=30)


async def test_a_ticket_that_is_not_valid_yet_and_a_clock_that_is_ahead(city):
    sold = await city.sell("ten", valid_from=city.now() - 2 * HOUR_S)
    await hear(city, -4 * HOUR_S)
    assert await alone(city, sold.token, city.now() - 5 * HOUR_S, -4 * HOUR_S) == "not_yet_valid"
    assert await alone(city, sold.token, city.now() - HOUR_S, -4 * HOUR_S) == "accepted"


async def test_a_clock_that_is_known_to_be_right_is_believed_and_an_unknown_one_is_flagged(city):
    sold = await city.sell("ten", valid_from=city.now() - 20 * HOUR_S)
    await until(city, sold.id, city.now() - 5 * HOUR_S)
    assert await alone(city, sold.token, city.now() - 6 * HOUR_S, 0.0) == "accepted"
    assert await flags(city) == [["clock_unknown"]]
    await hear(city, 0.0)
    assert await alone(city, sold.token, city.now() - 6 * HOUR_S, 0.0) == "accepted"
    assert await flags(city) == [["clock_unknown"]]


async def test_what_is_known_of_a_clock_outlives_a_restart(city):
    sold = await city.sell("ten", valid_from=city.now() - 20 * HOUR_S)
    await until(city, sold.id, city.now() - 5 * HOUR_S)
    await hear(city, 10 * HOUR_S)
    await city.service._judge_of_taps.close()
    tap = city.tap(sold.token, ts=city.now() - 11 * HOUR_S, received_s=city.now(), offline=Offline("accepted", 1))
    again = Ticketing(city.pool, city.service.keys, city.service.tariff, clock=city.now)
    async with again:
        assert [answer.verdict for answer in await again.validate([tap])] == ["expired"]


async def test_taps_held_back_together_are_no_wrong_clock(city):
    sold = await city.sell("ten", valid_from=city.now() - 20 * HOUR_S)
    for taken_s in (city.now() - 4 * HOUR_S, city.now() - 3 * HOUR_S):
        await city.judge(city.tap("nonsense", ts=taken_s, received_s=city.now()))
    assert await alone(city, sold.token, city.now() - HOUR_S, 0.0) == "accepted"
    assert await city.value("SELECT count(*) FROM tap WHERE judged_at IS NOT NULL") == 0


@pytest.mark.parametrize("tariff", [CAPPED, FLAT], ids=["capped", "flat"])
async def test_a_card_on_a_validator_that_is_behind_rides_now_and_pays_by_our_clock(database, tariff):
    """Its pass has ended: the purse pays, as a live tap, and the offline ride before is rated where it was made."""
    behind_s = 26 * HOUR_S  # by its own time always in a service day before this one, whose cap it would share
    async with rated_city(database, tariff, money=500) as town:
        sold = await sell(town, "month")
        await until(town, sold.id, now(town) - 1800)
        for at_s in (now(town) - 400, now(town) - 350, now(town) - 300):
            await town.judge(town.tap(at_s, ts=at_s - behind_s))
        await town.settle()
        told_s = now(town)
        await town.judge(town.tap(told_s - 900 - behind_s, received_s=told_s, offline=Offline("accepted", 1)))
        await town.judge(town.tap(told_s - 2000 - behind_s, received_s=told_s, offline=Offline("accepted", 1)))
        await town.settle()
        assert await town.balance() == 500 - 4 * 90  # the pass has brought the one ride of before its end
        assert await town.pool.fetchval("SELECT count(*) FROM tap WHERE 'late' = ANY (flags)") == 2  # not known by then
