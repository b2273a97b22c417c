"""What a validator does with a tap until somebody has it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from gateway.refusal import Refusal
from gateway.wire import Offline, decode_tap
from simulators.validator_library.kept_taps import Answered, KeptTaps
from simulators.validator_library.pacing import Limits
from simulators.validator_library.tap_states import NEXT_STATE, Event, Kept, State


def make(limits: Limits | None = None, boot: str = "a1", seed: int = 1) -> KeptTaps:
    return KeptTaps(boot, np.random.default_rng(seed), limits or Limits())


def tap(validator: KeptTaps, now_s: float = 1_000.0) -> Kept:
    kept = validator.tap(now_s=now_s, medium="card", token="p=00&c=00", vehicle="7")
    assert kept is not None
    return kept


def verdict(tap_id: str, name: str = "accepted") -> bytes:
    return json.dumps({"id": tap_id, "verdict": name, "retry": name == "unavailable"}).encode()


def receipt(boot: str, through: int) -> bytes:
    return json.dumps({"boot": boot, "seq_through": through}).encode()


def test_a_tap_is_what_the_gateway_reads() -> None:
    validator = make()
    kept = validator.tap(now_s=1_771_257_482.0, medium="qr", token="ABC", vehicle="7")
    assert kept is not None

    validator.decide_alone(kept.tap_id, Offline("accepted", 3))

    read = decode_tap(kept.payload, "city", "v1", 0.0)

    assert not isinstance(read, Refusal)
    assert (read.boot, read.seq, read.medium, read.token, read.vehicle) == ("a1", 1, "qr", "ABC", "7")
    assert read.ts == 1_771_257_482.0
    assert read.offline == Offline("accepted", 3)


def test_numbers_count_from_one_and_ids_differ() -> None:
    validator = make()
    kept = [tap(validator) for _ in range(50)]

    assert [one.seq for one in kept] == list(range(1, 51))
    assert len({one.tap_id for one in kept}) == 50


def test_a_verdict_ends_a_tap() -> None:
    validator = make()
    kept = tap(validator)
    send, _ = validator.pacing.due(1_000.0)
    answered = validator.on_verdict(verdict(kept.tap_id), 1_000.2)

    assert [one.payload for one in send] == [kept.payload]
    assert answered.tap_ids == [kept.tap_id]
    assert answered.took_s == pytest.approx(0.2)
    assert validator.kept == {}
    assert validator.pacing.due(5_000.0) == ([], [])


def test_a_lost_verdict_means_the_same_bytes_again_later_and_later() -> None:
    validator = make(Limits(first_pause_s=2.0, pause_s_max=60.0))
    kept = tap(validator, 0.0)
    sent_s = [
        at_s
        for at_s in np.arange(0.0, 300.0, 0.5)
        for one in validator.pacing.due(at_s)[0]
        if one.payload == kept.payload
    ]

    pauses = np.diff(sent_s)
    assert pauses[0] == pytest.approx(2.0, abs=1.0)
    assert (pauses[1:] >= 0.9 * pauses[:-1]).all() or pauses.max() <= 73.0
    assert pauses.max() <= 60.0 * 1.2 + 0.5
    assert kept.state is State.SENT


def test_unavailable_is_no_receipt() -> None:
    validator = make()
    kept = tap(validator)
    validator.pacing.due(1_000.0)

    answered = validator.on_verdict(verdict(kept.tap_id, "unavailable"), 1_000.1)

    assert answered.tap_ids == []
    assert answered.verdict == "unavailable"
    assert kept.tap_id in validator.kept
    assert validator.pacing.due(1_060.0)[0] == [kept]


def test_after_twenty_tries_it_is_set_aside_kept_and_reported_once() -> None:
    validator = make()
    kept = tap(validator, 0.0)
    sent, aside = 0, []
    for at_s in range(0, 10_000):
        send, now_aside = validator.pacing.due(float(at_s))
        sent += len(send)
        aside += now_aside

    assert sent == 20
    assert aside == [kept]
    assert validator.kept[kept.tap_id].state is State.SET_ASIDE


def test_a_late_answer_counts_even_for_a_tap_set_aside() -> None:
    validator = make(Limits(tries_max=1))
    kept = tap(validator, 0.0)
    validator.pacing.due(0.0)
    validator.pacing.due(100.0)
    assert kept.state is State.SET_ASIDE

    assert validator.on_receipt(receipt("a1", 1)).tap_ids == [kept.tap_id]
    assert validator.kept == {}


def test_a_receipt_ends_everything_up_to_its_number_in_its_boot_alone() -> None:
    validator = make()
    validator.restore([(0.0, make(boot="old", seed=2).tap(now_s=0.0, medium="qr", token="x", vehicle=None).payload)])  # type: ignore[union-attr]
    kept = [tap(validator) for _ in range(5)]
    validator.pacing.due(1_000.0)

    answered = validator.on_receipt(receipt("a1", 3))

    assert answered.tap_ids == [one.tap_id for one in kept[:3]]
    assert len(validator.kept) == 3  # two of ours and the old one


def test_a_receipt_cannot_be_about_what_was_never_sent() -> None:
    validator = make()
    tap(validator)

    assert validator.on_receipt(receipt("a1", 99)).tap_ids == []
    assert len(validator.kept) == 1


def test_a_second_verdict_is_told_from_the_first() -> None:
    validator = make()
    kept = tap(validator)
    validator.pacing.due(1_000.0)
    validator.on_verdict(verdict(kept.tap_id), 1_000.1)

    again = validator.on_verdict(verdict(kept.tap_id), 1_000.2)

    assert again.duplicate
    assert again.tap_ids == []


def test_a_full_validator_takes_no_more_riders() -> None:
    validator = make(Limits(kept_max=3))
    for _ in range(3):
        tap(validator)

    assert validator.tap(now_s=0.0, medium="card", token="", vehicle=None) is None
    assert validator.refused_full == 1
    assert validator.seq == 3  # no number is lost


def test_a_rider_goes_before_the_backlog_and_the_backlog_by_the_window() -> None:
    old = make(boot="old")
    backlog = [(float(i), tap(old, float(i)).payload) for i in range(100)]
    validator = make(Limits(in_flight_max=10), seed=2)
    validator.restore(backlog)
    fresh = tap(validator, 2_000.0)

    send, _ = validator.pacing.due(2_000.0)

    assert send[0] is fresh
    assert len(send) == 10
    assert [one.seq for one in send[1:]] == list(range(1, 10))
    for one in send:
        validator.on_verdict(verdict(one.tap_id), 2_000.1)
    assert len(validator.pacing.due(2_000.2)[0]) == 10


def test_an_unanswered_window_opens_again_after_its_pause() -> None:
    validator = make(Limits(in_flight_max=2, first_pause_s=2.0))
    old = make(boot="old", seed=3)
    validator.restore([(0.0, tap(old, 0.0).payload) for _ in range(6)])
    seen: set[str] = set()
    for at_s in np.arange(0.0, 300.0, 0.5).tolist():
        for one in validator.pacing.due(at_s)[0]:
            seen.add(one.tap_id)

    assert len(seen) == 6


def test_a_slow_server_is_sent_the_same_few_taps_and_not_always_more() -> None:
    validator = make(Limits(in_flight_max=8, first_pause_s=3.0))
    old = make(boot="old", seed=3)
    validator.restore([(0.0, tap(old, 0.0).payload) for _ in range(100)])
    first = {one.tap_id for one in validator.pacing.due(0.0)[0]}
    assert len(first) == 8

    again = validator.pacing.due(4.0)[0]
    assert len(again) == validator.pacing.window == 4, "half as many"
    assert {one.tap_id for one in again} < first
    for at_s in np.arange(4.5, 14.0, 0.5).tolist():
        assert {one.tap_id for one in validator.pacing.due(at_s)[0]} <= first
    assert validator.pacing.window == 1

    for tap_id in first:  # it answers at last
        validator.on_verdict(verdict(tap_id), 20.0)
    for _ in range(20):
        for one in validator.pacing.due(20.0)[0]:
            validator.on_verdict(verdict(one.tap_id), 20.1)
    assert validator.pacing.window == 8


def test_taps_that_nobody_answers_do_not_hold_up_those_behind_them_for_ever() -> None:
    validator = make(Limits(in_flight_max=2, first_pause_s=2.0))
    old = make(boot="old", seed=3)
    validator.restore([(0.0, tap(old, 0.0).payload) for _ in range(20)])
    never = {one.tap_id for one in validator.pacing.due(0.0)[0]}
    for at_s in np.arange(0.5, 120.0, 0.5).tolist():
        for one in validator.pacing.due(at_s)[0]:
            if one.tap_id not in never:
                validator.on_verdict(verdict(one.tap_id), at_s)

    assert set(validator.kept) == never


def test_a_restart_keeps_the_taps_with_their_ids_boots_and_numbers() -> None:
    before = make(boot="first")
    kept = [tap(before) for _ in range(3)]
    after = make(boot="second", seed=9)

    assert after.restore((one.made_s, one.payload) for one in kept) == 3

    send, _ = after.pacing.due(2_000.0)
    assert [(one.tap_id, one.boot, one.seq, one.payload) for one in send] == [
        (one.tap_id, "first", one.seq, one.payload) for one in kept
    ]
    assert tap(after).seq == 1
    assert len(after.on_receipt(receipt("first", 3)).tap_ids) == 3


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"\xff",
        b'{"id": 1, "verdict": "accepted"}',
        b'{"verdict": "accepted"}',
        b"[" * 100_000,
    ],
)
def test_garbage_from_above_changes_nothing(payload: bytes) -> None:
    validator = make()
    tap(validator)
    validator.pacing.due(1_000.0)

    assert validator.on_verdict(payload, 1_000.0).tap_ids == []
    assert validator.on_receipt(payload).tap_ids == []
    assert len(validator.kept) == 1


def test_the_same_seed_makes_the_same_taps() -> None:
    assert tap(make(seed=4)).payload == tap(make(seed=4)).payload
    assert tap(make(seed=4)).payload != tap(make(seed=5)).payload


ALONE = Offline("accepted", 3)


def let_in(validator: KeptTaps, now_s: float = 1_000.0) -> Kept:
    """A tap that was sent, not answered, and then accepted by the validator itself."""
    kept = tap(validator, now_s)
    validator.pacing.due(now_s)
    assert validator.decide_alone(kept.tap_id, ALONE) is kept
    return kept


@pytest.mark.parametrize("by", ["verdict", "receipt"])
def test_a_refusal_or_receipt_of_before_the_decision_puts_the_tap_back_once(by: str) -> None:
    validator = make()
    kept = let_in(validator)

    first = (
        validator.on_verdict(verdict(kept.tap_id, "used_up"), 1_001.0)
        if by == "verdict"
        else validator.on_receipt(receipt("a1", 1))
    )
    assert (first.tap_ids, first.put_back) == ([], (kept.tap_id,))
    # What comes before it has left again is about the tap without the decision as well.
    assert validator.on_receipt(receipt("a1", 1)) == Answered([])
    assert validator.on_verdict(verdict(kept.tap_id, "used_up"), 1_001.1).tap_ids == []

    (again,), _ = validator.pacing.due(1_001.2)
    assert json.loads(again.payload)["offline"] == {"verdict": "accepted", "rules_version": 3}
    assert validator.on_receipt(receipt("a1", 1)) == Answered([]), "it stands for the first message"
    assert validator.pacing.due(1_003.5) == ([], []), "the timer of its first life rings for nothing"
    last = validator.on_verdict(verdict(kept.tap_id, "used_up"), 1_003.6)
    assert (last.tap_ids, last.put_back, validator.kept) == ([kept.tap_id], (), {})
    assert validator.pacing.due(9_000.0) == ([], [])


def test_a_tap_that_was_put_back_is_sent_until_it_is_answered() -> None:
    validator = make()
    kept = let_in(validator)
    validator.on_verdict(verdict(kept.tap_id, "used_up"), 1_001.0)
    sent = [at_s for at_s in range(1_001, 1_100) if validator.pacing.due(float(at_s))[0]]
    assert len(sent) > 3
    validator.on_verdict(verdict(kept.tap_id, "unavailable"), 1_100.0)
    assert kept.tap_id in validator.kept
    validator.pacing.due(1_300.0)
    assert validator.on_verdict(verdict(kept.tap_id, "used_up"), 1_301.0).tap_ids == [kept.tap_id]


def test_a_tap_that_waits_to_be_sent_again_is_not_put_back_beside_itself() -> None:
    validator = make(Limits(in_flight_max=1))
    first, second = let_in(validator, 0.0), let_in(validator, 0.0)
    assert [one.tap_id for one in validator.pacing.due(4.0)[0]] == [first.tap_id]  # and the second waits for its turn
    validator.on_verdict(verdict(second.tap_id, "used_up"), 4.1)
    validator.on_verdict(verdict(first.tap_id), 4.2)
    assert validator.pacing.due(4.3)[0] == [second]
    assert validator.pacing.due(4.4)[0] == []


@pytest.mark.parametrize("ends", ["accepted", "malformed"])
def test_what_is_paid_or_cannot_be_read_ends_a_tap_whatever_was_decided(ends: str) -> None:
    validator = make()
    kept = let_in(validator)
    assert validator.on_verdict(verdict(kept.tap_id, ends), 1_001.0).tap_ids == [kept.tap_id]


def test_what_was_refused_alone_or_sent_with_the_decision_ends_as_ever() -> None:
    validator = make()
    shut = tap(validator)
    validator.pacing.due(1_000.0)
    validator.decide_alone(shut.tap_id, Offline("used_up", 3))
    assert validator.on_verdict(verdict(shut.tap_id, "used_up"), 1_001.0).tap_ids == [shut.tap_id]
    told = tap(validator)
    validator.decide_alone(told.tap_id, ALONE)  # before it was ever sent
    validator.pacing.due(1_001.0)
    assert validator.on_receipt(receipt("a1", 2)).tap_ids == [told.tap_id]


def test_a_restored_tap_that_may_have_been_sent_without_its_decision_waits_for_its_verdict() -> None:
    kept = [let_in(before := make()), tap(before)]
    after = make(boot="a2", seed=2)
    after.restore([(one.made_s, one.payload) for one in kept], untold={kept[0].tap_id})
    assert after.on_receipt(receipt("a1", 2)).tap_ids == [kept[1].tap_id]
    assert after.on_verdict(verdict(kept[0].tap_id, "used_up"), 2_000.0).tap_ids == []
    assert [one.tap_id for one in after.pacing.due(2_000.0)[0]] == [kept[0].tap_id]
    assert after.on_verdict(verdict(kept[0].tap_id, "used_up"), 2_000.1).tap_ids == [kept[0].tap_id]


def test_only_a_verdict_or_a_receipt_ends_a_tap() -> None:
    ends = {event for (_, event), state in NEXT_STATE.items() if state is State.RECEIPTED}
    assert ends == {Event.VERDICT, Event.RECEIPT}
    assert not [state for state, _ in NEXT_STATE if state is State.RECEIPTED]
    for state in (State.IDLE, State.SENT, State.UNAVAILABLE, State.SET_ASIDE):
        assert (state, Event.VERDICT) in NEXT_STATE
        assert (state, Event.RECEIPT) in NEXT_STATE
        assert (state, Event.UNAVAILABLE) in NEXT_STATE
