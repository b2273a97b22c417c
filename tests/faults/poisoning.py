"""A device that sends poison, in a process of its own: good validators must not wait for their simulator."""

from __future__ import annotations

import json
import multiprocessing
import random
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.integration.gateway_brokers import Device

START_S_MAX = 60.0
SEND_S_MAX = 120.0


def poison(rng: random.Random) -> bytes:
    """One of the worst things a tap topic may carry."""
    tap = {"id": str(uuid.UUID(int=rng.getrandbits(128), version=4)), "boot": "p", "seq": 1, "ts": time.time()}
    tap |= {"medium": "qr", "token": "NOTHING"}
    return rng.choice(
        [
            b"",
            b"{",
            b"\xff\xfe\xfd",
            b"null",
            b"[]",
            json.dumps(tap).encode()[: rng.randrange(100)],
            json.dumps(tap | {"ts": float("nan")}).encode(),
            json.dumps(tap | {"ts": float("inf")}).encode(),
            json.dumps(tap | {"seq": -1}).encode(),
            json.dumps(tap | {"id": "1"}).encode(),
            json.dumps(tap | {"medium": "cash"}).encode(),
            json.dumps(tap | {"lat": 1e400}).encode(),
            b'{"seq": ' + b"9" * 400 + b"}",
            b'{"a":' * 10_000,
            b"x" * (1 << 20),
            rng.randbytes(60),
            json.dumps(tap | {"boot": "\u0000"}).encode(),
        ]
    )


@contextmanager
def poisoner(port: int, name: str, seed: int, count: int) -> Iterator[Any]:
    """An event that sends so much poison once it is set, as three validators `<name>-<0 to 2>`; it is made before."""
    context = multiprocessing.get_context("forkserver")
    ready, go = context.Event(), context.Event()
    process = context.Process(target=_main, args=(port, name, seed, count, ready, go), daemon=True)
    process.start()
    try:
        assert ready.wait(START_S_MAX), "the poisoner did not connect"
        yield go
    finally:
        go.set()
        process.join(SEND_S_MAX)
        process.kill()
    assert process.exitcode == 0, "not all the poison was taken"


def _main(port: int, name: str, seed: int, count: int, ready: Any, go: Any) -> None:
    rng = random.Random(seed)
    messages = [poison(rng) for _ in range(count)]
    device = Device(port, f"poisoner-{name}", ())
    ready.set()
    go.wait()
    sent = [device.send(f"validator/v1/town/{name}-{n % 3}/tap", each, qos=1) for n, each in enumerate(messages)]
    for each in sent:
        each.wait_for_publish(SEND_S_MAX)
    device.close()
