"""Recorded positions: a csv file (contract, section 4), packed or not, as columns of fixes in the order of their time.

A recorder dies in the middle of a line, and a table program writes what it likes into a cell: rows that are no fixes
are counted and left out. A file of which half is like that is no recording, and its first such row says why.
"""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import math
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from dispatch.observations import Descriptor, Observations

REQUIRED = ("timestamp", "vehicle_id", "latitude", "longitude")
CLAIM = ("trip_id", "route_id", "direction_id", "start_date", "start_time", "block_id")
COLUMNS = (*REQUIRED, "speed", "bearing", *CLAIM)
NUMBERS = ("timestamp", "latitude", "longitude")
OPERATOR = "recorded"  # a recording names no operators
FIXES_MAX = 20_000_000
UNIX_S_MAX = 1e11  # the year 5138: above it, somebody wrote milliseconds
AWAY_S_MAX = 50 * 86_400.0  # it is played in steps: one wrong year among the times would take for ever
BROKEN_SHARE_MAX = 0.5
NOT_AN_ID = re.compile(r"[^A-Za-z0-9_-]+")
GZIP = b"\x1f\x8b"

Floats = NDArray[np.float64]


class RecordingError(Exception):
    """The file is not a recording; the text names the file, the line and the field."""


@dataclass(frozen=True, slots=True)
class Recording:
    """The fixes of a file, how many of its rows were none, and what is wrong with the first of those."""

    fixes: Observations
    broken: int
    first_fault: str | None


def read_recording(path: Path) -> Observations:
    """All fixes of a file, ordered by time; of equal times the first in the file first.

    Raises:
        RecordingError: as `open_recording`.
    """
    return open_recording(path).fixes


def open_recording(path: Path) -> Recording:
    """A file's fixes, ordered by time, and what of it had to be left out.

    Raises:
        RecordingError: it cannot be read, a column is missing, or half of its rows are no fixes.
    """
    rows = _Rows()
    with _open(path) as file:
        reader = csv.reader(file)
        header = [name.strip() for name in next(reader, [])]
        for name in REQUIRED:
            if name not in header:
                raise RecordingError(f"{path}:1: there is no column {name}; a recording needs {', '.join(REQUIRED)}")
        rows.read(path, header, reader)
    ts_s = np.array(rows.ts_s)
    away = np.abs(ts_s - np.median(ts_s)) > AWAY_S_MAX if len(ts_s) else np.zeros(0, dtype=np.bool_)
    if away.any():
        at = int(np.flatnonzero(away)[0])
        rows.refuse(f"{path}:{rows.line[at]}: timestamp: is 50 days or more from most others", int(away.sum()))
    size = int(np.count_nonzero(~away))
    if rows.broken and rows.broken >= BROKEN_SHARE_MAX * (size + rows.broken):
        raise RecordingError(rows.fault)
    order = np.flatnonzero(~away)[np.argsort(ts_s[~away], kind="stable")]
    return Recording(rows.fixes().take(order), rows.broken, rows.fault)


