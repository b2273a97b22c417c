"""How validators are: as old as they say their lists are and as long as they are silent, and whose clocks are wrong."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import pytest_asyncio

from deploy.links import VALIDATORS
from deploy.validators_seen import OLD_S, ListAges, Reports, ValidatorsSeen, Word
from gateway.wire import ValidatorEvent
from simulators.transport import Device
from simulators.validator_library.device import REPORT_EVERY_S, Access, ValidatorDevice
from simulators.validator_library.disk import Disk
from simulators.validator_library.lists import Lists
from simulators.validator_library.rules import Rules
from simulators.validator_library.terminal import Terminal
from sql.pool import open_pool
from ticketing.books import Books
from ticketing.store import Store

NOW_S = 1_800_000_000.0


class Line:
    """What joins the gateway's process and the web's."""

    def __init__(self) -> None:
        self.counters: dict[str, int] = {}
        self.sent: list[tuple[str, bytes]] = []

    async def send(self, subject: str, data: bytes) -> None:
        self.sent.append((subject, data))


class Town:
    """A web process on a database, and its clock."""

    def __init__(self, pool: Any) -> None:
        self.pool = pool
        self.now_s = NOW_S
        self.seen = ValidatorsSeen(Books(Store(pool)), lambda: self.now_s)

    def say(self, key: str, keys: float | None, status: float | None, deny: float | None) -> None:
        self.seen.take(Word(key, self.now_s, ListAges(keys, status, deny)))

    async def boot(self, device: str, boot: str, behind_s: float | None, heard_ago_s: float) -> None:
        await self.pool.execute(
            "INSERT INTO validator_progress VALUES ('kpt', $1, $2, '{[1,5]}', now() - make_interval(secs => $3))",
            device,
            boot,
            heard_ago_s,
        )
        if behind_s is not None:
            await self.pool.execute("INSERT INTO validator_clock VALUES ('kpt', $1, $2, $3)", device, boot, behind_s)


@pytest_asyncio.fixture
async def town(database: str) -> Any:
    async with await open_pool(database) as pool:
        yield Town(pool)


async def test_lists_are_as_old_as_the_last_word_and_the_silence_since(town: Town) -> None:
    town.say("kpt/fine", 20.0, 30.0, 30.0)
    town.say("kpt/old", 20.0, OLD_S + 1, 30.0)
    town.say("kpt/none", None, None, None)
    town.say("kpt/no-tickets", 20.0, None, 30.0)
    first = await town.seen.show()
    assert (first.reporting, first.old) == (4, 2)
    assert [one.validator for one in first.old_lists] == ["none", "old"]
    assert first.oldest_s == ListAges(20.0, OLD_S + 1, 30.0)
    town.now_s += 170.0
    town.say("kpt/old", 1.0, 1.0, 1.0)
    later = await town.seen.show()
    assert [(one.validator, one.heard_at) for one in later.old_lists] == [
        ("none", NOW_S),
        ("fine", NOW_S),
        ("no-tickets", NOW_S),
    ]
    assert later.old_lists[1].ages_s == ListAges(190.0, 200.0, 200.0)
    town.now_s += 86_401.0
    assert (await town.seen.show()).reporting == 0, "who is silent for a day has been switched off"


async def test_clocks_are_wrong_in_the_boot_that_was_heard_last(town: Town) -> None:
    await town.boot("mended", "a", 600.0, 3600.0)
    await town.boot("mended", "b", 0.0, 60.0)
    await town.boot("unknown", "a", None, 60.0)
    await town.boot("ahead", "a", -86_400.0, 60.0)
    await town.boot("behind", "a", 600.0, 60.0)
    await town.boot("gone", "a", 600.0, 2 * 86_400.0)
    reply = await town.seen.show()
    assert [(one.operator, one.validator, one.behind_s) for one in reply.wrong_clocks] == [
        ("kpt", "ahead", -86_400.0),
        ("kpt", "behind", 600.0),
    ]
    assert (reply.wrong, reply.clock_taps, reply.clock_unknown_taps) == (2, 0, 0)


async def test_many_consoles_cost_one_look(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []
    look = town.seen._look
    monkeypatch.setattr(town.seen, "_look", lambda now_s: looks.append(now_s) or look(now_s))
    await asyncio.gather(*(town.seen.show() for _ in range(50)))
    assert len(looks) == 1


class Air:
    """A broker's end of the line: everything that is sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes]] = []

    def open(self, device: Device) -> None:
        device.online = True

    def close(self, device: Device) -> None:
        device.online = False

    def publish(self, _device: Device, topic: str, payload: bytes, *, qos: int) -> None:
        self.sent.append((topic, payload))


async def test_the_library_says_how_old_its_lists_are_each_minute(tmp_path: Path) -> None:
    air, now_s = Air(), [NOW_S]
    lists = Lists(keys_s=NOW_S - 5, denied_s=NOW_S - 7)
    terminal = Terminal("b", "kpt/7", Rules(1, {}), rng=np.random.default_rng(1), lists=lists)
    access = Access("kpt", "door", "user", "password", step_every_s=0.001)
    with Disk(tmp_path / "disk") as disk:
        async with (
            ValidatorDevice(access, terminal, air, disk, lambda _: None, lambda: now_s[0]),  # type: ignore[arg-type]
            asyncio.timeout(10),
        ):
            while not air.sent:
                await asyncio.sleep(0)
            now_s[0] += REPORT_EVERY_S
            while len(air.sent) < 2:
                await asyncio.sleep(0)
    assert {topic for topic, _ in air.sent} == {"validator/v1/kpt/door/event"}
    first, second = (msgspec.json.decode(payload)["ages_s"] for _, payload in air.sent)
    assert first == {"keys": 5.0, "status": None, "deny": 7.0}
    assert second == {"keys": 65.0, "status": None, "deny": 67.0}


async def test_what_the_library_reports_comes_through_and_the_rest_goes_to_the_log() -> None:
    line = Line()
    reports = Reports(line)  # type: ignore[arg-type]
    sender = asyncio.create_task(reports.outgoing.run())

    def hear(event: str, detail: bytes) -> None:
        reports.hear(ValidatorEvent("kpt/door", NOW_S, NOW_S + 1, event, detail))

    fresh = msgspec.json.encode(Lists().report(NOW_S))
    hear("lists", fresh)
    hear("lists", b'{"ts": 1, "event": "lists", "ages_s": {"keys": -1}}')
    hear("lists", b'{"ts": 1, "event": "lists", "ages_s": "' + b"x" * 100)
    hear("tap_set_aside", b'{"ts": 1, "event": "tap_set_aside", "id": "x"}')
    async with asyncio.timeout(10):
        while not line.sent:
            await asyncio.sleep(0)
    sender.cancel()
    ((subject, data),) = line.sent
    assert (subject, msgspec.msgpack.decode(data, type=Word)) == (
        VALIDATORS,
        Word("kpt/door", NOW_S + 1, ListAges(None, None, None)),
    )
