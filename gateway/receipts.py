"""Cumulative receipts: up to where a validator may delete its taps, told now and then, and told again.

Receipts travel with QoS 0 and may be lost, so the last one of a boot is repeated a few times, each time later.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

FIRST_REPEAT_S = 2.0


@dataclass(slots=True)
class _Due:
    seq_through: int
    at_s: float
    repeats: int
    gap_s: float
    sent_s: float = float("-inf")


@dataclass(slots=True)
class Receipts:
    """What is due to whom; time is an argument, any clock that only rises."""

    every_s: float
    repeats: int
    boots_max: int
    counts: Counter[str]
    _due: dict[tuple[str, str, str], _Due] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._due)

    def note(self, operator: str, device: str, boot: str, seq_through: int, now_s: float) -> None:
        """A validator may delete through `seq_through` of this boot."""
        key = (operator, device, boot)
        known = self._due.get(key)
        if known is None:
            if len(self._due) >= self.boots_max:
                self.counts["receipts_dropped"] += 1  # its taps have their verdicts, which are receipts too
                return
            self._due[key] = _Due(seq_through, now_s + self.every_s, self.repeats, FIRST_REPEAT_S)
        else:
            known.seq_through = max(known.seq_through, seq_through)
            if known.sent_s > float("-inf"):
                known.at_s = min(known.at_s, max(known.sent_s + self.every_s, now_s))
            known.repeats, known.gap_s = self.repeats, FIRST_REPEAT_S

    def pop_due(self, now_s: float) -> list[tuple[str, str, str, int]]:
        """(operator, device, boot, seq_through) of what should be sent now."""
        due = []
        for key, entry in list(self._due.items()):
            if entry.at_s > now_s:
                continue
            due.append((*key, entry.seq_through))
            if entry.repeats == 0:
                del self._due[key]
                continue
            entry.sent_s, entry.at_s = now_s, now_s + entry.gap_s
            entry.repeats, entry.gap_s = entry.repeats - 1, 2 * entry.gap_s
        return due
