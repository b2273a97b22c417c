"""Drivers and their displays: the same instruction meets the same answer, and a display never overflows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.drivers import ORDERS_MAX, Drivers

NOW_S = 1_000.0
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=70),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def drivers(compliance: float = 1.0, seed: int = 1) -> Drivers:
    return Drivers(compliance, seed, {"S1": 1, "S2": 2})


def hold(number: int, **fields: object) -> dict[str, object]:
    return {"id": f"i-{number}", "kind": "hold", "hold_s": 60.0, **fields}


def obeyed(some: Drivers, numbers: range) -> list[bool]:
    for number in numbers:
        some.tell(number, hold(number), NOW_S)
    return [number in some.ordered() for number in numbers]


def test_so_many_obey_as_the_setting_says() -> None:
    assert sum(obeyed(drivers(0.7), range(1_000))) == pytest.approx(700, abs=50)
    assert all(obeyed(drivers(1.0), range(100)))
    assert not any(obeyed(drivers(0.0), range(100)))


def test_whether_a_driver_obeys_depends_on_the_seed_and_the_instruction_alone() -> None:
    forwards = obeyed(drivers(0.5), range(50))
    backwards = obeyed(drivers(0.5), range(49, -1, -1))
    assert forwards == backwards[::-1]
    assert forwards != obeyed(drivers(0.5, seed=2), range(50))


def test_the_newest_order_for_a_stop_counts() -> None:
    some = drivers()
    for number, hold_s in enumerate((30.0, 60.0, 90.0)):
        some.tell(0, hold(number, stop_id="S1", hold_s=hold_s), NOW_S)
    order = some.order(0, 1, first=False, leaves_s=NOW_S + 20.0)
    assert order is not None
    assert order.leaves_s(NOW_S + 20.0, NOW_S + 20.0) == NOW_S + 110.0
    assert some.order(0, 2, first=False, leaves_s=NOW_S + 20.0) is None


def test_an_order_that_is_read_too_late_is_missed() -> None:
    some = drivers()
    some.tell(0, hold(0), NOW_S)
    assert some.order(0, 1, first=False, leaves_s=NOW_S + 0.5) is None


def test_a_display_keeps_a_few_orders() -> None:
    some = drivers()
    for number in range(100):
        some.tell(0, hold(number, stop_id="S1" if number else "S2"), NOW_S)
    assert some.order(0, 2, first=False, leaves_s=NOW_S + 20.0) is None  # the oldest is gone
    assert len(some._orders[0]) == ORDERS_MAX


def test_what_is_said_is_said_once_and_in_time() -> None:
    some = drivers()
    some.tell(0, hold(0), NOW_S)
    assert some.due(NOW_S) == []
    assert [note.event for note in some.due(NOW_S + 10.0)] == ["instruction_read"]
    assert some.due(NOW_S + 10.0) == []


def test_a_message_is_read_and_changes_nothing() -> None:
    some = drivers()
    assert some.tell(0, {"id": "i-1", "kind": "message", "text": "Detour"}, NOW_S)
    assert not some.ordered()
    assert len(some.due(NOW_S + 10.0)) == 1


@given(st.dictionaries(st.sampled_from(["id", "ts", "kind", "until_ts", "hold_s", "stop_id", "depart_at"]), JSON))
def test_nothing_that_comes_over_the_air_hurts(instruction: dict[str, object]) -> None:
    some = drivers()
    some.tell(0, {"id": "i-1", "kind": "hold", **instruction}, NOW_S)
    for kind in ("hold", "depart"):
        some.tell(1, {"id": "i-1", **instruction, "kind": kind}, NOW_S)
        order = some.order(1, 1, first=True, leaves_s=NOW_S + 20.0)
        if order is not None:
            assert NOW_S - 300.0 <= order.leaves_s(NOW_S, NOW_S + 20.0) <= NOW_S + 620.0
