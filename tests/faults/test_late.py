"""Fault 11: every position three times, up to two minutes late and shuffled; gateway's rules and the engine together.

The checker is a twin that got each position once and in time: where vehicles are is the same at every tick's end but
for what has not arrived yet, and once everything has arrived the headways are the same within a second.
"""

from __future__ import annotations

import numpy as np
import pytest

from dispatch.engine import Engine
from dispatch.feed import read_feed
from dispatch.late import TOLD_EVERY_S
from dispatch.network import Network
from dispatch.observations import Observations
from dispatch.snapshot import Snapshot
from gateway.admission import Limits, Memory, Outcome, admit
from simulators.city import make_city
from tests.faults.driving import MONDAY, drive

LATE_S = 120.0


@pytest.fixture(scope="module")
def network() -> Network:
    return read_feed(make_city(7, MONDAY), None, MONDAY).network


def play(network: Network, fixes: Observations, arrives_s: np.ndarray, order: np.ndarray) -> tuple[Engine, Snapshot]:
    """Deliver the fixes `order[k]` at `arrives_s[k]`, by the gateway's rules, a tick every second."""
    engine, memory, limits = Engine(network), Memory(), Limits()
    sorting = np.argsort(arrives_s, kind="stable")
    arrives_s, order = arrives_s[sorting], order[sorting]
    seen_s: dict[str, float] = {}
    first_s, last_s = float(np.floor(arrives_s[0])), float(fixes.ts_s[-1]) + TOLD_EVERY_S
    arrives_s = np.minimum(arrives_s, float(fixes.ts_s[-1]))  # the network lets go of what it still holds
    begin = 0
    for now_s in np.arange(first_s + 1, last_s + 2):
        end = int(np.searchsorted(arrives_s, now_s, side="right"))
        if end > begin:
            batch = fixes.take(order[begin:end])
            judged = admit(batch, memory, float(now_s), limits)
            assert not judged.counts().keys() & {"stale", "future", "teleport", "flood", "off_map"}
            engine.ingest(batch.take(np.flatnonzero(judged.mask)))
            assert Outcome.OUT_OF_ORDER not in judged.outcome
        begin = end
        engine.advance(float(now_s))
        for key, row in engine.fleet.index.items():
            assert engine.fleet.ts_s[row] >= seen_s.get(key, -np.inf)
            seen_s[key] = float(engine.fleet.ts_s[row])
    return engine, engine.look(last_s + 1)


@pytest.mark.parametrize(("every_s", "minutes"), [(5.0, 6), (20.0, 10)])
def test_headways_are_those_of_the_clean_run(network: Network, seed: int, every_s: float, minutes: int) -> None:
    compare(network, seed, every_s, minutes)


@pytest.mark.soak
@pytest.mark.parametrize("number", range(10))
@pytest.mark.parametrize("every_s", [5.0, 20.0])
def test_headways_are_those_of_many_clean_runs(network: Network, seed: int, every_s: float, number: int) -> None:
    print(f"TAKT_FAULT_SEED={seed + number}")
    compare(network, seed + number, every_s, 20)


def compare(network: Network, seed: int, every_s: float, minutes: int) -> None:
    """Drive once in time and once with every position three times and late, and compare what stands at the end."""
    rng = np.random.default_rng(seed)
    fixes = drive(network, rng, every_s)
    fixes = fixes.take(np.flatnonzero(fixes.ts_s < fixes.ts_s[0] + 60 * minutes))
    number = len(fixes)
    once = np.arange(number)
    _, wanted = play(network, fixes, fixes.ts_s, once)
    thrice = np.tile(once, 3)
    engine, found = play(network, fixes, fixes.ts_s[thrice] + rng.uniform(0, LATE_S, 3 * number), thrice)

    def place(snapshot: Snapshot) -> dict[str, tuple[object, ...]]:
        return {row.vehicle_id: (row.ts, row.trip_id, row.distance_m) for row in snapshot.vehicles}

    assert place(found) == place(wanted)
    pairs = {row.vehicle_id: row for row in wanted.headways}
    compared = 0
    for row in found.headways:
        other = pairs.pop(row.vehicle_id)
        said = (row.leader_id, row.estimated, row.headway_s is None)
        assert said == (other.leader_id, other.estimated, other.headway_s is None), (row, other)
        if row.headway_s is not None:
            assert row.headway_s == pytest.approx(other.headway_s, abs=1.0), (row, other)
            compared += 1
    assert not pairs
    assert compared > 100
    print(f"{number} fixes, {compared} headways, told anew {engine.counters['tracks_told_anew']} times")
