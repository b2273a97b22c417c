"""The engine: takes fixes and events into a bounded inbox, and once a tick folds them into the state of the fleet."""

from __future__ import annotations

from typing import Any

import numpy as np

from dispatch.alerts import Alert, AlertDesk
from dispatch.arrivals import leave_out, predict
from dispatch.claims import Timetable
from dispatch.clocks import WrongClocks
from dispatch.config import DispatchSettings
from dispatch.eta_watch import EtaWatch
from dispatch.fleet import Fleet
from dispatch.fleet_view import LAYOVER, ON_TRIP
from dispatch.folding import Folded, Folding
from dispatch.ground import prepare
from dispatch.headway import find_headways
from dispatch.inbox import Inbox
from dispatch.line_measures import LineMeasure, measure, measure_span
from dispatch.measures import HeadwayMeasure, PunctualityMeasure
from dispatch.network import Network
from dispatch.observations import Observations
from dispatch.orders import ORDERS_MAX, Assignment, Cancellation, Departure, Orders, describe, find_run
from dispatch.passages import PassageLog, Passages
from dispatch.running import RunningTimes
from dispatch.running_file import restore, to_bytes
from dispatch.snapshot import Snapshot
from dispatch.states import Foreseen, deviations, states, view_fleet
from dispatch.switching import go_over
from dispatch.tracks import Roads, TrackCounts
from dispatch.watch import Watch, sight_alarm


