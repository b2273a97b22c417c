"""Dead letters on their way to the store: a quota per device, a bounded queue, batches, retries.

Every refused message is counted by its reason, whatever the quota: one device cannot flood the table, nor hide. What a
device has had refused and not stored is told as a number, for its maker.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from gateway.config import GatewaySettings
from gateway.refusal import DeadLetter, Refusal, dead_letter

Store = Callable[[list[DeadLetter]], Awaitable[None]]
Tell = Callable[[dict[str, int]], Awaitable[None]]

DEVICES_MAX = 10_000


@dataclass(slots=True)
class Quota:
    """How many letters each device, and all together, may have stored within a window of time."""

    per_device: int
    per_window: int
    window_s: float
    _since_s: float = float("-inf")
    _spent: Counter[str] = field(default_factory=Counter)
    _spent_by_all: int = 0

    def allows(self, device: str, now_s: float) -> bool:
        """Whether one more letter of this device may be stored; counts it if so."""
        if not 0 <= now_s - self._since_s < self.window_s:
            self._since_s = now_s
            self._spent.clear()
            self._spent_by_all = 0
        if self._spent_by_all >= self.per_window or self._spent[device] >= self.per_device:
            return False
        self._spent[device] += 1
        self._spent_by_all += 1
        return True


class Letters:
    """Takes refused messages and stores them in batches; `counts` gets every one by reason."""

    def __init__(self, settings: GatewaySettings, store: Store, counts: Counter[str]) -> None:
        self._settings = settings
        self._store = store
        self._counts = counts
        self._quota = Quota(
            settings.dead_letters_per_device, settings.dead_letters_per_window, settings.dead_letter_window_s
        )
        self._unstored: Counter[str] = Counter()  # by device, not yet told
        self._queue: deque[DeadLetter] = deque(maxlen=settings.dead_letters_queued_max)
        self._wake = asyncio.Event()

    def judge(
        self, device: str, topic: str, payload: bytes, refusal: Refusal, now_s: float, size: int | None = None
    ) -> DeadLetter | None:
        """Count a refused message; the letter to be stored, or None beyond its device's quota.

        `size` is how many bytes came, where `payload` is only their beginning.
        """
        self._counts[f"dead_letters.{refusal.reason}"] += 1
        if not self._quota.allows(device, now_s):
            self._counts["dead_letters_over_quota"] += 1
            self._note_unstored(device)
            return None
        return dead_letter(now_s, device, topic, payload, refusal, size)

    def take(
        self, device: str, topic: str, payload: bytes, refusal: Refusal, now_s: float, size: int | None = None
    ) -> None:
        """Count a refused message and queue it for the store; the queue drops its oldest when full."""
        letter = self.judge(device, topic, payload, refusal, now_s, size)
        if letter is None:
            return
        if len(self._queue) == self._queue.maxlen:
            self._counts["dead_letters_dropped"] += 1
            self._note_unstored(self._queue[0].device)
        self._queue.append(letter)
        self._wake.set()

    async def store(self, letters: Sequence[DeadLetter]) -> None:
        """Store letters now; raises what the store raises, or TimeoutError."""
        if not letters:
            return
        async with asyncio.timeout(self._settings.validate_timeout_s):
            await self._store(list(letters))
        self._counts["dead_letters_stored"] += len(letters)

    async def tell_unstored(self, tell: Tell) -> None:
        """Tell now and then how many letters of each device were counted and not stored, for ever."""
        while True:
            await asyncio.sleep(self._settings.unstored_letters_every_s)
            if not self._unstored:
                continue
            told, self._unstored = self._unstored, Counter()
            try:
                async with asyncio.timeout(self._settings.validate_timeout_s):
                    await tell(dict(told))
            except Exception:  # whatever the store's fault, they are told the next time
                self._counts["dead_letter_store_failures"] += 1
                self._unstored.update(told)

    def _note_unstored(self, device: str) -> None:
        """One more; beyond DEVICES_MAX devices those that come next share the name of nobody."""
        known = device in self._unstored or len(self._unstored) < DEVICES_MAX
        self._unstored[device if known else ""] += 1

    async def run(self) -> None:
        """Store what is queued, for ever."""
        wait_s = self._settings.retry_s_min
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                batch = [
                    self._queue.popleft() for _ in range(min(len(self._queue), self._settings.dead_letter_batch_max))
                ]
                try:
                    await self.store(batch)
                    wait_s = self._settings.retry_s_min
                except Exception:  # whatever the store's fault, letters wait and nothing else does
                    self._counts["dead_letter_store_failures"] += 1
                    room = (self._queue.maxlen or 0) - len(self._queue)
                    self._counts["dead_letters_dropped"] += max(0, len(batch) - room)
                    for lost in batch[room:]:
                        self._note_unstored(lost.device)
                    self._queue.extendleft(reversed(batch[:room]))
                    await asyncio.sleep(wait_s)
                    wait_s = min(2 * wait_s, self._settings.retry_s_max)
