"""Late fixes: what a vehicle did is told anew when a fix comes that is older than one already known.

A vehicle's place is that of its newest fix, always. But the moments at which it passed stops and marks are interpolated
between fixes, and those are right only once all fixes are there. So a vehicle whose fixes come late is followed with a
memory of its own: its fixes of the last minutes, and its state as it was before them, both taken from what is kept of
the whole fleet (recent) when its first late fix comes. Whenever one has come late, the state is put back and the fixes
are folded again in the order of time, ending where the vehicle was before.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from math import hypot, inf, isnan

import numpy as np

from dispatch.fleet import COLUMNS, Fleet
from dispatch.network import Flags, Floats
from dispatch.observations import Descriptor, Observations, Rows
from dispatch.passages import Passages
from dispatch.recent import KEPT_S, Fix, Passage, Past, Recent, State

FORGOTTEN_S = 600.0  # in order for so long: followed without a memory again
STRAGGLERS_MAX = 20_000
FIXES_MAX = 400  # of one vehicle: more than one a second for twice KEPT_S, from where its memory may begin
TOLD_EVERY_S = 5.0  # several late fixes of a vehicle cost one telling
FOLDED_AGAIN_MAX = 100_000  # fixes at once; vehicles beyond it wait for the next time
SPEED_MPS_MAX = 45.0  # as at the gateway, where only the newest fix is known
JUMP_M_FREE = 150.0

_NAMES = tuple(COLUMNS)
_TS = _NAMES.index("ts_s")


@dataclass(slots=True)
class _Straggler:
    """A vehicle with a memory: its state before `ts_s[0]`, and the fixes since then in order of time."""

    state: Floats
    descriptor: Descriptor | None
    occupancy: str | None
    late_s: float  # when the last late fix came, by the vehicle's newest fix
    ts_s: list[float] = field(default_factory=list)
    fixes: list[Fix] = field(default_factory=list)
    passed: dict[Passage, tuple[float, float]] = field(default_factory=dict)

    @property
    def since_s(self) -> float:
        """The time of the newest fix that the remembered state includes."""
        return float(self.state[_TS])

    def append(self, fix: Fix) -> bool:
        """Put the newest fix behind the others; False when there is no room."""
        if len(self.ts_s) >= FIXES_MAX:
            return False
        self.ts_s.append(fix[0])
        self.fixes.append(fix)
        return True

    def insert(self, fix: Fix) -> str | None:
        """Put a late fix in its place; the reason why not, where it cannot be believed."""
        ts_s = fix[0]
        at = bisect_left(self.ts_s, ts_s)
        if at < len(self.ts_s) and self.ts_s[at] == ts_s:
            return "duplicate"
        if len(self.ts_s) >= FIXES_MAX:
            return "out_of_order"
        for other in self.fixes[max(at - 1, 0) : at + 1]:
            gone_m = hypot(fix[-2] - other[-2], fix[-1] - other[-1])
            if gone_m > SPEED_MPS_MAX * abs(ts_s - other[0]) + JUMP_M_FREE:
                return "late_teleport"
        self.ts_s.insert(at, ts_s)
        self.fixes.insert(at, fix)
        return None

    def drop_before(self, ts_s: float) -> None:
        """Forget the fixes that the state includes by now."""
        gone = bisect_left(self.ts_s, ts_s)
        del self.ts_s[:gone], self.fixes[:gone]


class LateFixes:
    """The vehicles whose fixes come late, by their row in the fleet."""

    def __init__(self) -> None:
        self.refused: Counter[str] = Counter()
        self.recent = Recent()
        self._by_row: dict[int, _Straggler] = {}
        self._told_s = -inf
        self._waiting: dict[int, None] = {}  # rows to be told anew, in the order in which they asked for it

    def __len__(self) -> int:
        return len(self._by_row)

    def clear(self) -> None:
        """Forget every vehicle: the network has changed."""
        self.recent.clear()
        self._by_row.clear()
        self._waiting.clear()

    def forget(self, row: int) -> None:
        """Forget one vehicle: what it drives has been decided by other means than its fixes."""
        self.recent.bar(row)
        self._drop(row)

    def _drop(self, row: int) -> None:
        self._by_row.pop(row, None)
        self._waiting.pop(row, None)

    def note(self, rows: Rows, fixes: Observations, x_m: Floats, y_m: Floats) -> None:
        """Remember fixes that are about to be folded in order."""
        self.recent.note(rows, fixes, x_m, y_m)
        if not self._by_row:
            return
        for i, row in enumerate(rows.tolist()):
            straggler = self._by_row.get(row)
            if straggler is None:
                continue
            ts_s = float(fixes.ts_s[i])
            if not straggler.append(_fix(fixes, i, x_m, y_m)):
                self.forget(row)
            elif ts_s - straggler.late_s > FORGOTTEN_S:
                self._drop(row)
            elif len(straggler.ts_s) > FIXES_MAX // 2 or ts_s - straggler.ts_s[0] > 2 * KEPT_S:
                self._waiting[row] = None  # told anew so that its state moves on

    def take(self, fleet: Fleet, rows: Rows, fixes: Observations, x_m: Floats, y_m: Floats) -> None:
        """Take fixes that are not newer than what `rows` have; those that say something new are folded in later."""
        self._remember(fleet, rows[fixes.ts_s != fleet.ts_s[rows]])
        for i, row in enumerate(rows.tolist()):
            newest_s = float(fleet.ts_s[row])
            if fixes.ts_s[i] == newest_s:
                self.refused["duplicate"] += 1
                continue
            straggler = self._by_row.get(row)
            if straggler is None or fixes.ts_s[i] < max(newest_s - KEPT_S, straggler.since_s):
                self.refused["out_of_order"] += 1
                continue
            reason = straggler.insert(_fix(fixes, i, x_m, y_m))
            if reason is not None:
                self.refused[reason] += 1
                continue
            straggler.late_s = newest_s
            self._waiting[row] = None

    def news(self, passages: Passages) -> Flags:
        """bool[n]: passages that were not known, or known to be at another moment; they are known from here on."""
        if not self._by_row:
            return np.ones(len(passages), np.bool_)
        return np.array([self._is_news(row, passages, i) for i, row in enumerate(passages.vehicle.tolist())], np.bool_)

    def due(self, now_s: float) -> Rows:
        """The vehicles to be told anew now: every TOLD_EVERY_S, and within FOLDED_AGAIN_MAX fixes."""
        chosen: list[int] = []
        if not self._waiting or 0 <= now_s - self._told_s < TOLD_EVERY_S:
            return np.array(chosen, dtype=np.intp)
        self._told_s = now_s
        number = 0
        for row in self._waiting:
            number += len(self._by_row[row].ts_s)
            if chosen and number > FOLDED_AGAIN_MAX:
                break
            chosen.append(row)
        for row in chosen:
            del self._waiting[row]
        return np.array(chosen, dtype=np.intp)

    def put_back(self, fleet: Fleet, rows: Rows) -> list[tuple[Rows, Observations, Floats, Floats]]:
        """Put vehicles back to what is remembered of them; the fixes to fold again, in rounds."""
        chosen = [(row, self._by_row[row]) for row in rows.tolist()]
        for row, straggler in chosen:
            put_state(fleet, row, straggler.state, (straggler.descriptor, straggler.occupancy))
        longest = max((len(straggler.ts_s) for _, straggler in chosen), default=0)
        return [
            self._round([row for row, straggler in chosen if turn < len(straggler.ts_s)], turn)
            for turn in range(longest)
        ]

    def move_on(self, fleet: Fleet, rows: Rows) -> None:
        """Remember the states of `rows`, just folded again, in place of older ones, unless too young for that."""
        for row in rows.tolist():
            straggler = self._by_row[row]
            if fleet.ts_s[row] < straggler.ts_s[-1] - KEPT_S:
                straggler.state, _ = state_of(fleet, row)
                straggler.descriptor, straggler.occupancy = fleet.descriptor[row], fleet.occupancy[row]

    def trim(self, rows: Rows) -> None:
        """Let go of the fixes that the remembered states of `rows` include."""
        for row in rows.tolist():
            straggler = self._by_row.get(row)
            if straggler is not None:
                straggler.drop_before(float(np.nextafter(straggler.since_s, inf)))

    def _round(self, rows: list[int], turn: int) -> tuple[Rows, Observations, Floats, Floats]:
        fixes = [self._by_row[row].fixes[turn] for row in rows]
        numbers = np.array([fix[:8] + fix[10:] for fix in fixes]).T
        again = Observations(
            [""] * len(rows),
            numbers[0],
            numbers[1],
            numbers[2],
            numbers[3],
            numbers[4],
            numbers[5],
            numbers[6],
            numbers[7],
            [fix[8] for fix in fixes],
            [fix[9] for fix in fixes],
        )
        return np.array(rows, dtype=np.intp), again, numbers[8], numbers[9]

    def _remember(self, fleet: Fleet, rows: Rows) -> None:
        """Give vehicles a memory that have none: of what they have shown, or where that is not known, from here on."""
        fresh = [row for row in rows.tolist() if row not in self._by_row]
        if not fresh:
            return
        known = self.recent.of(fleet, fresh, FIXES_MAX)
        for row in fresh:
            if len(self._by_row) >= STRAGGLERS_MAX:
                self.forget(next(iter(self._by_row)))
                self.refused["late_memory_full"] += 1
            columns, (descriptor, occupancy) = state_of(fleet, row)
            past = known.get(row) or Past(columns, descriptor)
            ts_s = [fix[0] for fix in past.fixes]
            newest_s = float(fleet.ts_s[row])
            self._by_row[row] = _Straggler(
                past.state, past.descriptor, occupancy, newest_s, ts_s, past.fixes, past.passed
            )

    def _is_news(self, row: int, passages: Passages, i: int) -> bool:
        straggler = self._by_row.get(row)
        if straggler is None:
            return True
        key = (int(passages.trip[i]), float(passages.zero_s[i]), int(passages.stop[i]))
        times = (float(passages.arrival_s[i]), float(passages.departure_s[i]))
        known = straggler.passed.get(key)
        straggler.passed[key] = times
        while len(straggler.passed) > FIXES_MAX:
            del straggler.passed[next(iter(straggler.passed))]
        return known is None or any(
            isnan(a) != isnan(b) or abs(a - b) > 0.05 for a, b in zip(known, times, strict=True)
        )


def state_of(fleet: Fleet, row: int) -> State:
    """All that the fleet's columns say of one vehicle, and its descriptor and occupancy."""
    columns = np.array([float(getattr(fleet, name)[row]) for name in _NAMES])
    return columns, (fleet.descriptor[row], fleet.occupancy[row])


def put_state(fleet: Fleet, row: int, columns: Floats, said: tuple[Descriptor | None, str | None]) -> None:
    """Put a vehicle back to what `state_of` said of it."""
    for name, value in zip(_NAMES, columns.tolist(), strict=True):
        getattr(fleet, name)[row] = value
    fleet.descriptor[row], fleet.occupancy[row] = said


def _fix(fixes: Observations, i: int, x_m: Floats, y_m: Floats) -> Fix:
    return (
        float(fixes.ts_s[i]),
        float(fixes.received_s[i]),
        float(fixes.lat_deg[i]),
        float(fixes.lon_deg[i]),
        float(fixes.speed_mps[i]),
        float(fixes.bearing_deg[i]),
        float(fixes.accuracy_m[i]),
        float(fixes.odometer_m[i]),
        fixes.descriptor[i],
        fixes.occupancy[i],
        float(x_m[i]),
        float(y_m[i]),
    )
