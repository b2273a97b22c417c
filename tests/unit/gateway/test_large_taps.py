"""Messages too large to be a tap wait for the store of dead letters without their megabytes."""

from __future__ import annotations

import tracemalloc
from collections import Counter

from gateway.config import Broker, GatewaySettings
from gateway.letters import Letters
from gateway.outbox import Outbox
from gateway.refusal import DeadLetter
from gateway.taps import TapIntake
from gateway.wire import TAP_BYTES_MAX, Answer, Tap

TOPIC = "validator/v1/town/v1/tap"


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


def intake(store: Store) -> tuple[TapIntake, Counter[str]]:
    settings, counts = GatewaySettings(Broker("nowhere", 1)), Counter[str]()
    outbox = Outbox(Nowhere(), 1000, counts, lambda: 0.0)
    letters = Letters(settings, store, counts)
    return TapIntake(settings, never, outbox=outbox, letters=letters, counts=counts, clock=lambda: 0.0), counts


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


async def test_the_letter_says_how_large_it_was() -> None:
    store = Store()
    made, _ = intake(store)
    made.receive(Arrived(1, b"x" * (TAP_BYTES_MAX + 1)), 1)
    (pending,) = made._late.take(8) or made._live.take(8)
    assert await made._step([pending]) > 0, "tried again while the store is away"
    store.away = False
    assert await made._step([pending]) == 0
    (letter,) = store.letters
    assert (letter.reason, letter.size_bytes) == ("too_large", TAP_BYTES_MAX + 1)
    assert len(made) == 0
