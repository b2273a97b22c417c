"""A GTFS feed's files as rows that know where they stand, so that what is wrong is named by file, line and field."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from ticketing.errors import TariffError
from ticketing.legs import Words


@dataclass(frozen=True, slots=True)
class Row:
    """A row with the file and the line that it came from."""

    file: str
    line: int
    cells: Mapping[str, str]

    def get(self, field_: str) -> str:
        """The cell without blanks, "" where there is none."""
        return self.cells.get(field_) or ""

    def need(self, field_: str) -> str:
        """The cell; TariffError where it is empty."""
        text = self.get(field_)
        if not text:
            self.fail(field_, "it is required and empty: fill it in")
        return text

    def one_of(self, field_: str, allowed: str, default: str = "") -> int:
        """The cell as one of these digits; TariffError where it is another."""
        text = self.get(field_) or default
        if len(text) != 1 or text not in allowed:
            self.fail(field_, f"write one of {', '.join(allowed)}, not {text!r}")
        return int(text)

    def number(self, field_: str, low: int, high: int = 10**9) -> int:
        """The cell as a whole number within bounds; TariffError where it is none."""
        text = self.get(field_)
        if re.fullmatch("-?[0-9]{1,10}", text) is None or not low <= int(text) <= high:
            self.fail(field_, f"write a whole number from {low} to {high}, not {text!r}")
        return int(text)

    def fail(self, field_: str, what: str) -> NoReturn:
        """Say what is wrong with this cell, and where it is."""
        raise TariffError(f"{self.file} line {self.line}, {field_}: {what}")


@dataclass(frozen=True, slots=True)
class Table:
    """A file of the feed: its rows and the columns that it has."""

    present: bool = False
    columns: frozenset[str] = frozenset()
    rows: tuple[Row, ...] = ()

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def ids(self, field_: str) -> frozenset[str]:
        """All that stands in a required column."""
        return frozenset(row.need(field_) for row in self.rows)


@dataclass(frozen=True)
class FareFiles:
    """The files of a feed that matter to fares, by name; one that is not there has no rows."""

    tables: Mapping[str, Table]
    known: dict[tuple[str, str], Words] = field(default_factory=dict)

    def __getitem__(self, file: str) -> Table:
        return self.tables.get(file, Table())

    def refer(self, row: Row, field_: str, file: str, target: str, *, needed: bool = False) -> None:
        """A value that another file must hold, where that file is there; needed: it must be there."""
        value = row.get(field_)
        if not value:
            return
        if not self[file].present:
            if needed:
                row.fail(field_, f"{value!r} belongs into {file}, which is not in the feed: add it, or leave this out")
            return
        if (file, target) not in self.known:
            self.known[file, target] = self[file].ids(target)
        if value not in self.known[file, target]:
            row.fail(field_, f"{value!r} is not in {file}: add it there, or correct it here")

    def unique(self, file: str, *fields: str) -> None:
        """The fields that are a file's key: no two rows may have the same."""
        lines: dict[tuple[str, ...], int] = {}
        for row in self[file]:
            key = tuple(row.get(field_) for field_ in fields)
            first = lines.setdefault(key, row.line)
            if first != row.line:
                said = ", ".join(part for part in key if part)
                row.fail(fields[0], f"{said!r} is there twice, first in line {first}: leave one of them out")


def read_table(file: str, content: bytes) -> Table:
    """The rows of a file; TariffError where it is no CSV in UTF-8, or has a column twice or too few."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise TariffError(f"{file} line {line}: not UTF-8 (byte {error.start}): save it as UTF-8") from None
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        header = [name.strip() for name in next(reader, [])]
        named = [name for name in header if name]
        twice = next((name for number, name in enumerate(named) if name in named[:number]), None)
        if twice is not None:
            raise TariffError(f"{file} line 1: a column is there twice: {twice}")
        rows = tuple(_row(file, reader.line_num, header, cells) for cells in reader if any(map(str.strip, cells)))
    except csv.Error as error:
        raise TariffError(f"{file} line {reader.line_num}: {error}: save it as CSV, one row a line") from None
    return Table(True, frozenset(named), rows)


def _row(file: str, line: int, header: Sequence[str], cells: Sequence[str]) -> Row:
    if any(map(str.strip, cells[len(header) :])):
        raise TariffError(
            f"{file} line {line}: it has {len(cells)} cells under {len(header)} columns:"
            " put text that has commas between quotes"
        )
    return Row(file, line, {name: cell.strip() for name, cell in zip(header, cells, strict=False) if name})
