"""The player against a real broker that checks every device's rights; ticketing's part is played by the test."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import itertools
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiomqtt
import msgspec
import numpy as np
import pytest

from deploy.devices import DeviceId as Registered
from deploy.devices import Registry
from deploy.embedded_broker import Broker, BrokerSettings, embedded_broker
from deploy.instance import Instance
from dispatch.network import Network
from dispatch.network_file import save_network
from dispatch.timetable import move_to
from gateway.position import decode_position
from gateway.refusal import Refusal
from gateway.wire import decode_tap, decode_validator_event, decode_vehicle_event
from simulators.checker import compare
from simulators.faults import FaultSettings
from simulators.journal import read_journal
from simulators.outing import Pace
from simulators.player import Cast, Doors, PlayerSettings, play
from simulators.player_process import DeviceConfig, PlayerConfig, main
from simulators.provision import DeviceCredential, needed_devices
from simulators.riders import CityCard, RiderSettings
from simulators.validator_library.pacing import Limits
from simulators.vehicles import VehicleSettings
from tests.unit.simulators.straight_line import make_line

DAY = dt.date(2026, 7, 13)
WAIT_S = 30.0


@dataclass
class Office:
    """Everything that devices say, and ticketing's answers to taps: `answer` decides each."""

    client: aiomqtt.Client
    answer: Callable[[dict[str, Any], int], str | None]
    heard: dict[str, list[tuple[str, bytes]]] = field(default_factory=dict)
    stored: dict[str, dict[str, Any]] = field(default_factory=dict)
    numbers: dict[tuple[str, str], set[int]] = field(default_factory=dict)
    ranges: int = 0  # receipts that covered taps without a verdict
    tries: dict[str, int] = field(default_factory=dict)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def listen(self) -> None:
        async for message in self.client.messages:
            topic, payload = str(message.topic), bytes(message.payload)  # type: ignore[arg-type]
            kind = topic.rsplit("/", 1)[1]
            if kind == "tap":
                await self._judge(topic, payload)
            async with self.changed:
                self.heard.setdefault(kind, []).append((topic, payload))
                self.changed.notify_all()

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(WAIT_S), self.changed:
            await self.changed.wait_for(true)

    def senders(self, kind: str) -> set[str]:
        return {topic.split("/")[3] for topic, _ in self.heard.get(kind, [])}

    async def _judge(self, topic: str, payload: bytes) -> None:
        tap = json.loads(payload)
        self.tries[tap["id"]] = self.tries.get(tap["id"], 0) + 1
        verdict = self.answer(tap, self.tries[tap["id"]])
        base = topic.removesuffix("tap")
        if verdict == "range":  # stored, and only the cumulative receipt says so
            self._store(tap, topic)
            numbers = self.numbers[topic, tap["boot"]]
            through = next(n for n in itertools.count() if n + 1 not in numbers)
            self.ranges += through >= tap["seq"]
            await self.client.publish(base + "receipt", json.dumps({"boot": tap["boot"], "seq_through": through}))
        elif verdict is not None:
            if verdict != "unavailable":
                self._store(tap, topic)
            await self.client.publish(base + "verdict", json.dumps({"id": tap["id"], "verdict": verdict}))

    def _store(self, tap: dict[str, Any], topic: str) -> None:
        self.numbers.setdefault((topic, tap["boot"]), set()).add(tap["seq"])
        self.stored[tap["id"]] = {"id": tap["id"], "verdict": "accepted", "device": topic.split("/")[3]}


@dataclass
class Stage:
    """A broker, devices with credentials, and a network whose line has been running for an hour."""

    broker: Broker
    network: Network
    devices: list[DeviceCredential]
    seeds: Iterator[int] = field(default_factory=itertools.count)  # of plays: no two have the same taps


