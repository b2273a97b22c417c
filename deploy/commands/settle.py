"""`takt settle`: what a business day came to by operator, product and route, to be made again by anybody."""

from __future__ import annotations

import csv
import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from deploy.commands.options import AsJson, Config, DataDir
from deploy.errors import UserError

ANSWER_S_MAX = 330.0
_CSV = ("kind", "operator", "route_id", "product", "currency", "rides", "minor")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("settle", epilog="Example: takt settle 2026-11-20 --csv november-20.csv")(settle)


def settle(
    day: Annotated[str | None, typer.Argument(metavar="[DAY]", help="Such as 2026-11-20; none: list the days.")] = None,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write the amounts as a table.")
    ] = None,
    data_dir: DataDir = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Settle a business day that is over, or list those that have been; settling again changes nothing that stands.

    The instance does it by itself each night. A day that comes out otherwise than before gets a new version.
    """
    from deploy.client import Client

    client = Client(data_dir, config, ANSWER_S_MAX)
    if day is None:
        days = client.get("/api/v1/settlements")
        if as_json:
            typer.echo(json.dumps(days))
            return
        for row in days["settlements"]:
            typer.echo(f"{row['day']}  version {row['version']}  {_local(row['made_at'])}  {row['hash'][:16]}")
        if not days["settlements"]:
            typer.echo("no day has been settled yet; settle one with: takt settle YYYY-MM-DD")
        return
    found = client.post(f"/api/v1/settlements/{day}", {})
    if csv_file is not None:
        _write_csv(csv_file, found["document"])
    if as_json:
        typer.echo(json.dumps(found))
        return
    _tell(found)


def rows(document: Any) -> list[dict[str, Any]]:
    """The amounts of a settlement: fares of rides, and the shares of the tickets sold."""
    fares = [{"kind": "fares", "rides": "", **line} for line in document["fares"]]
    return fares + [{"kind": "sales", **line} for line in document["shares"]]


def _write_csv(path: Path, document: Any) -> None:
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, _CSV)
            writer.writeheader()
            writer.writerows(rows(document))
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from None


def _tell(found: Any) -> None:
    document = found["document"]
    typer.echo(f"{found['day']}, version {found['version']}, settled {_local(found['made_at'])} by {found['made_by']}")
    taps = document["taps"]
    accepted, riders = (sum(line[name] for line in taps) for name in ("accepted", "riders"))
    conflicts = sum(line["conflicts"] for line in taps)
    typer.echo(f"{accepted} taps accepted for {riders} riders, {conflicts} conflicts")
    typer.echo(f"{'operator':<16}{'route':<16}{'product':<16}{'rides':>8}  amount")
    for row in rows(document):
        names = [row["operator"] or "-", row["route_id"] or "-", row["product"] or "-"]
        amount = f"{row['minor'] / 100:,.2f} {row['currency']}"
        typer.echo("".join(f"{name:<16}" for name in names) + f"{row['rides']:>8}  {amount:>16}  {row['kind']}")
    typer.echo(f"sha256 {found['hash']}")


def _local(at_s: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at_s))
