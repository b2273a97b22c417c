"""A queue of a fixed size between the thread that ticks and the task that writes history: the newest rows win."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from threading import Lock
from typing import Any, Generic, TypeVar

from dispatch.history_rows import FixChunk, PassageChunk

C = TypeVar("C", bound=Sequence[Any] | PassageChunk | FixChunk)


class Buffer(Generic[C]):
    """Chunks on their way from the ticking thread to the writer; once it holds `room` rows, the oldest chunk goes."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.rows = 0
        self.dropped = 0
        self._chunks: deque[C] = deque()
        self._lock = Lock()

    def put(self, chunk: C) -> None:
        """Take a chunk; never blocks for longer than another's append."""
        with self._lock:
            self._chunks.append(chunk)
            self.rows += len(chunk)
            self._cut()

    def take(self, rows: int) -> list[C]:
        """The oldest chunks, one at least (where there is one) and about `rows` rows at the most."""
        taken: list[C] = []
        with self._lock:
            while self._chunks and (not taken or rows >= len(self._chunks[0])):
                chunk = self._chunks.popleft()
                self.rows -= len(chunk)
                rows -= len(chunk)
                taken.append(chunk)
        return taken

    def held(self) -> list[C]:
        """What waits, the oldest first; it goes on waiting."""
        with self._lock:
            return list(self._chunks)

    def put_back(self, chunks: list[C]) -> None:
        """Give back what could not be written: it is the oldest there is, and the first to go when there is no room."""
        with self._lock:
            self._chunks.extendleft(reversed(chunks))
            self.rows += sum(len(chunk) for chunk in chunks)
            self._cut()

    def _cut(self) -> None:
        while self.rows > self.room:
            lost = len(self._chunks.popleft())
            self.rows -= lost
            self.dropped += lost
