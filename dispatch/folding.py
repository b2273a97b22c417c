"""Folding: the first half of a tick, in which the fixes that have come in move the fleet along its trips.

A batch is folded in rounds, the oldest fix of every vehicle first, so that each round is one step of many vehicles at
once. What a round shows in order: what vehicles claim, where they are on their path, which stops and marks they have
passed, and which trips have ended. Then vehicles without a trip are given one, and those whose fixes came late are told
anew.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dispatch.assignment import Inference, assign, end_trips, finish_inferred, is_wrong
from dispatch.claiming import Claiming, FoldCounts
from dispatch.config import DispatchSettings
from dispatch.contest import Contest
from dispatch.eta_watch import EtaWatch
from dispatch.fleet import INFERRED, NO_TRIP, NOBODY, Fleet
from dispatch.fleet_states import put_states, states_of
from dispatch.ground import Ground
from dispatch.inbox import sane
from dispatch.late import LateFixes
from dispatch.network import Flags, Floats, Ints
from dispatch.observations import Observations, Rows, in_rounds
from dispatch.orders import Orders
from dispatch.passages import PassageLog, Passages, join_passages
from dispatch.reassignment import Reassignment
from dispatch.recent import KEPT_S
from dispatch.states import deviations
from dispatch.tracks import TrackCounts, TrackLimits, follow

CLAIM_AGAIN_S = 300.0  # a claim that came to nothing (too early, say) is looked at again so often
KEEP_TRIP_S = 120.0  # how long a vehicle keeps its trip at the end of it, when no other follows
PASSAGES_KEPT = 500_000


@dataclass(frozen=True, slots=True)
class Folded:
    """What became of N fixes in one tick, in the order in which they were folded; trip -1 and offset nan: none."""

    vehicle: Rows
    ts_s: Floats
    trip: Ints
    zero_s: Floats
    offset_m: Floats
    on_route: Flags


class Folding:
    """The fleet on its ground, and what it has passed; `use` exchanges the ground."""

    def __init__(self, ground: Ground, settings: DispatchSettings, orders: Orders, eta: EtaWatch) -> None:
        self.ground, self.settings, self.orders, self.eta = ground, settings, orders, eta
        self.fleet = Fleet()
        self.counts = FoldCounts()
        self.claiming = Claiming(ground, self.fleet, orders, self.counts)
        self.inference = Inference()
        self.reassignment = Reassignment()
        self.contest = Contest()
        self.passage_log = PassageLog(PASSAGES_KEPT)
        self.late = LateFixes()
        self._limits = TrackLimits(settings.silent_s, settings.off_route_m)
        self._unlearnt: list[Passages] = []

    def use(self, ground: Ground) -> None:
        """Stand on another ground from now on: what was guessed, and who came late, is forgotten with the old one."""
        self.ground = self.claiming.ground = ground
        self.inference, self.reassignment = Inference(), Reassignment()
        self.contest = Contest()
        self.late.clear()

    def fold(self, fixes: Observations | None, now_s: float) -> Folded:
        """Fold the fixes of a tick, and learn from the passages they make."""
        rounds = self._fold(fixes, now_s) if fixes is not None else []
        self._tell_anew(now_s)
        self.learn()
        return _join_folded(rounds)

    def learn(self) -> None:
        """Let running times see the passages of one tick, those of each vehicle in their order."""
        if not self._unlearnt:
            return
        passages = join_passages(self._unlearnt)
        self._unlearnt = []
        passages = passages.take(np.argsort(passages.vehicle, kind="stable"))
        self.ground.running.learn(passages, float(self.fleet.ts_s[passages.vehicle].max()))

    def _fold(self, fixes: Observations, now_s: float) -> list[Folded]:
        fleet, refused = self.fleet, self.counts.refused
        self.late.recent.begin(fleet, now_s)
        good = sane(fixes, now_s)
        if not good.all():
            refused["implausible"] += int(np.count_nonzero(~good))
            fixes = fixes.take(np.flatnonzero(good))
        rows = fleet.rows_of(fixes.vehicle_key, self.settings.vehicles_max)
        known = rows >= 0
        if not known.all():
            refused["fleet_full"] += int(np.count_nonzero(~known))
        x_m, y_m = self.ground.network.project(fixes.lat_deg, fixes.lon_deg)
        rounds: list[Folded] = []
        for turn in in_rounds(rows, fixes.ts_s):
            at = turn[rows[turn] >= 0]
            newer = fixes.ts_s[at] > fleet.ts_s[rows[at]]
            if not newer.all():
                old = at[~newer]
                self.late.take(fleet, rows[old], fixes.take(old), x_m[old], y_m[old])
                at = at[newer]
            if not len(at):
                continue
            taken = fixes.take(at)
            self.late.note(rows[at], taken, x_m[at], y_m[at])
            rounds.append(self._fold_round(rows[at], taken, x_m[at], y_m[at]))
            self._infer(rows[at], now_s)
        cancelled = self.orders.cancelled.keys()
        self.counts.trips_exchanged += self.reassignment.improve(fleet, self.ground.timetable, now_s, cancelled)
        self._contest(now_s)
        return rounds

    def _contest(self, now_s: float) -> None:
        """Hold vehicles to the run of another path that their last minutes plainly speak for."""
        fleet, ground = self.fleet, self.ground
        cancelled = self.orders.cancelled.keys()
        won = self.contest.look(fleet, ground.timetable, ground.roads.paths, self.inference, now_s, cancelled)
        for row, (trip, zero_s) in won:
            self.claiming.leave_trip(row)
            self.inference.trails.hold(row, int(fleet.trip[row]), trip)
            self.inference.keep_route(ground.network, row, trip)
            assign(fleet, ground.timetable, row, trip, zero_s, INFERRED)
            self.counts.trips_exchanged += 1

    def _fold_round(self, rows: Rows, fixes: Observations, x_m: Floats, y_m: Floats) -> Folded:
        """One step of vehicles, none of them twice, each with a fix newer than what is known of it."""
        fleet = self.fleet
        self.counts.fixes += len(rows)
        fleet.fold(rows, fixes, x_m, y_m)
        self._hear_claims(rows, fixes)
        tracked = rows[fleet.trip[rows] != NO_TRIP]
        offset_m = np.full(len(rows), np.nan)
        trip, zero_s = fleet.trip[rows], fleet.zero_s[rows]
        if len(tracked):
            passages, place = follow(fleet, self.ground.roads, tracked, self._limits, self.counts.tracks)
            self._keep(passages)
            offset_m[trip != NO_TRIP] = place.offset_m
            self._settle_departures(tracked)
            finish_inferred(fleet, self.ground.roads.zones, tracked)
            if fleet.finished[tracked].any():
                self.counts.trips_ended += end_trips(fleet, self.ground.timetable, tracked, KEEP_TRIP_S)
        with np.errstate(invalid="ignore"):
            on_route = offset_m <= self._limits.off_route_m
        return Folded(rows, fixes.ts_s, trip, zero_s, offset_m, on_route)

    def _hear_claims(self, rows: Rows, fixes: Observations) -> None:
        """Look at what vehicles claim where that has changed, and now and then where it came to nothing."""
        fleet, held, said = self.fleet, self.fleet.descriptor, fixes.descriptor
        without = (fleet.trip[rows] == NO_TRIP) & ~fleet.claims_trip[rows]
        again = without & (fixes.ts_s - fleet.claim_s[rows] > CLAIM_AGAIN_S)
        changed = [
            i
            for i, (row, look) in enumerate(zip(rows.tolist(), again.tolist(), strict=True))
            if look or said[i] != held[row]
        ]
        if not changed:
            return
        self._end_tracks(rows[changed])
        for i in changed:
            row = int(rows[i])
            if said[i] != held[row]:
                held[row] = said[i]
                self.late.recent.note_claim(row, float(fixes.ts_s[i]), said[i])
            self.claiming.claim(row, held[row])

    def _tell_anew(self, now_s: float) -> None:
        """Fold the fixes of vehicles again to which one has come late; who would end elsewhere stays as he was."""
        fleet, late = self.fleet, self.late
        rows = late.due(now_s)
        if not len(rows):
            return
        before = states_of(fleet, rows)
        newest_s, trip, zero_s = fleet.ts_s[rows], fleet.trip[rows], fleet.zero_s[rows]
        until_s = fleet.ts_s - KEPT_S
        with self.counts.apart():
            for at, fixes, x_m, y_m in late.put_back(fleet, rows):
                self._fold_round(at, fixes, x_m, y_m)
                late.move_on(fleet, at, until_s[at])
        same = (fleet.ts_s[rows] == newest_s) & (fleet.trip[rows] == trip)
        same &= (fleet.zero_s[rows] == zero_s) | (trip == NO_TRIP)
        put_states(fleet, rows[~same], before.take(~same))
        for row in rows[~same].tolist():
            late.forget(row)
        late.trim(rows[same])
        self.counts.refolded += int(np.count_nonzero(same))

    def _keep(self, passages: Passages) -> None:
        is_late = len(self.late) > 0
        if is_late and len(passages):
            passages = passages.take(self.late.news(passages))
        self.late.recent.note_passages(passages)
        self.passage_log.add(passages, may_correct=is_late)
        self.counts.passages += len(passages)
        if len(passages):
            self._unlearnt.append(passages)
            self.eta.note(passages)

    def _settle_departures(self, rows: Rows) -> None:
        """Say which departure of their trip loose vehicles drive: the nearest, until they have left the first stop."""
        fleet, timetable = self.fleet, self.ground.timetable
        if not timetable.by_frequency:
            return
        loose = rows[fleet.is_loose[rows] & ~np.isnan(fleet.along_m[rows])]
        late_s = deviations(fleet, self.ground.network, loose)
        for row, late in zip(loose.tolist(), late_s.tolist(), strict=True):
            if not np.isnan(late):
                trip, zero_s = int(fleet.trip[row]), float(fleet.zero_s[row])
                fleet.zero_s[row] = timetable.nearest_zero_s(trip, zero_s, late)
                fleet.is_loose[row] = fleet.next_stop[row] == 0

    def _end_tracks(self, rows: Rows) -> None:
        """Let vehicles that claim something else come to their newest fix on the trip they had: its end, mostly.

        The fix belongs to the new trip; on the old one it only shows that the last stops were reached.
        """
        ending = rows[(self.fleet.trip[rows] != NO_TRIP) & ~np.isnan(self.fleet.place_m[rows])]
        if len(ending):
            passages, _ = follow(self.fleet, self.ground.roads, ending, self._limits, TrackCounts())
            self._keep(passages)

    def _infer(self, moved: Rows, now_s: float) -> None:
        """Give up inferred trips that have come to nothing, and look for trips for those without."""
        fleet, ground = self.fleet, self.ground
        guessed = moved[fleet.assigned[moved] == INFERRED]
        if len(guessed):
            late_s = deviations(fleet, ground.network, guessed)
            for row in guessed[is_wrong(fleet, ground.timetable, guessed, late_s)].tolist():
                self.claiming.leave_trip(row)
                assign(fleet, ground.timetable, row, NO_TRIP, np.nan, NOBODY)
        # Who names a trip and has driven it to its end has none until another is named.
        free = moved[(fleet.trip[moved] == NO_TRIP) & ~fleet.claims_trip[moved]]
        self.inference.note(fleet, np.concatenate((moved[fleet.assigned[moved] == INFERRED], free)))
        self.counts.trips_inferred += self.inference.infer(
            fleet, ground.timetable, ground.roads.paths, now_s, free, self.orders.cancelled.keys()
        )


def _join_folded(rounds: list[Folded]) -> Folded:
    if not rounds:
        none = np.zeros(0)
        return Folded(none.astype(np.intp), none, none.astype(np.int32), none, none, none.astype(np.bool_))
    return Folded(
        np.concatenate([part.vehicle for part in rounds]),
        np.concatenate([part.ts_s for part in rounds]),
        np.concatenate([part.trip for part in rounds]),
        np.concatenate([part.zero_s for part in rounds]),
        np.concatenate([part.offset_m for part in rounds]),
        np.concatenate([part.on_route for part in rounds]),
    )
