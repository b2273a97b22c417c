"""Positions and events on their way in: on arrival a message is only appended; a flush decodes, judges and hands on.

A flush takes what came within a few milliseconds, so that decoding, admission and columns cost once a batch. When more
comes than can be looked at, the oldest messages are dropped and counted: the newest position wins.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple
from zoneinfo import ZoneInfo

from gateway import topics, wire
from gateway.admission import Memory, admit
from gateway.batch import FixBatch, build
from gateway.clocks import LATELY_S, Clocks
from gateway.config import GatewaySettings
from gateway.hfp import decode_hfp
from gateway.letters import Letters
from gateway.message import Message, size_of
from gateway.position import Position
from gateway.protobuf import decode_any_position
from gateway.refusal import Reason, Refusal

BAD_TOPIC = Refusal(Reason.BAD_TOPIC)
TOPICS_CACHED_MAX = 400_000


class Decoded(NamedTuple):
    """One message as a profile decodes it: from whom (None: nobody we know), and a value or why there is none."""

    key: str | None
    value: Position | wire.Status | Refusal | None
    fleet: topics.Fleet = "fleet"


Profile = Callable[[str, bytes], Decoded]


class TaktProfile:
    """The contract's own topics: JSON or GTFS-Realtime positions, and status of vehicles and validators."""

    def __init__(self) -> None:
        self._vehicles: dict[str, str] = {}  # position topic to vehicle key: most of what comes

    def __call__(self, topic: str, payload: bytes) -> Decoded:
        """Decode one message."""
        key = self._vehicles.get(topic)
        if key is not None:
            return Decoded(key, decode_any_position(payload))
        address = topics.parse(topic)
        if address is None:
            return Decoded(None, BAD_TOPIC)
        if address.kind == "position":
            if len(self._vehicles) >= TOPICS_CACHED_MAX:
                self._vehicles.clear()
            self._vehicles[topic] = address.key
            return Decoded(address.key, decode_any_position(payload))
        if not payload:  # a retained status that somebody cleared
            return Decoded(address.key, None)
        return Decoded(address.key, wire.decode_status(payload), address.fleet)


class HfpProfile:
    """HFP v2 of another broker; `zone` is that of its operating days."""

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone

    def __call__(self, topic: str, payload: bytes) -> Decoded:
        """Decode one message."""
        address = topics.parse_hfp(topic)
        if address is None:
            return Decoded(None, BAD_TOPIC)
        return Decoded(address.key, decode_hfp(address, payload, self._zone))


@dataclass(frozen=True, slots=True)
class Listeners:
    """Who gets what the intakes let in; none of these may block."""

    fixes: Callable[[FixBatch], None]
    vehicle_event: Callable[[wire.VehicleEvent], None]
    validator_event: Callable[[wire.ValidatorEvent], None]


