"""How fast positions come in, beside the bare paho subscriber that only counts: same broker, publishers and run.

A round publishes a burst that the broker holds for the subscriber, so the subscriber alone sets the pace. Rounds of the
two alternate, each subscriber in a process of its own, and medians are compared: both suffer the same busy machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FIXES = 50_000
VEHICLES = 5_000
ROUNDS = 5
PUBLISHERS = 2
ROUND_S_MAX = 60.0
BOUNDS = (50.0, 30.0, 51.0, 31.0)


def run(gtfs: Path | None, seconds: float) -> dict[str, Any]:  # noqa: ARG001  every benchmark is asked the same way
    """Figures and ratios; a round is as long as publishing 10,000 positions for each second asked for takes."""
    return measure(fixes=max(10_000, int(10_000 * seconds)))


def measure(*, fixes: int = FIXES, vehicles: int = VEHICLES, rounds: int = ROUNDS) -> dict[str, Any]:
    """Figures in positions a second of whole rounds, from the first publish to the last message handed on.

    `bare_paho_per_s`: paho's own loop, on_message adds one. `positions_per_s`: the gateway, with decoding, all rules of
    admission and columns, which must admit every fix. Medians over `rounds`; also the gateway's seconds of CPU.
    """
    ours: list[dict[str, float]] = []
    bare: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory(prefix="takt-bench-") as folder, _broker(Path(folder)) as port:
        for _ in range(rounds):
            bare.append(_round("bare", port, fixes, vehicles))
            ours.append(_round("gateway", port, fixes, vehicles))
    positions_per_s = statistics.median(result["per_s"] for result in ours)
    bare_per_s = statistics.median(result["per_s"] for result in bare)
    return {
        "figures": {
            "positions_per_s": round(positions_per_s),
            "bare_paho_per_s": round(bare_per_s),
            "cpu_us_per_position": round(1e6 * statistics.median(result["cpu_s"] for result in ours) / fixes, 1),
            "bare_paho_cpu_us": round(1e6 * statistics.median(result["cpu_s"] for result in bare) / fixes, 1),
        },
        "ratios": {"positions_to_paho": round(positions_per_s / bare_per_s, 3)},
    }


@contextlib.contextmanager
def _broker(folder: Path) -> Iterator[int]:
    """A NATS server of its own, as the embedded one but without users; its MQTT port."""
    from deploy.embedded_broker import nats_program
    from deploy.ports import free_port

    port = free_port()
    config = folder / "nats.conf"
    config.write_text(
        f'server_name: bench\nlisten: "127.0.0.1:{free_port()}"\nmax_pending: 64MB\n'
        f'jetstream {{ store_dir: "{folder / "jetstream"}" }}\nmqtt {{ host: "127.0.0.1", port: {port} }}\n'
    )
    with (folder / "nats.log").open("wb") as log:
        server = subprocess.Popen([str(nats_program()), "-c", str(config)], stdout=log, stderr=log)  # noqa: S603
        try:
            _await_port(port, server)
            yield port
        finally:
            server.terminate()
            server.wait(10)


def _await_port(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + ROUND_S_MAX
    while server.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            return
        time.sleep(0.02)
    raise RuntimeError("the broker for the benchmark does not start")


def _round(kind: str, port: int, fixes: int, vehicles: int) -> dict[str, float]:
    """One burst through one subscriber."""
    subscriber = _child(kind, port, fixes)
    publishers = [_child("publish", port, fixes // PUBLISHERS, vehicles, number) for number in range(PUBLISHERS)]
    children = [subscriber, *publishers]
    try:
        for child in children:
            _read(child)  # "ready"
        began_s = time.monotonic()
        for child in publishers:
            _write(child, "go")
        ended = json.loads(_read(subscriber))
        if ended["number"] != fixes // PUBLISHERS * PUBLISHERS:
            raise RuntimeError(f"{kind}: {ended['number']} of {fixes} fixes came through")
        return {"per_s": ended["number"] / (ended["at_s"] - began_s), "cpu_s": ended["cpu_s"]}
    finally:
        for child in children:
            child.kill()
            child.wait()


def _child(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "deploy.bench.ingest", *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603


def _read(child: subprocess.Popen[str]) -> str:
    line = child.stdout.readline() if child.stdout else ""
    if not line:
        raise RuntimeError("a process of the benchmark ended early")
    return line


def _write(child: subprocess.Popen[str], line: str) -> None:
    if child.stdin:
        child.stdin.write(line + "\n")
        child.stdin.flush()


def _tell(**ended: float) -> None:
    sys.stdout.write(json.dumps(ended) + "\n")
    sys.stdout.flush()


def _say_ready() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()


def _bare(port: int, fixes: int) -> None:
    """The subscriber that only counts, on paho's own loop."""
    import paho.mqtt.client as paho
    from paho.mqtt.enums import CallbackAPIVersion

    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="bare")
    number = 0
    cpu_s = time.process_time()

    def count(*_: object) -> None:
        nonlocal number
        number += 1
        if number == fixes:
            _tell(number=number, at_s=time.monotonic(), cpu_s=time.process_time() - cpu_s)

    client.on_message = count
    client.on_connect = lambda client, *_: client.subscribe("fleet/v1/+/+/position", 0)
    client.on_subscribe = lambda *_: _say_ready()
    client.connect("127.0.0.1", port)
    client.loop_forever()


