"""Control across processes: dispatch advises, the gateway sends, the web server shows and acts.

One subject carries a dispatcher's acts to the engine's process and their answers back, one what readers see, one what
becomes of instructions at the broker. Instructions themselves go down on the subject that they always had.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

import msgspec
import structlog

from deploy.links import INSTRUCTIONS, LinkError, Links, Outgoing
from deploy.private_files import write_private
from deploy.remote_desk import ask_dispatch
from deploy.retold import Lately, Remembered
from dispatch.advice import Advice
from dispatch.control import OFFERED, LineControl
from dispatch.control_board import ControlBoard
from dispatch.control_state import ControlState
from dispatch.control_stops import StopList
from dispatch.controller import Controller
from dispatch.history_rows import Decision
from dispatch.instructions import Instruction, Kind
from dispatch.ridership import Tap
from dispatch.schemas import Instruction as SentByHand
from dispatch.service import DispatchService
from dispatch.snapshot import Snapshot
from dispatch.watched import EngineLike
from gateway import wire

if TYPE_CHECKING:
    from dispatch.engine import Engine
    from dispatch.history import History

CONTROL = "takt.control"
CONTROL_STATE = "takt.control.state"
PROGRESS = "takt.instructions.progress"
STATE_EVERY_S = 5.0  # also when nothing has changed: a web server may have begun anew
TASKS_MAX = 10_000

log = structlog.get_logger("control")
T = TypeVar("T")


class _Apply(msgspec.Struct, tag="apply", array_like=True):
    advice_id: str
    hold_s: float | None
    by: str


class _Decline(msgspec.Struct, tag="decline", array_like=True):
    advice_id: str
    by: str
    reason: str | None


class _SetMode(msgspec.Struct, tag="mode", array_like=True):
    route_id: str
    mode: Literal["off", "advise", "automatic"]
    law: str | None
    by: str


class _Note(msgspec.Struct, tag="note", array_like=True):
    instruction: Instruction


class _Stops(msgspec.Struct, tag="stops", array_like=True):
    route_id: str


class _SetStops(msgspec.Struct, tag="set_stops", array_like=True):
    route_id: str
    stop_ids: list[str] | None
    by: str


_Question: TypeAlias = _Apply | _Decline | _SetMode | _Note | _Stops | _SetStops
_ENCODE = msgspec.msgpack.Encoder().encode
_QUESTION: msgspec.msgpack.Decoder[_Question] = msgspec.msgpack.Decoder(_Question)
_ADVICE: msgspec.msgpack.Decoder[Advice | str] = msgspec.msgpack.Decoder(Advice | str)
_LINE: msgspec.msgpack.Decoder[LineControl | str] = msgspec.msgpack.Decoder(LineControl | str)
_STOPS: msgspec.msgpack.Decoder[StopList | str] = msgspec.msgpack.Decoder(StopList | str)
_STATE = msgspec.msgpack.Decoder(ControlState)
_TAPS = msgspec.msgpack.Decoder(list[Tap])
_PROGRESS = msgspec.msgpack.Decoder(tuple[str, bool])


# --- where the web server is -----------------------------------------------------------------------------------------


async def control_board(links: Links) -> ControlBoard:
    """A board that shows what the dispatch process says of control."""
    board = ControlBoard(msgspec.json.encode(OFFERED))
    await links.receive(CONTROL_STATE, lambda data: board.publish(_STATE.decode(data)))
    return board


class RemoteControl:
    """Implements `dispatch.control_api.ControlDesk` and `dispatch.control_stops_api.StopsDesk` over a link."""

    def __init__(self, links: Links) -> None:
        self._links = links

    async def apply(self, advice_id: str, hold_s: float | None, by: str) -> Advice | str:
        """Send what is advised, or another hold."""
        return _ADVICE.decode(await self._ask(_Apply(advice_id, hold_s, by)))

    async def decline(self, advice_id: str, by: str, reason: str | None) -> Advice | str:
        """Note that an advice is not followed."""
        return _ADVICE.decode(await self._ask(_Decline(advice_id, by, reason)))

    async def set_mode(
        self, route_id: str, mode: Literal["off", "advise", "automatic"], law: str | None, by: str
    ) -> LineControl | str:
        """Switch a line."""
        return _LINE.decode(await self._ask(_SetMode(route_id, mode, law, by)))

    async def stops(self, route_id: str) -> StopList | str:
        """Where a route's vehicles may be held."""
        return _STOPS.decode(await self._ask(_Stops(route_id)))

    async def set_stops(self, route_id: str, stop_ids: Sequence[str] | None, by: str) -> StopList | str:
        """List a route's own control stops."""
        listed = None if stop_ids is None else list(stop_ids)
        return _STOPS.decode(await self._ask(_SetStops(route_id, listed, by)))

    async def note(self, sent: SentByHand) -> None:
        """Have an instruction followed that is about to be sent by hand; without dispatch it is only sent."""
        kind: Kind = "hold" if sent.kind == "hold" else "message"
        followed = Instruction(
            id=sent.id,
            operator_id=sent.operator_id,
            vehicle_id=sent.vehicle_id,
            route_id=None,
            direction_id=None,
            kind=kind,
            text=sent.text,
            hold_s=None,
            stop_id=None,
            until_ts=sent.until_ts,
            state="sent",
            created_at=sent.sent_at,
            by=sent.sent_by,
        )
        with suppress(LinkError):
            await self._links.ask(CONTROL, _ENCODE(_Note(followed)), timeout_s=2.0)

    async def _ask(self, question: _Question) -> bytes:
        return await ask_dispatch(self._links, CONTROL, _ENCODE(question))


