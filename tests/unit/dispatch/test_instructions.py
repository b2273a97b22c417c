"""The life of an instruction: what each answer changes, and what a wrong, late or doubled one does not."""

from dataclasses import replace
from typing import Any

import pytest

from dispatch.instructions import OPEN, STATES, TRANSITIONS, Instruction, InstructionLimits, Instructions

MADE_S = 1_000.0


def hold(instruction_id: str = "i1", vehicle_id: str = "1", **more: Any) -> Instruction:
    fields: dict[str, Any] = {"kind": "hold", "text": None, "hold_s": 60.0, "stop_id": "s", "until_ts": MADE_S + 90}
    fields |= {"state": "sent", "created_at": MADE_S, "by": "desk1"} | more
    return Instruction(instruction_id, "op", vehicle_id, "r", 0, **fields)


def sent(*more: Instruction, **limits: Any) -> Instructions:
    store = Instructions(replace(InstructionLimits(), **limits))
    for one in more or (hold(),):
        store.add(one, MADE_S)
    return store


def state_of(store: Instructions, instruction_id: str = "i1") -> str:
    found = store.get(instruction_id)
    assert found is not None
    return found.state


def test_it_goes_from_sent_to_done() -> None:
    store = sent()
    store.confirmed("i1", MADE_S + 1, online=True)
    assert state_of(store) == "delivered"
    store.answered("op/1", "i1", False, MADE_S + 5)
    assert state_of(store) == "read"
    store.answered("op/1", "i1", True, MADE_S + 70)
    (one,) = store.rows()
    assert (one.delivered_at, one.read_at, one.done_at) == (MADE_S + 1, MADE_S + 5, MADE_S + 70)
    assert store.read_s_sum == 5.0
    assert store.open_of("op/1") is None


def test_done_before_read_is_both() -> None:
    store = sent()
    store.answered("op/1", "i1", True, MADE_S + 70)
    assert store.answered("op/1", "i1", False, MADE_S + 71) is None
    (one,) = store.rows()
    assert (one.state, one.delivered_at, one.read_at, one.done_at) == ("done", MADE_S + 70, MADE_S + 70, MADE_S + 70)


def test_an_answer_twice_changes_nothing_and_is_counted() -> None:
    store = sent()
    store.answered("op/1", "i1", False, MADE_S + 5)
    version = store.version
    assert store.answered("op/1", "i1", False, MADE_S + 6) is None
    assert (store.version, store.counts["answers.nothing_new"]) == (version, 1)


@pytest.mark.parametrize("instruction_id", ["i2", "", None, 7, ["i1"], {"i1": 1}])
def test_an_unknown_id_is_counted(instruction_id: object) -> None:
    store = sent()
    assert store.answered("op/1", instruction_id, True, MADE_S + 5) is None
    assert (state_of(store), store.counts["answers.unknown_id"]) == ("sent", 1)


def test_another_vehicles_answer_is_not_believed() -> None:
    store = sent()
    assert store.answered("op/2", "i1", True, MADE_S + 5) is None
    assert store.answered("other/1", "i1", True, MADE_S + 5) is None
    assert (state_of(store), store.counts["answers.another_vehicle"]) == ("sent", 2)


def test_to_a_vehicle_that_is_offline_nothing_is_delivered_until_it_answers() -> None:
    store = sent()
    store.confirmed("i1", MADE_S + 1, online=False)
    assert state_of(store) == "sent"
    store.answered("op/1", "i1", False, MADE_S + 50)
    assert state_of(store) == "read"


def test_what_is_not_done_in_time_expires_and_a_late_answer_is_only_counted() -> None:
    store = sent()
    store.look(MADE_S + 90 + 119)
    assert state_of(store) == "sent"
    store.look(MADE_S + 90 + 120)
    assert state_of(store) == "expired"
    assert store.answered("op/1", "i1", True, MADE_S + 300) is None
    assert (state_of(store), store.counts["answers.too_late"]) == ("expired", 1)


def test_without_a_time_of_its_own_it_expires_after_an_hour() -> None:
    store = sent(hold(until_ts=None))
    store.look(MADE_S + 3599)
    assert state_of(store) == "sent"
    store.look(MADE_S + 3600)
    assert store.counts["expired"] == 1


def test_a_time_far_ahead_does_not_keep_it_open() -> None:
    store = sent(hold(until_ts=MADE_S + 1e9))
    store.look(MADE_S + 3600)
    assert store.counts["expired"] == 1


def test_a_clock_that_was_set_back_ends_what_it_would_make_immortal() -> None:
    store = sent()
    store.look(MADE_S - 59)
    assert state_of(store) == "sent"
    store.look(MADE_S - 3600)
    assert store.counts["expired"] == 1
    store.look(MADE_S - 3600)
    assert store.rows() == []


def test_a_clock_set_back_gives_no_negative_time_to_read() -> None:
    store = sent()
    store.answered("op/1", "i1", False, MADE_S - 30)
    assert store.read_s_sum == 0.0


def test_a_newer_one_replaces_the_older() -> None:
    store = sent(hold("i1"), hold("i2"))
    assert (state_of(store, "i1"), state_of(store, "i2")) == ("expired", "sent")
    open_one = store.open_of("op/1")
    assert open_one is not None
    assert (open_one.id, store.counts["replaced"]) == ("i2", 1)


def test_other_vehicles_keep_theirs() -> None:
    store = sent(hold("i1", "1"), hold("i2", "2"))
    assert (state_of(store, "i1"), state_of(store, "i2")) == ("sent", "sent")


def test_the_same_id_twice_is_one_instruction() -> None:
    store = sent(hold("i1"), hold("i1", vehicle_id="2"))
    assert [one.vehicle_id for one in store.rows()] == ["1"]


def test_a_message_ends_when_it_is_read() -> None:
    store = sent(hold(kind="message", hold_s=None, until_ts=None))
    store.answered("op/1", "i1", False, MADE_S + 5)
    assert store.open_of("op/1") is None
    store.look(MADE_S + 3600)
    assert state_of(store) == "read"


def test_one_that_could_not_be_sent_has_failed() -> None:
    store = sent()
    store.refused("i1", MADE_S)
    store.refused("unknown", MADE_S)
    store.confirmed("unknown", MADE_S, online=True)
    assert state_of(store) == "failed"


def test_an_hour_later_it_is_no_longer_listed() -> None:
    store = sent()
    store.answered("op/1", "i1", True, MADE_S + 70)
    store.look(MADE_S + 3600)
    assert len(store.rows()) == 1
    store.look(MADE_S + 3601)
    assert store.rows() == []


def test_it_keeps_a_bounded_number_the_oldest_go_first() -> None:
    store = sent(*(hold(f"i{n}", str(n)) for n in range(5)), kept_max=3)
    assert [one.id for one in store.rows()] == ["i4", "i3", "i2"]
    assert store.open_of("op/0") is None
    assert store.counts["expired"] == 2


def test_changes_are_told_once() -> None:
    store = sent()
    store.answered("op/1", "i1", False, MADE_S + 5)
    assert [one.state for one in store.take_changed()] == ["read"]
    assert store.take_changed() == []


def test_the_table_leads_from_open_states_only() -> None:
    assert {state for state, _ in TRANSITIONS} == OPEN
    assert {*OPEN, *TRANSITIONS.values()} == set(STATES)
