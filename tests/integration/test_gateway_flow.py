"""The gateway between real devices and real brokers: what comes in, what goes down, and in which order."""

from __future__ import annotations

import asyncio
import json
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.ports import free_port
from gateway.config import Broker, GatewaySettings, Source
from gateway.service import Gateway
from gateway.wire import Instruction
from tests.integration.gateway_brokers import (
    Ear,
    RunningBroker,
    device,
    mosquitto_broker,
    nats_broker,
    running,
    until,
)

TAPS = "validator/v1/kpt/v7/tap"


@pytest.fixture(params=[nats_broker, mosquitto_broker], ids=["nats", "mosquitto"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningBroker]:
    with running(request.param(tmp_path)) as started:
        yield started


def position(after_s: float = 0.0, lat: float = 50.45) -> bytes:
    return json.dumps({"ts": time.time() - 60 + after_s, "lat": lat, "lon": 30.52}).encode()


def tap(seq: int = 1, tap_id: str | None = None) -> bytes:
    fields = {"id": tap_id or str(uuid.uuid4()), "boot": "a1", "seq": seq, "ts": time.time(), "medium": "qr"}
    return json.dumps(fields | {"token": "NCFOXN"}).encode()


async def test_positions_arrive_as_columns(broker: RunningBroker) -> None:
    ear = Ear()
    async with Gateway(GatewaySettings(broker.address), ear.seams()) as gateway:
        assert gateway.healthy() == []
        with device(broker, "bus") as bus:
            for number in range(300):
                bus.send(f"fleet/v1/kpt/{number}/position", position(), qos=number % 2)
            await until(lambda: len(ear.vehicles) == 300, "300 positions")
    assert set(ear.vehicles) == {f"kpt/{number}" for number in range(300)}
    assert gateway.stats["positions_admitted"] == 300


async def test_what_was_sent_without_an_acknowledgement_harms_nobody(broker: RunningBroker) -> None:
    """A device that sends taps and events with QoS 0 cannot end the session on which everybody's taps come."""
    ear = Ear()
    async with Gateway(GatewaySettings(broker.address), ear.seams()) as gateway:
        with device(broker, "careless", "validator/v1/kpt/v7/verdict") as validator:
            event = json.dumps({"ts": time.time(), "event": "lists", "ages_s": {}}).encode()
            for payload in (event, b"{"):
                validator.send("validator/v1/kpt/v7/event", payload, qos=0)
            for payload in (tap(1), b"{", b"x" * 100_000, tap(2)):
                validator.send(TAPS, payload, qos=0)
            await until(lambda: len(validator.heard) == 2 and len(ear.letters) == 3, "answers and letters")
            validator.send(TAPS, tap(3), qos=1)
            await until(lambda: len(validator.heard) == 3, "the answer to one that is acknowledged")
        assert gateway.stats.get("mqtt_disconnects", 0) == 0
        assert gateway.healthy() == []
    assert len(ear.validator_events) == 1


async def test_fixes_that_break_a_rule_are_counted_by_it(broker: RunningBroker) -> None:
    ear = Ear()
    async with Gateway(GatewaySettings(broker.address), ear.seams()) as gateway:
        with device(broker, "bus") as bus:
            for after_s, lat in (
                (0, 50.45),
                (0, 50.45),
                (-200, 50.45),
                (5, 51.0),
                (-999, 50.45),
                (999, 50.45),
                (9, 50.45),
            ):
                bus.send("fleet/v1/kpt/1/position", position(round(after_s), lat)).wait_for_publish(5)
            await until(lambda: gateway.stats.get("positions_received") == 7, "7 positions")
            await until(lambda: len(ear.vehicles) >= 2, "the good ones")
    rejected = {name: number for name, number in gateway.stats.items() if name.startswith("positions_rejected")}
    assert rejected["positions_rejected.stale"] == rejected["positions_rejected.future"] == 1
    assert rejected["positions_rejected.out_of_order"] >= 1
    assert rejected["positions_rejected.teleport"] == 1


async def test_a_tap_is_answered_and_receipted_after_it_was_judged(broker: RunningBroker) -> None:
    ear = Ear()
    ear.hold.clear()
    async with Gateway(GatewaySettings(broker.address), ear.seams()) as gateway:
        with device(broker, "v7", "validator/v1/kpt/v7/verdict", "validator/v1/kpt/v7/receipt") as validator:
            tap_id = str(uuid.uuid4())
            validator.send(TAPS, tap(17, tap_id), qos=1)
            await until(lambda: len(ear.taps) == 1, "the tap at ticketing")
            assert validator.heard == []
            assert gateway.stats["taps_held"] == 1
            ear.hold.set()
            await until(lambda: len(validator.heard) >= 2, "verdict and receipt")
    verdict, receipt = (json.loads(payload) for _, payload in validator.heard[:2])
    assert (verdict["id"], verdict["verdict"], verdict["retry"]) == (tap_id, "accepted", False)
    assert receipt == {"boot": "a1", "seq_through": 17}


def impatient_nats(folder: Path) -> RunningBroker:
    """NATS sends an old session's unacknowledged messages again only after `ack_wait`."""
    return nats_broker(folder, ack_wait="2s")


# A gateway whose ticketing never commits; it says which tap it holds.
DOOMED = """
import asyncio, sys
from deploy.ports import free_port
from gateway.config import Broker, GatewaySettings
from gateway.service import Gateway, Seams

async def validate(taps):
    print(taps[0].id, flush=True)
    await asyncio.Event().wait()

async def main():
    seams = Seams(lambda _: None, lambda _: None, validate, None)
    async with Gateway(GatewaySettings(Broker("127.0.0.1", int(sys.argv[1]))), seams):
        print("ready", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.parametrize("make", [impatient_nats, mosquitto_broker], ids=["nats", "mosquitto"])
async def test_a_gateway_killed_before_commit_leaves_the_tap_with_the_broker(
    make: Callable[[Path], RunningBroker], tmp_path: Path
) -> None:
    with running(make(tmp_path)) as broker:
        await kill_before_commit(broker)


async def kill_before_commit(broker: RunningBroker) -> None:
    doomed = await asyncio.create_subprocess_exec(
        sys.executable, "-c", DOOMED, str(broker.port), stdout=asyncio.subprocess.PIPE
    )
    assert doomed.stdout is not None
    assert await doomed.stdout.readline() == b"ready\n"
    tap_id = str(uuid.uuid4())
    with device(broker, "v7", "validator/v1/kpt/v7/verdict") as validator:
        validator.send(TAPS, tap(1, tap_id), qos=1)
        assert await doomed.stdout.readline() == f"{tap_id}\n".encode()
        doomed.kill()
        await doomed.wait()
        second = Ear()
        async with Gateway(GatewaySettings(broker.address), second.seams()):
            await until(lambda: len(second.taps) == 1, "the tap at the second gateway")
            await until(lambda: len(validator.heard) == 1, "its verdict")
        third = Ear()
        async with Gateway(GatewaySettings(broker.address), third.seams()):
            validator.send(TAPS, tap(2), qos=1)
            await until(lambda: len(third.taps) == 1, "the next tap")
    assert second.taps[0].id == tap_id
    assert [tap.seq for tap in third.taps] == [2]


async def test_events_and_status_arrive(broker: RunningBroker) -> None:
    ear = Ear()
    async with Gateway(GatewaySettings(broker.address), ear.seams()):
        with device(broker, "bus") as bus:
            bus.send("fleet/v1/kpt/1/event", b'{"ts": 5, "event": "sign_on", "trip_id": "t1"}', qos=1)
            bus.send("fleet/v1/kpt/1/status", b'{"online": true}', qos=1, retain=True)
            bus.send("validator/v1/kpt/v7/event", b'{"ts": 5, "event": "tap_set_aside"}', qos=1)
            await until(lambda: len(ear.events) == 2 and len(ear.validator_events) == 1, "events")
    assert {(event.vehicle_key, event.event, event.trip_id) for event in ear.events} == {
        ("kpt/1", "sign_on", "t1"),
        ("kpt/1", "online", None),
    }


async def test_instructions_and_lists_go_down(broker: RunningBroker) -> None:
    told: list[tuple[str, bool]] = []
    seams = replace(Ear().seams(), on_instruction=lambda *what: told.append(what))
    async with Gateway(GatewaySettings(broker.address), seams) as gateway:
        with device(broker, "bus", "fleet/v1/kpt/1/instruction") as bus:
            assert gateway.send_instruction("kpt/1", Instruction("i1", 5.0, "hold", text="Зачекайте"))
            await until(lambda: len(bus.heard) == 1 and told == [("i1", True)], "the instruction, and its PUBACK")
        assert gateway.publish_lists("kpt", {"keys": {"version": 3}})
        await until(lambda: gateway.stats.get("lists_sent") == 1, "the lists sent")
        with device(broker, "late", "validator/v1/kpt/all/lists") as late:
            await until(lambda: len(late.heard) == 1, "the retained lists")
    assert json.loads(bus.heard[0][1])["text"] == "Зачекайте"
    assert json.loads(late.heard[0][1]) == {"keys": {"version": 3}}


async def test_hfp_comes_from_a_broker_of_its_own(tmp_path: Path) -> None:
    topic = "/hfp/v2/journey/ongoing/vp/bus/0018/00423/2159/2/Matinkylä (M)/09:32/2442201/3/60;24/16/58/67"
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    body = {"VP": {"dir": "2", "tst": now, "lat": 60.15, "long": 24.68, "dl": -21, "route": "2159", "spd": 8.0}}
    (tmp_path / "main").mkdir()
    (tmp_path / "hfp").mkdir()
    with running(nats_broker(tmp_path / "main")) as main, running(mosquitto_broker(tmp_path / "hfp")) as other:
        ear = Ear()
        settings = GatewaySettings(main.address, sources=(Source(other.address, "hfp"),))
        async with Gateway(settings, ear.seams()) as gateway:
            assert gateway.warnings() == []
            with device(other, "hsl") as hsl:
                hsl.send(topic, json.dumps(body).encode())
                await until(lambda: ear.vehicles == ["0018/00423"], "the HFP position")
    (batch,) = ear.fixes
    assert batch.descriptor == [(None, "2159", 1, None, None, None)]
    assert batch.speed_mps.tolist() == [8.0]


async def test_a_source_that_is_away_is_a_warning_and_no_harm(broker: RunningBroker) -> None:
    away = Source(Broker("127.0.0.1", free_port()), "hfp")
    settings = GatewaySettings(broker.address, sources=(away,), connect_timeout_s=0.5)
    async with Gateway(settings, Ear().seams()) as gateway:
        assert gateway.healthy() == []
        assert len(gateway.warnings()) == 1


async def test_a_gateway_without_a_broker_says_so_and_finds_it_later(tmp_path: Path) -> None:
    broker = nats_broker(tmp_path)
    settings = GatewaySettings(broker.address, connect_timeout_s=0.5, reconnect_s_max=0.5)
    async with Gateway(settings, Ear().seams()) as gateway:
        assert len(gateway.healthy()) == 2
        with running(broker):
            await until(lambda: gateway.healthy() == [], "the broker found")


async def test_two_gateways_with_one_name_are_noticed(broker: RunningBroker) -> None:
    settings = GatewaySettings(broker.address, reconnect_s_min=0.05, reconnect_s_max=0.2)
    async with Gateway(settings, Ear().seams()) as one, Gateway(settings, Ear().seams()) as other:
        await until(lambda: any("same client id" in text for text in one.healthy() + other.healthy()), "the alarm")
        assert any("stop one; a second instance gets a folder of its own" in text for text in one.healthy())


async def test_a_fleet_an_hour_ahead_is_told_and_not_believed(broker: RunningBroker) -> None:
    now_s = [1_771_257_600.0]
    async with Gateway(GatewaySettings(broker.address), Ear().seams(), lambda: now_s[0]) as gateway:
        with device(broker, "buses") as buses:
            for step in range(6):
                for bus in range(3):
                    ahead = {"ts": now_s[0] + 3600, "lat": 50.45, "lon": 30.52}
                    buses.send(f"fleet/v1/kpt/{bus}/position", json.dumps(ahead).encode(), qos=1).wait_for_publish(5)
                heard = 3 * (step + 1)
                await until(lambda heard=heard: gateway.stats.get("positions_received") == heard, "the positions")
                now_s[0] += 5
        assert gateway.healthy() == []
        (warning,) = gateway.warnings()
        assert warning.startswith("3 vehicles tell times that are 1 h 0 min ahead of ours, none agrees with us")
        assert gateway.stats["vehicles_clock_disputed"] == 3
        assert gateway.stats["positions_rejected.future"] == 18


@pytest.mark.parametrize("seam", ["on_fixes", "on_event"])
async def test_a_failing_seam_ends_the_gateway_with_its_error(seam: str, tmp_path: Path) -> None:
    def broken(_what: object) -> None:
        raise RuntimeError("dispatch is broken")

    good = Ear().seams()
    seams = replace(good, on_fixes=broken) if seam == "on_fixes" else replace(good, on_event=broken)
    with running(nats_broker(tmp_path)) as nats, device(nats, "bus") as bus, pytest.raises(ExceptionGroup) as failed:  # noqa: PT012
        async with Gateway(GatewaySettings(nats.address), seams):
            bus.send("fleet/v1/kpt/1/position", position())
            bus.send("fleet/v1/kpt/1/event", b'{"ts": 5, "event": "alarm"}', qos=1)
            await asyncio.Event().wait()
    assert "dispatch is broken" in str(failed.value.exceptions[0])
