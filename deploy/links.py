"""The seams between processes: one NATS subject each, with messages cut to size and every wait bounded.

Inside one process a seam is a plain call; when its two ends live in different processes, a link carries it.
Positions and publications are sent and forgotten (the next one is newer); questions wait for an answer, not for ever.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
import nats
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg

PREFIX = "takt."
FIXES = "takt.fixes"
EVENTS = "takt.events"
BOARDINGS = "takt.boardings"
INSTRUCTIONS = "takt.instructions"
PUBLICATION = "takt.publication"
DESK = "takt.desk"
WHEREABOUTS = "takt.whereabouts"
FEED_SWITCH = "takt.feed.switch"
FEED_SWITCHED = "takt.feed.switched"
VALIDATORS = "takt.validators"
TARIFF_CHANGED = "takt.tariff.changed"
DISPATCH_NUMBERS = "takt.dispatch.numbers"
ACCURACY = "takt.accuracy"
TAPS = "takt.taps"

PART_BYTES_MAX = 900_000  # under NATS's default payload limit of 1 MiB
PARTS_MAX = 256
SENDERS_MAX = 64
ANSWER_S_MAX = 5.0

log = structlog.get_logger()


class LinkError(Exception):
    """The other end did not answer in time, or said that it could not."""


class _Part(msgspec.Struct, array_like=True):
    sender: int
    message: int
    part: int
    parts: int
    data: bytes


@dataclass
class _Assembly:
    """Parts of the message being received from one sender; a newer message throws an unfinished older one away."""

    message: int = -1
    parts: list[bytes | None] = field(default_factory=list)

    def add(self, part: _Part) -> bytes | None:
        if part.message != self.message:
            self.message, self.parts = part.message, [None] * min(part.parts, PARTS_MAX)
        if part.part < len(self.parts):
            self.parts[part.part] = part.data
        whole = [data for data in self.parts if data is not None]
        return b"".join(whole) if len(whole) == len(self.parts) else None


class Links:
    """One connection to the backbone and the subjects that this process speaks on."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._sender: int = client.client_id or 0
        self._message = 0
        self.counters = {"sent": 0, "received": 0, "unanswered": 0, "failed": 0}

    async def send(self, subject: str, data: bytes) -> None:
        """Publish; a message larger than a part goes in several, which arrive in order."""
        self._message += 1
        cuts = range(0, max(len(data), 1), PART_BYTES_MAX)
        for number, start in enumerate(cuts):
            part = _Part(self._sender, self._message, number, len(cuts), data[start : start + PART_BYTES_MAX])
            await self._client.publish(subject, msgspec.msgpack.encode(part))
        self.counters["sent"] += 1

    async def receive(self, subject: str, handle: Callable[[bytes], None]) -> None:
        """Call `handle` with each message of a subject, whole."""
        assemblies: dict[int, _Assembly] = {}
        decoder = msgspec.msgpack.Decoder(_Part)

        async def take(message: Msg) -> None:
            part = decoder.decode(message.data)
            if part.sender not in assemblies and len(assemblies) >= SENDERS_MAX:
                assemblies.pop(next(iter(assemblies)))
            whole = assemblies.setdefault(part.sender, _Assembly()).add(part)
            if whole is not None:
                self.counters["received"] += 1
                self._guarded(handle, whole, subject)

        await self._client.subscribe(subject, cb=take)

    async def ask(self, subject: str, question: bytes, timeout_s: float = ANSWER_S_MAX) -> bytes:
        """The answer of whoever serves a subject.

        Raises:
            LinkError: nobody answered in time, or the answer was that it failed.
        """
        try:
            reply = await self._client.request(subject, question, timeout=timeout_s)
        except (nats.errors.Error, TimeoutError) as error:
            self.counters["unanswered"] += 1
            raise LinkError(f"no answer on {subject} within {timeout_s:g} s") from error
        if reply.headers and reply.headers.get("Error"):
            raise LinkError(f"{subject}: {reply.headers['Error']}")
        return reply.data

    async def serve(self, subject: str, answer: Callable[[bytes], Awaitable[bytes]], queue: str = "") -> None:
        """Answer the questions of a subject, each in a task of its own; with a queue name the load is shared."""
        running: set[asyncio.Task[None]] = set()

        async def reply(message: Msg) -> None:
            try:
                data, headers = await answer(message.data), None
            except Exception as error:  # the asker gets the failure, this end goes on
                self.counters["failed"] += 1
                log.exception("link_answer_failed", subject=subject)
                data, headers = b"", {"Error": type(error).__name__}
            await self._client.publish(message.reply, data, headers=headers)

        async def take(message: Msg) -> None:
            task = asyncio.create_task(reply(message), name=f"link {subject}")
            running.add(task)
            task.add_done_callback(running.discard)

        await self._client.subscribe(subject, queue=queue, cb=take)

    def _guarded(self, handle: Callable[[bytes], None], data: bytes, subject: str) -> None:
        try:
            handle(data)
        except Exception:  # one bad message must not end the subscription
            self.counters["failed"] += 1
            log.exception("link_message_failed", subject=subject)


class Outgoing:
    """Messages of a caller that must not wait, on their way to a subject; when it is full the oldest goes, counted."""

    def __init__(self, links: Links, subject: str, size: int) -> None:
        self._links = links
        self._subject = subject
        self._waiting: deque[bytes] = deque()
        self._size = size
        self._dropped = f"dropped.{subject.removeprefix(PREFIX)}"
        links.counters.setdefault(self._dropped, 0)
        self._some = asyncio.Event()

    def put(self, data: bytes) -> None:
        """Take a message; never blocks."""
        if len(self._waiting) >= self._size:
            self._waiting.popleft()
            self._links.counters[self._dropped] += 1
        self._waiting.append(data)
        self._some.set()

    async def run(self) -> None:
        """Send what comes, in order; ends by cancellation."""
        while True:
            await self._some.wait()
            self._some.clear()
            while self._waiting:
                data = self._waiting.popleft()
                try:
                    await self._links.send(self._subject, data)
                except nats.errors.Error:
                    # The client buffers while it reconnects; past its buffer there is nothing to do but go on.
                    self._links.counters[self._dropped] += 1


@asynccontextmanager
async def linked(nats_url: str, user: str, password: str, name: str) -> AsyncIterator[Links]:
    """A connection that comes back by itself; entering means connected, leaving means flushed."""

    async def lost(error: Exception | None = None) -> None:
        log.warning("link_disturbed", error=repr(error) if error else None)

    options: dict[str, Any] = {"user": user, "password": password} if user else {}
    client = await nats.connect(
        nats_url,
        name=name,
        max_reconnect_attempts=-1,
        reconnect_time_wait=0.2,
        connect_timeout=5,
        error_cb=lost,
        disconnected_cb=lost,
        pending_size=64 * 1024 * 1024,
        **options,
    )
    try:
        yield Links(client)
    finally:
        try:
            async with asyncio.timeout(2):
                await client.drain()
        except (nats.errors.Error, TimeoutError):
            await client.close()
