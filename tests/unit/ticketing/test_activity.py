"""Counts by minute, by verdict and over the last minute."""

from collections import Counter

from ticketing.activity import Tally

NOON = 1771257600.0


def test_an_hour_by_minute_and_the_last_minute():
    tally = Tally()
    tally.add(Counter(accepted=3, used_up=1), NOON - 120)
    tally.add(Counter(accepted=2, expired=1), NOON)
    shown = tally.activity(NOON + 30, None, None)
    assert (shown.taps_per_minute, shown.accepted_per_minute, shown.refused_per_minute) == (3, 2, 1)
    assert shown.by_verdict == {"accepted": 5, "used_up": 1, "expired": 1}
    assert len(shown.by_minute) == 60
    assert (shown.by_minute[-1].minute, shown.by_minute[-1].accepted) == (NOON, 2)
    assert (shown.by_minute[-3].accepted, shown.by_minute[-3].refused) == (3, 1)


def test_what_is_older_than_an_hour_is_forgotten():
    tally = Tally()
    for second in range(0, 4 * 3600, 7):
        tally.add(Counter(accepted=1), NOON + second)
    assert len(tally._minutes) <= 60
    assert len(tally._seconds) <= 60
    assert tally.activity(NOON + 5 * 3600, None, None).by_verdict == {}


def test_a_clock_that_steps_back_leaves_no_future():
    tally = Tally()
    tally.add(Counter(accepted=1), NOON + 3600)
    tally.add(Counter(accepted=1), NOON)
    assert tally.activity(NOON, None, None).by_verdict == {"accepted": 1}
