"""History on a real PostgreSQL: what ticks produce is written once, survives the database, and pools as it should."""

from __future__ import annotations

import asyncio
import datetime as dt
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import asyncpg
import msgspec
import numpy as np
import pytest

from dispatch.alerts import Alert
from dispatch.engine import Engine
from dispatch.history import History, HistorySettings
from dispatch.history_buffer import Buffer
from dispatch.history_read import HistoryAwayError, HistoryReader
from dispatch.history_rows import Decision
from dispatch.passages import PassageLog, Passages
from dispatch.timetable import move_to
from sql.pool import open_pool
from tests.integration.web_running import DATE, feed_engine, network_now

NOW_S = dt.datetime(2026, 7, 13, 9, 0, tzinfo=ZoneInfo("Europe/Kyiv")).timestamp()
KYIV = ZoneInfo("Europe/Kyiv")


def history(url: str, **options: object) -> History:
    return History(url, KYIV, lambda: NOW_S, HistorySettings(**options))  # type: ignore[arg-type]


def engine_with(*departures: tuple[int, int, int, float]) -> Engine:
    """An engine whose log holds (vehicle, trip, stop, departure: seconds after eight) and nothing else."""
    engine = Engine(move_to(network_now(NOW_S), DATE, 9 * 3600, NOW_S))
    add(engine, *departures)
    return engine


def add(engine: Engine, *departures: tuple[int, int, int, float]) -> None:
    zero_s = engine.network.day_start_s(DATE)
    vehicle, trip, stop, at = (np.array(column) for column in zip(*departures, strict=True))
    at_s = zero_s + 8 * 3600 + at.astype(float)
    ints = (column.astype(np.int32) for column in (vehicle, trip, stop))
    vehicle, trip, stop = ints
    engine.passage_log.add(Passages(vehicle, trip, np.full(len(at), zero_s), stop, at_s - 5, at_s))


def snapshot_of(engine: Engine, *alerts: Alert) -> SimpleNamespace:
    view = engine.tick(NOW_S)
    return SimpleNamespace(
        network=view.network,
        fleet=view.fleet,
        headway_columns=view.headway_columns,
        alerts=list(alerts),
        key_by_vehicle=["op/a", "op/b", "op/c"],
    )


async def headways(url: str) -> list[tuple[object, ...]]:
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch("SELECT vehicle, leader, headway_s, scheduled_s, stop_id FROM headway ORDER BY 1")
        return [tuple(row) for row in rows]
    finally:
        await connection.close()


