"""Messages that are no taps wait for the store of dead letters without their megabytes, and keep nobody waiting."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections import Counter

from gateway.config import Broker, GatewaySettings
from gateway.letters import Letters
from gateway.message import PAYLOAD_BYTES_MAX, Oversize
from gateway.outbox import Outbox
from gateway.refusal import DeadLetter
from gateway.taps import TapIntake, Validate
from gateway.wire import TAP_BYTES_MAX, Answer, Tap

TOPIC = "validator/v1/town/v1/tap"
GOOD = b'{"id": "0b6f1c1e-7d1c-4a53-9d5e-6c2a5f0e8b11", "boot": "a", "seq": 1, "ts": 0, "medium": "qr", "token": "T"}'


class Arrived:
    def __init__(self, mid: int, payload: bytes) -> None:
        self.topic, self.payload, self.mid = TOPIC, payload, mid


class Nowhere:
    def publish(self, *_: object, **__: object) -> bool:
        return True


async def never(_: list[Tap]) -> list[Answer]:
    raise AssertionError("nothing here can be judged")


class Store:
    """Away, or back and keeping what it gets."""

    def __init__(self) -> None:
        self.away = True
        self.letters: list[DeadLetter] = []

    async def __call__(self, letters: list[DeadLetter]) -> None:
        if self.away:
            raise ConnectionError("the database is away")
        self.letters += letters


def intake(store: Store, validate: Validate = never, retry_s_max: float = 2.0) -> tuple[TapIntake, Counter[str]]:
    settings, counts = GatewaySettings(Broker("nowhere", 1), retry_s_max=retry_s_max), Counter[str]()
    outbox = Outbox(Nowhere(), 1000, counts, lambda: 0.0)
    letters = Letters(settings, store, counts)
    return TapIntake(settings, validate, outbox=outbox, letters=letters, counts=counts, clock=lambda: 0.0), counts


async def test_thousands_of_megabytes_are_not_held() -> None:
    made, counts = intake(Store())
    tracemalloc.start()
    try:
        for number in range(64):
            made.receive(Arrived(number, b"%d" % number + b"x" * (1 << 20)), 1)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(made) == counts["dead_letters.too_large"] == 64
    assert held < 2 << 20


async def test_riders_do_not_wait_for_the_store_of_letters() -> None:
    """What cannot be read has a lane of its own: its store is tried again after an hour here, and riders get in."""
    judged = asyncio.Event()

    async def accept(taps: list[Tap]) -> list[Answer]:
        judged.set()
        return [Answer(tap.id, "accepted") for tap in taps]

    made, counts = intake(Store(), accept, retry_s_max=3600.0)
    work = asyncio.create_task(made.run())
    try:
        for number in range(3):
            made.receive(Arrived(number, b"{" * (number + 1)), 1)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        async with asyncio.timeout(20):
            while not counts["dead_letter_store_failures"]:
                await asyncio.sleep(0)
            made.receive(Arrived(9, GOOD), 1)
            await judged.wait()
    finally:
        work.cancel()
    assert len(made) >= 3, "the letters are kept"


async def test_the_letter_says_how_large_it_was() -> None:
    store = Store()
    made, _ = intake(store)
    made.receive(Arrived(1, b"x" * (TAP_BYTES_MAX + 1)), 1)
    made.receive(Oversize(TOPIC, b"x" * PAYLOAD_BYTES_MAX, 2, 1 << 23), 1)
    pending = made._unreadable.take(8)
    assert await made._bury(pending) > 0, "tried again while the store is away"
    store.away = False
    assert await made._bury(pending) == 0
    assert [(letter.reason, letter.size_bytes) for letter in store.letters] == [
        ("too_large", TAP_BYTES_MAX + 1),
        ("too_large", 1 << 23),
    ]
    assert len(made) == 0
