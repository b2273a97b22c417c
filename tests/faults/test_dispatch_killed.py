"""Fault 25: dispatch is killed at the peak, and five seconds later says what a twin says that was never killed."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import random
import time
from contextlib import AsyncExitStack
from pathlib import Path

import numpy as np
import pytest

from dispatch.feed import read_feed
from dispatch.instructions import Instruction
from dispatch.schemas import Instruction as SentByHand
from simulators.city import make_city
from tests.faults.twins import DAY, City, Twin, differences, happens, passages_of, play, twin

EQUAL_WITHIN = 5  # publications, one a second


async def killed(folder: Path, *, kills: int, seconds_apart: tuple[float, float], vehicles: int, seed: int) -> None:
    """Play a city to two, kill one of them, and compare; then both come to their end in order."""
    feed = folder / "city.zip"
    feed.write_bytes(make_city(seed, DAY))
    network = read_feed(feed).network
    shift_s = time.time() - (network.day_start_s(DAY) + 8 * 3600.0)
    network = dataclasses.replace(network, shift_s=shift_s)
    rng = random.Random(seed)
    async with AsyncExitStack() as stack:
        for name in ("mortal", "immortal"):
            (folder / name).mkdir()
        mortal, immortal = [
            await stack.enter_async_context(twin(folder / name, feed, shift_s)) for name in ("mortal", "immortal")
        ]
        both = (mortal, immortal)
        for one in both:
            await one.until(lambda t: t.said, "the first publication")
        over = asyncio.Event()
        playing = asyncio.create_task(play(City(network, vehicles, seed), both, over))
        try:
            for one in both:
                await one.until(lambda t: len(t.said) > seconds_apart[0], "some seconds of the city")
            await decide(both)
            for n in range(kills):
                await asyncio.sleep(rng.uniform(*seconds_apart) if n else 0.0)
                await mortal.kill()
                before = len(mortal.said)
                await mortal.start()
                await mortal.until(lambda t, before=before: len(t.said) > before, "it says something again")
                await equal_again(mortal, immortal, before)
            for one in both:
                await answered(one)
        finally:
            over.set()
            await playing
        for one in both:
            await ticked_twice(one)
    ends(mortal, immortal, network)
    never_back(mortal)


async def decide(both: tuple[Twin, ...]) -> None:
    """What people do before it dies: a driver's alarm is seen, another one shelved, an instruction sent."""
    for vehicle in ("town/1", "town/2", "town/3"):
        await happens({"vehicle_key": vehicle, "event": "alarm"}, both)
    await happens({"vehicle_key": "town/5", "event": "online"}, both)
    for one in both:
        await one.until(lambda t: t.said[-1].alerts.count(b'"alarm"') == 3, "three alarms")
        alarms = {alert["vehicle_id"]: alert["id"] for alert in alerts(one)}
        assert (await one.desk.acknowledge(alarms["1"], "dispatcher")).acknowledged_by == "dispatcher"
        await one.desk.shelve(alarms["2"], "dispatcher", 30)
        await one.desk.close_alert(alarms["3"], "dispatcher", "helped")
        sent = SentByHand("i-1", "5", "town", "hold", time.time(), time.time() + 600, "wait", "dispatcher")
        await one.control.note(sent)


def alerts(one: Twin) -> list[dict]:
    return json.loads(one.said[-1].alerts)["alerts"]


async def answered(one: Twin) -> None:
    """The driver answers the instruction of before, and the process knows it."""
    await happens({"vehicle_key": "town/5", "event": "instruction_done", "instruction_id": "i-1"}, (one,))


async def ticked_twice(one: Twin) -> None:
    """All that was told is folded then."""
    count = len(one.said)
    await one.until(lambda t: len(t.said) > count + 1, "two more ticks")


async def equal_again(mortal: Twin, immortal: Twin, before: int) -> None:
    """Among the first publications after the restart is one that says what the twin says of the same second."""
    found: list[str] = ["nothing in common"]
    for n in range(before, before + EQUAL_WITHIN):
        await mortal.until(lambda t, n=n: len(t.said) > n, "another publication")
        said = mortal.said[n]
        await immortal.until(lambda t, at=said.as_of_s: t.said[-1].as_of_s >= int(at) + 0.999, "the twin's")
        same = [one for one in immortal.said if int(one.as_of_s) == int(said.as_of_s)]
        found = differences(said, same[0]) if same else found
        if same and not found:
            seen = sum(b'"estimated":false' in part for part in said.headways.split(b"},"))
            print(f"equal at publication {n - before + 1}: {seen} headways seen")
            assert seen, "no headway was seen by anybody: nothing was compared"
            return
    raise AssertionError("still unlike its twin:\n" + "\n".join(found[:20]) + mortal.log())


def ends(mortal: Twin, immortal: Twin, network) -> None:
    """What both wrote down at their end: passages to the hundredth of a second, instructions, who decided what."""
    mine, theirs = (one.state(network) for one in (mortal, immortal))
    a, b = passages_of(mine), passages_of(theirs)
    assert len(b) > 10
    assert a.keys() == b.keys()
    assert np.allclose([a[key] for key in b], list(b.values()), rtol=0, atol=0.01, equal_nan=True)
    (one,), (other,) = (state.facts.control.instructions.listed for state in (mine, theirs))
    assert isinstance(one, Instruction)
    assert (one.id, one.state, one.by) == (other.id, other.state, other.by) == ("i-1", "done", "dispatcher")
    assert mine.facts.key == theirs.facts.key
    for name in ("ts_s", "trip", "place_m", "next_stop", "delay_s"):
        column = f"fleet.{name}"
        assert np.allclose(mine.arrays[column], theirs.arrays[column], rtol=0, atol=0.01, equal_nan=True), name


def never_back(one: Twin) -> None:
    """I4: from publication to publication no vehicle goes back to an older fix."""
    newest: dict[str, float] = {}
    for said in one.said:
        for row in json.loads(said.vehicles)["vehicles"]:
            assert row["ts"] >= newest.get(row["vehicle_id"], 0.0), row
            newest[row["vehicle_id"]] = row["ts"]


async def test_a_dispatch_that_was_killed_is_its_twin_again(tmp_path):
    await killed(tmp_path, kills=1, seconds_apart=(7, 8), vehicles=240, seed=3)


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(3))
async def test_so_is_one_that_is_killed_again_and_again(tmp_path, seed):
    print(f"seed {seed}")
    await killed(tmp_path, kills=10, seconds_apart=(3, 14), vehicles=400, seed=seed)
