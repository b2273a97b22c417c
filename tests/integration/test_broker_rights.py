"""What devices may and may not do at the broker: the embedded NATS and a Mosquitto with the exported files alike."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import nats
import paho.mqtt.client as paho
import pytest
import trustme
from paho.mqtt.enums import CallbackAPIVersion

from deploy.devices import Credential, Registry, mosquitto_passwords, mosquitto_rights
from deploy.embedded_broker import Broker, BrokerSettings, embedded_broker
from deploy.instance import Instance
from deploy.ports import free_port

WAIT_S = 20
REFUSED = 0x80
ONLINE, OFFLINE = b'{"online":true}', b'{"online":false}'


class Client:
    """An MQTT client whose news are awaited; it connects once and does not come back by itself."""

    def __init__(self, name: str, user: str, password: str, will: str | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self.messages: asyncio.Queue[paho.MQTTMessage] = asyncio.Queue()
        self.closed = asyncio.Event()
        self._answers: asyncio.Queue[object] = asyncio.Queue()
        self._acknowledged: asyncio.Queue[int] = asyncio.Queue()
        self._paho = client = paho.Client(CallbackAPIVersion.VERSION2, name, reconnect_on_failure=False)
        client.username_pw_set(user, password)
        if will:
            client.will_set(will, OFFLINE, 1, retain=True)
        client.on_connect = lambda _c, _d, _f, reason, _p: self._tell(self._answers, reason)
        client.on_subscribe = lambda _c, _d, _m, reasons, _p: self._tell(self._answers, reasons[0])
        client.on_publish = lambda _c, _d, number, _r, _p: self._tell(self._acknowledged, number)
        client.on_message = lambda _c, _d, message: self._tell(self.messages, message)
        client.on_disconnect = lambda *_: self._loop.call_soon_threadsafe(self.closed.set)

    def _tell(self, queue: asyncio.Queue, news: object) -> None:
        with contextlib.suppress(RuntimeError):  # the test is over
            self._loop.call_soon_threadsafe(queue.put_nowait, news)

    async def connect(self, port: int, tls: ssl.SSLContext | None = None) -> Client:
        """Raises ConnectionRefusedError when the broker does not want this client."""
        if tls:
            self._paho.tls_set_context(tls)
        await asyncio.to_thread(self._paho.connect, "127.0.0.1", port)
        self._paho.loop_start()
        reason = await asyncio.wait_for(self._answers.get(), WAIT_S)
        if reason.is_failure:
            raise ConnectionRefusedError(str(reason))
        return self

    async def subscribe(self, topic: str, qos: int) -> int:
        """The code in the SUBACK."""
        self._paho.subscribe(topic, qos)
        code: int = (await asyncio.wait_for(self._answers.get(), WAIT_S)).value
        return code

    async def publish(self, topic: str, payload: bytes, qos: int, retain: bool = False) -> None:
        """Until acknowledged, where QoS asks for it."""
        self._paho.publish(topic, payload, qos, retain)
        await asyncio.wait_for(self._acknowledged.get(), WAIT_S)

    async def next(self) -> tuple[str, bytes]:
        message = await asyncio.wait_for(self.messages.get(), WAIT_S)
        return message.topic, message.payload

    def cut(self) -> None:
        """As when the power of the device fails."""
        self._paho._sock_close()
        self._paho.loop_stop()

    def leave(self) -> None:
        self._paho.disconnect()
        self._paho.loop_stop()


@dataclass
class Site:
    """A broker with two vehicles and a validator, and our own service that hears everything they may say."""

    kind: str
    port: int
    first: Credential
    second: Credential
    validator: Credential
    service_login: tuple[str, str]
    service: Client
    clients: list[Client]

    async def login(self, credential: Credential, name: str = "", will: str | None = None) -> Client:
        client = Client(name, credential.username, credential.password, will)
        self.clients.append(client)
        return await client.connect(self.port)

    async def own(self, name: str) -> Client:
        client = Client(name, *self.service_login)
        self.clients.append(client)
        return await client.connect(self.port)


@contextlib.asynccontextmanager
async def mosquitto(instance: Instance, folder: Path) -> AsyncIterator[tuple[int, tuple[str, str]]]:
    if shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/sbin:/bin") is None:
        pytest.skip("needs mosquitto, which is not installed")
    devices = Registry(instance).list()
    port, passwords, rights = free_port(), folder / "takt.passwd", folder / "takt.acl"
    passwords.write_text(mosquitto_passwords(devices))
    rights.write_text(mosquitto_rights(devices))
    subprocess.run(["mosquitto_passwd", "-b", str(passwords), "takt", "our own"], check=True)
    for file in (passwords, rights):
        file.chmod(0o600)
    config = folder / "mosquitto.conf"
    config.write_text(
        f"user root\nlistener {port} 127.0.0.1\nallow_anonymous false\npassword_file {passwords}\nacl_file {rights}\n"
    )
    program = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/sbin:/bin")
    process = await asyncio.create_subprocess_exec(str(program), "-c", str(config), stderr=subprocess.DEVNULL)
    try:
        for _ in range(500):
            with contextlib.suppress(OSError):
                (await asyncio.open_connection("127.0.0.1", port))[1].close()
                break
            await asyncio.sleep(0.02)
        yield port, ("takt", "our own")
    finally:
        process.terminate()
        await process.wait()


@pytest.fixture(params=["nats", "mosquitto"])
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Site]:
    instance = Instance.open(tmp_path / "data")
    registry = Registry(instance)
    first, second = (registry.add("vehicle", "kpt", id) for id in ("1", "2"))
    validator = registry.add("validator", "kpt", "7")
    async with contextlib.AsyncExitStack() as stack:
        if request.param == "nats":
            stack.enter_context(instance.locked())
            broker = await stack.enter_async_context(embedded_broker(instance, BrokerSettings(mqtt_port=0)))
            port, login = broker.mqtt_port, (broker.user, broker.password)
        else:
            port, login = await stack.enter_async_context(mosquitto(instance, tmp_path))
        service = await Client("service", *login).connect(port)
        assert await service.subscribe("fleet/v1/+/+/position", 0) == 0
        assert await service.subscribe("fleet/v1/+/+/event", 1) == 1
        assert await service.subscribe("fleet/v1/+/+/status", 1) == 1
        assert await service.subscribe("validator/v1/+/+/tap", 1) == 1
        clients = [service]
        yield Site(request.param, port, first, second, validator, login, service, clients)
        for client in clients:
            client.leave()


@pytest.mark.parametrize("qos", [0, 1])
async def test_a_device_speaks_on_its_own_topics(site: Site, qos: int) -> None:
    vehicle = await site.login(site.first)
    for kind in ("position", "event", "status"):
        await vehicle.publish(f"fleet/v1/kpt/1/{kind}", kind.encode(), qos)
        assert await site.service.next() == (f"fleet/v1/kpt/1/{kind}", kind.encode())


@pytest.mark.parametrize("qos", [0, 1])
async def test_a_device_hears_what_is_for_it_and_nothing_that_is_for_others(site: Site, qos: int) -> None:
    first, second = await site.login(site.first), await site.login(site.second)
    validator = await site.login(site.validator)
    assert await first.subscribe("fleet/v1/kpt/1/instruction", qos) == qos
    assert await second.subscribe("fleet/v1/kpt/2/instruction", qos) == qos
    for topic in ("validator/v1/kpt/7/verdict", "validator/v1/kpt/7/receipt", "validator/v1/kpt/all/lists"):
        assert await validator.subscribe(topic, qos) == qos
        await site.service.publish(topic, b"x", 1)
        assert await validator.next() == (topic, b"x")

    await site.service.publish("fleet/v1/kpt/1/instruction", b"hold", 1)
    await site.service.publish("fleet/v1/kpt/2/instruction", b"go", 1)

    assert await first.next() == ("fleet/v1/kpt/1/instruction", b"hold")
    assert await second.next() == ("fleet/v1/kpt/2/instruction", b"go")
    assert first.messages.empty()
    assert second.messages.empty()


@pytest.mark.parametrize("qos", [0, 1])
@pytest.mark.parametrize(
    "topic",
    [
        "fleet/v1/kpt/2/position",
        "fleet/v1/kpt/2/event",
        "fleet/v1/other/1/position",
        "fleet/v1/kpt/1/instruction",
        "validator/v1/kpt/7/tap",
        "validator/v1/kpt/all/lists",
        "fleet/v1/kpt/1/position/x",
        "fleet.v1.kpt.2.position",
        "$MQTT/msgs/fleet/v1/kpt/2/event",
        "$JS/API/STREAM/PURGE/$MQTT_msgs",
        "$SYS/x",
    ],
)
async def test_what_is_written_under_another_name_reaches_nobody(site: Site, topic: str, qos: int) -> None:
    everything = await site.own("everything")
    await everything.subscribe("#", 0)
    vehicle = await site.login(site.first)
    await vehicle.publish(topic, b"forged", qos)
    # The honest message comes after the forged one on the same connection: once it is here, the other never comes.
    await vehicle.publish("fleet/v1/kpt/1/event", b"honest", 1)

    assert await site.service.next() == ("fleet/v1/kpt/1/event", b"honest")
    assert await everything.next() == ("fleet/v1/kpt/1/event", b"honest")


async def test_a_forged_retained_status_is_not_kept(site: Site) -> None:
    vehicle = await site.login(site.first)
    await vehicle.publish("fleet/v1/kpt/2/status", OFFLINE, 1, retain=True)
    await vehicle.publish("fleet/v1/kpt/1/status", ONLINE, 1, retain=True)

    late = await site.own("late")
    await late.subscribe("fleet/v1/+/+/status", 1)

    assert await late.next() == ("fleet/v1/kpt/1/status", ONLINE)
    assert late.messages.empty()


# NATS refuses in the SUBACK; Mosquitto grants and delivers nothing of it.
@pytest.mark.parametrize("qos", [0, 1])
@pytest.mark.parametrize(
    "topic",
    [
        "#",
        "+/#",
        "fleet/#",
        "fleet/v1/kpt/+/instruction",
        "fleet/v1/kpt/2/instruction",
        "fleet/v1/kpt/2/position",
        "fleet/v1/+/+/position",
        "validator/v1/kpt/7/verdict",
        "$MQTT/sub/#",
        "$MQTT/#",
        "fleet.v1.>",
        "*",
        ">",
    ],
)
async def test_listening_to_others_is_refused_or_hears_nothing(site: Site, topic: str, qos: int) -> None:
    curious, second = await site.login(site.first), await site.login(site.second)
    code = await curious.subscribe(topic, qos)
    assert code == (REFUSED if site.kind == "nats" else qos)
    assert await curious.subscribe("fleet/v1/kpt/1/instruction", 1) == 1

    await second.publish("fleet/v1/kpt/2/position", b"here", 1)
    await second.publish("fleet/v1/kpt/2/event", b"secret", 1)
    await site.service.publish("fleet/v1/kpt/2/instruction", b"for the second", 1)
    await site.service.publish("validator/v1/kpt/7/verdict", b"for the validator", 1)
    await site.service.publish("fleet/v1/kpt/1/instruction", b"the last", 1)

    assert await curious.next() == ("fleet/v1/kpt/1/instruction", b"the last")


async def test_a_cut_device_is_reported_by_its_will_and_the_report_is_kept(site: Site) -> None:
    vehicle = await site.login(site.first, "v1", will="fleet/v1/kpt/1/status")
    await vehicle.publish("fleet/v1/kpt/1/status", ONLINE, 1, retain=True)
    assert await site.service.next() == ("fleet/v1/kpt/1/status", ONLINE)

    vehicle.cut()

    assert await site.service.next() == ("fleet/v1/kpt/1/status", OFFLINE)
    late = await site.own("late")
    await late.subscribe("fleet/v1/+/+/status", 1)
    assert await late.next() == ("fleet/v1/kpt/1/status", OFFLINE)


async def test_a_will_in_anothers_name_reaches_nobody(site: Site) -> None:
    with contextlib.suppress(ConnectionRefusedError, TimeoutError):
        (await site.login(site.first, "v1", will="fleet/v1/kpt/2/status")).cut()
    second = await site.login(site.second)
    await second.publish("fleet/v1/kpt/2/event", b"alive", 1)

    assert await site.service.next() == ("fleet/v1/kpt/2/event", b"alive")


@pytest.mark.parametrize(
    ("user", "password"),
    [("vehicle.kpt.1", "wrong"), ("vehicle.kpt.1", ""), ("nobody", "x"), ("takt", "x"), ("", "")],
)
async def test_a_wrong_password_is_refused(site: Site, user: str, password: str) -> None:
    with pytest.raises(ConnectionRefusedError, match=r"(?i)not authorized|bad user name"):
        await Client("x", user, password).connect(site.port)


async def test_mosquittos_own_tools_work_as_devices(site: Site) -> None:
    if shutil.which("mosquitto_pub") is None:
        pytest.skip("needs mosquitto_pub, which is not installed")

    async def tool(name: str, *words: str) -> tuple[int | None, bytes]:
        login = ("-h", "127.0.0.1", "-p", str(site.port), "-u", site.first.username, "-P", site.first.password)
        process = await asyncio.create_subprocess_exec(
            name, *login, *words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        output, _ = await asyncio.wait_for(process.communicate(), WAIT_S)
        return process.returncode, output

    await site.service.publish("fleet/v1/kpt/1/instruction", b"hold", 1, retain=True)

    assert (await tool("mosquitto_pub", "-q", "1", "-t", "fleet/v1/kpt/1/position", "-m", "{}"))[0] == 0
    assert await site.service.next() == ("fleet/v1/kpt/1/position", b"{}")
    assert (await tool("mosquitto_sub", "-C", "1", "-t", "fleet/v1/kpt/1/instruction")) == (0, b"hold\n")


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[tuple[Broker, Registry]]:
    instance = Instance.open(tmp_path / "data")
    with instance.locked():
        async with embedded_broker(instance, BrokerSettings(mqtt_port=0)) as running:
            yield running, Registry(instance)


async def test_devices_come_and_go_while_the_broker_runs(broker: tuple[Broker, Registry]) -> None:
    running, registry = broker
    credentials = [await asyncio.to_thread(registry.add, "vehicle", "kpt", id) for id in ("1", "2")]
    first, second = [await Client(c.device.id, c.username, c.password).connect(running.mqtt_port) for c in credentials]

    await asyncio.to_thread(registry.revoke, "vehicle", "kpt", "1")

    await asyncio.wait_for(first.closed.wait(), WAIT_S)
    with pytest.raises(ConnectionRefusedError):
        await Client("1", credentials[0].username, credentials[0].password).connect(running.mqtt_port)
    await second.publish("fleet/v1/kpt/2/event", b"undisturbed", 1)
    assert not second.closed.is_set()
    second.leave()


async def test_positions_are_never_kept_on_disk(broker: tuple[Broker, Registry]) -> None:
    running, registry = broker
    credential = await asyncio.to_thread(registry.add, "vehicle", "kpt", "1")
    service = await Client("service", running.user, running.password).connect(running.mqtt_port)
    await service.subscribe("fleet/v1/+/+/position", 0)
    vehicle = await Client("1", credential.username, credential.password).connect(running.mqtt_port)
    for number in range(50):
        await vehicle.publish("fleet/v1/kpt/1/position", str(number).encode(), number % 2)
        await service.next()

    client = await nats.connect(running.nats_url, user=running.user, password=running.password)
    kept = await client.jetstream().stream_info("$MQTT_msgs")
    await client.close()
    assert kept.state.messages == 0
    service.leave()
    vehicle.leave()


async def test_a_fleet_of_more_than_a_thousand_may_listen_with_qos_1(broker: tuple[Broker, Registry]) -> None:
    running, _ = broker
    service = await Client("service", running.user, running.password).connect(running.mqtt_port)
    client = await nats.connect(running.nats_url, user=running.user, password=running.password)
    stream = client.jetstream()
    # What the broker makes for each such subscription; 1,000 of them is NATS's own limit since 2.15.
    for number in range(1_100):
        await stream.add_consumer("$MQTT_msgs", durable_name=f"c{number}", filter_subject=f"$MQTT.msgs.x.{number}")
    assert await service.subscribe("fleet/v1/+/+/event", 1) == 1
    await client.close()
    service.leave()


async def test_a_stranger_with_a_known_session_name_hears_nothing_of_it(broker: tuple[Broker, Registry]) -> None:
    running, registry = broker
    stranger, sender = [await asyncio.to_thread(registry.add, "vehicle", "kpt", id) for id in ("1", "2")]
    session = Client("taps", running.user, running.password)
    session._paho._clean_session = False
    await session.connect(running.mqtt_port)
    await session.subscribe("fleet/v1/+/+/event", 1)
    session.cut()

    thief = Client("taps", stranger.username, stranger.password)
    thief._paho._clean_session = False
    await thief.connect(running.mqtt_port)
    await thief.subscribe("fleet/v1/kpt/1/instruction", 1)
    vehicle = await Client("2", sender.username, sender.password).connect(running.mqtt_port)
    await vehicle.publish("fleet/v1/kpt/2/event", b"secret", 1)
    service = await Client("service", running.user, running.password).connect(running.mqtt_port)
    await service.publish("fleet/v1/kpt/1/instruction", b"the last", 1)

    assert await thief.next() == ("fleet/v1/kpt/1/instruction", b"the last")
    for client in (thief, vehicle, service):
        client.leave()


async def test_a_device_connects_over_tls_and_trusts_the_citys_authority(tmp_path: Path) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    cert_file, key_file = tmp_path / "cert.pem", tmp_path / "key.pem"
    certificate.cert_chain_pems[0].write_to_path(cert_file)
    certificate.private_key_pem.write_to_path(key_file)
    instance = Instance.open(tmp_path / "data")
    device = Registry(instance).add("vehicle", "kpt", "1")
    settings = BrokerSettings(mqtt_port=0, tls_certificate=cert_file, tls_key=key_file)

    def trusting(ca: trustme.CA) -> ssl.SSLContext:
        context = ssl.create_default_context()
        ca.configure_trust(context)
        return context

    def client() -> Client:
        return Client("1", device.username, device.password)

    with instance.locked():
        async with embedded_broker(instance, settings) as broker:
            (await client().connect(broker.mqtt_port, trusting(authority))).leave()
            own = await Client("own", broker.user, broker.password).connect(broker.mqtt_port, broker.tls())
            own.leave()
            with pytest.raises(ssl.SSLCertVerificationError):
                await client().connect(broker.mqtt_port, trusting(stranger))
            plain = client()
            with pytest.raises((OSError, TimeoutError)):
                await asyncio.wait_for(plain.connect(broker.mqtt_port), 3)
            plain.leave()
