"""Cumulative receipts: seldom, the newest, and again."""

from collections import Counter

from gateway.receipts import Receipts

ME = ("kpt", "v7", "a1")


def make(boots_max: int = 10) -> Receipts:
    return Receipts(0.25, 2, boots_max, Counter())


def test_many_taps_make_one_receipt_for_the_highest() -> None:
    receipts = make()
    for seq in (4, 6, 5):
        receipts.note(*ME, seq, 0.0)
    assert receipts.pop_due(0.2) == []
    assert receipts.pop_due(0.25) == [(*ME, 6)]


def test_a_receipt_is_repeated_ever_later_and_then_forgotten() -> None:
    receipts = make()
    receipts.note(*ME, 6, 0.0)
    sent = [tick / 4 for tick in range(100) if receipts.pop_due(tick / 4)]
    assert sent == [0.25, 2.25, 6.25]
    assert len(receipts) == 0


def test_a_new_tap_is_told_at_most_every_quarter_of_a_second() -> None:
    receipts = make()
    sent = []
    for tick in range(100):
        now_s = tick / 100
        receipts.note(*ME, tick, now_s)
        sent += [(now_s, due[3]) for due in receipts.pop_due(now_s)]
    assert [at_s for at_s, _ in sent] == [0.25, 0.5, 0.75]
    assert [seq for _, seq in sent] == [25, 50, 75]


def test_each_boot_has_its_own() -> None:
    receipts = make()
    receipts.note("kpt", "v7", "a1", 900, 0.0)
    receipts.note("kpt", "v7", "a2", 1, 0.0)
    assert sorted(due[2:] for due in receipts.pop_due(1.0)) == [("a1", 900), ("a2", 1)]


def test_too_many_boots_are_counted_and_dropped() -> None:
    receipts = make(boots_max=1)
    receipts.note("kpt", "v7", "a1", 1, 0.0)
    receipts.note("kpt", "v8", "a1", 1, 0.0)
    assert (len(receipts), receipts.counts["receipts_dropped"]) == (1, 1)
