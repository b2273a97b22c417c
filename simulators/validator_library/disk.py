"""A validator's disk: one append-only file of `entries`, and a promise about when they are safe.

Policy: a batch that holds a tap is synced to the medium (fsync) before `append` returns, so a power cut loses no tap
that was sent or shown; receipts and memory are synced along with the next tap, since losing one costs a repeated
message at most. A file that has grown is written anew without what is done, synced, and put in the old one's place.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, assert_never

import msgspec

from simulators.validator_library.entries import (
    Entry,
    MediumSeen,
    TapDecided,
    TapDone,
    TapMade,
    decode_entry,
    encode_entry,
)
from simulators.validator_library.memory import ENTRIES_MAX

BYTES_MAX = 16 * 1024 * 1024


class Disk:
    """The file; enter it to read what is there and to append."""

    def __init__(self, path: Path, bytes_max: int = BYTES_MAX, seen_max: int = ENTRIES_MAX) -> None:
        """`bytes_max` is the size at which the file is written anew; `seen_max` media are remembered."""
        self.path = path
        self.syncs = 0
        self.rewritten = 0
        self._bytes_max = bytes_max
        self._size = 0
        self._seen_max = seen_max
        self._taps: dict[str, bytes] = {}  # their lines: a fifth of what the entries would take
        self._seen: dict[str, bytes] = {}
        self._file: BinaryIO

    def __enter__(self) -> Disk:
        if self.path.exists():
            with self.path.open("rb") as file:
                for line in file:
                    self._follow_line(line)
        self._open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def entries(self) -> list[Entry]:
        """What is still of use: taps that are not done, and what is remembered of media."""
        return [decode_entry(line) for line in (*self._taps.values(), *self._seen.values())]

    def append(self, entries: Iterable[Entry]) -> None:
        """Write entries; with a tap among them, they are safe when this returns.

        Raises:
            OSError: the disk is full or broken; nothing of these may be sent or shown.
        """
        lines, holds_tap = [], False
        for entry in entries:
            lines.append(encode_entry(entry) + b"\n")
            holds_tap |= isinstance(entry, TapMade | TapDecided)
        if not lines:
            return
        self._write(b"".join(lines))
        if holds_tap:
            os.fsync(self._file.fileno())
            self.syncs += 1
        for line in lines:
            self._follow_line(line)
        if self._size > self._bytes_max:
            self._rewrite()

    def _follow_line(self, line: bytes) -> None:
        if not line.endswith(b"\n"):  # whole, and cut just before its end
            line += b"\n"
        try:
            entry = decode_entry(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return  # a line that a power cut has cut short: nothing of it was sent or shown
        match entry:
            case TapMade() | TapDecided():
                self._taps[entry.id] = line
            case TapDone():
                self._taps.pop(entry.id, None)
            case MediumSeen():
                self._seen.pop(entry.medium, None)
                self._seen[entry.medium] = line
                if len(self._seen) > self._seen_max:  # the longest unseen goes first, as in the memory itself
                    del self._seen[next(iter(self._seen))]
            case _:
                assert_never(entry)

    def _open(self) -> None:
        self._file = self.path.open("ab", buffering=0)
        self.path.chmod(0o600)  # it holds tokens
        self._size = self.path.stat().st_size
        if self._size:
            self._write(b"\n")  # ends a line that was cut short

    def _rewrite(self) -> None:
        new = self.path.with_name(self.path.name + ".new")
        with new.open("wb") as file:
            new.chmod(0o600)
            for line in (*self._taps.values(), *self._seen.values()):
                file.write(line)
            file.flush()
            os.fsync(file.fileno())
        self._file.close()
        new.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        self._open()
        # What is open may itself be more than the bound; then the next rewrite comes after as much again.
        self._bytes_max = max(self._bytes_max, 2 * self._size)
        self.rewritten += 1

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) or 0 :]
        self._size += len(data)
