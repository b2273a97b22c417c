"""The engine: takes fixes and events into a bounded inbox, and once a tick folds them into the state of the fleet."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from threading import Lock
from typing import Any

import msgspec
import numpy as np

from dispatch.alerts import Alert, AlertDesk, Sighting
from dispatch.arrivals import Predictions, leave_out, predict
from dispatch.assignment import Inference, assign, end_trips, finish_inferred, is_wrong
from dispatch.claims import Claim, Timetable
from dispatch.config import DispatchSettings
from dispatch.eta_watch import EtaWatch
from dispatch.fleet import GIVEN, INFERRED, NO_TRIP, NOBODY, Fleet
from dispatch.headway import Headways, MarkMemory, find_headways
from dispatch.late import LateFixes, put_state, state_of
from dispatch.lines import draw_lines
from dispatch.matching import prepare_paths
from dispatch.measures import (
    HeadwayMeasure,
    PunctualityMeasure,
    measure_headways,
    measure_punctuality,
    pair_departures,
)
from dispatch.network import Flags, Floats, Ints, Network
from dispatch.observations import Descriptor, Observations, Rows, in_rounds, join, newest_rows
from dispatch.orders import ORDERS_MAX, Assignment, Cancellation, Departure, Orders, describe, find_run
from dispatch.passages import TRACK_END, PassageLog, Passages, join_passages, zone_stops
from dispatch.reassignment import Reassignment
from dispatch.running import RunningTimes
from dispatch.running_file import restore, to_bytes
from dispatch.snapshot import LAYOVER, ON_TRIP, Snapshot
from dispatch.states import deviations, states, view_fleet
from dispatch.switching import carry_fleet, carry_passages, cross, shift_between
from dispatch.tracks import Roads, TrackCounts, TrackLimits, follow
from dispatch.watch import Driven, sight, sight_alarm, sight_missing, sight_vehicles

CLAIM_AGAIN_S = 300.0  # a claim that came to nothing (too early, say) is looked at again so often
PAST_S_MAX = 86_400.0
FUTURE_S_MAX = 120.0  # a vehicle whose clock is further ahead would shut out its own true fixes
MISSING_EVERY_S = 30.0  # a trip that nobody drives is looked for so often
KEEP_TRIP_S = 120.0  # how long a vehicle keeps its trip at the end of it, when no other follows
PASSAGES_KEPT = 500_000
EVENTS_MAX = 10_000


class LineMeasure(msgspec.Struct, frozen=True):
    """A row of GET /api/v1/measures: regularity and punctuality of one route and direction."""

    route_id: str
    direction_id: int
    headway: HeadwayMeasure | None
    punctuality: PunctualityMeasure | None


@dataclass(frozen=True, slots=True)
class Folded:
    """What became of N fixes in one tick, in the order in which they were folded; trip -1 and offset nan: none."""

    vehicle: Rows
    ts_s: Floats
    trip: Ints
    zero_s: Floats
    offset_m: Floats
    on_route: Flags


@dataclass(frozen=True, slots=True)
class Foreseen:
    """The vehicles that are listed, what they are doing, how late they are, and where they will be when."""

    listed: Rows
    state: Ints
    late_s: Floats
    predictions: Predictions


class Engine:
    """One fleet on one network. `ingest` may be called from another thread than the rest; nothing here waits."""

    def __init__(self, network: Network, settings: DispatchSettings | None = None) -> None:
        settings = settings or DispatchSettings()
        self.network, self.settings = network, settings
        lines = draw_lines(network)
        self.roads = Roads(
            network, prepare_paths(network), lines, zone_stops(network), MarkMemory(len(lines.mark_line_m))
        )
        self.timetable = Timetable(network)
        self.running = RunningTimes(network, lines.pattern_line)
        self.eta = EtaWatch()
        self.fleet = Fleet()
        self.inference = Inference()
        self.reassignment = Reassignment()
        self.passage_log = PassageLog(PASSAGES_KEPT)
        self.late = LateFixes()
        self.tracks = TrackCounts()
        self.refused: Counter[str] = Counter()  # fixes that were not folded, by reason
        self.claims: Counter[str] = Counter()  # claims that were not accepted, by reason
        self.trips_ended = 0
        self.trips_inferred = 0
        self.trips_exchanged = 0
        self.refolded = 0
        self.desk = AlertDesk(settings.alerts)
        self.track_limits = TrackLimits(settings.silent_s, settings.off_route_m)
        self._door = Lock()  # held for an append or a swap
        self._inbox: list[Observations] = []
        self._waiting = 0
        self._events: deque[dict[str, Any]] = deque(maxlen=EVENTS_MAX)
        self.orders = Orders()
        self._missing: list[Sighting] = []
        self._missing_s = -np.inf
        self._driven = Driven()
        self._signed_on: dict[str, Descriptor] = {}
        self._fixes = self._passages = 0
        self._unlearnt: list[Passages] = []

    # -- doors -----------------------------------------------------------------------------------------------------

    def ingest(self, fixes: Observations) -> None:
        """Put fixes into the inbox; when it is full, only the newest of each vehicle stay."""
        with self._door:
            self._inbox.append(fixes)
            self._waiting += len(fixes)
            if self._waiting > self.settings.inbox_fixes_max:
                self._thin_inbox()

    def event(self, event: dict[str, Any]) -> None:
        """Take a vehicle's event: `sign_on` claims a trip, block or route, `sign_off` ends it, `alarm`."""
        if len(self._events) == EVENTS_MAX:
            self.refused["event_inbox_full"] += 1
        self._events.append(event)

    def acknowledge(self, alert_id: str, by: str, now_s: float) -> Alert | None:
        """Note that `by` has seen an alert; None when there is none of that id."""
        return self.desk.acknowledge(alert_id, by, now_s)

    def shelve(self, alert_id: str, by: str, until_s: float, now_s: float) -> Alert | None:
        """Put an alert aside until `until_s`; None when there is none of that id."""
        return self.desk.shelve(alert_id, by, until_s, now_s)

    def close_alert(self, alert_id: str, by: str, reason: str, now_s: float) -> Alert | None:
        """Close an alert by hand; None when there is none of that id."""
        return self.desk.close(alert_id, by, reason, now_s)

    def assign(
        self, vehicle_key: str, trip_id: str | None, start_date: str | None, by: str, now_s: float
    ) -> Assignment | str:
        """Put a vehicle on a trip by hand, whatever it says, until it has driven it; None lets it speak for itself.

        A string is the reason why that cannot be: "unknown_vehicle", "unknown_trip", "trip_not_due", "trip_cancelled".
        """
        row = self.fleet.index.get(vehicle_key)
        if row is None:
            return "unknown_vehicle"
        operator_id, _, vehicle_id = vehicle_key.partition("/")
        self.late.forget(row)
        if trip_id is None:
            self.orders.release(vehicle_key)
            self._claim(row, self.fleet.descriptor[row])
            return Assignment(vehicle_id, operator_id, None, None, by, now_s)
        claim = find_run(self.timetable, trip_id, (start_date, None), now_s)
        if isinstance(claim, str):
            return claim
        if (claim.trip, claim.zero_s) in self.orders.cancelled:
            return "trip_cancelled"
        self.orders.assign(vehicle_key, claim)
        self._take_claim(row, claim)
        date = self.timetable.start_date(claim.trip, claim.zero_s)
        return Assignment(vehicle_id, operator_id, trip_id, date, by, now_s)

    def cancel(
        self, trip_id: str, departure: Departure, by: str, now_s: float, reason: str | None = None
    ) -> Cancellation | str:
        """Say that a trip is not driven on a service date; a string is the reason why that cannot be."""
        claim = find_run(self.timetable, trip_id, departure, now_s)
        if isinstance(claim, str):
            return claim
        if len(self.orders.cancelled) >= ORDERS_MAX:
            return "too_many_orders"
        run = (claim.trip, claim.zero_s)
        return self.orders.cancelled.setdefault(run, describe(self.timetable, run, by, now_s, reason))

    def restore(self, trip_id: str, departure: Departure, now_s: float) -> Cancellation | str:
        """Take a cancellation back; a string is the reason why that cannot be."""
        claim = find_run(self.timetable, trip_id, departure, now_s)
        if isinstance(claim, str):
            return claim
        return self.orders.cancelled.pop((claim.trip, claim.zero_s), "not_cancelled")

    def switch(self, network: Network) -> int:
        """Go over to another version of the feed between two ticks; returns how many vehicles keep their trip.

        Headways are estimated until vehicles have passed again. Nothing changes where the network cannot be used.

        Raises:
            ValueError: the network has no trips, or its columns do not fit together.
        """
        if not len(network.trip_id):
            raise ValueError("a network without trips cannot be driven; the one in use stays")
        try:
            self._learn()
            fresh = Engine(network, self.settings)
            crossing = cross(self.network, network)
            restore(fresh.running, to_bytes(self.running))
        except (IndexError, KeyError) as error:
            raise ValueError(f"the network does not fit together ({error}); the one in use stays") from error
        kept = carry_fleet(self.fleet, crossing, self.timetable, fresh.timetable, fresh.roads.lines)
        shift_s = shift_between(self.timetable, fresh.timetable)
        self.passage_log = carry_passages(self.passage_log, crossing, shift_s)
        self.orders.carry(crossing.trip, shift_s)
        self.network, self.roads, self.timetable, self.running = network, fresh.roads, fresh.timetable, fresh.running
        self.inference, self.reassignment, self._missing_s = fresh.inference, fresh.reassignment, -np.inf
        self._driven = fresh._driven
        self.late.clear()
        return kept

    @property
    def gauges(self) -> dict[str, float]:
        """What stands now: open alerts, and how many have opened in the last ten minutes."""
        return {"alerts_open": self.desk.open, "alerts_opened_in_ten_minutes": self.desk.opened_lately}

    def measures(self, from_s: float, to_s: float, route_id: str | None = None) -> list[LineMeasure]:
        """Regularity and punctuality of the departures in `from_s <= t < to_s`, by route and direction."""
        known = self.passage_log.all()
        inside = (known.departure_s >= from_s) & (known.departure_s < to_s)
        if route_id is not None:
            route = self.timetable.route_by_id.get(route_id, -1)
            inside &= self.network.pattern_route[self.network.trip_pattern[known.trip]] == route
        headways, punctuality = self.measure(_take(known, inside))
        found = {(row.route_id, row.direction_id): row for row in headways}
        return [
            LineMeasure(row.route_id, row.direction_id, found.get((row.route_id, row.direction_id)), row)
            for row in punctuality
        ]

    def measure(self, passages: Passages) -> tuple[list[HeadwayMeasure], list[PunctualityMeasure]]:
        """The measures of some passages."""
        lines = self.roads.lines
        frequent_s = self.timetable.frequent_s(passages.trip, passages.zero_s)
        pairs = pair_departures(passages, frequent_s, self.network, lines, self.settings.measures.headway_s_max)
        return (
            measure_headways(pairs, self.network, lines, self.settings.measures),
            measure_punctuality(passages, self.network, lines, self.settings.measures),
        )

    @property
    def counters(self) -> dict[str, int]:
        """Counters by name and reason: "fixes", "matched", "refused.<reason>" and so on; they only rise."""
        return {
            "fixes": self._fixes,
            "matched": self.tracks.matched,
            "off_route": self.tracks.off_route,
            "passages": self._passages,
            "trips_ended": self.trips_ended,
            "trips_inferred": self.trips_inferred,
            "trips_exchanged": self.trips_exchanged,
            "tracks_told_anew": self.refolded,
            **self.eta.counters,
            **{f"fix_refused.{reason}": count for reason, count in (self.refused + self.late.refused).items()},
            **{f"claim_refused.{reason}": count for reason, count in self.claims.items()},
            **{f"passage_refused.{reason}": count for reason, count in self.tracks.refused.items()},
            **{f"alerts.{reason}": count for reason, count in self.desk.counts.items()},
        }

    # -- the tick --------------------------------------------------------------------------------------------------

    def tick(self, now_s: float) -> Snapshot:
        """Fold what came in, and say how the fleet is at `now_s` (Unix seconds)."""
        self.advance(now_s)
        return self.look(now_s)

    def advance(self, now_s: float) -> Folded:
        """Fold the inbox into the fleet: the first half of a tick."""
        while self._events:
            self._take_event(self._events.popleft(), now_s)
        with self._door:
            parts, self._inbox, self._waiting = self._inbox, [], 0
        rounds = self._fold(join(parts), now_s) if parts else []
        self._tell_anew(now_s)
        self._learn()
        return _join_folded(rounds)

    def look(self, now_s: float) -> Snapshot:
        """Derive headways, predictions and alerts from the state of the fleet: the second half of a tick."""
        fleet, network, roads, timetable = self.fleet, self.network, self.roads, self.timetable
        self.orders.forget(timetable, now_s)
        foreseen = self.foresee(now_s)
        listed, state, predictions = foreseen.listed, foreseen.state, foreseen.predictions
        under_way = listed[state == ON_TRIP]
        frequent_s = timetable.frequent_s(fleet.trip[under_way], fleet.zero_s[under_way])
        headways = find_headways(
            fleet, network, roads.lines, roads.memory, under_way, frequent_s, self.settings.headway
        )
        self._watch(headways, listed, state, now_s)
        return Snapshot(
            now_s,
            network,
            view_fleet(fleet, timetable, roads.lines, listed, state, foreseen.late_s),
            headways,
            predictions,
            timetable.start_dates(predictions.trip, predictions.zero_s),
            timetable.start_times(predictions.trip, predictions.zero_s),
            self.desk.alerts(),
            list(fleet.key),
            list(self.orders.cancelled.values()),
        )

    def foresee(self, now_s: float) -> Foreseen:
        """Predict arrivals, and score what was predicted before: all of `look` that a backtest asks for."""
        fleet, network = self.fleet, self.network
        listed = np.flatnonzero(now_s - fleet.ts_s[: len(fleet)] <= self.settings.forget_s)
        state = states(fleet, self.timetable, listed, now_s)
        late_s = deviations(fleet, network, listed)
        predictable = ((state == ON_TRIP) | (state == LAYOVER)) & ~np.isnan(late_s)
        predictions = predict(
            fleet, network, self.running.outlook(now_s), listed[predictable], late_s[predictable], now_s
        )
        predictions = leave_out(predictions, set(self.orders.cancelled))
        self.eta.look(predictions, fleet, self.running, now_s)
        return Foreseen(listed, state, late_s, predictions)

    def _watch(self, headways: Headways, listed: Rows, state: Ints, now_s: float) -> None:
        fleet, limits = self.fleet, self.settings.alerts
        if not 0 <= now_s - self._missing_s < MISSING_EVERY_S:
            self._missing_s = now_s
            self._missing = sight_missing(
                fleet, self.timetable, self.roads.lines, set(self.orders.cancelled), limits, self._driven, now_s
            )
        sightings = sight(fleet, self.network, headways, self.settings.headway, limits)
        sightings += sight_vehicles(fleet, self.timetable, listed, state, limits, now_s)
        self.desk.watch(sightings + self._missing, now_s)

    # -- folding ---------------------------------------------------------------------------------------------------

    def _fold(self, fixes: Observations, now_s: float) -> list[Folded]:
        fleet = self.fleet
        sane = _sane(fixes, now_s)
        if not sane.all():
            self.refused["implausible"] += int(np.count_nonzero(~sane))
            fixes = fixes.take(np.flatnonzero(sane))
        rows = fleet.rows_of(fixes.vehicle_key, self.settings.vehicles_max)
        known = rows >= 0
        if not known.all():
            self.refused["fleet_full"] += int(np.count_nonzero(~known))
        x_m, y_m = self.network.project(fixes.lat_deg, fixes.lon_deg)
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
        self.trips_exchanged += self.reassignment.improve(fleet, self.timetable, now_s, self.orders.cancelled.keys())
        return rounds

    def _fold_round(self, rows: Rows, fixes: Observations, x_m: Floats, y_m: Floats) -> Folded:
        fleet = self.fleet
        self._fixes += len(rows)
        fleet.fold(rows, fixes, x_m, y_m)
        held = fleet.descriptor
        said = fixes.descriptor
        without = (fleet.trip[rows] == NO_TRIP) & ~fleet.claims_trip[rows]
        again = without & (fixes.ts_s - fleet.claim_s[rows] > CLAIM_AGAIN_S)
        changed = [
            i
            for i, (row, look) in enumerate(zip(rows.tolist(), again.tolist(), strict=True))
            if look or said[i] != held[row]
        ]
        if changed:
            self._end_tracks(rows[changed])
            for i in changed:
                row = int(rows[i])
                held[row] = said[i]
                self._claim(row, held[row])
        tracked = rows[fleet.trip[rows] != NO_TRIP]
        offset_m = np.full(len(rows), np.nan)
        trip, zero_s = fleet.trip[rows], fleet.zero_s[rows]
        if len(tracked):
            passages, place = follow(fleet, self.roads, tracked, self.track_limits, self.tracks)
            self._keep(passages)
            offset_m[trip != NO_TRIP] = place.offset_m
            self._settle_departures(tracked)
            finish_inferred(fleet, self.roads.zones, tracked)
            if fleet.finished[tracked].any():
                self.trips_ended += end_trips(fleet, self.timetable, tracked, KEEP_TRIP_S)
        with np.errstate(invalid="ignore"):
            on_route = offset_m <= self.track_limits.off_route_m
        return Folded(rows, fixes.ts_s, trip, zero_s, offset_m, on_route)

    def _tell_anew(self, now_s: float) -> None:
        """Fold the fixes of vehicles again to which one has come late; who would end elsewhere stays as he was."""
        fleet, late = self.fleet, self.late
        rows = late.due(now_s)
        if not len(rows):
            return
        before = {row: state_of(fleet, row) for row in rows.tolist()}
        newest_s, trip, zero_s = fleet.ts_s[rows], fleet.trip[rows], fleet.zero_s[rows]
        # What was counted when these fixes were folded first is not counted again.
        counted = self.tracks, self.claims, self._fixes, self.trips_ended
        self.tracks, self.claims = TrackCounts(), Counter()
        for at, fixes, x_m, y_m in late.put_back(fleet, rows):
            self._fold_round(at, fixes, x_m, y_m)
            late.move_on(fleet, at)
        self.tracks, self.claims, self._fixes, self.trips_ended = counted
        same = (fleet.ts_s[rows] == newest_s) & (fleet.trip[rows] == trip)
        same &= (fleet.zero_s[rows] == zero_s) | (trip == NO_TRIP)
        for row in rows[~same].tolist():
            put_state(fleet, row, *before[row])
            late.forget(row)
        late.trim(rows[same])
        self.refolded += int(np.count_nonzero(same))

    def _keep(self, passages: Passages) -> None:
        is_late = len(self.late) > 0
        if is_late and len(passages):
            passages = _take(passages, self.late.news(passages))
        self.passage_log.add(passages, may_correct=is_late)
        self._passages += len(passages)
        if len(passages):
            self._unlearnt.append(passages)
            self.eta.note(passages)

    def _learn(self) -> None:
        """Let running times see the passages of one tick, those of each vehicle in their order."""
        if not self._unlearnt:
            return
        passages = join_passages(self._unlearnt)
        self._unlearnt = []
        passages = _take(passages, np.argsort(passages.vehicle, kind="stable"))
        self.running.learn(passages, float(self.fleet.ts_s[passages.vehicle].max()))

    def _settle_departures(self, rows: Rows) -> None:
        """Say which departure of their trip loose vehicles drive, as soon as they have a place on it."""
        fleet = self.fleet
        if not self.timetable.by_frequency:
            return
        loose = rows[fleet.is_loose[rows] & ~np.isnan(fleet.along_m[rows])]
        for row, late_s in zip(loose.tolist(), deviations(fleet, self.network, loose).tolist(), strict=True):
            if not np.isnan(late_s):
                trip, zero_s = int(fleet.trip[row]), float(fleet.zero_s[row])
                fleet.zero_s[row] = self.timetable.nearest_zero_s(trip, zero_s, late_s)
                fleet.is_loose[row] = False

    def _end_tracks(self, rows: Rows) -> None:
        """Let vehicles that claim something else come to their newest fix on the trip they had: its end, mostly.

        The fix belongs to the new trip; on the old one it only shows that the last stops were reached.
        """
        ending = rows[(self.fleet.trip[rows] != NO_TRIP) & ~np.isnan(self.fleet.place_m[rows])]
        if len(ending):
            passages, _ = follow(self.fleet, self.roads, ending, self.track_limits, TrackCounts())
            self._keep(passages)

    def _claim(self, row: int, descriptor: Descriptor | None) -> None:
        """Take over what a vehicle claims; one that claims nothing is held to what it signed on to."""
        key = self.fleet.key[row]
        claim = self.orders.claim_of(key, int(self.fleet.trip[row]))
        if claim is None:
            wanted = descriptor if descriptor is not None else self._signed_on.get(key)
            claim = self.timetable.read_claim(wanted, float(self.fleet.ts_s[row]), self.claims)
        self._take_claim(row, claim)

    def _take_claim(self, row: int, claim: Claim) -> None:
        fleet = self.fleet
        fleet.claimed_route[row], fleet.claimed_direction[row] = claim.route, claim.direction
        fleet.claims_trip[row] = claim.trip != NO_TRIP
        fleet.claim_s[row] = fleet.ts_s[row]
        if claim.trip != NO_TRIP:
            if claim.trip != fleet.trip[row] or claim.zero_s != fleet.zero_s[row]:
                self._leave_trip(row)
                assign(fleet, self.timetable, row, claim.trip, claim.zero_s, GIVEN)
            fleet.assigned[row] = GIVEN
            fleet.is_loose[row] = claim.is_loose
        elif fleet.assigned[row] == GIVEN:
            self._leave_trip(row)
            assign(fleet, self.timetable, row, NO_TRIP, np.nan, NOBODY)

    def _leave_trip(self, row: int) -> None:
        """Count the stops of a trip that is given up before its end."""
        fleet = self.fleet
        if fleet.trip[row] == NO_TRIP or np.isnan(fleet.place_m[row]):
            return
        stops = self.network.pattern_stop_start[fleet.pattern[row] + 1]
        stops -= self.network.pattern_stop_start[fleet.pattern[row]]
        self.tracks.refused[TRACK_END] += int(max(stops - fleet.next_stop[row], 0))

    def _infer(self, moved: Rows, now_s: float) -> None:
        """Give up inferred trips that have come to nothing, and look for trips for those without."""
        fleet, timetable = self.fleet, self.timetable
        guessed = moved[fleet.assigned[moved] == INFERRED]
        if len(guessed):
            for row in guessed[is_wrong(fleet, timetable, guessed, deviations(fleet, self.network, guessed))].tolist():
                self._leave_trip(row)
                assign(fleet, timetable, row, NO_TRIP, np.nan, NOBODY)
        # Who names a trip and has driven it to its end has none until another is named.
        free = moved[(fleet.trip[moved] == NO_TRIP) & ~fleet.claims_trip[moved]]
        self.trips_inferred += self.inference.infer(
            fleet, timetable, self.roads.paths, now_s, free, self.orders.cancelled.keys()
        )

    def _thin_inbox(self) -> None:
        fixes = join(self._inbox)
        number: dict[str, int] = {}
        vehicle = np.array([number.setdefault(key, len(number)) for key in fixes.vehicle_key], dtype=np.intp)
        kept = newest_rows(vehicle, fixes.ts_s)[-self.settings.inbox_fixes_max :]
        self.refused["inbox_full"] += len(fixes) - len(kept)
        self._inbox = [fixes.take(kept)]
        self._waiting = len(kept)

    def _take_event(self, event: dict[str, Any], now_s: float) -> None:
        key, kind = str(event.get("vehicle_key", "")), event.get("event")
        row = self.fleet.index.get(key)
        if "/" not in key:
            self.refused["event_without_vehicle"] += 1
            return
        match kind:
            case "sign_on":
                self._signed_on[key] = _descriptor_of(event)
            case "sign_off":
                self._signed_on.pop(key, None)
            case "alarm":
                self.desk.alarm(sight_alarm(self.fleet, self.network, key), now_s)
                return
            case _:
                return
        while len(self._signed_on) > self.settings.vehicles_max:
            del self._signed_on[next(iter(self._signed_on))]
        if row is not None and self.fleet.descriptor[row] is None:
            self._claim(row, None)


def _sane(fixes: Observations, now_s: float) -> Flags:
    """Fixes that can be computed with at all; admission at the gateway judges much more narrowly."""
    with np.errstate(invalid="ignore"):
        timely = (fixes.ts_s >= now_s - PAST_S_MAX) & (fixes.ts_s <= now_s + FUTURE_S_MAX)
        on_earth: Flags = (np.abs(fixes.lat_deg) <= 90) & (np.abs(fixes.lon_deg) <= 180)
    return timely & on_earth


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


def _descriptor_of(event: dict[str, Any]) -> Descriptor:
    def text(name: str) -> str | None:
        value = event.get(name)
        return value if isinstance(value, str) and value else None

    direction = event.get("direction_id")
    return (
        text("trip_id"),
        text("route_id"),
        direction if direction in (0, 1) else None,
        text("start_date"),
        text("start_time"),
        text("block_id"),
    )


def _take(passages: Passages, rows: Flags | Rows) -> Passages:
    return Passages(
        passages.vehicle[rows],
        passages.trip[rows],
        passages.zero_s[rows],
        passages.stop[rows],
        passages.arrival_s[rows],
        passages.departure_s[rows],
    )
