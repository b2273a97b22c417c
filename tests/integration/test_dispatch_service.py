"""Dispatch as a service: it ticks by itself, tells of what it counted, and does not outlive its engine."""

from __future__ import annotations

import asyncio
import time

import pytest

from dispatch.board import Board, Publication
from dispatch.engine import Engine
from dispatch.service import DispatchService, Publisher
from dispatch.snapshot import Snapshot
from tests.integration.web_running import feed_engine, network_now


class Breaking(Engine):
    """An engine that fails at its third tick."""

    ticks = 0

    def tick(self, now_s: float) -> Snapshot:
        self.ticks += 1
        if self.ticks == 3:
            raise ValueError("the third tick")
        return super().tick(now_s)


async def until(board: Board, version: int) -> None:
    async with asyncio.timeout(60):
        while board.version < version:
            await board.newer_than(board.version, 1.0)


async def test_entering_means_that_something_is_shown() -> None:
    board = Board()
    async with DispatchService(Engine(network_now(time.time())), board.publish):
        assert board.latest is not None
        assert board.reasons(time.time()) == []


async def test_it_ticks_once_in_a_step_of_the_wall_clock() -> None:
    board, steps = Board(), []

    def publish(publication: Publication) -> None:
        steps.append(int(publication.as_of_s / 0.2 + 1e-6))
        board.publish(publication)

    async with DispatchService(Engine(network_now(time.time())), publish, tick_s=0.2) as service:
        await until(board, 4)
        assert service.healthy() == []
    assert steps == sorted(set(steps))
    assert service.counters["ticks"] == len(steps)


async def test_a_failing_engine_ends_whoever_relies_on_it() -> None:
    board = Board()
    with pytest.raises(ValueError, match="the third tick"):
        async with DispatchService(Breaking(network_now(time.time())), board.publish, tick_s=0.05):
            await asyncio.sleep(60)
    assert board.version == 2


async def test_anothers_failure_is_not_its_own() -> None:
    with pytest.raises(KeyError, match="somebody else"):
        async with DispatchService(Engine(network_now(time.time())), Board().publish):
            raise KeyError("somebody else")


async def test_being_cancelled_is_no_failure() -> None:
    entered = asyncio.Event()

    async def run() -> None:
        async with DispatchService(Engine(network_now(time.time())), Board().publish):
            entered.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(run())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_ticks_are_counted() -> None:
    board = Board()
    async with DispatchService(Engine(network_now(time.time())), board.publish, tick_s=0.1) as service:
        await until(board, 2)
    assert service.counters["ticks"] >= 2
    assert service.counters["tick_seconds"] >= service.gauges["last_tick_seconds"] > 0


def test_feeds_are_made_once_in_a_second() -> None:
    now_s = 1_784_000_000.1
    engine, publisher = Engine(network_now(now_s)), Publisher()
    feed_engine(engine, now_s)
    first = publisher.publication(engine.tick(now_s))
    same_second = publisher.publication(engine.tick(now_s + 0.5))
    next_second = publisher.publication(engine.tick(now_s + 1.0))
    assert same_second.pb_trip_updates is first.pb_trip_updates
    assert next_second.pb_trip_updates != first.pb_trip_updates
    assert same_second.vehicles != first.vehicles


def test_large_feeds_are_made_less_often() -> None:
    clock = iter(range(100))  # each look at the stopwatch is a second later
    now_s = 1_784_000_000.0
    engine, publisher = Engine(network_now(now_s)), Publisher(timer=lambda: next(clock))
    for nth in range(9):
        publisher.publication(engine.tick(now_s + nth))
    assert publisher.feeds_made == 3
