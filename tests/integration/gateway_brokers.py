"""Real brokers on ports of their own, and devices that talk to them."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from deploy.ports import free_port
from gateway.batch import FixBatch
from gateway.config import Broker
from gateway.refusal import DeadLetter
from gateway.service import Seams
from gateway.wire import Answer, Tap, ValidatorEvent, VehicleEvent

WAIT_S = 20.0  # for anything that must happen; nothing is judged by how long it takes


@dataclass
class RunningBroker:
    """A broker process that can be killed and started again on the same port and files."""

    command: list[str]
    port: int
    log: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> Broker:
        return Broker("127.0.0.1", self.port)

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1.0):
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise RuntimeError(f"{self.command[0]} did not start:\n{self.log.read_text()[-2000:]}")

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


def nats_broker(folder: Path, ack_wait: str = "5m", mqtt: str = "", more: str = "") -> RunningBroker:
    """A NATS server that keeps its files in `folder`; `mqtt` and `more` are lines of its configuration."""
    program = shutil.which("nats-server", path=str(Path(sys.executable).parent)) or shutil.which("nats-server")
    if program is None:
        pytest.skip("needs nats-server, which is not installed")
    port = free_port()
    config = folder / "nats.conf"
    config.write_text(f"""
server_name: test
listen: "127.0.0.1:{free_port()}"
max_payload: 8MB
jetstream {{ store_dir: "{folder / "jetstream"}" }}
mqtt {{ host: "127.0.0.1", port: {port}, ack_wait: "{ack_wait}"
{mqtt}
}}
{more}
""")
    return RunningBroker([program, "-c", str(config)], port, folder / "nats.log")


def mosquitto_broker(folder: Path) -> RunningBroker:
    program = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    if program is None:
        pytest.skip("needs mosquitto, which is not installed")
    port = free_port()
    config = folder / "mosquitto.conf"
    config.write_text(f"""
listener {port} 127.0.0.1
allow_anonymous true
persistence true
persistence_location {folder}/
max_inflight_messages 1000
max_queued_messages 100000
""")
    # Started as root it becomes the user mosquitto, who must be able to write there.
    folder.chmod(0o777)
    for parent in folder.parents:
        if parent == Path("/tmp"):
            break
        with contextlib.suppress(PermissionError):
            parent.chmod(parent.stat().st_mode | 0o011)
    return RunningBroker([program, "-c", str(config)], port, folder / "mosquitto.log")


@contextlib.contextmanager
def running(broker: RunningBroker) -> Iterator[RunningBroker]:
    broker.start()
    try:
        yield broker
    finally:
        broker.kill()


@contextlib.contextmanager
def device(broker: RunningBroker, client_id: str, *subscriptions: str) -> Iterator[Device]:
    """A device with a thread of its own, as devices have."""
    connected = Device(broker.port, client_id, subscriptions)
    try:
        yield connected
    finally:
        connected.close()


class Device:
    def __init__(self, port: int, client_id: str, subscriptions: tuple[str, ...]) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self._granted = 0
        self.client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=client_id, protocol=MQTTProtocolVersion.MQTTv311
        )
        self.client.max_inflight_messages_set(200)
        self.client.reconnect_delay_set(1, 1)
        self._subscriptions = subscriptions
        self.client.on_message = self._hear
        self.client.on_connect = self._subscribe
        self.client.on_subscribe = self._grant
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        deadline = time.monotonic() + WAIT_S
        while self._granted < len(subscriptions) or not self.client.is_connected():
            if time.monotonic() > deadline:
                raise RuntimeError("the device could not connect")
            time.sleep(0.005)

    def _hear(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        self.heard.append((message.topic, bytes(message.payload)))

    def _subscribe(self, client: paho.Client, *_: Any) -> None:
        for topic in self._subscriptions:
            client.subscribe(topic, 1)

    def _grant(self, *_: Any) -> None:
        self._granted += 1

    def send(self, topic: str, payload: bytes, qos: int = 0, retain: bool = False) -> paho.MQTTMessageInfo:
        return self.client.publish(topic, payload, qos, retain)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@dataclass
class Ear:
    """The far side of the gateway's seams: keeps all it was handed, and accepts every tap unless told otherwise."""

    fixes: list[FixBatch] = field(default_factory=list)
    events: list[VehicleEvent] = field(default_factory=list)
    validator_events: list[ValidatorEvent] = field(default_factory=list)
    taps: list[Tap] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)
    hold: asyncio.Event = field(default_factory=asyncio.Event)
    judge: Callable[[Tap], str] = lambda _tap: "accepted"

    def __post_init__(self) -> None:
        self.hold.set()

    def seams(self) -> Seams:
        return Seams(self.fixes.append, self.events.append, self.validate, self.store, self.validator_events.append)

    async def validate(self, taps: list[Tap]) -> list[Answer]:
        self.taps.extend(taps)
        await self.hold.wait()
        return [Answer(tap.id, self.judge(tap), seq_through=tap.seq) for tap in taps]

    async def store(self, letters: list[DeadLetter]) -> None:
        self.letters.extend(letters)

    @property
    def vehicles(self) -> list[str]:
        return [key for batch in self.fixes for key in batch.vehicle_key]


async def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for something another process does; there is no event of ours to await."""
    try:
        async with asyncio.timeout(WAIT_S):
            while not condition():
                await asyncio.sleep(0.01)
    except TimeoutError:
        pytest.fail(f"did not happen within {WAIT_S:g} s: {what}")
