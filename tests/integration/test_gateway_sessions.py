"""Sessions with brokers that ask for TLS and rights: what works over them, and what is said when it does not."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from gateway.config import Broker, GatewaySettings
from gateway.message import Message
from gateway.service import Gateway
from gateway.session import Session, SessionSettings
from tests.integration.gateway_brokers import Ear, mosquitto_broker, nats_broker, running, until

USERS = """
authorization { users = [
  { user: takt, password: good }
  { user: narrow, password: good, permissions: { publish: ">", subscribe: ["$MQTT.>", "fleet.>"] } }
] }
"""


def position(number: int) -> bytes:
    return json.dumps({"ts": time.time() - 60, "lat": 50.0, "lon": 30.0, "note": "x" * (number % 900)}).encode()


async def test_everything_arrives_over_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    files = f'tls {{ cert_file: "{tmp_path / "server.pem"}", key_file: "{tmp_path / "server.pem"}" }}'
    with running(nats_broker(tmp_path, mqtt=files)) as nats:
        broker = replace(nats.address, tls=context)
        ear, heard = Ear(), []

        def hear(message: Message, _generation: int) -> None:
            heard.append(message.topic)

        settings = SessionSettings(broker, "bus", True, (("fleet/v1/kpt/1/instruction", 0),))
        async with Gateway(GatewaySettings(broker), ear.seams()) as gateway, Session(settings, hear) as bus:
            assert gateway.healthy() == []
            for number in range(2_000):  # many more than one read takes, of every length
                assert bus.publish(f"fleet/v1/kpt/{number}/position", position(number))
            await until(lambda: len(ear.vehicles) == 2_000, "2,000 positions")


async def test_a_certificate_nobody_vouches_for_is_refused_and_said(tmp_path: Path) -> None:
    certificate = trustme.CA().issue_cert("127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    files = f'tls {{ cert_file: "{tmp_path / "server.pem"}", key_file: "{tmp_path / "server.pem"}" }}'
    with running(nats_broker(tmp_path, mqtt=files)) as nats:
        broker = replace(nats.address, tls=ssl.create_default_context())
        async with Gateway(GatewaySettings(broker, connect_timeout_s=1.0), Ear().seams()) as gateway:
            await until(lambda: all("certificate verify failed" in reason for reason in gateway.healthy()), "reasons")


async def test_a_wrong_password_is_said(tmp_path: Path) -> None:
    with running(nats_broker(tmp_path, more=USERS)) as nats:
        wrong = Broker("127.0.0.1", nats.port, "takt", "bad")
        async with Gateway(GatewaySettings(wrong, connect_timeout_s=1.0), Ear().seams()) as gateway:
            reasons = gateway.healthy()
        assert len(reasons) == 2
        assert all("bad" not in reason for reason in reasons)


async def test_a_refused_subscription_is_named(tmp_path: Path) -> None:
    with running(nats_broker(tmp_path, more=USERS)) as nats:
        narrow = Broker("127.0.0.1", nats.port, "narrow", "good")
        async with Gateway(GatewaySettings(narrow, connect_timeout_s=1.0), Ear().seams()) as gateway:
            await until(lambda: any("validator/v1/+/+/tap" in reason for reason in gateway.healthy()), "the reason")


@pytest.mark.parametrize("make", [nats_broker, mosquitto_broker], ids=["nats", "mosquitto"])
async def test_a_session_that_ends_says_what_it_still_had_to_say(
    make: Callable[[Path], object], tmp_path: Path
) -> None:
    heard: list[bytes] = []

    def hear(message: Message, _generation: int) -> None:
        heard.append(bytes(message.payload))

    with running(make(tmp_path)) as broker:  # type: ignore[arg-type]
        listener = SessionSettings(broker.address, "listener", True, (("down/#", 0),))
        async with Session(listener, hear):
            async with Session(SessionSettings(broker.address, "speaker", True, ()), hear) as speaker:
                for number in range(500):
                    assert speaker.publish("down/1", str(number).encode())
            assert not speaker.publish("down/1", b"too late")
            await until(lambda: len(heard) == 500, "all 500")
    assert heard == [str(number).encode() for number in range(500)]


async def test_a_broker_that_takes_connections_and_says_nothing_is_given_up(tmp_path: Path) -> None:
    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    settings = SessionSettings(Broker("127.0.0.1", port), "me", True, (), connect_timeout_s=0.2, reconnect_s_max=0.2)
    async with Session(settings, lambda *_: None) as session:
        await until(lambda: session.counters["connects"] >= 2, "another try")
        assert session.reasons() == ["MQTT session me: the broker does not answer"]
    server.close()
