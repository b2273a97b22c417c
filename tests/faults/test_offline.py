"""Validators alone: two that accept one ticket, keys that change meanwhile, a day's backlog of five hundred."""

from __future__ import annotations

import contextlib
import json
import statistics
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator

import numpy as np
import pytest

from gateway.wire import Offline, TapBody, encode_tap
from simulators.transport import Broker, Devices
from simulators.validator_library.device import Access, ValidatorDevice
from simulators.validator_library.disk import Disk
from simulators.validator_library.lists import Lists
from simulators.validator_library.rules import ProductRule, Rules
from simulators.validator_library.terminal import Shown, Terminal
from sql import query
from tests.faults.conftest import Town, write_key
from tests.faults.invariants import check_invariants
from tests.faults.uploading import start_uploading
from tests.faults.validators_at_work import LIMITS, entries_of, until
from ticketing.keys import load_issuer_keys

PRODUCTS = {"single": ProductRule(1, 0.0, proof=False), "day": ProductRule(None, 0.0, proof=False)}


class Door:
    """A device of the vendors' library in a bus of its own, with what it showed to its riders."""

    def __init__(self, town: Town, name: str, devices: Devices) -> None:
        self.shown: list[Shown] = []
        lists = Lists()
        lists.take_keys(town.keys.key_set.cose_keys(), time.time())
        rng = np.random.default_rng()  # ids must differ from those of every other door and start
        rules = Rules(12, PRODUCTS)
        self.terminal = Terminal(uuid.uuid4().hex[:8], f"town/{name}", rules, rng=rng, lists=lists, limits=LIMITS)
        self.disk = Disk(town.folder / f"{name}.taps")
        access = Access("town", name, f"validator-{name}", "")
        self.device = ValidatorDevice(access, self.terminal, devices, self.disk, self.shown.append)

    async def show(self, token: str, *, online: bool = False) -> Shown:
        """A rider taps and waits for the display; `online`: for the server's word, be the machine as slow as it is."""
        self.terminal._fallback_s = 60.0 if online else 0.3
        tap_id = self.device.tap("qr", token)
        found: list[Shown] = []

        def answered() -> bool:
            found[:] = [shown for shown in self.shown if shown.tap_id == tap_id]
            return bool(found)

        await until(answered, 30, "an answer on the display")
        return found[0]


@contextlib.asynccontextmanager
async def doors(town: Town, *names: str) -> AsyncIterator[list[Door]]:
    broker = Broker("127.0.0.1", town.broker.port, pause_s_first=0.2, pause_s_max=0.5)
    async with Devices(broker, np.random.default_rng(town.seed)) as devices, contextlib.AsyncExitStack() as stack:
        made = [Door(town, name, devices) for name in names]
        for door in made:
            stack.enter_context(door.disk)
            await stack.enter_async_context(door.device)
        await until(lambda: all(door.device.device.online for door in made), 20, "the doors connected")
        yield made


async def test_two_validators_accept_one_ticket_alone(town):
    """Fault 16: both kept, the second a conflict that names both, the ticket on the deny list."""
    (token,) = await town.sell(1)
    async with doors(town, "front", "rear") as (front, rear):
        assert [((s := await door.show(token)).verdict, s.alone) for door in (front, rear)] == [("accepted", True)] * 2
        assert (await front.show(token)).verdict == "used_up", "its own memory knows this ticket"
        await town.judge()
        await until(lambda: not (front.terminal.taps.kept or rear.terminal.taps.kept), 40, "all receipts")
        rows = await town.fetch(
            "SELECT id, verdict::text, conflict, conflict_with, rules_version FROM tap"
            " WHERE offline_verdict = 'accepted' ORDER BY conflict"
        )
        assert [(row["verdict"], row["conflict"], row["rules_version"]) for row in rows] == [
            ("accepted", False, 12),
            ("used_up", True, 12),
        ]
        assert rows[1]["conflict_with"] == rows[0]["id"]
        assert (await front.show(token, online=True)).verdict == "denied", "online everywhere at once"
        (entry,) = await town.fetch(query("lists.deny_since"), 0, 10)
        assert (uuid.UUID(bytes=entry["medium"]), entry["removed"]) == (town.ids[0], False)
        denied = {"seq": entry["seq"], "kind": "ticket", "medium": str(town.ids[0]), "removed": False, "at": 0}
        rear.terminal.lists.take_deny_list(
            json.dumps({"sequence": entry["seq"], "entries": [denied]}).encode(), time.time()
        )
        for judge in town.judges:
            judge.kill()
        assert ((s := await rear.show(token)).verdict, s.alone) == ("denied", True)
    await check_invariants(town.dsn, log=town.log, secrets=[token])


async def test_a_validator_falls_back_and_returns_by_itself_and_keeps_taps_over_a_restart(town):
    """No server, then one, then none: riders never wait, and what was tapped before a power cut is uploaded after."""
    tokens = await town.sell(6)
    async with doors(town, "door") as (door,):
        assert (await door.show(tokens[0])).alone
    async with doors(town, "door") as (door,):
        assert len(door.terminal.taps.kept) == 1
        assert (await door.show(tokens[0])).verdict == "used_up", "the memory survived too"
        judge = await town.judge()
        await until(lambda: not door.terminal.taps.kept, 40, "the upload")
        shown = await door.show(tokens[1], online=True)
        assert (shown.verdict, shown.alone) == ("accepted", False)
        judge.kill()
        assert (await door.show(tokens[2])).alone
        await town.judge()
        await until(lambda: not door.terminal.taps.kept, 40, "the rest")
        shown = await door.show(tokens[3], online=True)
        assert (shown.verdict, shown.alone) == ("accepted", False)
    await check_invariants(town.dsn, log=town.log, secrets=tokens)
    assert await town.value("SELECT count(*) FROM tap WHERE verdict = 'accepted'") == 4


