"""What dispatch has missed while it was away, folded second by second, as by the ticks that did not come.

Folded all at once it would come out otherwise: which of two silent vehicles gets a run depends on who was heard first,
and once a minute all of them are compared.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import floor
from typing import Any

import numpy as np

from dispatch.engine import Engine
from dispatch.observations import Observations, join


@dataclass
class _Second:
    """What came to the gateway in one second; `second` is its number since 1970."""

    second: int
    events: list[dict[str, Any]] = field(default_factory=list)
    fixes: list[Observations] = field(default_factory=list)


class Missed:
    """Takes what is told again in its order; once that is folded, what comes too late goes the way of all others."""

    def __init__(self, engine: Engine, since_s: float) -> None:
        self._engine, self._since_s = engine, since_s
        self._seconds = [_Second(floor(since_s))]
        self._is_over = False

    def fixes(self, fixes: Observations) -> None:
        """Take a batch."""
        if self._is_over:
            self._engine.ingest(newer(fixes, self._engine))
        elif len(fixes):
            second = floor(fixes.received_s.max())
            if second > self._seconds[-1].second:
                self._seconds.append(_Second(second))
            self._seconds[-1].fixes.append(fixes)

    def event(self, event: dict[str, Any]) -> None:
        """Take an event."""
        if self._is_over:
            self._engine.event(event)
        else:
            self._seconds[-1].events.append(event)

    def fold(self, now_s: float) -> None:
        """Fold it all, before the first tick; may run in a thread, while what is new waits in the engine's inbox."""
        self._is_over = True
        seconds, self._seconds = self._seconds, []
        for one in seconds:
            fixes = newer(join(one.fixes), self._engine) if one.fixes else None
            self._engine.fold(one.events, fixes, max(min(one.second + 1.0, now_s), self._since_s))
        waiting = self._engine.inbox.fixes()  # of which some were told again too
        if waiting is not None:
            self._engine.ingest(newer(waiting, self._engine))


def newer(fixes: Observations, engine: Engine) -> Observations:
    """The fixes that have come in since those that the engine has seen of the same vehicles."""
    index, received_s = engine.fleet.index, engine.fleet.received_s
    rows = [index.get(key, -1) for key in fixes.vehicle_key]
    known_s = np.array([received_s[row] if row >= 0 else -np.inf for row in rows])
    return fixes.take(np.flatnonzero(fixes.received_s > known_s))
