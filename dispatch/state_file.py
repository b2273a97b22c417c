"""The state of dispatch as bytes: a mark of its format, a digest, and columns packed small.

Times at marks are the bulk of it. They are kept to the millisecond, as steps from one mark to the next: a vehicle
passes neighbouring marks in neighbouring seconds, so what is left packs to a fraction. All else is kept as it is.
"""

from __future__ import annotations

import hashlib
import zlib
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from dispatch.state import Facts, State

NAME = b"takt-state-"
FORMAT = NAME + b"1\n"
DIGEST = 16
BYTES_MAX = 1 << 30  # unpacked; a hundred thousand vehicles take a third of it
AGE_S_MAX = 1800.0  # a city that nobody has followed for longer is looked at afresh
AHEAD_S_MAX = 60.0
STEPS = ("marks.time_s", "marks.due_s")
UNKNOWN_MS = np.iinfo(np.int32).min
SPAN_MS = 2.0**31 - 1


class OutOfDateError(ValueError):
    """The state is whole but not of this feed or this hour; what holds whatever the feed is can be had from it."""

    def __init__(self, sentence: str, state: State) -> None:
        super().__init__(sentence)
        self.state = state


class _Column(msgspec.Struct, array_like=True):
    dtype: str
    shape: tuple[int, ...]
    data: bytes


class _File(msgspec.Struct, array_like=True):
    feed: str
    as_of_s: float
    facts: Facts
    columns: dict[str, _Column]


_ENCODE = msgspec.msgpack.Encoder().encode
_FILE = msgspec.msgpack.Decoder(_File)


def to_bytes(state: State, feed: str) -> bytes:
    """A state as bytes; `feed` is the fingerprint of the network that its numbers are of."""
    columns = {}
    for name, column in state.arrays.items():
        kept = to_steps(column, state.as_of_s) if name in STEPS else column
        columns[name] = _Column(kept.dtype.str, kept.shape, kept.tobytes())
    packed = zlib.compress(_ENCODE(_File(feed, state.as_of_s, state.facts, columns)), 1)
    return FORMAT + _digest(packed) + packed


def from_bytes(data: bytes, feed: str, now_s: float) -> State:
    """What `to_bytes` made.

    Raises:
        OutOfDateError: it is of another feed, or of another time.
        ValueError: it is no state, of another format, or damaged.
    """
    if not data.startswith(FORMAT):
        theirs = data[len(NAME) : len(NAME) + 8].split(b"\n")[0].decode("ascii", "replace")
        raise ValueError(f"it is of format {theirs}" if data.startswith(NAME) else "it is no state of dispatch")
    digest, packed = data[len(FORMAT) : len(FORMAT) + DIGEST], data[len(FORMAT) + DIGEST :]
    if digest != _digest(packed):
        raise ValueError("it is damaged")
    try:
        file = _FILE.decode(zlib.decompressobj().decompress(packed, BYTES_MAX))
        state = State(file.as_of_s, file.facts, _columns(file))
    except (msgspec.DecodeError, zlib.error, ValueError, TypeError) as error:
        raise ValueError(f"it is not whole: {error}") from None
    age_s = now_s - state.as_of_s
    if file.feed != feed:
        raise OutOfDateError("it is of another feed, or of a timetable moved otherwise", state)
    if not -AHEAD_S_MAX <= age_s <= AGE_S_MAX:
        raise OutOfDateError(f"it is {age_s / 60:.0f} minutes old" if age_s > 0 else "it is of the future", state)
    return state


def to_steps(time_s: NDArray[np.float64], as_of_s: float) -> NDArray[np.int32]:
    """Instants as milliseconds from `as_of_s`, and those as steps along the last axis; what is no time as UNKNOWN_MS.

    Steps wrap around, as sums of them do again.
    """
    away_ms = np.round((time_s - as_of_s) * 1e3)
    with np.errstate(invalid="ignore"):
        known = np.abs(away_ms) < SPAN_MS
    whole = np.where(known, away_ms, UNKNOWN_MS).astype(np.int32)
    return np.diff(whole, axis=-1, prepend=np.zeros((*whole.shape[:-1], 1), dtype=np.int32))


def from_steps(steps: NDArray[np.int32], as_of_s: float, unknown: float) -> NDArray[np.float64]:
    """What `to_steps` was given, to the millisecond, with `unknown` where there was no time."""
    away_ms = np.cumsum(steps, axis=-1, dtype=np.int32)
    return np.where(away_ms == UNKNOWN_MS, unknown, away_ms / 1e3 + as_of_s)


def _columns(file: _File) -> dict[str, NDArray[Any]]:
    columns: dict[str, NDArray[Any]] = {}
    for name, column in file.columns.items():
        array = np.frombuffer(column.data, np.dtype(column.dtype)).reshape(column.shape)
        if name in STEPS:
            columns[name] = from_steps(array, file.as_of_s, -np.inf if name == "marks.time_s" else np.nan)
        else:
            columns[name] = array.copy()
    return columns


def _digest(packed: bytes) -> bytes:
    return hashlib.blake2b(packed, digest_size=DIGEST).digest()
