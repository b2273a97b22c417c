"""Dispatch goes on after its death: its state is written down every few seconds, and taken up by the next process.

Each decision of a person, and each driver's alarm, is written down at once; whoever decides is answered when it is.
What has happened since the last state is told again by the gateway. So neither a kill nor an upgrade is to be seen in
positions, trips, headways, alerts or instructions. The record of what was stays the database's.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from deploy import mapping
from deploy.control_messages import decode_progress
from deploy.links import EVENTS, FIXES, Links
from deploy.missed import Missed
from deploy.private_files import write_private
from deploy.retold import hear_again
from dispatch.engine import Engine
from dispatch.ground import fingerprint
from dispatch.network import Network
from dispatch.state import State, capture, resume
from dispatch.state_file import OutOfDateError, from_bytes, to_bytes

if TYPE_CHECKING:
    from deploy.control_link import ControlLink
    from dispatch.history import History
    from dispatch.service import DispatchService

SAVED_EVERY_S = 10.0
BUSY_SHARE = 0.05  # of the time may be spent on writing: a larger fleet's state is written less often
ANSWERED_S_MAX = 2.0  # nobody's decision waits longer for the disk
TOLD_AGAIN_S = 1.0  # what was on its way when the state was taken is told again too

log = structlog.get_logger("resuming")


class StateKeeper:
    """Keeps the state of one engine, and of the controller beside it, in one file of the data folder."""

    def __init__(
        self,
        engine: Engine,
        control: ControlLink,
        history: History | None,
        path: Path,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.counters = {"states_saved": 0.0, "state_failures": 0.0, "state_seconds": 0.0, "state_answers_late": 0.0}
        self.gauges = {"state_bytes": 0.0, "state_capture_seconds": 0.0}
        self.resumed_s: float | None = None  # of which moment the state is that was taken up
        self.engine, self.history = engine, history
        self._control = control
        self._path, self._clock = path, clock
        self._feed: tuple[Network | None, str] = (None, "")
        self._asked = asyncio.Event()
        self._waiting: list[asyncio.Future[None]] = []
        self._busy = asyncio.Lock()

    # -- at the start ----------------------------------------------------------------------------------------------

    def recall(self) -> None:
        """Take up the state of the process before, before the first tick; one that cannot be used is told of once."""
        try:
            state = from_bytes(self._path.read_bytes(), self._fingerprint(), self._clock())
            resume(self.engine, state)
        except FileNotFoundError:
            return
        except OutOfDateError as error:
            alarms = self.engine.desk.resume_alarms(error.state.facts.alerts, self._clock())
            log.warning("state_not_used", file=str(self._path), reason=str(error), alarms_kept=alarms)
            return
        except (OSError, ValueError) as error:
            log.warning("state_not_used", file=str(self._path), reason=str(error))
            return
        facts = state.facts
        if facts.control is not None:
            self._control.controller.resume(facts.control)
        if self.history is not None:
            for decision in facts.decisions:
                self.history.decide(decision)
        self.resumed_s = state.as_of_s
        log.info("state_taken_up", vehicles=len(facts.key), age_s=round(self._clock() - state.as_of_s, 1))

    async def catch_up(self, links: Links) -> None:
        """Hear again what the gateway has told since the state was taken; before the first tick as well."""
        if self.resumed_s is None:
            return
        controller, now_s = self._control.controller, self._clock()
        missed = Missed(self.engine, self.resumed_s)

        def take(subject: str, data: bytes) -> None:
            if subject == FIXES:
                missed.fixes(mapping.decode_fixes(data))
            elif subject == EVENTS:
                event = msgspec.msgpack.decode(data)
                missed.event(event)
                controller.event(event, now_s)
            else:
                controller.progress(*decode_progress(data), now_s)

        heard = await hear_again(links, self.resumed_s - TOLD_AGAIN_S, take)
        await asyncio.to_thread(missed.fold, self._clock())
        log.info("told_again", messages=heard)

    # -- while it runs ---------------------------------------------------------------------------------------------

    async def run(self, service: DispatchService) -> None:
        """Write the state now and then, and whenever it is asked for; ends by cancellation."""
        wait_s = SAVED_EVERY_S
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._asked.wait()
            began = time.perf_counter()
            await self.save(service)
            took_s = time.perf_counter() - began
            wait_s = max(SAVED_EVERY_S, took_s / BUSY_SHARE)
            await asyncio.sleep(min(3 * took_s, ANSWERED_S_MAX / 2))  # who asks all the time gets a quarter of it

    async def save(self, service: DispatchService) -> None:
        """Write the state as it stands; where that fails it is told, and the one before stays."""
        async with self._busy:
            self._asked.clear()
            waiting, self._waiting = self._waiting, []
            began = time.perf_counter()
            state, feed = await service.between_ticks(self._capture)
            try:
                size = await asyncio.to_thread(self._write, state, feed)
                self.gauges["state_bytes"] = float(size)
                self.counters["states_saved"] += 1
            except OSError as error:
                if not self.counters["state_failures"]:
                    log.warning("state_not_saved", file=str(self._path), error=str(error))
                self.counters["state_failures"] += 1
            self.counters["state_seconds"] += time.perf_counter() - began
            service.gauges.update(self.gauges)
            for one in waiting:
                if not one.done():
                    one.set_result(None)

    def soon(self) -> None:
        """Have the state written at once: something has come that must not be lost."""
        self._asked.set()

    async def decided(self) -> None:
        """Have what a person has just decided written down; returns when it is, or when that takes too long."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(done)
        self._asked.set()
        try:
            async with asyncio.timeout(ANSWERED_S_MAX):
                await done
        except TimeoutError:
            self.counters["state_answers_late"] += 1

    def _capture(self) -> tuple[State, str]:
        began = time.perf_counter()
        undecided = self.history.undecided() if self.history is not None else []
        state = capture(self.engine, self._clock(), self._control.controller.memory(), undecided)
        self.gauges["state_capture_seconds"] = time.perf_counter() - began
        return state, self._fingerprint()

    def _write(self, state: State, feed: str) -> int:
        data = to_bytes(state, feed)
        write_private(self._path, data)
        return len(data)

    def _fingerprint(self) -> str:
        network = self.engine.network
        if self._feed[0] is not network:
            self._feed = network, fingerprint(network)
        return self._feed[1]


@asynccontextmanager
async def kept_state(keeper: StateKeeper, service: DispatchService) -> AsyncIterator[None]:
    """The state is written while this lasts, and once more at its end."""
    task: asyncio.Task[Any] = asyncio.create_task(keeper.run(service), name="state")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        with contextlib.suppress(asyncio.CancelledError):
            await keeper.save(service)
