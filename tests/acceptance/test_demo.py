"""`takt demo` as a new user meets it: look, sell, tap, send a position."""

from __future__ import annotations

import json
import queue
import time
import uuid
from typing import Any

import paho.mqtt.client as mqtt
import pytest

from tests.acceptance.product import Product, takt

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]


class Device:
    """A validator or vehicle of a vendor that read the contract and nothing else."""

    def __init__(self, demo: Product, kind: str, operator: str = "town") -> None:
        self.id = f"t{uuid.uuid4().hex[:10]}"
        self.operator = operator
        self.base = f"{'fleet' if kind == 'vehicle' else 'validator'}/v1/{operator}/{self.id}"
        credentials = demo.device(kind, self.id, operator)
        self.seq = 0
        self.inbox: queue.Queue[tuple[str, dict[str, Any]]] = queue.Queue()
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=self.id)
        self.client.username_pw_set(credentials["username"], credentials["password"])
        self.client.on_message = lambda _c, _u, message: self.inbox.put((message.topic, json.loads(message.payload)))
        self.client.connect("127.0.0.1", demo.mqtt_port)
        self.client.loop_start()
        deadline = time.monotonic() + 10
        while not self.client.is_connected() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert self.client.is_connected()
        if kind == "validator":
            self.client.subscribe([(f"{self.base}/verdict", 0), (f"{self.base}/receipt", 0)])
            time.sleep(0.3)

    def tap(self, token: str, medium: str = "qr", **fields: Any) -> dict[str, Any]:
        """The verdict of one tap."""
        self.seq += 1
        tap = {"id": str(uuid.uuid4()), "boot": "a1", "seq": self.seq, "ts": time.time(), "medium": medium}
        tap |= {
            "token": token,
            "bank": None,
            "vehicle": None,
            "stop_id": None,
            "lat": None,
            "lon": None,
            "offline": None,
        }
        tap |= fields
        self.client.publish(f"{self.base}/tap", json.dumps(tap), qos=1)
        while True:
            topic, message = self.inbox.get(timeout=10)
            if topic.endswith("/verdict") and message["id"] == tap["id"]:
                return message

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def validator(demo):
    device = Device(demo, "validator")
    yield device
    device.close()


def sold(demo: Product, product_id: str = "single") -> dict[str, Any]:
    reply = demo.http("/api/v1/tickets", {"product_id": product_id}, role="cashier")
    assert reply.status in (200, 201), reply.body
    return reply.json


def test_vehicles_run_on_trips_and_headways_deviate(demo):
    def vehicles():
        listed = demo.http("/api/v1/vehicles").json["vehicles"]
        on_trip = [v for v in listed if v["trip_id"] and v["distance_m"] is not None and v["deviation_s"] is not None]
        return on_trip if len(on_trip) > 100 else None

    assert demo.wait("100 vehicles on trips", vehicles)
    headways = demo.wait(
        "headways",
        lambda: [h for h in demo.http("/api/v1/headways").json["headways"] if h["deviation_s"] is not None] or None,
    )
    one = headways[0]
    assert one["deviation_s"] == pytest.approx(one["headway_s"] - one["scheduled_headway_s"], abs=0.2)
    line = demo.http(f"/api/v1/routes/{one['route_id']}/line").json
    assert line["directions"][0]["stops"]


def test_the_simulated_riders_are_accepted(demo):
    def accepted():
        return demo.http("/api/v1/ticketing/activity", role="dispatcher").json["by_verdict"].get("accepted", 0) > 20

    demo.wait("taps of the simulated riders", accepted)


def test_a_position_is_seen_and_anothers_name_is_refused(demo):
    place = demo.http("/api/v1/vehicles").json["vehicles"][0]
    mine, other = Device(demo, "vehicle"), Device(demo, "vehicle")
    position = {"ts": time.time(), "lat": place["lat"], "lon": place["lon"]}
    mine.client.publish(f"{mine.base}/position", json.dumps(position), qos=0)
    mine.client.publish(f"{other.base}/position", json.dumps(position), qos=0)

    def seen(device: Device) -> bool:
        return device.id in {v["vehicle_id"] for v in demo.http("/api/v1/vehicles").json["vehicles"]}

    demo.wait("the position", lambda: seen(mine), 10)
    assert not seen(other)
    mine.close()
    other.close()


def test_a_single_ticket_is_accepted_once(demo, validator):
    ticket = sold(demo)
    assert validator.tap(ticket["token"])["verdict"] == "accepted"
    assert validator.tap(ticket["token"])["verdict"] == "used_up"
    assert validator.tap(ticket["jwt"])["verdict"] == "used_up"


