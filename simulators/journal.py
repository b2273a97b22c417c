"""The validators' own record, one JSON object a line, written before anything is sent: what a checker goes by.

    {"at", "validator", "what": "tap", "id", "boot", "seq", "payload", "trick"}
    {"at", "validator", "what": "sent", "id"}                       each try
    {"at", "validator", "what": "answered", "id", "verdict"}        by a verdict; `unavailable` is an answer too
    {"at", "validator", "what": "deleted", "id", "by": "verdict"|"receipt"}
    {"at", "validator", "what": "set_aside", "id"}

The file is only appended to. A line cut short by a kill is the last one of its start, and is passed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

Entry = dict[str, Any]

_encode = msgspec.json.Encoder().encode
BYTES_MAX = 512 * 1024 * 1024  # a journal is for a play of some hours; beyond this nothing is written, and counted


class Journal:
    """An append-only file of entries, or with path None only the counters. Enter it to open it."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.entries = 0
        self.left_out = 0
        self._file: BinaryIO | None = None
        self._waiting: list[bytes] = []
        self._size = 0

    def __enter__(self) -> Journal:
        if self.path is not None:
            self._file = self.path.open("ab", buffering=0)
            self.path.chmod(0o600)  # it holds tokens
            self._size = self._file.tell()
            if self._size:
                self._write(b"\n")  # ends a line that a kill has cut short
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()
        if self._file is not None:
            self._file.close()
            self._file = None

    def add(self, at_s: float, validator: str, what: str, **fields: Any) -> None:
        """Note something; it is in the file after the next flush."""
        self.entries += 1
        if self._file is None:
            return
        entry = {"at": round(at_s, 3), "validator": validator, "what": what, **fields}
        self._waiting.append(_encode(entry) + b"\n")

    def flush(self) -> None:
        """Hand everything to the operating system: a kill of this process loses none of it."""
        if self._file is None or not self._waiting:
            return
        lines, self._waiting = self._waiting, []
        if self._size > BYTES_MAX:
            self.left_out += len(lines)
            return
        self._write(b"".join(lines))

    def _write(self, data: bytes) -> None:
        if self._file is None:
            return
        view = memoryview(data)
        while view:
            written = self._file.write(view)
            view = view[written or 0 :]
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


def open_taps(entries: Iterable[Entry]) -> dict[str, list[tuple[float, bytes]]]:
    """By validator, the taps that were never deleted, as (time made, payload): what a restart takes up again."""
    taps: dict[str, dict[str, tuple[float, bytes]]] = {}
    for entry in entries:
        of_validator = taps.setdefault(entry["validator"], {})
        if entry["what"] == "tap":
            of_validator[entry["id"]] = (entry["at"], entry["payload"].encode())
        elif entry["what"] == "deleted":
            of_validator.pop(entry["id"], None)
    return {validator: list(kept.values()) for validator, kept in taps.items() if kept}