@contextmanager
def _open(path: Path) -> Iterator[TextIO]:
    """The file as text, unpacked where it is packed; every way in which that fails is a RecordingError."""
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == GZIP
        with (
            gzip.open(path, "rt", encoding="utf-8-sig", newline="")
            if packed
            else path.open(encoding="utf-8-sig", newline="") as file
        ):
            yield file
    except FileNotFoundError:
        raise RecordingError(f"{path}: there is no such file") from None
    except EOFError:
        raise RecordingError(f"{path}: the packed file ends in the middle; copy it again") from None
    except (OSError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise RecordingError(f"{path}: not a csv file in UTF-8: {error}") from None


class _Rows:
    """The rows of a file that are fixes, as columns, and those that are none."""

    def __init__(self) -> None:
        self.line: list[int] = []
        self.key: list[str] = []
        self.ts_s: list[float] = []
        self.lat_deg: list[float] = []
        self.lon_deg: list[float] = []
        self.speed_mps: list[float] = []
        self.bearing_deg: list[float] = []
        self.claim: list[Descriptor | None] = []
        self._known: dict[tuple[str, ...], Descriptor | None] = {}  # one claim is made in many rows
        self.broken = 0
        self.fault: str | None = None

    def read(self, path: Path, header: list[str], reader: Iterator[list[str]]) -> None:
        """Take all rows of a file."""
        places = [header.index(name) if name in header else None for name in COLUMNS]
        for row in reader:
            if not row:
                continue
            line = reader.line_num  # type: ignore[attr-defined]
            if len(self.key) + self.broken >= FIXES_MAX:
                raise RecordingError(f"{path}: more than {FIXES_MAX:,} fixes; cut the recording into pieces")
            if len(row) != len(header):
                self.refuse(f"{path}:{line}: {len(row)} fields where the header names {len(header)}")
                continue
            fault = self._take(line, ["" if at is None else row[at].strip() for at in places])
            if fault is not None:
                self.refuse(f"{path}:{line}: {fault}")

    def refuse(self, fault: str, count: int = 1) -> None:
        """Count rows that are no fixes; what is wrong with the first of all is kept."""
        self.broken += count
        self.fault = self.fault or fault

    def _take(self, line: int, cells: list[str]) -> str | None:
        """Append one row, its cells in the order of COLUMNS; what is wrong with it where it is no fix."""
        timestamp, vehicle_id, latitude, longitude, speed, bearing, *claim = cells
        ts_s, lat_deg, lon_deg = _instant(timestamp), _number(latitude), _number(longitude)
        for name, cell, value in zip(NUMBERS, (timestamp, latitude, longitude), (ts_s, lat_deg, lon_deg), strict=True):
            if not math.isfinite(value):
                return f"{name}: {cell[:40]!r} is not a number"
        if not 0 <= ts_s < UNIX_S_MAX:
            return f"timestamp: {timestamp[:40]!r} is not a time in Unix seconds"
        if not vehicle_id:
            return "vehicle_id: is empty"
        self.line.append(line)
        self.key.append(f"{OPERATOR}/{NOT_AN_ID.sub('-', vehicle_id)}")
        self.ts_s.append(ts_s)
        self.lat_deg.append(lat_deg)
        self.lon_deg.append(lon_deg)
        self.speed_mps.append(_number(speed))
        self.bearing_deg.append(_number(bearing))
        said = tuple(claim)
        if said not in self._known:
            self._known[said] = _describe(*said)
        self.claim.append(self._known[said])
        return None

    def fixes(self) -> Observations:
        """Those taken, in the order of the file."""
        size = len(self.key)
        ts_s, unknown = np.array(self.ts_s), np.full(size, np.nan)
        return Observations(
            self.key,
            ts_s,
            ts_s,
            np.array(self.lat_deg),
            np.array(self.lon_deg),
            np.array(self.speed_mps),
            np.array(self.bearing_deg),
            unknown,
            unknown,
            self.claim,
            [None] * size,
        )


def _number(text: str) -> float:
    """A number; nan where the text is none."""
    if not text:
        return math.nan
    try:
        return float(text)
    except ValueError:
        return math.nan


def _instant(text: str) -> float:
    """Unix seconds, written as such or as RFC 3339 with its offset from UTC; nan where the text is neither."""
    value = _number(text)
    if math.isnan(value) and "-" in text[1:]:
        try:
            instant = dt.datetime.fromisoformat(text)
        except ValueError:
            return value
        return instant.timestamp() if instant.tzinfo is not None else value
    return value


def _describe(
    trip_id: str, route_id: str, direction_id: str, start_date: str, start_time: str, block_id: str
) -> Descriptor | None:
    if not (trip_id or route_id or block_id):
        return None
    direction = int(direction_id) if direction_id in {"0", "1"} else None
    return trip_id or None, route_id or None, direction, start_date or None, start_time or None, block_id or None
