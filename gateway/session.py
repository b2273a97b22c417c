"""One MQTT connection that keeps itself up: granted, lost and sought again, its messages and acknowledgements.

Only connecting happens elsewhere: name look-up, TCP and TLS handshakes of paho block, so they run in a worker thread
while nothing else touches the client. A message id belongs to the connection on which it came, so every message carries
its connection's number and an acknowledgement for an earlier one is dropped: the broker sends that message again.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode

from gateway.backoff import FLAPPING_LIVES, FLAPPING_WINDOW_S, Backoff
from gateway.client import make_client
from gateway.config import Broker
from gateway.loop_socket import LoopSocket
from gateway.message import Message, cut

GOODBYE_S: Final = 1.0
SUBACK_FAILURE: Final = 0x80

OnMessage = Callable[[Message, int], None]


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """Who connects where, as what, for which topics."""

    broker: Broker
    client_id: str
    clean: bool
    subscriptions: tuple[tuple[str, int], ...]  # topic filter, QoS
    connect_timeout_s: float = 5.0
    reconnect_s_min: float = 0.2
    reconnect_s_max: float = 10.0
    inflight_max: int = 512  # QoS 1 publishes without their PUBACK
    queued_max: int = 10_000  # publishes not yet written or, with QoS 1, not yet acknowledged


class Session:
    """A connection that keeps itself up between entering and leaving; `on_message` gets the message and `generation`.

    If `on_message` raises, the session ends and `failed()` raises the same.
    Entering returns once the broker has granted the session and its subscriptions, or after `connect_timeout_s`: a
    broker that is away then is what `reasons()` says, not an exception.
    """

    def __init__(self, settings: SessionSettings, on_message: OnMessage, rng: random.Random | None = None) -> None:
        self.settings = settings
        self.generation = 0
        self.counters: Counter[str] = Counter()
        self.on_ready: Callable[[], None] = lambda: None
        self._on_message = on_message
        jitter = rng or random.Random()  # noqa: S311 - not a secret
        self._backoff = Backoff(settings.reconnect_s_min, settings.reconnect_s_max, jitter)
        self._client = make_client(settings.broker, settings.client_id, settings.clean, settings.connect_timeout_s)
        self._client.max_inflight_messages_set(settings.inflight_max)
        self._client.max_queued_messages_set(settings.queued_max)
        self._client.connect_async(settings.broker.host, settings.broker.port, settings.broker.keepalive_s)
        self._client.on_connect = self._connected
        self._client.on_subscribe = self._subscribed
        self._client.on_message = self._received
        self._client.on_publish = self._published
        self._client.on_socket_close = self._socket_closed
        self._socket = LoopSocket(self._client, self._end_by)
        self._task: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._closed = asyncio.Event()
        self._connecting = False
        self._open = False  # from CONNACK on: an old session's messages may come before its subscriptions are renewed
        self._unsent = 0
        self._on_ack: dict[int, Callable[[], None]] = {}  # by message id: what is sent again keeps its own
        self._refused = "not connected yet"
        self._fault: Exception | None = None  # of who takes our messages

    async def __aenter__(self) -> Session:
        self._task = asyncio.create_task(self._keep_up(), name=f"mqtt {self.settings.client_id}")
        ready = asyncio.create_task(self._ready.wait(), name="mqtt ready")
        await asyncio.wait({ready, self._task}, timeout=self.settings.connect_timeout_s, return_when="FIRST_COMPLETED")
        ready.cancel()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.connected:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GOODBYE_S):
                    while self._client.has_unwritten():  # noqa: ASYNC110 - paho tells nobody
                        await asyncio.sleep(0.001)
                    self._client.disconnect()
                    await self._closed.wait()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        self._drop()

    async def failed(self) -> None:
        """Return never, but raise what broke the connection's keeper: a fault of ours, not of the network."""
        if self._task is not None:
            await asyncio.shield(self._task)

    @property
    def connected(self) -> bool:
        """Whether session and subscriptions are granted."""
        return self._ready.is_set()

    def reasons(self) -> list[str]:
        """Why this session cannot work, in sentences; empty when it can."""
        name = f"MQTT session {self.settings.client_id}"
        reasons = [] if self.connected else [f"{name}: {self._refused}"]
        if self._socket.paused:
            reasons.append(f"{name}: is not read, since too much of what came waits")
        if self.flapping:
            reasons.append(
                f"{name}: the broker ended it {FLAPPING_LIVES} times within {FLAPPING_WINDOW_S:.0f} s; "
                "is another gateway running with the same client id?"
            )
        return reasons

    @property
    def flapping(self) -> bool:
        """Whether the session was granted and lost again and again: two clients with one id evict each other."""
        return self._backoff.flapping(time.monotonic())

    def ack(self, mid: int, generation: int) -> bool:
        """Acknowledge a QoS 1 message; False where its connection is gone and the broker will send it again.

        What a device sent with QoS 0 has no id: nobody waits for its acknowledgement, and a broker ends the connection
        of who sends one (MQTT 3.1.1, section 2.3.1).
        """
        if not mid:
            return True
        if generation != self.generation:
            self.counters["acks_too_late"] += 1
            return False
        self._client.ack(mid, 1)
        return True

    def publish(
        self,
        topic: str,
        payload: bytes,
        qos: int = 0,
        retain: bool = False,
        on_ack: Callable[[], None] | None = None,
    ) -> bool:
        """Hand a message to the connection; False where there is none or its bounded queue is full.

        `on_ack` is called when the broker has confirmed it (QoS 1), be it after a reconnect.
        """
        if not self._open or self._unsent >= self.settings.queued_max:
            return False
        info = self._client.publish(topic, payload, qos, retain)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            return False
        self._unsent += 1
        if on_ack is not None:
            self._on_ack[info.mid] = on_ack
            if len(self._on_ack) > self.settings.queued_max:
                del self._on_ack[next(iter(self._on_ack))]
        return True

    def pause(self) -> None:
        """Read no more: the broker, and behind it the devices, feel it through TCP."""
        if self._socket.pause():
            self.counters["pauses"] += 1

    def resume(self) -> None:
        """Read again."""
        self._socket.resume()

    async def _keep_up(self) -> None:
        while True:
            began_s = time.monotonic()
            lived = await self._live()
            if self._fault is not None:
                raise self._fault
            if not lived:
                self._backoff.failed()
            elif self._backoff.lived(began_s, time.monotonic()):
                self.counters["short_lives"] += 1
            await asyncio.sleep(self._backoff.pause_s())

    async def _live(self) -> bool:
        """One connection from its beginning to its end; whether it ever was ready."""
        self._closed.clear()
        if not await self._connect():
            return False
        if not self._socket.watch():
            self._closed.set()
        granted = asyncio.create_task(self._ready.wait())
        closed = asyncio.create_task(self._closed.wait())
        try:
            await asyncio.wait(
                {granted, closed}, timeout=self.settings.connect_timeout_s, return_when="FIRST_COMPLETED"
            )
            lived = self._ready.is_set()
            if lived:
                await self._watch_over()
            elif not self._closed.is_set():
                self._refused = "the broker does not answer"
            return lived
        finally:
            granted.cancel()
            closed.cancel()
            self._drop()

    async def _connect(self) -> bool:
        """Reach the broker and send CONNECT, in a thread; False where that fails."""
        self._connecting = True
        self._client.forget_bytes()
        self.counters["connects"] += 1
        try:
            await _uninterrupted(asyncio.to_thread(self._client.reconnect))
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            self._refused = f"{self.settings.broker.host}:{self.settings.broker.port}: {error}"
            self.counters["connect_failures"] += 1
            self._backoff.broker_away()
            return False
        finally:
            self._connecting = False
        return True

    async def _watch_over(self) -> None:
        """Keep-alive once a second until the connection ends; raises nothing."""
        while not self._closed.is_set():
            try:
                async with asyncio.timeout(1.0):
                    await self._closed.wait()
            except TimeoutError:
                self._client.loop_misc()

    def _drop(self) -> None:
        """Let go of the connection, whatever state it is in."""
        was_ready = self._ready.is_set()
        self._ready.clear()
        self._open = False
        self.generation += 1  # what still waits for its acknowledgement belongs to a connection that is gone
        self._unsent = 0
        self._socket.unwatch()
        sock = self._client.socket()
        if sock is not None:
            sock.close()
        if was_ready:
            self._refused = "connection lost"
            self.counters["disconnects"] += 1

    def _socket_closed(self, _client: paho.Client, _data: Any, sock: Any) -> None:
        if not self._connecting:
            self._client.flush_to(sock)  # paho closes as soon as it has handed over its DISCONNECT
            self._socket.unwatch()
            self._closed.set()

    def _connected(self, client: paho.Client, _data: Any, _flags: Any, code: Any, _properties: Any) -> None:
        self._socket.packets += 1
        if code.is_failure:
            self._refused = f"refused by the broker: {code}"
            self.counters["refusals"] += 1
            return  # paho closes the socket by itself
        self.generation += 1
        self._open = True
        if self.settings.subscriptions:
            client.subscribe(list(self.settings.subscriptions))
        else:
            self._become_ready()

    def _subscribed(self, _client: paho.Client, _data: Any, _mid: int, codes: Any, _properties: Any) -> None:
        self._socket.packets += 1
        refused = [
            topic
            for (topic, _), code in zip(self.settings.subscriptions, codes, strict=False)
            if code.value >= SUBACK_FAILURE
        ]
        if refused:
            self._refused = f"the broker refused the subscription to {', '.join(refused)}"
            self.counters["subscriptions_refused"] += len(refused)
            self._closed.set()
            return
        self._become_ready()

    def _become_ready(self) -> None:
        self._ready.set()
        self.on_ready()

    def _received(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        self._socket.packets += 1
        size = len(message.payload) + self._client.skimmed
        self._on_message(cut(message, size), self.generation)

    def _published(self, _client: paho.Client, _data: Any, mid: int, _code: Any, _properties: Any) -> None:
        self._socket.packets += 1
        self._unsent = max(0, self._unsent - 1)
        on_ack = self._on_ack.pop(mid, None) if self._on_ack else None
        if on_ack is not None:
            on_ack()

    def _end_by(self, fault: Exception) -> None:
        self._fault = fault
        self._closed.set()


async def _uninterrupted(work: Any) -> None:
    """Await `work` to its end even when cancelled meanwhile: a thread cannot be, and it holds the client."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()
        raise
