"""`takt audit`: who did what, and whether what is written about it is still what was written."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from deploy.commands.options import AsJson, Config, DataDir, print_json
from deploy.errors import UserError

ANSWER_S_MAX = 60.0


def register(app: typer.Typer) -> None:
    """Add the commands to `takt`."""
    audit = typer.Typer(
        name="audit",
        help="The audit log: list it, verify its chain.",
        epilog="Example: takt audit verify",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    audit.command("list", epilog="Example: takt audit list --object card:04de5f1eacc040")(list_rows)
    audit.command("verify", epilog="Example: takt audit verify")(verify)
    app.add_typer(audit)


def list_rows(
    what: Annotated[str | None, typer.Option("--object", help="Only rows about this, such as ticket:<id>.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, the newest.")] = 50,
    data_dir: DataDir = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """List the newest rows."""
    rows = [dict(row) for row in _ask("audit.list", data_dir, config, what, limit)]
    for row in rows:
        row["details"] = json.loads(row["details"])
    if as_json:
        print_json({"rows": rows})
        return
    for row in rows:
        details = " ".join(f"{name}={value}" for name, value in row["details"].items())
        typer.echo(f"{row['seq']:7} {_local(row['at'])}  {row['subject']}: {row['action']} {row['object']}  {details}")


def verify(data_dir: DataDir = None, config: Config = None, as_json: AsJson = False) -> None:
    """Verify the chain; the newest row's hash, kept elsewhere, shows later that nothing was cut off at the end."""
    broken = [dict(row) for row in _ask("audit.broken", data_dir, config)]
    last = [dict(row) for row in _ask("audit.last", data_dir, config)]
    if as_json:
        typer.echo(json.dumps({"whole": not broken, "broken": broken, "last": last[0] if last else None}))
        if broken:
            raise typer.Exit(1)
        return
    if broken:
        raise UserError("; ".join(sentence(row) for row in broken))
    end = f", row {last[0]['seq']} has hash {last[0]['hash']}" if last else ", and empty"
    typer.echo(f"The chain is whole{end}.")


def sentence(row: Any) -> str:
    """What is wrong with a row at which the chain breaks."""
    wrong = (
        "was altered after it was written" if row["changed"] else "does not follow the row before it: one is missing"
    )
    return f"audit row {row['seq']} ({row['subject']}: {row['action']} {row['object']}) {wrong}"


def _ask(name: str, data_dir: Path | None, config: Path | None, *arguments: object) -> list[Any]:
    from deploy.config import read_settings
    from deploy.database import ask_database
    from sql import query

    settings = read_settings(config, data_dir=data_dir)
    return ask_database(settings, lambda connection: connection.fetch(query(name), *arguments), ANSWER_S_MAX)


def _local(at_s: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at_s))
