"""Taps that wait to be judged: by device, in order, each device in turn, and none of one device in two batches at once.

Order matters where one device sends a card's taps one after the other: judged the other way round, the earlier counter
would look like a replay. Turns matter where many devices wait: none waits longer for the one that sends most.

There are two lanes. A rider stands at the validator and waits for a live tap; a late one was decided there, some time
ago, and only has to be booked. Between the lanes there is no order: a late tap may carry a lower counter.
The taps of one call wait one by one, and are answered together.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, Protocol, TypeVar

from ticketing.verdict import Answer, Tap

TURN_TAPS = 64
"""So many taps of one device go into a batch before the next device has its turn."""


class Waits(Protocol):
    """What can wait here: it has a device and, within that, an id."""

    @property
    def device_key(self) -> tuple[str, str]:
        """Operator and device."""

    @property
    def tap_id(self) -> str:
        """The id that the device gave."""


T = TypeVar("T", bound=Waits)
Devices = set[tuple[str, str]]


class Lane(Generic[T]):
    """Queues by device; `len` is how many wait in all of them."""

    def __init__(self) -> None:
        self._queues: dict[tuple[str, str], deque[T]] = {}
        self._ready: deque[tuple[str, str]] = deque()
        self._busy: Devices = set()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def ready(self) -> bool:
        """Whether somebody waits whose device is not being judged right now."""
        return bool(self._ready)

    @property
    def busy(self) -> bool:
        """Whether a batch of this lane is being judged right now."""
        return bool(self._busy)

    def add(self, waiting: T) -> None:
        """Let one wait, behind the others of its device."""
        key = waiting.device_key
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = deque()
            if key not in self._busy:
                self._ready.append(key)
        queue.append(waiting)
        self._count += 1

    def take(self, size_max: int) -> tuple[list[T], Devices]:
        """The next batch and its devices, which are busy until `done`; no id is twice in it."""
        batch: list[T] = []
        ids: set[tuple[tuple[str, str], str]] = set()
        devices: Devices = set()
        while self._ready and len(batch) < size_max:
            key = self._ready.popleft()
            devices.add(key)
            queue = self._queues[key]
            for _ in range(min(TURN_TAPS, size_max - len(batch), len(queue))):
                name = (key, queue[0].tap_id)
                if name in ids:
                    break
                ids.add(name)
                batch.append(queue.popleft())
            else:
                if queue:
                    self._ready.append(key)
            if not queue:
                del self._queues[key]
        self._ready = deque(key for key in self._ready if key not in devices)
        self._busy |= devices
        self._count -= len(batch)
        return batch, devices

    def done(self, devices: Devices) -> None:
        """Devices whose batch has been answered may have their next turn."""
        self._busy -= devices
        self._ready.extend(key for key in devices if key in self._queues)

    def take_all(self) -> list[T]:
        """Everybody, to be sent away."""
        everybody = [waiting for queue in self._queues.values() for waiting in queue]
        self._queues.clear()
        self._ready.clear()
        self._count = 0
        return everybody


class Group:
    """The taps of one call, answered together."""

    __slots__ = ("answers", "future", "left")

    def __init__(self, size: int) -> None:
        self.answers: list[Answer | None] = [None] * size
        self.left = size
        self.future: asyncio.Future[list[Answer]] = asyncio.get_running_loop().create_future()

    def answer(self, index: int, answer: Answer) -> None:
        """What is said to the tap at this place; the last one answers the call."""
        self.answers[index] = answer
        self.left -= 1
        if not self.left and not self.future.done():
            self.future.set_result([given for given in self.answers if given is not None])


class Waiting:
    """One tap of a group."""

    __slots__ = ("device_key", "group", "index", "tap", "tap_id")

    def __init__(self, tap: Tap, group: Group, index: int) -> None:
        self.tap = tap
        self.group = group
        self.index = index
        self.device_key = (tap.operator, tap.device)
        self.tap_id = tap.id


class Turns:
    """Which lane a worker serves next.

    The first worker serves riders alone. Any other serves late taps as well, each second time while riders wait, so
    that a backlog always moves on; a worker that has no others serves both in this way.
    """

    def __init__(self, number: int, workers: int) -> None:
        self._riders_only = number == 0 and workers > 1
        self._late_next = True

    def late(self, live_ready: bool, late_ready: bool) -> bool | None:
        """True: late taps; False: live ones; None: there is nothing for this worker."""
        if late_ready and not self._riders_only and (self._late_next or not live_ready):
            self._late_next = False
            return True
        if live_ready:
            self._late_next = True
            return False
        return None
