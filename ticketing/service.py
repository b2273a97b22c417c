"""Judging taps in micro-batches: callers join whatever batch is being collected, one round trip answers all of it."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

import asyncpg

from ticketing.activity import Activity, Tally
from ticketing.boardings import by_vehicle
from ticketing.card import CardKeys
from ticketing.config import TicketingSettings
from ticketing.judging import Judge, Outcome
from ticketing.keys import IssuerKeys
from ticketing.readers_in_use import ReadCardKeys, ReadersInUse
from ticketing.reading import Readers, Reading, read_taps
from ticketing.seams import ALONE, Seams
from ticketing.store import AWAY, Store
from ticketing.tariff import Tariff
from ticketing.verdict import Answer, Tap, Verdict, say_of, unavailable
from ticketing.waiting import Group, Lane, Turns, Waiting

PROBE_S = 2.0
READY_S = 20.0
"""Every connection is used so often, or the pool would close it, and a rider wait while the next is opened."""
TIDY_S = 3600.0
READING_S_MAX = 0.0005
"""After so long a reading of tokens lets the loop serve others: a rider's tap has some eight turns of the loop to wait
for, each behind such a piece of a backlog. A thread would not help: whoever verifies a signature holds the interpreter,
and the loop would wait longer for its turn."""
LATE_PAUSE_S = 0.001  # an event loop may take half of it for none
RIDERS_S = 10.0
"""So long after a rider's tap, pieces of a backlog have such pauses between them: on a busy machine, what works without
one keeps a processor to the end of its slice, and broker and database wait for it."""
_QR_S, _CARD_S = 0.00014, 0.000008
EAGER_WORKERS = 2
LATE_BATCH_MAX = 128
"""A rider who comes next shares the machine with no more late taps than this."""
LATE_S_MIN = 120.0
"""A tap that comes so long after it was made has nobody waiting for it."""


class Ticketing:
    """The judge of taps: `async with Ticketing(...) as ticketing: await ticketing.validate(taps)`.

    read_card_keys reads the card keys' file, asked every PROBE_S seconds, so that every process takes up what was
    imported.
    """

    def __init__(
        self,
        pool: Any,
        keys: IssuerKeys,
        tariff: Tariff,
        settings: TicketingSettings | None = None,
        *,
        card_keys: tuple[CardKeys, ...] = (),
        read_card_keys: ReadCardKeys | None = None,
        seams: Seams = ALONE,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.settings = settings or TicketingSettings()
        self.keys = keys
        self.tariff = tariff
        self.store = Store(pool, self.settings.statement_s_max, self.settings.elsewhere_kmh)
        self.clock = clock
        self.counters: Counter[str] = Counter()
        self.gauge_sources: list[Callable[[], dict[str, float]]] = []
        self.degraded_since: float | None = None
        self.degraded_reason: str | None = None
        readers = Readers(keys.key_set, card_keys, tariff, self.settings.proof, seams.bank is not None)
        self._readers = ReadersInUse(readers, keys, read_card_keys, self.counters)
        self._on_boardings = seams.on_boardings
        self._judge_of_taps = Judge(self.store, tariff, self.counters, seams)
        self._live: Lane[Waiting] = Lane()
        self._late: Lane[Waiting] = Lane()
        self._filled = [asyncio.Event() for _ in range(self.settings.workers)]
        self._tally = Tally()
        self._retry_at = 0.0
        self._rider_at = -math.inf
        self._last_success = 0.0
        self._tidy_at = 0.0
        self._ready_at = 0.0
        self._stopping = False
        self._workers: list[asyncio.Task[None]] = []
        self._prober: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        for number in range(self.settings.workers):
            self._workers.append(asyncio.create_task(self._work(number), name=f"ticketing-judge-{number}"))
        self._prober = asyncio.create_task(self._probe(), name="ticketing-probe")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Taps already taken are judged, as long as one statement may take; the rest is told to try again."""
        self._stopping = True
        self._wake()
        self._prober.cancel()
        await asyncio.wait(self._workers, timeout=self.settings.statement_s_max)
        for task in self._workers:
            task.cancel()
        await asyncio.gather(*self._workers, self._prober, return_exceptions=True)
        await self._judge_of_taps.close()
        self._refuse(self._live.take_all() + self._late.take_all(), "stopping")

    @property
    def readers(self) -> Readers:
        """What tokens are read with now."""
        return self._readers.now

    @property
    def card_keys(self) -> tuple[CardKeys, ...]:
        """The card key versions in use, newest first."""
        return self.readers.card_keys

    def reload_issuer_keys(self) -> None:
        """Read the issuer keys again, after a rotation; KeyFileError where they cannot be read."""
        self._readers.reload_issuer_keys()

    def reload_card_keys(self) -> None:
        """Read the card keys again, after an import; Problem 409 where nobody said from where."""
        self._readers.reload_card_keys()

    async def validate(self, taps: Sequence[Tap]) -> list[Answer]:
        """One answer for each tap, in order, after it is committed; `unavailable` where nothing was decided.

        Never raises for what devices send or for a database that is away, and holds no more than pending_max taps.
        """
        if not taps:
            return []
        reason = self._cannot_take(len(taps))
        if reason is not None:
            self.counters[f"unavailable_{reason}"] += len(taps)
            return [unavailable(tap.id, reason) for tap in taps]
        group = Group(len(taps))
        late_max = self.settings.pending_max * 3 // 4
        for index, tap in enumerate(taps):
            if tap.offline is None and tap.received_s - tap.ts <= LATE_S_MIN:
                self._live.add(Waiting(tap, group, index))
                self._rider_at = time.monotonic()
            elif len(self._late) < late_max:
                self._late.add(Waiting(tap, group, index))
            else:
                self.counters["unavailable_busy"] += 1
                group.answer(index, unavailable(tap.id, "busy"))
        self._wake()
        return await group.future

    def activity(self) -> Activity:
        """What was answered lately, and since when the database has been away."""
        return self._tally.activity(self.clock(), self.degraded_since, self.degraded_reason)

    def gauges(self) -> dict[str, float]:
        """What stands now, for /metrics: taps waiting, keys, and the ages of the lists that validators fetch."""
        found = {
            "taps_waiting": float(len(self._live) + len(self._late)),
            "late_taps_waiting": float(len(self._late)),
            "issuer_keys": float(len(self.keys.key_set.keys)),
            "degraded_seconds": 0.0 if self.degraded_since is None else self.clock() - self.degraded_since,
        }
        for source in self.gauge_sources:
            found |= source()
        return found

    def healthy(self) -> list[str]:
        """Why taps cannot be judged now; empty when they can."""
        return [] if self.degraded_since is None else [f"ticketing: {self.degraded_reason}"]

    def _cannot_take(self, count: int) -> str | None:
        if self._stopping:
            return "stopping"
        if len(self._live) + len(self._late) + count > self.settings.pending_max:
            return "busy"
        # While the database is away, one batch in so many tries it and the others do not wait for the same time-out.
        return "database" if self.degraded_since is not None and time.monotonic() < self._retry_at else None

    def _wake(self) -> None:
        for filled in self._filled:
            filled.set()

    async def _work(self, number: int) -> None:
        turns, filled = Turns(number, self.settings.workers), self._filled[number]
        while not (self._stopping and (self.degraded_since is not None or not self._ready())):
            await filled.wait()
            filled.clear()
            while (late := turns.late(*self._waiting_for(number))) is not None:
                if self._stopping and self.degraded_since is not None:
                    return
                await self._judge_next(self._late if late else self._live)

    def _waiting_for(self, number: int) -> tuple[bool, bool]:
        """Whether riders and late taps wait for this worker; those beyond two begin only what fills a batch.

        More batches at once fill the machine when it has more to do than two can; else they would only be smaller ones.
        """
        if number < EAGER_WORKERS:
            return self._live.ready, self._late.ready
        full = self._live.ready and len(self._live) >= self.settings.batch_max
        return full, self._late.ready and len(self._late) >= LATE_BATCH_MAX

    def _ready(self) -> bool:
        return self._live.ready or self._late.ready

    async def _judge_next(self, lane: Lane[Waiting]) -> None:
        """Judge a batch of a lane; a first tap goes at once, and while others are judged those that follow gather."""
        size = LATE_BATCH_MAX if lane is self._late else self.settings.batch_max
        if lane.busy and len(lane) < size and not self._stopping:
            await asyncio.sleep(self.settings.linger_s)
        batch, devices = lane.take(size)
        if not batch:
            return
        try:
            await self._judge(batch, LATE_PAUSE_S if lane is self._late and self._riders_about() else 0.0)
        except asyncio.CancelledError:
            self._refuse(batch, "stopping")
            raise
        except Exception as error:  # a fault of ours must not leave callers waiting for ever
            self.counters["faults"] += 1
            self._note_failure(f"{type(error).__name__}: {error}")
            self._refuse(batch, "fault")
        finally:
            lane.done(devices)
            if self._ready() or self._stopping:
                self._wake()

    def _riders_about(self) -> bool:
        return time.monotonic() - self._rider_at < RIDERS_S

    async def _judge(self, batch: list[Waiting], pause_s: float) -> None:
        readings = await self._read([waiting.tap for waiting in batch], pause_s)
        outcome = await self._judge_of_taps.judge(readings)
        if outcome.failure is not None:
            self._note_failure(_sentence(outcome.failure))
        elif any(row is not None for row in outcome.rows):
            self._note_success()
        self._give(batch, outcome)

    async def _read(self, taps: list[Tap], pause_s: float) -> list[Reading]:
        """The readings of a batch; the loop serves others every READING_S_MAX, for so long at least."""
        readers = self._readers.now
        readings: list[Reading] = []
        first, spent_s = 0, 0.0
        for at, tap in enumerate(taps):
            spent_s += _QR_S if tap.medium == "qr" else _CARD_S
            if spent_s > READING_S_MAX:
                readings += read_taps(taps[first:at], readers)
                first, spent_s = at, 0.0
                await asyncio.sleep(pause_s)
        return readings + read_taps(taps[first:], readers)

    def _give(self, batch: list[Waiting], outcome: Outcome) -> None:
        verdicts: Counter[str] = Counter()
        boardings: list[tuple[Tap, int]] = []
        for waiting, row, through, reason in zip(
            batch, outcome.rows, outcome.through, outcome.unavailable, strict=True
        ):
            if row is None or row.verdict is None:
                self.counters[f"unavailable_{reason}"] += 1
                waiting.group.answer(waiting.index, unavailable(waiting.tap_id, reason))
                continue
            verdict = _VERDICTS[row.verdict]
            verdicts[row.verdict] += 1
            self.counters["conflicts"] += row.conflict
            if row.riders and waiting.tap.vehicle:
                boardings.append((waiting.tap, row.riders))
            waiting.group.answer(
                waiting.index,
                Answer(
                    waiting.tap_id,
                    verdict,
                    False,
                    row.until_s,
                    row.charged_minor,
                    row.currency,
                    say_of(verdict, row.reason),
                    row.reason,
                    through,
                ),
            )
        self._tally.add(verdicts, self.clock())
        self.counters.update({f"verdict_{verdict}": count for verdict, count in verdicts.items()})
        self.counters["batches"] += 1
        if self._on_boardings is not None and boardings:
            self._on_boardings(by_vehicle(boardings))

    def _refuse(self, batch: Sequence[Waiting], reason: str) -> None:
        self.counters[f"unavailable_{reason}"] += len(batch)
        for waiting in batch:
            if waiting.group.answers[waiting.index] is None:
                waiting.group.answer(waiting.index, unavailable(waiting.tap_id, reason))

    def _note_failure(self, reason: str) -> None:
        self.counters["failures"] += 1
        self._retry_at = time.monotonic() + self.settings.retry_after_s
        self.degraded_since = self.degraded_since or self.clock()
        self.degraded_reason = reason

    def _note_success(self) -> None:
        self._last_success = time.monotonic()
        self.degraded_since = self.degraded_reason = None

    async def _tidy(self) -> None:
        """Ask for a sign of life, or once in TIDY_S drop the answers that no client will ask for again."""
        if time.monotonic() < self._tidy_at:
            await self.store.ping(self.settings.workers)
            self._ready_at = time.monotonic() + READY_S
        else:
            await self.store.forget_answers()
            self._tidy_at = time.monotonic() + TIDY_S

    async def _probe(self) -> None:
        """Notices that the database is away, or back, also while nobody taps; and that card keys were imported."""
        while True:
            await asyncio.sleep(PROBE_S if self.degraded_since is None else PROBE_S / 4)
            self._readers.refresh()
            now_s = time.monotonic()
            at_work = now_s - self._last_success < PROBE_S
            if at_work and now_s < min(self._tidy_at, self._ready_at):
                continue
            try:
                await self._tidy()
            except (asyncpg.PostgresError, *AWAY) as error:
                if not at_work:  # while taps are judged, it was only that every connection is busy
                    self._note_failure(_sentence(error))
            else:
                self._note_success()


_VERDICTS = {verdict.value: verdict for verdict in Verdict}


def _sentence(error: BaseException) -> str:
    """What the console says while the database is away; never the address or a password."""
    if isinstance(error, TimeoutError):
        return "the database does not answer in time"
    if isinstance(error, OSError):
        return "the database cannot be reached"
    return f"the database cannot work: {error}"
