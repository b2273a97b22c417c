"""Control where the engine is: the controller's ends of all seams, between ticks and after them."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from deploy.control_messages import (
    CONTROL,
    CONTROL_STATE,
    PROGRESS,
    Apply,
    Decline,
    Note,
    SetMode,
    SetStops,
    Stops,
    decode_progress,
    decode_question,
    decode_taps,
    encode,
)
from deploy.kept_files import keep, take_up
from deploy.links import INSTRUCTIONS, Links, Outgoing
from dispatch.control_state import ControlState
from dispatch.controller import Controller
from dispatch.history_rows import Decision
from dispatch.instructions import Instruction
from dispatch.service import DispatchService
from dispatch.snapshot import Snapshot
from dispatch.watched import EngineLike
from gateway import wire

if TYPE_CHECKING:
    from dispatch.engine import Engine
    from dispatch.history import History

STATE_EVERY_S = 5.0  # also when nothing has changed: a web server may have begun anew
TASKS_MAX = 10_000

log = structlog.get_logger("control")
T = TypeVar("T")


class ControlLink:
    """The controller's ends of all seams; `flush` after whatever may have changed something, on the event loop."""

    def __init__(
        self, links: Links, controller: Controller, path: Path, clock: Callable[[], float] = time.time
    ) -> None:
        self.controller = controller
        self.counters = {"control_dropped": 0.0, "control_failures": 0.0}
        self._links = links
        self._path = path
        self._clock = clock
        self._down = Outgoing(links, INSTRUCTIONS, size=1000)
        self._state = Outgoing(links, CONTROL_STATE, size=3)
        self._told = ControlState(0.0)
        self._service: DispatchService | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self.decided: Callable[[], Awaitable[None]] = _nothing_to_keep  # awaited before whoever decides is answered
        self.instructed: Callable[[], None] = lambda: None  # called when instructions have been made

    def recall(self) -> None:
        """Take up which lines are controlled; a spoiled file switches none on, and is said."""
        take_up(self._path, "controlled_lines", self.controller.table.restore)

    async def listen(self, service: DispatchService) -> None:
        """Hear what becomes of instructions from here on, even before the first tick."""
        self._service = service
        await self._links.receive(PROGRESS, self._progress)

    async def serve(self, service: DispatchService) -> None:
        """Answer `RemoteControl`, and send what is to be sent; once it listens."""
        self._tasks |= {
            asyncio.create_task(self._down.run(), name="link instructions"),
            asyncio.create_task(self._state.run(), name="link control"),
        }
        await self._links.serve(CONTROL, self._answer)
        service.gauges.update(self.controller.gauges)
        self.flush()

    def observer(self, engine: Engine, history: History | None) -> Callable[[Snapshot], None]:
        """What is done after each tick, in its thread: history takes what is new, then advice is made."""

        def observe(snapshot: Snapshot) -> None:
            if history is not None:
                history.take(engine, snapshot)
            self.observe(engine, snapshot)

        return observe

    def observe(self, engine: EngineLike, snapshot: Snapshot) -> None:
        """Advise after a tick; a fault in advice must not stop positions."""
        try:
            self.controller.observe(engine, snapshot)
        except Exception:
            self.counters["control_failures"] += 1
            if self.counters["control_failures"] == 1:
                log.exception("control_failed")

    def event(self, event: dict[str, Any]) -> None:
        """Take a vehicle's event between two ticks."""
        self._between(lambda: self.controller.event(event, self._clock()))

    def boarded(self, data: bytes) -> None:
        """Take what ticketing has counted; it waits for the next tick, and when there is too much the oldest goes."""
        self.controller.taps.extend(decode_taps(data))

    def flush(self) -> None:
        """Send instructions down and tell readers what has changed."""
        orders = self.controller.orders
        if self._service is not None:
            self._service.gauges.update(self.controller.gauges)
        if orders:
            self.instructed()
        while orders:
            self._down.put(encode(down_of(orders.popleft())))
        state, told = self.controller.published, self._told
        same = (state.advice, state.instructions, state.control) == (told.advice, told.instructions, told.control)
        if not same or not 0 <= state.as_of_s - told.as_of_s < STATE_EVERY_S:
            self._told = state
            self._state.put(encode(state))

    @property
    def numbers(self) -> dict[str, float]:
        """Counters by name; they only rise."""
        return {**self.counters, **self.controller.counters}

    async def save(self) -> None:
        """Write down which lines are controlled."""
        await keep(self._path, "controlled_lines", await self._ask(self.controller.table.to_bytes))

    async def close(self) -> None:
        """Save, and end what is under way."""
        if self.controller.table.lines and self._path.exists():
            await self.save()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _answer(self, data: bytes) -> bytes:
        controller, now_s = self.controller, self._clock()
        reply: Any = None
        match decode_question(data):
            case Apply(advice_id, hold_s, by):
                reply = await self._ask(lambda: encode(controller.apply(advice_id, hold_s, by, now_s)))
            case Decline(advice_id, by, reason):
                reply = await self._ask(lambda: encode(controller.decline(advice_id, by, reason, now_s)))
            case SetMode(route_id, mode, law, by):
                reply = await self._ask(lambda: encode(controller.set_mode(route_id, mode, law, by, now_s)))
                await self.save()
            case Stops(route_id):
                reply = await self._ask(lambda: encode(controller.stops(route_id)))
            case SetStops(route_id, stop_ids, by):
                reply = await self._ask(lambda: encode(controller.set_stops(route_id, stop_ids, by, now_s)))
                await self.save()
            case Note(instruction):
                await self._ask(lambda: controller.note(instruction, now_s))
                reply = b""
        self.flush()
        await self.decided()
        return bytes(reply)

    def _progress(self, data: bytes) -> None:
        instruction_id, confirmed = decode_progress(data)
        self._between(lambda: self.controller.progress(instruction_id, confirmed, self._clock()))

    def _between(self, work: Callable[[], None]) -> None:
        if self._service is None or len(self._tasks) >= TASKS_MAX:
            self.counters["control_dropped"] += 1
            return
        task = asyncio.create_task(self._service.between_ticks(work), name="control")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask(self, work: Callable[[], T]) -> T:
        assert self._service is not None
        return await self._service.between_ticks(work)


def new_control(links: Links, history: History | None, path: Path, tapping_share: float | None = None) -> ControlLink:
    """A controller and its links; it keeps decisions in the history, and in a file which lines are controlled."""
    decide: Callable[[Decision], None] = history.decide if history is not None else lambda _decision: None
    control = ControlLink(links, Controller(decide, lambda: str(uuid.uuid4()), tapping_share=tapping_share), path)
    control.recall()
    return control


async def _nothing_to_keep() -> None:
    return


def down_of(one: Instruction) -> tuple[str, wire.Instruction]:
    """An instruction as the gateway sends it, with its vehicle's key."""
    return one.key, wire.Instruction(
        one.id, one.created_at, one.kind, one.until_ts, one.text, one.stop_id, one.hold_s, one.depart_at
    )
