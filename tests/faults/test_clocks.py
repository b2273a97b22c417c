"""Fault 13: clocks ten minutes ahead, a day behind, in 1970, 1,024 weeks behind and in 2038, on a third of a fleet.

The checker is a twin of the same drive with clocks that are right. Both fleets speak MQTT to a real broker, the gateway
hears them, dispatch's engine ticks; time alone is told to both, so that twenty minutes pass in half of one. Times at
stops, and headways there and at the end, are the twin's within two seconds; a dispatcher sees whose clocks are wrong.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pytest

from deploy import mapping
from dispatch.engine import Engine
from dispatch.feed import read_feed
from dispatch.network import Network
from dispatch.observations import Observations
from dispatch.snapshot import Snapshot
from gateway import topics
from gateway.batch import FixBatch
from gateway.config import GatewaySettings
from gateway.position import Position
from gateway.service import Gateway, Seams
from gateway.wire import Answer, Tap, VehicleEvent
from simulators.city import make_city
from tests.faults.driving import MONDAY, drive
from tests.integration.gateway_brokers import WAIT_S, Device, RunningBroker, device, nats_broker, running

DAY_S = 86_400.0
EVERY_S, STEP_S = 10.0, 0.25
LEARNT_S = 2 * EVERY_S + 25.0  # four fixes that agree, twenty seconds: until then such a vehicle is not believed
ERROR_S = 2.0
BELL = topics.vehicle_status("op", "bell")


@pytest.fixture(scope="module")
def network() -> Network:
    return read_feed(make_city(7, MONDAY), None, MONDAY).network


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[RunningBroker]:
    with running(nats_broker(tmp_path)) as started:
        yield started


@dataclass
class Drive:
    """Fixes in the order in which they arrive, and by how much each vehicle's clock is ahead."""

    fixes: Observations
    arrives_s: np.ndarray
    ahead_s: dict[str, float] = field(default_factory=dict)

    @property
    def begins_s(self) -> float:
        return float(self.fixes.ts_s.min())

    def payload(self, row: int, zone: ZoneInfo) -> tuple[str, bytes]:
        """What the device publishes; the service date is what its own clock says."""
        key, claim = self.fixes.vehicle_key[row], self.fixes.descriptor[row]
        ts_s = float(self.fixes.ts_s[row]) + self.ahead_s.get(key, 0.0)
        date = dt.datetime.fromtimestamp(ts_s, zone).strftime("%Y%m%d")
        fix = Position(ts_s, float(self.fixes.lat_deg[row]), float(self.fixes.lon_deg[row]), start_date=date)
        fix.trip_id = claim[0] if claim else None
        return topics.position(*key.split("/")), msgspec.json.encode(fix)


