"""When taps are sent and sent again: riders who stand there first, the backlog a window at a time, pauses that grow."""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from simulators.validator_library.tap_states import Event, Kept

FIRST_TRIES = 3
"""A tap not answered after this many tries lets others go before it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a validator waits, and how much it keeps."""

    first_pause_s: float = 3.0
    pause_s_max: float = 120.0
    tries_max: int = 20  # contract.md section 2
    kept_max: int = 5_000
    in_flight_max: int = 8  # of a thousand validators that come back: what a broker sends ahead is a few thousand


@dataclass(slots=True)
class Pacing:
    """The order in which the taps in `kept`, those without a receipt by their ids, are sent."""

    kept: Mapping[str, Kept]
    rng: np.random.Generator
    limits: Limits
    _fresh: deque[str] = field(default_factory=deque)
    _ready: deque[str] = field(default_factory=deque)  # waiting for room in the window
    _timers: list[tuple[float, str]] = field(default_factory=list)  # a heap; taps that have ended are passed over
    _in_flight: set[str] = field(default_factory=set)  # sent, and not timed out yet
    _width: float = math.inf  # how many of the backlog may be in flight, as far as the limit lets them

    def add_fresh(self, tap_id: str) -> None:
        """Send a tap at once: its rider waits."""
        self._fresh.append(tap_id)

    def add_backlog(self, tap_id: str) -> None:
        """Send a tap when the window has room for it."""
        self._ready.append(tap_id)

    def begin_anew(self, tap_id: str) -> None:
        """Send a tap once more, as if it had never been sent."""
        self._in_flight.discard(tap_id)
        if tap_id not in self._ready:
            self._ready.append(tap_id)

    def on_answer(self) -> None:
        """Somebody has judged a tap: the window grows."""
        self._width = min(self._width, self.limits.in_flight_max) + 1.0 / self.window

    def land(self, tap_id: str) -> None:
        """A tap is in flight no more."""
        self._in_flight.discard(tap_id)

    @property
    def window(self) -> int:
        """How many taps of the backlog may be in flight: half as many whenever one times out, down to one.

        Each answer lets it grow again. Otherwise a slow server would be sent what it has not come to yet twice, then
        three times, until it did nothing but recognise what it knows already.
        """
        return int(min(self._width, self.limits.in_flight_max))

    def next_s(self) -> float:
        """When something is due next (Unix seconds); minus infinity for now, infinity when nothing is."""
        if self._fresh or (self._ready and len(self._in_flight) < self.window):
            return -math.inf
        return self._timers[0][0] if self._timers else math.inf

    def due(self, now_s: float) -> tuple[list[Kept], list[Kept]]:
        """Taps to send now, counted as sent, and those set aside now.

        A rider who stands there goes before the backlog, and the backlog goes out a window at a time.
        """
        send: list[Kept] = []
        aside = self._time_out(now_s)
        while self._fresh:
            if (fresh := self.kept.get(self._fresh.popleft())) is not None:
                self._send(fresh, now_s, send)
        while self._ready and len(self._in_flight) < self.window:
            if (kept := self.kept.get(self._ready.popleft())) is not None:
                self._send(kept, now_s, send)
        return send, aside

    def _time_out(self, now_s: float) -> list[Kept]:
        """Get taps that have timed out ready to be sent again, or set them aside; returns the latter.

        The first tries go before what was never sent: a slow server has those taps, and must not be given more.
        """
        aside: list[Kept] = []
        again: list[str] = []
        while self._timers and self._timers[0][0] <= now_s:
            at_s, tap_id = heapq.heappop(self._timers)
            kept = self.kept.get(tap_id)
            if kept is None or kept.times_out_s != at_s:
                continue
            if kept.tries >= self.limits.tries_max:
                kept.happen(Event.EXHAUSTED)
                aside.append(kept)
            elif tap_id in self._in_flight and kept.tries <= FIRST_TRIES:
                again.append(tap_id)
            else:
                self._ready.append(tap_id)
            self._in_flight.discard(tap_id)
        if again:
            self._ready.extendleft(reversed(again))
            self._width = max(1.0, self.window / 2)
        return aside

    def _send(self, kept: Kept, now_s: float, send: list[Kept]) -> None:
        kept.happen(Event.SEND)
        kept.tries += 1
        kept.last_sent_s = now_s
        kept.times_out_s = now_s + self._pause_s(kept.tries)
        heapq.heappush(self._timers, (kept.times_out_s, kept.tap_id))
        self._in_flight.add(kept.tap_id)
        send.append(kept)

    def _pause_s(self, tries: int) -> float:
        """Twice as long each time, up to a limit, and spread so that validators do not come back all at once."""
        pause_s = min(self.limits.first_pause_s * 2.0 ** min(tries - 1, 16), self.limits.pause_s_max)
        return pause_s * float(self.rng.uniform(0.8, 1.2))
