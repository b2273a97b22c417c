"""The board: the newest publication, and whoever waits for the next one.

A reader never gets a queue. It asks for what is newer than what it has, so one that is slow skips to the newest.
"""

from __future__ import annotations

import asyncio
from functools import cached_property

import msgspec

CLOCK_BACK_S = 60.0


class Publication(msgspec.Struct, frozen=True, dict=True):
    """What one tick tells the world, encoded once and shared by all who ask; one message between processes.

    `line_m` belongs to the rows of `vehicles`, in their order: place along the main pattern of the vehicle's route and
    direction, None where it is not there.
    """

    as_of_s: float
    feed_version: str
    vehicles: bytes
    headways: bytes
    alerts: bytes
    public_alerts: bytes
    trip_updates: bytes
    line_m: list[float | None]
    pb_vehicle_positions: bytes
    pb_trip_updates: bytes
    pb_alerts: bytes

    @cached_property
    def public_frame(self) -> bytes:
        """The events of one second for everybody."""
        return self._frame(self.public_alerts)

    @cached_property
    def staff_frame(self) -> bytes:
        """The events of one second for dispatchers: drivers' alarms are among the alerts."""
        return self._frame(self.alerts)

    def _frame(self, alerts: bytes) -> bytes:
        """Server-sent events (HTML standard, section 9.2); JSON from an encoder has no line breaks to escape."""
        mark = f"\nid: {self.as_of_s:.3f}\ndata: ".encode()
        events = ((b"vehicles", self.vehicles), (b"headways", self.headways), (b"alerts", alerts))
        return b"".join(b"event: " + name + mark + data + b"\n\n" for name, data in events)


class Board:
    """Holds the latest publication. Used from one event loop."""

    def __init__(self) -> None:
        self.latest: Publication | None = None
        self.version = 0
        self._changed = asyncio.Event()

    def publish(self, publication: Publication) -> None:
        """Show a publication and wake those who wait; an older one than what is shown is left out."""
        back_s = self.latest.as_of_s - publication.as_of_s if self.latest is not None else -1.0
        # A clock that was set back by more than a moment is right, whatever the board thought.
        if 0 <= back_s < CLOCK_BACK_S:
            return
        self.version += 1
        self.latest = publication
        self._changed.set()
        self._changed = asyncio.Event()

    async def newer_than(self, version: int, wait_s: float) -> bool:
        """Wait until there is something newer than `version`, `wait_s` at most; whether there is."""
        if self.version > version:
            return True
        try:
            async with asyncio.timeout(wait_s):
                await self._changed.wait()
        except TimeoutError:
            return self.version > version
        return True

    def reasons(self, now_s: float, age_s_max: float = 10.0) -> list[str]:
        """Why nobody can work with this: nothing is shown yet, or it is old."""
        if self.latest is None:
            return ["dispatch has not told of the fleet yet"]
        age_s = now_s - self.latest.as_of_s
        if age_s > age_s_max:
            return [f"dispatch has been silent for {age_s:.0f} s"]
        return []
