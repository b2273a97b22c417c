"""A desk for tests: a bunched pair on a straight line, its controller, and what readers see of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from dispatch.advice import Advice
from dispatch.control import LineControl, Mode
from dispatch.control_board import ControlBoard
from dispatch.control_stops import StopList
from tests.unit.dispatch.conftest import Pattern, Road, build
from tests.unit.dispatch.test_controller import BEGIN_S, Line


def bunched_pair() -> Line:
    """Vehicle 1 has left its terminal 80 s behind vehicle 0, where 300 s are scheduled."""
    line = Line(lambda *patterns: Road(build(*patterns)), Pattern, v0=220.0)
    line.run(BEGIN_S + 320)
    return line


@dataclass
class LocalControl:
    """The desk of one process; after each act readers see what has become of it."""

    line: Line
    board: ControlBoard

    async def apply(self, advice_id: str, hold_s: float | None, by: str) -> Advice | str:
        return self._done(lambda: self.line.controller.apply(advice_id, hold_s, by, self.line.now_s))

    async def decline(self, advice_id: str, by: str, reason: str | None) -> Advice | str:
        return self._done(lambda: self.line.controller.decline(advice_id, by, reason, self.line.now_s))

    async def set_mode(self, route_id: str, mode: Mode, law: str | None, by: str) -> LineControl | str:
        return self._done(lambda: self.line.controller.set_mode(route_id, mode, law, by, self.line.now_s))

    async def stops(self, route_id: str) -> StopList | str:
        return self.line.controller.stops(route_id)

    async def set_stops(self, route_id: str, stop_ids: Sequence[str] | None, by: str) -> StopList | str:
        return self._done(lambda: self.line.controller.set_stops(route_id, stop_ids, by, self.line.now_s))

    def _done(self, act: Callable[[], Any]) -> Any:
        done = act()
        self.board.publish(self.line.controller.published)
        return done
