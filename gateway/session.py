"""One MQTT connection driven by the asyncio loop: paho's sockets on the loop's selector, reconnects, acks, counters.

Only connecting happens elsewhere: name look-up, TCP and TLS handshakes of paho block, so they run in a worker thread
while nothing else touches the client. A message id belongs to the connection on which it came, so every message carries
its connection's number and an acknowledgement for an earlier one is dropped: the broker sends that message again.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import ssl
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode

from gateway.client import make_client
from gateway.config import Broker
from gateway.message import Message, cut

READING_S_MAX: Final = 0.001  # then others have their turn: answers to what came before, the other connections
SHORT_LIFE_S: Final = 30.0
FLAPPING_LIVES: Final = 3
FLAPPING_WINDOW_S: Final = 120.0
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
        self._rng = rng or random.Random()  # noqa: S311 - jitter, not a secret
        self._client = make_client(settings.broker, settings.client_id, settings.clean, settings.connect_timeout_s)
        self._client.max_inflight_messages_set(settings.inflight_max)
        self._client.max_queued_messages_set(settings.queued_max)
        self._client.connect_async(settings.broker.host, settings.broker.port, settings.broker.keepalive_s)
        self._client.on_connect = self._connected
        self._client.on_subscribe = self._subscribed
        self._client.on_message = self._received
        self._client.on_publish = self._published
        self._client.on_socket_close = self._socket_closed
        self._client.on_socket_register_write = self._want_write
        self._client.on_socket_unregister_write = self._written
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._closed = asyncio.Event()
        self._connecting = False
        self._paused = False
        self._open = False  # from CONNACK on: an old session's messages may come before its subscriptions are renewed
        self._packets = 0
        self._unsent = 0
        self._on_ack: dict[int, Callable[[], None]] = {}  # by message id: what is sent again keeps its own
        self._watched: int | None = None  # the file descriptor on the selector
        self._refused = "not connected yet"
        self._fault: Exception | None = None  # of who takes our messages
        self._short_lives: deque[float] = deque(maxlen=FLAPPING_LIVES)

    async def __aenter__(self) -> Session:
        self._loop = asyncio.get_running_loop()
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
        if self._paused:
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
        lives, now = self._short_lives, self._now()
        return len(lives) == FLAPPING_LIVES and now - lives[0] < FLAPPING_WINDOW_S

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
        if not self._paused:
            self._paused = True
            self.counters["pauses"] += 1
            if self._loop is not None and self._watched is not None:
                self._loop.remove_reader(self._watched)

    def resume(self) -> None:
        """Read again."""
        if self._paused:
            self._paused = False
            if self._loop is not None and self._watched is not None:
                self._loop.add_reader(self._watched, self._readable)
                self._loop.call_soon(self._readable)

    async def _keep_up(self) -> None:
        failures = 0
        while True:
            began_s = self._now()
            lived = await self._live()
            if self._fault is not None:
                raise self._fault
            if lived and self._now() - began_s < SHORT_LIFE_S:
                self._short_lives.append(self._now())
                self.counters["short_lives"] += 1
            failures = 0 if lived and not self.flapping else failures + 1
            ceiling_s = min(self.settings.reconnect_s_max, self.settings.reconnect_s_min * 2.0 ** min(failures, 16))
            await asyncio.sleep(self._rng.uniform(ceiling_s / 2, ceiling_s))

    async def _live(self) -> bool:
        """One connection from its beginning to its end; whether it ever was ready."""
        self._closed.clear()
        self._connecting = True
        self._client.forget_bytes()
        self.counters["connects"] += 1
        try:
            await _uninterrupted(asyncio.to_thread(self._client.reconnect))
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            self._refused = f"{self.settings.broker.host}:{self.settings.broker.port}: {error}"
            self.counters["connect_failures"] += 1
            self._short_lives.clear()  # the broker itself is away: nobody took our place
            return False
        finally:
            self._connecting = False
        self._watch()
        lived = False
        try:
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
            finally:
                granted.cancel()
                closed.cancel()
        finally:
            self._drop()
        return lived

    async def _watch_over(self) -> None:
        """Keep-alive once a second until the connection ends; raises nothing."""
        while not self._closed.is_set():
            try:
                async with asyncio.timeout(1.0):
                    await self._closed.wait()
            except TimeoutError:
                self._client.loop_misc()

    def _watch(self) -> None:
        sock: Any = self._client.socket()
        if sock is None or self._loop is None:
            self._closed.set()
            return
        # A verdict and its PUBACK are two small writes: the second must not wait 40 ms for the first's acknowledgement.
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._watched = sock.fileno()
        if not self._paused:
            self._loop.add_reader(self._watched, self._readable)
        if self._client.want_write():
            self._loop.add_writer(self._watched, self._writable)

    def _drop(self) -> None:
        """Let go of the connection, whatever state it is in."""
        was_ready = self._ready.is_set()
        self._ready.clear()
        self._open = False
        self.generation += 1  # what still waits for its acknowledgement belongs to a connection that is gone
        self._unsent = 0
        self._unwatch()
        sock = self._client.socket()
        if sock is not None:
            sock.close()
        if was_ready:
            self._refused = "connection lost"
            self.counters["disconnects"] += 1

    def _unwatch(self) -> None:
        if self._watched is not None and self._loop is not None:
            self._loop.remove_reader(self._watched)
            self._loop.remove_writer(self._watched)
        self._watched = None

    def _readable(self) -> None:
        """Read until nothing is left or others should have their turn."""
        client = self._client
        until_s = time.perf_counter() + READING_S_MAX
        while time.perf_counter() < until_s:
            if self._watched is None or self._paused:
                return
            before = self._packets
            try:
                client.loop_read()
            except Exception as error:
                self._fault = error
                self._closed.set()
                return
            if before == self._packets and not self._hidden():
                return
        # The selector calls again for what is in the socket, but knows nothing of what has left it.
        if self._loop is not None and self._hidden():
            self._loop.call_soon(self._readable)

    def _hidden(self) -> bool:
        """Whether bytes wait that have left the kernel's socket: in our buffer, or decrypted by TLS."""
        sock = self._client.socket()
        return self._client.holds_bytes or (isinstance(sock, ssl.SSLSocket) and sock.pending() > 0)

    def _writable(self) -> None:
        self._client.write_together()
        if self._watched is None or self._loop is None:
            return
        # paho lets go of the selector when its own queue is empty, and knows nothing of our buffer.
        if self._client.has_unwritten():
            self._loop.add_writer(self._watched, self._writable)
        else:
            self._loop.remove_writer(self._watched)

    def _want_write(self, _client: paho.Client, _data: Any, _sock: Any) -> None:
        if not self._connecting and self._loop is not None and self._watched is not None:
            self._loop.add_writer(self._watched, self._writable)

    def _written(self, _client: paho.Client, _data: Any, _sock: Any) -> None:
        if not self._connecting and self._loop is not None and self._watched is not None:
            self._loop.remove_writer(self._watched)

    def _socket_closed(self, _client: paho.Client, _data: Any, sock: Any) -> None:
        if not self._connecting:
            self._client.flush_to(sock)  # paho closes as soon as it has handed over its DISCONNECT
            self._unwatch()
            self._closed.set()

    def _connected(self, client: paho.Client, _data: Any, _flags: Any, code: Any, _properties: Any) -> None:
        self._packets += 1
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
        self._packets += 1
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
        self._packets += 1
        size = len(message.payload) + self._client.skimmed
        self._on_message(cut(message, size), self.generation)

    def _published(self, _client: paho.Client, _data: Any, mid: int, _code: Any, _properties: Any) -> None:
        self._packets += 1
        self._unsent = max(0, self._unsent - 1)
        on_ack = self._on_ack.pop(mid, None) if self._on_ack else None
        if on_ack is not None:
            on_ack()

    def _now(self) -> float:
        return self._loop.time() if self._loop is not None else 0.0


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
