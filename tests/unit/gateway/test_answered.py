"""Answers are remembered by what they were given to, and not for ever."""

from __future__ import annotations

import itertools

from gateway.answered import Answered, digest
from gateway.wire import Answer


def test_one_device_and_one_message() -> None:
    messages = itertools.product(("a", "b", ""), (b"1", b"2", b""), (1, 2))
    keys = {digest(topic, payload, size) for topic, payload, size in messages}
    assert len(keys) == 18


def test_the_oldest_make_room() -> None:
    answered = Answered(3)
    for number in range(5):
        answered.put(bytes((number,)), Answer(str(number), "accepted"))
    assert len(answered) == 3
    assert answered.get(b"\x01") is None
    assert answered.get(b"\x04") == Answer("4", "accepted")
