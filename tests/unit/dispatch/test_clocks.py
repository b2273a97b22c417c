"""Clocks that the gateway finds wrong: shown beside the vehicle for as long as it says so."""

import pytest

from dispatch.clocks import CLOCKS_MAX, TOLD_WITHIN_S, WrongClocks
from dispatch.engine import Engine


def told(key: str, off_s: float | None) -> dict[str, object]:
    return {"vehicle_key": key, "event": "clock", "clock_off_s": off_s}


def test_a_wrong_clock_is_known_until_it_is_right_or_nobody_speaks_of_it_any_more() -> None:
    clocks = WrongClocks()
    assert clocks.off_s(["op/1"], 0.0) == [None]
    clocks.note(told("op/1", 600.0), 0.0)
    clocks.note(told("op/2", -86_400.0), 0.0)
    assert clocks.off_s(["op/1", "op/2", "op/3"], TOLD_WITHIN_S) == [600.0, -86_400.0, None]
    clocks.note(told("op/1", None), 50.0)
    clocks.note(told("op/2", -86_400.0), 50.0)
    assert clocks.off_s(["op/1", "op/2"], TOLD_WITHIN_S + 1) == [None, -86_400.0]


def test_no_more_are_remembered_than_the_limit() -> None:
    clocks = WrongClocks()
    for n in range(CLOCKS_MAX + 1):
        clocks.note(told(f"op/{n}", 1.0), 0.0)
    assert clocks.off_s(["op/0", f"op/{CLOCKS_MAX}"], 0.0) == [None, 1.0]


def test_a_vehicle_is_listed_with_its_wrong_clock(road, pattern) -> None:
    line = road(pattern(((0, 0), (2000, 0)), (0, 1000, 2000), {"a": 3600}))
    engine = Engine(line.network)
    engine.ingest(line.fixes(("1", "a", 3620, 200, 0), ("2", None, 3620, 300, 0)))
    engine.event(told("op/1", -619_315_200.04))
    shown = {row.vehicle_id: row.clock_off_s for row in engine.tick(line.zero_s + 3620).vehicles}
    assert shown == {"1": pytest.approx(-619_315_200.0), "2": None}