class Engine:
    """One fleet on one network. `ingest` may be called from another thread than the rest; nothing here waits."""

    def __init__(self, network: Network, settings: DispatchSettings | None = None, eta: EtaWatch | None = None) -> None:
        self.settings = settings or DispatchSettings()
        self.orders = Orders()
        self.eta = eta or EtaWatch()
        self.folding = Folding(prepare(network), self.settings, self.orders, self.eta)
        self.inbox = Inbox(self.settings.inbox_fixes_max, self.folding.counts.refused)
        self.clocks = WrongClocks()
        self.desk = AlertDesk(self.settings.alerts)
        self.watch = Watch(self.settings.alerts, self.settings.headway)

    # -- what stands -----------------------------------------------------------------------------------------------

    @property
    def network(self) -> Network:
        """The feed in use."""
        return self.folding.ground.network

    @property
    def roads(self) -> Roads:
        """What the feed looks like to moving vehicles."""
        return self.folding.ground.roads

    @property
    def timetable(self) -> Timetable:
        """What runs when."""
        return self.folding.ground.timetable

    @property
    def running(self) -> RunningTimes:
        """What roads and stops take beyond the timetable."""
        return self.folding.ground.running

    @property
    def fleet(self) -> Fleet:
        """The state of all vehicles."""
        return self.folding.fleet

    @property
    def passage_log(self) -> PassageLog:
        """The newest passages."""
        return self.folding.passage_log

    @property
    def tracks(self) -> TrackCounts:
        """What became of fixes on a trip, and of the stops that were not seen."""
        return self.folding.counts.tracks

    @property
    def gauges(self) -> dict[str, float]:
        """What stands now: open alerts, and how many have opened in the last ten minutes."""
        return {"alerts_open": self.desk.open, "alerts_opened_in_ten_minutes": self.desk.opened_lately}

    @property
    def counters(self) -> dict[str, int]:
        """Counters by name and reason: "fixes", "matched", "refused.<reason>" and so on; they only rise."""
        counts = self.folding.counts
        refused = counts.refused + self.folding.late.refused
        return {
            "fixes": counts.fixes,
            "matched": counts.tracks.matched,
            "off_route": counts.tracks.off_route,
            "passages": counts.passages,
            "trips_ended": counts.trips_ended,
            "trips_inferred": counts.trips_inferred,
            "trips_exchanged": counts.trips_exchanged,
            "tracks_told_anew": counts.refolded,
            **self.eta.counters,
            **{f"fix_refused.{reason}": count for reason, count in refused.items()},
            **{f"claim_refused.{reason}": count for reason, count in counts.claims.items()},
            **{f"passage_refused.{reason}": count for reason, count in counts.tracks.refused.items()},
            **{f"alerts.{reason}": count for reason, count in self.desk.counts.items()},
        }

    def measures(self, from_s: float, to_s: float, route_id: str | None = None) -> list[LineMeasure]:
        """Regularity and punctuality of the departures in `from_s <= t < to_s`, by route and direction."""
        span_s = (from_s, to_s)
        return measure_span(self.passage_log, self.folding.ground, self.settings.measures, span_s, route_id)

    def measure(self, passages: Passages) -> tuple[list[HeadwayMeasure], list[PunctualityMeasure]]:
        """The measures of some passages."""
        return measure(passages, self.folding.ground, self.settings.measures)

    # -- from vehicles ---------------------------------------------------------------------------------------------

    def ingest(self, fixes: Observations) -> None:
        """Put fixes into the inbox; when it is full, only the newest of each vehicle stay."""
        self.inbox.put(fixes)

    def event(self, event: dict[str, Any]) -> None:
        """Take a vehicle's event: `sign_on` claims a trip, block or route, `sign_off` ends it, `alarm`, `clock`."""
        self.inbox.tell(event)

    # -- from dispatchers ------------------------------------------------------------------------------------------

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
        fleet, claiming = self.fleet, self.folding.claiming
        row = fleet.index.get(vehicle_key)
        if row is None:
            return "unknown_vehicle"
        operator_id, _, vehicle_id = vehicle_key.partition("/")
        self.folding.late.forget(row)
        if trip_id is None:
            self.orders.release(vehicle_key)
            claiming.claim(row, fleet.descriptor[row])
            return Assignment(vehicle_id, operator_id, None, None, by, now_s)
        claim = find_run(self.timetable, trip_id, (start_date, None), now_s)
        if isinstance(claim, str):
            return claim
        if (claim.trip, claim.zero_s) in self.orders.cancelled:
            return "trip_cancelled"
        self.orders.assign(vehicle_key, claim)
        claiming.take(row, claim)
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
            self.folding.learn()
            fresh = prepare(network)
            restore(fresh.running, to_bytes(self.running))
        except (IndexError, KeyError) as error:
            raise ValueError(f"the network does not fit together ({error}); the one in use stays") from error
        self.watch = Watch(self.settings.alerts, self.settings.headway)
        return go_over(self.folding, fresh)

    # -- the tick --------------------------------------------------------------------------------------------------

    def tick(self, now_s: float) -> Snapshot:
        """Fold what came in, and say how the fleet is at `now_s` (Unix seconds)."""
        self.advance(now_s)
        return self.look(now_s)

    def advance(self, now_s: float) -> Folded:
        """Fold the inbox into the fleet: the first half of a tick."""
        return self.fold(self.inbox.events(), self.inbox.fixes(), now_s)

    def fold(self, events: list[dict[str, Any]], fixes: Observations | None, now_s: float) -> Folded:
        """Fold what has not come by the inbox; what waits there is newer, and goes on waiting."""
        for event in events:
            self._take_event(event, now_s)
        return self.folding.fold(fixes, now_s)

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
        barred = set(self.orders.cancelled)
        self.desk.watch(self.watch.look(fleet, timetable, roads.lines, headways, foreseen, barred, now_s), now_s)
        view = view_fleet(fleet, timetable, roads.lines, listed, state, foreseen.late_s)
        return Snapshot(
            now_s,
            network,
            view,
            headways,
            predictions,
            timetable.start_dates(predictions.trip, predictions.zero_s),
            timetable.start_times(predictions.trip, predictions.zero_s),
            self.desk.alerts(),
            list(fleet.key),
            list(self.orders.cancelled.values()),
            self.clocks.off_s(view.key, now_s),
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

    def _take_event(self, event: dict[str, Any], now_s: float) -> None:
        key = str(event.get("vehicle_key", ""))
        if "/" not in key:
            self.folding.counts.refused["event_without_vehicle"] += 1
            return
        match event.get("event"):
            case "sign_on" | "sign_off":
                self.folding.claiming.sign(key, event, self.settings.vehicles_max)
            case "alarm":
                self.desk.alarm(sight_alarm(self.fleet, self.network, key), now_s)
            case "clock":
                self.clocks.note(event, now_s)
            case _:
                pass
