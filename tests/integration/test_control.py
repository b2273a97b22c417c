"""A bunched pair on an automatic line, over real processes: a hold goes down, answers come up, all of it is kept."""

from __future__ import annotations

import asyncio
import csv
import datetime as dt
import io
import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import paho.mqtt.client as mqtt

from deploy.addresses import with_credentials
from deploy.auth import Tokens, issuer_of, read_key
from deploy.config import Settings
from deploy.devices import Registry
from deploy.embedded_broker import BrokerSettings, embedded_broker
from deploy.embedded_postgres import embedded_postgres
from deploy.grounds import Grounds
from deploy.instance import Instance
from deploy.ports import free_port
from sql.migrate import migrate
from tests.integration.test_parts import ask, until

DATE = dt.date(2026, 7, 13)
ZONE = ZoneInfo("Europe/Kyiv")
STOPS, STOP_M, MPS = 13, 500, 10.0
METRES_A_DEGREE = 111_195.0 * 0.636_855  # of longitude, at latitude 50.45
PARTS = ("dispatch", "gateway", "web")


def clock(second: float) -> str:
    return f"{int(second) // 3600:02}:{int(second) // 60 % 60:02}:{int(second) % 60:02}"


def feed_zip() -> bytes:
    """A straight road with a stop every 500 m, and trips every five minutes from 08:00 that drive 10 m/s."""
    lon = [30.5 + n * STOP_M / METRES_A_DEGREE for n in range(STOPS)]
    trips = {f"t{n}": 8 * 3600 + 300 * n for n in range(6)}
    times = [(trip, clock(begins_s + 50 * n), n) for trip, begins_s in trips.items() for n in range(STOPS)]
    days = "monday,tuesday,wednesday,thursday,friday,saturday,sunday"
    tables: dict[str, list[Iterable[object]]] = {
        "agency.txt,agency_id,agency_name,agency_url,agency_timezone": [("a", "City", "https://x.org", ZONE)],
        "routes.txt,route_id,agency_id,route_short_name,route_type": [("r1", "a", "1", 3)],
        "stops.txt,stop_id,stop_name,stop_lat,stop_lon": [(f"s{n}", f"Stop {n}", 50.45, x) for n, x in enumerate(lon)],
        f"calendar.txt,service_id,{days},start_date,end_date": [("w", *[1] * 7, "20260701", "20260731")],
        "shapes.txt,shape_id,shape_pt_lat,shape_pt_lon,shape_pt_sequence": [
            ("p", 50.45, x, n) for n, x in enumerate(lon)
        ],
        "trips.txt,route_id,service_id,trip_id,direction_id,shape_id,block_id": [
            ("r1", "w", t, 0, "p", t) for t in trips
        ],
        "stop_times.txt,trip_id,arrival_time,departure_time,stop_id,stop_sequence": [
            (trip, at, at, f"s{n}", n + 1) for trip, at, n in times
        ],
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for head, rows in tables.items():
            name, _, columns = head.partition(",")
            text = io.StringIO()
            csv.writer(text).writerows([columns.split(","), *rows])
            archive.writestr(name, text.getvalue())
    return packed.getvalue()


@dataclass
class Vehicle:
    """A vehicle on the road that drives on until it is told to stand; instructions that reach it are kept."""

    client: mqtt.Client
    name: str
    trip: str
    begins_s: float  # when it left, or will leave, the first stop
    heard: list[dict[str, Any]] = field(default_factory=list)

    def along_m(self, at_s: float) -> float:
        return min(max(0.0, (at_s - self.begins_s) * MPS), STOP_M * (STOPS - 1))

    def report(self, at_s: float) -> None:
        place = {"lat": 50.45, "lon": 30.5 + self.along_m(at_s) / METRES_A_DEGREE}
        trip = {"trip_id": self.trip, "start_date": f"{DATE:%Y%m%d}"}
        payload = json.dumps({"ts": at_s, "speed_mps": MPS, "bearing_deg": 90, **place, **trip})
        self.client.publish(f"fleet/v1/town/{self.name}/position", payload, qos=0)

    def say(self, event: str, instruction_id: str) -> None:
        payload = json.dumps({"ts": time.time(), "event": event, "instruction_id": instruction_id})
        self.client.publish(f"fleet/v1/town/{self.name}/event", payload, qos=1).wait_for_publish(10)


def connect(credential: Any, port: int, name: str, trip: str) -> Vehicle:
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=credential.username.replace(".", "-"))
    client.username_pw_set(credential.username, credential.password)
    vehicle = Vehicle(client, name, trip, 0.0)
    ready = threading.Event()
    client.on_connect = lambda *_: client.subscribe(f"fleet/v1/town/{name}/instruction", 1)
    client.on_subscribe = lambda *_: ready.set()
    client.on_message = lambda _c, _u, message: vehicle.heard.append(json.loads(message.payload))
    client.connect("127.0.0.1", port)
    client.loop_start()
    assert ready.wait(20)
    status = json.dumps({"online": True, "ts": time.time()})
    client.publish(f"fleet/v1/town/{name}/status", status, qos=1, retain=True).wait_for_publish(10)
    return vehicle


