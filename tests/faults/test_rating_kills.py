"""Workers that rate accounts anew are killed with kill -9: nothing is lost, and nothing is posted twice."""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path

from tests.integration.rated_city import KEYS, TARIFFS, rated_city, shipped

ROOT = Path(__file__).parents[2]
CARDS = 60


async def test_killed_workers_lose_and_double_nothing(database):
    async with rated_city(database, shipped("lviv")) as lviv:
        uids = [bytes.fromhex(f"04de5f1eac{number:04x}") for number in range(CARDS)]
        await lviv.api.cards.enrol([uid.hex() for uid in uids], KEYS, subject="admin")
        for uid in uids:
            await lviv.api.cards.top_up(uid.hex(), 5000, subject="desk1")
        await lviv.judge(*(lviv.tap(lviv.at("08:30"), uid) for uid in uids))
        await lviv.settle()
        # 08:00 becomes the beginning of the journey, and 09:00 lies beyond it.
        for clock in ("08:00", "09:00"):
            await lviv.judge(*(lviv.tap(lviv.at(clock), uid, late_s=9000) for uid in uids))
        rng = random.Random(7)
        for _ in range(4):
            worker = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.faults.rating_process", database, str(TARIFFS / "lviv.toml"),
                str(lviv.now_s), cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
            assert worker.stdin is not None
            assert worker.stdout is not None
            for _ in range(rng.randint(2, 9)):
                worker.stdin.write(b"go on\n")
                assert await worker.stdout.readline() == b"1\n"
            worker.stdin.write(b"go on\n")
            await worker.stdin.drain()
            await asyncio.sleep(rng.uniform(0, 0.02))  # somewhere in the midst of one more
            worker.kill()
            await worker.wait()
        left = await lviv.pool.fetchval("SELECT count(DISTINCT account) FROM tap WHERE rating_due")
        assert 0 < left < CARDS
        await lviv.settle()
        assert {await lviv.balance(uid) for uid in uids} == {5000 - 2 * 1700}
        assert {tuple(await lviv.charges(uid=uid)) for uid in uids} == {(1700, 0, 1700)}
