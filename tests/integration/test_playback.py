"""Playback over HTTP: stored fixes come back as the events of the live stream, bounded and in order."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from dispatch.history_read import HistoryReader, read_fix
from dispatch.playback import PlaybackApi, PlaybackSettings
from dispatch.playback_player import Reel
from dispatch.stringline_api import StringlineApi
from sql import query
from sql.pool import open_pool
from tests.integration.web_running import DATE, Running, network_now, running_web

FROM_S = 1_784_000_000.0  # 2026-07-14 03:33:20 UTC


async def store(url: str, rows: list[tuple[float, str, float]]) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("SELECT make_history_days('2026-07-14', '2026-07-15')")
        await connection.executemany(
            "INSERT INTO fix (service_date, at, vehicle, lat, lon, state) "
            "VALUES ('2026-07-14', $1, $2, 50.0, $3, 'on_trip')",
            rows,
        )
    finally:
        await connection.close()


ALERT = {
    "id": "a1", "kind": "bunched", "state": "closed", "route_id": "r1", "direction_id": 0, "vehicle_id": "a",
    "leader_id": "b", "stop_id": "s1", "opened_at": FROM_S + 60, "updated_at": FROM_S + 300, "headway_s": 40.0,
    "scheduled_headway_s": 300.0, "ratio": 0.13, "acknowledged_by": "desk1", "acknowledged_at": FROM_S + 120,
    "closed_at": FROM_S + 300, "closed_by": "desk1", "close_reason": "Settled",
}  # fmt: skip
KNOWN = {
    "law": "even", "hold_s": 40.0,
    "instruction": {"id": "i1", "state": "done", "created_at": FROM_S + 90, "delivered_at": FROM_S + 91,
                    "read_at": FROM_S + 100, "done_at": FROM_S + 200, "expired_at": None},
}  # fmt: skip


async def store_story(url: str) -> None:
    """A headway measured at the first minute, an alert from the first to the fifth, a hold decided in between."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("SELECT make_history_days('2026-07-14', '2026-07-15')")
        await connection.execute(
            "INSERT INTO headway (service_date, trip_id, zero_at, vehicle, stop_sequence, route_id, direction_id, "
            "stop_id, visit, at, leader, headway_s, scheduled_s, is_peak) VALUES ('2026-07-14', 't1', now(), 'op/a', 1,"
            "'r1', 0, 's1', 0, to_timestamp($1), 'op/b', 40, 300, true)",
            FROM_S + 58,
        )
        of = (ALERT["opened_at"], ALERT["closed_at"], ALERT["acknowledged_by"], ALERT["acknowledged_at"])
        alert = ("2026-07-14", "a1", "bunched", "closed", "a", "r1", 0, *of, json.dumps(ALERT))
        await connection.execute(query("history.keep_alert"), dt.date(2026, 7, 14), *alert[1:])
        decided = ("d1", "hold", "applied", "op/a", "r1", 0, FROM_S + 90, "desk1", json.dumps(KNOWN))
        await connection.execute(query("history.keep_decision"), dt.date(2026, 7, 14), *decided)
    finally:
        await connection.close()


@asynccontextmanager
async def playing(url: str, folder: Path, **options: Any) -> AsyncIterator[Running]:
    async with await open_pool(url, size_max=2, size_min=1) as pool:
        settings = PlaybackSettings(**{"frame_s": 0.01, **options})
        api = PlaybackApi(HistoryReader(pool, "UTC"), "f1", lambda: FROM_S + 3600, settings, ["r1"])
        async with running_web(folder, more=[api]) as running:
            yield running


async def get(web: Running, path: str, status: int = 200) -> Any:
    async with web.client(headers=web.bearer("dispatcher")) as client, client.get(path) as response:
        assert response.status == status, await response.text()
        return await response.json(content_type=None)


