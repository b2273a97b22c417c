"""`takt bench`: our figures beside their limit or a peer, measured in the same run, with their ratio."""

from __future__ import annotations

import importlib
import json
import platform
from pathlib import Path
from typing import Annotated, Any

import typer

from deploy.commands.options import AsJson
from deploy.errors import UsageError

NAMES = ("feed", "ingest", "dispatch", "ticketing", "rating", "latency", "hostile")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="bench")(bench)


def bench(
    name: Annotated[str, typer.Argument(help="feed, ingest, dispatch, ticketing, rating, latency, hostile or all.")],
    gtfs: Annotated[Path | None, typer.Option(help="A feed to measure with; default: the made-up city.")] = None,
    seconds: Annotated[float, typer.Option(min=1, max=600, help="How long each figure is measured.")] = 5.0,
    as_json: AsJson = False,
) -> None:
    """Measure ourselves. Machines differ and are shared, so read the ratios first.

    Example: takt bench ticketing --seconds 10
    """
    names = NAMES if name == "all" else (name,)
    if unknown := [each for each in names if each not in NAMES]:
        raise UsageError(f"{unknown[0]}: there is no such benchmark; there are {', '.join(NAMES)} and all")
    documents = []
    for each in names:
        measured = importlib.import_module(f"deploy.bench.{each}").run(gtfs, seconds)
        documents.append({"name": each, "machine": machine(), **measured})
        if not as_json:
            _show(documents[-1])
    if as_json:
        print(json.dumps(documents if name == "all" else documents[0], indent=2))


def machine() -> dict[str, Any]:
    """What it was measured on."""
    import psutil

    return {
        "python": platform.python_version(),
        "system": platform.platform(terse=True),
        "cores": psutil.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
    }


def _show(document: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"takt bench {document['name']}", title_justify="left")
    table.add_column("figure")
    table.add_column("value", justify="right")
    for kind in ("figures", "ratios"):
        for key, value in document[kind].items():
            shown = f"{value:,.3g}" if isinstance(value, float) and abs(value) < 1000 else f"{value:,.0f}"
            table.add_row(key, shown, style="bold" if kind == "ratios" else None)
    Console().print(table)
