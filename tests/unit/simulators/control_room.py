"""A control room for the simulated city, without any network between: it sees the fleet, asks a law, tells drivers.

What it knows is what a live one would: who came where and when, the timetable, and riders on board. Instructions go to
the drivers as the bytes that they would get over MQTT.
"""

from __future__ import annotations

import datetime as dt
import json
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import count, pairwise

import numpy as np

from dispatch.holding import LAWS, Gains, Limits, Situation, held_s
from dispatch.holding_plan import Line
from dispatch.network import Network
from simulators.duties import plan_duties
from simulators.onboard import obey
from simulators.vehicles import DWELLING, RUNNING, WAITING, Fleet, VehicleSettings

EVERY = 4  # stops from one control stop to the next
BEHIND_MAX = 8
LIMITS = Limits(shown_s_min=20.0)


def play_line(network: Network, day: dt.date, route: str, settings: VehicleSettings, seed: int) -> tuple[Fleet, float]:
    """The vehicles of one route at eight in the morning, half an hour after the play began, and that time."""
    now_s = network.day_start_s(day) + 8 * 3600.0
    duties = plan_duties(network, now_s - settings.warm_up_s, now_s + 3 * 3600.0)
    first = network.trip_pattern[duties.runs.trip[duties.first[:-1]]]
    mine = np.flatnonzero(network.pattern_route[first] == network.route_short_name.index(route))
    return Fleet(network, duties.keep(mine.tolist()), settings, rng=np.random.default_rng(seed), now_s=now_s), now_s


@dataclass
class ControlRoom:
    """Watches a fleet of one route, and holds its vehicles by a law; `law` none holds nobody."""

    fleet: Fleet
    law: str
    came: dict[int, list[tuple[float, int]]] = field(default_factory=lambda: defaultdict(list))  # by place: when, run
    holds_s: list[float] = field(default_factory=list)
    numbers: count[int] = field(default_factory=count)

    def watch(self, from_s: float, until_s: float) -> None:
        """Let the city go on, second by second."""
        for at_s in np.arange(from_s, until_s, 1.0).tolist():
            for service in self.fleet.step(at_s):
                opened = service.dwell_s > 0.0
                for v, place, came_s in zip(
                    service.vehicle[opened].tolist(),
                    service.place[opened].tolist(),
                    service.at_s[opened].tolist(),
                    strict=True,
                ):
                    self._see(v, place, came_s, at_s)

    def excess_wait_s(self, from_s: float, until_s: float) -> float:
        """Excess wait of the riders who came within these times, all stops together."""
        seen = [pair for visits in self.came.values() for pair in self._headways_s(visits, from_s, until_s)]
        headway_s, scheduled_s = np.array(seen).T
        return float((headway_s**2).sum() / (2 * headway_s.sum()) - (scheduled_s**2).sum() / (2 * scheduled_s.sum()))

    def _headways_s(self, visits: list[tuple[float, int]], from_s: float, until_s: float) -> list[tuple[float, float]]:
        """Headways at one place that ended within these times, each with the timetable's, which is almost even."""
        if len(visits) < 3:
            return []
        due_s = sorted(self._due_s(run, self._place_of(visits)) for _, run in visits)
        scheduled_s = float(np.median(np.diff(due_s)))
        pairs = pairwise(came_s for came_s, _ in visits)
        return [(later - sooner, scheduled_s) for sooner, later in pairs if from_s <= later < until_s]

    def _place_of(self, visits: list[tuple[float, int]]) -> int:
        return next(place for place, others in self.came.items() if others is visits)

    def _see(self, v: int, place: int, came_s: float, now_s: float) -> None:
        fleet, run = self.fleet, int(self.fleet.run[v])
        before = self.came[place][-1][0] if self.came[place] else None
        self.came[place].append((came_s, run))
        control = int(fleet.halt[v]) % EVERY == 0 and fleet.phase[v] == DWELLING
        if self.law == "none" or before is None or not control:
            return
        hold_s = held_s(
            LAWS[self.law](self._situation(v, place, came_s, before, now_s), Gains()), LIMITS, terminal=False
        )
        self.holds_s.append(hold_s)
        if hold_s:
            stop = fleet.network.stop_id[
                int(fleet.halts.stop[fleet.times.row(fleet.run[v : v + 1], fleet.halt[v : v + 1])[0]])
            ]
            instruction = {
                "id": f"i-{next(self.numbers)}",
                "ts": now_s,
                "kind": "hold",
                "hold_s": hold_s,
                "stop_id": stop,
            }
            obey(fleet, v, json.dumps(instruction | {"until_ts": now_s + 300.0, "text": "Wait"}).encode(), now_s)

    def _situation(self, v: int, place: int, came_s: float, before_s: float, now_s: float) -> Situation:
        fleet, run = self.fleet, int(self.fleet.run[v])
        headway_s = float(fleet.times.headway_s(fleet.run[v : v + 1], fleet.halt[v : v + 1])[0])
        ready_s, due_s = float(fleet.planned_s[v]), self._due_s(run, place)
        others = ((self._comes_s(o, place, now_s), o) for o in range(len(fleet.duties)) if o != v)
        followers = sorted((at_s, o) for at_s, o in others if np.isfinite(at_s))[:BEHIND_MAX]
        gaps_s = np.diff([before_s, came_s, *(at_s for at_s, _ in followers)]).tolist()
        rate = fleet.settings.boardings_mean / headway_s
        on_board = [float(fleet.load[o]) for o in (v, *(o for _, o in followers))]
        return Situation(
            arrival_s=came_s,
            ready_s=ready_s,
            scheduled_departure_s=due_s,
            scheduled_headway_s=headway_s,
            slack_s=0.0,
            headway_s=came_s - before_s,
            leader_departure_s=before_s + (ready_s - came_s),
            deviation_s=came_s - due_s,
            leader_deviation_s=0.0,
            follower_arrivals_s=tuple(at_s for at_s, _ in followers),
            line=Line(
                gaps_s,
                on_board,
                rate,
                closed=False,
                compliance=fleet.settings.hold_compliance,
            ),
        )

    def _due_s(self, run: int, place: int) -> float:
        """Scheduled at a place; nan where the run does not call there."""
        fleet = self.fleet
        pattern = fleet.times.pattern[run]
        first, size = fleet.halts.first[pattern], fleet.halts.count[pattern]
        rows = first + np.flatnonzero(fleet.halts.place[first : first + size] == place)
        return float(fleet.times.due_s(np.array([run]), rows[:1], leaving=True)[0]) if rows.size else np.nan

    def _comes_s(self, v: int, place: int, now_s: float) -> float:
        """When a vehicle should come to a place on its present run, as late as it is; nan where it will not."""
        fleet = self.fleet
        if fleet.phase[v] not in (RUNNING, DWELLING, WAITING):
            return np.nan
        run, row = fleet.run[v : v + 1], fleet.times.row(fleet.run[v : v + 1], fleet.halt[v : v + 1])
        here_s = float(fleet.times.due_s(run, row, leaving=True)[0])
        there_s = self._due_s(int(run[0]), place)
        if not there_s > here_s:
            return np.nan
        left_s = float(fleet.since_s[v] if fleet.phase[v] == RUNNING else fleet.planned_s[v])
        return max(left_s + there_s - here_s, now_s)
