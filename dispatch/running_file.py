"""Running times as bytes, by the ids of the feed: what was learnt outlives a restart, and a change of the feed.

The format has a version: files of an older one are read as far as they go, others are refused.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dispatch.pull import Sums
from dispatch.running import RunningTimes, Step

FORMAT = "takt-running-3"
BEFORE = ("takt-running-1", "takt-running-2")  # without the scatter of predictions and the pull; without the pull
EVERY_LINE = ""  # stands for all lines together
COLUMNS = ("total", "weight", "at_s")
MOMENTS = 5


def to_bytes(running: RunningTimes) -> bytes:
    """All that was learnt."""
    columns: dict[str, NDArray[Any]] = {"format": np.array(FORMAT), "surprise_s": running.surprise_s}
    columns["lines"], columns["roads"] = _line_names(running), _road_names(running)
    for name, step, _ in _steps(running):
        columns |= {f"{name}.{column}": getattr(step, column) for column in (*COLUMNS, "moments")}
    columns["surprises"], columns["scatter"] = running.surprises, running.scatter.counts
    columns["scatter_at_s"] = np.array(running.scatter.at_s)
    columns |= {f"pull.{name}": sums for name, sums in running.pull.sums._asdict().items()}
    columns["pull_at_s"] = np.array(running.pull.at_s)
    file = io.BytesIO()
    np.savez_compressed(file, **columns)  # type: ignore[arg-type]
    return file.getvalue()


def restore(running: RunningTimes, data: bytes) -> int:
    """Take over what `to_bytes` wrote of the lines and roads that this network has too; returns how many roads.

    Raises:
        ValueError: the bytes are no running times, or not whole; nothing is taken over then.
    """
    columns = _read(data)
    try:
        names = {"lines": _line_names(running), "roads": _road_names(running)}
        common = {kind: _common(names[kind], columns[kind]) for kind in names}
        found = []
        for name, step, kind in _steps(running):
            mine, theirs = common[kind]
            for column in COLUMNS:
                values = columns[f"{name}.{column}"].astype(np.float64)
                held = getattr(step, column).reshape(-1, len(names[kind]))
                values = values.reshape(len(held), len(columns[kind]))
                found.append((held, mine, values[:, theirs]))
            found.append((step.moments.reshape(1, -1), np.arange(MOMENTS), columns[f"{name}.moments"].reshape(1, -1)))
        found.append((running.surprise_s.reshape(1, -1), np.arange(2), columns["surprise_s"].reshape(1, -1)))
        known = (*BEFORE, FORMAT).index(str(columns["format"]))
        counts = _scatter(running, columns) if known > 0 else None
        pull = _pull(running, columns) if known > 1 else None
        if counts is not None:
            found.append((running.surprises.reshape(1, -1), np.arange(2), columns["surprises"].reshape(1, -1)))
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise ValueError(f"running times: not whole: {error}") from error
    if not all(values.shape == (len(held), len(mine)) and np.isfinite(values).all() for held, mine, values in found):
        raise ValueError("running times: a column is damaged")
    for held, mine, values in found:
        held[:, mine] = values
    if counts is not None:
        running.scatter.recall(counts, float(columns["scatter_at_s"]))
    if pull is not None:
        running.pull.recall(pull, float(columns["pull_at_s"]))
    return len(common["roads"][0])


def _scatter(running: RunningTimes, columns: dict[str, NDArray[Any]]) -> NDArray[np.float64]:
    """The counts of errors, of the lines that this network has.

    Raises:
        ValueError: they are damaged.
    """
    held = running.scatter.counts
    theirs = columns["scatter"].astype(np.float64)
    names, their_names = _with_all(_line_names(running)), _with_all(columns["lines"])
    if theirs.shape != (held.shape[0], len(their_names), *held.shape[2:]) or columns["scatter_at_s"].shape:
        raise ValueError("scatter: of another shape")
    if not np.isfinite(theirs).all() or theirs.min() < 0 or not np.isfinite(columns["scatter_at_s"]):
        raise ValueError("scatter: a count that is none")
    mine, at = _common(names, their_names)
    counts = np.zeros_like(held)
    counts[:, mine] = theirs[:, at]
    return counts


def _pull(running: RunningTimes, columns: dict[str, NDArray[Any]]) -> Sums:
    """The sums behind the pull, of the lines that this network has.

    Raises:
        ValueError: they are damaged.
    """
    mine, at = _common(_with_all(_line_names(running)), _with_all(columns["lines"]))
    if columns["pull_at_s"].shape or not np.isfinite(columns["pull_at_s"]):
        raise ValueError("pull: a time that is none")
    found = []
    for name, held in running.pull.sums._asdict().items():
        theirs = columns[f"pull.{name}"].astype(np.float64)
        if theirs.shape != (len(columns["lines"]) + 1, *held.shape[1:]) or not np.isfinite(theirs).all():
            raise ValueError(f"pull: {name} of another shape, or a number that is none")
        sums = np.zeros_like(held)
        sums[mine] = theirs[at]
        found.append(sums)
    squares, products, checked = found
    if squares.diagonal(axis1=1, axis2=2).min() < 0 or checked[:, 1].min() < 0:
        raise ValueError("pull: a square below 0")
    return Sums(squares, products, checked)


def _with_all(lines: NDArray[Any]) -> NDArray[Any]:
    return np.append(lines, EVERY_LINE)


def _read(data: bytes) -> dict[str, NDArray[Any]]:
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            columns = {name: file[name] for name in file.files}
    except (OSError, EOFError, ValueError, AttributeError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"running times: not to be read: {error}") from error
    if str(columns.get("format")) not in (*BEFORE, FORMAT):
        raise ValueError(f"running times: the format is {columns.get('format')}, not {FORMAT}")
    return columns


def _steps(running: RunningTimes) -> list[tuple[str, Step, str]]:
    """Name, step, and what its groups are."""
    kinds = ("lines", "roads", "roads", "roads")
    runs = [(f"run{i}", step, kinds[i]) for i, step in enumerate(running.run)]
    return runs + [(f"dwell{i}", step, kinds[i]) for i, step in enumerate(running.dwell)]


def _line_names(running: RunningTimes) -> NDArray[Any]:
    """Route and direction of each line."""
    network = running.network
    names = [""] * len(running.run[0].total)
    for pattern, line in enumerate(running.pattern_line.tolist()):
        names[line] = f"{network.route_id[network.pattern_route[pattern]]}\n{network.pattern_direction[pattern]}"
    return np.array(names, dtype=np.str_)


def _road_names(running: RunningTimes) -> NDArray[Any]:
    """The two stops of each road, the first one empty where there is none."""
    network = running.network
    stops = len(network.stop_id) + 1
    ids = ["", *network.stop_id]
    names = [f"{ids[key // stops]}\n{ids[key % stops + 1]}" for key in running.roads.key.tolist()]
    return np.array(names, dtype=np.str_)


def _common(mine: NDArray[Any], theirs: NDArray[Any]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where the names that both have stand in each."""
    _, at, their_at = np.intersect1d(mine, theirs, return_indices=True)
    return at, their_at