async def count(url: str, table: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        return int(await connection.fetchval(f"SELECT count(*) FROM {table}"))
    finally:
        await connection.close()


async def test_two_departures_make_one_headway_of_the_same_two_trips(database: str) -> None:
    kept = history(database)
    engine = engine_with((0, 0, 1, 300), (1, 1, 1, 720))  # due 08:05 and 08:10
    kept.take(engine, snapshot_of(engine))
    await kept.write()
    assert await headways(database) == [("op/b", "op/a", 420.0, 300.0, "s2")]


async def test_a_departure_that_becomes_known_late_takes_its_place_between_two_others(database: str) -> None:
    kept = history(database)
    engine = engine_with((0, 0, 1, 300), (2, 2, 1, 1000))
    kept.take(engine, snapshot_of(engine))
    await kept.write()
    add(engine, (1, 1, 1, 700))
    kept.take(engine, snapshot_of(engine))
    await kept.write()
    found = [row[:3] for row in await headways(database)]
    assert found == [("op/b", "op/a", 400.0), ("op/c", "op/b", 300.0)]


async def test_what_is_written_twice_is_there_once(database: str) -> None:
    engine = engine_with((0, 0, 1, 300), (1, 1, 1, 720))
    for _ in range(2):  # a process that starts anew sees the same passages again
        kept = history(database)
        kept.take(engine, snapshot_of(engine))
        await kept.write()
    assert await count(database, "passage") == 2
    assert len(await headways(database)) == 1
    assert await count(database, "passage_incoming") == 0


async def test_the_next_day_has_its_partitions_already_and_old_days_go(database: str) -> None:
    kept = history(database, history_days=5, fixes_days=2)
    connection = await asyncpg.connect(database)
    await connection.execute("SELECT make_history_days('2026-07-01', '2026-07-12')")
    await kept.write()
    names = {row[0] for row in await connection.fetch("SELECT inhrelid::regclass::text FROM pg_inherits")}
    await connection.close()
    assert {"passage_20260714", "fix_20260714", "passage_20260708", "fix_20260711"} <= names
    assert not names & {"passage_20260707", "headway_20260701", "fix_20260710"}


async def test_a_partition_that_is_missing_is_made(database: str) -> None:
    kept = history(database)
    await kept.write()
    connection = await asyncpg.connect(database)
    await connection.execute("DROP TABLE passage_20260713")
    await connection.close()
    engine = engine_with((0, 0, 1, 300))
    kept.take(engine, snapshot_of(engine))
    await kept.write()
    assert await count(database, "passage") == 1


async def test_a_database_that_is_away_costs_nothing_but_what_does_not_fit(postgres_server, migrated_template) -> None:
    name = f"{migrated_template}_away"
    kept = history(postgres_server.url(name), passages_max=3)
    engine = engine_with((0, 0, 1, 300), (1, 1, 1, 720))
    kept.take(engine, snapshot_of(engine))
    with pytest.raises(asyncpg.PostgresError):
        await kept.write()
    add(engine, (0, 0, 2, 600), (1, 1, 2, 1000))
    kept.take(engine, snapshot_of(engine))
    assert kept.counters["history_dropped.passages"] == 2
    await postgres_server.execute(f"CREATE DATABASE {name} OWNER takt TEMPLATE {migrated_template}")
    try:
        await kept.write()
        assert await count(postgres_server.url(name), "passage") == 2
    finally:
        await postgres_server.drop(name)


async def test_rows_of_a_day_far_away_are_refused_and_counted(database: str) -> None:
    kept = History(database, KYIV, lambda: NOW_S + 400 * 86_400.0)
    engine = engine_with((0, 0, 1, 300))
    kept.take(engine, snapshot_of(engine))
    await kept.write()
    assert kept.counters["history_refused.day"] == 1
    assert await count(database, "passage") == 0


async def test_an_alert_is_kept_as_it_was_last_seen(database: str) -> None:
    kept = history(database)
    engine = engine_with((0, 0, 1, 300))
    alert = Alert("bunched.op.a.1", "bunched", "open", "r1", 0, "a", "b", "s2", NOW_S, NOW_S, 20.0, 300.0, 0.07)
    kept.take(engine, snapshot_of(engine, alert))
    await kept.write()
    alert.state, alert.closed_at = "closed", NOW_S + 60
    kept.take(engine, snapshot_of(engine, alert))
    kept.take(engine, snapshot_of(engine, alert))
    await kept.write()
    connection = await asyncpg.connect(database)
    rows = await connection.fetch("SELECT state, detail->>'ratio' AS ratio FROM alert_history")
    await connection.close()
    assert [tuple(row) for row in rows] == [("closed", "0.07")]
    assert kept.counters["history_written.alerts"] == 2


async def test_a_decision_is_kept_with_what_was_known(database: str) -> None:
    kept = history(database)
    decision = Decision("d1", "hold", "sent", "op/a", NOW_S, "ann", {"hold_s": 60}, "r1", 0)
    kept.decide(decision)
    await kept.write()
    kept.decide(Decision("d1", "hold", "done", "op/a", NOW_S, "ann", {"hold_s": 60, "held_s": 55}, "r1", 0))
    await kept.write()
    connection = await asyncpg.connect(database)
    rows = await connection.fetch("SELECT state, known->>'held_s' AS held FROM decision")
    await connection.close()
    assert [tuple(row) for row in rows] == [("done", "55")]


async def test_fixes_of_a_fleet_that_stands_are_thinned(database: str) -> None:
    kept = history(database)
    engine = Engine(network_now(NOW_S))
    feed_engine(engine, NOW_S)
    for nth in range(4):
        kept.take(engine, engine.tick(NOW_S + nth))
    await kept.write()
    assert await count(database, "fix") == len(engine.fleet)
    connection = await asyncpg.connect(database)
    row = await connection.fetchrow("SELECT * FROM fix WHERE vehicle = 'kp/102'")
    await connection.close()
    told = next(one for one in engine.tick(NOW_S + 4).headways if one.vehicle_id == "102")
    assert (row["leader"], row["scheduled_headway_s"]) == ("kp/101", told.scheduled_headway_s)
    assert row["headway_s"] == pytest.approx(told.headway_s, abs=5.0)


async def test_a_row_that_the_database_never_takes_does_not_stop_the_others(database: str) -> None:
    kept = history(database)
    kept.decide(Decision("d\x00", "hold", "sent", "op/a", NOW_S, "ann", {}))
    await kept.write()
    kept.decide(Decision("d2", "hold", "sent", "op/a", NOW_S, "ann", {}))
    await kept.write()
    assert kept.counters["history_refused.decisions"] == 1
    assert await count(database, "decision") == 1


def test_the_oldest_goes_when_there_is_no_room() -> None:
    buffer: Buffer[list[int]] = Buffer(4)
    for chunk in ([1, 2], [3, 4], [5]):
        buffer.put(chunk)
    assert buffer.take(10) == [[3, 4], [5]]
    assert buffer.dropped == 2


def test_what_is_put_back_is_the_oldest() -> None:
    buffer: Buffer[list[int]] = Buffer(4)
    buffer.put([1, 2])
    first = buffer.take(1)
    buffer.put([3])
    buffer.put_back(first)
    assert buffer.take(10) == [[1, 2], [3]]


def test_a_log_gives_what_came_since() -> None:
    log = PassageLog(4)
    for trip in range(6):
        one = np.array([trip], dtype=np.int32)
        log.add(Passages(one, one, one.astype(float), one, one.astype(float), one.astype(float)))
    assert log.since(4).trip.tolist() == [4, 5]
    assert log.since(6).trip.tolist() == []
    assert len(log.since(0)) <= 6


async def test_measures_from_the_database_are_those_of_the_engine(database: str) -> None:
    departures = [
        (n, n, stop, 60 * (5 * n + 5 * stop) + 37 * ((7 * n + 3 * stop) % 5)) for n in range(3) for stop in (1, 2)
    ]
    engine = engine_with(*departures)
    kept = history(database)
    kept.take(engine, snapshot_of(engine))
    await kept.write()
    span = (NOW_S - 3600, NOW_S)
    async with await open_pool(database, size_max=1) as pool:
        reader = HistoryReader(pool, "Europe/Kyiv")
        (found,) = await reader.measures(*span, None, "route")
        by_stop = await reader.measures(*span, "r1", "stop")
        by_hour = await reader.measures(*span, "r1", "hour")
        by_day = await reader.measures(*span, "r1", "day")
        other = await reader.measures(*span, "r2", "route")
    (wanted,) = engine.measures(*span)
    assert (found.headway, found.punctuality) == (wanted.headway, wanted.punctuality)
    assert msgspec.to_builtins(found).keys() == msgspec.to_builtins(wanted).keys()
    assert [row.stop_id for row in by_stop] == ["s2", "s3"]
    assert [(row.hour, row.headway) for row in by_hour] == [(8, wanted.headway)]
    assert [row.day for row in by_day] == ["2026-07-13"]
    assert other == []


async def test_a_database_that_is_gone_is_said_and_not_waited_for(database: str) -> None:
    pool = await open_pool(database, size_max=1)
    await pool.close()
    with pytest.raises(HistoryAwayError):
        await HistoryReader(pool, "UTC").measures(0, 1, None, "route")


async def test_the_writer_goes_on_when_the_database_is_back(postgres_server, migrated_template) -> None:
    name, said = f"{migrated_template}_back", asyncio.Queue[str]()
    settings = HistorySettings(every_s=0.05, retry_s_max=0.1)
    engine = engine_with((0, 0, 1, 300))
    try:
        async with asyncio.timeout(30):
            async with History(postgres_server.url(name), KYIV, lambda: NOW_S, settings, said.put_nowait) as kept:
                kept.take(engine, snapshot_of(engine))
                assert "history cannot be written" in await said.get()
                await postgres_server.execute(f"CREATE DATABASE {name} OWNER takt TEMPLATE {migrated_template}")
                assert await said.get() == "history is written again"
            assert await count(postgres_server.url(name), "passage") == 1
        assert said.empty()
    finally:
        await postgres_server.drop(name)


async def test_what_waits_is_written_on_the_way_out(database: str) -> None:
    engine = engine_with((0, 0, 1, 300))
    async with history(database, every_s=3600.0) as kept:
        kept.take(engine, snapshot_of(engine))
    assert await count(database, "passage") == 1


async def test_a_row_that_cannot_be_made_does_not_end_the_writer(database: str) -> None:
    kept = history(database)
    kept.decide(Decision("d1", "hold", "sent", "op/a", NOW_S, "ann", {"hold_s": np.float64(1)}))
    await kept.write()
    assert kept.counters["history_refused.decisions"] == 1
