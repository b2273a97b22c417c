"""What the gateway has told dispatch of late, told again to a dispatch that has begun anew.

Positions are told once and nobody queues them. So that a dispatch that died misses none while it is away, the gateway
remembers what it has sent in the last minute, within a bound, and sends it once more when it is asked: every batch of
fixes, every event and every confirmation since the state that dispatch found in its folder.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Callable

import msgspec
import structlog

from deploy.links import LinkError, Links, Outgoing

RETOLD = "takt.retold"
KEPT_S = 60.0
KEPT_BYTES = 48 * 1024 * 1024
WAIT_S_MAX = 3.0

log = structlog.get_logger("retold")


class _Question(msgspec.Struct, array_like=True):
    since_s: float
    answer: str  # the subject on which it is told


class _Answer(msgspec.Struct, array_like=True):
    messages: int
    oldest_s: float  # nothing is known of what was sent before


class _Again(msgspec.Struct, array_like=True):
    subject: str
    data: bytes


_ENCODE = msgspec.msgpack.Encoder().encode
_QUESTION = msgspec.msgpack.Decoder(_Question)
_ANSWER = msgspec.msgpack.Decoder(_Answer)
_AGAIN = msgspec.msgpack.Decoder(_Again)


class Lately:
    """The gateway's end: messages of the last minute, `bytes_max` of them at most; the oldest make room."""

    def __init__(self, bytes_max: int = KEPT_BYTES, clock: Callable[[], float] = time.time) -> None:
        self.bytes = 0
        self.forgotten_s = clock()  # nothing is known of what was sent before
        self._bytes_max = bytes_max
        self._clock = clock
        self._sent: deque[tuple[float, str, bytes]] = deque()

    def note(self, subject: str, data: bytes) -> None:
        """Remember a message."""
        now_s = self._clock()
        self._sent.append((now_s, subject, data))
        self.bytes += len(data)
        while self._sent and (self.bytes > self._bytes_max or not 0 <= now_s - self._sent[0][0] <= KEPT_S):
            self.forgotten_s, _, gone = self._sent.popleft()
            self.bytes -= len(gone)

    def since(self, since_s: float) -> list[tuple[str, bytes]]:
        """The messages sent since then, in their order."""
        return [(subject, data) for at_s, subject, data in self._sent if at_s >= since_s]

    async def serve(self, links: Links) -> None:
        """Tell again whoever asks."""

        async def answer(data: bytes) -> bytes:
            asked = _QUESTION.decode(data)
            messages = self.since(asked.since_s)
            for subject, sent in messages:
                await links.send(asked.answer, _ENCODE(_Again(subject, sent)))
            return _ENCODE(_Answer(len(messages), self.forgotten_s))

        await links.serve(RETOLD, answer)


class Remembered(Outgoing):
    """Messages on their way to dispatch, which are remembered as they go."""

    def __init__(self, links: Links, subject: str, size: int, lately: Lately) -> None:
        super().__init__(links, subject, size)
        self._lately = lately
        self._name = subject

    def put(self, data: bytes) -> None:
        """Take a message; never blocks."""
        self._lately.note(self._name, data)
        super().put(data)


async def hear_again(links: Links, since_s: float, take: Callable[[str, bytes], None]) -> int:
    """Hand over what the gateway has sent since then, in its order; returns how many messages.

    Without a gateway that answers, or one that remembers as much, dispatch goes on with what it has, and says so.
    """
    subject = f"{RETOLD}.{secrets.token_hex(8)}"
    heard = 0
    more = asyncio.Event()

    def hear(data: bytes) -> None:
        nonlocal heard
        again = _AGAIN.decode(data)
        heard += 1
        more.set()
        take(again.subject, again.data)

    await links.receive(subject, hear)
    try:
        answer = _ANSWER.decode(await links.ask(RETOLD, _ENCODE(_Question(since_s, subject)), WAIT_S_MAX))
        async with asyncio.timeout(WAIT_S_MAX):
            while heard < answer.messages:
                more.clear()
                await more.wait()
    except (LinkError, TimeoutError) as error:
        log.warning("nothing_told_again", heard=heard, error=str(error) or "not in time")
        return heard
    if answer.oldest_s > since_s:
        log.warning("not_all_told_again", missing_s=round(answer.oldest_s - since_s, 1))
    return heard
