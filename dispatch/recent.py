"""The recent past of the whole fleet, from which a vehicle gets its memory when its first late fix comes.

Kept in two spans of time, one behind the other: the fleet's columns as they were at the beginning of each, and the
fixes and passages since. A span holds the very arrays that were folded, so that keeping them costs no work; the older
one goes when a third begins. So at any time the past reaches back over one whole span at least, and a vehicle that was
not there at the beginning is told from its first fix on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dispatch.fleet import COLUMNS, INFERRED, Fleet
from dispatch.fleet_states import BLANK
from dispatch.network import Floats
from dispatch.observations import Descriptor, Observations, Rows
from dispatch.passages import Passages

KEPT_S = 150.0  # as late as the gateway admits
FIXES_MAX = 600_000  # 72 bytes each: 10,000 vehicles that report every five seconds; of more the spans are shorter
FIXES_AT_ONCE = 100_000  # looked up in one go, some 300 ms; vehicles beyond are followed from here on

Fix: TypeAlias = tuple[Any, ...]  # ts_s, received_s, lat, lon, speed, bearing, x_m, y_m; descriptor, occupancy
Passage: TypeAlias = tuple[int, float, int]  # trip, zero, stop


@dataclass(slots=True)
class Past:
    """One vehicle: its state, and in order of time what it has shown since."""

    state: Floats
    descriptor: Descriptor | None
    fixes: list[Fix] = field(default_factory=list)
    passed: dict[Passage, tuple[float, float]] = field(default_factory=dict)


@dataclass(slots=True)
class _Span:
    """The fleet at a moment, and what was folded after it."""

    began_s: float
    columns: dict[str, NDArray[Any]]
    descriptor: list[Descriptor | None]
    rounds: list[tuple[NDArray[Any], ...]] = field(default_factory=list)  # rows, then the numbers of their fixes
    passages: list[Passages] = field(default_factory=list)
    claimed: dict[int, dict[float, Descriptor | None]] = field(default_factory=dict)  # by row and time, where new
    barred: set[int] = field(default_factory=set)
    size: int = 0

    def state(self, row: int) -> tuple[Floats, Descriptor | None]:
        """What the fleet's columns said of a vehicle, and what it claimed; blank where it was not there."""
        if row >= len(self.descriptor):
            return BLANK, None
        return np.array([float(column[row]) for column in self.columns.values()]), self.descriptor[row]

    def fits(self, fleet: Fleet, row: int) -> bool:
        """Whether fixes alone lead from here to what a vehicle does now: its trip was not guessed in between."""
        if row in self.barred:
            return False
        if fleet.assigned[row] != INFERRED:
            return True
        if row >= len(self.descriptor):
            return False
        same = self.columns["trip"][row] == fleet.trip[row] and self.columns["zero_s"][row] == fleet.zero_s[row]
        return bool(same)


class Recent:
    """What the fleet has shown in the last one or two spans."""

    def __init__(self) -> None:
        self._spans: list[_Span] = []

    @property
    def size(self) -> int:
        """Fixes and passages kept: at most FIXES_MAX and what a tick or two bring."""
        return sum(span.size for span in self._spans)

    def clear(self) -> None:
        """Forget all of it."""
        self._spans.clear()

    def begin(self, fleet: Fleet, now_s: float) -> None:
        """Begin another span where it is time for it, or the one under way is full; before anything is folded."""
        if self._spans:
            last = self._spans[-1]
            if 0 <= now_s - last.began_s < KEPT_S and last.size < FIXES_MAX // 2:
                return
        n = len(fleet)
        columns = {name: getattr(fleet, name)[:n].copy() for name in COLUMNS}
        self._spans = [*self._spans[-1:], _Span(now_s, columns, fleet.descriptor.copy())]

    def note(self, rows: Rows, fixes: Observations, x_m: Floats, y_m: Floats) -> None:
        """Keep the fixes of a round, which are in order of time for each vehicle; the arrays must not change."""
        if not self._spans:
            return
        span = self._spans[-1]
        span.size += len(rows)
        span.rounds.append(
            (
                rows,
                fixes.ts_s,
                fixes.received_s,
                fixes.lat_deg,
                fixes.lon_deg,
                fixes.speed_mps,
                fixes.bearing_deg,
                x_m,
                y_m,
            )
        )

    def note_claim(self, row: int, ts_s: float, descriptor: Descriptor | None) -> None:
        """Keep that a vehicle claims something else from its fix of `ts_s` on."""
        if self._spans:
            self._spans[-1].claimed.setdefault(row, {})[ts_s] = descriptor

    def note_passages(self, passages: Passages) -> None:
        """Keep passages as they were told."""
        if self._spans and len(passages):
            self._spans[-1].size += len(passages)
            self._spans[-1].passages.append(passages)

    def bar(self, row: int) -> None:
        """Say that a vehicle's way until now is not to be told from here."""
        for span in self._spans:
            span.barred.add(row)

    def of(self, fleet: Fleet, rows: list[int], fixes_max: int) -> dict[int, Past]:
        """The past of vehicles, as far back as it is known; none for those that cannot be told from fixes alone.

        Of a vehicle with more than `fixes_max` fixes only the younger span, if that. Of so many vehicles that it would
        take more than FIXES_AT_ONCE, only the first.
        """
        rows = rows[: 1 + FIXES_AT_ONCE * len(fleet) // max(self.size, 1)]
        found: dict[int, Past] = {}
        for nth in range(len(self._spans)):
            fitting = [row for row in rows if row not in found and self._spans[nth].fits(fleet, row)]
            if fitting:
                found |= self._from(nth, fleet, fitting, fixes_max)
        return found

    def _from(self, nth: int, fleet: Fleet, rows: list[int], fixes_max: int) -> dict[int, Past]:
        spans = self._spans[nth:]
        wanted = np.zeros(len(fleet), np.bool_)
        wanted[rows] = True
        found = {row: Past(*spans[0].state(row)) for row in rows}
        claims = {row: claimed for row in rows if (claimed := _claims(spans, row))}
        for span in spans:
            for held in span.rounds:
                at = np.flatnonzero(wanted[held[0]])
                for row, *numbers in zip(*(column[at].tolist() for column in held), strict=True) if len(at) else ():
                    past = found[row]
                    said = _said(claims[row], numbers[0], past.descriptor) if row in claims else past.descriptor
                    past.fixes.append((*numbers, said, fleet.occupancy[row]))
            for passages in span.passages:
                _note_passed(found, passages, np.flatnonzero(wanted[passages.vehicle]).tolist())
        return {row: past for row, past in found.items() if len(past.fixes) <= fixes_max}


def _claims(spans: list[_Span], row: int) -> list[tuple[float, Descriptor | None]]:
    """What a vehicle has begun to claim, and by which fix, the newest first."""
    claims: dict[float, Descriptor | None] = {}
    for span in spans:
        claims |= span.claimed.get(row, {})
    return sorted(claims.items(), key=lambda claim: claim[0], reverse=True)


def _said(claims: list[tuple[float, Descriptor | None]], ts_s: float, before: Descriptor | None) -> Descriptor | None:
    return next((said for at_s, said in claims if at_s <= ts_s), before)


def _note_passed(found: dict[int, Past], passages: Passages, at: list[int]) -> None:
    for i in at:
        run = int(passages.trip[i]), float(passages.zero_s[i]), int(passages.stop[i])
        found[int(passages.vehicle[i])].passed[run] = float(passages.arrival_s[i]), float(passages.departure_s[i])
