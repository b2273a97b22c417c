"""The payment interface over real HTTP against the simulated acquirer: every way in which an answer can go wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio

from simulators.acquirer import Acquirer, Mood, free_socket, open_acquirer
from ticketing.money import Money
from ticketing.payment import Approved, Declined, Unknown
from ticketing.payment_http import HttpPayments

PRICE = Money(1600, "UAH")


@pytest_asyncio.fixture
async def acquirer(tmp_path) -> AsyncIterator[Acquirer]:
    async with open_acquirer(Acquirer("secret", journal=tmp_path / "acquirer.jsonl")) as running:
        yield running


@pytest_asyncio.fixture
async def payments(acquirer) -> AsyncIterator[HttpPayments]:
    async with HttpPayments(acquirer.url, "secret", timeout_s=0.5) as client:
        yield client


async def test_a_card_is_verified_charged_and_refunded(acquirer, payments):
    assert isinstance(await payments.verify("tok", "k1"), Approved)
    charge = await payments.charge("tok", PRICE, "k2", "Takt 2026-03-04")
    assert isinstance(charge, Approved)
    assert isinstance(await payments.refund(charge.id, Money(600, "UAH"), "k3"), Approved)
    assert acquirer.charged == {charge.id: 1000}
    assert await payments.refund(charge.id, Money(1001, "UAH"), "k4") == Declined("more_than_charged")
    assert payments.counters["charges.approved"] == 1


async def test_the_same_key_is_one_charge_however_often_it_is_asked(acquirer, payments):
    answers = await asyncio.gather(*(payments.charge("tok", PRICE, "k", "r") for _ in range(20)))
    assert len(set(answers)) == 1
    assert list(acquirer.charged.values()) == [1600]


async def test_the_same_key_for_another_request_moves_no_money(acquirer, payments):
    await payments.charge("tok", PRICE, "k", "r")
    assert await payments.charge("tok", Money(1, "UAH"), "k", "r") == Unknown("http_409")
    assert list(acquirer.charged.values()) == [1600]


async def test_a_charge_whose_answer_is_lost_is_unknown_and_then_what_it_was(acquirer, payments):
    assert await payments.charge("timeout-1", PRICE, "k", "r") == Unknown("timeout")
    assert list(acquirer.charged.values()) == [1600]
    assert isinstance(await payments.charge("timeout-1", PRICE, "k", "r"), Approved)
    assert list(acquirer.charged.values()) == [1600]


async def test_an_answer_given_twice_is_never_read_as_anothers(acquirer, payments):
    for number in range(20):
        outcome = await payments.charge("twice-1", Money(100 + number, "UAH"), f"k{number}", "r")
        assert isinstance(outcome, Approved)
        assert acquirer.charged[outcome.id] == 100 + number


async def test_declines_by_token_by_rate_and_for_good(acquirer, payments):
    assert await payments.charge("decline-1", PRICE, "k1", "r") == Declined("insufficient_funds")
    assert await payments.verify("unverified-1", "k2") == Declined("card_not_active")
    acquirer.mood = Mood(decline=1.0, final=True)
    assert await payments.charge("tok", PRICE, "k3", "r") == Declined("do_not_honour", final=True)
    assert acquirer.charged == {}


async def test_an_acquirer_that_is_down_or_does_not_know_us_says_nothing_about_money(acquirer, payments):
    acquirer.mood = Mood(down=True)
    assert await payments.charge("tok", PRICE, "k", "r") == Unknown("http_503")
    acquirer.mood = Mood()
    async with HttpPayments(acquirer.url, "another", timeout_s=0.5) as stranger:
        assert await stranger.charge("tok", PRICE, "k", "r") == Unknown("http_401")
    closed = free_socket()
    closed.close()
    async with HttpPayments("http://127.0.0.1:1", "secret", timeout_s=0.5) as lost:
        assert await lost.charge("tok", PRICE, "k", "r") == Unknown("connection")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"ok",
        b"{}",
        b'{"key": "another", "status": "approved", "id": "1"}',
        b'{"key": "k", "status": "maybe", "id": "1"}',
        b'{"key": "k", "status": "approved", "id": ""}',
        b'{"key": "k", "status": "approved", "id": "' + b"x" * 65 + b'"}',
        b'{"key": "k", "status": "approved", "id": "1", "pad": "' + b"x" * 20_000 + b'"}',
        b"[" * 100_000,
        b"\xff\xfe",
    ],
)
async def test_a_strange_answer_is_unknown(body):
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with HttpPayments(f"http://127.0.0.1:{port}", "s", timeout_s=2.0) as payments:
        outcome = await payments.charge("tok", PRICE, "k", "r")
    server.close()
    assert isinstance(outcome, Unknown)


async def test_its_record_is_over_http_and_outlives_it(acquirer, payments, tmp_path):
    await payments.charge("tok", PRICE, "k", "r")
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer secret"}) as session:
        async with session.get(f"{acquirer.url}/record") as reply:
            assert [row["amount_minor"] for row in await reply.json()] == [1600]
        async with session.put(f"{acquirer.url}/control", json={"decline": 1.5}) as reply:
            assert reply.status == 400
        async with session.put(f"{acquirer.url}/control", json={"decline": 1.0}) as reply:
            assert reply.status == 200
    assert isinstance(await payments.charge("tok", PRICE, "k2", "r"), Declined)
    assert list(Acquirer(journal=tmp_path / "acquirer.jsonl").charged.values()) == [1600]
