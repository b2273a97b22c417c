"""`takt rider`: answers a rider who asks what is known of him, or to be forgotten."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from deploy.commands.options import AsJson, Config, DataDir
from deploy.errors import UserError

Account = Annotated[str, typer.Argument(help="card:UID (14 hex digits), its UID alone, or bank:ID.")]
ANSWER_S_MAX = 330.0


def register(app: typer.Typer) -> None:
    """Add the commands to `takt`."""
    rider = typer.Typer(
        name="rider",
        help="One rider's data: show all of it, or forget it.",
        epilog="Example: takt rider export card:04a1b2c3d4e5f6 --out rider.json",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    rider.command("export", epilog="Example: takt rider export card:04a1b2c3d4e5f6 --out rider.json")(export)
    rider.command("erase", epilog="Example: takt rider erase card:04a1b2c3d4e5f6 --yes")(erase)
    app.add_typer(rider)


def export(
    account: Account,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Where to [default: standard output].")] = None,
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Write down everything that is known of one account, as JSON: trips, tickets, receipts, money."""
    from deploy.client import Client
    from deploy.private_files import write_private

    found = Client(data_dir, config, ANSWER_S_MAX).get(f"/api/v1/riders/{quote(account, safe=':')}")
    text = json.dumps(found, ensure_ascii=False, indent=2)
    if out is None:
        typer.echo(text)
        return
    try:
        write_private(out, text.encode())
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror})") from None
    typer.echo(
        f"{out}: {len(found['trips'])} trips, {len(found['tickets'])} tickets, {len(found['transfers'])} transfers"
    )


def erase(
    account: Account,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask: what is forgotten cannot be brought back.")] = False,
    data_dir: DataDir = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Forget the trips of one account; those of days that are not settled yet follow by themselves when they are."""
    from deploy.client import Client

    client = Client(data_dir, config, ANSWER_S_MAX)
    if not yes:
        typer.confirm(f"Forget all trips of {account}, for good?", abort=True)
    done = client.delete(f"/api/v1/riders/{quote(account, safe=':')}")
    if as_json:
        typer.echo(json.dumps(done))
        return
    rest = "no trip is left" if done["done"] else "the trips of days not settled yet follow when they are"
    typer.echo(f"{done['trips']} trips and {done['ratings']} receipts of {account} are forgotten; {rest}")
