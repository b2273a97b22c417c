"""Dispatch's own wiring: the engine with what feeds and keeps it, and the board that shows what it publishes."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import msgspec
import structlog

from deploy import mapping, metrics
from deploy.control_link import ControlLink, new_control
from deploy.feed_switch import load_ordered, serve_switch
from deploy.links import BOARDINGS, EVENTS, FIXES, PUBLICATION, Links, Outgoing
from deploy.numbers import counters_of, hear_numbers, tell_numbers
from deploy.remote_desk import serve_desk
from deploy.whereabouts import Teller
from deploy.wiring import read_network
from dispatch.board import Board, Publication

if TYPE_CHECKING:
    from deploy.config import Dispatch
    from deploy.grounds import Grounds
    from deploy.resuming import StateKeeper
    from dispatch.engine import Engine
    from dispatch.network import Network
    from dispatch.service import DispatchService
    from dispatch.snapshot import Snapshot

LEARNT, ORDERS = "running-times.bin", "orders.json"

log = structlog.get_logger("wiring")
_ENCODE = msgspec.msgpack.Encoder().encode
_PUBLICATION = msgspec.msgpack.Decoder(Publication)


async def board_from(links: Links, grounds: Grounds) -> Board:
    """A board that shows what the dispatch process publishes."""
    board = Board()
    await links.receive(PUBLICATION, lambda data: board.publish(_PUBLICATION.decode(data)))
    grounds.checks.append(lambda: board.reasons(time.time()))
    numbers = await hear_numbers(links)
    metrics.expose(grounds.registry, "dispatch", lambda: numbers.counters, lambda: numbers.gauges)
    return board


@asynccontextmanager
async def dispatch(grounds: Grounds, links: Links) -> AsyncIterator[None]:
    """The engine, fed from the backbone and publishing to it."""
    from deploy.learnt import recall
    from deploy.orders import recall_orders
    from deploy.resuming import StateKeeper
    from dispatch.history import History, HistorySettings
    from dispatch.service import DispatchService

    settings, folder = grounds.settings, grounds.instance.folder
    network = await read_network(settings, grounds.instance)
    chosen = settings.dispatch
    engine = _new_engine(chosen, network)
    recall(engine, folder / LEARNT)
    recall_orders(engine, folder / ORDERS)
    kept = HistorySettings(history_days=chosen.history_days, fixes_days=chosen.fixes_days)
    history = History(grounds.dsn, ZoneInfo(network.timezone), time.time, kept, log.warning) if grounds.dsn else None
    control = new_control(links, history, folder / "control.json", chosen.tapping_share)
    outgoing, places = Outgoing(links, PUBLICATION, size=3), Teller(links)

    def publish(publication: Publication) -> None:
        outgoing.put(_ENCODE(publication))
        control.flush()
        places.flush()

    controlled = control.observer(engine, history)

    def observe(snapshot: Snapshot) -> None:
        controlled(snapshot)
        places.note(snapshot)

    service = DispatchService(engine, publish, tick_s=chosen.tick_s, observe=observe)
    keeper = StateKeeper(engine, control, history, folder / "dispatch-state.bin")
    keeper.recall()
    control.decided, control.instructed = keeper.decided, keeper.soon
    async with _running("link publications", outgoing.run()), _running("link whereabouts", places.run()):
        # Everything is heard before the first tick, which folds what was missed together with what has come since.
        await links.receive(FIXES, lambda data: engine.ingest(mapping.decode_fixes(data)))
        await links.receive(BOARDINGS, control.boarded)
        await control.listen(service)
        await _hear_events(links, service, control, keeper)
        await keeper.catch_up(links)
        async with history or contextlib.nullcontext(), service, _doors(grounds, links, service, control, keeper):
            yield


@asynccontextmanager
async def _doors(
    grounds: Grounds, links: Links, service: DispatchService, control: ControlLink, keeper: StateKeeper
) -> AsyncIterator[None]:
    """Who acts is heard, numbers are told and what must outlive the process is kept, while the engine ticks."""
    from deploy.accuracy import tell_accuracy
    from deploy.learnt import remembered
    from deploy.orders import keep_orders
    from deploy.resuming import kept_state

    engine, history, folder = keeper.engine, keeper.history, grounds.instance.folder
    shift_s = grounds.settings.timetable_shift_s
    await serve_desk(links, service, lambda: keep_orders(engine, service, folder / ORDERS), keeper.decided)
    await control.serve(service)
    await serve_switch(links, lambda path: _switch(engine, service, path, shift_s))

    def counted() -> dict[str, float]:
        return {**(history.counters if history is not None else {}), **control.numbers, **keeper.counters}

    metrics.expose(grounds.registry, "dispatch", lambda: counters_of(service, counted), lambda: service.gauges)
    grounds.checks.append(service.healthy)
    try:
        async with (
            _running("dispatch numbers", tell_numbers(links, service, counted)),
            _running("link accuracy", tell_accuracy(links, engine, service)),
            remembered(engine, service, folder / LEARNT),
            kept_state(keeper, service),
        ):
            yield
    finally:
        await control.close()


@asynccontextmanager
async def _running(name: str, work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Something that goes on until it is cancelled, in a task of its own."""
    task = asyncio.create_task(work, name=name)
    try:
        yield
    finally:
        task.cancel()


def _new_engine(chosen: Dispatch, network: Network) -> Engine:
    from dispatch.config import DispatchSettings
    from dispatch.engine import Engine
    from dispatch.headway import HeadwayLimits

    headway = HeadwayLimits(bunched_ratio=chosen.bunched_ratio, gapped_ratio=chosen.gapped_ratio)
    return Engine(network, DispatchSettings(tick_s=chosen.tick_s, headway=headway))


async def _hear_events(links: Links, service: DispatchService, control: ControlLink, keeper: StateKeeper) -> None:
    """Hand each vehicle's event to the engine and to whoever waits for an answer, between two ticks."""
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()

    def take(data: bytes) -> None:
        event = msgspec.msgpack.decode(data)
        task = loop.create_task(service.event(event))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        control.event(event)
        if event.get("event") == "alarm":
            keeper.soon()

    await links.receive(EVENTS, take)


async def _switch(engine: Engine, service: DispatchService, path: str, shift_s: float) -> int:
    """Go over to another version of the feed between two ticks; how many vehicles kept their trip."""
    network = await asyncio.to_thread(load_ordered, path, shift_s)
    return await service.between_ticks(lambda: engine.switch(network))
