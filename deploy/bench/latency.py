"""From a vehicle's fix to the dispatcher's stream: 1,000 vehicles that report every second, everything embedded.

A real `takt run` is started with a feed; fixes go in over MQTT, each with the time of its taking, and the stream
is read as a console reads it. The tick of a second is part of the figure: half of it is the least that a median can be.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from deploy.addresses import credentials_of
from deploy.bench.ticketing import percentile
from deploy.errors import UserError
from deploy.instance import Instance
from deploy.runtime import Runtime

VEHICLES = 1_000
SETTLE_S = 5.0
READY_S_MAX = 120.0
STOP_S_MAX = 20.0
CITY_SEED = 1


class _Vehicle(msgspec.Struct):
    vehicle_id: str
    ts: float


class _Vehicles(msgspec.Struct):
    vehicles: list[_Vehicle]


def run(gtfs: Path | None, seconds: float) -> dict[str, Any]:
    """Start a city in a folder that is thrown away, and measure it for so many seconds."""
    with tempfile.TemporaryDirectory(prefix="takt-bench-") as folder:
        feed = gtfs or _made_up(Path(folder))
        with _city(Path(folder) / "data", feed) as runtime:
            latencies_s = _measure(runtime, _start_point(runtime), seconds)
    if not latencies_s:
        raise UserError("no vehicle of the benchmark appeared in the stream")
    figures = {
        "fix_to_stream_p50_ms": round(1000 * percentile(latencies_s, 0.50)),
        "fix_to_stream_p99_ms": round(1000 * percentile(latencies_s, 0.99)),
        "vehicles": VEHICLES,
        "fixes_seen": len(latencies_s),
    }
    return {"figures": figures, "ratios": {}}


def _made_up(folder: Path) -> Path:
    from simulators.city import make_city

    feed = folder / "city.zip"
    today = dt.datetime.now(dt.UTC).date()
    feed.write_bytes(make_city(CITY_SEED, today - dt.timedelta(days=today.weekday())))
    return feed


@contextlib.contextmanager
def _city(data_dir: Path, feed: Path) -> Iterator[Runtime]:
    """A running instance; it is told to stop at the end, and killed if it does not."""
    options = ["--data-dir", str(data_dir), "--feed", str(feed), "--http-port", "0", "--mqtt-port", "0"]
    command = [sys.executable, "-m", "deploy", "run", *options]
    with tempfile.TemporaryFile() as log:
        child = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: S603
        try:
            yield _runtime(data_dir, child)
        except UserError as error:
            log.seek(0)
            raise UserError(f"{error}: {log.read().decode(errors='replace')[-500:]}") from None
        finally:
            child.send_signal(signal.SIGTERM)
            try:
                child.wait(STOP_S_MAX)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def _runtime(data_dir: Path, child: subprocess.Popen[bytes]) -> Runtime:
    deadline = time.monotonic() + READY_S_MAX
    while time.monotonic() < deadline and child.poll() is None:
        with contextlib.suppress(UserError, OSError):
            runtime = Instance.open(data_dir, create=False).read_runtime()
            if runtime is not None:
                with urllib.request.urlopen(f"{runtime.http_url}/readyz", timeout=5) as answer:  # noqa: S310
                    if answer.status == 200:
                        return runtime
        time.sleep(0.1)
    raise UserError("the city of the benchmark did not become ready")


def _start_point(runtime: Runtime) -> tuple[float, float]:
    """The middle of the feed's map: latitude and longitude."""
    with urllib.request.urlopen(f"{runtime.http_url}/api/v1/map", timeout=30) as answer:  # noqa: S310
        west, south, east, north = json.load(answer)["bounds"]
    return (south + north) / 2, (west + east) / 2


def _measure(runtime: Runtime, middle: tuple[float, float], seconds: float) -> list[float]:
    """Latencies in seconds, sorted: of each fix that is a vehicle's newest when a frame of the stream arrives."""
    stop = threading.Event()
    publisher = threading.Thread(target=_publish, args=(runtime, middle, stop), name="bench-vehicles")
    publisher.start()
    newest: dict[str, float] = {}
    latencies_s: list[float] = []
    decode = msgspec.json.Decoder(_Vehicles).decode
    begun = time.time()
    try:
        for data, at_s in _frames(f"{runtime.http_url}/api/v1/stream"):
            for vehicle in decode(data).vehicles:
                if newest.get(vehicle.vehicle_id) != vehicle.ts:
                    newest[vehicle.vehicle_id] = vehicle.ts
                    if at_s > begun + SETTLE_S:
                        latencies_s.append(at_s - vehicle.ts)
            if at_s > begun + SETTLE_S + seconds:
                break
    finally:
        stop.set()
        publisher.join()
    return sorted(latencies_s)


def _frames(url: str) -> Iterator[tuple[bytes, float]]:
    """The stream's vehicles, with the Unix time at which each frame was there as a whole."""
    with urllib.request.urlopen(url, timeout=30) as stream:  # noqa: S310
        event, data = b"", b""
        for line in stream:
            if line.startswith(b"event:"):
                event = line[6:].strip()
            elif line.startswith(b"data:"):
                data = line[5:].strip()
            elif not line.strip():
                if event == b"vehicles":
                    yield data, time.time()
                event, data = b"", b""


def _publish(runtime: Runtime, middle: tuple[float, float], stop: threading.Event) -> None:
    """Each vehicle's fix once a second, spread over the second, along a street of its own."""
    import paho.mqtt.client as paho
    from paho.mqtt.enums import CallbackAPIVersion

    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="bench-vehicles")
    client.username_pw_set(*credentials_of(runtime.nats_url))
    client.connect(runtime.mqtt_host, runtime.mqtt_port)
    client.loop_start()
    begun = time.perf_counter()
    number = 0
    while not stop.is_set():
        ahead_s = begun + number / VEHICLES - time.perf_counter()
        if ahead_s > 0 and stop.wait(ahead_s):
            break
        turn, vehicle = divmod(number, VEHICLES)
        fix = {"ts": round(time.time(), 3), "lat": round(middle[0] + vehicle * 1e-6 + turn * 7e-5, 6), "lon": middle[1]}
        client.publish(f"fleet/v1/bench/{vehicle}/position", msgspec.json.encode(fix), qos=0)
        number += 1
    client.loop_stop()
    client.disconnect()
