"""kill -9 of the whole process tree while taps arrive: what has a receipt is stored once, the rest comes again."""

from __future__ import annotations

import asyncio
import json
import queue
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import asyncpg
import paho.mqtt.client as mqtt
import psutil
import pytest

from tests.acceptance.product import Product, product
from tests.acceptance.test_demo import sold

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]

VALIDATORS = 10
TAPS_PER_S = 20  # of each
SECONDS_BEFORE = 4


class Validator:
    """Keeps each tap until its receipt; knows nothing but the contract."""

    def __init__(self, running: Product, credentials: dict[str, Any]) -> None:
        self.id = credentials["id"]
        self.base = f"validator/v1/town/{self.id}"
        self.credentials = credentials
        self.port = running.mqtt_port
        self.kept: dict[str, dict[str, Any]] = {}
        self.receipted: dict[str, str] = {}
        self.through = 0
        self.lock = threading.Lock()
        self.seq = 0

    def connect(self) -> None:
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=self.id)
        self.client.username_pw_set(self.credentials["username"], self.credentials["password"])
        subscribed: queue.Queue[bool] = queue.Queue()
        self.client.on_connect = lambda client, *_: client.subscribe(
            [(f"{self.base}/verdict", 0), (f"{self.base}/receipt", 0)]
        )
        self.client.on_subscribe = lambda *_: subscribed.put(True)
        self.client.on_message = self.on_message
        self.client.connect("127.0.0.1", self.port)
        self.client.loop_start()
        subscribed.get(timeout=20)

    def on_message(self, _client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
        said = json.loads(message.payload)
        with self.lock:
            if message.topic.endswith("/verdict") and said["verdict"] != "unavailable":
                if said["id"] in self.kept:
                    self.receipted[said["id"]] = said["verdict"]
                    del self.kept[said["id"]]
            elif message.topic.endswith("/receipt"):
                for tap_id in [t["id"] for t in self.kept.values() if t["seq"] <= said["seq_through"]]:
                    self.receipted[tap_id] = "by number"
                    del self.kept[tap_id]

    def tap(self, token: str) -> None:
        self.seq += 1
        tap = {"id": str(uuid.uuid4()), "boot": "k", "seq": self.seq, "ts": time.time(), "medium": "qr", "token": token}
        with self.lock:
            self.kept[tap["id"]] = tap
        self.send(tap)

    def send(self, tap: dict[str, Any]) -> None:
        self.client.publish(f"{self.base}/tap", json.dumps(tap), qos=1)

    def resend(self) -> None:
        with self.lock:
            waiting = list(self.kept.values())
        for tap in waiting:
            self.send(tap)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def sell(running: Product, number: int) -> list[str]:
    def one(_: int) -> str:
        return running.http("/api/v1/tickets", {"product_id": "single"}, role="cashier").json["token"]

    running.token("cashier")
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(one, range(number)))


async def stored_taps(running: Product) -> list[tuple[str, str]]:
    url = json.loads((running.data_dir / "runtime.json").read_text())["database_url"]
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch("SELECT id::text, verdict::text FROM tap WHERE device LIKE 'kill-%'")
    finally:
        await connection.close()
    return [(row[0], row[1]) for row in rows]


def test_nothing_is_lost_when_everything_is_killed_and_ctrl_c_stops_all(tmp_path):
    running = product(tmp_path / "data", "demo", "--vehicles", "10")
    running.start()
    running.ready()
    names = [f"kill-{number}" for number in range(VALIDATORS)]
    validators = [Validator(running, credentials) for credentials in running.devices("validator", names)]
    ticket = sold(running)
    tokens = sell(running, VALIDATORS * TAPS_PER_S)
    for validator in validators:
        validator.connect()
    began = time.monotonic()
    turn = 0
    while time.monotonic() - began < SECONDS_BEFORE:
        for number, validator in enumerate(validators):
            validator.tap(tokens[(turn + number * TAPS_PER_S) % len(tokens)])
        turn += 1
        time.sleep(max(0.0, began + turn / TAPS_PER_S - time.monotonic()))
    before = sum(len(validator.receipted) for validator in validators)
    running.kill_everything()
    for validator in validators:
        validator.client.loop_stop()
    assert before > 0, "no tap had a receipt before the kill"

    running.start()
    running.ready()
    assert running.http(f"/api/v1/tickets/{ticket['id']}", role="cashier").status == 200
    for validator in validators:
        validator.connect()
        validator.resend()

    def all_receipted() -> bool:
        for validator in validators:
            validator.resend()
        time.sleep(0.5)
        return not any(validator.kept for validator in validators)

    running.wait("every tap's receipt", all_receipted, 60)
    stored = asyncio.run(stored_taps(running))
    made = {tap_id for validator in validators for tap_id in validator.receipted}
    assert sorted(tap_id for tap_id, _ in stored) == sorted(made), "each tap is stored once, and nothing else is"
    verdict_of = dict(stored)
    told = {t: v for validator in validators for t, v in validator.receipted.items() if v != "by number"}
    assert {t: verdict_of[t] for t in told} == told
    accepted = sum(verdict == "accepted" for _, verdict in stored)
    assert accepted <= len(tokens), "a single ticket was accepted twice"
    for validator in validators:
        validator.close()
    tree = running.tree()
    assert running.stop() == 0
    _, alive = psutil.wait_procs(tree, timeout=5)
    assert alive == []
