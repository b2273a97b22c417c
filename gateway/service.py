"""The gateway: entering it connects to the brokers, leaving it drains what is under way.

Positions and taps have a connection each: on one socket taps would wait behind positions. Positions come on a clean
session with QoS 0, so nothing piles up for us while we are away; taps on a persistent one and are acknowledged by hand,
after ticketing has committed them. Answers go down the taps' connection, so a verdict precedes its acknowledgement.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any
from zoneinfo import ZoneInfo

from gateway import topics
from gateway.batch import FixBatch
from gateway.clock_words import clock_warning
from gateway.config import Broker, GatewaySettings, Source
from gateway.intake import EventIntake, FixIntake, HfpProfile, Listeners, Profile, TaktProfile
from gateway.letters import Letters
from gateway.message import Message, size_of
from gateway.outbox import Outbox, tell_nobody
from gateway.refusal import DeadLetter
from gateway.session import Session, SessionSettings
from gateway.taps import TapIntake
from gateway.wire import Answer, Instruction, Tap, ValidatorEvent, VehicleEvent

TWO_GATEWAYS = (
    "two gateways with one name put each other out: look for another `takt run` or `takt run gateway` on this data "
    "folder or a copy of it and stop one; a second instance gets a folder of its own (takt restore), not a copied one"
)
DRAIN_S = 3.0
FAILING_S_TOLERATED = 3.0
# Topic filters with their QoS.
POSITION_SUBSCRIPTIONS = ((topics.POSITIONS, 0), (topics.VEHICLE_STATUS, 0), (topics.VALIDATOR_STATUS, 0))
TAP_SUBSCRIPTIONS = ((topics.TAPS, 1), (topics.VEHICLE_EVENTS, 1), (topics.VALIDATOR_EVENTS, 1))


def _ignore(_event: ValidatorEvent) -> None:
    """Validators' events are counted; whoever wants them passes a function."""


async def _count_nowhere(_unstored: dict[str, int]) -> None:
    """Letters beyond the quota are counted by reason all the same."""


@dataclass(frozen=True, slots=True)
class Seams:
    """To whom the gateway hands on; those that are not coroutines must neither block nor raise.

    `on_instruction` hears an instruction's id, and whether the broker has confirmed it or it will not be sent.
    `validate` returns one answer a tap, in order, after all of them are committed; if it raises, nothing is
    acknowledged and all is tried again. `store_dead_letters` returns once they are stored; `count_dead_letters`
    hears how many more of "<operator>/<device>" were counted and not stored.
    """

    on_fixes: Callable[[FixBatch], None]
    on_event: Callable[[VehicleEvent], None]
    validate: Callable[[list[Tap]], Awaitable[list[Answer]]]
    store_dead_letters: Callable[[list[DeadLetter]], Awaitable[None]]
    on_validator_event: Callable[[ValidatorEvent], None] = _ignore
    on_instruction: Callable[[str, bool], None] = tell_nobody
    count_dead_letters: Callable[[dict[str, int]], Awaitable[None]] = _count_nowhere


