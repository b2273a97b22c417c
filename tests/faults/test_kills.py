"""kill -9 of the judge at the worst moments, and of the broker: nothing lost, nothing twice, back at work soon."""

from __future__ import annotations

import asyncio
import signal
import statistics
import time

import asyncpg
import pytest

from tests.faults.conftest import Town
from tests.faults.validators_at_work import until

BACK_S_MAX = 3.0


async def die_between_commit_and_puback(town: Town, times: int, *, fresh: bool = False) -> list[float]:
    """Kill the judge so many times right after a commit; the seconds from each kill to the next new receipt.

    They have the start of the interpreter and all imports in them where what comes after it is `fresh`.
    """
    tokens = iter(await town.sell(200))
    back_s: list[float] = []
    async with town.validators(8) as validators:
        await validators.online()
        for number in range(times):
            dying = await town.judge(die_after_commits=1 + number % 3)
            while dying.alive:
                if (token := next(tokens, None)) is None:
                    tokens = iter(await town.sell(200))
                else:
                    validators.tap(number, token)
                await asyncio.sleep(0.01)
            died_s, before = time.monotonic(), validators.receipted
            healthy = await town.judge(fresh=fresh)
            await until(lambda before=before: validators.receipted > before, 30, "a receipt after the kill")
            back_s.append(time.monotonic() - died_s)
            healthy.kill()
        judge = await town.judge()
        await validators.all_receipted()
        found = await town.check(validators, judge)
    assert found.receipted == found.stored == found.taps > times
    assert await town.value("SELECT count(*) FROM tap WHERE verdict <> 'accepted'") == 0
    return back_s


async def test_killed_between_commit_and_puback(town):
    """Fault 1."""
    back_s = await die_between_commit_and_puback(town, 5)
    print(f"back at work: median {statistics.median(back_s):.2f} s, worst {max(back_s):.2f} s")


@pytest.mark.soak
@pytest.mark.timeout(900)
async def test_killed_between_commit_and_puback_a_hundred_times(town, capsys):
    """Fault 1 as often as is asked."""
    back_s = await die_between_commit_and_puback(town, 100, fresh=True)
    with capsys.disabled():
        print(f"\nfault 1, 100 kills: back at work median {statistics.median(back_s):.2f} s, worst {max(back_s):.2f} s")
    assert statistics.median(back_s) < BACK_S_MAX


async def test_killed_before_commit_with_a_full_window(town):
    """Fault 2: the judging statement waits for a lock as the process is killed; nothing of it was acknowledged."""
    tokens = await town.sell(400)
    locker = await asyncpg.connect(town.dsn)
    async with town.validators(20) as validators:
        await validators.online()
        judge = await town.judge()
        async with locker.transaction():
            await locker.execute("SELECT FROM ticket FOR UPDATE")
            for number, token in enumerate(tokens):
                validators.tap(number, token)
            held = 0.0
            deadline = time.monotonic() + 20
            while held < len(tokens) and time.monotonic() < deadline:
                held = (await judge.ask())["stats"]["taps_held"]
            assert held == len(tokens), "the window is not full"
            assert validators.receipted == 0
            judge.signal(signal.SIGKILL)
            await judge.ended()
        assert validators.receipted == 0
        judge = await town.judge()
        await validators.all_receipted()
        found = await town.check(validators, judge)
    await locker.close()
    assert found.stored == len(tokens)


async def kill_the_broker(town: Town, taps: int, per_s: float) -> tuple[float, float]:
    """Seconds until every device was back, and until every tap had its receipt."""
    tokens = await town.sell(taps)
    async with town.validators(50) as validators:
        await validators.online()
        judge = await town.judge()
        tapping = asyncio.create_task(validators.tap_steadily(tokens, per_s))
        await until(lambda: validators.receipted > taps / 4, 60, "a quarter of the receipts")
        town.broker.kill()
        killed_s = time.monotonic()
        await until(lambda: validators.devices.online() == 0, 20, "everybody off")
        town.broker.start()
        await validators.online(60)
        online_s = time.monotonic() - killed_s
        await tapping
        await validators.all_receipted(90)
        done_s = time.monotonic() - killed_s
        found = await town.check(validators, judge)
    assert found.stored == taps
    return online_s, done_s


async def test_the_broker_is_killed_at_work(town):
    """Fault 3, for taps."""
    await kill_the_broker(town, 1_500, 500)


@pytest.mark.soak
async def test_the_broker_is_killed_at_two_thousand_messages_a_second(town, capsys):
    """Fault 3 at the rate that is asked."""
    online_s, done_s = await kill_the_broker(town, 20_000, 2_000)
    with capsys.disabled():
        print(f"\nfault 3, 2,000 taps/s: every device back after {online_s:.1f} s, every receipt after {done_s:.1f} s")
    assert online_s < 60
