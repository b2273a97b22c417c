"""Options that commands share, said and explained in one way."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from deploy.errors import UserError

DataDir = Annotated[
    Path | None, typer.Option("--data-dir", metavar="DIR", help="The instance's data folder [default: takt-data].")
]
Config = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="Settings [default: takt.toml].")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
BlockPattern = Annotated[
    str | None,
    typer.Option(metavar="REGEX", help="Its first group in a trip_id names the block where block_id is empty."),
]


def minor_units(typed: str | int) -> int:
    """Money as it is typed, in whole minor units; typer sends defaults through here as well, and those are numbers.

    An amount with a decimal point is refused: 500.00 would else be taken for 500, which is 5.00.
    """
    text = str(typed)
    if re.fullmatch("[0-9]{1,15}", text):
        return int(text)
    if re.fullmatch("[0-9]{1,13}[.,][0-9]{2}", text):
        meant = int(re.sub("[.,]", "", text))
        raise typer.BadParameter(f"{text} is not in minor units (kopiyky, cents): write {meant}")
    raise typer.BadParameter(f"{text!r} is no amount in minor units (kopiyky, cents), such as 50000 for 500.00")


def card_uid(typed: str) -> str:
    """A card's UID as lower-case hex digits, however it was typed; UserError where it is none."""
    from ticketing.card import parse_uid

    try:
        return parse_uid(typed).hex()
    except ValueError as error:
        raise UserError(str(error)) from None


def some_minor_units(typed: str | int) -> int:
    """Money as it is typed, more than nothing, in whole minor units."""
    if minor := minor_units(typed):
        return minor
    raise typer.BadParameter("it must be more than nothing")


def print_json(document: Any) -> None:
    """One JSON document on a line, letters as they are."""
    typer.echo(json.dumps(document, ensure_ascii=False))