class Gateway:
    """Vehicles and validators of one main broker, and positions of any number of others."""

    def __init__(self, settings: GatewaySettings, seams: Seams, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._clock = clock
        self._counts: Counter[str] = Counter()
        self._letters = Letters(settings, seams.store_dead_letters, self._counts)
        self._count_letters = seams.count_dead_letters
        listeners = Listeners(seams.on_fixes, seams.on_event, seams.on_validator_event)
        self._fixes = FixIntake(settings, listeners, self._letters, self._counts, clock)
        self._events = EventIntake(listeners, self._letters, self._counts, clock)
        positions = self._session("positions", settings.broker, POSITION_SUBSCRIPTIONS)
        taps = self._session("taps", settings.broker, TAP_SUBSCRIPTIONS, clean=False)
        self._positions = Session(positions, self._fixes.receiver(TaktProfile()))
        self._answers = Session(taps, self._received)
        self._outbox = Outbox(self._answers, settings.publish_queued_max, self._counts, clock, seams.on_instruction)
        self._taps = TapIntake(
            settings, seams.validate, outbox=self._outbox, letters=self._letters, counts=self._counts, clock=clock
        )
        self._taps.attach(self._answers)
        self._answers.on_ready = self._outbox.drain
        self._sources = [
            Session(
                self._session(f"source-{number}", source.broker, ((source.filter, 0),)),
                self._fixes.receiver(_profile(source)),
            )
            for number, source in enumerate(settings.sources)
        ]
        self._stack = AsyncExitStack()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Gateway:
        group = await self._stack.enter_async_context(asyncio.TaskGroup())
        work = {
            "gateway fixes": self._fixes.run(),
            "gateway taps": self._taps.run(),
            "gateway receipts": self._taps.send_receipts(),
            "gateway dead letters": self._letters.run(),
            "gateway letters unstored": self._letters.tell_unstored(self._count_letters),
        }
        self._tasks = [group.create_task(job, name=name) for name, job in work.items()]
        try:
            sessions = (self._positions, self._answers, *self._sources)
            await asyncio.gather(*(self._stack.enter_async_context(session) for session in sessions))
            for session in sessions:
                name = f"gateway {session.settings.client_id}"
                self._tasks.append(group.create_task(session.failed(), name=name))
        except BaseException:
            self._cancel()
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._taps.drain(DRAIN_S)
        self._cancel()
        await self._stack.__aexit__(kind, error, trace)

    def send_instruction(self, vehicle_key: str, instruction: Instruction) -> bool:
        """Send or queue an instruction to `<operator>/<vehicle>`; False where it could not be taken."""
        return self._outbox.instruct(vehicle_key, instruction)

    def publish_lists(self, operator: str, lists: dict[str, Any]) -> bool:
        """Tell all validators of an operator where keys and lists are; False where it could not be taken."""
        return self._outbox.lists(operator, lists)

    def use_bounds(self, bounds: tuple[float, float, float, float] | None) -> None:
        """Judge positions by another map from now on: south, west, north, east in degrees."""
        self._fixes.limits = replace(self._fixes.limits, bounds=bounds)

    @property
    def stats(self) -> dict[str, float]:
        """Counters and gauges by name; `name.label` is one label's share of `name`.

        Gauges: vehicles_known, vehicles_clock_wrong, vehicles_clock_disputed, positions_queued, taps_held,
        receipts_due, sessions_connected; all else only rises.
        """
        sessions = (self._positions, self._answers, *self._sources)
        connections: Counter[str] = Counter()
        for session in sessions:
            connections.update({f"mqtt_{name}": number for name, number in session.counters.items()})
        return {
            **self._counts,
            **connections,
            "vehicles_evicted": self._fixes.memory.evicted,
            "vehicles_known": len(self._fixes.memory),
            "vehicles_clock_wrong": self._fixes.clocks.wrong(self._clock()),
            "vehicles_clock_disputed": len(self._fixes.clocks.disputed(self._clock())),
            "clocks_forgotten": self._fixes.clocks.forgotten,
            "positions_queued": len(self._fixes),
            "taps_held": len(self._taps),
            "receipts_due": len(self._taps.receipts),
            "sessions_connected": sum(session.connected for session in sessions),
        }

    def healthy(self) -> list[str]:
        """Why work is impossible, in sentences; empty when it is possible."""
        reasons = [*self._positions.reasons(), *self._answers.reasons()]
        if self._positions.flapping or self._answers.flapping:
            reasons.append(TWO_GATEWAYS)
        since_s = self._taps.failing_since_s
        if since_s is not None and self._clock() - since_s > FAILING_S_TOLERATED:
            reasons.append(f"taps have not been judged for {self._clock() - since_s:.0f} s: {self._taps.failing_with}")
        return reasons

    def away(self) -> list[str]:
        """Which sources of positions are away, and why."""
        return [reason for session in self._sources for reason in session.reasons()]

    def warnings(self) -> list[str]:
        """What is amiss although the main broker's devices are served: sources that are away, clocks that disagree."""
        disputed = clock_warning(*self._fixes.disputed_clocks(), self._clock())
        return [*self.away(), *([disputed] if disputed else [])]

    def _received(self, message: Message, generation: int) -> None:
        """A message of the taps' session: a tap waits its turn, an event does not wait behind taps."""
        try:
            topic = message.topic
        except UnicodeDecodeError:
            self._counts["dead_letters.bad_topic"] += 1
            self._answers.ack(message.mid, generation)
            return
        if topic.endswith("/tap"):
            self._taps.receive(message, generation)
        else:
            self._events.take(topic, bytes(message.payload), size_of(message))
            self._answers.ack(message.mid, generation)

    def _cancel(self) -> None:
        for task in self._tasks:
            task.cancel()

    def _session(
        self, role: str, broker: Broker, subscriptions: tuple[tuple[str, int], ...], *, clean: bool = True
    ) -> SessionSettings:
        """The settings of one session; role is the end of its client id."""
        settings = self._settings
        return SessionSettings(
            broker,
            f"{settings.client_id}-{role}",
            clean,
            subscriptions,
            settings.connect_timeout_s,
            settings.reconnect_s_min,
            settings.reconnect_s_max,
            queued_max=settings.publish_queued_max,
        )


def _profile(source: Source) -> Profile:
    return HfpProfile(ZoneInfo(source.timezone)) if source.profile == "hfp" else TaktProfile()
