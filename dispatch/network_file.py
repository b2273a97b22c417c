"""A network on disk as columns that every process maps into memory: written once, shared by all, quick to open.

The layout is a magic word, a JSON header and the columns as they are in memory, each at a multiple of 64 bytes.
Lists of strings are two columns: the text of all in UTF-8 and the number of characters of each.
Nothing here needs the feed reader: opening a file costs a few milliseconds and the pages that are touched.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import mmap
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dispatch.network import Network

FORMAT_VERSION = 2  # raise it when the columns or their meaning change: caches of another version are built anew
MAGIC = b"TAKTNET" + bytes([FORMAT_VERSION])
ALIGNMENT = 64  # a cache line, and enough for every dtype
PREFIX = struct.Struct("<8sQ")


class NetworkFileError(Exception):
    """The file is not a network that this version can open; read the feed again."""


def save_network(network: Network, path: Path) -> None:
    """Write `network` to `path` at once and whole: a reader sees the old file or the new one, never half of one."""
    scalars: dict[str, Any] = {}
    texts: list[str] = []
    columns: dict[str, NDArray[Any]] = {}
    for field in dataclasses.fields(network):
        value = getattr(network, field.name)
        if isinstance(value, np.ndarray):
            columns[field.name] = np.ascontiguousarray(value)
        elif isinstance(value, list):
            texts.append(field.name)
            columns[field.name + "/bytes"] = np.frombuffer("".join(value).encode(), dtype=np.uint8)
            columns[field.name + "/lengths"] = np.fromiter(map(len, value), dtype=np.int32, count=len(value))
        else:
            scalars[field.name] = value.isoformat() if isinstance(value, dt.date) else value
    _write(path, scalars, texts, columns)


def load_network(path: Path) -> Network:
    """Map the file at `path` into memory and return its network; the columns are read-only.

    Raises NetworkFileError when it is damaged or of another version, OSError when it cannot be read.
    """
    with path.open("rb") as file:
        try:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:
            raise NetworkFileError(f"{path} is empty") from None
    try:
        return _parse(mapped)
    except (ValueError, KeyError, TypeError, struct.error) as error:
        raise NetworkFileError(f"{path} is not a network file of this version ({error})") from error


def _write(path: Path, scalars: dict[str, Any], texts: list[str], columns: dict[str, NDArray[Any]]) -> None:
    offset = 0
    places = {}
    for name, column in columns.items():
        places[name] = {"dtype": column.dtype.str, "shape": list(column.shape), "offset": offset}
        offset += -(-column.nbytes // ALIGNMENT) * ALIGNMENT
    header = json.dumps({"scalars": scalars, "texts": texts, "columns": places, "size": offset}).encode()
    header += b" " * (-(PREFIX.size + len(header)) % ALIGNMENT)
    draft = path.with_name(f"{path.name}.{os.getpid()}.draft")
    try:
        with draft.open("wb") as file:
            file.write(PREFIX.pack(MAGIC, len(header)))
            file.write(header)
            for column in columns.values():
                file.write(column.tobytes())
                file.write(bytes(-column.nbytes % ALIGNMENT))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _parse(mapped: mmap.mmap) -> Network:
    magic, header_size = PREFIX.unpack_from(mapped)
    if magic != MAGIC:
        raise ValueError("another format or version")
    base = PREFIX.size + header_size
    header = json.loads(mapped[PREFIX.size : base])
    if base + header["size"] != len(mapped):
        raise ValueError("cut short")
    columns = {name: _column(mapped, base, **place) for name, place in header["columns"].items()}
    fields: dict[str, Any] = dict(header["scalars"])
    for name in header["texts"]:
        fields[name] = _texts(columns.pop(name + "/bytes"), columns.pop(name + "/lengths"))
    fields |= columns
    for name in ("first_date", "feed_start_date"):
        fields[name] = dt.date.fromisoformat(fields[name]) if fields[name] else None
    return Network(**fields)


def _column(mapped: mmap.mmap, base: int, dtype: str, shape: list[int], offset: int) -> NDArray[Any]:
    count = int(np.prod(shape))
    if count == 0:
        return np.zeros(shape, dtype=dtype)
    return np.frombuffer(mapped, dtype=dtype, count=count, offset=base + offset).reshape(shape)


def _texts(text: NDArray[Any], lengths: NDArray[Any]) -> list[str]:
    whole = text.tobytes().decode()
    ends = np.cumsum(lengths, dtype=np.int64).tolist()
    seen: dict[str, str] = {}  # a headsign that stands on ten thousand trips is one string
    texts = []
    start = 0
    for end in ends:
        piece = whole[start:end]
        texts.append(seen.setdefault(piece, piece))
        start = end
    return texts
