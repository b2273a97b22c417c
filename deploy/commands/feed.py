"""`takt feed`: the timetable in use, and going over to another version of it while the city runs."""

from __future__ import annotations

import datetime as dt
import json
import re
import time
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from deploy.commands.options import AsJson, Config, DataDir
from deploy.commands.times import city_time
from deploy.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add the commands to `takt`."""
    feed = typer.Typer(
        name="feed",
        help="The feed in use: look at it, or switch to another version of it without losing a vehicle.",
        epilog="Example: takt feed switch winter.zip --at 03:30",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    feed.command("show", epilog="Example: takt feed show")(show)
    feed.command("switch", epilog="Example: takt feed switch winter.zip --at 03:30")(switch)
    feed.command("withdraw", epilog="Example: takt feed withdraw")(withdraw)
    app.add_typer(feed)


def show(data_dir: DataDir = None, config: Config = None, as_json: AsJson = False) -> None:
    """Show which version of the feed is in use, which one comes next, and which one was refused last."""
    from deploy.client import Client

    client = Client(data_dir, config)
    _tell(client.get("/api/v1/feed"), client.get("/api/v1/instance")["timezone"], as_json)


def switch(
    feed: Annotated[str, typer.Argument(metavar="FEED", help="A zip, a folder or a URL.")],
    at: Annotated[
        str | None,
        typer.Option(help="When: 03:30 (the next time it is that late there) or 2026-12-13T03:30. None: at once."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Take a feed that runs far fewer trips than now.")] = False,
    data_dir: DataDir = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Read another version of the feed and go over to it at a set time; one that cannot be used is refused whole."""
    from deploy.client import Client

    client = Client(data_dir, config, answer_s_max=330.0)
    zone = client.get("/api/v1/instance")["timezone"]
    at_s = parse_at(at, time.time(), ZoneInfo(zone)) if at is not None else None
    source = feed if "://" in feed else str(Path(feed).absolute())
    _tell(client.post("/api/v1/feed", {"source": source, "at": at_s, "force": force}), zone, as_json)


def withdraw(data_dir: DataDir = None, config: Config = None, as_json: AsJson = False) -> None:
    """Take back the version that waits for its time."""
    from deploy.client import Client

    client = Client(data_dir, config)
    zone = client.get("/api/v1/instance")["timezone"]
    _tell(client.delete("/api/v1/feed/next"), zone, as_json)


def parse_at(text: str, now_s: float, zone: ZoneInfo) -> float:
    """Unix seconds of a local time: "03:30" is the next one, "2026-12-13T03:30" is that day's.

    Raises:
        UsageError: it is no time.
    """
    if re.fullmatch(r"\d{1,2}:\d{2}", text):
        now = dt.datetime.fromtimestamp(now_s, zone)
        for day in (now.date(), now.date() + dt.timedelta(days=1)):
            try:
                clock = dt.time.fromisoformat(text.zfill(5))
            except ValueError:
                break
            at = dt.datetime.combine(day, clock, zone)
            if at > now:
                return at.timestamp()
    try:
        at = dt.datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--at {text}: write a local time such as 03:30 or 2026-12-13T03:30") from None
    return at.replace(tzinfo=at.tzinfo or zone).timestamp()


def _tell(status: Any, zone: str, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(status))
        return
    typer.echo(
        f"in use   {status['feed_version']} ({status['source']}): {status['routes']} routes, {status['trips']} trips"
    )
    if status["since"] is not None:
        kept = status["vehicles_kept"]
        typer.echo(
            f"         since {city_time(status['since'], zone)}"
            + (f"; {kept} vehicles kept their trip" if kept else "")
        )
    if chosen := status["next"]:
        typer.echo(
            f"next     {chosen['feed_version']}: {chosen['routes']} routes, {chosen['trips']} trips, "
            f"{chosen['trips_kept']} of them as now; at {city_time(chosen['at'], zone)}, by {chosen['by']}"
        )
    if refused := status["refused"]:
        typer.echo(f"refused  {refused['source']} at {city_time(refused['at'], zone)}: {refused['reason']}")
