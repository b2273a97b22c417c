"""Many MQTT devices on one event loop: paho clients driven by the loop itself, without a thread.

paho writes at once when nobody asked to be told about writing, so a publish is one system call; only when the socket
is full does the loop watch it. Connecting never blocks: the loop connects a socket and paho takes it over.
Devices connect at a bounded rate and come back with growing, spread-out pauses.
"""

from __future__ import annotations

import asyncio
import heapq
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import numpy as np
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

OnMessage = Callable[[str, bytes], None]

KEEPALIVE_S = 60
HOUSEKEEPING_S = 5.0
WAITING_TAPS_MAX = 200  # QoS 1 messages of one device between us and the broker


@dataclass(frozen=True, slots=True)
class Broker:
    """Where devices connect, and how fast all of them together may."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    connects_per_s: float = 150.0
    connecting_max: int = 40
    connect_s_max: float = 10.0
    pause_s_first: float = 1.0
    pause_s_max: float = 30.0


@dataclass(slots=True)
class Counters:
    """What happened to all devices together."""

    connects: int = 0
    disconnects: int = 0
    refused: int = 0
    failed: int = 0
    published: int = 0
    unsent: int = 0  # not published: no connection, or too much waiting
    received: int = 0


@dataclass(slots=True)
class Device:
    """One device and its connection, which may be down."""

    username: str
    password: str = field(repr=False)
    subscriptions: tuple[str, ...] = ()
    on_message: OnMessage | None = None
    on_online: Callable[[], None] | None = None
    status_topic: str | None = None
    online: bool = False
    closing: bool = False
    attempts: int = 0
    started_s: float = 0.0
    client: _Client | None = None
    socket: Any = None
    writing: bool = False


class _Client(paho.Client):
    """A paho client on a socket that somebody else has connected."""

    ready: socket.socket | None = None

    def _create_socket_connection(self) -> socket.socket:
        if self.ready is None:
            raise OSError("no connection at hand")
        ready, self.ready = self.ready, None
        return ready


class Devices:
    """All devices of one player. Enter it to begin; leaving it says good-bye for every device."""

    def __init__(self, broker: Broker, rng: np.random.Generator) -> None:
        self.broker = broker
        self.counters = Counters()
        self._rng = rng
        self._loop = asyncio.get_running_loop()
        self._all: list[Device] = []
        self._queue: list[tuple[float, int, Device]] = []
        self._count = 0
        self._wake = asyncio.Event()
        self._connecting: set[asyncio.Task[None]] = set()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks = [
            asyncio.create_task(self._connect_all(), name="devices connect"),
            asyncio.create_task(self._keep_house(), name="devices keep house"),
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in [*self._tasks, *self._connecting]:
            task.cancel()
        await asyncio.gather(*self._tasks, *self._connecting, return_exceptions=True)
        for device in list(self._all):
            self.close(device)

    def open(self, device: Device) -> None:
        """Connect a device as soon as its turn comes, and keep it connected until it is closed."""
        self._all.append(device)
        self._later(device, 0.0)

    def close(self, device: Device) -> None:
        """Say good-bye: offline, retained, then disconnect. Nothing comes from the device afterwards."""
        device.closing = True
        if device.client is not None:
            if device.online and device.status_topic:
                self.publish(device, device.status_topic, b'{"online": false}', qos=0, retain=True)
            device.client.disconnect()
            device.client.loop_write()
            self._drop(device)
        if device in self._all:
            self._all.remove(device)

    def publish(self, device: Device, topic: str, payload: bytes, *, qos: int = 0, retain: bool = False) -> bool:
        """Send one message now; False, and counted, when the device is offline or its socket is full."""
        client = device.client
        if not device.online or client is None or (qos == 0 and device.writing):
            self.counters.unsent += 1
            return False
        sent = client.publish(topic, payload, qos, retain).rc == paho.MQTT_ERR_SUCCESS
        self.counters.published += sent
        self.counters.unsent += not sent
        self._watch(device)
        return sent

    def online(self) -> int:
        """How many devices are connected."""
        return sum(device.online for device in self._all)

    # Connecting.

    def _later(self, device: Device, pause_s: float) -> None:
        self._count += 1
        heapq.heappush(self._queue, (self._loop.time() + pause_s, self._count, device))
        self._wake.set()

    async def _connect_all(self) -> None:
        while True:
            self._wake.clear()
            wait_s = self._queue[0][0] - self._loop.time() if self._queue else None
            if wait_s is None or wait_s > 0 or len(self._connecting) >= self.broker.connecting_max:
                # A connection that ends, or a device that is opened, wakes this up; the pause is for the clock.
                try:
                    async with asyncio.timeout(1.0 if wait_s is None else min(max(wait_s, 0.01), 1.0)):
                        await self._wake.wait()
                except TimeoutError:
                    pass
                continue
            _, _, device = heapq.heappop(self._queue)
            if device.closing:
                continue
            task = asyncio.create_task(self._connect(device), name="device connects")
            self._connecting.add(task)
            task.add_done_callback(self._connected)
            await asyncio.sleep(1.0 / self.broker.connects_per_s)

    def _connected(self, task: asyncio.Task[None]) -> None:
        self._connecting.discard(task)
        self._wake.set()

    async def _connect(self, device: Device) -> None:
        device.attempts += 1
        device.started_s = self._loop.time()
        try:
            async with asyncio.timeout(self.broker.connect_s_max):
                ready = await self._open_socket()
            client = self._make_client(device)
            client.ready = ready
            client.connect(self.broker.host, self.broker.port, KEEPALIVE_S)
        except (OSError, TimeoutError, ValueError):
            self.counters.failed += 1
            self._again(device)
            return
        device.client, device.socket = client, client.socket()
        self._loop.add_reader(device.socket, self._read, device)
        client.loop_write()
        self._watch(device)

    async def _open_socket(self) -> socket.socket:
        infos = await self._loop.getaddrinfo(self.broker.host, self.broker.port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = infos[0]
        raw = socket.socket(family, kind, protocol)
        try:
            raw.setblocking(False)
            await self._loop.sock_connect(raw, address)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            raw.settimeout(self.broker.connect_s_max)  # paho's own writes before it takes over must not fail at once
        except BaseException:
            raw.close()
            raise
        return raw

    def _make_client(self, device: Device) -> _Client:
        client = _Client(
            CallbackAPIVersion.VERSION2,
            client_id=device.username.replace(".", ":"),  # NATS takes no dots in client ids
            clean_session=True,
            reconnect_on_failure=False,
        )
        client.username_pw_set(device.username, device.password)
        client.max_inflight_messages_set(WAITING_TAPS_MAX)
        client.max_queued_messages_set(WAITING_TAPS_MAX)
        if self.broker.tls is not None:
            client.tls_set_context(self.broker.tls)
        if device.status_topic:
            client.will_set(device.status_topic, b'{"online": false}', qos=0, retain=True)
        client.on_connect = lambda _client, _data, _flags, reason, _properties: self._on_connect(device, reason)
        client.on_message = lambda _client, _data, message: self._on_message(device, message)
        client.on_socket_close = lambda _client, _data, closed: self._forget(closed)
        return client

    def _on_connect(self, device: Device, reason: Any) -> None:
        client = device.client
        if reason.is_failure or client is None:
            self.counters.refused += 1
            return  # the broker closes; the reader sees it
        device.online = True
        device.attempts = 0
        self.counters.connects += 1
        if device.subscriptions:
            # QoS 0: each QoS 1 subscription is a consumer of NATS's own, and receipts are repeated anyway.
            client.subscribe([(topic, 0) for topic in device.subscriptions])
        if device.status_topic:
            self.publish(device, device.status_topic, b'{"online": true}', qos=0, retain=True)
        if device.on_online:
            device.on_online()

    def _on_message(self, device: Device, message: paho.MQTTMessage) -> None:
        self.counters.received += 1
        if device.on_message is not None:
            device.on_message(message.topic, bytes(message.payload))

    # Driving the sockets.

    def _read(self, device: Device) -> None:
        client = device.client
        if client is None:
            return
        rc = client.loop_read()
        # TLS may have taken more from the socket than one packet, and the loop would not tell of it again.
        while rc == paho.MQTT_ERR_SUCCESS and isinstance(device.socket, ssl.SSLSocket) and device.socket.pending():
            rc = client.loop_read()
        if rc == paho.MQTT_ERR_SUCCESS and client.socket() is not None:
            if client.want_write():  # what callbacks published waits until they are over
                client.loop_write()
            self._watch(device)
        else:
            self._lost(device)

    def _watch(self, device: Device) -> None:
        """Have the loop tell when a full socket takes more, and only then."""
        client = device.client
        if client is None or client.socket() is None:
            return
        wants = client.want_write()
        if wants and not device.writing:
            self._loop.add_writer(device.socket, self._write, device)
        elif device.writing and not wants:
            self._loop.remove_writer(device.socket)
        device.writing = wants

    def _write(self, device: Device) -> None:
        client = device.client
        if client is None:
            return
        if client.loop_write() != paho.MQTT_ERR_SUCCESS or client.socket() is None:
            self._lost(device)
        else:
            self._watch(device)

    async def _keep_house(self) -> None:
        while True:
            await asyncio.sleep(HOUSEKEEPING_S)
            now_s = self._loop.time()
            for device in list(self._all):
                client = device.client
                if client is None:
                    continue
                if not device.online and now_s - device.started_s > self.broker.connect_s_max:
                    self._lost(device)  # connected, and never answered
                elif client.loop_misc() != paho.MQTT_ERR_SUCCESS or client.socket() is None:
                    self._lost(device)

    def _lost(self, device: Device) -> None:
        if device.client is None:
            return
        self.counters.disconnects += device.online
        self._drop(device)
        if not device.closing:
            self._again(device)

    def _again(self, device: Device) -> None:
        pause_s = min(self.broker.pause_s_first * 2.0 ** min(device.attempts, 10), self.broker.pause_s_max)
        self._later(device, pause_s * float(self._rng.uniform(0.5, 1.5)))

    def _drop(self, device: Device) -> None:
        client, device.client = device.client, None
        device.online = device.writing = False
        if client is None:
            return
        client.on_connect = client.on_message = None
        if client.socket() is not None:
            client._sock_close()

    def _forget(self, closed: Any) -> None:
        """Before a socket is closed the loop must let go of it, or it would take the next one's number for it."""
        self._loop.remove_reader(closed)
        self._loop.remove_writer(closed)
