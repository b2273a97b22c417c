"""A refusal that comes after the gate has opened: the whole way from a validator's own word to the rider's debt."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest

from deploy import wiring
from gateway.config import GatewaySettings
from gateway.service import Gateway, Seams
from gateway.wire import Answer, Tap
from simulators.transport import Broker, Devices
from simulators.validator_library.device import Access, ValidatorDevice
from simulators.validator_library.disk import Disk
from simulators.validator_library.pacing import Limits
from simulators.validator_library.rules import Profile, Rules
from simulators.validator_library.terminal import Shown, Terminal
from tests.integration.gateway_brokers import Ear, nats_broker, running, until
from tests.integration.rated_city import KEYS, UID, RatedCity, rated_city
from tests.integration.test_rating import BUSES_OF_2008
from ticketing.card import sun_message

RULES = Rules(4, {}, profile=Profile(card_keys=(KEYS,)))
SLOW = Limits(first_pause_s=600.0)  # no tap comes again by itself: what is told, is told because of the answer


class LateJudge:
    """The real judge, whose first answer is on its way until the gate has opened."""

    def __init__(self, city: RatedCity) -> None:
        self.asked: list[Tap] = []
        self.gate_opened = asyncio.Event()
        self._judge = wiring.judge(city.service)

    async def validate(self, taps: list[Tap]) -> list[Answer]:
        self.asked += taps
        answers = await self._judge(taps)
        await self.gate_opened.wait()
        return answers


@pytest.mark.parametrize("flat", [True, False])
async def test_a_rider_refused_after_the_gate_has_opened_owes_the_ride(database, tmp_path: Path, flat: bool) -> None:
    """An empty purse, half a second until the validator decides alone, the refusal later and no tap sent twice yet."""
    tariff = BUSES_OF_2008.partition("[[cap]]")[0] if flat else BUSES_OF_2008
    shown: list[Shown] = []
    async with rated_city(database, tariff) as city:
        ahead_s = city.at("10:00") - time.time()
        judge = LateJudge(city)

        def clock() -> float:
            return time.time() + ahead_s

        def show(what: Shown) -> None:
            shown.append(what)
            judge.gate_opened.set()

        ear = Ear()
        seams = Seams(ear.fixes.append, ear.events.append, judge.validate, ear.store, ear.validator_events.append)
        terminal = Terminal("b1", "bus/7", RULES, rng=np.random.default_rng(1), limits=SLOW, fallback_s=0.5)
        with running(nats_broker(tmp_path)) as nats, Disk(tmp_path / "taps") as disk:
            async with (
                Gateway(GatewaySettings(nats.address), seams, clock),
                Devices(Broker("127.0.0.1", nats.port), np.random.default_rng(1)) as devices,
                ValidatorDevice(Access("bus", "door", "door", ""), terminal, devices, disk, show, clock) as door,
            ):
                await until(lambda: door.device.online, "the validator connected")
                tap_id = door.tap("card", sun_message(KEYS, UID, 1, b"12345678"))
                await until(lambda: not terminal.taps.kept, "the answer to the validator's own word")
        assert [(one.tap_id, one.verdict, one.alone) for one in shown] == [(tap_id, "accepted", True)]
        assert [msgspec.to_builtins(tap.offline) for tap in judge.asked] == [
            None,
            {"verdict": "accepted", "rules_version": 4},
        ]
        assert (door.counters["put_back"], terminal.alone_since_s, terminal.unjudged) == (1, None, 0)
        city.now_s = clock()
        await city.settle()
        assert (await city.balance(), await city.debt()) == (0, 90)
        (row,) = await city.pool.fetch("SELECT verdict::text, conflict, offline_verdict, rules_version FROM tap")
        assert tuple(row) == ("insufficient_funds", True, "accepted", 4)
        city.counters[UID] = 1
        again = await city.judge(city.tap(city.now_s + 60))
        assert again[0].verdict == "insufficient_funds", "and not before that is paid"
