"""Dispatch's own wiring: the engine with what feeds and keeps it, and the board that shows what it publishes."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import msgspec
import structlog

from deploy import mapping, metrics
from deploy.control import ControlLink, new_control
from deploy.desk import serve_desk
from deploy.feeds import load_ordered, serve_switch
from deploy.links import EVENTS, FIXES, PUBLICATION, Links, Outgoing
from deploy.numbers import hear_numbers, tell_numbers
from deploy.whereabouts import Teller
from deploy.wiring import read_network
from dispatch.board import Board, Publication

if TYPE_CHECKING:
    from pathlib import Path

    from deploy.config import Dispatch
    from deploy.serving import Grounds
    from dispatch.engine import Engine
    from dispatch.network import Network
    from dispatch.service import DispatchService
    from dispatch.snapshot import Snapshot

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
    from deploy.accuracy import tell_accuracy
    from deploy.learnt import recall
    from deploy.orders import keep_orders, recall_orders
    from dispatch.history import History, HistorySettings
    from dispatch.service import DispatchService

    settings = grounds.settings
    network = await read_network(settings, grounds.instance)
    chosen = settings.dispatch
    engine = _new_engine(chosen, network)
    learnt, orders = grounds.instance.folder / "running-times.bin", grounds.instance.folder / "orders.json"
    recall(engine, learnt)
    recall_orders(engine, orders)
    kept = HistorySettings(history_days=chosen.history_days, fixes_days=chosen.fixes_days)
    outgoing = Outgoing(links, PUBLICATION, size=3)
    sender = asyncio.create_task(outgoing.run(), name="link publications")
    history = History(grounds.dsn, ZoneInfo(network.timezone), time.time, kept, log.warning)
    control = new_control(links, history if grounds.dsn else None, grounds.instance.folder / "control.json")

    places = Teller(links)
    teller_of_places = asyncio.create_task(places.run(), name="link whereabouts")

    def publish(publication: Publication) -> None:
        outgoing.put(_ENCODE(publication))
        control.flush()
        places.flush()

    controlled = control.observer(engine, history if grounds.dsn else None)

    def observe(snapshot: Snapshot) -> None:
        controlled(snapshot)
        places.note(snapshot)

    service = DispatchService(engine, publish, tick_s=chosen.tick_s, observe=observe)
    try:
        async with history if grounds.dsn else contextlib.nullcontext(), service:
            await links.receive(FIXES, lambda data: engine.ingest(mapping.decode_fixes(data)))
            await _hear_events(links, service, control)
            await serve_desk(links, service, lambda: keep_orders(engine, service, orders))
            await control.serve(service)
            await serve_switch(links, lambda path: _switch(engine, service, path, settings.timetable_shift_s))
            teller = asyncio.create_task(
                tell_numbers(links, service, lambda: {**history.counters, **control.numbers}), name="dispatch numbers"
            )
            scorer = asyncio.create_task(tell_accuracy(links, engine, service), name="link accuracy")
            try:
                async with _remembered(engine, service, learnt):
                    yield
            finally:
                teller.cancel()
                scorer.cancel()
                await control.close()
    finally:
        sender.cancel()
        teller_of_places.cancel()


@asynccontextmanager
async def _remembered(engine: Engine, service: DispatchService, learnt: Path) -> AsyncIterator[None]:
    from deploy.alarms import remembered_alarms
    from deploy.learnt import remembered

    alarms = learnt.with_name("alarms.json")
    async with remembered(engine, service, learnt), remembered_alarms(engine, service, alarms):
        yield


def _new_engine(chosen: Dispatch, network: Network) -> Engine:
    from dispatch.config import DispatchSettings
    from dispatch.engine import Engine
    from dispatch.headway import HeadwayLimits

    headway = HeadwayLimits(bunched_ratio=chosen.bunched_ratio, gapped_ratio=chosen.gapped_ratio)
    return Engine(network, DispatchSettings(tick_s=chosen.tick_s, headway=headway))


async def _hear_events(links: Links, service: DispatchService, control: ControlLink) -> None:
    """Hand each vehicle's event to the engine and to whoever waits for an answer, between two ticks."""
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()

    def take(data: bytes) -> None:
        event = msgspec.msgpack.decode(data)
        task = loop.create_task(service.event(event))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        control.event(event)

    await links.receive(EVENTS, take)


async def _switch(engine: Engine, service: DispatchService, path: str, shift_s: float) -> int:
    """Go over to another version of the feed between two ticks; how many vehicles kept their trip."""
    network = await asyncio.to_thread(load_ordered, path, shift_s)
    return await service.between_ticks(lambda: engine.switch(network))
