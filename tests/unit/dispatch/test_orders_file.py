"""Orders across a restart: by the ids of the feed, those that are still due."""

import pytest

from dispatch.engine import Engine
from dispatch.orders_file import restore, to_bytes

STRAIGHT = ((0, 0), (2000, 0))
STOPS = (0, 1000, 2000)


@pytest.fixture
def line(road, pattern):
    return road(pattern(STRAIGHT, STOPS, {"a": 3600, "b": 3900, "c": 80_000}))


def ordered(line):
    engine = Engine(line.network)
    engine.ingest(line.fixes(("1", None, 3600, 0, 0)))
    engine.tick(line.zero_s + 3600)
    engine.assign("op/1", "b", None, "dispatcher", line.zero_s + 3601)
    engine.cancel("a", (None, None), "dispatcher", line.zero_s + 3602, "no driver")
    return engine


def test_orders_are_in_force_after_a_restart(line):
    before = ordered(line)
    after = Engine(line.network)
    assert restore(after.orders, after.timetable, to_bytes(before.orders, before.timetable), line.zero_s + 3700) == 2
    assert list(after.orders.cancelled.values()) == list(before.orders.cancelled.values())
    after.ingest(line.fixes(("1", "a", 3910, 100, 0)))
    (vehicle,) = after.tick(line.zero_s + 3910).vehicles
    assert vehicle.trip_id == "b"


def test_orders_for_what_is_over_are_forgotten(line):
    before = ordered(line)
    after = Engine(line.network)
    data = to_bytes(before.orders, before.timetable)
    assert restore(after.orders, after.timetable, data, line.zero_s + 3 * 86_400) == 0
    assert not after.orders.by_vehicle


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"\xff", b"[]", b'{"format":2,"held":[],"cancelled":[]}', b'{"format":1,"held":3,"cancelled":[]}'],
)
def test_a_spoiled_file_is_told_of_and_changes_nothing(line, data):
    engine = ordered(line)
    with pytest.raises(ValueError, match="orders"):
        restore(engine.orders, engine.timetable, data, line.zero_s)
    assert len(engine.orders.by_vehicle) == 1
