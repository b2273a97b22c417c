"""What the timetable of a loop says: when a vehicle should be where, and where it may be held."""

from __future__ import annotations

from dispatch.holding import Gains
from simulators.scenario import Loop


class Timetable:
    """Arrivals and departures of one round, and the tables that every run looks things up in."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.is_terminal = [loop.is_terminal(stop) for stop in range(loop.stops)]
        self.is_control = [loop.is_control(stop) for stop in range(loop.stops)]
        self.slack_s = [loop.recovery_s if terminal else 0.0 for terminal in self.is_terminal]
        self.arrive_s, self.leave_s = [], []  # of one round, after its first arrival
        self.driven_s = []  # arrivals again, as if nobody ever waited
        at_s = 0.0
        for stop in range(loop.stops):
            self.driven_s.append(stop * (loop.run_s_mean + loop.dwell_s_mean))
            self.arrive_s.append(at_s)
            self.leave_s.append(at_s + loop.dwell_s_mean + self.slack_s[stop])
            at_s = self.leave_s[stop] + loop.run_s_mean
        self.cycle_s = at_s  # more than the timetable's where it cannot be driven
        self.growth = [(1 + loop.beta) ** self._stops_to_control(stop) - 1 for stop in range(loop.stops)]

    def _stops_to_control(self, stop: int) -> int:
        """How many stops a headway grows over until the next control stop puts it right."""
        ahead = range(1, self.loop.stops + 1)
        return next(k for k in ahead if self.is_control[(stop + k) % self.loop.stops])

    def gains(self, stop: int) -> Gains:
        """The laws' parameters at a control stop."""
        chosen = self.loop.gains
        return Gains(
            chosen.alpha_forward,
            chosen.alpha_two_way,
            chosen.alpha_self,
            self.growth[stop],
            chosen.f0,
            chosen.kappa,
        )