def put(port: int, path: str, body: Any, token: str) -> Any:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", json.dumps(body).encode(), method="PUT")
    request.add_header("Content-Type", "application/json")
    request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request, timeout=10) as reply:
        return json.loads(reply.read())


async def test_a_bunched_pair_is_held_and_all_of_it_is_kept(tmp_path: Path) -> None:
    instance = Instance.open(tmp_path / "data")
    feed = tmp_path / "line.zip"
    feed.write_bytes(feed_zip())
    eight_s = dt.datetime.combine(DATE, dt.time(8, 8), ZONE).timestamp()
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
                "TAKT_TIMETABLE_SHIFT_S": str(time.time() - eight_s),  # it is eight minutes past eight
            }
            processes = [
                subprocess.Popen(
                    [sys.executable, "-m", "deploy", "run", part],
                    env=environment,
                    stderr=(tmp_path / f"{part}.err").open("wb"),
                )
                for part in PARTS
            ]
            try:
                await until(lambda: ask(port, "/readyz")["ready"])
                tokens = Tokens(read_key(instance.token_key_path), issuer_of(instance.id))
                token = tokens.issue("dispatcher", "desk1", time.time(), 3600)
                registry = Registry(instance)
                devices = {name: registry.add("vehicle", "town", name) for name in ("v0", "v1", "v2")}
                await broker.reload()
                fleet = [connect(devices[f"v{n}"], broker.mqtt_port, f"v{n}", f"t{n}") for n in range(3)]
                await _hold(port, token, fleet, dsn)
                for vehicle in fleet:
                    vehicle.client.disconnect()
                    vehicle.client.loop_stop()
            finally:
                for process in processes:
                    process.terminate()
                statuses = [await asyncio.to_thread(process.wait, 20) for process in processes]
    errors = {part: (tmp_path / f"{part}.err").read_text() for part in PARTS}
    assert statuses == [0, 0, 0], errors
    kept = json.loads((instance.folder / "control.json").read_text())["lines"]
    assert [(line["route_id"], line["mode"], line["law"]) for line in kept] == [("r1", "automatic", "prediction")]