async def _gateway(port: int, fixes: int) -> None:
    """The gateway as it runs in production, its seams ending in a counter."""
    from gateway.admission import Limits
    from gateway.config import Broker, GatewaySettings
    from gateway.refusal import DeadLetter
    from gateway.service import Gateway, Seams
    from gateway.wire import Answer, Tap

    done = asyncio.Event()
    number = 0

    def count(batch: Any) -> None:
        nonlocal number
        number += len(batch)
        if number >= fixes:
            done.set()

    async def validate(_taps: list[Tap]) -> list[Answer]:
        return []

    async def store(_letters: list[DeadLetter]) -> None:
        pass

    limits = Limits(fixes_per_batch_max=64, bounds=BOUNDS)
    settings = GatewaySettings(Broker("127.0.0.1", port), client_id="bench", limits=limits)
    async with Gateway(settings, Seams(count, lambda _event: None, validate, store)) as gateway:
        cpu_s = time.process_time()
        _say_ready()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ROUND_S_MAX):
                await done.wait()
        _tell(number=number, at_s=time.monotonic(), cpu_s=time.process_time() - cpu_s)
        if number < fixes:
            sys.stderr.write(f"{gateway.stats}\n")


def _publish(port: int, fixes: int, vehicles: int, publisher: int) -> None:
    """A fleet's fixes as fast as the socket takes them; each vehicle drives on, so that every fix can be admitted."""
    packets = _packets(fixes, vehicles, publisher, time.time())
    with socket.create_connection(("127.0.0.1", port)) as connection:
        client_id = f"publisher{publisher}".encode()
        connect = b"\x00\x04MQTT\x04\x02\x00\x3c" + len(client_id).to_bytes(2) + client_id
        connection.sendall(b"\x10" + bytes([len(connect)]) + connect)
        if connection.recv(4)[3:4] != b"\x00":
            raise RuntimeError("the broker refused the publisher")
        _say_ready()
        sys.stdin.readline()
        connection.sendall(packets)
        sys.stdin.readline()  # until killed: a closed connection might lose what is still on its way


def _packets(fixes: int, vehicles: int, publisher: int, now_s: float) -> bytes:
    """MQTT PUBLISH packets, QoS 0, of `fixes` positions of vehicles that take turns."""
    packets = bytearray()
    for number in range(fixes):
        turn, vehicle = divmod(number, vehicles // PUBLISHERS)
        topic = f"fleet/v1/op{publisher}/{vehicle}/position".encode()
        fix = {
            "ts": round(now_s - 120 + turn, 3),
            "lat": round(50.3 + vehicle * 1e-5 + turn * 7e-5, 6),
            "lon": 30.5,
            "seq": turn,
            "boot": "a1",
            "speed_mps": 8.2,
            "bearing_deg": 121,
            "accuracy_m": 4,
            "odometer_m": 120345 + turn,
            "trip_id": "1_173113_10_0",
            "route_id": "1_1",
            "direction_id": 0,
            "block_id": None,
            "start_date": "20260711",
            "door": "closed",
            "occupancy": "FEW_SEATS_AVAILABLE",
        }
        body = len(topic).to_bytes(2) + topic + json.dumps(fix).encode()
        packets += b"\x30" + bytes((len(body) & 127 | 128, len(body) >> 7)) + body
    return bytes(packets)


def main() -> None:
    """A child of the benchmark: `bare`, `gateway` or `publish`, or the benchmark itself without arguments."""
    match sys.argv[1:]:
        case ["bare", port, fixes]:
            _bare(int(port), int(fixes))
        case ["gateway", port, fixes]:
            _run(_gateway(int(port), int(fixes)))
        case ["publish", port, fixes, vehicles, publisher]:
            _publish(int(port), int(fixes), int(vehicles), int(publisher))
        case _:
            sys.stdout.write(json.dumps(measure(), indent=2) + "\n")


def _run(work: Any) -> None:
    if os.name == "posix":
        import uvloop

        uvloop.run(work)
    else:
        asyncio.run(work)


if __name__ == "__main__":
    main()
