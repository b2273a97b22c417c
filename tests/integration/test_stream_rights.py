"""Open streams end with the rights that they were opened with, and say why; nobody else's stream notices."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from deploy import answers
from deploy.devices import Registry
from deploy.ended_tokens import EndedTokens
from deploy.instance import Instance
from deploy.revoked import Revocations
from dispatch.board import Publication
from dispatch.history_read import StoredFix
from dispatch.playback import PlaybackApi, PlaybackSettings
from tests.integration.web_running import Running, running_web

PASSWORD = "correct horse battery"


class NothingStored:
    """A history in which nothing ever happened."""

    async def fixes(self, from_s: float, to_s: float) -> list[StoredFix]:
        return []

    async def past_headways(self, from_s: float, to_s: float, routes: list[str]) -> list[Any]:
        return []

    async def past_alerts(self, from_s: float, to_s: float) -> list[Any]:
        return []

    async def decisions(self, from_s: float, to_s: float, route_id: str | None, limit: int) -> list[Any]:
        return []


async def the_end(stream: aiohttp.ClientResponse) -> dict[str, str]:
    """What the event `end` says, with which the connection's answer must be over."""
    async with asyncio.timeout(20):
        last = (await stream.content.read()).decode().rsplit("\n\n", 2)[-2]
    assert last.startswith("event: end\ndata: "), last[:200]
    return dict(msgspec.json.decode(last.partition("data: ")[2]))


async def started(stream: aiohttp.ClientResponse) -> None:
    """Waits for the first event."""
    assert stream.status == 200, await stream.text()
    async with asyncio.timeout(20):
        while not (await stream.content.readuntil(b"\n", max_size=4_000_000)).startswith(b"data: "):
            pass


def playback() -> PlaybackApi:
    settings = PlaybackSettings(frame_s=0.05)
    return PlaybackApi(NothingStored(), "f1", lambda: 1_784_003_600.0, settings, ["r1"])  # type: ignore[arg-type]


LIVE, PAST = "/api/v1/stream", "/api/v1/playback/stream?from=1784000000&to=1784003000&speed=0.1"


@pytest.mark.parametrize("path", [LIVE, PAST], ids=["live", "past"])
async def test_a_revoked_token_ends_its_streams_alone(tmp_path: Path, path: str) -> None:
    instance = Instance.open(tmp_path / "data")
    ended = EndedTokens(instance)
    why = Revocations(Registry(instance), ended).why_refused
    async with running_web(tmp_path, more=[playback()], why_refused=why) as web, web.client() as client:
        token = web.tokens.issue("dispatcher", "eve", time.time(), 3600)
        mine = {"Authorization": f"Bearer {token}"}
        async with (
            client.get(path, headers=mine) as hers,
            client.get(path, headers=web.bearer("dispatcher")) as other,
            client.get(LIVE) as anybody,
        ):
            await started(hers)
            ended.end(web.tokens.verify(token, time.time()))
            assert await the_end(hers) == {
                "reason": "access",
                "detail": "The token is refused: it was revoked; make a new one.",
            }
            await started(other)
            await started(anybody)


@pytest.mark.parametrize("path", [LIVE, PAST], ids=["live", "past"])
async def test_a_token_ends_its_streams_when_it_ends(tmp_path: Path, path: str) -> None:
    async with running_web(tmp_path, more=[playback()]) as web, web.client() as client:
        token = web.tokens.issue("dispatcher", "eve", time.time(), 2)
        async with client.get(path, headers={"Authorization": f"Bearer {token}"}) as hers:
            end = await the_end(hers)
        assert end["detail"] == "The token is refused: the token has expired."
        async with client.get(path, headers={"Authorization": f"Bearer {token}"}) as again:
            assert again.status == 401


async def test_a_logout_ends_the_streams_of_other_tabs(tmp_path: Path) -> None:
    async with running_web(tmp_path) as web:
        web.sessions._users.add("desk1", "dispatcher", PASSWORD)
        jar = aiohttp.CookieJar(unsafe=True)
        async with web.client(cookie_jar=jar, headers={"Origin": web.url}) as client:
            async with client.post("/api/v1/session", json={"user": "desk1", "password": PASSWORD}) as answer:
                assert answer.status == 200
            async with client.get(LIVE) as tab:
                await started(tab)
                async with client.delete("/api/v1/session") as answer:
                    assert answer.status == 204
                assert await the_end(tab) == {"reason": "access", "detail": "The login has ended; log in again."}


async def test_a_reader_in_the_middle_of_a_frame_gets_no_more_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who reads slowly keeps a frame waiting; the parts of it that have not been sent stay here."""
    monkeypatch.setattr(answers, "LOOK_EVERY_S", 0.0)
    revoked: dict[str, str] = {}
    async with running_web(tmp_path, why_refused=lambda claims: revoked.get(claims.sub)) as web:
        as_of_s = time.time() + 1000
        frame = msgspec.json.encode({"as_of": as_of_s, "vehicles": "x" * 8_000_000})
        web.board.publish(Publication(as_of_s, "v", frame, b"{}", b"{}", b"{}", b"{}", [], b"", b"", b""))
        got = await _slow_read(web, revoked)
    assert got < 7_000_000


async def _slow_read(web: Running, revoked: dict[str, str]) -> int:
    """How many bytes come to one who reads the first of them, is revoked, and then reads all that is there."""
    reader, writer = await asyncio.open_connection("127.0.0.1", web.server.port, limit=65_536)
    bearer = web.bearer("dispatcher", "eve")["Authorization"]
    writer.write(f"GET {LIVE} HTTP/1.1\r\nHost: x\r\nAuthorization: {bearer}\r\n\r\n".encode())
    got = len(await reader.readexactly(10_000))
    revoked["eve"] = "it was revoked"
    async with asyncio.timeout(20):
        try:
            while data := await reader.read(65_536):
                got += len(data)
        except ConnectionError:
            pass
    writer.close()
    return got
