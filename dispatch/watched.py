"""What the controller knows of one network: where vehicles may be held, who has left there, and how many riders come.

All of it belongs to the network, for stops, runs and lines are numbered differently in another one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from dispatch.calls import Departures
from dispatch.claims import Timetable
from dispatch.control_stops import ControlStops, place_controls
from dispatch.fleet import Fleet
from dispatch.lines import Lines
from dispatch.network import Flags, Network
from dispatch.passages import PassageLog
from dispatch.ridership import Ridership, Tap
from dispatch.tracks import Roads

PASSAGES_READ_AGAIN = 50_000  # when a line is new: what has passed there lately is in the log


class EngineLike(Protocol):
    """The engine as the controller reads it, between two ticks."""

    @property
    def network(self) -> Network:
        """The feed in use."""

    @property
    def timetable(self) -> Timetable:
        """What runs when."""

    @property
    def fleet(self) -> Fleet:
        """The state of all vehicles."""

    @property
    def roads(self) -> Roads:
        """The network to moving vehicles."""

    @property
    def passage_log(self) -> PassageLog:
        """The newest passages."""


@dataclass(slots=True)
class Watched:
    """Control stops, departures and riders of a network; `watched` are the lines, by number, that are looked at."""

    network: Network
    lines: Lines
    controls: ControlStops
    departures: Departures
    riders: Ridership
    watched: Flags
    taken: int  # passages that departures have
    visited: int  # passages that the riders' count has

    @classmethod
    def begin(cls, engine: EngineLike, own: Mapping[str, Collection[str]], share: float | None) -> Watched:
        """Nothing seen yet; `own` are the control stops that somebody has listed, by route id."""
        network, lines = engine.network, engine.roads.lines
        controls = place_controls(network, lines, own=own)
        watched = np.zeros(len(lines.line_route), dtype=np.bool_)
        written = engine.passage_log.written
        riders = Ridership(network, controls, share)
        return cls(network, lines, controls, Departures(controls, network), riders, watched, written, written)

    def place_anew(self, own: Mapping[str, Collection[str]]) -> None:
        """Take up another list of control stops; what has been seen stays, for places are numbered as before."""
        self.controls = place_controls(self.network, self.lines, own=own)
        self.departures.controls = self.riders.controls = self.controls

    def watch(self, log: PassageLog, on: Callable[[str], bool]) -> bool:
        """Remember who has left the stops of the lines that are controlled; whether there is any such line."""
        watched = np.array([on(route_id) for route_id in self.network.route_id], dtype=np.bool_)[self.lines.line_route]
        if (watched & ~self.watched).any():
            self.departures = Departures(self.controls, self.network)
            self.taken = max(0, log.written - PASSAGES_READ_AGAIN)
        self.watched = watched
        if log.written < self.taken:
            self.taken = 0
        if watched.any() and log.written > self.taken:
            self.departures.add(log.since(self.taken), watched)
        self.taken = log.written
        return bool(watched.any())

    def count(self, taps: Iterable[Tap], engine: EngineLike, now_s: float) -> None:
        """Count riders who have got on, and the visits of the vehicles that they got on."""
        log = engine.passage_log
        self.riders.take(taps, engine.fleet, now_s)
        if log.written < self.visited:
            self.visited = 0
        if log.written > self.visited:
            self.riders.visit(log.since(self.visited), now_s)
        self.visited = log.written
