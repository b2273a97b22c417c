"""A backlog gives way to riders: small batches, and rests between them as long as the work."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
import uuid
from collections import Counter

import pytest
import uvloop

from gateway import taps
from gateway.config import Broker, GatewaySettings
from gateway.letters import Letters
from gateway.outbox import Outbox
from gateway.taps import LATE_MAX, LATE_RESTS, TapIntake
from gateway.wire import Answer, Tap
from ticketing import service

DEVICES = 40


class Arrived:
    def __init__(self, mid: int, device: str, *, offline: bool) -> None:
        said = {"id": str(uuid.uuid4()), "boot": "a", "seq": mid, "ts": 0, "medium": "qr", "token": "T"}
        if offline:
            said["offline"] = {"verdict": "accepted", "rules_version": 1}
        self.topic, self.mid = f"validator/v1/town/{device}/tap", mid
        self.payload = json.dumps(said).encode()


class Nowhere:
    def publish(self, *_: object, **__: object) -> bool:
        return True


async def forget(_: object) -> None:
    raise AssertionError("every tap here can be read")


async def drained(*, riders: bool) -> list[tuple[float, float, int]]:
    """When each batch of a backlog began and ended, and its size; riders tap once before it, or never."""
    loop = asyncio.get_running_loop()
    batches: list[tuple[float, float, int]] = []

    async def validate(taps: list[Tap]) -> list[Answer]:
        begun_s = loop.time()
        if taps[0].offline is not None:
            await asyncio.sleep(0.01)
            batches.append((begun_s, loop.time(), len(taps)))
        return [Answer(tap.id, "accepted", False, None, None, None, {}, None, None) for tap in taps]

    settings, counts = GatewaySettings(Broker("nowhere", 1)), Counter[str]()
    outbox, letters = Outbox(Nowhere(), 1000, counts, lambda: 0.0), Letters(settings, forget, counts)
    intake = TapIntake(settings, validate, outbox=outbox, letters=letters, counts=counts, clock=lambda: 0.0)
    if riders:
        intake.receive(Arrived(1, "live", offline=False), 1)
    for number in range(DEVICES):
        intake.receive(Arrived(number + 2, f"back-{number}", offline=True), 1)
    running = asyncio.create_task(intake.run())
    try:
        async with asyncio.timeout(30):
            while len(intake):
                await asyncio.sleep(0.005)
    finally:
        running.cancel()
    return batches


@pytest.mark.parametrize("riders", [True, False])
async def test_batches_are_small_whoever_taps(riders: bool) -> None:
    """The rider who comes next is not yet there when one begins."""
    sizes = [size for _, _, size in await drained(riders=riders)]
    assert max(sizes) <= LATE_MAX
    assert sum(sizes) == DEVICES


async def test_it_rests_as_long_as_it_works_while_riders_tap() -> None:
    """However slow the machine is: the rest is measured against the work."""
    batches = await drained(riders=True)
    for (begun_s, ended_s, _), (next_s, _, _) in itertools.pairwise(batches):
        assert next_s - ended_s >= 0.99 * LATE_RESTS * (ended_s - begun_s)
    assert len(batches) > 2


async def test_it_does_not_rest_for_nobody() -> None:
    """At night a depot's validators are done sooner."""
    batches = await drained(riders=False)
    rests = [begin_s - end_s for (_, end_s, _), (begin_s, _, _) in itertools.pairwise(batches)]
    works = [end_s - begin_s for begin_s, end_s, _ in batches]
    assert min(rests) < min(works)


@pytest.mark.parametrize("pause_s", [taps.LATE_PAUSE_S, service.LATE_PAUSE_S])
def test_a_pause_is_one_for_the_loop_that_runs_the_product(pause_s: float) -> None:
    """It counts in whole milliseconds: half of one was a turn of the loop and no sleep."""

    async def sleep() -> float:
        begun_s = time.perf_counter()
        for _ in range(20):
            await asyncio.sleep(pause_s)
        return time.perf_counter() - begun_s

    assert uvloop.run(sleep()) > 10 * pause_s
