"""Every way in which money moves, killed at every message: nothing is lost, and nothing is counted twice."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from tests.faults.boundaries import Blow, When
from tests.faults.money_flows import FLOWS
from tests.faults.till_town import TillTown, till_town

LIKE_OTHERS = {"purchase", "purchase, declined", "debt"}
"""Ways that share nearly all of their messages with another one: they are struck in the soak."""


async def strike_everywhere(town: TillTown, flow: str, when: When, blow: Blow) -> list[str]:
    """The flow again and again, each time struck one message later, until it comes through; the messages."""
    way = FLOWS[flow]
    for number in itertools.count(1):
        name = f"{when}-{blow}-{number}"
        await town.next_morning()
        before = await way.prepare(town, name)
        async with town.struck(number, when, blow):
            await way.asked(town, name, before)
        struck, seen = town.boundaries.struck, town.boundaries.seen
        await town.come_to_rest()
        await town.check()
        await way.check(town, name, before)
        if struck is None:
            return seen
    raise AssertionError


@pytest.mark.parametrize("flow", [flow for flow in FLOWS if flow not in LIKE_OTHERS])
async def test_killed_after_everything_that_lasts(database: str, tmp_path: Path, flow: str) -> None:
    async with till_town(database, tmp_path) as town:
        assert await strike_everywhere(town, flow, "durable", "kill")


@pytest.mark.parametrize("flow", ["recovery", "money back"])
async def test_cut_off_after_everything_that_lasts(database: str, tmp_path: Path, flow: str) -> None:
    async with till_town(database, tmp_path) as town:
        assert await strike_everywhere(town, flow, "durable", "cut")


@pytest.mark.soak
@pytest.mark.parametrize("blow", ["kill", "cut", "hush"])
@pytest.mark.parametrize("when", ["sent", "done"])
@pytest.mark.parametrize("flow", FLOWS)
async def test_struck_at_every_message(
    database: str,
    tmp_path: Path,
    flow: str,
    when: When,
    blow: Blow,
) -> None:
    async with till_town(database, tmp_path) as town:
        seen = await strike_everywhere(town, flow, when, blow)
        print(f"{flow}: {len(seen)} messages, {blow} when {when}")
        assert seen
