"""Recorded positions: a csv file (contract, section 4) as columns of fixes in the order of their time."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dispatch.observations import Descriptor, Observations

REQUIRED = ("timestamp", "vehicle_id", "latitude", "longitude")
OPERATOR = "recorded"  # a recording names no operators
FIXES_MAX = 20_000_000
UNIX_S_MAX = 1e11  # the year 5138: above it, somebody wrote milliseconds
SPAN_S_MAX = 100 * 86_400.0  # it is played in steps: one wrong year among the times would take for ever
NOT_AN_ID = re.compile(r"[^A-Za-z0-9_-]+")

Floats = NDArray[np.float64]


class RecordingError(Exception):
    """The file is not a recording; the text names the file, the line and the field."""


def read_recording(path: Path) -> Observations:
    """All fixes of a file, ordered by time; of equal times the first in the file first.

    Raises:
        RecordingError: a column is missing, or a number is none.
    """
    columns = _read(path)
    size = len(columns["timestamp"])
    nothing = [""] * size
    ts_s = _numbers(path, columns, "timestamp", required=True)
    bad = np.flatnonzero((ts_s < 0) | (ts_s >= UNIX_S_MAX))
    if len(bad):
        text = columns["timestamp"][int(bad[0])]
        raise RecordingError(f"{path}:{int(bad[0]) + 2}: timestamp: {text[:40]!r} is not a time in Unix seconds")
    if size and ts_s.max() - ts_s.min() > SPAN_S_MAX:
        raise RecordingError(f"{path}: from the first fix to the last are more than 100 days; cut it into pieces")
    unknown = np.full(size, np.nan)
    fixes = Observations(
        [f"{OPERATOR}/{NOT_AN_ID.sub('-', name)}" for name in columns["vehicle_id"]],
        ts_s,
        ts_s,
        _numbers(path, columns, "latitude", required=True),
        _numbers(path, columns, "longitude", required=True),
        _numbers(path, columns, "speed"),
        _numbers(path, columns, "bearing"),
        unknown,
        unknown,
        [
            _describe(*claim)
            for claim in zip(
                columns["trip_id"],
                columns["route_id"],
                columns["direction_id"],
                columns["start_date"],
                columns["start_time"],
                columns.get("block_id", nothing),
                strict=True,
            )
        ],
        [None] * size,
    )
    return fixes.take(np.argsort(ts_s, kind="stable"))


def _read(path: Path) -> dict[str, list[str]]:
    """The columns that matter, as text; empty where the file has none."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            header = [name.strip() for name in next(reader, [])]
            for name in REQUIRED:
                if name not in header:
                    raise RecordingError(
                        f"{path}:1: there is no column {name}; a recording needs {', '.join(REQUIRED)}"
                    )
            rows = []
            for row in reader:
                if len(row) != len(header):
                    if not row:
                        continue
                    raise RecordingError(
                        f"{path}:{reader.line_num}: {len(row)} fields where the header names {len(header)}"
                    )
                rows.append(row)
                if len(rows) > FIXES_MAX:
                    raise RecordingError(f"{path}: more than {FIXES_MAX:,} fixes; cut the recording into pieces")
    except FileNotFoundError:
        raise RecordingError(f"{path}: there is no such file") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RecordingError(f"{path}: not a csv file in UTF-8: {error}") from None
    by_column = list(zip(*rows, strict=True)) or [()] * len(header)
    columns = {name: [text.strip() for text in column] for name, column in zip(header, by_column, strict=True)}
    for name in ("trip_id", "route_id", "direction_id", "start_date", "start_time", "block_id"):
        columns.setdefault(name, [""] * len(rows))
    return columns


def _numbers(path: Path, columns: dict[str, list[str]], name: str, *, required: bool = False) -> Floats:
    """A column as numbers, nan where it is empty."""
    texts = columns.get(name)
    if texts is None:
        return np.full(len(columns["timestamp"]), np.nan)
    values = np.empty(len(texts))
    for i, text in enumerate(texts):
        try:
            values[i] = float(text) if text else np.nan
        except ValueError:
            raise RecordingError(f"{path}:{i + 2}: {name}: {text[:40]!r} is not a number") from None
    bad = np.flatnonzero(~np.isfinite(values)) if required else np.zeros(0, dtype=np.intp)
    if len(bad):
        raise RecordingError(f"{path}:{int(bad[0]) + 2}: {name}: {texts[int(bad[0])]!r} is not a number")
    return values


def _describe(
    trip_id: str, route_id: str, direction_id: str, start_date: str, start_time: str, block_id: str
) -> Descriptor | None:
    if not (trip_id or route_id or block_id):
        return None
    direction = int(direction_id) if direction_id in {"0", "1"} else None
    return trip_id or None, route_id or None, direction, start_date or None, start_time or None, block_id or None
