"""Rounds of a worker: what follows a full one, an idle one, and one that came to nothing."""

import asyncio
from collections import Counter

import asyncpg
import pytest

from ticketing.rounds import BACK_OFF_S_MAX, Rounds, pause_s

WAIT_S = 20.0


class Work:
    """A worker whose rounds end as they are told to; the last one rests until it is broken off."""

    def __init__(self, *ends: int | Exception, full: int = 2) -> None:
        self.counters: Counter[str] = Counter()
        self.left = list(ends)
        self.figures_read = 0
        self.resting = asyncio.Event()
        self.rounds = Rounds("work", self.once, self.figures, self.counters, full=full, idle_s=0.0)

    async def once(self) -> int:
        if not self.left:
            self.resting.set()
            await asyncio.Event().wait()
        end = self.left.pop(0)
        if isinstance(end, Exception):
            raise end
        return end

    async def figures(self) -> dict[str, float]:
        self.figures_read += 1
        return {"open": float(self.figures_read)}

    async def all_done(self) -> None:
        async with self.rounds:
            await asyncio.wait_for(self.resting.wait(), WAIT_S)


def test_a_pause_doubles_with_every_failure_up_to_a_limit() -> None:
    assert [pause_s(1.0, failures) for failures in range(5)] == [1, 2, 4, 8, 16]
    assert pause_s(1.0, 5) == pause_s(1.0, 10_000) == BACK_OFF_S_MAX


async def test_nothing_that_a_round_ends_with_stops_the_worker() -> None:
    work = Work(asyncpg.DeadlockDetectedError(), ConnectionError(), asyncpg.DiskFullError(), KeyError("ours"), 1, 2)
    await work.all_done()
    assert work.counters == {"retried": 1, "failures": 2, "faults": 1}


async def test_figures_are_read_after_a_round_that_went_well_and_not_after_each() -> None:
    work = Work(ConnectionError(), 1, 0, 2)
    assert work.rounds.gauges() == {}
    await work.all_done()
    assert work.rounds.gauges() == {"open": 1.0}
    assert work.figures_read == 1


@pytest.mark.parametrize(
    ("ends", "failures"),
    [((ConnectionError(), ConnectionError()), 2), ((KeyError(), 1), 0)],
    ids=["two in a row", "one made good"],
)
async def test_failures_are_counted_in_a_row(ends: tuple[int | Exception, ...], failures: int) -> None:
    work = Work(*ends)
    await work.all_done()
    assert work.rounds._failures == failures
