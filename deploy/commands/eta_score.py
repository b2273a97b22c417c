"""`takt eta-score`: the score of any arrival predictions, by the ETA accuracy benchmark."""

from __future__ import annotations

import csv
import json
import math
from array import array
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.commands.options import AsJson
from deploy.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

COLUMNS = ("predicted_at", "predicted_arrival", "actual_arrival")
EXAMPLE = "Example: takt eta-score predictions.csv --json"
ROWS_MAX = 20_000_000
UNIX_S_MAX = 1e11  # the year 5138: above it, somebody wrote milliseconds


def register(app: typer.Typer) -> None:
    """Add the command to `takt`."""
    app.command("eta-score", epilog=EXAMPLE)(eta_score)


def eta_score(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="Predictions (csv): predicted_at, predicted_arrival, actual_arrival as Unix seconds."
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Score arrival predictions by the time that was left when each was made."""
    report = score_file(file)
    if as_json:
        typer.echo(json.dumps(report))
    else:
        _print(report)


def score_file(path: Path) -> dict[str, Any]:
    """The report of contract section 4; `n` counts all rows, a bucket only those whose arrival was that near.

    Raises:
        UserError: the file cannot be read, or a row of it is no prediction.
    """
    import msgspec
    import numpy as np

    from dispatch.accuracy import score_buckets

    columns = [np.frombuffer(column, dtype=np.float64) for column in _read(path)]
    made_s, predicted_s, actual_s = columns
    buckets, score = score_buckets(actual_s - made_s, actual_s - predicted_s)
    return {"n": len(made_s), "buckets": msgspec.to_builtins(buckets), "score": score}


def _read(path: Path) -> tuple[array[float], ...]:
    columns = tuple(array("d") for _ in COLUMNS)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for values in _rows(path, csv.reader(file)):
                for column, value in zip(columns, values, strict=True):
                    column.append(value)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text: byte {error.start} of a block cannot be read.") from error
    except csv.Error as error:
        raise UserError(f"{path} is not csv: {error}.") from error
    if not columns[0]:
        raise UserError(f"{path}: there is not one prediction in it.")
    return columns


def _rows(path: Path, reader: Any) -> Iterator[tuple[float, ...]]:
    """Each row's three instants; lines of the file are counted from 1, the header's."""
    header = [name.strip() for name in next(reader, [])]
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        raise UserError(f"{path}, line 1: there is no column {missing[0]}; expected {', '.join(COLUMNS)}.")
    places = [(name, header.index(name)) for name in COLUMNS]
    for count, row in enumerate(reader):
        if count >= ROWS_MAX:
            raise UserError(f"{path}, line {reader.line_num}: more than {ROWS_MAX:,} predictions; score it in parts.")
        if row:
            yield tuple(_instant(row, place, f"{path}, line {reader.line_num}, {name}") for name, place in places)


def _instant(row: list[str], place: int, where: str) -> float:
    text = row[place].strip() if place < len(row) else ""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < UNIX_S_MAX:
        raise UserError(f"{where}: {text[:40]!r} is not a time in Unix seconds.")
    return value


def _print(report: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    screen = Console(highlight=False)
    table = Table("time left, min", "predictions", "accurate")
    for bucket in report["buckets"]:
        share = "-" if bucket["within"] is None else f"{bucket['within']:.1%}"
        table.add_row(f"{bucket['from_s'] / 60:g} to {bucket['to_s'] / 60:g}", f"{bucket['n']:,}", share)
    screen.print(table)
    score = "none: no prediction falls into a bucket" if report["score"] is None else f"{report['score']:.1%}"
    screen.print(f"{report['n']:,} predictions, score {score}")
