"""The tables of a feed as frames of text: encoding, header, quotes and ragged rows are dealt with, values are not."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from dispatch.feed_problems import FeedError, Problem, Problems
from dispatch.feed_source import Source
from dispatch.network import Ints

ROW = "row"  # the row's number in the file, from which its line is found when somebody must be told
SHOWN_CHARACTERS = 60
TIME_PATTERN = r"^[0-9]{1,2}:[0-5][0-9]:[0-5][0-9]$"


@dataclass(frozen=True, slots=True)
class Table:
    """One table: all columns are text without spaces at the ends; empty is null."""

    name: str
    frame: pl.DataFrame
    content: bytes
    problems: Problems

    def line(self, row: int) -> int:
        """The line at which the row begins in the file; rows may hold quoted line breaks."""
        reader = _records(self.content)
        for _ in range(row + 1):  # the header is a record too
            next(reader, None)
        return int(reader.line_num) + 1

    def report(self, bad: pl.Series, code: str, message: str) -> None:
        """List the rows marked in `bad` as one problem; `message` is a template over the first such row's fields."""
        count = int(bad.sum())
        if count:
            fields = self.frame.row(int(bad.arg_max() or 0), named=True)
            self.report_row(int(fields[ROW]), code, message, count)

    def report_row(self, row: int, code: str, message: str, count: int = 1) -> None:
        """List a problem first seen in row number `row` of the file."""
        fields = self.frame.filter(pl.col(ROW) == row).row(0, named=True)
        shown = {name: _shown(value) for name, value in fields.items()}
        self.problems.add(Problem(self.name, self.line(row), code, message.format(**shown), count))

    def refuse(self, row: int, message: str) -> FeedError:
        """The error that refuses the whole feed because of this row."""
        return FeedError(self.name, self.line(row), message)


def read_table(
    source: Source, name: str, required: tuple[str, ...], optional: tuple[str, ...], problems: Problems
) -> Table | None:
    """The named table with exactly these columns, null where an optional one is missing; None without the table."""
    content = source.read(name)
    if content is None:
        return None
    content = content.removeprefix(b"\xef\xbb\xbf")
    if b"\n" not in content:
        content = content.replace(b"\r", b"\n")
    _check_text(name, content)
    header = [column.strip() for column in next(_records(content), [])]
    missing = [column for column in required if column not in header]
    if missing:
        raise FeedError(name, 1, f"the column {missing[0]} is missing; the header names {', '.join(header)[:200]}")
    frame = _parse(name, content, problems)
    frame.columns = [f"column_{i}" for i in range(len(frame.columns))]
    found = [
        (
            pl.col(f"column_{header.index(column)}").str.strip_chars().replace("", None)
            if column in header
            else pl.lit(None, pl.String)
        ).alias(column)
        for column in (*required, *optional)
    ]
    frame = frame.select(found).with_row_index(ROW)
    blank = pl.all_horizontal(pl.col(column).is_null() for column in (*required, *optional))
    return Table(name, frame.filter(~blank), content, problems)


def unique(table: Table, key: str) -> Table:
    """The table without rows whose key is missing or was there before; both are reported."""
    empty = table.frame[key].is_null()
    table.report(empty, "missing_id", f"{key} is empty; the row is left out")
    again = ~table.frame[key].is_first_distinct() & ~empty
    table.report(again, "duplicate_id", f"{key} {{{key}}} was there before; the row is left out")
    return Table(table.name, table.frame.filter(~empty & ~again), table.content, table.problems)


def indices(values: pl.Series, ids: pl.Series) -> Ints:
    """The place of each value among the ids (all different); -1 for null and for what is not there."""
    known = pl.DataFrame({"id": ids, "index": pl.arange(len(ids), eager=True, dtype=pl.Int32)})
    found = pl.DataFrame({"id": values}).join(known, on="id", how="left", maintain_order="left")
    return found["index"].fill_null(-1).to_numpy().astype(np.int32, copy=False)


def seconds(values: pl.Series) -> pl.Series:
    """H:MM:SS or HH:MM:SS, hours to 99, as seconds; null for null and for what is no time."""
    times = values.to_frame("time")
    # A timetable names few different times, each of them often: only those are parsed.
    different = times.unique().filter(pl.col("time").str.contains(TIME_PATTERN))
    parts = different["time"].str.split_exact(":", 2).struct.unnest().cast(pl.Int32)
    parsed = different.with_columns(seconds=parts["field_0"] * 3600 + parts["field_1"] * 60 + parts["field_2"])
    return times.join(parsed, on="time", how="left", maintain_order="left")["seconds"]


def numbers(values: pl.Series) -> pl.Series:
    """Finite numbers; null for null and for what is none."""
    found = values.cast(pl.Float64, strict=False)
    return found.set(~found.is_finite().fill_null(value=True), None)


def dates(values: pl.Series) -> pl.Series:
    """YYYYMMDD as proleptic ordinals (datetime.date.toordinal); null for null and for what is no date."""
    days = values.str.strptime(pl.Date, "%Y%m%d", strict=False).cast(pl.Int32)
    return days + 719_163  # the ordinal of 1970-01-01


def _check_text(name: str, content: bytes) -> None:
    if not content.strip():
        raise FeedError(name, None, "is empty")
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise FeedError(name, line, "is not UTF-8 text; save the table in UTF-8") from None
    if b"\0" in content:
        line = content.count(b"\n", 0, content.index(b"\0")) + 1
        raise FeedError(name, line, "holds a zero byte, which text does not") from None
    if content.count(b'"') % 2:
        raise FeedError(name, _open_quote(content), "a quoted field is not closed")


def _open_quote(content: bytes) -> int:
    """The line on which the record begins that swallows the rest of the file."""
    line = began = 1
    inside = False
    for text in content.split(b"\n"):
        if not inside:
            began = line
        inside ^= bool(text.count(b'"') % 2)
        line += 1
    return began


def _records(content: bytes) -> Any:
    """A csv reader over the whole table; `line_num` is the number of lines it has read."""
    csv.field_size_limit(1 << 24)
    return csv.reader(io.TextIOWrapper(io.BytesIO(content), "utf-8", newline=""))


def _parse(name: str, content: bytes, problems: Problems) -> pl.DataFrame:
    try:
        return pl.read_csv(content, infer_schema=False)
    except pl.exceptions.PolarsError:
        pass
    _report_ragged(name, content, problems)
    try:
        return pl.read_csv(content, infer_schema=False, truncate_ragged_lines=True)
    except pl.exceptions.PolarsError as error:
        raise FeedError(name, None, f"cannot be read as comma-separated text ({str(error).splitlines()[0]})") from None


def _report_ragged(name: str, content: bytes, problems: Problems) -> None:
    reader = _records(content)
    try:
        width = len(next(reader))
        line = reader.line_num + 1
        for record in reader:
            if len(record) > width:
                message = f"{len(record)} fields where the header names {width}; the rest is not read"
                problems.add(Problem(name, line, "too_many_fields", message))
            line = reader.line_num + 1
    except csv.Error as error:
        raise FeedError(name, reader.line_num, f"cannot be read as comma-separated text ({error})") from None


def _shown(value: object) -> str:
    text = "(empty)" if value is None else str(value)
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…"
