"""What goes wrong on purpose."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.position import decode_position
from gateway.refusal import Refusal
from simulators.faults import METRES_PER_DEGREE, FaultSettings, Link, Receiver, spoil

GOOD = b'{"ts":1.0,"lat":50.1,"lon":30.1}'


def test_errors_are_a_few_metres_and_wander() -> None:
    receiver = Receiver(1_000, FaultSettings(noise_m=3.0, wander_s=40.0), np.random.default_rng(1))
    vehicle, here = np.arange(1_000), np.full(1_000, 50.0)
    series = np.array([(receiver.blur(vehicle, here, here, 1.0)[0] - 50.0) * METRES_PER_DEGREE for _ in range(200)])

    assert series.std() == pytest.approx(3.0, rel=0.1)
    assert np.corrcoef(series[50], series[51])[0, 1] > 0.9
    assert abs(np.corrcoef(series[0], series[199])[0, 1]) < 0.2


def test_a_silence_lasts_for_a_while() -> None:
    receiver = Receiver(500, FaultSettings(gap_share=0.05, gap_s_mean=10.0), np.random.default_rng(2))
    heard = np.array([receiver.heard(np.arange(500), float(t)) for t in range(200)])

    silent = ~heard
    assert 0.2 < silent.mean() < 0.5
    assert (silent[1:] & silent[:-1]).sum() / silent[:-1].sum() > 0.7


def test_a_clean_link_changes_nothing() -> None:
    link = Link(FaultSettings().none_at_all(), np.random.default_rng(3))
    messages = [(i, GOOD) for i in range(100)]

    assert link.send(messages, 0.0) == messages


def test_everything_that_is_late_or_doubled_arrives_in_the_end() -> None:
    link = Link(FaultSettings(late_share=0.3, double_share=0.2, garbage_share=0.0), np.random.default_rng(4))
    out = [sender for t in range(100) for sender, _ in link.send([(t, GOOD)], float(t))]
    out += [sender for sender, _ in link.send([], 1_000.0)]

    assert set(out) == set(range(100))
    assert len(out) == 100 + link.doubled
    assert link.delayed > 10
    assert out != sorted(out)


def test_the_same_seed_goes_wrong_in_the_same_way() -> None:
    settings = FaultSettings(late_share=0.1, double_share=0.1, garbage_share=0.1)
    runs = [
        [Link(settings, np.random.default_rng(seed)).send([(i, GOOD) for i in range(200)], 0.0)] for seed in (5, 5, 6)
    ]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_garbage_is_mostly_refused_and_never_kills_a_reader() -> None:
    rng = np.random.default_rng(6)
    read = [decode_position(spoil(GOOD, rng)) for _ in range(500)]

    assert sum(isinstance(one, Refusal) for one in read) > 300
    assert [spoil(b"", rng) for _ in range(50)]
