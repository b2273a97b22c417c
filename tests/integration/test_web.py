"""The web server from outside: every kind of wrong request, every right, and clients that misbehave."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import aiohttp
import msgspec
import pytest
import pytest_asyncio
import trustme
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy.auth import PERMISSIONS, ROLES
from deploy.envelope import WebSettings
from deploy.errors import UserError
from deploy.sessions import COOKIE
from deploy.web import WebServer, routes_of
from tests.integration.web_running import Running, running_web

PROBLEM = "application/problem+json"


class Body(msgspec.Struct):
    name: str
    count: int = 0
    inner: dict[str, float] = {}


class EchoApi:
    """Operations that only the tests have: one that echoes, one that fails, one that is slow, one that is large."""

    def routes(self) -> list[tuple[Any, ...]]:
        return [
            ("POST", "/test/echo/{key}", "public", self.echo, 201),
            ("GET", "/test/boom", "public", self.boom),
            ("GET", "/test/slow", "public", self.slow),
            ("GET", "/test/large", "public", self.large),
        ]

    async def echo(
        self, key: str, *, body: Body, from_: float = 0.0, count: int = 0, idempotency_key: str | None = None
    ) -> Annotated[Body, "no-store"]:
        """Give back what came."""
        return body

    async def boom(self) -> Body:
        """Fail in a way nobody foresaw."""
        raise RuntimeError("the password is hunter2")

    async def slow(self) -> Body:
        """Take longer than anybody waits."""
        await asyncio.sleep(3600)
        raise AssertionError

    async def large(self) -> Annotated[bytes, "application/octet-stream"]:
        """Give back more than any buffer between us holds."""
        return bytes(32_000_000)


@pytest_asyncio.fixture(loop_scope="function")
async def web(tmp_path: Path) -> AsyncIterator[Running]:
    limits = {"handle_s_max": 0.5, "write_s_max": 0.5, "idle_s_max": 1.0, "body_bytes_max": 65_536}
    async with running_web(tmp_path, more=[EchoApi()], **limits) as running:
        yield running


async def problem_of(response: aiohttp.ClientResponse, status: int) -> dict[str, Any]:
    """The problem document of a refused request, which is what every refusal must be."""
    text = await response.text()
    assert (response.status, response.content_type) == (status, PROBLEM), text
    document: dict[str, Any] = json.loads(text)
    assert document["status"] == status
    assert document["title"]
    assert "Traceback" not in text
    assert "hunter2" not in text
    return document


JSON = {"Content-Type": "application/json"}
WRONG: dict[str, tuple[str, str, dict[str, Any], int, str]] = {
    "no such address": ("GET", "/nope", {}, 404, "/docs"),
    "no such method": ("DELETE", "/livez", {}, 405, "GET"),
    "a body too large": ("POST", "/test/echo/a", {"data": b" " * 70_000, "headers": JSON}, 413, "larger"),
    "a body that is no JSON": ("POST", "/test/echo/a", {"data": b"name=x", "headers": JSON}, 400, "body: Not JSON"),
    "a body that is cut off": (
        "POST",
        "/test/echo/a",
        {"data": b'{"name": "x', "headers": JSON},
        400,
        "body: Not JSON",
    ),
    "a body of another kind": ("POST", "/test/echo/a", {"data": {"name": "x"}}, 415, "application/json"),
    "a body that is packed": (
        "POST",
        "/test/echo/a",
        {"data": b"\x1f\x8b", "headers": {**JSON, "Content-Encoding": "gzip"}},
        415,
        "Content-Encoding",
    ),
    "no body": ("POST", "/test/echo/a", {"headers": JSON}, 400, "body: Missing"),
    "a field is missing": ("POST", "/test/echo/a", {"json": {}}, 422, "name"),
    "a field of another type": ("POST", "/test/echo/a", {"json": {"name": 7}}, 422, "body.name"),
    "a field deep inside": ("POST", "/test/echo/a", {"json": {"name": "x", "inner": {"k": "v"}}}, 422, "body.inner"),
    "an array for an object": ("POST", "/test/echo/a", {"json": [1]}, 422, "Expected `object`"),
    "NaN": ("POST", "/test/echo/a", {"data": b'{"name":"x","inner":{"k":NaN}}', "headers": JSON}, 400, "Not JSON"),
    "no UTF-8": ("POST", "/test/echo/a", {"data": b'{"name":"\xff"}', "headers": JSON}, 400, "Not JSON"),
    "a lone surrogate": ("POST", "/test/echo/a", {"data": rb'{"name":"\ud800"}', "headers": JSON}, 400, "Not JSON"),
    "NUL": ("POST", "/test/echo/a", {"data": rb'{"name":"\u0000"}', "headers": JSON}, 400, "NUL"),
    "NUL in the path": ("GET", "/api/v1/routes/%00/line", {}, 400, "path.route_id"),
    "no UTF-8 in the path": ("GET", "/api/v1/routes/%ff/line", {}, 404, ""),
    "a query of another type": ("POST", "/test/echo/a?from=soon", {"json": {"name": "x"}}, 422, "query.from"),
    "an integer beyond 64 bits": ("POST", "/test/echo/a", {"json": {"name": "x", "count": 1 << 63}}, 422, "body.count"),
    "a query beyond 64 bits": ("POST", f"/test/echo/a?count={1 << 63}", {"json": {"name": "x"}}, 422, "query.count"),
    "a query that is infinite": ("POST", "/test/echo/a?from=inf", {"json": {"name": "x"}}, 422, "finite"),
    "a query given twice": ("POST", "/test/echo/a?from=1&from=2", {"json": {"name": "x"}}, 400, "more than once"),
    "a key that is too long": (
        "POST",
        "/test/echo/a",
        {"json": {"name": "x"}, "headers": {"Idempotency-Key": "k" * 256}},
        422,
        "Idempotency-Key",
    ),
    "a path that is too long": ("GET", f"/api/v1/routes/{'x' * 300}/line", {}, 422, "path.route_id"),
    "no such route": ("GET", "/api/v1/routes/r9/line", {}, 404, "no route r9"),
    "no such stop": ("GET", "/api/v1/stops/s9/arrivals", {}, 404, "no stop s9"),
    "headways of no such route": ("GET", "/api/v1/headways?route_id=r9", {}, 404, "no route r9"),
    "a failure": ("GET", "/test/boom", {}, 500, "its log has"),
    "an answer that takes too long": ("GET", "/test/slow", {}, 503, "too long"),
    "a forged token where none is needed": (
        "GET",
        "/api/v1/vehicles",
        {"headers": {"Authorization": "Bearer forged"}},
        401,
        "token is refused",
    ),
}


@pytest.mark.parametrize(("method", "path", "options", "status", "says"), WRONG.values(), ids=WRONG.keys())
async def test_a_wrong_request_gets_a_problem_document(
    web: Running, method: str, path: str, options: dict[str, Any], status: int, says: str
) -> None:
    async with web.client() as client, client.request(method, _raw(web, path), **options) as response:
        document = await problem_of(response, status)
    assert says in json.dumps(document)
    assert document["request_id"] == response.headers["X-Request-Id"]


def _raw(web: Running, path: str) -> Any:
    import yarl

    return yarl.URL(f"{web.url}{path}", encoded=True)


@pytest.mark.parametrize(
    "bomb",
    [b"[" * 60_000, b'{"a":' * 10_000, b'{"name":"x","zzz":' + b"[" * 30_000 + b"]" * 30_000 + b"}", b"9" * 60_000],
    ids=["arrays", "objects", "depth in an unknown field", "a number of 60,000 digits"],
)
async def test_a_bomb_is_a_problem_document(web: Running, bomb: bytes) -> None:
    async with web.client() as client, client.post("/test/echo/a", data=bomb, headers=JSON) as response:
        assert response.status in {400, 422}
        await problem_of(response, response.status)


async def test_an_unforeseen_failure_is_counted(web: Running) -> None:
    async with web.client() as client:
        await (await client.get("/test/boom")).read()
        text = await (await client.get("/metrics")).text()
    assert "takt_http_unhandled_errors_total 1.0" in text
    assert 'takt_http_requests_total{method="GET",route="/test/boom",status="500"} 1.0' in text


async def test_what_a_request_creates_is_201(web: Running) -> None:
    async with web.client() as client, client.post("/test/echo/a", json={"name": "x", "unknown": 1}) as response:
        assert response.status == 201
        assert await response.json() == {"name": "x", "count": 0, "inner": {}}


@pytest.mark.parametrize(
    ("given", "kept"),
    [("abc-1.2_3", True), ("a" * 64, True), ("a" * 65, False), ("a b", False), ("<script>", False), ("", False)],
)
async def test_a_request_id_comes_back_when_it_is_harmless(web: Running, given: str, kept: bool) -> None:
    async with web.client() as client, client.get("/livez", headers={"X-Request-Id": given}) as response:
        assert (response.headers["X-Request-Id"] == given) is kept
        assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", response.headers["X-Request-Id"])


# --- below HTTP ------------------------------------------------------------------------------------------------------


async def talk(web: Running, data: bytes) -> bytes:
    """Everything the server says to raw bytes until it hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", web.server.port)
    writer.write(data)
    await writer.drain()
    answer = await asyncio.wait_for(reader.read(), 15)
    writer.close()
    return answer


