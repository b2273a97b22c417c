"""A driver's call for help outlives the process that heard it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from deploy import alarms
from dispatch.alerts import AlertDesk, AlertLimits, Condition, Sighting


def engine() -> Any:
    return SimpleNamespace(desk=AlertDesk(AlertLimits()))


class Service:
    async def between_ticks(self, work: Any) -> Any:
        return work()


async def test_an_alarm_is_there_again_as_it_was_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alarms, "KEPT_EVERY_S", 0.0)
    monkeypatch.setattr(alarms.time, "time", lambda: 1000.0)
    before, path = engine(), tmp_path / "alarms.json"
    async with alarms.remembered_alarms(before, cast(Any, Service()), path):
        before.desk.alarm(Sighting("alarm", "op/1", Condition.ON, route_id="r"), 900.0)
        before.desk.acknowledge("alarm.op.1.900", "desk1", 950.0)
        while not path.exists():
            await asyncio.sleep(0)
    after = engine()
    alarms.recall_alarms(after, path)
    assert after.desk.alerts() == before.desk.alerts()
    assert (after.desk.open, after.desk.alerts()[0].acknowledged_by) == (1, "desk1")
    after.desk.alarm(Sighting("alarm", "op/1", Condition.ON), 1001.0)
    assert len(after.desk.alerts()) == 1
    assert after.desk.close("alarm.op.1.900", "desk1", "helped", 1002.0) is not None
    assert (after.desk.open, after.desk.alarms()) == (0, {})


def test_an_alarm_of_another_day_is_not_raised_again(tmp_path: Path) -> None:
    old, path = engine(), tmp_path / "alarms.json"
    old.desk.alarm(Sighting("alarm", "op/1", Condition.ON), 900.0)
    path.write_bytes(msgspec.json.encode(old.desk.alarms()))
    after = engine()
    alarms.recall_alarms(after, path)
    assert after.desk.alerts() == []


@pytest.mark.parametrize("data", [b"", b"\xff", b"[]", b'{"op/1": {"id": 5}}'])
def test_a_spoiled_file_is_left(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "alarms.json"
    path.write_bytes(data)
    after = engine()
    alarms.recall_alarms(after, path)
    assert after.desk.alerts() == []
    assert path.read_bytes() == data
    alarms.recall_alarms(after, tmp_path / "none.json")
