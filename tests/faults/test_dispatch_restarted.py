"""An engine that is taken up from its state again and again holds every vehicle to the run that its twin does.

The processes of test_dispatch_killed in no time: a city whose vehicles name no trip is where a restart shows most.
"""

from __future__ import annotations

import random

import pytest

from deploy import mapping
from deploy.missed import Missed
from dispatch.engine import Engine
from dispatch.feed import read_feed
from dispatch.ground import fingerprint
from dispatch.network import Network
from dispatch.state import capture, resume
from dispatch.state_file import from_bytes, to_bytes
from simulators.city import make_city
from tests.faults.twins import DAY, City

SAVED_EVERY_S = 10  # as deploy.resuming has it


class Mortal:
    """An engine that dies now and then; what it was told is told again to the next one."""

    def __init__(self, network: Network, seed: int) -> None:
        self.network, self.feed = network, fingerprint(network)
        self.engine = Engine(network)
        self.rng = random.Random(seed)
        self.told: list[tuple[float, bytes]] = []
        self.saved = b""
        self.saved_s = self.dies_s = 0.0
        self.deaths = 0

    def tell(self, at_s: float, data: bytes) -> None:
        self.told.append((at_s, data))
        self.engine.ingest(mapping.decode_fixes(data))

    def tick(self, now_s: float) -> None:
        if self.saved and now_s >= self.dies_s:
            self._begin_anew(now_s)
        self.engine.tick(now_s)
        if now_s - self.saved_s >= SAVED_EVERY_S:
            self.dies_s = self.dies_s if self.saved else self._dies_after(now_s)
            self.saved, self.saved_s = to_bytes(capture(self.engine, now_s), self.feed), now_s

    def _begin_anew(self, now_s: float) -> None:
        state = from_bytes(self.saved, self.feed, now_s)
        self.engine = Engine(self.network)
        resume(self.engine, state)
        missed = Missed(self.engine, state.as_of_s)
        for at_s, data in self.told:
            if at_s >= state.as_of_s - 1.0:
                missed.fixes(mapping.decode_fixes(data))
        missed.fold(now_s)
        self.deaths += 1
        self.dies_s, self.saved_s = self._dies_after(now_s), now_s

    def _dies_after(self, now_s: float) -> float:
        return now_s + self.rng.randint(3, 15)


def live(seed: int, seconds: int, *, silent: bool) -> None:
    network = read_feed(make_city(seed, DAY)).network
    begins_s = network.day_start_s(DAY) + 8 * 3600.0
    city = City(network, 400, seed, begins_s, silent=silent)
    mortal, immortal = Mortal(network, seed), Engine(network)
    for second in range(seconds):
        now_s = begins_s + second + 1.0
        data = mapping.encode_fixes(city.batch(now_s - 0.5))
        mortal.tell(now_s - 0.5, data)
        immortal.ingest(mapping.decode_fixes(data))
        immortal.tick(now_s)
        mortal.tick(now_s)
        assert runs(mortal.engine) == runs(immortal), f"second {second}, after {mortal.deaths} deaths"
    assert mortal.deaths >= seconds // 25
    print(f"{mortal.deaths} deaths in {seconds} s, {immortal.counters['trips_exchanged']} runs exchanged")


def runs(engine: Engine) -> dict[str, tuple[int, float]]:
    fleet, n = engine.fleet, len(engine.fleet)
    held = zip(fleet.trip[:n].tolist(), fleet.zero_s[:n].tolist(), strict=True)
    return {key: run for key, run in zip(fleet.key, held, strict=True) if run[0] >= 0}


@pytest.mark.parametrize(("seed", "silent"), [(0, False), (10, True)])
def test_every_vehicle_is_held_to_the_run_of_its_twin(seed: int, silent: bool) -> None:
    live(seed, 60, silent=silent)


@pytest.mark.soak
@pytest.mark.parametrize("silent", [False, True], ids=["a quarter silent", "all silent"])
@pytest.mark.parametrize("seed", range(20, 30))
def test_so_it_is_for_ten_minutes(seed: int, silent: bool) -> None:
    live(seed, 600, silent=silent)
