"""The validators' own record, one JSON object a line, written before anything is sent: what a checker goes by.

    {"at", "validator", "what": "tap", "id", "boot", "seq", "payload", "trick"}
    {"at", "validator", "what": "sent", "id"}                       each try
    {"at", "validator", "what": "answered", "id", "verdict"}        by a verdict; `unavailable` is an answer too
    {"at", "validator", "what": "deleted", "id", "by": "verdict"|"receipt"}
    {"at", "validator", "what": "put_back", "id", "by": "verdict"|"receipt"}    no end: its rider had been let in
    {"at", "validator", "what": "alone", "id", "verdict"}           what its rider was shown without the server's word
    {"at", "validator", "what": "set_aside", "id"}

The file is only appended to. A line cut short by a kill is the last one of its start, and is passed over. A full file
makes room for a new one and is kept beside it as `.1`; taps that have no receipt yet are carried over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

Entry = dict[str, Any]

BYTES_MAX = 64 * 1024 * 1024  # about two hours of 10 taps a second

_encode = msgspec.json.Encoder().encode


class Journal:
    """An append-only file of entries, or with path None only counters. Enter it to open it."""

    def __init__(self, path: Path | None, bytes_max: int = BYTES_MAX) -> None:
        self.path = path
        self.entries = 0
        self.turned = 0
        self._bytes_max = bytes_max
        self._file: BinaryIO | None = None
        self._waiting: list[bytes] = []
        self._open: dict[str, tuple[Entry, bytes]] = {}
        self._size = 0

    def __enter__(self) -> Journal:
        if self.path is not None:
            if self.path.exists():
                with self.path.open("rb") as file:
                    for entry in read_journal(file):
                        self._follow(entry)
            self._begin()
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()
        if self._file is not None:
            self._file.close()
            self._file = None

    def leftover(self) -> dict[str, list[tuple[float, bytes]]]:
        """By validator, the taps that were never deleted, as (time made, payload): what a restart takes up again."""
        taps: dict[str, list[tuple[float, bytes]]] = {}
        for entry, _ in self._open.values():
            taps.setdefault(entry["validator"], []).append((float(entry["at"]), entry["payload"].encode()))
        return taps

    def add(self, at_s: float, validator: str, what: str, **fields: Any) -> None:
        """Note something; it is in the file after the next flush."""
        self.entries += 1
        if self._file is not None:
            entry = {"at": round(at_s, 3), "validator": validator, "what": what, **fields}
            self._waiting.append(self._follow(entry))

    def flush(self) -> None:
        """Hand everything to the operating system: a kill of this process loses none of it."""
        if self._file is None or not self._waiting:
            return
        lines, self._waiting = self._waiting, []
        self._write(b"".join(lines))
        if self._size > self._bytes_max:
            self._turn()

    def _follow(self, entry: Entry) -> bytes:
        """The entry's line; taps without a receipt are remembered."""
        line = _encode(entry) + b"\n"
        if entry["what"] == "tap":
            self._open[entry["id"]] = (entry, line)
        elif entry["what"] == "deleted":
            self._open.pop(entry["id"], None)
        return line

    def _begin(self) -> None:
        assert self.path is not None
        self._file = self.path.open("ab", buffering=0)
        self.path.chmod(0o600)  # it holds tokens
        self._size = self.path.stat().st_size
        if self._size:
            self._write(b"\n")  # ends a line that a kill has cut short

    def _turn(self) -> None:
        """Put the full file aside and begin another with the taps that are still open."""
        assert self.path is not None
        if self._file is not None:
            self._file.close()
        self.path.replace(self.path.with_name(self.path.name + ".1"))
        self._begin()
        self._write(b"".join(line for _, line in self._open.values()))
        self.turned += 1

    def _write(self, data: bytes) -> None:
        assert self._file is not None
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) or 0 :]
        self._size += len(data)


def read_journal(lines: Iterable[bytes]) -> Iterator[Entry]:
    """The entries of a journal's lines; those that a kill has cut short are passed over."""
    for line in lines:
        try:
            entry = msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        if isinstance(entry, dict) and "what" in entry and "id" in entry:
            yield entry
