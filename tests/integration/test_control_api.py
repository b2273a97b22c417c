"""Control over HTTP: what a dispatcher sees and does, what nobody else may, and requests that nobody should send."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from deploy.web import routes_of
from dispatch.control import OFFERED
from dispatch.control_api import ControlApi
from dispatch.control_board import ControlBoard
from dispatch.control_stops_api import STOPS_MAX, ControlStopsApi
from dispatch.history import History
from dispatch.history_read import HistoryReader
from sql.pool import open_pool
from tests.integration.control_desk import LocalControl, bunched_pair
from tests.integration.web_running import Running, running_web
from tests.unit.dispatch.test_controller import Line

DISPATCHER = "dispatcher"


@dataclass
class Desk:
    """A web server with a bunched pair behind it."""

    web: Running
    line: Line
    board: ControlBoard

    async def ask(self, method: str, path: str, body: Any = None, role: str = DISPATCHER) -> tuple[int, Any]:
        headers = self.web.bearer(role, "desk1") if role else {}
        options = {} if body is None else {"json": body}
        async with self.web.client(headers=headers) as client, client.request(method, path, **options) as response:
            return response.status, await response.json()

    def run(self, until_s: float) -> None:
        self.line.run(until_s)
        self.board.publish(self.line.controller.published)

    async def advice(self) -> dict[str, Any]:
        """The advice for the second of the pair, shortly before it comes to the control stop."""
        await self.ask("PUT", "/api/v1/routes/R/control", {"mode": "advise", "law": "prediction"})
        self.run(self.line.at_stop_3(1))
        _, answer = await self.ask("GET", "/api/v1/advice")
        (found,) = [one for one in answer["advice"] if one["kind"] == "hold"]
        return found


@asynccontextmanager
async def desk(folder: Path, history: HistoryReader | None = None, **settings: Any) -> AsyncIterator[Desk]:
    line, board = bunched_pair(), ControlBoard(msgspec.json.encode(OFFERED))
    control = LocalControl(line, board)
    apis = [ControlApi(board, control, time.time, history), ControlStopsApi(control)]
    async with running_web(folder, more=apis, **settings) as web:
        web.api.streams.control = board
        yield Desk(web, line, board)


async def test_before_dispatch_has_spoken_it_is_not_ready(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        for name in ("advice", "instructions", "control"):
            assert (await at.ask("GET", f"/api/v1/{name}"))[0] == 503


async def test_a_line_is_switched_and_shown(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        status, row = await at.ask("PUT", "/api/v1/routes/R/control", {"mode": "automatic", "law": "even"})
        assert (status, row["mode"], row["law"], row["by"]) == (200, "automatic", "even", "desk1")
        _, answer = await at.ask("GET", "/api/v1/control")
        assert answer["laws"] == OFFERED
        assert [(line["route_id"], line["mode"]) for line in answer["lines"]] == [("R", "automatic")]
        assert set(answer["lines"][0]) >= {"short_name", "since", "ewt_s", "c_vh", "ewt_before_s", "advised", "applied"}


async def test_an_advice_is_changed_and_applied_once(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        advice = await at.advice()
        assert set(advice["reason"]) == {"uk", "en"}
        status, answer = await at.ask("POST", f"/api/v1/advice/{advice['id']}/apply", {"hold_s": 40})
        assert (status, answer["state"], answer["decided_by"]) == (200, "applied", "desk1")
        _, answer = await at.ask("GET", "/api/v1/instructions?route_id=R")
        (one,) = answer["instructions"]
        assert (one["advice_id"], one["hold_s"], one["state"], one["by"]) == (advice["id"], 40, "sent", "desk1")
        assert (await at.ask("GET", "/api/v1/instructions?route_id=X"))[1]["instructions"] == []
        status, problem = await at.ask("POST", f"/api/v1/advice/{advice['id']}/apply")
        assert (status, problem["title"]) == (409, "No longer open")


async def test_without_a_body_it_is_applied_or_declined_as_it_stands(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        advice = await at.advice()
        status, answer = await at.ask("POST", f"/api/v1/advice/{advice['id']}/decline")
        assert (status, answer["state"]) == (200, "declined")


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/api/v1/advice/nothing/apply", None, 404),
        ("POST", "/api/v1/advice/nothing/decline", None, 404),
        ("POST", "/api/v1/advice/nothing/apply", {"hold_s": 9}, 422),
        ("POST", "/api/v1/advice/nothing/apply", {"hold_s": 601}, 422),
        ("POST", "/api/v1/advice/nothing/apply", {"hold_s": "60"}, 422),
        ("POST", "/api/v1/advice/nothing/decline", {"reason": "x" * 501}, 422),
        ("PUT", "/api/v1/routes/X/control", {"mode": "advise"}, 404),
        ("PUT", "/api/v1/routes/R/control", {"mode": "advise", "law": "none"}, 422),
        ("PUT", "/api/v1/routes/R/control", {"mode": "advise", "law": "magic"}, 422),
        ("PUT", "/api/v1/routes/R/control", {"mode": "sometimes"}, 422),
        ("PUT", "/api/v1/routes/R/control", {}, 422),
        ("GET", "/api/v1/decisions", None, 503),
        ("GET", "/api/v1/decisions?from=2&to=1", None, 422),
        ("GET", "/api/v1/decisions?from=0&to=9999999999", None, 422),
        ("GET", "/api/v1/decisions?from=nan&to=1", None, 422),
        ("GET", "/api/v1/decisions?to=4.255816706888897e16", None, 422),
    ],
)
async def test_what_cannot_be_is_refused(tmp_path: Path, method: str, path: str, body: Any, status: int) -> None:
    async with desk(tmp_path) as at:
        found, problem = await at.ask(method, path, body)
        assert (found, problem["status"]) == (status, status), problem


async def test_it_is_a_dispatchers_alone(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        mine = [(method, path) for method, path, right in routes_of(at.web.server.operations) if right != "public"]
        mine = [
            (method, path.replace("{id}", "x").replace("{route_id}", "R"))
            for method, path in mine
            if any(word in path for word in ("/advice", "/control", "/decisions", "/instructions"))
        ]
        assert len(mine) == 10
        for method, path in mine:
            assert (await at.ask(method, path, role=""))[0] == 401
            for role in ("cashier", "inspector", "validator", "vendor"):
                assert (await at.ask(method, path, role=role))[0] == 403


async def test_decisions_are_read_back_from_the_database(tmp_path: Path, database: str) -> None:
    pool = await open_pool(database, size_max=2)
    try:
        async with desk(tmp_path, HistoryReader(pool, "UTC")) as at:
            advice = await at.advice()
            await at.ask("POST", f"/api/v1/advice/{advice['id']}/apply")
            now_s = at.line.now_s
            kept = History(database, ZoneInfo("UTC"), lambda: now_s)
            for decision in at.line.decisions:
                kept.decide(decision)
            await kept.write()
            span = f"from={now_s - 60}&to={now_s + 60}"
            _, answer = await at.ask("GET", f"/api/v1/decisions?{span}&route_id=R")
            found = {row["id"]: row for row in answer["decisions"]}[advice["id"]]
            assert (found["kind"], found["state"], found["by"], found["law"]) == (
                "hold",
                "applied",
                "desk1",
                "prediction",
            )
            assert (found["vehicle_id"], found["operator_id"]) == ("1", "op")
            assert found["known"]["situation"]["scheduled_headway_s"] == 300
            assert (await at.ask("GET", f"/api/v1/decisions?{span}&route_id=X"))[1]["decisions"] == []
    finally:
        await pool.close()


STOPS = "/api/v1/routes/R/control/stops"


async def test_a_route_has_the_control_stops_that_a_dispatcher_lists(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        status, before = await at.ask("GET", STOPS)
        assert (status, before["route_id"], before["stop_ids"]) == (200, "R", None)
        assert [stop["stop_id"] for stop in before["stops"]] == ["s0", "s3", "s6", "s9"]
        assert [stop["is_terminal"] for stop in before["stops"]] == [True, False, False, False]

        status, after = await at.ask("PUT", STOPS, {"stop_ids": ["s7", "s5", "s7"]})
        assert (status, after["stop_ids"]) == (200, ["s5", "s7"])
        assert [stop["stop_id"] for stop in after["stops"]] == ["s0", "s5", "s7"]
        assert at.line.decisions[-1].known == {"stop_ids": ["s5", "s7"]}
        assert (await at.ask("PUT", STOPS, {"stop_ids": []}))[1]["stops"] == before["stops"][:1]
        assert (await at.ask("PUT", STOPS, {"stop_ids": None}))[1] == before


async def test_a_list_of_control_stops_that_cannot_be_is_refused_by_name(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        before = (await at.ask("GET", STOPS))[1]
        for stop_ids in (["s3", "nowhere"], ["s12"]):  # the last one is where trips end
            status, answer = await at.ask("PUT", STOPS, {"stop_ids": stop_ids})
            assert (status, stop_ids[-1] in answer["detail"]) == (422, True)
        for body in (
            {},
            {"stop_ids": "s3"},
            {"stop_ids": [3]},
            {"stop_ids": [""]},
            {"stop_ids": ["s3"] * (STOPS_MAX + 1)},
        ):
            assert (await at.ask("PUT", STOPS, body))[0] in (400, 422)
        assert (await at.ask("PUT", "/api/v1/routes/none/control/stops", {"stop_ids": []}))[0] == 404
        assert (await at.ask("GET", "/api/v1/routes/none/control/stops"))[0] == 404
        for role in ("", "cashier", "inspector"):
            assert (await at.ask("GET", STOPS, role=role))[0] in (401, 403)
            assert (await at.ask("PUT", STOPS, {"stop_ids": []}, role))[0] in (401, 403)
        assert (await at.ask("GET", STOPS))[1] == before