async def test_keys_change_while_half_the_validators_are_away(town):
    """Fault 22: old tickets stay good, new ones are after a refresh, retired keys are refused."""
    (old,) = await town.sell(1, "day", None)
    old_keys = town.keys
    write_key(town.keys_dir, "2026-02")
    town.keys = load_issuer_keys(town.keys_dir, "takt")
    assert town.keys.signer.kid != old_keys.signer.kid
    (new,) = await town.sell(1, "day", None)
    both = town.keys.key_set.cose_keys()
    async with doors(town, "reached", "away") as (reached, away):
        away.terminal.lists.take_keys(old_keys.key_set.cose_keys(), time.time() - 86_400)

        async def say(door: Door) -> list[str]:
            return [(await door.show(token)).verdict for token in (old, new)]

        reached.terminal.lists.take_keys(both, time.time())
        assert await say(reached) == ["accepted", "accepted"]
        assert await say(away) == ["accepted", "unknown_key"], "alone, with the keys of yesterday"
        assert away.device.ages_s()["keys"] > 86_000, "the age of its keys is known"
        away.terminal.lists.take_keys(both, time.time())
        assert await say(away) == ["accepted", "accepted"]

        (town.keys_dir / "2026-01.pem").unlink()  # retired, after the longest ticket
        town.keys = load_issuer_keys(town.keys_dir, "takt")
        for door in (reached, away):
            door.terminal.lists.take_keys(town.keys.key_set.cose_keys(), time.time())
        assert [await say(door) for door in (reached, away)] == [["unknown_key", "accepted"]] * 2
        await town.judge()
        for door in (reached, away):
            await until(lambda door=door: not door.terminal.taps.kept, 40, "the upload")
        assert await say(reached) == ["unknown_key", "accepted"]
    await check_invariants(town.dsn, log=town.log, secrets=[old, new])


def write_backlog(path, names: list[str], tokens: list[str], each: int) -> None:
    """The record of validators that were alone all day: taps of the last hour, decided there, none uploaded."""
    now_s = time.time()
    with path.open("wb") as file:
        for number, name in enumerate(names):
            for seq in range(1, each + 1):
                tap_id, made_s = str(uuid.uuid4()), now_s - 3_600 + seq
                body = TapBody(
                    tap_id,
                    "alone",
                    seq,
                    round(made_s, 3),
                    "qr",
                    tokens[(number * each + seq) % len(tokens)],
                    vehicle=f"bus-{name}",
                    offline=Offline("accepted", 12),
                )
                entry = {"at": made_s, "validator": name, "what": "tap", "id": tap_id, "boot": "alone", "seq": seq}
                entry |= {"payload": encode_tap(body).decode(), "trick": "none"}
                file.write(json.dumps(entry).encode() + b"\n")


async def come_back(town: Town, count: int, each: int, live_per_s: float, quiet_s: float = 2.0) -> dict[str, float]:
    """Live latency during the upload of a backlog and without it, and how fast that drains.

    It is quiet for so long before and again afterwards: a percentile of a few taps is luck, and machines' speeds drift.
    """
    passes = await town.sell(500, "day", None)
    judge = await town.judge()
    names = [f"back-{number}" for number in range(count)]
    write_backlog(town.folder / "back.journal", names, passes, each)
    async with town.validators(20, prefix="live") as live:
        await live.online()

        async def taps(seconds: float) -> list[float]:
            live.gates.statistics.latencies_s.clear()
            singles = await town.sell(int(seconds * live_per_s))
            await live.tap_steadily(singles, live_per_s)
            await live.all_receipted()
            return sorted(live.gates.statistics.latencies_s)

        await taps(1.0)
        quiet = await taps(quiet_s)
        begun, total = time.monotonic(), count * each
        uploading = start_uploading(town.folder, town.broker.port, count, each, town.seed)
        busy: list[float] = []
        stored: list[int] = []
        while uploading.is_alive():
            stored.append(await town.value("SELECT count(*) FROM tap WHERE device LIKE 'back-%'"))
            busy += await taps(2.0)
        drained_s = time.monotonic() - begun
        uploading.join()
        assert uploading.exitcode == 0, f"{stored} of {total} were stored"
        quiet += await taps(quiet_s)
        entries = entries_of(town.folder / "back.journal")
        found = await check_invariants(town.dsn, entries, judge=await judge.ask(), log=town.log)
        assert found.receipted == total
        await town.check(live, judge)
    deleted = Counter(entry["validator"] for entry in entries if entry["what"] == "deleted")
    assert set(deleted.values()) == {each}, "each trims as its receipts come"
    assert await town.value("SELECT count(*) FROM tap WHERE conflict") == 0
    p99 = [float(np.percentile(latencies, 99)) * 1000 for latencies in (quiet, busy)]
    p50 = [statistics.median(latencies) * 1000 for latencies in (quiet, busy)]
    return {
        "backlog": total,
        "drained_per_s": round(total / drained_s),
        "live_p50_ms_quiet": round(p50[0], 1),
        "live_p50_ms_busy": round(p50[1], 1),
        "live_p99_ms_quiet": round(p99[0], 1),
        "live_p99_ms_busy": round(p99[1], 1),
    }


async def test_validators_come_back_with_their_backlog(town):
    """Fault 17, small."""
    print(await come_back(town, 30, 40, 20))


@pytest.mark.soak
async def test_five_hundred_validators_come_back_with_a_day_of_taps(town, capsys):
    """Fault 17."""
    figures = await come_back(town, 500, 400, 50, quiet_s=20.0)
    with capsys.disabled():
        print(f"\nfault 17: {figures}")
