"""The gateway when things go wrong: poison, outages, brokers that die; nothing good is lost and all else is counted."""

from __future__ import annotations

import asyncio
import json
import random
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from google.transit import gtfs_realtime_pb2 as gtfs

from gateway.config import GatewaySettings
from gateway.service import Gateway
from gateway.wire import Answer, Tap
from tests.integration.gateway_brokers import Ear, RunningBroker, device, mosquitto_broker, nats_broker, running, until


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[RunningBroker]:
    with running(nats_broker(tmp_path)) as started:
        yield started


def settings(broker: RunningBroker, **changed: object) -> GatewaySettings:
    fast = {"retry_s_min": 0.01, "retry_s_max": 0.05, "reconnect_s_max": 0.3, "connect_timeout_s": 2.0}
    return GatewaySettings(broker.address, **(fast | changed))  # type: ignore[arg-type]


def tap(seq: int, token: str = "NCFOXN", medium: str = "qr") -> bytes:
    fields = {"id": str(uuid.uuid4()), "boot": "a1", "seq": seq, "ts": time.time(), "medium": medium, "token": token}
    return json.dumps(fields).encode()


def poison(rng: random.Random) -> bytes:
    """One of the worst things a position topic may carry."""
    broken = gtfs.VehiclePosition(timestamp=5)
    broken.position.latitude, broken.position.longitude = float("nan"), 30.5
    return rng.choice(
        [
            b"{",
            b'{"ts": 1, "lat": 1}',
            b"\xff\xfe\xfd",
            b'{"ts": NaN, "lat": 50, "lon": 30}',
            b'{"ts": 1, "lat": 1e999, "lon": 30}',
            b'{"ts": 1, "lat": 0, "lon": 0}',
            b'{"a":' * 1_500,
            b'{"ts": ' + b"9" * 400 + b', "lat": 1, "lon": 2}',
            b"x" * (1 << 16),
            broken.SerializeToString(),
            rng.randbytes(40),
            b"",
        ]
    )


