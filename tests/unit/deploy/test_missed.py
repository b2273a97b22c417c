"""What dispatch has missed is folded as by the ticks that did not come: a restart decides nothing otherwise."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import numpy as np
import pytest

from deploy import mapping
from deploy.links import FIXES
from deploy.missed import Missed
from deploy.resuming import StateKeeper
from deploy.retold import Lately
from dispatch.controller import Controller
from dispatch.engine import Engine
from gateway.batch import FixBatch
from tests.integration.web_running import network_now

NOW_S = 1_784_000_000.0
FIRST, SECOND = "kp/1", "kp/2"


class Bus:
    """Links within one process."""

    def __init__(self) -> None:
        self.hears: dict[str, Callable[[bytes], None]] = {}
        self.answers: dict[str, Callable[[bytes], Awaitable[bytes]]] = {}

    async def receive(self, subject: str, handle: Callable[[bytes], None]) -> None:
        self.hears[subject] = handle

    async def send(self, subject: str, data: bytes) -> None:
        self.hears[subject](data)

    async def serve(self, subject: str, answer: Callable[[bytes], Awaitable[bytes]]) -> None:
        self.answers[subject] = answer

    async def ask(self, subject: str, question: bytes, _timeout_s: float) -> bytes:
        return await self.answers[subject](question)


def silent(key: str, lon_deg: float, at_s: float) -> bytes:
    """A fix of one vehicle that names no trip, as the gateway tells it."""
    at, unknown = np.array([at_s]), np.full(1, np.nan)
    columns = dict.fromkeys(mapping.COLUMNS, unknown) | {"ts_s": at, "received_s": at}
    columns |= {"lat_deg": np.array([50.45]), "lon_deg": np.array([lon_deg]), "bearing_deg": np.array([90.0])}
    return mapping.encode_fixes(FixBatch([key], **columns, descriptor=[None], occupancy=[None]))


def rivals(at_s: float) -> bytes:
    """They come on by turns, both where the same run is due; the second is the nearer to its time."""
    is_first = int(at_s) % 2 == 0
    return silent(FIRST if is_first else SECOND, 30.5200 if is_first else 30.5224, at_s)


def driven(engine: Engine) -> dict[str, str | None]:
    trips = engine.fleet.trip[: len(engine.fleet)].tolist()
    named = [engine.network.trip_id[trip] if trip >= 0 else None for trip in trips]
    return dict(zip(engine.fleet.key, named, strict=True))


def a_keeper(path: Path, at_s: float) -> StateKeeper:
    control = SimpleNamespace(controller=Controller(lambda _: None, lambda: "id"))
    return StateKeeper(Engine(network_now(NOW_S)), cast(Any, control), None, path, lambda: at_s)


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    """The state of a dispatch that has ticked and heard of nobody yet."""
    keeper = a_keeper(tmp_path / "dispatch-state.bin", NOW_S)
    keeper.engine.tick(NOW_S)
    service = SimpleNamespace(gauges={}, between_ticks=None)

    async def at_once(work: Callable[[], Any]) -> Any:
        return work()

    service.between_ticks = at_once
    await keeper.save(cast(Any, service))
    return tmp_path / "dispatch-state.bin"


async def test_of_two_that_want_a_run_the_one_heard_first_has_it_as_without_a_restart(path: Path) -> None:
    twin, bus, clock = Engine(network_now(NOW_S)), Bus(), SimpleNamespace(now_s=NOW_S)
    twin.tick(NOW_S)
    gateway = Lately(clock=lambda: clock.now_s)
    await gateway.serve(cast(Any, bus))
    for second in range(6):
        clock.now_s = NOW_S + second + 0.5
        gateway.note(FIXES, rivals(clock.now_s))
        twin.ingest(mapping.decode_fixes(rivals(clock.now_s)))
        twin.tick(NOW_S + second + 1)
    assert driven(twin)[FIRST] == "t1"

    keeper = a_keeper(path, NOW_S + 6)
    keeper.recall()
    await keeper.catch_up(cast(Any, bus))
    keeper.engine.tick(NOW_S + 6)
    assert driven(keeper.engine) == driven(twin)


def test_what_has_come_in_meanwhile_and_is_told_again_too_counts_once() -> None:
    engine = Engine(network_now(NOW_S))
    missed = Missed(engine, NOW_S)
    for second in range(4):
        fixes = mapping.decode_fixes(silent(FIRST, 30.52 + second / 1000, NOW_S + second))
        missed.fixes(fixes)
        if second > 1:
            engine.ingest(fixes)
    engine.ingest(mapping.decode_fixes(silent(FIRST, 30.524, NOW_S + 4)))
    missed.fold(NOW_S + 4)
    assert engine.fleet.ts_s[0] == NOW_S + 3
    engine.tick(NOW_S + 5)
    assert engine.counters["fixes"] == 5
    assert [count for name, count in engine.counters.items() if name.startswith("fix_refused") and count] == []


def test_a_driver_signs_on_between_the_positions_before_and_after_it() -> None:
    engine = Engine(network_now(NOW_S))
    missed = Missed(engine, NOW_S)
    missed.fixes(mapping.decode_fixes(silent(FIRST, 30.5200, NOW_S + 0.1)))
    missed.fixes(mapping.decode_fixes(silent(FIRST, 30.5201, NOW_S + 1.1)))
    missed.event({"vehicle_key": FIRST, "event": "sign_on", "trip_id": "t1"})
    missed.event({"vehicle_key": FIRST, "event": "alarm"})
    missed.fixes(mapping.decode_fixes(silent(FIRST, 30.5210, NOW_S + 2.1)))
    missed.fold(NOW_S + 3)
    assert driven(engine) == {FIRST: "t1"}
    assert [(alert.kind, alert.opened_at) for alert in engine.desk.alerts()] == [("alarm", NOW_S + 2)]


def test_what_comes_too_late_goes_the_way_of_all_others() -> None:
    engine = Engine(network_now(NOW_S))
    missed = Missed(engine, NOW_S)
    missed.fold(NOW_S + 1)
    missed.fixes(mapping.decode_fixes(silent(FIRST, 30.52, NOW_S + 0.5)))
    missed.event(msgspec.msgpack.decode(msgspec.msgpack.encode({"vehicle_key": FIRST, "event": "alarm"})))
    assert len(engine.fleet) == 0
    engine.tick(NOW_S + 2)
    assert (driven(engine), engine.gauges["alerts_open"]) == ({FIRST: None}, 1)
