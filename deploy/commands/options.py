"""Options that commands share, said and explained in one way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

DataDir = Annotated[
    Path | None, typer.Option("--data-dir", metavar="DIR", help="The instance's data folder [default: takt-data].")
]
Config = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="Settings [default: takt.toml].")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
BlockPattern = Annotated[
    str | None,
    typer.Option(metavar="REGEX", help="Its first group in a trip_id names the block where block_id is empty."),
]


def print_json(document: Any) -> None:
    """One JSON document on a line, letters as they are."""
    typer.echo(json.dumps(document, ensure_ascii=False))
