"""The passenger's page behind the web server: its address, its policy, and the worker that keeps it offline."""

from __future__ import annotations

from pathlib import Path

from tests.integration.web_running import running_web


def built(folder: Path) -> Path:
    """What a build of the page leaves behind."""
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>x</title>")
    (folder / "sw.js").write_text("1")
    (folder / "assets" / "index-abc123.js").write_text("1;")
    return folder


async def test_the_page_runs_under_a_policy_of_its_own(tmp_path: Path) -> None:
    async with running_web(tmp_path, wallet=built(tmp_path / "dist")) as running, running.client() as client:
        async with client.get("/ticket") as response:
            assert (response.status, response.content_type) == (200, "text/html")
            policy = response.headers.getall("Content-Security-Policy")
        assert len(policy) == 1
        assert "default-src 'none'" in policy[0]
        assert "unsafe" not in policy[0]
        async with client.get("/ticket/assets/index-abc123.js") as response:
            assert "immutable" in response.headers["Cache-Control"]
        async with client.get("/docs") as response:
            assert response.headers["Content-Security-Policy"] != policy[0]


async def test_a_slash_behind_the_address_leads_to_the_page(tmp_path: Path) -> None:
    async with running_web(tmp_path, wallet=built(tmp_path / "dist")) as running, running.client() as client:
        for typed in ("/ticket/", "/docs/"):
            async with client.get(typed, allow_redirects=False) as response:
                assert (response.status, response.headers["Location"]) == (308, f"..{typed[:-1]}")
            async with client.get(typed) as response:
                assert (response.status, response.url.path) == (200, typed[:-1])


async def test_the_worker_may_keep_the_page_above_its_folder_and_fetch_from_here_alone(tmp_path: Path) -> None:
    async with (
        running_web(tmp_path, wallet=built(tmp_path / "dist")) as running,
        running.client() as client,
        client.get("/ticket/sw.js") as response,
    ):
        assert response.content_type == "text/javascript"
        assert response.headers["Service-Worker-Allowed"] == "../ticket"
        assert "connect-src 'self'" in response.headers["Content-Security-Policy"]
        assert response.headers["Cache-Control"] == "no-cache"


async def test_a_page_that_is_not_built_says_how_to(tmp_path: Path) -> None:
    async with (
        running_web(tmp_path, wallet=tmp_path / "none") as running,
        running.client() as client,
        client.get("/ticket") as response,
    ):
        assert response.status == 200
        assert "make wallet" in await response.text()
