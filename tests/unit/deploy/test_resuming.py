"""The keeper of dispatch's state: what cannot be used is told of once and left, and no person waits for a bad disk."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from deploy import resuming
from deploy.missed import newer
from deploy.resuming import StateKeeper
from dispatch.alerts import Condition, Sighting
from dispatch.controller import Controller
from dispatch.engine import Engine
from dispatch.observations import Observations
from tests.integration.web_running import feed_engine, network_now

NOW_S = 1_784_000_000.0


class Service:
    def __init__(self) -> None:
        self.gauges: dict[str, float] = {}

    async def between_ticks(self, work: Any) -> Any:
        return work()


def a_keeper(path: Path, *, at_s: float = NOW_S, network: Any = None) -> StateKeeper:
    engine = Engine(network or network_now(NOW_S))
    control = SimpleNamespace(controller=Controller(lambda _: None, lambda: "id"))
    return StateKeeper(engine, cast(Any, control), None, path, lambda: at_s)


def a_city(keeper: StateKeeper) -> Engine:
    feed_engine(keeper.engine, NOW_S)
    keeper.engine.tick(NOW_S)
    keeper.engine.desk.alarm(Sighting("alarm", "op/1", Condition.ON, route_id="r1"), NOW_S - 60)
    keeper.engine.desk.acknowledge(keeper.engine.desk.alerts()[0].id, "dispatcher", NOW_S)
    return keeper.engine


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    """A state that has been written."""
    keeper = a_keeper(tmp_path / "dispatch-state.bin")
    a_city(keeper)
    await keeper.save(cast(Any, Service()))
    return tmp_path / "dispatch-state.bin"


async def test_it_is_there_again(path: Path) -> None:
    keeper = a_keeper(path, at_s=NOW_S + 5)
    keeper.recall()
    expected = a_city(a_keeper(path))
    assert keeper.resumed_s == NOW_S
    assert keeper.engine.fleet.key == expected.fleet.key != []
    assert keeper.engine.desk.alerts() == expected.desk.alerts()
    assert path.stat().st_mode & 0o777 == 0o600


def test_without_a_file_it_begins_afresh(tmp_path: Path) -> None:
    keeper = a_keeper(tmp_path / "none.bin")
    keeper.recall()
    assert (keeper.resumed_s, len(keeper.engine.fleet)) == (None, 0)


@pytest.mark.parametrize("data", [b"", b"\xff", b"[]", b"takt-state-7\n", b"takt-state-1\n" + bytes(400)])
def test_a_spoiled_file_is_told_of_once_and_left(path: Path, data: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    path.write_bytes(data)
    keeper = a_keeper(path)
    keeper.recall()
    assert (keeper.resumed_s, len(keeper.engine.fleet)) == (None, 0)
    assert path.read_bytes() == data
    assert capsys.readouterr().out.count("state_not_used") == 1


@pytest.mark.parametrize(
    ("at_s", "shift_s", "alarms"), [(NOW_S + 7200, 0, 2), (NOW_S + 86_400, 0, 0), (NOW_S, 60.0, 2)]
)
def test_of_another_feed_or_hour_only_calls_for_help_are_kept(
    path: Path, at_s: float, shift_s: float, alarms: int
) -> None:
    keeper = a_keeper(path, at_s=at_s, network=network_now(NOW_S + shift_s))
    keeper.recall()
    assert (keeper.resumed_s, len(keeper.engine.fleet)) == (None, 0)
    assert (len(keeper.engine.desk.alerts()), keeper.engine.desk.open) == (alarms, alarms)


async def test_who_decides_is_answered_when_it_is_on_the_disk(tmp_path: Path) -> None:
    keeper = a_keeper(tmp_path / "dispatch-state.bin")
    running = asyncio.create_task(keeper.run(cast(Any, Service())))
    a_city(keeper)
    await keeper.decided()
    after = a_keeper(tmp_path / "dispatch-state.bin")
    after.recall()
    assert after.engine.desk.alerts()[0].acknowledged_by == "dispatcher"
    running.cancel()


async def test_a_disk_that_takes_nothing_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(resuming, "write_private", full)
    keeper = a_keeper(tmp_path / "dispatch-state.bin")
    running = asyncio.create_task(keeper.run(cast(Any, Service())))
    await keeper.decided()
    assert (keeper.counters["state_failures"], keeper.counters["states_saved"]) == (1, 0)
    running.cancel()


async def test_who_has_nobody_to_write_does_not_wait_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resuming, "ANSWERED_S_MAX", 0.01)
    keeper = a_keeper(tmp_path / "dispatch-state.bin")
    await keeper.decided()
    assert keeper.counters["state_answers_late"] == 1


def test_what_was_seen_before_is_not_folded_again(path: Path) -> None:
    keeper = a_keeper(path)
    keeper.recall()
    key, seen_s = keeper.engine.fleet.key[0], float(keeper.engine.fleet.received_s[0])
    three = np.array([seen_s, seen_s + 1, seen_s - 1])
    lat_deg = np.full(3, 50.45)
    unknown = np.full(3, np.nan)
    fixes = Observations(
        [key, key, "op/new"],
        three,
        three,
        lat_deg,
        lat_deg,
        *([unknown] * 4),
        descriptor=[None] * 3,
        occupancy=[None] * 3,
    )
    assert newer(fixes, keeper.engine).vehicle_key == [key, "op/new"]
    assert newer(fixes, keeper.engine).received_s.tolist() == [seen_s + 1, seen_s - 1]
