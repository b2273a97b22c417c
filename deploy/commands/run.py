"""`takt run`: the real thing, all in one process tree or one part alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deploy.errors import UsageError, UserError

PARTS = ("gateway", "dispatch", "ticketing", "web")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="run")(run)


def run(
    part: Annotated[
        str | None, typer.Argument(help="gateway, dispatch, ticketing or web; none: all of them in one place.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Settings; default: takt.toml in this folder.")] = None,
    feed: Annotated[str | None, typer.Option("--feed", "--gtfs", help="GTFS feed: a zip, a folder or a URL.")] = None,
    block_pattern: Annotated[str | None, typer.Option(help="Its first group names the block in a trip_id.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="The folder that holds everything.")] = None,
    host: Annotated[str | None, typer.Option(help="Listen here, for HTTP and MQTT; default: loopback.")] = None,
    http_port: Annotated[int | None, typer.Option(min=0, max=65535, help="Default: 8080.")] = None,
    mqtt_port: Annotated[int | None, typer.Option(min=0, max=65535, help="Default: 1883.")] = None,
    http_certificate: Annotated[Path | None, typer.Option(help="PEM file; with --http-key: HTTPS.")] = None,
    http_key: Annotated[Path | None, typer.Option(help="PEM file.")] = None,
    mqtt_certificate: Annotated[Path | None, typer.Option(help="PEM file; with --mqtt-key: MQTT over TLS.")] = None,
    mqtt_key: Annotated[Path | None, typer.Option(help="PEM file.")] = None,
) -> None:
    """Run a city: gateway, dispatch, ticketing and web, with its own PostgreSQL and broker unless you name others.

    Example: takt run --feed city-gtfs.zip --data-dir /var/lib/takt
    """
    from deploy.config import read_settings
    from deploy.start_checks import NO_FEED, check_start

    if part is not None and part not in PARTS:
        raise UsageError(f"{part}: there is no such part; there are {', '.join(PARTS)}")
    refuse_pattern(block_pattern)
    settings = read_settings(
        config,
        feed=feed,
        block_pattern=block_pattern,
        data_dir=data_dir,
        http__host=host,
        http__port=http_port,
        http__tls_certificate=http_certificate,
        http__tls_key=http_key,
        mqtt__host=host,
        mqtt__port=mqtt_port,
        mqtt__tls_certificate=mqtt_certificate,
        mqtt__tls_key=mqtt_key,
    )
    if part is None:
        if settings.feed is None:
            raise UserError(NO_FEED)
        check_start(settings, settings.feed)  # before what takes long is even loaded

    from deploy import serving

    if part is None:
        serving.run(serving.serve(settings, say))
    else:
        serving.run(serving.PARTS[part](settings))


def refuse_pattern(pattern: str | None) -> None:
    """Refuse a --block-pattern that is none, before anything is done.

    Raises:
        UsageError: it is no regular expression, or has no group.
    """
    if pattern is None:
        return
    from dispatch.network_blocks import BlockRuleError, block_rule

    try:
        block_rule(pattern)
    except BlockRuleError as error:
        raise UsageError(f"--block-pattern: {error}") from None


def say(sentence: str) -> None:
    """Tell whoever started it what is going on."""
    typer.echo(f"takt: {sentence}", err=True)
