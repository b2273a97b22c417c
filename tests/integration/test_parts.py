"""Gateway, dispatch, ticketing and web as four processes joined over NATS: a position and a tap find their way."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest

from deploy.addresses import with_credentials
from deploy.config import Settings
from deploy.devices import Registry
from deploy.embedded_broker import BrokerSettings, embedded_broker
from deploy.embedded_postgres import embedded_postgres
from deploy.grounds import Grounds
from deploy.instance import Instance
from deploy.ports import free_port
from simulators.city import make_city
from sql.migrate import migrate

PARTS = ("dispatch", "ticketing", "gateway", "web")


def ask(port: int, path: str, body: Any = None, token: str = "") -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", None if body is None else json.dumps(body).encode()
    )
    request.add_header("Content-Type", "application/json")
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request, timeout=5) as reply:
        return json.loads(reply.read())


async def until(holds, seconds: float = 90) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if value := await asyncio.to_thread(holds):
                return value
        except (OSError, urllib.error.HTTPError, KeyError):
            pass
        await asyncio.sleep(0.1)
    pytest.fail("not in time")


def takt(*words: str) -> str:
    program = Path(sys.executable).parent / "takt"
    return subprocess.run([program, *words], capture_output=True, text=True, check=True, timeout=60).stdout


async def test_four_processes_do_the_work_of_one(tmp_path):
    instance = Instance.open(tmp_path / "data")
    feed = tmp_path / "city.zip"
    feed.write_bytes(make_city(3, dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)))
    with instance.locked():
        async with (
            embedded_postgres(instance) as dsn,
            embedded_broker(instance, BrokerSettings(mqtt_port=0)) as broker,
        ):
            await migrate(dsn)
            port = free_port()
            grounds = Grounds(instance, Settings(), dsn, broker.nats_url, broker.user, broker.password)
            environment = {
                **{name: value for name, value in os.environ.items() if not name.startswith("TAKT_")},
                "TAKT_DATA_DIR": str(instance.folder),
                "TAKT_FEED": str(feed),
                "TAKT_DATABASE_URL": dsn,
                "TAKT_NATS_URL": with_credentials(grounds),
                "TAKT_BROKER_URL": f"mqtt://{broker.user}:{broker.password}@127.0.0.1:{broker.mqtt_port}",
                "TAKT_HTTP__PORT": str(port),
            }
            command = [sys.executable, "-m", "deploy", "run"]
            status = {part: free_port() for part in PARTS}
            processes = [
                subprocess.Popen(
                    [*command, part],
                    env=environment | {"TAKT_STATUS_PORT": str(status[part])},
                    stderr=(tmp_path / f"{part}.err").open("wb"),
                )
                for part in PARTS
            ]
            try:
                await until(lambda: ask(port, "/readyz")["ready"])
                await _position_and_tap(instance, broker, port)
                await _wrong_clock(instance, broker, port)
                await _each_tells_of_itself(status)
                await _second_gateway(command, environment)
            finally:
                for process in processes:
                    process.terminate()
                statuses = [await asyncio.to_thread(process.wait, 10) for process in processes]
    errors = {part: (tmp_path / f"{part}.err").read_text() for part in PARTS}
    assert statuses == [0, 0, 0, 0], errors
    assert not any("Traceback" in text for text in errors.values()), errors


async def _each_tells_of_itself(status: dict[str, int]) -> None:
    """Each part answers for itself on its status port; the web server has one of its own already."""
    counted = {
        "gateway": "takt_gateway_positions_admitted_total",
        "ticketing": "takt_ticketing_taps_total",
        "dispatch": "takt_dispatch_ticks_total",
    }
    for part, name in counted.items():
        assert await asyncio.to_thread(ask, status[part], "/readyz") == {"ready": True, "reasons": [], "warnings": []}
        page = await asyncio.to_thread(_page, status[part], "/metrics")
        assert any(line.startswith(name) and not line.endswith(" 0.0") for line in page.splitlines()), (part, page)
        with pytest.raises(urllib.error.HTTPError, match="404"):
            await asyncio.to_thread(_page, status[part], "/")
    with pytest.raises(urllib.error.URLError, match="refused"):
        await asyncio.to_thread(_page, status["web"], "/readyz")


def _page(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as reply:
        return str(reply.read().decode())


async def _second_gateway(command: list[str], environment: dict[str, str]) -> None:
    """It would take the first one's place at the broker, again and again."""
    second = await asyncio.to_thread(
        subprocess.run, [*command, "gateway"], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert second.returncode == 1, second.stderr
    assert "another gateway runs from here (process " in second.stderr.splitlines()[-1]


async def _position_and_tap(instance: Instance, broker: Any, port: int) -> None:
    registry = Registry(instance)
    vehicle = registry.add("vehicle", "town", "v1")
    validator = registry.add("validator", "town", "d1")
    await broker.reload()
    moving = _client(vehicle, broker.mqtt_port)

    def seen() -> bool:
        position = {"ts": time.time(), "lat": 50.45, "lon": 30.52}
        moving.publish("fleet/v1/town/v1/position", json.dumps(position), qos=0)
        return any(v["vehicle_id"] == "v1" for v in ask(port, "/api/v1/vehicles")["vehicles"])

    await until(seen)

    token = takt("token", "--role", "cashier", "--data-dir", str(instance.folder)).strip()
    ticket = await asyncio.to_thread(ask, port, "/api/v1/tickets", {"product_id": "single"}, token)
    answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    door = _client(validator, broker.mqtt_port)
    door.on_message = lambda _c, _u, m: loop.call_soon_threadsafe(answers.put_nowait, json.loads(m.payload))
    subscribed = asyncio.Event()
    door.on_subscribe = lambda *_: loop.call_soon_threadsafe(subscribed.set)
    door.subscribe("validator/v1/town/d1/verdict", 0)
    async with asyncio.timeout(20):
        await subscribed.wait()
        for seq, verdict in ((1, "accepted"), (2, "used_up")):
            tap = {"id": str(uuid.uuid4()), "boot": "a", "seq": seq, "ts": time.time(), "medium": "qr"}
            door.publish("validator/v1/town/d1/tap", json.dumps(tap | {"token": ticket["token"]}), qos=1)
            assert (await answers.get())["verdict"] == verdict
    for client in (moving, door):
        client.disconnect()
        client.loop_stop()


async def _wrong_clock(instance: Instance, broker: Any, port: int) -> None:
    """A vehicle whose GPS weeks have begun again is put right, and whoever looks at vehicles can see it."""
    vehicle = Registry(instance).add("vehicle", "town", "v2")
    await broker.reload()
    moving = _client(vehicle, broker.mqtt_port)
    behind_s = 1024 * 7 * 86_400.0

    def seen() -> Any:
        position = {"ts": time.time() - behind_s, "lat": 50.45, "lon": 30.52}
        moving.publish("fleet/v1/town/v2/position", json.dumps(position), qos=0)
        shown = {row["vehicle_id"]: row for row in ask(port, "/api/v1/vehicles")["vehicles"]}
        return shown["v2"]["clock_off_s"] and (shown["v1"], shown["v2"])

    right, wrong = await until(seen)
    assert right["clock_off_s"] is None
    assert wrong["clock_off_s"] == pytest.approx(-behind_s, abs=30.0)
    assert abs(wrong["ts"] - time.time()) < 30
    moving.disconnect()
    moving.loop_stop()


def _client(credential: Any, port: int) -> mqtt.Client:
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=credential.username.replace(".", "-"))
    client.username_pw_set(credential.username, credential.password)
    connected = threading.Event()
    client.on_connect = lambda *_: connected.set()
    client.connect("127.0.0.1", port)
    client.loop_start()
    assert connected.wait(10)
    return client