def test_a_revoked_ticket_is_revoked_even_when_used(demo, validator):
    ticket = sold(demo)
    assert validator.tap(ticket["token"])["verdict"] == "accepted"
    revoked = demo.http(f"/api/v1/tickets/{ticket['id']}/revoke", {"reason": "lost"}, role="cashier")
    assert revoked.status == 200
    assert validator.tap(ticket["token"])["verdict"] == "revoked"


def test_validators_are_told_at_once_what_lists_there_are_and_when_one_changes(demo, validator):
    ticket = sold(demo)
    validator.client.subscribe("validator/v1/town/all/lists", 1)

    def told(holds):
        while True:
            topic, message = validator.inbox.get(timeout=60)
            if topic.endswith("/all/lists") and holds(message):
                return message

    first = told(lambda message: message["status_lists"])
    assert first["keys"]["version"]
    assert first["deny_list"]["uri"].endswith("/deny-list")
    demo.http(f"/api/v1/tickets/{ticket['id']}/revoke", {"reason": "lost"}, role="cashier")
    before = {row["id"]: row["version"] for row in first["status_lists"]}
    changed = told(lambda message: any(before.get(row["id"]) != row["version"] for row in message["status_lists"]))
    assert changed["ts"] >= first["ts"]
    assert time.time() - changed["ts"] < 60


def test_one_flipped_bit_is_a_bad_signature(demo, validator):
    head, payload, signature = sold(demo)["jwt"].split(".")
    flipped = signature[:-4] + ("A" if signature[-4] != "A" else "B") + signature[-3:]
    assert validator.tap(f"{head}.{payload}.{flipped}")["verdict"] == "bad_signature"


def test_the_gtfs_realtime_feeds_are_read_by_any_client(demo):
    from google.transit import gtfs_realtime_pb2

    for name in ("vehicle-positions", "trip-updates", "alerts"):
        feed = gtfs_realtime_pb2.FeedMessage.FromString(demo.http(f"/gtfs-rt/{name}.pb").body)
        assert feed.header.gtfs_realtime_version == "2.0"
        if name != "alerts":
            assert len(feed.entity) > 50
        assert demo.http(f"/gtfs-rt/{name}.json").json["header"]


@pytest.mark.parametrize(
    ("path", "role", "status"),
    [
        ("/api/v1/tickets", None, 401),
        ("/api/v1/tickets", "dispatcher", 403),
        ("/api/v1/nothing", None, 404),
        ("/api/v1/alerts/none/acknowledge", "dispatcher", 404),
    ],
)
def test_a_refusal_is_a_problem_document(demo, path, role, status):
    reply = demo.http(path, {"product_id": "single"}, role=role, method="POST")
    assert reply.status == status
    assert reply.headers["Content-Type"].startswith("application/problem+json")
    assert {"title", "status", "detail"} <= set(reply.json)


def test_a_forged_token_is_refused(demo):
    demo.tokens["forged"] = demo.token("admin")[:-6] + "AAAAAA"
    assert demo.http("/api/v1/ticketing/activity", role="forged").status == 401


def test_operations_pages(demo):
    assert demo.http("/livez").status == 200
    assert b"takt_" in demo.http("/metrics").body
    assert demo.http("/openapi.json").json["openapi"].startswith("3.1")
    assert b"<" in demo.http("/docs").body
    assert b"<" in demo.http("/").body


def test_the_whole_tree_is_under_a_gigabyte(demo):
    assert sum(process.memory_info().rss for process in demo.tree()) < 1e9


def test_a_taken_port_is_one_sentence(demo, tmp_path):
    result = takt(
        "demo",
        "--data-dir",
        str(tmp_path / "other"),
        "--http-port",
        str(demo.http_port),
        "--mqtt-port",
        "0",
        check=False,
    )
    assert result.returncode == 1
    assert str(demo.http_port) in result.stderr
    assert "Traceback" not in result.stderr


def test_a_desk_has_a_card_topped_up_by_itself(demo):
    def card(*words: str, check: bool = True) -> tuple[str, str]:
        done = takt("card", *words, "--data-dir", str(demo.data_dir), check=check)
        return done.stdout, done.stderr

    uid = "04a1b2c3d4e5f6"
    card("enrol", uid, "--top-up", "1000")
    assert "is not topped up by itself" in card("auto-top-up", "show", uid, check=False)[1]
    terms = ("--threshold", "2000", "--amount", "5000", "--token", "visa-9")
    assert "on; below 20.00 UAH by 50.00 UAH, 1 a day" in card("auto-top-up", "set", uid, *terms)[0]
    demo.wait("the bank card to be charged", lambda: "50.00 UAH, approved" in card("auto-top-up", "show", uid)[0], 60)
    assert "purse  60.00 UAH" in card("show", uid)[0]
    assert "by hand alone" in card("auto-top-up", "end", uid)[0]
    assert "by itself" not in card("show", uid)[0]
