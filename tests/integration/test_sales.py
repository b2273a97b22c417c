"""Riders' purchases over real HTTP, from a desk that is sometimes slow, unwilling or broken."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable

import numpy as np
from aiohttp import web
from aiohttp.test_utils import TestServer

from simulators.riders import Riders, RiderSettings
from simulators.sales import Sales, SalesSettings

FEW = SalesSettings(
    singles_stock=10, passes_stock=3, revoked_stock=2, expired_stock=1, pause_s_first=0.01, pause_s_max=0.02
)


class Desk:
    """Sells under the token `kiosk`; `wrong` says what goes wrong with a request, by its number."""

    def __init__(self, wrong: Callable[[int], int | None] = lambda _: None, *, sells_the_past: bool = True) -> None:
        self.asked = 0
        self.under_way = 0
        self.under_way_max = 0
        self.sold: Counter[str] = Counter()
        self.revoked: set[str] = set()
        self.keys: set[str] = set()
        self._wrong = wrong
        self._sells_the_past = sells_the_past

    async def sell(self, request: web.Request) -> web.Response:
        self.asked += 1
        self.under_way += 1
        self.under_way_max = max(self.under_way_max, self.under_way)
        await asyncio.sleep(0)
        self.under_way -= 1
        if request.headers["Authorization"] != "Bearer kiosk":
            return web.json_response({"title": "Forbidden"}, status=403)
        if status := self._wrong(self.asked):
            return web.Response(status=status, text="not now")
        body = await request.json()
        if "valid_from" in body and not self._sells_the_past:
            return web.json_response({"title": "Validity out of range"}, status=422)
        self.keys.add(request.headers["Idempotency-Key"])
        self.sold[body["product_id"]] += 1
        number = sum(self.sold.values())
        return web.json_response({"id": f"t{number}", "token": f"T{number}", "jwt": f"eyJ{number}"}, status=201)

    async def revoke(self, request: web.Request) -> web.Response:
        assert (await request.json())["reason"]
        self.revoked.add(request.match_info["id"])
        return web.json_response({"id": request.match_info["id"]})


@contextlib.asynccontextmanager
async def selling(desk: Desk, token: str = "kiosk") -> AsyncIterator[tuple[Riders, Sales]]:
    app = web.Application()
    app.router.add_post("/api/v1/tickets", desk.sell)
    app.router.add_post("/api/v1/tickets/{id}/revoke", desk.revoke)
    async with TestServer(app) as server:
        riders = Riders(RiderSettings(), np.random.default_rng(1))
        sales = Sales(str(server.make_url("/")), token, riders, FEW)
        task = asyncio.create_task(sales.run(np.random.default_rng(2)))
        try:
            yield riders, sales
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.005)


async def test_the_stock_fills_and_then_nothing_more_is_bought() -> None:
    desk = Desk()
    async with selling(desk) as (riders, sales):
        await until(lambda: len(riders.singles) >= 10)
        asked = desk.asked
        await asyncio.sleep(0.1)  # several rounds of looking at a full stock

    assert desk.asked <= asked + 2
    # Two buyers may see the same last gap: one more of each kind is as far as it goes.
    assert len(riders.passes) in (3, 4)
    assert len(riders.revoked) in (2, 3)
    assert len(riders.expired) in (1, 2)
    assert desk.revoked == {ticket.ticket_id for ticket in riders.revoked}
    assert desk.sold["single"] <= 14
    assert len(desk.keys) == sales.statistics.sold  # each purchase has a key of its own
    assert desk.under_way_max <= 2


async def test_what_is_shown_is_bought_again() -> None:
    desk = Desk()
    async with selling(desk) as (riders, _):
        await until(lambda: len(riders.singles) >= 10)
        riders.singles.clear()
        await until(lambda: len(riders.singles) >= 10)


async def test_a_broken_desk_is_asked_again_and_counted() -> None:
    desk = Desk(lambda number: (503, 429, 500, None)[number % 4])
    async with selling(desk) as (riders, sales):
        await until(lambda: len(riders.singles) >= 10)

    assert sales.statistics.failed >= 10


async def test_a_desk_that_does_not_sell_the_past_is_not_asked_twice_for_it() -> None:
    desk = Desk(sells_the_past=False)
    async with selling(desk) as (riders, sales):
        await until(lambda: len(riders.singles) >= 10)

    assert not riders.expired
    assert 1 <= sales.statistics.refused <= 2  # the two buyers may ask at the same time


async def test_a_wrong_token_buys_nothing_and_the_problem_is_kept() -> None:
    desk = Desk()
    async with selling(desk, token="stolen") as (riders, sales):
        await until(lambda: sales.statistics.refused >= 3)

    assert not riders.singles
    assert "403" in sales.statistics.last_problem
