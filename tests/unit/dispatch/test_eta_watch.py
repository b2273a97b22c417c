"""The watch: a prediction is noted every 30 s, meets its arrival, and never more wait than there is room for."""

import numpy as np
import pytest

from dispatch.engine import Engine
from dispatch.eta_samples import DTYPES, Samples, Waiting, arrivals_of, key_of
from dispatch.passages import Passages

TRIPS = {"t1": 3600, "t2": 4200}
STRAIGHT, STOPS = ((0, 0), (6000, 0)), (0, 1000, 2000, 3000, 4000, 5000, 6000)


def passages(*rows):
    vehicle, trip, zero_s, stop, arrival_s = (np.array(column) for column in zip(*rows, strict=True))
    whole = (vehicle.astype(np.int32), trip.astype(np.int32), zero_s.astype(float), stop.astype(np.int32))
    return Passages(*whole, arrival_s.astype(float), arrival_s.astype(float))


def arrivals(*rows):
    return arrivals_of(passages(*rows))


def samples(stops, made_s=0.0, vehicle=3):
    stop = np.array(stops, dtype=np.int32)
    each = np.full(len(stop), vehicle, dtype=np.int32)
    columns = [np.zeros(len(stop), dtype=dtype) for dtype in DTYPES]
    columns[0], columns[1] = each, key_of(each, each + 4, np.zeros(len(stop)), stop)
    columns[4] = columns[4] + made_s
    return Samples(*columns)


def test_an_arrival_ends_the_samples_of_its_own_stop_and_run_alone():
    waiting = Waiting(100)
    waiting.add(samples([1, 2, 1]), 0.0)
    ended, arrival_s = waiting.arrived(arrivals((3, 7, 0.0, 1, 50.0), (4, 7, 0.0, 2, 60.0), (3, 7, 1.0, 2, 70.0)))
    assert len(ended) == 2
    assert arrival_s.tolist() == [50.0, 50.0]
    assert len(waiting) == 1
    assert not len(waiting.arrived(arrivals((3, 7, 0.0, 1, 99.0)))[0])


def test_an_arrival_that_was_not_seen_ends_nothing():
    waiting = Waiting(100)
    waiting.add(samples([1]), 0.0)
    assert not len(waiting.arrived(arrivals((3, 7, 0.0, 1, np.nan)))[0])


def test_the_oldest_make_room_and_are_counted():
    waiting = Waiting(10)
    for nth in range(5):
        waiting.add(samples(range(4), made_s=float(nth)), -1.0)
    assert (len(waiting), waiting.overwritten) == (10, 10)
    waiting.add(samples(range(50)), -1.0)
    assert (len(waiting), waiting.overwritten) == (10, 60)


def test_what_is_not_waited_for_any_more_makes_room_uncounted():
    waiting = Waiting(8000)
    for nth in range(40):
        waiting.add(samples(range(400), made_s=100.0 * nth), 100.0 * nth - 500.0)
    assert waiting.overwritten == 0
    assert len(waiting._held) == 4096


@pytest.mark.parametrize("tick_s", [1.0, 7.0, 30.0])
def test_a_drive_is_scored_whatever_the_pace_of_the_ticks(road, pattern, tick_s):
    """A vehicle 60 s late at its first stop and ever later: 10 m/s by the timetable, 8 m/s on the road."""
    line = road(pattern(STRAIGHT, STOPS, TRIPS))
    engine = Engine(line.network)
    for second in np.arange(0.0, 900.0, tick_s).tolist():
        engine.ingest(line.fixes(("v1", "t1", 3660.0 + second, min(8.0 * second, 6000.0), 0.0)))
        fix_s = line.zero_s + 3660.0 + second
        engine.tick(fix_s)
    reply = engine.eta.reply(engine.running.scatter, fix_s)
    assert reply.horizons[0].n > 5
    assert all(horizon.mae_s <= horizon.baseline_mae_s for horizon in reply.horizons if horizon.n)
    assert engine.counters["eta_samples_lost"] == 0
    assert engine.counters["eta_arrived"] >= sum(horizon.n for horizon in reply.horizons)
