"""Whether a validator's clock is right, from the taps that it sends while it is online.

A network can hold a tap back but cannot bring it early, so a clock that is ahead shows by one tap. One that is behind
looks like a tap that was held back, until others come later that are behind by just as much: what was held back is sent
in one go and differs. A clock is known for one boot of a device: who restarts it may set it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

RIGHT_S = 30.0
"""Clocks of devices that are looked after differ by less from ours, with the way through the network."""
AHEAD_S_MIN, BEHIND_S_MIN = 60.0, 300.0
"""From here on a clock is wrong: what is behind by less may be a network that holds everything back."""
AGREE_S, TAPS_MIN, SPAN_S = 10.0, 3, 60.0
"""So many taps that are behind by as much, over so long, were not held back."""
SET_S = 31 * 86_400.0
"""A clock that was off by more than this and gives a time of the last month has been set meanwhile."""
BOOTS_MAX = 200_000
"""More than a city has validators: what is forgotten is learnt, and written down, anew."""

Boot = tuple[str, str, str]
"""Operator, device and boot."""


@dataclass(slots=True)
class _Clock:
    """behind_s (below 0: ahead) once it is known; held: taps in a row that were late, or of a clock that is behind."""

    behind_s: float | None = None
    held: tuple[float, float, int] | None = None  # since when they come, by how much they are behind, how many

    def hear(self, ts: float, received_s: float) -> bool:
        """One tap taken online; whether something new is known by it."""
        behind_s = received_s - ts
        if self.behind_s is not None and abs(behind_s - self.behind_s) <= RIGHT_S:
            self.held = None  # what was late before was held back
            return False
        if behind_s <= RIGHT_S:  # right, or ahead: nothing else can look like that
            return self._know(0.0 if behind_s >= -AHEAD_S_MIN else behind_s)
        since_s, held_s, taps = self.held or (received_s, behind_s, 0)
        if abs(held_s - behind_s) > AGREE_S:
            since_s, held_s, taps = received_s, behind_s, 0
        self.held = (since_s, min(held_s, behind_s), taps + 1)
        if taps + 1 < TAPS_MIN or received_s - since_s < SPAN_S:
            return False
        return self._know(self.held[1] if self.held[1] >= BEHIND_S_MIN else 0.0)

    def _know(self, behind_s: float) -> bool:
        changed = self.behind_s is None or abs(self.behind_s - behind_s) > RIGHT_S
        self.behind_s, self.held = (behind_s if changed else self.behind_s), None
        return changed


class DeviceClocks:
    """The clocks of the devices heard last; seconds throughout."""

    def __init__(self, boots_max: int = BOOTS_MAX) -> None:
        self._boots_max = boots_max
        self._clocks: OrderedDict[Boot, _Clock] = OrderedDict()
        self._asked: OrderedDict[Boot, None] = OrderedDict()

    def agrees(self, boot: Boot, behind_s: float) -> bool:
        """Whether a tap is just as late as its device's clock is known to be, and nothing else was heard meanwhile."""
        clock = self._clocks.get(boot)
        return (
            clock is not None
            and clock.held is None
            and clock.behind_s is not None
            and -RIGHT_S <= behind_s - clock.behind_s <= RIGHT_S
        )

    def hear(self, boot: Boot, ts: float, received_s: float) -> bool:
        """A tap that was taken online; whether it tells something new of its device's clock."""
        return self._clock(boot).hear(ts, received_s)

    def behind_s(self, boot: Boot) -> float | None:
        """By how much a device's clock is behind ours (below 0: ahead), 0 where it is right; None: nobody knows."""
        clock = self._clocks.get(boot)
        return None if clock is None else clock.behind_s

    def behind_at(self, boot: Boot, ts: float, received_s: float) -> float | None:
        """The same for one tap that comes late: a clock without a battery is off by decades until a network sets it."""
        behind_s = self.behind_s(boot)
        if behind_s is not None and abs(behind_s) > SET_S and -RIGHT_S <= received_s - ts <= SET_S:
            return 0.0
        return behind_s

    def unasked(self, boots: Iterator[Boot]) -> list[Boot]:
        """Those of these boots that nothing is known of, and that were not asked for before."""
        found = []
        for boot in boots:
            if self.behind_s(boot) is None and boot not in self._asked:
                self._asked[boot] = None
                found.append(boot)
        while len(self._asked) > self._boots_max:
            self._asked.popitem(last=False)
        return found

    def remember(self, boot: Boot, behind_s: float) -> None:
        """What was known of a clock before; what has been heard since stands."""
        clock = self._clock(boot)
        if clock.behind_s is None:
            clock.behind_s = behind_s

    def _clock(self, boot: Boot) -> _Clock:
        clock = self._clocks.get(boot)
        if clock is None:
            clock = self._clocks[boot] = _Clock()
            if len(self._clocks) > self._boots_max:
                self._clocks.popitem(last=False)
        return clock
