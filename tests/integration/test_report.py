"""`takt report` from a real database and from a recording: the page is there, and every refusal is one sentence."""

from __future__ import annotations

import asyncio
import datetime as dt
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from deploy.commands import report
from deploy.errors import UserError
from deploy.instance import Instance
from tests.integration.test_history import engine_with, history, snapshot_of
from tests.integration.web_running import feed_zip

app = typer.Typer()
report.register(app)
app.command("other")(lambda: None)

DEPARTURES = [(n, n, stop, 60 * (5 * n + 5 * stop) + 20 * n) for n in range(3) for stop in range(3)]


async def kept(database: str, folder: Path) -> dict[str, str]:
    """An instance whose database holds three runs; returns the environment in which the command finds it."""
    engine = engine_with(*DEPARTURES)
    one = history(database)
    one.take(engine, snapshot_of(engine))
    await one.write()
    Instance.open(folder / "data")
    (folder / "feed.zip").write_bytes(feed_zip())
    return {"TAKT_DATABASE_URL": database, "TAKT_DATA_DIR": str(folder / "data"), "TAKT_FEED": str(folder / "feed.zip")}


def write(folder: Path, environment: dict[str, str], *options: str) -> str:
    """The page that the command writes; its own exception where it refuses."""
    out = folder / "page.html"
    result = CliRunner().invoke(app, ["report", "--out", str(out), *options], env=environment)
    if result.exception is not None:
        raise result.exception
    return out.read_text(encoding="utf-8")


async def in_thread(*arguments: object) -> str:
    return await asyncio.to_thread(write, *arguments)  # type: ignore[arg-type]


async def test_a_page_of_what_history_keeps(database: str, tmp_path: Path) -> None:
    environment = await kept(database, tmp_path)
    page = await in_thread(tmp_path, environment, "--language", "uk")
    assert "13 липня 2026" in page
    assert page.count('<section class="line"') == 1
    assert page.count("<title>a · t1</title>") == 1


async def test_unix_seconds_are_no_date_though_they_are_as_long(database: str, tmp_path: Path) -> None:
    environment = await kept(database, tmp_path)
    since = dt.datetime(2026, 7, 12, 12, tzinfo=dt.UTC)
    page = await in_thread(tmp_path, environment, "--from", str(int(since.timestamp())))
    assert page.count('<section class="line"') == 1


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--route", "99"], "the feed has no route 99"),
        (["--from", "soon"], "'soon' is not a time"),
        (["--from", "2026-01-01", "--to", "2026-01-02"], "nothing was seen"),
        (["--from", "2026-07-14"], "there is nothing between"),
        (["--positions", "nowhere.csv"], "--positions needs the feed"),
        (["--positions", "nowhere.csv", "--gtfs", "nowhere.zip"], "nowhere.csv: there is no such file"),
        (["--out", "/nowhere/page.html"], "/nowhere/page.html: cannot be written"),
    ],
)
async def test_what_cannot_be_written_is_said(database: str, tmp_path: Path, options: list[str], sentence: str) -> None:
    environment = await kept(database, tmp_path)
    with pytest.raises(UserError, match=sentence):
        await in_thread(tmp_path, environment, *options)


async def test_an_empty_history_is_said(database: str, tmp_path: Path) -> None:
    Instance.open(tmp_path / "data")
    environment = {"TAKT_DATABASE_URL": database, "TAKT_DATA_DIR": str(tmp_path / "data")}
    with pytest.raises(UserError, match="history is empty"):
        await in_thread(tmp_path, environment)


def test_a_page_of_a_recording(shared: Path, tmp_path: Path) -> None:
    folder = shared / "data" / "washington"
    page = write(tmp_path, {}, "--gtfs", str(folder / "gtfs.zip"), "--positions", str(folder / "positions.csv"))
    assert page.count('<section class="line"') == 4
    assert "16 February 2026, 10:58–15:59" in page
