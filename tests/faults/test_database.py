"""The database stopped, swallowed, cut off in the middle of a commit, full: taps wait with their validators."""

from __future__ import annotations

import asyncio
import random
import time
from urllib.parse import urlsplit, urlunsplit

import psutil
import pytest

from deploy.embedded_postgres import embedded_postgres
from deploy.instance import Instance
from sql.migrate import migrate
from tests.faults.conftest import Town
from tests.faults.proxy import Proxy, random_schedule
from tests.faults.readiness import becomes, counted
from tests.faults.validators_at_work import until


def through(dsn: str, proxy: Proxy) -> str:
    parts = urlsplit(dsn)
    return urlunsplit(parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{proxy.port}"))


def port_of(dsn: str) -> int:
    port = urlsplit(dsn).port
    assert port
    return port


async def healthy(judge, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while reasons := (await judge.ask())["healthy"]:
        assert time.monotonic() < deadline, reasons
        await asyncio.sleep(0.05)


async def stop_the_database(town: Town, stopped_s: float, taps: int, per_s: float) -> dict[str, float]:
    """Stop PostgreSQL at once (as the kernel would at a power cut of its machine) and start it again later."""
    instance = Instance.open(town.folder / "data")
    with instance.locked():
        server = embedded_postgres(instance)
        town.dsn = await server.__aenter__()
        try:
            await migrate(town.dsn)
            tokens = await town.sell(taps)
            async with town.validators(40) as validators:
                await validators.online()
                judge = await town.judge(http=True)
                tapping = asyncio.create_task(validators.tap_steadily(tokens, per_s))
                await until(lambda: validators.receipted > taps / 10, 30, "a tenth of the receipts")
                before_mb = (await judge.ask())["memory_mb"]
                killed_at = time.time()
                for process in postmasters(instance):
                    process.kill()
                await server.__aexit__(None, None, None)
                until_s = time.monotonic() + stopped_s
                away: dict = {}
                assert "ticketing" in str((await becomes(judge, False, 15.0)).reasons)
                noticed_at = time.time()
                while time.monotonic() < until_s:
                    await asyncio.sleep(0.2)
                    away = await judge.ask()
                assert await counted(judge, "takt_ticketing_failures_total") > 0, "I7: nobody counts the failures"
                server = embedded_postgres(instance, port_of(town.dsn))
                await server.__aenter__()
                started_s = time.monotonic()
                await becomes(judge, True, 20.0)
                back_s = time.monotonic() - started_s
                await tapping
                await validators.all_receipted(120)
                drained_s = time.monotonic() - started_s
                found = await town.check(validators, judge)
            assert found.stored == taps
            assert any("database" in reason for reason in away["healthy"]), away["healthy"]
            assert killed_at <= away["degraded_since"] <= noticed_at, "the console would say a wrong time"
            assert away["memory_mb"] < before_mb + 60, "memory grew while the database was away"
            return {"back_s": back_s, "drained_s": drained_s, "grew_mb": away["memory_mb"] - before_mb}
        finally:
            judge.kill()
            await server.__aexit__(None, None, None)


def postmasters(instance: Instance) -> list[psutil.Process]:
    folder = str(instance.postgres_dir.resolve())
    found = []
    for process in psutil.process_iter(["cwd", "name"]):
        if process.info["name"] == "postgres" and process.info["cwd"] == folder:
            found.append(process)
    assert found, "no PostgreSQL runs on that folder"
    return found


async def test_the_database_is_stopped_at_once(town):
    """Fault 5, for seconds."""
    print(await stop_the_database(town, 3.0, 1_500, 200))


@pytest.mark.soak
async def test_the_database_is_stopped_for_a_minute(town, capsys):
    """Fault 5."""
    figures = await stop_the_database(town, 60.0, 20_000, 250)
    with capsys.disabled():
        print(f"\nfault 5, 60 s without database at 250 taps/s: {figures}")
    assert figures["back_s"] < 10


async def swallow_the_database(town: Town, away_s: float) -> dict[str, float]:
    tokens = await town.sell(1_200)
    async with Proxy(port_of(town.dsn)) as proxy, town.validators(20) as validators:
        await validators.online()
        judge = await town.judge(dsn=through(town.dsn, proxy), statement_s_max=1.0, http=True)
        for number, token in enumerate(tokens[:400]):
            validators.tap(number, token)
        await until(lambda: validators.receipted >= 400, 30, "receipts")
        proxy.swallow()
        swallowed_s = time.monotonic()
        for number, token in enumerate(tokens[400:800]):
            validators.tap(number, token)
        await becomes(judge, False, 15.0)
        noticed_s = time.monotonic() - swallowed_s
        by_verdict = validators.gates.statistics.by_verdict
        await until(lambda: by_verdict["unavailable"] >= 400, 20, "everybody to be told to try again")
        assert await counted(judge, "takt_ticketing_taps_unavailable_total") >= 400, "I7"
        await asyncio.sleep(away_s)
        proxy.release()
        released_s = time.monotonic()
        for number, token in enumerate(tokens[800:]):
            validators.tap(number, token)
        await becomes(judge, True, 20.0)
        back_s = time.monotonic() - released_s
        await validators.all_receipted()
        found = await town.check(validators, judge)
    assert found.stored == len(tokens)
    return {"noticed_s": noticed_s, "back_s": back_s}


async def test_the_database_is_swallowed_by_a_black_hole(town):
    """Fault 6: no RST, no FIN, nothing; every wait has its end, and it recovers alone."""
    print(await swallow_the_database(town, 1.0))


async def test_cut_after_commit_is_sent_and_before_its_answer(town, seed):
    """Fault 8: the answer of the committing statement is lost, at every length of it."""
    rng = random.Random(seed)
    rounds, each = 6, 10
    tokens = await town.sell(rounds * each)
    async with Proxy(port_of(town.dsn)) as proxy, town.validators(5) as validators:
        await validators.online()
        judge = await town.judge(dsn=through(town.dsn, proxy))
        for number in range(rounds):
            cuts, due = proxy.cuts, (number + 1) * each
            for place in range(number * each, due):
                validators.tap(place, tokens[place])
            # Zero: the answer is lost whole as soon as its first byte comes down.
            proxy.cut_after(down=rng.choice([0, 1, rng.randrange(2_000)]))
            await until(lambda cuts=cuts: proxy.cuts > cuts, 20, "the cut")
            proxy.release()
            await until(lambda due=due: validators.receipted >= due, 30, "the receipts of this round")
        await healthy(judge)
        found = await town.check(validators, judge)
    assert found.stored == rounds * each
    assert await town.value("SELECT count(*) FROM tap WHERE verdict <> 'accepted'") == 0


async def test_one_fault_after_the_other_between_judge_and_database(town, seed):
    """Cuts, black holes, refusals and delays by a seeded schedule: the road to the database has seen it all."""
    tokens = await town.sell(600)
    async with Proxy(port_of(town.dsn)) as proxy, town.validators(10) as validators:
        await validators.online()
        judge = await town.judge(dsn=through(town.dsn, proxy), statement_s_max=1.0)
        schedule = random_schedule(random.Random(seed), 6, 0.5)
        await asyncio.gather(validators.tap_steadily(tokens, 200), proxy.play(schedule))
        proxy.release()
        await healthy(judge)
        await validators.all_receipted()
        found = await town.check(validators, judge)
    assert found.stored == len(tokens)
