"""/metrics: who may read a city's numbers, asked over HTTP."""

from __future__ import annotations

import pytest

from tests.integration.web_running import running_web

PROXIED = [{"X-Forwarded-For": "198.51.100.7"}, {"Forwarded": "for=198.51.100.7"}, {"X-Real-IP": "127.0.0.1"}]


async def test_the_machine_itself_needs_no_token_and_who_comes_by_a_proxy_does(tmp_path):
    async with running_web(tmp_path) as web, web.client() as client:
        async with client.get("/metrics") as reply:
            assert (reply.status, "takt_http_requests" in await reply.text()) == (200, True)
        for headers in PROXIED:
            async with client.get("/metrics", headers=headers) as reply:
                assert (reply.status, reply.content_type) == (401, "application/problem+json")
            async with client.get("/metrics", headers={**headers, **web.bearer("monitor")}) as reply:
                assert reply.status == 200
            async with client.get("/metrics", headers={**headers, **web.bearer("cashier")}) as reply:
                assert (reply.status, "monitor" in (await reply.json())["detail"]) == (403, True)
        for path in ("/livez", "/readyz", "/api/v1/routes"):
            async with client.get(path, headers=PROXIED[0]) as reply:
                assert reply.status == 200


@pytest.mark.parametrize("path", ["/api/v1/measures?from=0&to=1", "/api/v1/advice", "/api/v1/session"])
async def test_nothing_else_is_open_on_the_machine_itself_nor_to_a_monitor(tmp_path, path):
    async with running_web(tmp_path) as web, web.client() as client:
        async with client.get(path) as reply:
            assert reply.status in (401, 404, 200 if "session" in path else 401)
        async with client.get("/api/v1/measures?from=0&to=1", headers=web.bearer("monitor")) as reply:
            assert reply.status == 403


async def test_with_a_token_alone_the_machine_itself_needs_one_too(tmp_path):
    async with running_web(tmp_path, local_permissions=frozenset()) as web, web.client() as client:
        async with client.get("/metrics") as reply:
            assert reply.status == 401
        async with client.get("/metrics", headers=web.bearer("admin")) as reply:
            assert reply.status == 200
