"""The latest answers by the message that each was given to: a bounded memory for taps that come again.

A validator that waits too long sends the same bytes once more, and in an overload all of them do. Were each copy judged
anew, it would keep a fresh tap waiting, and in the end nothing but copies would be judged.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict

from gateway import wire


def digest(topic: str, payload: bytes, size: int) -> bytes:
    """A key that no other message of any device shares; `size` bytes came, of which `payload` may be the beginning."""
    return hashlib.blake2b(b"%b\x00%d\x00%b" % (topic.encode(), size, payload), digest_size=16).digest()


class Answered:
    """At most `size` answers; the oldest make room."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._answers: OrderedDict[bytes, wire.Answer] = OrderedDict()

    def __len__(self) -> int:
        return len(self._answers)

    def get(self, key: bytes) -> wire.Answer | None:
        """The remembered answer to a message, None where there is none."""
        return self._answers.get(key)

    def put(self, key: bytes, answer: wire.Answer) -> None:
        """Remember an answer that was committed."""
        self._answers[key] = answer
        if len(self._answers) > self._size:
            self._answers.popitem(last=False)
