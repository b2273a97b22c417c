"""Puts right when taps were made whose validator's clock is known to be wrong, before they are judged.

Never by the device's clock alone: what is known of it comes from the taps that it sent online, and outlives a restart.
A tap that only its device's clock makes valid, and of whose clock nobody knows anything, is flagged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import asyncpg

from sql import query
from ticketing.device_clocks import Boot, DeviceClocks
from ticketing.reading import HISTORY_S_MIN, Reading
from ticketing.seams import Row
from ticketing.store import AWAY, Store, boot_of
from ticketing.verdict import Verdict

KEPT_AT_ONCE_MAX = 1_000


class Righting:
    """One for each judge; without a database it works with what it has heard itself."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._clocks = DeviceClocks()
        self._news: set[Boot] = set()  # not yet written down
        self._keeper: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Wait until what is new has been written down."""
        if self._keeper is not None:
            await asyncio.wait({self._keeper})

    async def put_right(self, readings: Sequence[Reading]) -> int:
        """Learn from taps taken online, set the instants of the others by it; of how many."""
        self._news |= self._hear(readings)
        if self._news and self._keeper is None:  # beside the judging: a rider does not wait for it
            self._keeper = asyncio.create_task(self._keep(), name="ticketing-clocks")
        told = [reading for reading in readings if reading.history]
        asked = self._clocks.unasked(boot_of(reading) for reading in told)
        if asked:
            try:
                await self._ask(asked)
            except (asyncpg.PostgresError, *AWAY):
                pass  # the judge finds the same, and its taps are sent again
        return sum(self._put_right(reading) for reading in told)

    async def flag(self, readings: Sequence[Reading], rows: Sequence[Row | None]) -> int:
        """Flag rides that only an unknown clock makes valid, since it was over when we heard of them; each once.

        Raises what a database raises that is away.
        """
        doubted = [
            reading.tap
            for reading, row in zip(readings, rows, strict=True)
            if row is not None
            and reading.tap.offline is not None
            and row.verdict == Verdict.ACCEPTED.value
            and row.until_s is not None
            and reading.at_s < row.until_s <= reading.tap.received_s
            and self._clocks.behind_s(boot_of(reading)) is None
        ]
        if doubted:
            keys = [tap.operator for tap in doubted], [tap.device for tap in doubted], [tap.id for tap in doubted]
            async with self._store.connection() as connection:
                await connection.execute(query("clocks.doubt"), *keys)
        return len(doubted)

    def _hear(self, readings: Sequence[Reading]) -> set[Boot]:
        """The boots whose taps, taken online, tell something new; next to none do, and every tap is asked."""
        news: set[Boot] = set()
        clocks = self._clocks
        for reading in readings:
            tap = reading.tap
            if tap.offline is None:
                boot, behind_s = boot_of(reading), tap.received_s - tap.ts
                if not clocks.agrees(boot, behind_s) and clocks.hear(boot, tap.ts, tap.received_s):
                    news.add(boot)
        return news

    async def _keep(self) -> None:
        told: list[Boot] = []
        try:
            while self._news:
                told = sorted(self._news)[:KEPT_AT_ONCE_MAX]
                self._news.difference_update(told)
                behind = [self._clocks.behind_s(boot) for boot in told]
                async with self._store.connection() as connection:
                    await connection.execute(query("clocks.keep"), *_columns(told), behind)
        except (asyncpg.PostgresError, *AWAY):
            self._news.update(told)  # with the next tap that comes
        finally:
            self._keeper = None

    async def _ask(self, asked: list[Boot]) -> None:
        async with self._store.connection() as connection:
            for row in await connection.fetch(query("clocks.find"), *_columns(asked)):
                self._clocks.remember((row["operator"], row["device"], row["boot"]), row["behind_s"])

    def _put_right(self, reading: Reading) -> bool:
        tap = reading.tap
        behind_s = self._clocks.behind_at(boot_of(reading), tap.ts, tap.received_s)
        if not behind_s:
            return False
        at_s = min(tap.ts + behind_s, tap.received_s)
        if tap.offline is None and tap.received_s - at_s <= HISTORY_S_MIN:
            at_s = tap.received_s  # it was not late: its clock is behind
        reading.at_s = at_s
        return True


def _columns(boots: Sequence[Boot]) -> tuple[list[str], ...]:
    return tuple([boot[number] for boot in boots] for number in range(3))