CLOSE = b"Connection: close\r\n\r\n"
RAW = {
    "garbage": (b"\x00\xff\xfe not http\r\n\r\n", b" 400 "),
    "no such version": (b"GET / HTTP/9.9\r\nHost: x\r\n\r\n", b" 400 "),
    "TLS to a plain port": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 100 + b"\r\n\r\n", b" 400 "),
    "10,000 headers": (b"GET /livez HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 10_000 + b"\r\n", b" 431 "),
    "a header of 60 KB": (b"GET /livez HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 60_000 + b"\r\n\r\n", b" 431 "),
    "an address of 60 KB": (b"GET /" + b"a" * 60_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b" 431 "),
    "two lengths": (b"POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", b" 400 "),
    "length and chunks": (
        b"POST /test/echo/a HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b" 400 ",
    ),
}


@pytest.mark.parametrize(("data", "status"), RAW.values(), ids=RAW.keys())
async def test_what_is_no_request_is_refused_in_words(web: Running, data: bytes, status: bytes) -> None:
    answer = await talk(web, data)
    assert status in answer.split(b"\r\n")[0]
    assert b"application/problem+json" in answer
    assert b"Traceback" not in answer


async def test_a_request_that_never_ends_is_cut_off(web: Running) -> None:
    assert await talk(web, b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Slow: ") == b""


async def test_a_body_that_never_comes_is_a_problem_document(web: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.answers._BODY_S_MAX", 0.1)
    answer = await talk(
        web, b'POST /test/echo/a HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"na'
    )
    assert b" 408 " in answer.split(b"\r\n")[0]
    assert b"application/problem+json" in answer


async def test_a_client_that_does_not_read_is_cut_off_and_counted(web: Running) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", web.server.port, limit=1024)
    writer.write(b"GET /test/large HTTP/1.1\r\nHost: x\r\n\r\n")
    await writer.drain()
    async with web.client() as client:
        async with asyncio.timeout(60):
            while 'takt_http_timeouts_total{part="write"} 1.0' not in await (await client.get("/metrics")).text():
                await asyncio.sleep(0.05)
    writer.close()


async def test_a_connection_is_kept_for_the_next_request(web: Running) -> None:
    async with web.client(connector=aiohttp.TCPConnector(limit=1)) as client:
        for _ in range(3):
            async with client.get("/livez") as response:
                assert response.headers.get("Connection", "keep-alive").lower() == "keep-alive"
        assert web.server.connections == 1


async def test_connections_past_the_limit_are_closed(tmp_path: Path) -> None:
    async with running_web(tmp_path, connections_max=3) as running:
        held = [await asyncio.open_connection("127.0.0.1", running.server.port) for _ in range(3)]
        assert await talk(running, b"GET /livez HTTP/1.1\r\nHost: x\r\n" + CLOSE) == b""
        for _, writer in held:
            writer.close()


# --- rights ----------------------------------------------------------------------------------------------------------


def _filled(path: str) -> str:
    return re.sub(r"\{\w+\}", "x", path)


async def test_every_operation_asks_for_its_right(tmp_path: Path) -> None:
    """The whole matrix: every operation with nobody, and with every role; the machine itself has no right."""
    async with running_web(tmp_path, local_permissions=frozenset()) as web, web.client() as client:
        guarded = [route for route in routes_of(web.server.operations) if route[2] != "public"]
        assert len(guarded) >= 4
        for method, path, permission in guarded:
            async with client.request(method, _filled(path)) as response:
                document = await problem_of(response, 401)
                assert "WWW-Authenticate" in response.headers, document
            for role in ROLES:
                async with client.request(method, _filled(path), headers=web.bearer(role)) as response:
                    if role == "admin" or role in PERMISSIONS[permission]:
                        assert response.status not in {401, 403}, (method, path, role)
                    else:
                        document = await problem_of(response, 403)
                        assert role in document["detail"]


def test_a_permission_that_nobody_knows_stops_the_start() -> None:
    class Api:
        def routes(self) -> list[tuple[Any, ...]]:
            return [("GET", "/x", "no:such", EchoApi().boom)]

    from prometheus_client import CollectorRegistry

    from deploy.sessions import Access

    with pytest.raises(ValueError, match="no:such"):
        WebServer([Api()], WebSettings(port=0), Access(), CollectorRegistry())


async def test_rate_limits_leave_room_for_200_taps_at_once(web: Running) -> None:
    headers = web.bearer("validator")
    async with web.client(headers=headers) as client:

        async def ask() -> int:
            async with client.get("/livez") as response:
                return response.status

        assert set(await asyncio.gather(*(ask() for _ in range(200)))) == {200}


async def test_a_flood_is_told_when_to_come_back(tmp_path: Path) -> None:
    from deploy.limits import Rate

    async with running_web(tmp_path, per_address=Rate(per_s=0.1, burst=5)) as running, running.client() as client:
        for _ in range(5):
            async with client.get("/livez") as response:
                assert response.status == 200
        async with client.get("/livez") as response:
            await problem_of(response, 429)
            assert int(response.headers["Retry-After"]) >= 1
        async with client.get("/livez", headers=running.bearer("dispatcher")) as response:
            assert response.status == 200  # who says who he is has a bucket of his own


# --- the console's login ---------------------------------------------------------------------------------------------

LOGIN = {"user": "desk1", "password": "correct horse"}


@pytest_asyncio.fixture(loop_scope="function")
async def desk1(web: Running) -> Running:
    await asyncio.to_thread(web.sessions._users.add, "desk1", "dispatcher", LOGIN["password"])
    return web


async def test_a_login_sets_a_cookie_that_scripts_cannot_read(desk1: Running) -> None:
    async with desk1.client() as client:
        async with client.get("/api/v1/session") as response:
            await problem_of(response, 401)
        async with client.post("/api/v1/session", json=LOGIN) as response:
            assert await response.json() == {"user": "desk1", "role": "dispatcher"}
            cookie = response.headers["Set-Cookie"]
            assert "HttpOnly" in cookie
            assert "SameSite=Strict" in cookie
            assert "Secure" not in cookie
        jar = {COOKIE: response.cookies[COOKIE].value}
        async with client.get("/api/v1/session", cookies=jar) as response:
            assert await response.json() == {"user": "desk1", "role": "dispatcher"}


async def log_in(running: Running, client: aiohttp.ClientSession) -> dict[str, str]:
    async with client.post("/api/v1/session", json=LOGIN) as response:
        assert response.status == 200
        return {"Cookie": f"{COOKIE}={response.cookies[COOKIE].value}"}


@pytest.mark.parametrize(
    "body",
    [
        {"user": "desk1", "password": "wrong horses"},
        {"user": "nobody", "password": "correct horse"},
        {"user": "", "password": ""},
        {"user": "o" * 1000, "password": "p" * 10_000},
    ],
)
async def test_a_wrong_login_says_no_more_than_that(desk1: Running, body: dict[str, str]) -> None:
    async with desk1.client() as client, client.post("/api/v1/session", json=body) as response:
        document = await problem_of(response, 401)
    assert document["detail"] == "The name or the password is wrong."
    assert "Set-Cookie" not in response.headers


async def test_passwords_cannot_be_tried_for_long(desk1: Running) -> None:
    async with desk1.client() as client:
        statuses = []
        for _ in range(12):
            async with client.post("/api/v1/session", json={**LOGIN, "password": "wrong horses"}) as response:
                statuses.append(response.status)
        assert statuses == [401] * 10 + [429] * 2
        async with client.post("/api/v1/session", json=LOGIN) as response:
            await problem_of(response, 429)


async def test_a_cookie_works_from_our_own_page_alone(desk1: Running) -> None:
    async with desk1.client() as client:
        headers = await log_in(desk1, client)
        address = "/api/v1/alerts/x/acknowledge"
        for origin in (None, "https://evil.example", "null", f"{desk1.url}.evil.example"):
            more = {"Origin": origin} if origin else {}
            async with client.post(address, headers={**headers, **more}) as response:
                await problem_of(response, 403)
        async with client.post(address, headers={**headers, "Origin": desk1.url}) as response:
            await problem_of(response, 404)  # let in; there is only no such alert


async def test_a_logout_ends_the_cookie_for_good(desk1: Running) -> None:
    async with desk1.client() as client:
        headers = {**await log_in(desk1, client), "Origin": desk1.url}
        async with client.delete("/api/v1/session", headers=headers) as response:
            assert response.status == 204
            assert "Max-Age=0" in response.headers["Set-Cookie"]
        async with client.get("/api/v1/session", headers=headers) as response:
            await problem_of(response, 401)


async def test_a_user_who_is_removed_is_logged_out(desk1: Running) -> None:
    async with desk1.client() as client:
        headers = await log_in(desk1, client)
        desk1.sessions._users.remove("desk1")
        async with client.get("/api/v1/session", headers=headers) as response:
            await problem_of(response, 401)


async def test_a_cookie_is_no_token_and_a_token_no_cookie(desk1: Running) -> None:
    async with desk1.client() as client:
        cookie = (await log_in(desk1, client))["Cookie"].partition("=")[2]
        async with client.get("/api/v1/session", headers={"Authorization": f"Bearer {cookie}"}) as response:
            await problem_of(response, 401)
        token = desk1.bearer("admin", "desk1")["Authorization"].partition(" ")[2]
        async with client.get("/api/v1/session", headers={"Cookie": f"{COOKIE}={token}"}) as response:
            await problem_of(response, 401)


# --- what is there ---------------------------------------------------------------------------------------------------


async def test_liveness_stays_while_readiness_goes_with_its_reason(web: Running) -> None:
    async with web.client() as client:
        async with client.get("/readyz") as response:
            assert (response.status, await response.json()) == (200, {"ready": True, "reasons": [], "warnings": []})
        web.reasons.append("PostgreSQL does not answer")
        async with client.get("/readyz") as response:
            assert response.status == 503
            assert await response.json() == {"ready": False, "reasons": ["PostgreSQL does not answer"], "warnings": []}
        async with client.get("/livez") as response:
            assert (response.status, await response.json()) == (200, {"live": True})


async def test_public_answers_may_be_read_by_any_page_and_private_ones_by_none(web: Running) -> None:
    async with web.client() as client:
        async with client.get("/api/v1/vehicles") as response:
            assert response.headers["Access-Control-Allow-Origin"] == "*"
            assert response.headers["X-Content-Type-Options"] == "nosniff"
        async with client.get("/api/v1/session", headers=web.bearer("dispatcher")) as response:
            assert "Access-Control-Allow-Origin" not in response.headers
            assert response.headers["Cache-Control"] == "no-store"


async def test_a_map_is_sent_once(web: Running) -> None:
    async with web.client() as client:
        async with client.get("/api/v1/map") as response:
            tag = response.headers["ETag"]
            drawn = await response.json()
        async with client.get("/api/v1/map", headers={"If-None-Match": tag}) as response:
            assert (response.status, await response.read()) == (304, b"")
    assert drawn["bounds"] == [30.5, 50.45, 30.542, 50.45]
    assert drawn["lines"]["features"][0]["properties"]["route_id"] == "r1"
    assert len(drawn["stops"]["features"]) == 4


async def test_head_is_answered_without_a_body(web: Running) -> None:
    async with web.client() as client, client.head("/api/v1/vehicles") as response:
        assert (response.status, await response.read()) == (200, b"")


async def test_the_pages_bring_all_they_need_and_allow_nothing_else(web: Running) -> None:
    async with web.client() as client:
        for page in ("/", "/docs"):
            async with client.get(page) as response:
                assert (response.status, response.content_type) == (200, "text/html")
                policy = response.headers["Content-Security-Policy"]
                text = await response.text()
            assert "script-src 'self'" in policy
            assert "frame-ancestors 'none'" in policy
            for address in re.findall(r'(?:src|href)="(/[^"]+\.(?:js|css))"', text):
                async with client.get(address) as response:
                    assert response.status == 200, address
            assert not re.findall(r'(?:src|href)="https?:', text)


async def test_a_page_that_a_browser_has_kept_keeps_its_policy(web: Running) -> None:
    """A 304's headers take the place of those kept: under another policy the page is blank the second time."""
    async with web.client() as client:
        for page in ("/", "/docs"):
            async with client.get(page) as response:
                first, tag = response.headers["Content-Security-Policy"], response.headers["ETag"]
            async with client.get(page, headers={"If-None-Match": tag}) as response:
                assert response.status == 304
                assert response.headers.get("Content-Security-Policy", first) == first


async def test_a_console_that_is_not_built_says_how_to(tmp_path: Path) -> None:
    async with (
        running_web(tmp_path, console=tmp_path / "none") as running,
        running.client() as client,
        client.get("/") as response,
    ):
        assert response.status == 200
        assert "has not been built" in await response.text()


async def test_assets_never_change_and_the_page_is_checked(tmp_path: Path) -> None:
    dist = tmp_path / "dist"
    (dist / "assets").mkdir(parents=True)
    (dist / "index.html").write_text("<!doctype html><title>x</title>")
    (dist / "assets" / "index-abc123.js").write_text("1;" * 1000)
    async with running_web(tmp_path, console=dist) as running, running.client() as client:
        async with client.get("/assets/index-abc123.js") as response:
            assert "immutable" in response.headers["Cache-Control"]
            assert response.content_type == "text/javascript"
            assert response.headers["Content-Encoding"] == "gzip"
        async with client.get("/") as response:
            assert response.headers["Cache-Control"] == "no-cache"
        for outside in ("/assets/../users.json", "/assets/%2e%2e/%2e%2e/users.json", "/index.html.bak"):
            async with client.get(_raw(running, outside)) as response:
                await problem_of(response, 404)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
def test_any_body_is_answered_without_a_failure(body: bytes) -> None:
    """The decoder behind every body, at the speed of a function call."""
    from deploy.answers import _body_reader
    from deploy.binding import bind
    from deploy.problems import document_of

    class Request:
        body_exists, headers, content_type = True, {}, "application/json"

        async def read(self) -> bytes:
            return body

    read = _body_reader(bind("POST", "/test/echo/{key}", "public", EchoApi().echo))
    found: list[Exception] = []

    async def attempt() -> None:
        try:
            await read(Request(), {})  # type: ignore[arg-type]
        except Exception as error:
            found.append(error)

    asyncio.run(attempt())
    for error in found:
        document, _, foreseen = document_of(error)
        assert foreseen, repr(error)
        assert document.status in {400, 422}
        msgspec.json.encode(document)


# --- the start -------------------------------------------------------------------------------------------------------


async def test_a_taken_port_is_one_sentence(web: Running, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"port {web.server.port} on 127\.0\.0\.1 is taken"):
        async with running_web(tmp_path / "two", port=web.server.port):
            raise AssertionError


@pytest.mark.parametrize("host", ["203.0.113.7", "no.such.host.invalid"])
async def test_a_host_that_is_not_ours_is_one_sentence(tmp_path: Path, host: str) -> None:
    with pytest.raises(UserError, match="is no address of this machine"):
        async with running_web(tmp_path, host=host):
            raise AssertionError


async def test_tls_serves_and_says_what_is_wrong_with_its_files(tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    certificate, key, other = tmp_path / "c.pem", tmp_path / "k.pem", tmp_path / "o.pem"
    issued.cert_chain_pems[0].write_to_path(certificate)
    issued.private_key_pem.write_to_path(key)
    authority.issue_cert("127.0.0.1").private_key_pem.write_to_path(other)
    for files, says in (
        ({"tls_certificate": certificate}, "both"),
        ({"tls_certificate": certificate, "tls_key": tmp_path / "none.pem"}, "no such file"),
        ({"tls_certificate": certificate, "tls_key": other}, "cannot be used for TLS"),
        ({"tls_certificate": key, "tls_key": key}, "cannot be used for TLS"),
    ):
        with pytest.raises(UserError, match=says):
            async with running_web(tmp_path, **files):
                raise AssertionError
    import ssl

    trusted = ssl.create_default_context()
    authority.configure_trust(trusted)
    async with running_web(tmp_path, tls_certificate=certificate, tls_key=key) as running:
        await asyncio.to_thread(running.sessions._users.add, "desk1", "dispatcher", LOGIN["password"])
        connector = aiohttp.TCPConnector(ssl=trusted)
        async with (
            running.client(connector=connector) as client,
            client.post("/api/v1/session", json=LOGIN) as response,
        ):
            assert response.status == 200
            assert "Secure" in response.headers["Set-Cookie"]


async def test_leaving_waits_for_answers_but_not_for_streams(tmp_path: Path) -> None:
    began = time.monotonic()
    async with running_web(tmp_path) as running, running.client() as client:
        stream = await client.get("/api/v1/stream")
        assert await stream.content.readline() == b"retry: 2000\n"
    assert time.monotonic() - began < 15
    stream.close()