class FixIntake:
    """The positions session's inbox, shared by all sources of positions."""

    def __init__(
        self,
        settings: GatewaySettings,
        listeners: Listeners,
        letters: Letters,
        counts: Counter[str],
        clock: Callable[[], float],
    ) -> None:
        self.memory = Memory(settings.vehicles_max)
        self.clocks = Clocks()
        self.limits = settings.limits
        self._settings = settings
        self._listeners = listeners
        self._letters = letters
        self._counts = counts
        self._clock = clock
        self._queue: deque[tuple[Profile, str, bytes, int]] = deque(maxlen=settings.fixes_queued_max)
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._queue)

    def receiver(self, profile: Profile) -> Callable[[Message, int], None]:
        """What a session calls with each message of a source that speaks `profile`."""
        queue, wake, counts = self._queue, self._wake, self._counts

        def receive(message: Message, _generation: int) -> None:
            try:
                topic = message.topic
            except UnicodeDecodeError:  # MQTT forbids it, and a broker that lets it pass names no device
                counts["dead_letters.bad_topic"] += 1
                return
            if len(queue) == queue.maxlen:
                counts["positions_dropped"] += 1
            # Only bytes are kept: paho's message is a dozen objects, cheap to let go at once and dear to keep.
            queue.append((profile, topic, bytes(message.payload), size_of(message)))
            wake.set()

        return receive

    def disputed_clocks(self) -> tuple[list[float], int]:
        """By how many seconds clocks that are not put right are ahead of ours, and how many vehicles agree with us."""
        now_s = self._clock()
        heard = self.memory.heard(now_s - LATELY_S, now_s + self.limits.future_s)
        return self.clocks.disputed(now_s), max(0, heard - self.clocks.wrong(now_s))

    async def run(self) -> None:
        """Flush a moment after the first message came, for ever."""
        while True:
            await self._wake.wait()
            await asyncio.sleep(self._settings.flush_s)
            self._wake.clear()
            while self._queue:
                self.flush()
                await asyncio.sleep(0)

    def flush(self) -> None:
        """Decode, judge and hand on one batch of what is queued."""
        now_s = self._clock()
        keys: list[str] = []
        fixes: list[Position] = []
        number = min(len(self._queue), self._settings.flush_fixes_max)
        pop = self._queue.popleft
        for _ in range(number):
            profile, topic, payload, size = pop()
            decoded = profile(topic, payload)
            key, value, _ = decoded
            if type(value) is Position and key is not None:
                keys.append(key)
                fixes.append(value)
            else:
                self._take_other(decoded, topic, payload, size, now_s)
        self._counts["messages_received"] += number
        self._counts["positions_received"] += len(fixes)
        if fixes:
            self._judge(self._put_right(build(keys, fixes, now_s), now_s), now_s)

    def _put_right(self, batch: FixBatch, now_s: float) -> FixBatch:
        """The batch with times by our clock where a device's is known to be wrong, which is passed on as an event."""

        def heard() -> int:
            return self.memory.heard(now_s - LATELY_S, now_s + self.limits.future_s)

        righted = self.clocks.put_right(batch.vehicle_key, batch.ts_s, now_s, self.limits, heard)
        for key, off_s in righted.news:
            self._listeners.vehicle_event(wire.VehicleEvent(key, now_s, now_s, "clock", clock_off_s=off_s))
        if not righted.changed.any():
            return batch
        self._counts["positions_put_right"] += int(righted.changed.sum())
        return batch.at_times(righted.ts_s)

    def _judge(self, batch: FixBatch, now_s: float) -> None:
        admission = admit(batch, self.memory, now_s, self.limits)
        admitted = batch.where(admission.mask)
        for outcome, number in admission.counts().items():
            if outcome in ("admitted", "late"):
                self._counts["positions_admitted"] += number
            if outcome != "admitted":
                self._counts["positions_late" if outcome == "late" else f"positions_rejected.{outcome}"] += number
        if len(admitted):
            self._listeners.fixes(admitted)

    def _take_other(self, decoded: Decoded, topic: str, payload: bytes, size: int, now_s: float) -> None:
        """Make a dead letter of what was refused, and an event of a device's status."""
        match decoded.value:
            case Refusal():
                self._letters.take(decoded.key or "", topic, payload, decoded.value, now_s, size)
            case wire.Status() if decoded.fleet == "fleet":
                event = wire.VehicleEvent(
                    decoded.key or "", now_s, now_s, "online" if decoded.value.online else "offline"
                )
                self._counts["vehicle_status"] += 1
                self._listeners.vehicle_event(event)
            case wire.Status():
                kind = "online" if decoded.value.online else "offline"
                self._counts["validator_status"] += 1
                self._listeners.validator_event(wire.ValidatorEvent(decoded.key or "", now_s, now_s, kind))
            case _:
                pass


class EventIntake:
    """Events of vehicles and validators: handed on at once, one by one; there are few."""

    def __init__(
        self, listeners: Listeners, letters: Letters, counts: Counter[str], clock: Callable[[], float]
    ) -> None:
        self._listeners = listeners
        self._letters = letters
        self._counts = counts
        self._clock = clock

    def take(self, topic: str, payload: bytes, size: int) -> None:
        """Hand on one event, or make a dead letter of it; `size` is of the payload as it came."""
        now_s = self._clock()
        address = topics.parse(topic)
        if address is None or address.kind != "event":
            self._letters.take("", topic, payload, BAD_TOPIC, now_s, size)
        elif address.fleet == "fleet":
            event = wire.decode_vehicle_event(payload, address.key, now_s)
            if isinstance(event, Refusal):
                self._letters.take(address.key, topic, payload, event, now_s, size)
                return
            self._counts[f"vehicle_events.{event.event}"] += 1
            self._listeners.vehicle_event(event)
        else:
            report = wire.decode_validator_event(payload, address.key, now_s)
            if isinstance(report, Refusal):
                self._letters.take(address.key, topic, payload, report, now_s, size)
                return
            self._counts["validator_events"] += 1
            self._listeners.validator_event(report)
