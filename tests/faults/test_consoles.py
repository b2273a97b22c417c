"""Fault 24: 200 consoles, some of which stall; the others see each second's news within a second of it."""

from __future__ import annotations

import asyncio
import socket
import statistics
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
import pytest_asyncio
from aiohttp import web

from dispatch.board import Board, Publication
from dispatch.stream import Streams

CONSOLES, STALLED = 200, 40
FRAME_BYTES = 250_000  # what some 600 vehicles and their headways take
FRAMES = 10
WITHIN_S = 1.0


def frame(as_of_s: float) -> Publication:
    """A second's news, of the size of a city's."""
    vehicles = b'{"as_of": %.3f, "vehicles": [], "pad": "%b"}' % (as_of_s, b"x" * FRAME_BYTES)
    return Publication(as_of_s, "v", vehicles, b"{}", b"{}", b"{}", b"{}", [], b"", b"", b"")


@dataclass
class Console:
    """One open stream: which frames came, when each was there to its end, and how many bytes in all."""

    sock: socket.socket
    seen_at_s: dict[str, float] = field(default_factory=dict)
    received: int = 0

    @classmethod
    async def open(cls, port: int, *, small: bool) -> Console:
        sock = socket.socket()
        if small:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, ("127.0.0.1", port))
        await loop.sock_sendall(sock, b"GET /api/v1/stream HTTP/1.1\r\nHost: x\r\n\r\n")
        return cls(sock)

    async def read(self, last: str) -> None:
        """Reads until the frame named `last` has come; an event's id stands before its data."""
        loop, rest, current = asyncio.get_running_loop(), b"", ""
        while last not in self.seen_at_s:
            data = await loop.sock_recv(self.sock, 1 << 18)
            assert data, "the server closed the stream"
            self.received += len(data)
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                if line.startswith(b"id: "):
                    current = line[4:].decode()
                elif line.startswith(b"data: ") and current not in self.seen_at_s:
                    self.seen_at_s[current] = time.monotonic()


@dataclass
class Served:
    """The stream behind a web server, with a board to publish on."""

    board: Board
    streams: Streams
    port: int


@pytest_asyncio.fixture
async def served() -> AsyncIterator[Served]:
    board = Board()
    streams = Streams(board, time.time)
    app = web.Application()

    async def stream(request: web.Request) -> web.StreamResponse:
        return await streams.serve(request, staff=False)

    app.router.add_get("/api/v1/stream", stream)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield Served(board, streams, runner.addresses[0][1])
    await runner.cleanup()


async def open_consoles(served: Served) -> tuple[list[Console], list[Console]]:
    reading = [await Console.open(served.port, small=False) for _ in range(CONSOLES - STALLED)]
    stalled = [await Console.open(served.port, small=True) for _ in range(STALLED)]
    async with asyncio.timeout(60):
        while served.streams.open < CONSOLES:
            await asyncio.sleep(0.02)
    return reading, stalled


@pytest.mark.soak
async def test_consoles_that_stall_hold_nobody_up_and_get_the_newest_when_they_are_back(served: Served) -> None:
    reading, stalled = await open_consoles(served)
    began_s = time.time()
    names = [f"{began_s + nth:.3f}" for nth in range(FRAMES)]
    readers = [asyncio.create_task(console.read(names[-1])) for console in reading]
    published_s: list[float] = []
    for nth in range(FRAMES):
        published_s.append(time.monotonic())
        served.board.publish(frame(began_s + nth))
        await asyncio.sleep(1.0)  # the pace of dispatch
    await asyncio.wait_for(asyncio.gather(*readers), 60)

    late_s = [_first_as_new(one, names[nth:]) - published_s[nth] for one in reading for nth in range(FRAMES)]
    worst_s = statistics.quantiles(late_s, n=100)[-1]
    print(f"to {len(reading)} consoles: median {statistics.median(late_s):.3f} s, 99 of 100 in {worst_s:.3f} s")
    assert worst_s < WITHIN_S

    for console in stalled:  # they come back: what was in the pipe, then the newest, not all that they missed
        await asyncio.wait_for(console.read(names[-1]), 60)
        assert console.received < FRAMES / 2 * FRAME_BYTES
    assert served.streams.counters["frames_skipped"] >= STALLED
    for console in [*reading, *stalled]:
        console.sock.close()


def _first_as_new(console: Console, names: list[str]) -> float:
    """When a frame as new as the first of `names` was there."""
    return min(console.seen_at_s[name] for name in names if name in console.seen_at_s)