async def _hold(port: int, token: str, fleet: list[Vehicle], dsn: str) -> None:
    line = await asyncio.to_thread(
        put, port, "/api/v1/routes/r1/control", {"mode": "automatic", "law": "prediction"}, token
    )
    assert (line["mode"], line["by"]) == ("automatic", "desk1")
    now_s = time.time()
    # The second is half a minute before the third stop, the first passed it a minute ago, the third has yet to begin.
    fleet[0].begins_s, fleet[1].begins_s, fleet[2].begins_s = now_s - 210.0, now_s - 120.0, now_s + 160.0
    for back_s in range(200, 0, -5):
        for vehicle in fleet:
            vehicle.report(now_s - back_s)

    def told() -> bool:
        for vehicle in fleet:
            vehicle.report(time.time())
        return bool(fleet[1].heard)

    await until(told)
    (hold,) = fleet[1].heard
    assert (hold["kind"], hold["stop_id"]) == ("hold", "s3")
    assert 30 <= hold["hold_s"] <= 90
    assert hold["until_ts"] > time.time()
    assert "зачекайте" in hold["text"]
    rows = lambda: ask(port, "/api/v1/instructions?route_id=r1", token=token)["instructions"]  # noqa: E731
    await until(lambda: rows()[0]["state"] == "delivered")
    fleet[1].say("instruction_read", "somebody else's")
    fleet[0].say("instruction_done", hold["id"])  # not the vehicle that was asked
    fleet[1].say("instruction_read", hold["id"])
    await until(lambda: rows()[0]["state"] == "read")
    await asyncio.to_thread(_check_stream, port, token)
    fleet[1].say("instruction_done", hold["id"])
    await until(lambda: rows()[0]["state"] == "done")
    (row,) = rows()
    assert (row["vehicle_id"], row["automatic"], row["by"], row["law"]) == ("v1", True, "automatic", "prediction")
    advice = ask(port, "/api/v1/advice", token=token)["advice"]
    assert [(one["vehicle_id"], one["state"], one["instruction_id"]) for one in advice if one["kind"] == "hold"] == [
        ("v1", "applied", hold["id"])
    ]
    await _message(port, token, fleet[0])

    def decided() -> Any:
        found = ask(port, "/api/v1/decisions?route_id=r1", token=token)["decisions"]
        return [one for one in found if one["known"].get("instruction", {}).get("state") == "done"]

    (decision,) = await until(decided)
    assert (decision["kind"], decision["state"], decision["law"]) == ("hold", "automatic", "prediction")
    assert decision["known"]["situation"]["scheduled_headway_s"] == 300
    connection = await asyncpg.connect(dsn)
    stored = await connection.fetch("SELECT kind, state, vehicle FROM decision WHERE id = $1", row["advice_id"])
    await connection.close()
    assert [tuple(one) for one in stored] == [("hold", "automatic", "town/v1")]


async def _message(port: int, token: str, vehicle: Vehicle) -> None:
    """A dispatcher's own words go the same way."""
    body = {"vehicle_id": vehicle.name, "kind": "message", "text": "Call the desk"}
    sent = await asyncio.to_thread(ask, port, "/api/v1/instructions", body, token)
    await until(lambda: any(one["id"] == sent["id"] for one in vehicle.heard))
    vehicle.say("instruction_read", sent["id"])

    def read() -> bool:
        rows = ask(port, "/api/v1/instructions", token=token)["instructions"]
        return any(one["id"] == sent["id"] and one["state"] == "read" and one["by"] == "desk1" for one in rows)

    await until(read)


def _check_stream(port: int, token: str) -> None:
    """Dispatchers see control on the stream, nobody else does."""
    names = lambda text: {line[7:] for line in text.splitlines() if line.startswith("event: ")}  # noqa: E731
    assert names(_listen(port, token, lambda text: "event: control" in text and "event: advice" in text)) >= {
        "advice",
        "instructions",
        "control",
        "vehicles",
    }
    public = names(_listen(port, "", lambda text: text.count("event: vehicles") >= 2))
    assert public == {"vehicles", "headways", "alerts"}


def _listen(port: int, token: str, enough: Callable[[str], bool]) -> str:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/api/v1/stream")
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    text = ""
    with urllib.request.urlopen(request, timeout=20) as reply:
        while not enough(text):
            line = reply.readline()
            assert line, text
            text += line.decode()
    return text