def make_drive(network: Network, seed: int) -> tuple[Drive, Drive]:
    """The same drive by clocks that are right, and with a third of them wrong, all five ways in turn."""
    rng = np.random.default_rng(seed)
    fixes = drive(network, rng, EVERY_S, uneven_s=1.0)
    arrives_s = fixes.ts_s + 0.1 + rng.exponential(0.4, len(fixes))
    order = np.argsort(arrives_s, kind="stable")
    fixes, arrives_s = fixes.take(order), arrives_s[order]
    began_s = float(fixes.ts_s.min())
    wrong_s = [600.0, -DAY_S, -began_s, -1024 * 7 * DAY_S, 2.0**31 - began_s]
    keys = sorted(set(fixes.vehicle_key))
    chosen = [keys[i] for i in rng.permutation(len(keys))[: len(keys) // 3].tolist()]
    ahead_s = {key: wrong_s[i % len(wrong_s)] for i, key in enumerate(chosen)}
    return Drive(fixes, arrives_s), Drive(fixes, arrives_s, ahead_s)


class City:
    """Gateway and engine behind a broker, with a clock that the test sets."""

    def __init__(self, network: Network) -> None:
        self.engine = Engine(network)
        self.now_s = 0.0
        self.zone = ZoneInfo(network.timezone)
        self._rung = asyncio.Event()

    def seams(self) -> Seams:
        async def nobody_taps(_taps: list[Tap]) -> list[Answer]:
            return []

        return Seams(self._on_fixes, self._on_event, nobody_taps, lambda _letters: asyncio.sleep(0))

    def _on_fixes(self, batch: FixBatch) -> None:
        self.engine.ingest(mapping.decode_fixes(mapping.encode_fixes(batch)))

    def _on_event(self, event: VehicleEvent) -> None:
        if event.event == "online":
            self._rung.set()
        else:
            self.engine.event(event.as_dict())

    async def hear(self, vehicles: Device, drive: Drive, rows: range) -> None:
        """Publish some fixes, and a bell behind them; wait until it is heard."""
        for row in rows:
            vehicles.send(*drive.payload(row, self.zone))
        self._rung.clear()
        vehicles.send(BELL, b'{"online": true}')
        await asyncio.wait_for(self._rung.wait(), WAIT_S)


async def play(broker: RunningBroker, network: Network, drive: Drive) -> tuple[Engine, Snapshot, dict[str, float]]:
    """Play a drive; the engine and its last word, and what the gateway counted."""
    city = City(network)
    begins_s = float(np.floor(drive.begins_s))
    ends = np.ceil((drive.arrives_s - begins_s) / STEP_S).astype(int)
    last = int(ends[-1])
    row = 0
    async with Gateway(GatewaySettings(broker.address, flush_s=0.0), city.seams(), lambda: city.now_s) as gateway:
        with device(broker, "vehicles") as vehicles:
            for step in range(last + 1):
                city.now_s = begins_s + step * STEP_S
                until = int(np.searchsorted(ends, step, side="right"))
                if until > row:
                    await city.hear(vehicles, drive, range(row, until))
                    row = until
                if city.now_s == np.floor(city.now_s):
                    city.engine.advance(city.now_s)
        stats = gateway.stats
    return city.engine, city.engine.tick(np.ceil(city.now_s) + 1), stats


def departures(engine: Engine) -> dict[tuple[int, int], tuple[str, float]]:
    """(trip, stop) -> vehicle and when it left."""
    found = engine.passage_log.all()
    rows = zip(found.trip, found.stop, found.vehicle, found.departure_s, strict=True)
    return {(int(t), int(s)): (engine.fleet.key[v], float(d)) for t, s, v, d in rows if not np.isnan(d)}


def headways_at_stops(network: Network, left: dict[tuple[int, int], tuple[str, float]]) -> dict[object, float]:
    """(trip before, trip, stop) -> time between their departures, for neighbours of one route and direction."""
    by_stop = defaultdict(list)
    for (trip, nth), (_, departure_s) in left.items():
        pattern = int(network.trip_pattern[trip])
        stop = int(network.pattern_stop[network.pattern_stop_start[pattern] + nth])
        line = int(network.pattern_route[pattern]), int(network.pattern_direction[pattern]), stop
        by_stop[line].append((departure_s, trip))
    return {
        (before, trip, line[2]): departure_s - earlier_s
        for line, rows in by_stop.items()
        for (earlier_s, before), (departure_s, trip) in zip(sorted(rows), sorted(rows)[1:], strict=False)
    }


async def compare(broker: RunningBroker, network: Network, seed: int) -> None:
    right, wrong = make_drive(network, seed)
    clean, wanted, counted = await play(broker, network, right)
    engine, found, stats = await play(broker, network, wrong)
    assert counted.get("positions_put_right", 0) == counted["vehicles_clock_wrong"] == 0

    first_s: dict[str, float] = {}
    for key, ts_s in zip(right.fixes.vehicle_key, right.fixes.ts_s.tolist(), strict=True):
        first_s[key] = min(ts_s, first_s.get(key, ts_s))
    believed_s = {key: at_s + (LEARNT_S if key in wrong.ahead_s else 0.0) for key, at_s in first_s.items()}

    see_the_flags(found, wrong, stats, {key for key, at_s in believed_s.items() if at_s < wrong.arrives_s[-1]})
    same_at_stops(network, departures(clean), departures(engine), believed_s)
    same_at_the_end(wanted, found, believed_s)


def see_the_flags(found: Snapshot, wrong: Drive, stats: dict[str, float], known: set[str]) -> None:
    shown = {f"{row.operator_id}/{row.vehicle_id}": row for row in found.vehicles}
    lately = {key for key, row in shown.items() if found.as_of_s - row.ts <= 2 * EVERY_S}
    flagged = {key for key, row in shown.items() if row.clock_off_s is not None}
    assert lately & known & wrong.ahead_s.keys() <= flagged <= wrong.ahead_s.keys()
    assert {round(wrong.ahead_s[key]) for key in flagged} == {round(ahead_s) for ahead_s in wrong.ahead_s.values()}
    for key in flagged:
        assert shown[key].clock_off_s == pytest.approx(wrong.ahead_s[key], abs=ERROR_S)
    assert len(lately & flagged) <= stats["vehicles_clock_wrong"] <= len(wrong.ahead_s)
    assert stats["positions_put_right"] > 0
    assert stats["positions_rejected.stale"] > 0
    assert stats["positions_rejected.future"] > 0


Left = dict[tuple[int, int], tuple[str, float]]


def same_at_stops(network: Network, wanted: Left, found: Left, believed_s: dict[str, float]) -> None:
    settled = {at: said for at, said in wanted.items() if said[1] > believed_s[said[0]] + EVERY_S}
    assert settled.keys() <= found.keys()
    assert len(settled) > 1000
    late_s = [found[at][1] - departure_s for at, (_, departure_s) in settled.items()]
    assert max(map(abs, late_s)) <= ERROR_S
    others = headways_at_stops(network, {at: found[at] for at in settled})
    pairs = headways_at_stops(network, settled)
    errors_s = [others[pair] - headway_s for pair, headway_s in pairs.items() if pair in others]
    assert len(errors_s) > 0.99 * len(pairs)  # two that left within a second of one another may change places
    assert max(map(abs, errors_s)) <= ERROR_S
    print(f"{len(late_s)} departures, at most {max(map(abs, late_s)):.2f} s off; {len(errors_s)} headways at stops,"
          f" at most {max(map(abs, errors_s)):.2f} s off")  # fmt: skip


def same_at_the_end(wanted: Snapshot, found: Snapshot, believed_s: dict[str, float]) -> None:
    others = {row.vehicle_id: row for row in found.headways}
    errors_s = []
    for row in wanted.headways:
        if row.headway_s is None or row.estimated:
            continue
        passed_s = row.since_s - row.headway_s  # when the leader was there
        if passed_s < believed_s[f"op/{row.leader_id}"] + EVERY_S or row.since_s < believed_s[f"op/{row.vehicle_id}"]:
            continue
        other = others[row.vehicle_id]
        assert (other.leader_id, other.estimated, other.trip_id) == (row.leader_id, False, row.trip_id)
        assert other.headway_s is not None
        errors_s.append(other.headway_s - row.headway_s)
    assert len(errors_s) > 50
    assert max(map(abs, errors_s)) <= ERROR_S
    print(f"{len(errors_s)} headways at the end, at most {max(map(abs, errors_s)):.2f} s off")


async def test_headways_are_those_of_clocks_that_are_right(broker: RunningBroker, network: Network) -> None:
    await compare(broker, network, 13)


@pytest.mark.soak
@pytest.mark.parametrize("number", range(5))
async def test_headways_are_those_of_clocks_that_are_right_for_any_seed(
    broker: RunningBroker, network: Network, seed: int, number: int
) -> None:
    await compare(broker, network, seed + number)
