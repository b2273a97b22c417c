"""Dispatch over HTTP with a real engine behind it: what is shown, what a dispatcher may do, and the stream."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
import pytest_asyncio
from google.transit import gtfs_realtime_pb2 as rt

from dispatch.board import Publication
from dispatch.stream import StreamSettings
from tests.integration.web_running import Running, fixes, running_web


@pytest_asyncio.fixture(loop_scope="function")
async def web(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_web(tmp_path) as running:
        yield running


async def get(web: Running, path: str, **options: Any) -> Any:
    async with web.client() as client, client.get(path, **options) as response:
        assert response.status == 200, await response.text()
        return await response.json()


async def test_vehicles_are_listed_with_and_without_a_trip(web: Running) -> None:
    answer = await get(web, "/api/v1/vehicles")
    shown = {(row["operator_id"], row["vehicle_id"]): row for row in answer["vehicles"]}
    leader = shown["kp", "101"]
    assert (leader["trip_id"], leader["route_id"], leader["state"]) == ("t1", "r1", "on_trip")
    assert leader["distance_m"] > 1000
    assert isinstance(leader["deviation_s"], float)
    assert leader["age_s"] < 30
    assert abs(answer["as_of"] - time.time()) < 10


async def test_a_follower_has_its_leader_and_a_plan(web: Running) -> None:
    (row,) = [r for r in (await get(web, "/api/v1/headways?route_id=r1"))["headways"] if r["vehicle_id"] == "102"]
    assert (row["leader_id"], row["scheduled_headway_s"]) == ("101", 300.0)
    assert row["headway_s"] is not None
    assert row["deviation_s"] == pytest.approx(row["headway_s"] - 300.0, abs=0.2)


async def test_routes_tell_the_worst_of_each(web: Running) -> None:
    (route,) = (await get(web, "/api/v1/routes"))["routes"]
    assert (route["route_id"], route["short_name"], route["color"]) == ("r1", "1", "aa0000")
    assert route["vehicles"] >= 2
    assert route["worst_ratio"] is not None
    assert route["directions"][0]["length_m"] == pytest.approx(2974, rel=0.01)


async def test_a_line_shows_vehicles_in_their_order_with_the_gap(web: Running) -> None:
    line = await get(web, "/api/v1/routes/r1/line")
    (direction,) = line["directions"]
    assert [stop["stop_id"] for stop in direction["stops"]] == ["s1", "s2", "s3", "s4"]
    assert direction["shape"][0] == [30.5, 50.45]
    running = {(row["operator_id"], row["vehicle_id"]): row for row in direction["vehicles"]}
    leader, follower = running["kp", "101"], running["kp", "102"]
    assert leader["line_m"] > follower["line_m"] > 0
    assert follower["leader_id"] == "101"
    assert follower["gap_m"] == pytest.approx(leader["line_m"] - follower["line_m"], abs=5)
    assert follower["deviation_headway_s"] == pytest.approx(follower["headway_s"] - 300.0, abs=0.2)


async def test_arrivals_come_soonest_first(web: Running) -> None:
    answer = await get(web, "/api/v1/stops/s4/arrivals")
    assert answer["name"] == "Four"
    trips = [row["trip_id"] for row in answer["arrivals"]]
    assert trips[:2] == ["t1", "t2"]
    times = [row["predicted_at"] for row in answer["arrivals"]]
    assert times == sorted(times)
    assert answer["arrivals"][0]["headsign"] == "East"


async def test_drivers_alarms_are_for_dispatchers(web: Running) -> None:
    everybody = await get(web, "/api/v1/alerts")
    assert "alarm" not in {alert["kind"] for alert in everybody["alerts"]}
    for role in ("cashier", "validator"):
        answer = await get(web, "/api/v1/alerts", headers=web.bearer(role))
        assert "alarm" not in {alert["kind"] for alert in answer["alerts"]}
    for role in ("dispatcher", "admin"):
        answer = await get(web, "/api/v1/alerts", headers=web.bearer(role))
        assert "alarm" in {alert["kind"] for alert in answer["alerts"]}


async def test_an_alert_is_acknowledged_once_by_the_first(web: Running) -> None:
    (alarm,) = (await get(web, "/api/v1/alerts", headers=web.bearer("dispatcher")))["alerts"]
    async with web.client() as client:
        for name in ("desk1", "petro"):
            address = f"/api/v1/alerts/{alarm['id']}/acknowledge"
            async with client.post(address, headers=web.bearer("dispatcher", name)) as response:
                answer = await response.json()
                assert (response.status, answer["state"]) == (200, "acknowledged")
                assert answer["acknowledged_by"] == "desk1"
        async with client.post("/api/v1/alerts/none/acknowledge", headers=web.bearer("dispatcher")) as response:
            assert response.status == 404


async def test_an_alert_is_shelved_and_closed_by_name(web: Running) -> None:
    (alarm,) = (await get(web, "/api/v1/alerts", headers=web.bearer("dispatcher")))["alerts"]
    address = f"/api/v1/alerts/{alarm['id']}"
    async with web.client(headers=web.bearer("dispatcher", "desk1")) as client:
        async with client.post(f"{address}/shelve", json={"minutes": 10}) as response:
            answer = await response.json()
            assert (answer["state"], answer["shelved_by"]) == ("shelved", "desk1")
            assert answer["shelved_until"] == pytest.approx(time.time() + 600, abs=20)
        async with client.post(f"{address}/close", json={"reason": "the police is there"}) as response:
            answer = await response.json()
            assert (answer["state"], answer["closed_by"]) == ("closed", "desk1")
            assert answer["close_reason"] == "the police is there"
        for path, body in (("shelve", {"minutes": 0}), ("shelve", {"minutes": 1e9}), ("close", {"reason": ""})):
            async with client.post(f"{address}/{path}", json=body) as response:
                assert response.status == 422, path
        async with client.post("/api/v1/alerts/none/close", json={"reason": "x"}) as response:
            assert response.status == 404
    cashier = web.bearer("cashier")
    async with (
        web.client() as client,
        client.post(f"{address}/close", json={"reason": "x"}, headers=cashier) as response,
    ):
        assert response.status == 403


async def test_a_vehicle_is_put_on_a_trip_and_a_trip_is_cancelled(web: Running) -> None:
    async with web.client(headers=web.bearer("dispatcher", "desk1")) as client:
        address = "/api/v1/vehicles/102/assign"
        async with client.post(address, json={"trip_id": "t3"}) as response:
            answer = await response.json()
            assert (response.status, answer["trip_id"], answer["assigned_by"]) == (200, "t3", "desk1")
        for body, status in (({"trip_id": "none"}, 404), ({"trip_id": "t3", "start_date": "19700101"}, 409)):
            async with client.post(address, json=body) as response:
                assert response.status == status
        async with client.post("/api/v1/trips/t1/cancel", json={"reason": "no driver"}) as response:
            answer = await response.json()
            assert (response.status, answer["cancelled_by"], answer["route_id"]) == (200, "desk1", "r1")
        async with client.post("/api/v1/vehicles/102/assign", json={"trip_id": "t1"}) as response:
            assert response.status == 409
        async with client.post("/api/v1/trips/t1/restore", json={}) as response:
            assert response.status == 200
        async with client.post("/api/v1/trips/t1/restore", json={}) as response:
            assert response.status == 409


async def test_measures_of_a_span(web: Running) -> None:
    now_s = time.time()
    answer = await get(web, f"/api/v1/measures?from={now_s - 3600}&to={now_s}", headers=web.bearer("dispatcher"))
    assert answer["from"] == pytest.approx(now_s - 3600)
    assert isinstance(answer["measures"], list)
    async with web.client(headers=web.bearer("dispatcher")) as client:
        for query in ("from=2&to=1", "from=0&to=9999999999", "from=1", "from=-1&to=5"):
            async with client.get(f"/api/v1/measures?{query}") as response:
                assert response.status == 422, query


async def test_an_instruction_goes_to_the_vehicle_that_is_meant(web: Running) -> None:
    until_ts = time.time() + 60
    async with web.client(headers=web.bearer("dispatcher", "desk1")) as client:
        body = {"vehicle_id": "102", "kind": "hold", "until_ts": until_ts}
        async with client.post("/api/v1/instructions", json=body) as response:
            answer = await response.json()
            assert response.status == 201
    (sent,) = web.desk.sent
    assert msgspec.to_builtins(sent) == answer
    assert (sent.operator_id, sent.vehicle_id, sent.kind, sent.sent_by) == ("kp", "102", "hold", "desk1")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"vehicle_id": "102", "kind": "hold"}, 422),
        ({"vehicle_id": "102", "kind": "hold", "until_ts": 5}, 422),
        ({"vehicle_id": "102", "kind": "hold", "until_ts": 9e12}, 422),
        ({"vehicle_id": "102", "kind": "message"}, 422),
        ({"vehicle_id": "102", "kind": "message", "text": "   "}, 422),
        ({"vehicle_id": "102", "kind": "message", "text": "x" * 501}, 422),
        ({"vehicle_id": "102", "kind": "explode", "text": "x"}, 422),
        ({"vehicle_id": "../x", "kind": "message", "text": "x"}, 422),
        ({"vehicle_id": "999", "kind": "message", "text": "x"}, 404),
        ({"vehicle_id": "101", "kind": "message", "text": "x"}, 409),
        ({"vehicle_id": "101", "operator_id": "nobody", "kind": "message", "text": "x"}, 404),
        ({"vehicle_id": "101", "operator_id": "other", "kind": "message", "text": "x"}, 201),
    ],
)
async def test_an_instruction_that_cannot_be_is_refused(web: Running, body: dict[str, Any], status: int) -> None:
    async with (
        web.client(headers=web.bearer("dispatcher")) as client,
        client.post("/api/v1/instructions", json=body) as response,
    ):
        assert response.status == status, await response.text()
    assert len(web.desk.sent) == (status == 201)


async def test_any_realtime_client_reads_the_feeds(web: Running) -> None:
    async with web.client() as client:
        for name in ("vehicle-positions", "trip-updates", "alerts"):
            async with client.get(f"/gtfs-rt/{name}.pb") as response:
                assert response.content_type == "application/x-protobuf"
                feed = rt.FeedMessage()
                feed.ParseFromString(await response.read())
                tag = response.headers["ETag"]
            assert feed.header.gtfs_realtime_version == "2.0"
            async with client.get(f"/gtfs-rt/{name}.json") as response:
                shown = await response.json()
            assert len(shown.get("entity", [])) == len(feed.entity)
            async with client.get(f"/gtfs-rt/{name}.pb", headers={"If-None-Match": tag}) as response:
                assert response.status in {200, 304}


# --- the stream ------------------------------------------------------------------------------------------------------


async def next_frame(stream: aiohttp.ClientResponse) -> dict[str, Any]:
    """The next three events, by name."""
    frame: dict[str, Any] = {}
    event = ""
    async with asyncio.timeout(60):
        while len(frame) < 3:
            line = (await stream.content.readuntil(b"\n", max_size=4_000_000)).decode().rstrip("\n")
            if line.startswith("event: "):
                event = line.removeprefix("event: ")
            elif line.startswith("data: "):
                frame[event] = msgspec.json.decode(line.removeprefix("data: "))
    return frame


async def test_a_stream_tells_at_once_and_then_each_second(web: Running) -> None:
    async with web.client() as client, client.get("/api/v1/stream") as stream:
        assert stream.content_type == "text/event-stream"
        assert stream.headers["X-Request-Id"]
        first, second = await next_frame(stream), await next_frame(stream)
    assert set(first) == {"vehicles", "headways", "alerts"}
    assert second["vehicles"]["as_of"] > first["vehicles"]["as_of"]
    assert not [alert for alert in first["alerts"]["alerts"] if alert["kind"] == "alarm"]


async def test_a_dispatchers_stream_has_the_alarms(web: Running) -> None:
    async with web.client() as client, client.get("/api/v1/stream", headers=web.bearer("dispatcher")) as stream:
        frame = await next_frame(stream)
    assert "alarm" in {alert["kind"] for alert in frame["alerts"]["alerts"]}


async def test_a_fix_is_on_the_stream_within_two_ticks(web: Running) -> None:
    async with web.client() as client, client.get("/api/v1/stream") as stream:
        await next_frame(stream)
        web.desk.service.engine.ingest(fixes({"kp/new": ("t3", 30.501)}, time.time()))  # type: ignore[attr-defined]
        for _ in range(3):
            frame = await next_frame(stream)
            if "new" in {row["vehicle_id"] for row in frame["vehicles"]["vehicles"]}:
                return
    raise AssertionError("the vehicle did not come")


def large(board_as_of_s: float) -> Publication:
    """A publication of a megabyte, so that no buffer between us can hold more than a few."""
    empty = msgspec.json.encode({"as_of": board_as_of_s, "vehicles": "x" * 1_000_000})
    return Publication(board_as_of_s, "v", empty, b"{}", b"{}", b"{}", b"{}", [], b"", b"", b"")


async def stalled_client(port: int) -> socket.socket:
    """A client that asks for the stream and never reads."""
    loop = asyncio.get_running_loop()
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await loop.sock_connect(sock, ("127.0.0.1", port))
    await loop.sock_sendall(sock, b"GET /api/v1/stream HTTP/1.1\r\nHost: x\r\n\r\n")
    return sock


async def test_200_stalled_consoles_do_not_keep_the_others_waiting(web: Running) -> None:
    stalled = [await stalled_client(web.server.port) for _ in range(200)]
    async with web.client() as client, client.get("/api/v1/stream") as stream:
        async with asyncio.timeout(60):
            while web.api.streams.open < 201:
                await asyncio.sleep(0.02)
        future_s = time.time() + 1000  # newer than what the engine says meanwhile
        for nth in range(5):
            web.board.publish(large(future_s + nth))
            while (await next_frame(stream))["vehicles"]["as_of"] < future_s + nth:
                pass
        assert web.api.streams.open == 201
        held = sum(_waiting_bytes(connection) for connection in web.server._runner.server.connections)  # type: ignore[union-attr]
    assert held < 200 * 400_000  # a part or two for each, and not five megabytes
    for sock in stalled:
        sock.close()


def _waiting_bytes(connection: Any) -> int:
    return connection.transport.get_write_buffer_size() if connection.transport else 0


async def test_a_reader_that_comes_back_gets_the_newest(web: Running) -> None:
    future_s = time.time() + 1000
    web.board.publish(large(future_s))
    sock = await stalled_client(web.server.port)
    async with asyncio.timeout(60):
        while web.api.streams.open < 1:
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.1)  # the first frame is under way and stuck
        for nth in range(1, 21):
            web.board.publish(large(future_s + nth))
        loop, seen = asyncio.get_running_loop(), b""
        while f"id: {future_s + 20:.3f}".encode() not in seen:
            seen += await loop.sock_recv(sock, 1 << 20)
    assert seen.count(b"event: vehicles") < 10
    assert web.api.streams.counters["frames_skipped"] >= 10
    sock.close()


async def test_a_stalled_reader_is_let_go_in_the_end(tmp_path: Path) -> None:
    async with running_web(tmp_path, stream=StreamSettings(stall_s_max=0.3)) as running:
        running.board.publish(large(time.time() + 1000))
        sock = await stalled_client(running.server.port)
        async with asyncio.timeout(60):
            while not running.api.streams.counters["streams_stalled"]:
                await asyncio.sleep(0.05)
        assert running.api.streams.open == 0
        sock.close()


async def test_streams_are_bounded_and_a_quiet_one_beats(tmp_path: Path) -> None:
    async with running_web(tmp_path, stream=StreamSettings(streams_max=1, heartbeat_s=0.1)) as running:
        running.board.publish(large(time.time() + 1000))  # nothing newer will come
        async with running.client() as client, client.get("/api/v1/stream") as stream:
            await next_frame(stream)
            async with client.get("/api/v1/stream") as second:
                assert second.status == 503
                assert second.content_type == "application/problem+json"
            async with asyncio.timeout(60):
                while not (await stream.content.readline()).startswith(b": "):
                    pass


async def test_before_the_first_tick_everything_says_so(tmp_path: Path) -> None:
    async with running_web(tmp_path) as running:
        running.board.latest = None
        async with running.client() as client:
            for path in ("/api/v1/vehicles", "/api/v1/routes", "/gtfs-rt/alerts.pb", "/api/v1/stops/s1/arrivals"):
                async with client.get(path) as response:
                    assert response.status == 503
                    assert response.headers["Retry-After"] == "1"
