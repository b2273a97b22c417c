"""How a session comes back: pauses that double, and the finding that somebody else has its client id."""

import random

import pytest

from gateway.backoff import FLAPPING_WINDOW_S, Backoff


def make() -> Backoff:
    return Backoff(0.2, 10.0, random.Random(1))


def test_every_failure_doubles_the_pause_up_to_its_limit():
    backoff = make()
    for ceiling_s in (0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0):
        backoff.failed()
        assert ceiling_s / 2 <= backoff.pause_s() <= ceiling_s


def test_a_session_that_was_granted_comes_back_at_once():
    backoff = make()
    for _ in range(5):
        backoff.failed()
    assert not backoff.lived(0.0, 3600.0)
    assert backoff.pause_s() <= 0.2


def test_three_short_lives_within_the_window_flap_and_slow_the_session_down():
    backoff = make()
    assert [backoff.lived(ended_s - 1, ended_s) for ended_s in (10.0, 20.0, 30.0)] == [True, True, True]
    assert backoff.flapping(30.0)
    assert 0.2 <= backoff.pause_s() <= 0.4
    assert not backoff.flapping(10.0 + FLAPPING_WINDOW_S)


@pytest.mark.parametrize("ended_s", [(10.0, 20.0), (10.0, 20.0, 20.0 + FLAPPING_WINDOW_S)])
def test_fewer_or_rarer_short_lives_do_not_flap(ended_s):
    backoff = make()
    for at_s in ended_s:
        backoff.lived(at_s - 1, at_s)
    assert not backoff.flapping(ended_s[-1])


def test_a_broker_that_is_away_explains_the_short_lives_before_it():
    backoff = make()
    for ended_s in (10.0, 20.0, 30.0):
        backoff.lived(ended_s - 1, ended_s)
    backoff.broker_away()
    assert not backoff.flapping(30.0)
