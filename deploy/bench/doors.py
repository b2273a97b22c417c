"""The other side of the ticketing benchmark: clients that send one tap a request or message, and time the answers.

They run in a process of their own, so that what they cost is not taken from the judge's core.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

PACE_S = 0.01
ANSWER_S_MAX = 10.0


class HttpWork(msgspec.Struct):
    """Requests ready to be sent, by connection, each connection one after the other until the time is up."""

    port: int
    seconds: float
    requests: list[list[bytes]]


class MqttWork(msgspec.Struct):
    """Taps ready to be published: topic, id and payload, `per_s` of them a second."""

    port: int
    user: str
    password: str
    per_s: float
    taps: list[tuple[str, str, bytes]]


class Done(msgspec.Struct):
    """What came back: how many were accepted and how many not, in how long; latencies in seconds, sorted."""

    accepted: int
    other: int
    seconds: float
    latencies_s: list[float] = []


async def run_child(work: HttpWork | MqttWork, folder: Path) -> Done:
    """Send the work from a child process."""
    kind = "http" if isinstance(work, HttpWork) else "mqtt"
    path = folder / f"{kind}.work"
    await asyncio.to_thread(path.write_bytes, msgspec.msgpack.encode(work))
    command = (sys.executable, "-m", "deploy.bench.doors", kind, str(path))
    child = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await child.communicate()
    if child.returncode:
        raise RuntimeError(f"the client of the {kind} benchmark ended with {child.returncode}")
    return msgspec.json.decode(output, type=Done)


async def _http(work: HttpWork) -> Done:
    begun = time.perf_counter()
    counts = await asyncio.gather(*(_http_connection(work, requests, begun) for requests in work.requests))
    spent_s = time.perf_counter() - begun
    latencies_s = sorted(latency for _, _, latencies in counts for latency in latencies)
    return Done(sum(good for good, _, _ in counts), sum(bad for _, bad, _ in counts), spent_s, latencies_s)


async def _http_connection(work: HttpWork, requests: list[bytes], begun: float) -> tuple[int, int, list[float]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", work.port)
    good = bad = 0
    latencies_s = []
    for request in requests:
        sent = time.perf_counter()
        if sent - begun > work.seconds:
            break
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        at = head.lower().index(b"content-length:") + 15
        body = await reader.readexactly(int(head[at : head.index(b"\r", at)]))
        latencies_s.append(time.perf_counter() - sent)
        good, bad = (good + 1, bad) if b'"verdict":"accepted"' in body else (good, bad + 1)
    writer.close()
    return good, bad, latencies_s


def _mqtt(work: MqttWork) -> Done:
    """Publishes on one connection and hears all verdicts on it: two thousand messages a second are nothing to it."""
    import threading

    import paho.mqtt.client as paho
    from paho.mqtt.enums import CallbackAPIVersion

    sent_s: dict[str, float] = {}
    latencies_s: list[float] = []
    refused = 0
    subscribed, done = threading.Event(), threading.Event()

    def hear(_client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        nonlocal refused
        answer = msgspec.json.decode(message.payload)
        begun = sent_s.pop(answer["id"], None)
        if begun is None:
            return
        latencies_s.append(time.perf_counter() - begun)
        refused += answer["verdict"] != "accepted"
        if len(latencies_s) == len(work.taps):
            done.set()

    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="bench-validators")
    client.username_pw_set(work.user, work.password)
    client.max_inflight_messages_set(0)
    client.on_message = hear
    client.on_connect = lambda client, *_: client.subscribe("validator/v1/+/+/verdict", 0)
    client.on_subscribe = lambda *_: subscribed.set()
    client.connect("127.0.0.1", work.port)
    client.loop_start()
    if not subscribed.wait(ANSWER_S_MAX):
        raise RuntimeError("the broker grants no subscription")
    begun = time.perf_counter()
    for number, (topic, tap_id, payload) in enumerate(work.taps):
        due = begun + number / work.per_s
        while (ahead_s := due - time.perf_counter()) > 0:
            time.sleep(min(ahead_s, PACE_S))
        sent_s[tap_id] = time.perf_counter()
        client.publish(topic, payload, qos=1)
    spent_s = time.perf_counter() - begun
    done.wait(ANSWER_S_MAX)
    client.loop_stop()
    client.disconnect()
    unanswered = len(sent_s)
    return Done(len(latencies_s) - refused, refused + unanswered, spent_s, sorted(latencies_s))


def main() -> None:
    """A child of the benchmark: `http FILE` or `mqtt FILE`."""
    kind, path = sys.argv[1:]
    data = Path(path).read_bytes()
    if kind == "http":
        import uvloop

        done = uvloop.run(_http(msgspec.msgpack.decode(data, type=HttpWork)))
    else:
        done = _mqtt(msgspec.msgpack.decode(data, type=MqttWork))
    sys.stdout.buffer.write(msgspec.json.encode(done))


if __name__ == "__main__":
    main()
