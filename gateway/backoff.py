"""How long to wait before connecting again, and how to tell that two clients with one id evict each other."""

from __future__ import annotations

import random
from collections import deque
from typing import Final

SHORT_LIFE_S: Final = 30.0
FLAPPING_LIVES: Final = 3
FLAPPING_WINDOW_S: Final = 120.0


class Backoff:
    """The pauses between one session's connections; times are seconds of any clock that only rises."""

    def __init__(self, pause_s_min: float, pause_s_max: float, rng: random.Random) -> None:
        self._pause_s_min = pause_s_min
        self._pause_s_max = pause_s_max
        self._rng = rng
        self._failures = 0
        self._short_lives: deque[float] = deque(maxlen=FLAPPING_LIVES)

    def lived(self, began_s: float, ended_s: float) -> bool:
        """Note that a session was granted and lost; whether it was a short one."""
        short = ended_s - began_s < SHORT_LIFE_S
        if short:
            self._short_lives.append(ended_s)
        self._failures = self._failures + 1 if self.flapping(ended_s) else 0
        return short

    def failed(self) -> None:
        """Note that a connection came to nothing."""
        self._failures += 1

    def broker_away(self) -> None:
        """Forget short lives: where nobody answers, nobody has taken our place."""
        self._short_lives.clear()

    def flapping(self, now_s: float) -> bool:
        """Whether the session was granted and lost again and again: two clients with one id evict each other."""
        lives = self._short_lives
        return len(lives) == FLAPPING_LIVES and now_s - lives[0] < FLAPPING_WINDOW_S

    def pause_s(self) -> float:
        """How long to wait now: between half and all of a ceiling that doubles with every failure in a row."""
        ceiling_s = min(self._pause_s_max, self._pause_s_min * 2.0 ** min(self._failures, 16))
        return self._rng.uniform(ceiling_s / 2, ceiling_s)