# --- where the gateway is --------------------------------------------------------------------------------------------


def tell_progress(links: Links, lately: Lately) -> tuple[Outgoing, Callable[[str, bool], None]]:
    """What tells dispatch what becomes of instructions: a queue to be run, and the gateway's seam that fills it."""
    outgoing = Remembered(links, PROGRESS, TASKS_MAX, lately)
    return outgoing, lambda instruction_id, confirmed: outgoing.put(_ENCODE((instruction_id, confirmed)))


# --- where the engine is ---------------------------------------------------------------------------------------------


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
        try:
            on = self.controller.table.restore(self._path.read_bytes())
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            log.warning("controlled_lines_not_read", file=str(self._path), error=str(error))
            return
        log.info("controlled_lines_read", on=on)

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
        self.controller.taps.extend(_TAPS.decode(data))

    def flush(self) -> None:
        """Send instructions down and tell readers what has changed."""
        orders = self.controller.orders
        if self._service is not None:
            self._service.gauges.update(self.controller.gauges)
        if orders:
            self.instructed()
        while orders:
            self._down.put(_ENCODE(down_of(orders.popleft())))
        state, told = self.controller.published, self._told
        same = (state.advice, state.instructions, state.control) == (told.advice, told.instructions, told.control)
        if not same or not 0 <= state.as_of_s - told.as_of_s < STATE_EVERY_S:
            self._told = state
            self._state.put(_ENCODE(state))

    @property
    def numbers(self) -> dict[str, float]:
        """Counters by name; they only rise."""
        return {**self.counters, **self.controller.counters}

    async def save(self) -> None:
        """Write down which lines are controlled."""
        data = await self._ask(self.controller.table.to_bytes)
        try:
            await asyncio.to_thread(write_private, self._path, data)
        except OSError as error:
            log.warning("controlled_lines_not_saved", file=str(self._path), error=str(error))

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
        match _QUESTION.decode(data):
            case _Apply(advice_id, hold_s, by):
                reply = await self._ask(lambda: _ENCODE(controller.apply(advice_id, hold_s, by, now_s)))
            case _Decline(advice_id, by, reason):
                reply = await self._ask(lambda: _ENCODE(controller.decline(advice_id, by, reason, now_s)))
            case _SetMode(route_id, mode, law, by):
                reply = await self._ask(lambda: _ENCODE(controller.set_mode(route_id, mode, law, by, now_s)))
                await self.save()
            case _Stops(route_id):
                reply = await self._ask(lambda: _ENCODE(controller.stops(route_id)))
            case _SetStops(route_id, stop_ids, by):
                reply = await self._ask(lambda: _ENCODE(controller.set_stops(route_id, stop_ids, by, now_s)))
                await self.save()
            case _Note(instruction):
                await self._ask(lambda: controller.note(instruction, now_s))
                reply = b""
        self.flush()
        await self.decided()
        return bytes(reply)

    @staticmethod
    def read_progress(data: bytes) -> tuple[str, bool]:
        """What `tell_progress` has sent: which instruction, and whether it was confirmed."""
        return _PROGRESS.decode(data)

    def _progress(self, data: bytes) -> None:
        instruction_id, confirmed = _PROGRESS.decode(data)
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
