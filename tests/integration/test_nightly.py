"""The night's work goes on at the next look, whatever became of the one before."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from deploy import nightly as nightly_module
from deploy.nightly import nightly
from tests.integration.ticket_city import City
from ticketing.books import Books
from ticketing.errors import Problem
from ticketing.privacy import Privacy
from ticketing.settlement import Settlements

DAY_S = 86_400.0


@pytest.mark.parametrize("fault", [Problem(503, "Busy", "try again"), RuntimeError("nobody foresaw this")])
@pytest.mark.parametrize("place", ["settle", "tidy"])
async def test_a_look_that_fails_is_followed_by_another(
    city: City,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    fault: Exception,
) -> None:
    monkeypatch.setattr(nightly_module, "LOOK_EVERY_S", 0.0)
    books = Books(city.service.store)
    settlements, privacy = Settlements(books, city.service.tariff), Privacy(books, 120)
    owner: Any = settlements if place == "settle" else privacy
    done, act, faults = asyncio.Event(), getattr(owner, place), [fault]
    tidy = privacy.tidy

    async def fails_once(*arguments: Any) -> Any:
        if faults:
            raise faults.pop()
        return await act(*arguments)

    async def tidied(*arguments: Any) -> int:
        gone = await (fails_once if place == "tidy" else tidy)(*arguments)
        done.set()
        return gone

    monkeypatch.setattr(owner, place, fails_once)
    monkeypatch.setattr(privacy, "tidy", tidied)
    async with nightly(settlements, privacy, lambda: city.now() + 2 * DAY_S), asyncio.timeout(30):
        await done.wait()
    assert await settlements.settled_until_s(city.now() + 2 * DAY_S) > 0