async def test_poison_among_ten_thousand_messages_harms_none_of_the_good(nats: RunningBroker) -> None:
    rng = random.Random(12)
    good, bad = 10_000, 500
    kinds = [True] * good + [False] * bad
    rng.shuffle(kinds)
    ear, number, now_s = Ear(), 0, time.time()
    async with Gateway(settings(nats), ear.seams()) as gateway:
        with device(nats, "fleet") as fleet:
            for is_good in kinds:
                if is_good:
                    fix = {"ts": now_s - 60 + number // 1000, "lat": 50.45, "lon": 30.52}
                    fleet.send(f"fleet/v1/kpt/{number % 1000}/position", json.dumps(fix).encode(), qos=1)
                    number += 1
                else:
                    fleet.send(f"fleet/v1/kpt/bad{rng.randrange(5)}/position", poison(rng), qos=1)
                if number % 500 == 0:
                    await asyncio.sleep(0)
            await until(lambda: gateway.stats["messages_received"] == good + bad, "all messages")
            await until(lambda: len(ear.letters) == gateway.stats["dead_letters_stored"], "letters")
        stats = gateway.stats
    assert len(ear.vehicles) == stats["positions_admitted"] == good
    assert sum(count for name, count in stats.items() if name.startswith("dead_letters.")) == bad
    assert stats["dead_letters_stored"] + stats["dead_letters_over_quota"] == bad
    assert stats["dead_letters_stored"] == 5 * GatewaySettings(nats.address).dead_letters_per_device
    assert {letter.device for letter in ear.letters} == {f"kpt/bad{device}" for device in range(5)}


async def test_the_largest_message_a_broker_takes_is_a_dead_letter(nats: RunningBroker) -> None:
    ear = Ear()
    async with Gateway(settings(nats), ear.seams()):
        with device(nats, "bus") as bus:
            bus.send("fleet/v1/kpt/1/position", b"9" * (1 << 20))
            await until(lambda: len(ear.letters) == 1, "the dead letter")
    assert (ear.letters[0].reason, ear.letters[0].size_bytes) == ("too_large", 1 << 20)
    assert set(ear.letters[0].payload) == {ord("*")}


async def test_a_malformed_tap_is_stored_then_answered(nats: RunningBroker) -> None:
    ear = Ear()
    async with Gateway(settings(nats), ear.seams()) as gateway:
        with device(nats, "v7", "validator/v1/kpt/v7/verdict") as validator:
            validator.send("validator/v1/kpt/v7/tap", tap(1, token="4111 1111 1111 1111", medium="cash"), qos=1)
            validator.send("validator/v1/kpt/v7/tap", b"garbage", qos=1)
            await until(lambda: len(validator.heard) == 1 and len(ear.letters) == 2, "answer and letters")
            await until(lambda: gateway.stats["taps_held"] == 0, "both acknowledged")
    assert json.loads(validator.heard[0][1])["verdict"] == "malformed"
    assert b"4111" not in ear.letters[0].payload


async def test_an_outage_of_ticketing_loses_no_tap_and_repeats_none(nats: RunningBroker) -> None:
    ear, broken = Ear(), True

    async def validate(taps: list[Tap]) -> list[Answer]:
        if broken:
            raise ConnectionError("the database is away")
        return await ear.validate(taps)

    seams = ear.seams()
    seams = type(seams)(seams.on_fixes, seams.on_event, validate, seams.store_dead_letters)
    async with Gateway(settings(nats), seams) as gateway:
        with device(nats, "v7", "validator/v1/kpt/v7/verdict") as validator:
            for seq in range(1, 301):
                validator.send("validator/v1/kpt/v7/tap", tap(seq), qos=1)
            await until(lambda: gateway.stats.get("validate_failures", 0) > 20, "failures")
            assert ear.taps == []
            assert gateway.stats["taps_held"] > 0
            broken = False
            await until(lambda: len(validator.heard) == 300, "300 verdicts")
    assert sorted(tap.seq for tap in ear.taps) == list(range(1, 301))


async def test_one_tap_that_always_fails_harms_no_other(nats: RunningBroker) -> None:
    ear = Ear()

    async def validate(taps: list[Tap]) -> list[Answer]:
        if any(tap.token == "POISON" for tap in taps):
            raise ValueError("no such text in this encoding")
        return await ear.validate(taps)

    seams = ear.seams()
    seams = type(seams)(seams.on_fixes, seams.on_event, validate, seams.store_dead_letters)
    async with Gateway(settings(nats), seams) as gateway:
        with device(nats, "v7", "validator/v1/kpt/v7/verdict") as validator:
            for seq in range(1, 401):
                validator.send("validator/v1/kpt/v7/tap", tap(seq, "POISON" if seq % 100 == 50 else "GOOD"), qos=1)
            await until(lambda: len(validator.heard) == 396, "the verdicts of the good")
            for seq in range(401, 411):  # life goes on, which is what tells a poison from an outage
                validator.send("validator/v1/kpt/v7/tap", tap(seq), qos=1)
                await until(lambda seq=seq: len(validator.heard) == seq - 4, "a later verdict")  # type: ignore[misc]
            await until(lambda: len(ear.letters) == 4, "the poison's dead letters")
            await until(lambda: gateway.stats["taps_held"] == 0, "all acknowledged")
        assert gateway.healthy() == []
    assert {letter.reason for letter in ear.letters} == {"not_judged"}


async def test_an_unavailable_tap_is_told_once_and_judged_later(nats: RunningBroker) -> None:
    verdicts = iter(["unavailable", "unavailable", "unavailable", "accepted"])
    ear = Ear(judge=lambda _tap: next(verdicts))
    async with Gateway(settings(nats), ear.seams()):
        with device(nats, "v7", "validator/v1/kpt/v7/verdict") as validator:
            validator.send("validator/v1/kpt/v7/tap", tap(1), qos=1)
            await until(lambda: len(validator.heard) == 2, "both verdicts")
    assert [json.loads(payload)["verdict"] for _, payload in validator.heard] == ["unavailable", "accepted"]
    assert len(ear.taps) == 4


async def test_a_validation_that_hangs_is_given_up_and_tried_again(nats: RunningBroker) -> None:
    ear = Ear()
    ear.hold.clear()
    async with Gateway(settings(nats, validate_timeout_s=0.1), ear.seams()) as gateway:
        with device(nats, "v7", "validator/v1/kpt/v7/verdict") as validator:
            validator.send("validator/v1/kpt/v7/tap", tap(1), qos=1)
            await until(lambda: gateway.stats.get("validate_failures", 0) >= 2, "time-outs")
            ear.hold.set()
            await until(lambda: len(validator.heard) == 1, "the verdict")


async def test_what_comes_again_while_in_hand_is_judged_once(nats: RunningBroker) -> None:
    ear = Ear()
    ear.hold.clear()
    async with Gateway(settings(nats), ear.seams()) as gateway:
        with device(nats, "v7", "validator/v1/kpt/v7/verdict") as validator:
            again = tap(1)
            for _ in range(50):
                validator.send("validator/v1/kpt/v7/tap", again, qos=1)
            await until(lambda: gateway.stats.get("taps_received") == 50, "50 deliveries")
            assert gateway.stats["taps_held"] == 1
            ear.hold.set()
            await until(lambda: gateway.stats["taps_held"] == 0, "all acknowledged")
    assert len(ear.taps) == 1


async def test_a_rider_does_not_wait_for_a_backlog(nats: RunningBroker) -> None:
    """A batch of what validators decided alone is under way and does not end; a tap that is made now is answered."""
    ear, stuck = Ear(), asyncio.Event()

    async def validate(taps: list[Tap]) -> list[Answer]:
        if taps[0].offline is not None:
            await stuck.wait()
        return await ear.validate(taps)

    seams = ear.seams()
    seams = type(seams)(seams.on_fixes, seams.on_event, validate, seams.store_dead_letters)
    async with Gateway(settings(nats), seams) as gateway:
        with device(nats, "v7", "validator/v1/kpt/v7/verdict") as validator:
            late = [
                json.loads(tap(seq)) | {"offline": {"verdict": "accepted", "rules_version": 1}} for seq in range(1, 101)
            ]
            for said in late:
                validator.send("validator/v1/kpt/v7/tap", json.dumps(said).encode(), qos=1)
            await until(lambda: gateway.stats.get("taps_received") == 100, "the backlog")
            validator.send("validator/v1/kpt/v7/tap", tap(101), qos=1)
            await until(lambda: len(validator.heard) == 1, "the rider's verdict")
            stuck.set()
            await until(lambda: len(validator.heard) == 101, "the backlog's verdicts")
    assert ear.taps[0].seq == 101


async def test_copies_of_a_tap_leave_the_brokers_window_to_others(nats: RunningBroker) -> None:
    """Each copy is acknowledged as it comes, the tap itself only when it was judged; copies after that are answered."""
    ear = Ear()
    ear.hold.clear()
    async with Gateway(settings(nats), ear.seams()) as gateway:
        with device(nats, "v7", "validator/v1/kpt/v7/verdict") as validator:
            again = tap(1)
            for _ in range(9_000):  # more than the broker sends ahead
                validator.send("validator/v1/kpt/v7/tap", again, qos=1)
            validator.send("validator/v1/kpt/v7/tap", tap(2), qos=1)
            await until(lambda: gateway.stats.get("taps_received") == 9_001, "the tap behind all the copies")
            assert gateway.stats["taps_held"] == 2
            ear.hold.set()
            await until(lambda: gateway.stats["taps_held"] == 0, "both acknowledged")
            validator.send("validator/v1/kpt/v7/tap", again, qos=1)
            await until(lambda: gateway.stats.get("taps_answered_again") == 1, "a copy that came too late")
            await until(lambda: len(validator.heard) == 3, "its answer")
    assert len(ear.taps) == 2


async def test_too_many_waiting_taps_stop_the_reading_and_none_is_lost(nats: RunningBroker) -> None:
    ear = Ear()
    ear.hold.clear()
    async with Gateway(settings(nats, taps_queued_max=64, taps_batch_max=16), ear.seams()) as gateway:
        with device(nats, "v7", "validator/v1/kpt/v7/verdict") as validator:
            for seq in range(1, 501):
                validator.send("validator/v1/kpt/v7/tap", tap(seq), qos=1)
            await until(lambda: gateway.stats.get("mqtt_pauses") == 1, "the pause")
            assert gateway.stats["taps_held"] <= 64
            ear.hold.set()
            await until(lambda: len(validator.heard) == 500, "all verdicts")
    assert sorted({tap.seq for tap in ear.taps}) == list(range(1, 501))


@pytest.mark.parametrize("make", [nats_broker, mosquitto_broker], ids=["nats", "mosquitto"])
async def test_a_broker_that_dies_is_found_again(make: Callable[[Path], RunningBroker], tmp_path: Path) -> None:
    broker = make(tmp_path)
    ear = Ear()
    with running(broker):
        async with Gateway(settings(broker), ear.seams()) as gateway:
            with device(broker, "bus") as bus:
                bus.send("fleet/v1/kpt/1/position", json.dumps({"ts": time.time() - 9, "lat": 50, "lon": 30}).encode())
                await until(lambda: len(ear.vehicles) == 1, "a position")
                broker.kill()
                await until(lambda: len(gateway.healthy()) == 2, "the loss noticed")
                broker.start()
                await until(lambda: gateway.healthy() == [], "the broker found again")
                await until(bus.client.is_connected, "the vehicle back")
                bus.send("fleet/v1/kpt/1/position", json.dumps({"ts": time.time(), "lat": 50, "lon": 30}).encode())
                await until(lambda: len(ear.vehicles) == 2, "a position after it")


async def test_a_tap_judged_across_a_reconnect_is_answered_and_acknowledged_only_when_it_comes_again(
    tmp_path: Path,
) -> None:
    ear = Ear()
    ear.hold.clear()
    with running(nats_broker(tmp_path, ack_wait="3s")) as nats:
        async with Gateway(settings(nats), ear.seams()) as gateway:
            with device(nats, "v7", "validator/v1/kpt/v7/verdict") as validator:
                validator.send("validator/v1/kpt/v7/tap", tap(1), qos=1)
                await until(lambda: len(ear.taps) == 1, "the tap under way")
                nats.kill()
                await until(lambda: len(gateway.healthy()) == 2, "the loss noticed")
                nats.start()
                await until(lambda: gateway.healthy() == [], "the broker found again")
                await until(validator.client.is_connected, "the validator back")
                ear.hold.set()
                await until(lambda: gateway.stats.get("taps_answered_again") == 1, "the tap again")
                assert gateway.stats["taps_held"] == 0
            assert gateway.stats["mqtt_acks_too_late"] == 1
    assert len(ear.taps) == 1, "what was answered is not judged again"