def running_line(headway_s: int) -> Network:
    """A line of twenty minutes whose last vehicle of the day leaves now: nobody joins those on the road.

    Its stops are as far apart as riders of their own need them to be.
    """
    line = make_line(stops=121, spacing_m=210.0, leg_s=10, trips=3600 // headway_s + 1, headway_s=headway_s)
    return move_to(line, DAY, 8 * 3600 + 3600, time.time())


@pytest.fixture
def network() -> Network:
    """Four vehicles."""
    return running_line(300)


@pytest.fixture
def busy() -> Network:
    """Twelve vehicles, so that riders get in somewhere every second."""
    return running_line(100)


@contextlib.asynccontextmanager
async def on_stage(folder: Path, network: Network, *, share: float = 0.5) -> AsyncIterator[Stage]:
    instance = Instance.open(folder / "data")
    needed = needed_devices(network, time.time(), 600.0, 12, validator_share=share)
    with instance.locked():
        made = Registry(instance).add_many([Registered(d.kind, d.operator, d.id) for d in needed])
        devices = [
            DeviceCredential(d.kind, d.operator, d.id, c.username, c.password)
            for d, c in zip(needed, made, strict=True)
        ]
        async with embedded_broker(instance, BrokerSettings(mqtt_port=0)) as broker:
            yield Stage(broker, network, devices)


@contextlib.asynccontextmanager
async def office(broker: Broker, answer: Callable[[dict[str, Any], int], str | None]) -> AsyncIterator[Office]:
    client = aiomqtt.Client(
        broker.mqtt_host, broker.mqtt_port, username=broker.user, password=broker.password, identifier="office"
    )
    desk = Office(client, answer)
    async with contextlib.AsyncExitStack() as after:
        await after.enter_async_context(client)
        for topic, qos in (("fleet/v1/+/+/+", 0), ("validator/v1/+/+/tap", 1), ("validator/v1/+/+/event", 1)):
            await client.subscribe(topic, qos)
        # Not cancelled: up to Python 3.11 a publication that is just confirmed would swallow that, and the desk go on
        # to listen for ever. It ends when its connection does.
        task = asyncio.create_task(desk.listen())
        try:
            yield desk
        finally:
            await after.aclose()
            with contextlib.suppress(aiomqtt.MqttError):
                async with asyncio.timeout(WAIT_S):
                    await task


@contextlib.asynccontextmanager
async def playing(
    stage: Stage,
    journal: Path | None = None,
    plan_s: float = 3_600.0,
    fallback_s: float | None = None,
    disks: Path | None = None,
    speed: float = 1.0,
    **changed: Any,
) -> AsyncIterator[dict[str, Any]]:
    """A play at the side; its statistics are in the dict: what the player last told, and the last when it is over.

    `speed` is that of the city's clock: what riders do in a minute takes so much less of ours.
    """
    settings = PlayerSettings(
        journal=journal,
        plan_s=plan_s,
        report_s=0.1,
        vehicles=VehicleSettings(hold_compliance=1.0, dwell_fixed_s=1.0, boarding_s=0.1),
        pace=Pace(position_interval_s=0.5, alarms_per_hour=0.0, faults=FaultSettings().none_at_all()),
        # A replay is refused by whoever decides alone.
        riders=RiderSettings(taps_per_s=8.0 / speed, replayed=0.0, to_reader_s_mean=0.3),
        limits=Limits(first_pause_s=0.25 * speed, pause_s_max=1.0 * speed, **changed),
        fallback_s=fallback_s,
        disks=disks,
    )
    stop = asyncio.Event()
    statistics: dict[str, Any] = {}
    rng = np.random.default_rng(next(stage.seeds))
    broker = stage.broker
    began_s, began = time.time(), time.monotonic()

    def clock() -> float:
        return began_s + speed * (time.monotonic() - began)

    # Nobody sells tickets: riders have cards.
    doors = Doors("http://127.0.0.1:9", broker.mqtt_host, broker.mqtt_port, report=statistics.update, clock=clock)
    cards = [CityCard(b"\x04" + rng.bytes(6), bytes(16), rng.bytes(16)) for _ in range(20)]

    async def run() -> None:
        statistics.update(await play(stage.network, Cast(stage.devices, cards), doors, settings, rng, stop))

    task = asyncio.create_task(run())
    try:
        yield statistics
    finally:
        stop.set()
        async with asyncio.timeout(WAIT_S):
            await task


def accept(_tap: dict[str, Any], _tries: int) -> str:
    return "accepted"


async def test_every_vehicle_says_who_and_where_it_is(tmp_path: Path, busy: Network) -> None:
    async with on_stage(tmp_path, busy) as stage, office(stage.broker, accept) as desk:
        vehicles = {device.id for device in stage.devices if device.kind == "vehicle"}
        async with playing(stage, speed=5.0) as statistics:
            await desk.until(lambda: len(desk.senders("position")) == 12 and vehicles <= desk.senders("event"))
            await desk.until(lambda: len(desk.heard["position"]) > 20 and bool(desk.stored))
        await desk.until(lambda: sum(b"false" in payload for _, payload in desk.heard["status"]) == 12)

    assert desk.senders("position") <= vehicles
    fixes = [decode_position(payload) for _, payload in desk.heard["position"]]
    assert not [fix for fix in fixes if isinstance(fix, Refusal)]
    assert {fix.route_id for fix in fixes if not isinstance(fix, Refusal)} == {"R"}
    heard = [(topic, payload) for topic, payload in desk.heard["event"] if topic.startswith("fleet/")]
    events = [decode_vehicle_event(payload, "", 0.0) for _, payload in heard]
    assert {event.event for event in events if not isinstance(event, Refusal)} == {"sign_on"}
    reports = [decode_validator_event(p, "", 0.0) for topic, p in desk.heard["event"] if topic.startswith("validator/")]
    assert {report.event for report in reports if not isinstance(report, Refusal)} <= {"lists"}
    assert statistics["connects"] == 18  # twelve vehicles and six validators, once each
    assert statistics["refused"] == statistics["failed"] == statistics["online"] == 0


async def test_taps_are_sent_until_somebody_has_them(tmp_path: Path, busy: Network) -> None:
    def grudgingly(tap: dict[str, Any], tries: int) -> str | None:
        """Lost the first time, unavailable the second, then a receipt by verdict or by range, and to that a verdict."""
        by_verdict = tap["seq"] % 2 or tap["offline"]
        return (None, "unavailable", "accepted" if by_verdict else "range")[min(tries, 3) - 1]

    journal = tmp_path / "journal.jsonl"
    async with (
        on_stage(tmp_path, busy, share=1.0) as stage,
        office(stage.broker, grudgingly) as desk,
        playing(stage, journal, speed=5.0) as statistics,
    ):
        await desk.until(lambda: len(desk.stored) >= 20 and desk.ranges >= 4)
        await desk.until(lambda: statistics["receipted"] >= 15 and statistics["put_back"] > 0)

    read = [decode_tap(payload, "city", topic.split("/")[3], 0.0) for topic, payload in desk.heard["tap"]]
    assert not [one for one in read if isinstance(one, Refusal)]
    same = {(one.id, one.raw) for one in read if not isinstance(one, Refusal) and one.offline is None}
    assert len(same) == len(desk.tries)  # every retry is the same, byte for byte
    assert statistics["resent"] >= 20
    # Stored, and the verdict lost: the rider was let in by the validator's word, and that is sent after it.
    assert {one.id for one in read if not isinstance(one, Refusal) and one.offline is not None} <= desk.stored.keys()
    assert statistics["put_back"] > 0
    with journal.open("rb") as file:
        comparison = compare(read_journal(file), desk.stored.values())
    assert comparison.findings == []
    assert comparison.receipted >= 15


async def test_a_restart_sends_what_the_last_start_left(tmp_path: Path, busy: Network) -> None:
    journal = tmp_path / "journal.jsonl"
    async with on_stage(tmp_path, busy, share=1.0) as stage:
        async with office(stage.broker, lambda _tap, _tries: None) as deaf, playing(stage, journal, speed=5.0):
            await deaf.until(lambda: len(deaf.tries) >= 5)
        async with office(stage.broker, accept) as desk, playing(stage, journal, speed=5.0):
            await desk.until(lambda: deaf.tries.keys() <= desk.stored.keys())

    with journal.open("rb") as file:
        assert compare(read_journal(file), desk.stored.values()).findings == []


async def test_validators_decide_alone_and_upload_from_their_own_disks(tmp_path: Path, busy: Network) -> None:
    journal, disks = tmp_path / "journal.jsonl", tmp_path / "disks"
    nobody = True

    def answer(_tap: dict[str, Any], tries: int) -> str | None:
        if nobody:
            return "unavailable" if tries == 2 else None
        return "accepted"

    def heard(desk: Office) -> list[dict[str, Any]]:
        return [json.loads(payload) for _, payload in desk.heard.get("tap", [])]

    async with on_stage(tmp_path, busy, share=1.0) as stage, office(stage.broker, answer) as desk:
        async with playing(stage, journal, fallback_s=1.0, disks=disks, speed=5.0) as alone:
            await desk.until(lambda: len({tap["id"] for tap in heard(desk) if tap["offline"]}) >= 5)
        left = set(desk.tries)
        files = {path.name for path in disks.iterdir() if path.stat().st_size}
        assert {f"city.{name}" for name in desk.senders("tap")} <= files
        journal.rename(tmp_path / "first.jsonl")  # it has no part in what follows
        nobody = False
        async with playing(stage, journal, fallback_s=60.0, disks=disks, speed=5.0) as back:
            await desk.until(lambda: left <= desk.stored.keys())
            await desk.until(lambda: back["receipted"] >= len(left))  # the last verdicts have come
            await desk.until(lambda: any(tap["offline"] is None and tap["id"] not in left for tap in heard(desk)))

    assert alone["by_own_verdict"] == {"accepted": alone["offline"]}  # cards on trust: it had no lists
    decided = [tap["offline"] for tap in heard(desk) if tap["id"] in left and tap["offline"]]
    assert {(one["verdict"], one["rules_version"]) for one in decided} == {("accepted", 1)}
    entries = []
    for path in (tmp_path / "first.jsonl", journal):
        with path.open("rb") as file:
            entries += list(read_journal(file))
    comparison = compare(entries, desk.stored.values())
    assert comparison.findings == []
    assert comparison.receipted >= len(left)


async def test_a_tap_that_nobody_answers_is_set_aside_and_reported(tmp_path: Path, busy: Network) -> None:
    async with (
        on_stage(tmp_path, busy, share=1.0) as stage,
        office(stage.broker, lambda _tap, _tries: None) as desk,
        playing(stage, speed=5.0, tries_max=2) as statistics,
    ):
        await desk.until(lambda: any(b"tap_set_aside" in payload for _, payload in desk.heard.get("event", [])))

    assert statistics["set_aside"] > 0
    assert statistics["taps_waiting"] >= statistics["set_aside"]  # kept all the same


async def test_a_driver_holds_and_answers(tmp_path: Path, network: Network) -> None:
    async with (
        on_stage(tmp_path, network, share=0.0) as stage,
        office(stage.broker, accept) as desk,
        playing(stage, speed=5.0),
    ):
        await desk.until(lambda: len(desk.senders("event")) == 4)
        vehicle = stage.devices[0]
        order = {"id": "i-1", "ts": time.time(), "kind": "hold", "until_ts": time.time() + 60.0, "text": "wait"}
        await desk.client.publish(f"fleet/v1/city/{vehicle.id}/instruction", json.dumps(order), 1)
        await desk.until(lambda: any(b"instruction_read" in payload for _, payload in desk.heard["event"]))

    topic, payload = next(one for one in desk.heard["event"] if b"instruction_read" in one[1])
    assert topic == f"fleet/v1/city/{vehicle.id}/event"
    assert json.loads(payload)["instruction_id"] == "i-1"


async def test_a_plan_that_runs_out_is_followed_by_another(tmp_path: Path, network: Network) -> None:
    async with (
        on_stage(tmp_path, network, share=0.0) as stage,
        office(stage.broker, accept) as desk,
        playing(stage, plan_s=4.0),
    ):

        def starts() -> set[tuple[str, str]]:
            return {(topic, json.loads(payload)["boot"]) for topic, payload in desk.heard.get("position", [])}

        await desk.until(lambda: len(starts()) >= 8)


async def test_all_devices_come_back_to_a_broker_that_was_killed(tmp_path: Path, network: Network) -> None:
    async with on_stage(tmp_path, network) as stage:
        port = stage.broker.mqtt_port
        async with playing(stage) as statistics:
            async with office(stage.broker, accept) as desk:
                await desk.until(lambda: len(desk.senders("position")) == 4)
                os.kill(stage.broker.pid, signal.SIGKILL)
                await stage.broker.died
            instance = Instance.open(tmp_path / "data")
            async with (
                embedded_broker(instance, BrokerSettings(mqtt_port=port)) as again,
                office(again, accept) as desk,
            ):
                await desk.until(lambda: len(desk.senders("position")) == 4)

    assert statistics["disconnects"] >= 6


async def test_wrong_credentials_are_refused_and_counted(tmp_path: Path, network: Network) -> None:
    async with on_stage(tmp_path, network, share=0.0) as stage, office(stage.broker, accept) as desk:
        stage.devices[0] = DeviceCredential("vehicle", "city", stage.devices[0].id, stage.devices[0].username, "wrong")
        async with playing(stage) as statistics:
            await desk.until(lambda: len(desk.senders("position")) == 3)

    assert statistics["refused"] >= 1
    assert stage.devices[0].id not in desk.senders("position")


async def run_main(config: Path) -> tuple[asyncio.subprocess.Process, asyncio.StreamReader]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "simulators", str(config), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    return process, process.stdout


async def test_a_process_plays_as_its_file_says_and_stops_when_asked(tmp_path: Path, network: Network) -> None:
    save_network(network, tmp_path / "network")
    async with on_stage(tmp_path, network, share=0.0) as stage, office(stage.broker, accept) as desk:
        config = PlayerConfig(
            network=tmp_path / "network",
            http_url="http://127.0.0.1:9",
            mqtt_host=stage.broker.mqtt_host,
            mqtt_port=stage.broker.mqtt_port,
            kiosk_token="",
            devices=[DeviceConfig(d.kind, d.operator, d.id, d.username, d.password) for d in stage.devices],
            shift_s=network.shift_s,
            settings=PlayerSettings(report_s=0.5),
        )
        path = tmp_path / "player.json"
        path.write_bytes(msgspec.json.encode(config, enc_hook=str))
        process, output = await run_main(path)
        await desk.until(lambda: len(desk.senders("position")) == 4)
        async with asyncio.timeout(WAIT_S):
            report = json.loads(await output.readline())
            process.terminate()
            assert await process.wait() == 0

    assert report["vehicles"] == 4


@pytest.mark.parametrize("text", ["", "{", "[]", '{"network": "x"}', '{"network": 3}'])
def test_a_bad_configuration_gets_one_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "player.json"
    path.write_text(text)
    with pytest.raises(SystemExit) as ended:
        main(path)

    sentence = str(ended.value)
    assert sentence.startswith(f"{path}: ")
    assert "\n" not in sentence


async def test_a_process_ends_with_that_sentence(tmp_path: Path) -> None:
    path = tmp_path / "player.json"
    path.write_text("{")
    process, _ = await run_main(path)
    _, errors = await process.communicate()

    assert process.returncode == 1
    assert errors.startswith(str(path).encode())
    assert errors.count(b"\n") == 1
