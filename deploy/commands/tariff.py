"""`takt tariff`: try a tariff file before it is used, and take a changed one without a restart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from deploy.commands.options import AsJson, Config, DataDir
from deploy.commands.times import city_time
from deploy.errors import UserError


def register(app: typer.Typer) -> None:
    """Add the commands to `takt`."""
    tariff = typer.Typer(
        name="tariff",
        help="The tariff: check a file, look at the one in use, or take a changed one while everything runs.",
        epilog="Example: takt tariff show",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    tariff.command("check", epilog="Example: takt tariff check my-city.toml --gtfs feed.zip")(check)
    tariff.command("show", epilog="Example: takt tariff show")(show)
    tariff.command("reload", epilog="Example: takt tariff reload")(reload)
    app.add_typer(tariff)


def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A tariff (docs/tariff.md).")],
    gtfs: Annotated[Path | None, typer.Option("--gtfs", metavar="FEED", help="The feed whose fares count too.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check a tariff as a start does, without any instance; one that is refused is status 1, with its line."""
    from deploy.tariffs import fare_files, tariff_text
    from ticketing.editions import TariffSource
    from ticketing.errors import TariffError
    from ticketing.money import Money

    source = TariffSource(str(file), tariff_text(file), fare_files(str(gtfs)) if gtfs else {})
    try:
        tariff = source.read_for_use().tariff
    except TariffError as error:
        raise UserError(str(error)) from None
    if as_json:
        ride = {"fare_minor": tariff.purse.fare_minor, "currency": tariff.currency}
        found = {"file": str(file), "version": tariff.version, **ride, "products": list(tariff.products)}
        typer.echo(json.dumps(found))
        return
    fare, products = Money(tariff.purse.fare_minor, tariff.currency), ", ".join(tariff.products) or "none"
    typer.echo(f"{file}: can be used. Version {tariff.version}, a ride by card from {fare}, products: {products}")


def show(data_dir: DataDir = None, config: Config = None, as_json: AsJson = False) -> None:
    """Show which tariff is in use, and why the last change was refused, if it was."""
    from deploy.client import Client

    client = Client(data_dir, config)
    _tell(client.get("/api/v1/tariff"), client.get("/api/v1/instance")["timezone"], as_json)


def reload(data_dir: DataDir = None, config: Config = None, as_json: AsJson = False) -> None:
    """Have the instance read its tariff file again and take it; one that cannot be used changes nothing.

    What is sold and ridden from now on costs what it says; who has ridden today already pays by the old one until the
    service day is over.
    """
    from deploy.client import Client

    client = Client(data_dir, config)
    zone = client.get("/api/v1/instance")["timezone"]
    _tell(client.post("/api/v1/tariff/reload", {}), zone, as_json)


def _tell(status: Any, zone: str, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(status))
        return
    typer.echo(
        f"in use   {status['file']}, version {status['version']}, edition {status['edition']}, since "
        f"{city_time(status['since'], zone)}: {status['products']} products, {status['currency']}"
    )
    if refused := status["refused"]:
        typer.echo(f"refused  at {city_time(refused['at'], zone)}: {refused['reason']}")
