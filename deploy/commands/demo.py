"""`takt demo`: a whole city at work, from nothing, with one command."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from deploy.commands.run import refuse_pattern, say
from deploy.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="demo")(demo)


def demo(
    gtfs: Annotated[
        str | None,
        typer.Option("--gtfs", "--feed", help="GTFS feed (zip, folder, URL); default: a made-up city."),
    ] = None,
    vehicles: Annotated[int | None, typer.Option(min=0, help="At most so many vehicles at a time.")] = None,
    at: Annotated[str, typer.Option(help="The time of day it shall be in the timetable.")] = "08:00",
    block_pattern: Annotated[str | None, typer.Option(help="Its first group names the block in a trip_id.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="The folder that holds everything; default: takt-demo.")] = None,
    host: Annotated[str | None, typer.Option(help="Listen here, for HTTP and MQTT; default: loopback.")] = None,
    http_port: Annotated[int | None, typer.Option(min=0, max=65535, help="Default: 8080.")] = None,
    mqtt_port: Annotated[int | None, typer.Option(min=0, max=65535, help="Default: 1883.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the made-up city.")] = 1,
    compliance: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of instructions that the simulated drivers obey.")
    ] = 0.9,
    config: Annotated[
        Path | None, typer.Option(help="Settings; default: takt.toml in this folder. Its data_dir is left alone.")
    ] = None,
) -> None:
    """Start a city with a simulated fleet, riders and validators; everything embedded, nothing to prepare.

    It plays the feed's busiest weekday, its timetable moved so that --at is now. Every other time is the wall clock's.

    Example: takt demo --gtfs city-gtfs.zip --at 17:30
    """
    import asyncio
    import os

    from deploy.config import read_settings
    from deploy.start_checks import check_start

    refuse_pattern(block_pattern)
    at_s = parse_time(at)
    settings = read_settings(
        config,
        data_dir=data_dir or (None if "TAKT_DATA_DIR" in os.environ else Path("takt-demo")),
        block_pattern=block_pattern,
        http__host=host,
        http__port=http_port,
        mqtt__host=host,
        mqtt__port=mqtt_port,
    )
    check_start(settings, gtfs)  # before what takes long is even loaded

    from deploy import serving
    from deploy.demo import DemoOptions, prepare, traffic

    options = DemoOptions(gtfs, vehicles, at_s, seed, compliance)
    prepared, play = asyncio.run(prepare(settings, options, say))
    serving.run(serving.serve(prepared, say, traffic(options, play, say)))


def parse_time(text: str) -> float:
    """Seconds after midnight of "08:00" or "17:30:15".

    Raises:
        UsageError: it is no time of day.
    """
    match = re.fullmatch(r"(\d{1,2}):([0-5]\d)(?::([0-5]\d))?", text)
    if not match or int(match[1]) > 29:
        raise UsageError(f"--at {text}: write a time of the service day such as 08:00 or 17:30")
    return int(match[1]) * 3600 + int(match[2]) * 60 + int(match[3] or 0)
