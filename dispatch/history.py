"""History: what ticks produced, on its way to the database by COPY, in a task of its own that no tick waits for.

Between a tick and the writer stand queues of a fixed size. While the database is away they fill, then the oldest goes
and is counted; when it is back, writing goes on where it was. What is written twice (a connection that broke after its
COMMIT) is merged by its own key; of fixes, which have none, readers take the newest of a vehicle.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg

from dispatch.alerts import Alert
from dispatch.history_buffer import Buffer, C
from dispatch.history_rows import (
    FIX_COLUMNS,
    PASSAGE_COLUMNS,
    Decision,
    EngineLike,
    FixChunk,
    PassageChunk,
    Row,
    Taker,
    alert_row,
)
from dispatch.snapshot import Snapshot
from sql import query
from sql.pool import SERVER_SETTINGS

DAYS_AHEAD = 3
DAYS_BACK = 7  # what is older than this is no news: it is refused, and no partition is made for it
LOST = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError)
# Rows that cannot be made or that the database will never take: trying again would stop all that comes after them.
BAD_ROWS = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, TypeError, ValueError)
NO_PARTITION = "23514"


@dataclass(frozen=True, slots=True)
class HistorySettings:
    """How long history is kept, how often it is written, and how much may wait for a database that is away."""

    history_days: int = 92
    fixes_days: int = 3
    every_s: float = 2.0
    passages_max: int = 500_000
    alerts_max: int = 20_000
    fixes_max: int = 1_000_000
    batch_rows: int = 5000
    headway_s_max: float = 7200.0
    retry_s_max: float = 30.0
    upkeep_s: float = 1800.0


class History:
    """Takes what ticks produce and writes it; entering starts the writer, leaving writes what is waiting if it can.

    `take` is called by the thread that ticks; everything else by the event loop. Partitions are made and dropped
    around the day that `clock` tells in `zone`. `say` hears once when writing fails, and once when it goes on.
    """

    def __init__(
        self,
        dsn: str,
        zone: ZoneInfo,
        clock: Callable[[], float],
        settings: HistorySettings | None = None,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self.settings = settings or HistorySettings()
        self._dsn, self._zone, self._clock = dsn, zone, clock
        self._say = say or (lambda _: None)
        self._away = False
        self._taker = Taker()
        self._passages: Buffer[PassageChunk] = Buffer(self.settings.passages_max)
        self._alerts: Buffer[list[Alert]] = Buffer(self.settings.alerts_max)
        self._decisions: Buffer[list[Decision]] = Buffer(self.settings.alerts_max)
        self._fixes: Buffer[FixChunk] = Buffer(self.settings.fixes_max)
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._connection: Any = None
        self._days: set[dt.date] = set()
        self._upkeep_due_s = 0.0
        self._numbers: Counter[str] = Counter()

    @property
    def counters(self) -> dict[str, float]:
        """Counters by name; they only rise."""
        waits = {"passages": self._passages, "alerts": self._alerts, "decisions": self._decisions, "fixes": self._fixes}
        dropped = {f"history_dropped.{name}": float(buffer.dropped) for name, buffer in waits.items()}  # type: ignore[attr-defined]
        return {**{f"history_{name}": float(count) for name, count in self._numbers.items()}, **dropped}

    # -- from ticks ------------------------------------------------------------------------------------------------

    def take(self, engine: EngineLike, snapshot: Snapshot) -> None:
        """Note what this tick has brought; copies columns, makes no rows and waits for nothing."""
        passages = self._taker.passages(engine, snapshot)
        if passages is not None:
            self._passages.put(passages)
        alerts = self._taker.alerts(snapshot)
        if alerts:
            self._alerts.put(alerts)
        fixes = self._taker.fixes(snapshot)
        if fixes is not None:
            self._fixes.put(fixes)

    def decide(self, decision: Decision) -> None:
        """Keep a decision, or what has become of it."""
        self._decisions.put([decision])

    def undecided(self) -> list[Decision]:
        """The decisions that are not in the database yet."""
        return [decision for chunk in self._decisions.held() for decision in chunk]

    # -- the writer ------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> History:
        """Start the writer; the database need not be there."""
        self._task = asyncio.create_task(self._run(), name="history")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what waits, for a few seconds at most."""
        self._stop.set()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=5.0)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._disconnect()

    async def _run(self) -> None:
        wait_s = self.settings.every_s
        stopping = False
        while not stopping:  # and once more after the last tick
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._stop.wait()
            stopping = self._stop.is_set()
            try:
                await self.write()
                wait_s = self.settings.every_s
                if self._away:
                    self._say("history is written again")
                self._away = False
            except LOST as error:
                self._numbers["failures"] += 1
                if not self._away:
                    self._say(f"history cannot be written ({error}): what waits is kept as far as there is room")
                self._away = True
                await self._disconnect()
                wait_s = min(2 * wait_s, self.settings.retry_s_max)

    async def write(self) -> None:
        """Write everything that waits, batch by batch; raises what the database raises, and then nothing is lost."""
        await self._connect()
        await self._keep_up()
        rows = self.settings.batch_rows
        while await self._write_some(self._passages, rows, self._write_passages, "passages"):
            pass
        while await self._write_some(self._alerts, rows, self._write_alerts, "alerts"):
            pass
        while await self._write_some(self._decisions, rows, self._write_decisions, "decisions"):
            pass
        while await self._write_some(self._fixes, rows, self._write_fixes, "fixes"):
            pass

    async def _write_some(
        self, buffer: Buffer[C], rows_max: int, write: Callable[[list[C]], Awaitable[int]], name: str
    ) -> bool:
        chunks = buffer.take(rows_max)
        if not chunks:
            return False
        try:
            self._numbers[f"written.{name}"] += await self._once_more(write, chunks)
        except BAD_ROWS:
            self._numbers[f"refused.{name}"] += sum(len(chunk) for chunk in chunks)
        except BaseException:
            buffer.put_back(chunks)
            raise
        return True

    async def _once_more(self, write: Callable[[list[C]], Awaitable[int]], chunks: list[C]) -> int:
        """Write; where a partition has gone that was there, make it and write again."""
        try:
            return await write(chunks)
        except asyncpg.CheckViolationError as error:
            if error.sqlstate != NO_PARTITION:
                raise
            self._days.clear()
            return await write(chunks)

    async def _write_passages(self, chunks: list[PassageChunk]) -> int:
        rows = await self._of_known_days([row for chunk in chunks for row in chunk.rows()])
        async with self._connection.transaction():
            await self._connection.copy_records_to_table("passage_incoming", records=rows, columns=PASSAGE_COLUMNS)
            await self._connection.execute(query("history.merge_passages"))
            await self._connection.execute(query("history.merge_headways"), self.settings.headway_s_max)
            await self._connection.execute(query("history.clear_incoming"))
        return len(rows)

    async def _write_alerts(self, chunks: list[list[Alert]]) -> int:
        rows = await self._of_known_days([alert_row(alert, self._zone) for chunk in chunks for alert in chunk])
        await self._connection.executemany(query("history.keep_alert"), rows)
        return len(rows)

    async def _write_decisions(self, chunks: list[list[Decision]]) -> int:
        rows = await self._of_known_days([one.row(self._zone) for chunk in chunks for one in chunk])
        await self._connection.executemany(query("history.keep_decision"), rows)
        return len(rows)

    async def _write_fixes(self, chunks: list[FixChunk]) -> int:
        rows = await self._of_known_days([row for chunk in chunks for row in chunk.rows()])
        await self._connection.copy_records_to_table("fix", records=rows, columns=FIX_COLUMNS)
        return len(rows)

    async def _of_known_days(self, rows: list[Row]) -> list[Row]:
        """The rows of days near today (each row begins with its day), for which there are partitions now."""
        today = self._today()
        first, last = today - dt.timedelta(days=DAYS_BACK), today + dt.timedelta(days=DAYS_AHEAD)
        near = [row for row in rows if first <= row[0] <= last]
        self._numbers["refused.day"] += len(rows) - len(near)
        for day in {row[0] for row in near} - self._days:
            await self._make_days(day, day)
        return near

    async def _make_days(self, first: dt.date, last: dt.date) -> None:
        made = await self._connection.fetchval(query("history.make_days"), first, last)
        self._numbers["partitions_made"] += made
        self._days |= {first + dt.timedelta(days=n) for n in range((last - first).days + 1)}

    async def _keep_up(self) -> None:
        """Now and then: make the partitions of the next days, and drop those that are over."""
        now_s = self._clock()
        # A clock that was set back must not put the upkeep off.
        if 0 <= self._upkeep_due_s - now_s <= self.settings.upkeep_s:
            return
        today = self._today()
        await self._make_days(today - dt.timedelta(days=1), today + dt.timedelta(days=2))
        kept_from = today - dt.timedelta(days=self.settings.history_days)
        fixes_from = today - dt.timedelta(days=self.settings.fixes_days)
        dropped = await self._connection.fetchval(query("history.drop_days"), kept_from, fixes_from)
        self._numbers["partitions_dropped"] += dropped
        if dropped:
            self._days.clear()
        self._upkeep_due_s = now_s + self.settings.upkeep_s

    def _today(self) -> dt.date:
        return dt.datetime.fromtimestamp(self._clock(), self._zone).date()

    async def _connect(self) -> None:
        if self._connection is not None and not self._connection.is_closed():
            return
        settings = {**SERVER_SETTINGS, "application_name": "takt history"}
        # What history loses when a machine loses its power is a moment; a tap's COMMIT must not wait behind it.
        settings["synchronous_commit"] = "off"
        self._connection = await asyncpg.connect(
            self._dsn, timeout=5, command_timeout=30, server_settings=settings, statement_cache_size=50
        )

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(*LOST):
                await connection.close(timeout=2)
