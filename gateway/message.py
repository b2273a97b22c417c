"""A message that arrived, as the intakes see it, and what stands in for one that is larger than anybody may send."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

PAYLOAD_BYTES_MAX: Final = 32_768  # of a larger one only the beginning is handed on; every kind's own limit is lower


class Message(Protocol):
    """What is read of a message that arrived; `topic` raises UnicodeDecodeError where a broker let such a one pass."""

    @property
    def topic(self) -> str: ...  # noqa: D102
    @property
    def payload(self) -> bytes | bytearray: ...  # noqa: D102
    @property
    def mid(self) -> int: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Oversize:
    """The beginning of a payload that is too large, and how many bytes it had."""

    topic: str
    payload: bytes
    mid: int
    size: int


def cut(message: Message, size: int) -> Message:
    """What to hand on of a message of so many bytes; itself where its topic cannot be read, which is refused anyway."""
    if size <= PAYLOAD_BYTES_MAX:
        return message
    try:
        return Oversize(message.topic, bytes(message.payload[:PAYLOAD_BYTES_MAX]), message.mid, size)
    except UnicodeDecodeError:
        return message


def size_of(message: Message) -> int:
    """How many bytes the payload had when it came."""
    return message.size if isinstance(message, Oversize) else len(message.payload)
