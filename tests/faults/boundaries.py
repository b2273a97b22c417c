"""What a process says to PostgreSQL and to the acquirer, message by message, and a blow at the n-th of them.

Two proxies stand between the process and its neighbours and number what it asks: statements by their Execute or Query
message, the acquirer's requests as a whole. What others can see of a process that dies changes only with what it has
asked, so a kill at every message is a kill at every point of its code. Of those only messages that last matter, since a
statement within a transaction is undone with it: "durable" counts no others.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

When = Literal["sent", "done", "durable"]
"""Before the n-th message goes out; when it has been done and nobody has read that; the same, of those that last."""
Blow = Literal["kill", "cut", "hush"]
"""The process dies; this connection is reset; on this connection nothing more is heard."""
CANCEL = 80877102
READING = ("SELECT", "SHOW", "BEGIN", "ROLLBACK", "WITH RECURSIVE", "WITH PART")
"""Statements that leave nothing behind where they stand alone, by how they begin."""


@dataclass
class Boundaries:
    """Counts messages and strikes once; `kill` ends the process, and returns when it has ended."""

    kill: Callable[[], Awaitable[None]]
    seen: list[str] = field(default_factory=list)
    struck: str | None = None
    _at: int = 0
    _when: When = "sent"
    _blow: Blow = "kill"

    def arm(self, number: int, when: When, blow: Blow) -> None:
        """Strike at the so many-th message from now on."""
        self.seen, self.struck = [], None
        self._at, self._when, self._blow = number, when, blow

    def disarm(self) -> None:
        """Let everything through, and count nothing."""
        self._at = 0

    async def asking(self, what: str) -> Blow | None:
        """A message is about to go out; the blow that falls, if one does."""
        if not self._at or self._when == "durable":
            return None
        self.seen.append(what)
        return await self._strike(what) if self._when == "sent" and len(self.seen) == self._at else None

    async def done(self, what: str, lasting: bool) -> Blow | None:
        """A message has been answered, which nobody has read yet; the blow that falls, if one does."""
        if not self._at or self._when == "sent" or (self._when == "durable" and not lasting):
            return None
        if self._when == "durable":
            self.seen.append(what)
        return await self._strike(what) if len(self.seen) == self._at else None

    async def _strike(self, what: str) -> Blow:
        self._at, self.struck = 0, what
        if self._blow == "kill":
            await self.kill()
        return self._blow


class _Fallen(Exception):  # noqa: N818  # no error: what a test asked for
    """A connection ends here."""


@dataclass
class _Wire:
    """One connection of the process, which is the client, to a neighbour."""

    client: tuple[asyncio.StreamReader, asyncio.StreamWriter]
    server: tuple[asyncio.StreamReader, asyncio.StreamWriter]

    async def fall(self, blow: Blow | None) -> None:
        """End the connection where there was a blow; a silent one when the process gives it up."""
        if blow == "hush":
            with contextlib.suppress(OSError):
                while await self.client[0].read(65_536):
                    pass
        if blow is not None:
            raise _Fallen

    async def to_server(self, data: bytes) -> None:
        self.server[1].write(data)
        await self.server[1].drain()

    async def to_client(self, data: bytes) -> None:
        self.client[1].write(data)
        await self.client[1].drain()


@asynccontextmanager
async def postgres_proxy(boundaries: Boundaries, host: str, port: int) -> AsyncIterator[int]:
    """The port of a proxy to a PostgreSQL, for clients that ask for no TLS."""

    async def carry(wire: _Wire) -> None:
        head = await wire.client[0].readexactly(8)
        length, code = struct.unpack("!II", head)
        await wire.to_server(head + await wire.client[0].readexactly(length - 8))
        if code == CANCEL:
            return
        statements: deque[str] = deque()
        await _either(_ask_postgres(wire, boundaries, statements), _tell_postgres(wire, boundaries, statements))

    async with _proxy(carry, host, port) as listening:
        yield listening


async def _ask_postgres(wire: _Wire, boundaries: Boundaries, statements: deque[str]) -> None:
    """Client to server: whole messages, of which those up to a Sync are one statement."""
    texts: dict[bytes, str] = {}
    unit, bound, statement = b"", "", ""
    while True:
        message = await _message(wire.client[0])
        kind, body = message[:1], message[5:]
        unit += message
        match kind:
            case b"P":
                name, text, _ = body.split(b"\0", 2)
                texts[name] = text.decode()
            case b"B":
                bound = texts.get(body.split(b"\0", 2)[1], "?")
            case b"E":
                statement = bound
            case b"Q":
                statement = body[:-1].decode()
        if kind in (b"S", b"Q"):
            shown = _first_line(statement)
            if shown:
                await wire.fall(await boundaries.asking(shown))
            statements.append(shown)
            await wire.to_server(unit)
            unit, statement = b"", ""
        elif kind in (b"p", b"H", b"X"):  # a password, a flush, good-bye
            await wire.to_server(unit)
            unit = b""


async def _tell_postgres(wire: _Wire, boundaries: Boundaries, statements: deque[str]) -> None:
    """Server to client: a statement's answer at once when it is whole; all else (log-in, preparing) as it comes."""
    held = b""
    while True:
        message = await _message(wire.server[0])
        held += message
        if statements and message[:1] != b"Z":
            continue
        if statements and (statement := statements.popleft()):
            lasting = message[-1:] == b"I" and not statement.upper().startswith(READING)
            await wire.fall(await boundaries.done(statement, lasting))
        await wire.to_client(held)
        held = b""


async def _message(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(5)
    return head + await reader.readexactly(struct.unpack("!I", head[1:])[0] - 4)


def _first_line(statement: str) -> str:
    lines = [line.strip() for line in statement.splitlines() if line.strip() and not line.lstrip().startswith("--")]
    return " ".join(lines)[:80].rstrip(";")


@asynccontextmanager
async def acquirer_proxy(boundaries: Boundaries, port: int) -> AsyncIterator[int]:
    """The port of a proxy to an acquirer."""

    async def carry(wire: _Wire) -> None:
        while True:
            head, body = await _http(wire.client[0])
            what = " ".join(head.decode().split(" ", 2)[:2])
            await wire.fall(await boundaries.asking(what))
            await wire.to_server(head + body)
            head, body = await _http(wire.server[0])
            await wire.fall(await boundaries.done(what, lasting=True))
            await wire.to_client(head + body)

    async with _proxy(carry, "127.0.0.1", port) as listening:
        yield listening


async def _http(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return head, await reader.readexactly(int(lengths[0].split(b":")[1])) if lengths else b""


async def _either(*ways: Awaitable[None]) -> None:
    """Both until one ends."""
    tasks = [asyncio.ensure_future(way) for way in ways]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def _proxy(carry: Callable[[_Wire], Awaitable[None]], host: str, port: int) -> AsyncIterator[int]:
    carried: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        carried.add(task)
        writers = [writer]
        try:
            server = await asyncio.open_connection(host, port)
            writers.append(server[1])
            await carry(_Wire((reader, writer), server))
        except (_Fallen, OSError, EOFError, asyncio.CancelledError):
            pass  # one of the two has gone, or the proxy ends
        finally:
            carried.discard(task)
            for each in writers:
                _reset(each)

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        for task in list(carried):
            task.cancel()
        await asyncio.gather(*carried, return_exceptions=True)


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
