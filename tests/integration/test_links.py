"""Seams between processes, over the real broker; and the broker itself coming back from a kill."""

import asyncio
import os
import signal

import pytest

from deploy.embedded_broker import Broker, BrokerSettings, embedded_broker
from deploy.embedded_supervision import Supervised
from deploy.instance import Instance
from deploy.links import BOARDINGS, PART_BYTES_MAX, LinkError, Outgoing, linked


@pytest.fixture
def instance(tmp_path):
    opened = Instance.open(tmp_path / "data")
    with opened.locked():
        yield opened


@pytest.fixture
async def broker(instance):
    async with embedded_broker(instance, BrokerSettings(mqtt_port=0)) as running:
        yield running


def link(broker: Broker):
    return linked(broker.nats_url, broker.user, broker.password, "test")


async def test_a_message_of_any_size_arrives_whole_and_in_order(broker):
    arrived: asyncio.Queue[bytes] = asyncio.Queue()
    messages = [b"", b"small", bytes(3 * PART_BYTES_MAX + 17), b"after"]
    async with link(broker) as receiver, link(broker) as sender:
        await receiver.receive("test.subject", arrived.put_nowait)
        await receiver._client.flush()
        for message in messages:
            await sender.send("test.subject", message)
        async with asyncio.timeout(60):
            assert [await arrived.get() for _ in messages] == messages


async def test_parts_of_two_senders_do_not_mix(broker):
    arrived: asyncio.Queue[bytes] = asyncio.Queue()
    async with link(broker) as receiver, link(broker) as one, link(broker) as two:
        await receiver.receive("test.subject", arrived.put_nowait)
        await receiver._client.flush()
        large = [letter * (2 * PART_BYTES_MAX) for letter in (b"a", b"b")]
        await asyncio.gather(one.send("test.subject", large[0]), two.send("test.subject", large[1]))
        async with asyncio.timeout(60):
            assert sorted([await arrived.get(), await arrived.get()]) == large


async def test_what_a_caller_that_must_not_wait_has_lost_is_counted(broker):
    async with link(broker) as links:
        boardings = Outgoing(links, BOARDINGS, size=2)
        for message in (b"oldest", b"older", b"new"):
            boardings.put(message)
        assert links.counters["dropped.boardings"] == 1


async def test_a_question_is_answered_refused_or_given_up(broker):
    async def answer(question: bytes) -> bytes:
        if question == b"bad":
            raise ValueError("no")
        return question.upper()

    async with link(broker) as server, link(broker) as asker:
        await server.serve("test.desk", answer)
        await server._client.flush()
        assert await asker.ask("test.desk", b"hello") == b"HELLO"
        with pytest.raises(LinkError, match="ValueError"):
            await asker.ask("test.desk", b"bad")
        with pytest.raises(LinkError, match="no answer"):
            await asker.ask("test.nobody", b"hello", timeout_s=0.2)
        assert asker.counters["unanswered"] == 1


async def test_one_bad_message_does_not_end_the_subscription(broker):
    arrived: asyncio.Queue[bytes] = asyncio.Queue()

    def handle(data: bytes) -> None:
        if data == b"bad":
            raise ValueError("no")
        arrived.put_nowait(data)

    async with link(broker) as receiver, link(broker) as sender:
        await receiver.receive("test.subject", handle)
        await receiver._client.flush()
        await sender.send("test.subject", b"bad")
        await sender.send("test.subject", b"good")
        async with asyncio.timeout(60):
            assert await arrived.get() == b"good"
        assert receiver.counters["failed"] == 1


async def test_a_killed_broker_comes_back_at_its_ports_and_links_with_it(instance):
    lives: list[Broker] = []

    def enter(last, on_died):
        settings = BrokerSettings(mqtt_port=last.mqtt_port if last else 0)
        port = int(last.nats_url.rsplit(":", 1)[1]) if last else 0
        return embedded_broker(instance, settings, nats_port=port, on_died=on_died)

    kept = Supervised("broker", enter, failed=pytest.fail)
    async with kept as broker, link(broker) as links:
        lives.append(broker)
        arrived: asyncio.Queue[bytes] = asyncio.Queue()
        await links.receive("test.subject", arrived.put_nowait)
        os.kill(broker.pid, signal.SIGKILL)
        async with asyncio.timeout(20):
            while kept.deaths == 0 or kept.down_reason:
                await asyncio.sleep(0.05)
            while arrived.empty():  # what is sent while the link is down may be lost: positions are sent again
                await links.send("test.subject", b"again")
                await asyncio.sleep(0.05)
        assert await arrived.get() == b"again"


async def test_what_cannot_start_at_all_says_so(instance, tmp_path):
    def enter(last, on_died):
        return embedded_broker(instance, BrokerSettings(tls_certificate=tmp_path / "none.pem"), on_died=on_died)

    from deploy.errors import UserError

    with pytest.raises(UserError):
        async with Supervised("broker", enter, failed=pytest.fail):
            pass