async def frames(web: Running, path: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """All frames until the end, and what the end said."""
    async with web.client(headers=web.bearer("dispatcher")) as client, client.get(path) as response:
        assert response.status == 200, await response.text()
        assert response.content_type == "text/event-stream"
        events = [part.split("\n") for part in (await response.text()).split("\n\n") if part]
    data = [(event[0], json.loads(event[-1].removeprefix("data: "))) for event in events]
    assert data[-1][0] == "event: end"
    return [body for name, body in data if name == "event: vehicles"], data[-1][1]


async def test_a_minute_is_played_as_it_was(database: str, tmp_path: Path) -> None:
    await store(database, [(FROM_S - 50, "op/b", 30.9), (FROM_S + 15, "op/a", 30.1), (FROM_S + 30, "op/a", 30.2)])
    async with playing(database, tmp_path) as web:
        path = f"/api/v1/playback/stream?from={FROM_S}&to={FROM_S + 60}&speed=1000"
        await get(web, path, 422)
        shown, end = await frames(web, f"/api/v1/playback/stream?from={FROM_S}&to={FROM_S + 40}&speed=600")
    by_second = {round(frame["as_of"] - FROM_S): frame for frame in shown}
    assert len(shown) == 7  # a frame of 0.01 s at 600 times the speed is 6 s
    assert [row["vehicle_id"] for row in by_second[0]["vehicles"]] == ["b"]
    assert [(row["vehicle_id"], row["lon"]) for row in by_second[18]["vehicles"]] == [("a", 30.1), ("b", 30.9)]
    assert by_second[36]["vehicles"][0]["lon"] == 30.2
    assert by_second[36]["vehicles"][0]["age_s"] == 6.0
    assert end == {"reason": "over"}


async def test_what_is_kept_is_told_first(database: str, tmp_path: Path) -> None:
    await store(database, [(FROM_S + 5, "op/a", 30.1), (FROM_S + 20, "op/a", 30.2), (FROM_S + 90, "op/b", 30.2)])
    path = f"/api/v1/playback?from={FROM_S}&to={FROM_S + 60}"
    async with playing(database, tmp_path) as web:
        told = await get(web, path)
    assert (told["fixes"], told["vehicles"]) == (2, 1)
    assert (told["first_at"], told["last_at"]) == (FROM_S + 5, FROM_S + 20)


@pytest.mark.parametrize("words", ["from=5&to=1", "from=0&to=9999999999", "from=1&speed=0", "to=5", "from=nan&to=1"])
async def test_bad_spans_and_speeds_are_refused(database: str, tmp_path: Path, words: str) -> None:
    async with playing(database, tmp_path) as web:
        await get(web, f"/api/v1/playback/stream?{words}", 422)


async def test_nobody_plays_without_a_login_and_only_so_many_at_once(database: str, tmp_path: Path) -> None:
    path = f"/api/v1/playback/stream?from={FROM_S}&to={FROM_S + 60}"
    async with playing(database, tmp_path, players_max=1, frame_s=1.0) as web:
        async with web.client() as client, client.get(path) as response:
            assert response.status == 401
        async with web.client(headers=web.bearer("dispatcher")) as client, client.get(path) as first:
            await first.content.readline()
            async with client.get(path) as second:
                assert second.status == 503


async def test_a_database_that_is_away_is_said(database: str, tmp_path: Path) -> None:
    async with playing(database, tmp_path) as web:
        connection = await asyncpg.connect(database)
        await connection.execute("DROP TABLE fix")
        await connection.close()
        await get(web, f"/api/v1/playback/stream?from={FROM_S}", 503)


def test_a_vehicle_without_a_word_is_silent_and_then_gone() -> None:
    names = (
        "bearing_deg speed_mps route_id direction_id trip_id distance_m off_route_m deviation_s next_stop_id occupancy"
    )
    row = {"at": 0.0, "vehicle": "op/a", "lat": 50.0, "lon": 30.0, "state": "on_trip", **dict.fromkeys(names.split())}
    reel = Reel("f1")
    reel.load([read_fix(row)])
    assert [reel.frame(at_s).vehicles[0].state for at_s in (0.0, 100.0, 130.0)] == ["on_trip", "on_trip", "silent"]
    assert reel.frame(700.0).vehicles == []


async def test_more_fixes_than_a_page_holds_are_all_played(database: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("dispatch.history_read.FIXES_MAX", 7)
    monkeypatch.setattr("dispatch.playback_player.FIXES_MAX", 7)
    await store(database, [(FROM_S - 100 + n, f"op/{n % 25}", 30.0 + n / 1000) for n in range(100)])
    async with playing(database, tmp_path) as web:
        shown, _ = await frames(web, f"/api/v1/playback/stream?from={FROM_S}&to={FROM_S + 5}&speed=500")
    assert {row["lon"] for row in shown[0]["vehicles"]} == {30.0 + n / 1000 for n in range(75, 100)}


async def test_an_instant_shows_what_was_measured_known_and_done_by_then(database: str, tmp_path: Path) -> None:
    await store_story(database)
    async with playing(database, tmp_path) as web:
        then = [await get(web, f"/api/v1/playback/at?at={FROM_S + after_s}") for after_s in (50, 95, 150, 310, 2000)]
    assert [[one["state"] for one in moment["headways"]] for moment in then] == [
        [], ["bunched"], ["bunched"], ["bunched"], [],
    ]  # fmt: skip
    assert (then[1]["headways"][0]["vehicle_id"], then[1]["headways"][0]["leader_id"]) == ("a", "b")
    assert [[one["state"] for one in moment["alerts"]] for moment in then] == [
        [], ["open"], ["acknowledged"], ["closed"], [],
    ]  # fmt: skip
    assert (then[1]["alerts"][0]["acknowledged_by"], then[2]["alerts"][0]["closed_by"]) == (None, None)
    came = [[one["known"]["instruction"]["state"] for one in moment["decisions"]] for moment in then]
    assert came == [[], ["delivered"], ["read"], ["done"], []]
    assert then[1]["decisions"][0]["known"]["instruction"]["done_at"] is None


async def test_a_headway_is_the_one_that_was_seen_beside_the_position(database: str, tmp_path: Path) -> None:
    await store_story(database)
    connection = await asyncpg.connect(database)
    try:
        for after_s, vehicle, headway_s in ((70, "op/a", 90.0), (130, "op/a", None), (70, "op/c", 700.0)):
            await connection.execute(
                "INSERT INTO fix (service_date, at, vehicle, lat, lon, state, route_id, direction_id, trip_id, "
                "next_stop_id, headway_s, scheduled_headway_s, leader, headway_estimated) VALUES ('2026-07-14', $1, $2,"
                "50.0, 30.0, 'on_trip', 'r1', 0, $4, 's2', $3, 300, 'op/b', true)",
                *(FROM_S + after_s, vehicle, headway_s, "t1" if vehicle == "op/a" else "t9"),
            )
    finally:
        await connection.close()
    async with playing(database, tmp_path) as web:
        then = [(await get(web, f"/api/v1/playback/at?at={FROM_S + n}"))["headways"] for n in (80, 140, 400)]
    told = [{one["vehicle_id"]: (one["headway_s"], one["state"], one["estimated"]) for one in rows} for rows in then]
    assert told[0] == {"a": (90.0, "short", True), "c": (700.0, "gapped", True)}
    assert told[1]["a"] == (40.0, "bunched", False)  # none beside the newest position: the one at the last stop
    assert "c" not in told[2]  # silent for minutes


async def test_an_alert_keeps_the_figures_that_opened_it(database: str, tmp_path: Path) -> None:
    await store_story(database)
    connection = await asyncpg.connect(database)
    try:
        later = {**ALERT, "headway_s": 290.0, "ratio": 0.97}
        of = (ALERT["opened_at"], ALERT["closed_at"], None, None, json.dumps(later))
        line = ("a1", "bunched", "closed", "a", "r1", 0)
        await connection.execute(query("history.keep_alert"), dt.date(2026, 7, 14), *line, *of)
    finally:
        await connection.close()
    async with playing(database, tmp_path) as web:
        then = await get(web, f"/api/v1/playback/at?at={FROM_S + 305}")
    assert (then["alerts"][0]["headway_s"], then["alerts"][0]["ratio"]) == (40.0, 0.13)


async def test_the_stream_tells_of_alerts_and_decisions_when_they_change(database: str, tmp_path: Path) -> None:
    await store_story(database)
    path = f"/api/v1/playback/stream?from={FROM_S}&to={FROM_S + 330}&speed=600"
    async with playing(database, tmp_path) as web:
        async with web.client(headers=web.bearer("dispatcher")) as client, client.get(path) as response:
            text = await response.text()
        marks = await get(web, f"/api/v1/playback/marks?from={FROM_S}&to={FROM_S + 330}")
        told = await get(web, f"/api/v1/playback?from={FROM_S}&to={FROM_S + 330}")
    names = [part.split("\n")[0].removeprefix("event: ") for part in text.split("\n\n") if part]
    assert names.count("vehicles") == names.count("headways") == 56
    assert names.count("alerts") == 4  # none, opened, acknowledged, closed
    assert names.count("decisions") == 5  # none, then with each step of the instruction
    assert [(one["id"], one["at"], one["until"]) for one in marks["alerts"]] == [("a1", FROM_S + 60, FROM_S + 300)]
    assert (told["alerts"], told["decisions"], told["fixes"]) == (1, 1, 0)
    assert told["fixes_from"] == FROM_S - FROM_S % 86_400 - 3 * 86_400


@pytest.mark.parametrize("words", ["at=nan", "at=-1", "at=1e300", ""])
async def test_a_bad_instant_is_refused(database: str, tmp_path: Path, words: str) -> None:
    async with playing(database, tmp_path) as web:
        await get(web, f"/api/v1/playback/at?{words}", 422)


async def test_a_stringline_has_what_was_driven_and_the_plan(database: str, tmp_path: Path) -> None:
    connection = await asyncpg.connect(database)
    network = network_now(FROM_S)
    zero_s = network.day_start_s(DATE)
    try:
        await connection.execute("SELECT make_history_days('2026-07-14', '2026-07-15')")
        for sequence, left_s in ((1, 60.0), (2, 360.0)):
            await connection.execute(
                "INSERT INTO passage (service_date, trip_id, zero_at, vehicle, stop_sequence, start_date, route_id, "
                "direction_id, stop_id, visit, departure_at, due_at, is_peak) VALUES ('2026-07-14', 't1', "
                "to_timestamp($1), 'kp/101', $2, '2026-07-13', 'r1', 0, 's1', 0, to_timestamp($3), now(), true)",
                *(zero_s, sequence, FROM_S - 480 + left_s),
            )
    finally:
        await connection.close()
    async with await open_pool(database, size_max=2, size_min=1) as pool:
        api = StringlineApi(HistoryReader(pool, "UTC"), network, lambda: FROM_S)
        async with running_web(tmp_path, more=[api]) as web:
            drawn = await get(web, "/api/v1/routes/r1/stringline")
            await get(web, "/api/v1/routes/nowhere/stringline", 404)
            for words in ("from=5&to=1", "from=0&to=90000", "to=nan", "from=1e11&to=100000000001"):
                await get(web, f"/api/v1/routes/r1/stringline?{words}", 422)
            async with web.client() as client, client.get("/api/v1/routes/r1/stringline") as response:
                assert response.status == 401
    (direction,) = drawn["directions"]
    assert [run["trip_id"] for run in direction["planned"]] == ["t1", "t2", "t3"]
    (run,) = direction["driven"]
    assert [point[0] for point in run["pieces"][0]] == [FROM_S - 420, FROM_S - 120]
    assert (drawn["from"], drawn["to"]) == (FROM_S - 3600, FROM_S + 1200)
