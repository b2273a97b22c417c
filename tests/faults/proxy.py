"""A TCP proxy that misbehaves on command: cuts, black holes, delays, and cuts after so many bytes."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

Do = Literal["cut", "swallow", "refuse", "release", "delay"]
CHUNK = 65_536


@dataclass(frozen=True)
class Step:
    """After so many seconds, do this; seconds is the delay of every chunk for `delay`."""

    after_s: float
    do: Do
    seconds: float = 0.0


def random_schedule(rng: random.Random, steps: int, pause_s_max: float) -> list[Step]:
    """Faults and releases by turns, the same for the same generator."""
    schedule = []
    for _ in range(steps):
        fault: Do = rng.choice(["cut", "swallow", "refuse", "delay"])
        schedule.append(Step(rng.uniform(0, pause_s_max), fault, rng.uniform(0, 0.1)))
        schedule.append(Step(rng.uniform(0, pause_s_max), "release"))
    return schedule


@dataclass
class Proxy:
    """Carries bytes between whoever connects to `port` and the target, as long as it is told nothing else."""

    target_port: int
    port: int = 0
    delay_s: float = 0.0
    connections: int = 0
    cuts: int = 0
    _flow: asyncio.Event = field(default_factory=asyncio.Event)
    _refusing: bool = False
    _cut_after: dict[str, int | None] = field(default_factory=lambda: {"up": None, "down": None})
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def __aenter__(self) -> Proxy:
        self._flow.set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Reset every connection now; new ones are served."""
        self.cuts += 1
        for writer in list(self._writers):
            _reset(writer)
        self._writers.clear()

    def refuse(self) -> None:
        """Reset every connection, now and from now on."""
        self._refusing = True
        self.cut()

    def swallow(self) -> None:
        """A black hole: connections stay open, nothing comes through, nobody is told."""
        self._flow.clear()

    def release(self) -> None:
        """Everything flows again; what was held in the black hole goes on as TCP would deliver it."""
        self._refusing = False
        self.delay_s = 0.0
        self._cut_after = {"up": None, "down": None}
        self._flow.set()

    def cut_after(self, *, up: int | None = None, down: int | None = None) -> None:
        """Cut everything once so many bytes more went up to the target, or came down from it; once."""
        self._cut_after = {"up": up, "down": down}

    async def play(self, schedule: Sequence[Step]) -> None:
        """Do one step after the other."""
        for step in schedule:
            await asyncio.sleep(step.after_s)
            if step.do == "delay":
                self.delay_s = step.seconds
            else:
                getattr(self, step.do)()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._carry_both(reader, writer)
        except asyncio.CancelledError:
            pass  # the proxy itself ends
        finally:
            self._tasks.discard(task)

    async def _carry_both(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        await self._flow.wait()
        if self._refusing:
            _reset(writer)
            return
        try:
            down_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
        except OSError:
            _reset(writer)
            return
        self._writers |= {writer, up_writer}
        ways = [
            asyncio.create_task(self._carry(reader, up_writer, "up")),
            asyncio.create_task(self._carry(down_reader, writer, "down")),
        ]
        try:
            await asyncio.wait(ways, return_when="FIRST_COMPLETED")
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for each in (writer, up_writer):
                self._writers.discard(each)
                each.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: str) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                await self._flow.wait()
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                left = self._cut_after[way]
                if left is not None:
                    self._cut_after[way] = left - len(data)
                    data = data[: max(left, 0)]
                writer.write(data)
                await writer.drain()
                if left is not None and (self._cut_after[way] or 0) <= 0:
                    self._cut_after[way] = None
                    await asyncio.sleep(0.005)  # what was let through is delivered before the cut
                    self.cut()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST: no good-bye, what is under way is lost."""
    sock = writer.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
