"""What dispatch learns survives a restart, and a spoiled file costs nothing but its content."""

import datetime as dt
import os
import stat
from pathlib import Path

import numpy as np
import pytest

from deploy.learnt import recall, remembered
from dispatch.engine import Engine
from dispatch.feed import read_feed
from dispatch.network import Network
from dispatch.passages import Passages
from dispatch.running_file import to_bytes
from dispatch.service import DispatchService
from dispatch.timetable import runs_on
from simulators.city import make_city

DAY = dt.date(2026, 11, 16)


@pytest.fixture(scope="module")
def network() -> Network:
    return read_feed(make_city(5, DAY)).network


def a_slow_trip(network: Network) -> Passages:
    """One trip that took half as long again as planned between its first stops."""
    runs = runs_on(network, DAY)
    trip, start_s = int(runs.trip[0]), float(runs.day_start_s[0])
    rows = np.arange(network.trip_time_start[trip], network.trip_time_start[trip + 1])[:6]
    planned_s = network.departure_s[rows].astype(float)
    at_s = start_s + planned_s[0] + (planned_s - planned_s[0]) * 1.5
    n = len(rows)
    columns = {
        "vehicle": np.zeros(n, np.int32),
        "trip": np.full(n, trip, np.int32),
        "zero_s": np.full(n, start_s),
        "stop": np.arange(n, dtype=np.int32),
        "arrival_s": at_s - 10.0,
        "departure_s": at_s,
    }
    return Passages(**{name: columns[name] for name in Passages.__dataclass_fields__ if name in columns})


async def test_a_restart_knows_what_was_learnt(network: Network, tmp_path: Path):
    path = tmp_path / "running-times.bin"
    first = Engine(network)
    untaught = to_bytes(first.running)
    passages = a_slow_trip(network)
    async with DispatchService(first, lambda _: None) as service, remembered(first, service, path):
        await service.between_ticks(lambda: first.running.learn(passages, float(passages.departure_s.max())))
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    second = Engine(network)
    recall(second, path)
    assert to_bytes(second.running) == to_bytes(first.running) != untaught


@pytest.mark.parametrize("content", [b"", b"junk", b"PK\x03\x04" + bytes(100)])
async def test_a_spoiled_file_is_passed_over(network: Network, tmp_path: Path, content: bytes):
    path = tmp_path / "running-times.bin"
    path.write_bytes(content)
    engine = Engine(network)
    before = to_bytes(engine.running)
    recall(engine, path)
    assert to_bytes(engine.running) == before


def test_a_first_start_has_no_file(network: Network, tmp_path: Path):
    engine = Engine(network)
    untaught = to_bytes(engine.running)
    recall(engine, tmp_path / "none")
    assert to_bytes(engine.running) == untaught
