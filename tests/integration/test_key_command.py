"""`takt key` at a running instance: the next key published, used, the old one retired, while tickets are sold."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
import typer
from aiohttp import web
from typer.testing import CliRunner

from deploy.answers import Callers
from deploy.binding import bind_all, by_address
from deploy.commands import key
from deploy.errors import UserError
from deploy.instance import Instance
from deploy.negotiation import handler_at
from deploy.runtime import Runtime
from tests.integration.ticket_city import City
from ticketing.keys import load_issuer_keys

HERE = Callers(None, None, None, None, time.time, frozenset({"cards:manage"}))
APP = typer.Typer()
key.register(APP)


@dataclass
class Desk:
    """An instance whose keys sign a city's tickets, and its command line."""

    city: City
    instance: Instance

    async def run(self, *words: str) -> Any:
        """What a command answers; UserError is raised as the command line would say it."""
        arguments = ["key", *words, "--data-dir", str(self.instance.folder), "--json"]
        result = await asyncio.to_thread(CliRunner().invoke, APP, arguments)
        if result.exception is not None:
            raise result.exception
        return json.loads(result.stdout)

    async def states(self) -> dict[str, str]:
        return {found["kid"]: found["state"] for found in (await self.run("list"))["keys"]}


@pytest_asyncio.fixture
async def desk(city: City, tmp_path) -> AsyncIterator[Desk]:
    instance = Instance.open(tmp_path / "data")
    loaded, keys = load_issuer_keys(instance.issuer_keys_dir, "takt"), city.service.keys
    first = [(loaded.signer, loaded.key_set)]
    keys.read = lambda: first.pop() if first else loaded.read()
    city.service.reload_issuer_keys()
    app = web.Application()
    for operation, *forms in by_address(bind_all([city.api])):
        app.router.add_route(operation.method, operation.path, handler_at([operation, *forms], HERE))
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    with instance.locked():
        instance.write_runtime(Runtime(os.getpid(), f"http://127.0.0.1:{runner.addresses[0][1]}", 0, ""))
        yield Desk(city, instance)
    await runner.cleanup()


async def test_keys_follow_one_another_by_command(desk):
    """Twice: what the old key signed is good until it is retired, and refused from then on."""
    keys = desk.city.service.keys
    for _ in range(2):
        old, sold = keys.signer.kid.hex(), await desk.city.sell("month")
        (published,) = (await desk.run("publish"))["keys"]
        new = published["kid"]
        assert published["state"] == "next"
        assert await desk.states() == {old: "signing", new: "next"}
        assert keys.signer.kid.hex() == old
        assert bytes.fromhex(new) in keys.key_set.by_kid, "the running instance tells validators of it at once"
        with pytest.raises(UserError, match="has not been used: takt key use"):
            await desk.run("publish")
        with pytest.raises(UserError, match=r"published 0.0 h ago.*in 24.0 h, or now with --now"):
            await desk.run("use", new)
        with pytest.raises(UserError, match="signs: publish another"):
            await desk.run("retire", old)

        (used,) = (await desk.run("use", new, "--now"))["keys"]
        assert used["state"] == "signing"
        assert keys.signer.kid.hex() == new
        renewed = await desk.city.sell("month")
        assert await desk.city.say(sold.token) == await desk.city.say(renewed.token) == "accepted"
        with pytest.raises(UserError, match="tickets that it signed are good until"):
            await desk.run("retire", old)
        assert await desk.run("retire", old, "--now") == {"retired": old}
        assert await desk.states() == {new: "signing"}
        assert await desk.city.say(sold.jwt, vehicle="other") == "unknown_key"
        assert await desk.city.say(renewed.jwt, vehicle="other") == "accepted"
        again = await desk.city.api.desk.get_ticket(sold.id)
        assert await desk.city.say(again.token, vehicle="third") == "accepted", "its code is made again, by the new key"
    for name in ("", "../../etc/passwd", old):
        with pytest.raises(UserError, match="no such issuer key; there are"):
            await desk.run("use", name)


async def test_an_old_key_is_retired_without_a_word_once_its_tickets_have_ended(desk):
    old = desk.city.service.keys.signer.kid.hex()
    sold = await desk.city.sell("single")
    new = (await desk.run("publish"))["keys"][0]["kid"]
    await desk.run("use", new, "--now")
    await desk.city.pool.execute(
        "UPDATE ticket SET sold_at = now() - interval '2 days', valid_from = now() - interval '2 days',"
        " valid_until = now() - interval '1 hour'"
    )
    assert await desk.run("retire", old) == {"retired": old}
    assert await desk.city.say(sold.token) == "unknown_key"
    files = sorted(file.suffix for file in desk.instance.issuer_keys_dir.iterdir())
    assert files == [".json", ".pem", ".retired"]
    assert {file.stat().st_mode & 0o777 for file in desk.instance.issuer_keys_dir.iterdir()} == {0o600}


async def test_without_its_books_an_instance_cannot_say_that_a_key_may_go(tmp_path):
    instance = Instance.open(tmp_path / "data")
    old = load_issuer_keys(instance.issuer_keys_dir, "takt").signer.kid.hex()

    def run(*words: str) -> Any:
        result = CliRunner().invoke(APP, ["key", *words, "--data-dir", str(instance.folder), "--json"])
        if result.exception is not None:
            raise result.exception
        return json.loads(result.stdout)

    run("use", run("publish")["keys"][0]["kid"], "--now")
    with pytest.raises(UserError, match="not running, and only its books say"):
        run("retire", old)
    assert run("retire", old, "--now") == {"retired": old}
    for file in instance.issuer_keys_dir.glob("*.pem"):
        file.chmod(0o640)
    with pytest.raises(UserError, match=r"others may read it \(mode 0640\); change that with: chmod 600"):
        run("list")
