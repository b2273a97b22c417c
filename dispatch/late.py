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
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import hypot, inf, isnan

import numpy as np

from dispatch.fleet import Fleet
from dispatch.fleet_states import TS, States, put_states, states_of
from dispatch.network import Flags, Floats
from dispatch.observations import Descriptor, Observations, Rows, in_rounds
from dispatch.passages import Passages
from dispatch.recent import KEPT_S, Fix, Passage, Past, Recent

FORGOTTEN_S = 600.0  # in order for so long: followed without a memory again
STRAGGLERS_MAX = 20_000
FIXES_MAX = 400  # of one vehicle: more than one a second for twice KEPT_S, from where its memory may begin
TOLD_EVERY_S = 5.0  # several late fixes of a vehicle cost one telling
FOLDED_AGAIN_MAX = 100_000  # fixes at once; vehicles beyond it wait for the next time
SPEED_MPS_MAX = 45.0  # as at the gateway, where only the newest fix is known
JUMP_M_FREE = 150.0


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
        return float(self.state[TS])

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
            gone_m = hypot(fix[6] - other[6], fix[7] - other[7])
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

    def put_back(self, fleet: Fleet, rows: Rows) -> Iterator[tuple[Rows, Observations, Floats, Floats]]:
        """Put vehicles back to what is remembered of them; the fixes to fold again, in rounds."""
        told = [self._by_row[row] for row in rows.tolist()]
        columns = np.array([straggler.state for straggler in told])
        states = States(columns, [one.descriptor for one in told], [one.occupancy for one in told])
        put_states(fleet, rows, states)
        fixes = [fix for straggler in told for fix in straggler.fixes]
        count = np.array([len(straggler.fixes) for straggler in told])
        of = np.repeat(rows, count)
        numbers = np.array([fix[:8] for fix in fixes]).reshape(-1, 8).T
        for turn in in_rounds(of, numbers[0]):
            at = turn.tolist()
            yield of[turn], _observed(numbers[:, turn], [fixes[i] for i in at]), numbers[6, turn], numbers[7, turn]

    def move_on(self, fleet: Fleet, rows: Rows, until_s: Floats) -> None:
        """Remember the states of `rows`, just folded again, in place of older ones, where they are before `until_s`."""
        older = rows[fleet.ts_s[rows] < until_s]
        states = states_of(fleet, older)
        for i, row in enumerate(older.tolist()):
            straggler = self._by_row[row]
            straggler.state = states.columns[i]
            straggler.descriptor, straggler.occupancy = states.descriptor[i], states.occupancy[i]

    def trim(self, rows: Rows) -> None:
        """Let go of the fixes that the remembered states of `rows` include."""
        for row in rows.tolist():
            straggler = self._by_row.get(row)
            if straggler is not None:
                straggler.drop_before(float(np.nextafter(straggler.since_s, inf)))

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
            past = known.get(row) or _from_here(fleet, row)
            ts_s, newest_s = [fix[0] for fix in past.fixes], float(fleet.ts_s[row])
            self._by_row[row] = _Straggler(
                past.state, past.descriptor, fleet.occupancy[row], newest_s, ts_s, past.fixes, past.passed
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


def _from_here(fleet: Fleet, row: int) -> Past:
    now = states_of(fleet, np.array([row]))
    return Past(now.columns[0], now.descriptor[0])


def _observed(numbers: Floats, fixes: list[Fix]) -> Observations:
    """Fixes as they came, without what folding does not look at."""
    ts_s, received_s, lat_deg, lon_deg, speed_mps, bearing_deg, *_ = numbers
    unknown = np.full(len(fixes), np.nan)
    said, occupancy = [fix[8] for fix in fixes], [fix[9] for fix in fixes]
    keys = [""] * len(fixes)
    return Observations(
        keys, ts_s, received_s, lat_deg, lon_deg, speed_mps, bearing_deg, unknown, unknown, said, occupancy
    )


def _fix(fixes: Observations, i: int, x_m: Floats, y_m: Floats) -> Fix:
    return (
        float(fixes.ts_s[i]),
        float(fixes.received_s[i]),
        float(fixes.lat_deg[i]),
        float(fixes.lon_deg[i]),
        float(fixes.speed_mps[i]),
        float(fixes.bearing_deg[i]),
        float(x_m[i]),
        float(y_m[i]),
        fixes.descriptor[i],
        fixes.occupancy[i],
    )
