"""A changed tariff file is taken while the city runs: by all processes at once, whole, or not at all."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from deploy.config import Settings
from deploy.config import Ticketing as TicketingConfig
from deploy.grounds import Grounds
from deploy.instance import Instance
from deploy.problems import Problem
from deploy.tariff_changes import TariffApi, TariffStatus, following
from deploy.wiring_payments import bank_judge
from deploy.wiring_rating import Rating, open_rating
from sql.pool import open_pool
from tests.integration.rated_city import KEYS, OTHER, rated_city
from tests.integration.test_sales import until
from ticketing.editions import TariffSource, open_editions

HEAD = 'version = {version}\ncurrency = "UAH"\ntimezone = "Europe/Kyiv"\n'
CARD = 'media = [{ id = "card", type = "card" }]\n'
RIDE = '[[fare]]\nid = "ride"\nname = {{ uk = "П", en = "R" }}\nprice_minor = {price}\n'
SOLD = '[[product]]\nid = "{id}"\nname = {{ uk = "Д", en = "D" }}\nprice_minor = {price}\nvalid = {{ days = 1 }}\n'
CAP = '[[cap]]\nid = "daily"\nname = { uk = "М", en = "C" }\nperiod = "day"\namount_minor = 100000\n'


def text(version: int, fare: int, *, product: str = "day", more: str = "") -> str:
    """A tariff of one fare and one product."""
    parts = HEAD.format(version=version), CARD, more, RIDE.format(price=fare), SOLD.format(id=product, price=3 * fare)
    return "".join(parts)


class Line:
    """What joins processes: whoever listens is told, the sender as well."""

    def __init__(self) -> None:
        self.heard: list[Callable[[bytes], None]] = []

    async def receive(self, _subject: str, handle: Callable[[bytes], None]) -> None:
        self.heard.append(handle)

    async def send(self, _subject: str, data: bytes) -> None:
        for handle in self.heard:
            handle(data)


@dataclass
class Town:
    """An instance whose tariff file tests write, in two processes on one database."""

    file: Path
    api: TariffApi
    mine: Rating
    other: Rating
    pool: Any
    grounds: Grounds

    async def change(self, tariff: str) -> TariffStatus:
        self.file.write_text(tariff)
        return await self.api.reload(subject="admin")


@pytest_asyncio.fixture
async def town(database: str, tmp_path: Path) -> AsyncIterator[Town]:
    file = tmp_path / "town.toml"
    file.write_text(text(1, 800))
    settings = Settings(ticketing=TicketingConfig(tariff=file))
    line: Any = Line()
    async with await open_pool(database) as pool, contextlib.AsyncExitStack() as stack:
        ratings = []
        for name in ("mine", "other"):
            grounds = Grounds(Instance.open(tmp_path / name), settings, database, "", "", "")
            rating = await open_rating(grounds, pool)
            await stack.enter_async_context(following(rating, line))
            ratings.append((grounds, rating))
        (grounds, mine), (_, other) = ratings
        yield Town(file, TariffApi(grounds, mine, line), mine, other, pool, grounds)


async def test_all_processes_take_a_changed_file(town: Town) -> None:
    held = town.mine.tariff, town.other.tariff
    status = await town.change(text(2, 1000, product="week"))
    assert (status.version, status.products, status.refused) == (2, 1, None)
    await until(lambda: town.other.tariff.version == 2)
    for tariff in held:  # the very objects that the desk and the judge hold
        assert (tariff.purse.fare_minor, list(tariff.products)) == (1000, ["week"])
        assert tariff.refund_of("week") == tariff.products["week"].refund
    assert town.mine.editions.current.id == town.other.editions.current.id == status.edition
    (audited,) = await town.pool.fetch("SELECT action, object, details::text AS told FROM audit")
    assert (audited["action"], audited["object"]) == ("tariff", "town.toml")
    assert msgspec.json.decode(audited["told"]) == {"version": 2, "edition": status.edition, "before": 1}


async def test_what_is_sold_no_more_stays_known_until_it_is_sold_again(town: Town) -> None:
    first = town.mine.tariff.products["day"]
    await town.change(text(2, 1000, product="week"))
    await until(lambda: town.other.tariff.version == 2)
    restarted = (await open_rating(town.grounds, town.pool)).tariff
    for tariff in (town.mine.tariff, town.other.tariff, restarted):
        assert (list(tariff.products), tariff.former) == (["week"], {"day": first})
        assert (tariff.find_product("day"), tariff.find_product("year")) == (first, None)
    await town.change(text(3, 900, product="day"))
    assert (list(town.mine.tariff.products), list(town.mine.tariff.former)) == (["day"], ["week"])
    assert town.mine.tariff.find_product("day").price_minor == 2700  # as it is sold now


async def test_the_same_file_changes_nothing(town: Town) -> None:
    first = await town.api.show()
    assert await town.api.reload(subject="admin") == first
    assert await town.pool.fetchval("SELECT count(*) FROM audit") == 0


@pytest.mark.parametrize(
    ("tariff", "says"),
    [
        (text(2, 1000).replace("price_minor = 1000", 'price_minor = "ten"'), r"town\.toml: .*price_minor.*line 8"),
        (text(2, 1000).replace("valid =", "valit ="), "valit"),
        ("version = ", "town.toml"),
        (text(2, 1000).replace('"UAH"', '"EUR"'), "currency is EUR, in use is UAH: take it with a restart"),
        (text(2, 1000).replace("Europe/Kyiv", "Europe/Paris"), "timezone is Europe/Paris, in use is Europe/Kyiv"),
        (text(2, 1000, more='service_day_starts = "05:00"\n'), "service_day_starts is 05:00, in use is"),
    ],
    ids=["price", "key", "broken", "currency", "timezone", "day"],
)
async def test_a_bad_one_is_refused_with_its_lines_and_the_old_one_stays(town: Town, tariff: str, says: str) -> None:
    with pytest.raises(Problem, match=says) as refused:
        await town.change(tariff)
    assert refused.value.status == 422
    assert "The tariff in use stays as it is" in refused.value.detail
    status = await town.api.show()
    assert (status.version, status.edition) == (1, 1)
    assert status.refused is not None
    assert (status.refused.by, status.refused.reason in refused.value.detail) == ("admin", True)
    assert (town.mine.tariff.purse.fare_minor, town.other.tariff.version) == (800, 1)
    assert await town.pool.fetchval("SELECT count(*) FROM tariff_edition") == 1
    assert (await town.change(text(3, 900))).refused is None


async def test_a_file_that_is_gone_is_refused(town: Town) -> None:
    town.file.unlink()
    with pytest.raises(Problem, match="cannot be read"):
        await town.api.reload(subject="admin")
    assert town.mine.tariff.version == 1


async def test_bank_cards_are_judged_by_the_new_one(town: Town) -> None:
    settings = town.grounds.settings.model_copy(
        update={"payments": town.grounds.settings.payments.model_copy(update={"url": "http://127.0.0.1:1"})}
    )
    judge = bank_judge(settings, town.mine)
    assert judge is not None
    assert judge.arguments(())[1] == 800
    await town.change(text(2, 1000))
    assert judge.arguments(())[1] == 1000


async def test_rides_cost_what_the_tariff_said_when_they_were_made(database: str) -> None:
    """A service day is rated whole by the tariff of its first ride, in whatever order its rides are told."""
    third, fourth = bytes.fromhex("04de5f1eacc042"), bytes.fromhex("04de5f1eacc043")
    async with rated_city(database, text(1, 800) + CAP, money=20_000) as city:
        await city.api.cards.enrol([third.hex(), fourth.hex()], KEYS, subject="admin")
        for uid in (third, fourth):
            await city.api.cards.top_up(uid.hex(), 20_000, subject="desk")
        assert (await city.ride("08:00")).charged_minor == 800
        await city.settle()
        changed = TariffSource("city.toml", text(2, 1000) + CAP)
        async with city.service.store.transaction() as connection:
            await open_editions(connection, changed)
            await connection.execute(
                "UPDATE tariff_edition SET used_from = to_timestamp($1::float8 - CASE id WHEN 1 THEN 1e6 ELSE 0 END)",
                city.at("12:00"),
            )  # the test's day lies in the past
            city.editions.adopt(await open_editions(connection, changed))
        assert (await city.ride("13:00")).charged_minor == 800, "who has ridden today goes on by the old one"
        assert (await city.judge(city.tap(city.at("13:05"), OTHER)))[0].charged_minor == 1000
        assert (await city.judge(city.tap(city.at("13:06"), third)))[0].charged_minor == 1000
        await city.settle()
        await city.judge(city.tap(city.at("11:00"), third, late_s=3 * 3600.0))  # made before, told after
        await city.judge(city.tap(city.at("11:30"), fourth, late_s=3 * 3600.0))
        await city.settle()
        assert await city.charges() == [800, 800]
        assert await city.charges(uid=OTHER) == [1000]
        assert await city.charges(uid=third) == [800, 800]
        assert await city.charges(uid=fourth) == [800]
        assert (await city.ride("09:00", "2026-03-05")).charged_minor == 1000
        await city.settle()
        assert await city.charges("2026-03-05") == [1000]
        await city.check()


async def test_validators_are_told_that_products_have_changed(database: str) -> None:
    async with rated_city(database, text(1, 800)) as city:
        lists = city.api.lists
        before = (await lists.versions())["products"]
        assert before["uri"].endswith("/api/v1/products")
        assert (await lists.versions())["products"] == before
        other = TariffSource("city.toml", text(2, 1000)).read_for_use().tariff
        city.service.tariff = other
        assert (await lists.versions())["products"]["version"] != before["version"]
