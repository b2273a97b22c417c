"""What to tell a person when vehicles agree with one another about the time and not with us."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from statistics import median

ZONE_S = 1800.0  # civil times differ by half hours, but for Nepal and the Chathams, whose quarters are left to people
NEAR_S = 60.0


def clock_warning(ahead_s: Sequence[float], right: int, now_s: float) -> str | None:
    """The sentence about vehicles whose positions are refused for their clocks; None where there are none.

    ahead_s: by how much each clock is ahead of ours, below 0 behind; right: vehicles heard lately that agree with us.
    """
    if not ahead_s:
        return None
    count, off_s = len(ahead_s), median(ahead_s)
    vehicles = f"{count} vehicle{'s' * (count != 1)} tell{'s' * (count == 1)} times that are {span(off_s)} ours"
    ours = f"{datetime.fromtimestamp(now_s, UTC):%Y-%m-%d %H:%M:%S} UTC"
    if count <= right:
        return f"{vehicles} and agree among themselves; their positions are refused: set those clocks (it is {ours})"
    agreeing = f"only {right} agree{'s' * (right == 1)}" if right else "none agrees"
    zone = abs(off_s) > NEAR_S and abs(off_s / ZONE_S - round(off_s / ZONE_S)) * ZONE_S <= NEAR_S
    hint = "local time is sent where UTC belongs" if zone else "are they set by one server that is wrong?"
    return (
        f"{vehicles}, {agreeing} with us; their positions are refused, since it may be our "
        f"clock that is wrong: it says {ours}. Compare it with a time server; if it is right, theirs are not ({hint})"
    )


def span(ahead_s: float) -> str:
    """`1 h 0 min ahead of` or `3 d 2 h behind`."""
    minutes = round(abs(ahead_s) / 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    told = f"{days} d {hours} h" if days else f"{hours} h {minutes} min" if hours else f"{minutes} min"
    return f"{told} {'ahead of' if ahead_s > 0 else 'behind'}"
