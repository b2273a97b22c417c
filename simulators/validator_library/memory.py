"""What a validator remembers of media it has seen: uses, the last place and time, cards' counters; bounded."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

ENTRIES_MAX = 20_000


@dataclass(frozen=True, slots=True)
class Seen:
    """A medium: accepted uses, where and when (Unix seconds) the last one was, and a card's highest counter."""

    uses: int = 0
    place: str = ""
    last_s: float = 0.0
    counter: int = -1


@dataclass(slots=True)
class Memory:
    """Media by key; the one not seen for longest goes first, and is counted."""

    entries_max: int = ENTRIES_MAX
    forgotten: int = 0
    _seen: OrderedDict[str, Seen] = field(default_factory=OrderedDict)

    def __len__(self) -> int:
        return len(self._seen)

    def get(self, medium: str) -> Seen:
        """What is known of a medium; a blank where nothing is."""
        return self._seen.get(medium, _BLANK)

    def put(self, medium: str, seen: Seen) -> None:
        """Remember a medium."""
        self._seen[medium] = seen
        self._seen.move_to_end(medium)
        while len(self._seen) > self.entries_max:
            self._seen.popitem(last=False)
            self.forgotten += 1

    def items(self) -> Iterator[tuple[str, Seen]]:
        """All, the longest unseen first."""
        return iter(self._seen.items())


_BLANK = Seen()
