"""A validator of the vendors' library with a real broker and HTTP server: it fetches its lists and heeds them."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from pathlib import Path

import numpy as np
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway import topics
from simulators.transport import Broker, Devices
from simulators.validator_library.device import Access, ValidatorDevice
from simulators.validator_library.disk import Disk
from simulators.validator_library.rules import Rules
from simulators.validator_library.terminal import Shown, Terminal
from tests.integration.gateway_brokers import device, nats_broker, running, until
from ticketing.claims import Claims
from ticketing.keys import FileSigner
from ticketing.keyset import IssuerKey, KeySet, kid_of
from ticketing.statuslist import INVALID, StatusList, issue_list_jwt, pack
from ticketing.ticket_cwt import issue_qr


class Issuer:
    """A desk that sells, revokes and publishes its lists."""

    def __init__(self) -> None:
        private = Ed25519PrivateKey.generate()
        public = private.public_key()
        self.signer = FileSigner(kid_of(public.public_bytes_raw()), private)
        self.keys = KeySet([IssuerKey(self.signer.kid, "takt", public)])
        self.revoked: list[tuple[int, int]] = []
        self.denied: list[str] = []
        self.broken = False
        self.asked: list[str] = []
        self.issued_s = int(time.time())

    def sell(self, index: int) -> tuple[str, str]:
        now_s, ticket = int(time.time()), uuid.uuid4()
        return str(ticket), issue_qr(
            Claims("takt", ticket, "day", now_s - 5, now_s + 900, ("*",), 3, index), self.signer
        )

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        if self.broken:
            return web.Response(body=b"\xffgarbage")
        if request.path == "/.well-known/cose-keys":
            return web.Response(body=self.keys.cose_keys())
        if request.path == "/api/v1/products":
            return web.json_response(
                {"products": [{"id": "day", "rides": None, "passback_minutes": 0, "proof": False, "name": {}}]}
            )
        if request.path == "/status-lists/3":
            self.issued_s += 1
            array = pack(self.revoked, 100)
            return web.Response(text=issue_list_jwt(StatusList("http://x/3", array, self.issued_s, 15), self.signer))
        if request.path == "/deny-list":
            entries = [
                {"seq": seq, "kind": "ticket", "medium": medium, "removed": False, "at": 0}
                for seq, medium in enumerate(self.denied, 1)
                if seq > int(request.query["after"])
            ]
            return web.json_response({"sequence": len(self.denied), "entries": entries})
        raise web.HTTPNotFound


@pytest.fixture
async def issuer():
    made = Issuer()
    app = web.Application()
    app.router.add_get("/{path:.*}", made.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert runner.addresses
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


async def test_lists_are_fetched_told_of_and_heeded(issuer, tmp_path: Path) -> None:
    shown: list[Shown] = []
    with running(nats_broker(tmp_path)) as nats, Disk(tmp_path / "taps") as disk:
        async with Devices(Broker("127.0.0.1", nats.port), np.random.default_rng(1)) as devices:
            terminal = Terminal("b1", "kpt/7", Rules(1, {}), rng=np.random.default_rng(2), fallback_s=0.05)
            access = Access("kpt", "v7", "v7", "", issuer.url, refresh_s=3_600.0)
            async with ValidatorDevice(access, terminal, devices, disk, shown.append) as validator:
                assert set(terminal.lists.ages_s(0.0).values()) == {float("inf")}
                await until(lambda: validator.device.online and "/deny-list" in issuer.asked, "the first fetch")
                await until(lambda: "day" in terminal.rules.products and terminal.lists.denied_s > 0, "the lists")
                tickets = [issuer.sell(index) for index in range(3)]

                async def say() -> list[str]:
                    taps = [validator.tap("qr", token) for _, token in tickets]
                    await until(lambda: {one.tap_id for one in shown} >= set(taps), "answers on the display")
                    by_id = {one.tap_id: one.verdict for one in shown}
                    return [by_id[tap] for tap in taps]

                async def tell() -> None:
                    """Something is newer: the retained message that all validators hear."""
                    before = len(issuer.asked)
                    with device(nats, "desk") as desk:
                        desk.send(topics.lists("kpt"), json.dumps({"deny": 1}).encode(), qos=1, retain=True)
                        await until(lambda: issuer.asked[before:].count("/deny-list") > 0, "a fetch at once")
                    await asyncio.sleep(0.1)  # its answer is on its way

                assert await say() == ["accepted"] * 3
                issuer.revoked, issuer.denied = [(1, INVALID)], [tickets[2][0]]
                assert await say() == ["accepted"] * 3, "nobody told it yet"
                await tell()
                assert "/status-lists/3" in issuer.asked, "the list that a ticket named"
                assert await say() == ["accepted", "revoked", "denied"]
                assert all(age_s < 60 for age_s in validator.ages_s().values())

                issuer.broken = True
                await tell()
                assert await say() == ["accepted", "revoked", "denied"], "what it held is held"
                assert validator.counters["lists_refused"] >= 3
                assert validator.counters["alone"] == 12
            assert len(disk.entries()) >= 12


async def test_a_device_switched_on_without_any_network_lets_riders_in(issuer, tmp_path: Path) -> None:
    """What it fetched yesterday is on its disk: keys, lists and products, so that a depot's morning is no queue."""
    issuer.revoked = [(1, INVALID)]
    tickets = [issuer.sell(index)[1] for index in range(2)]

    async def work(http_url: str) -> list[tuple[str, bool]]:
        shown: list[Shown] = []
        with Disk(tmp_path / "taps") as disk:
            async with Devices(Broker("127.0.0.1", 1), np.random.default_rng(1)) as devices:
                terminal = Terminal(http_url, "kpt/7", Rules(1, {}), rng=np.random.default_rng(2), fallback_s=0.01)
                access = Access("kpt", "v7", "v7", "", http_url, (3,), lists_kept_in=tmp_path / "lists")
                async with ValidatorDevice(access, terminal, devices, disk, shown.append) as validator:
                    await until((tmp_path / "lists" / "deny").exists, "what was fetched")
                    taps = [validator.tap("qr", token) for token in tickets]
                    await until(lambda: {one.tap_id for one in shown} >= set(taps), "answers on the display")
        return [(one.verdict, one.alone) for one in shown]

    assert await work(issuer.url) == [("accepted", True), ("revoked", True)]
    assert await work("http://127.0.0.1:1") == [("accepted", True), ("revoked", True)]
