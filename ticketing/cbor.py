"""The few items of CBOR (RFC 8949) that a ticket is made of, cut from its bytes without a general decoder.

Everything here takes the shortest form alone: what is written the long way or cut off is refused, so there is one way
to write a ticket, and a stranger's bytes cost no more than their own length.
"""

from __future__ import annotations

import struct
from uuid import UUID

_TIMES_AND_ID = struct.Struct(">2sI2sI2s16s6s")
_FRAME = (b"\x04\x1a", b"\x05\x1a", b"\x07\x50", b"\x3a\x00\x01\x00\x00\x85")
_LONG_TIME_MIN = 2**16
_NUMBER_END = 2**32
_SHORTEST = (24, 2**8, 2**16, 2**32)
"""The least numbers that are written in one byte, two, four and eight."""

UsualClaims = tuple[UUID, str, int, int, tuple[str, ...], int, int, str | None]
"""Ticket, product, not before and expiry (Unix s), networks, status list and place in it, concession."""


def bstr(data: bytes) -> bytes:
    """A byte string of less than 64 KiB."""
    size = len(data)
    if size < 24:
        return bytes((0x40 + size,)) + data
    return (b"\x58" + bytes((size,)) if size < 256 else b"\x59" + size.to_bytes(2)) + data


def take_bstr(data: bytes, at: int) -> tuple[bytes, int]:
    """The byte string at a place and where it ends; ValueError or IndexError unless it is there whole."""
    head = data[at]
    if head == 0x58:
        size, start = data[at + 1], at + 2
    elif 0x40 <= head < 0x58:
        size, start = head - 0x40, at + 1
    elif head == 0x59:
        size, start = int.from_bytes(data[at + 1 : at + 3]), at + 3
    else:
        raise ValueError("no byte string where one belongs")
    if start + size > len(data) or (head == 0x58 and size < 24) or (head == 0x59 and size < 256):
        raise ValueError("a byte string that is cut off or written the long way")
    return data[start : start + size], start + size


def take_uint(data: bytes, at: int) -> tuple[int, int]:
    """The unsigned integer at a place and where it ends; ValueError or IndexError unless it is there whole."""
    head = data[at]
    if head < 0x18:
        return head, at + 1
    if head > 0x1B:
        raise ValueError("no number where one belongs")
    end = at + 1 + (1 << head - 0x18)
    value = int.from_bytes(data[at + 1 : end])
    if end > len(data) or value < _SHORTEST[head - 0x18]:
        raise ValueError("a number that is cut off or written the long way")
    return value, end


def issuer_claim(issuer: str) -> bytes:
    """How the usual payload of an issuer begins: a map of five, and `iss`; ValueError for a name that is no text."""
    if len(issuer) > 64:
        raise ValueError(f"the issuer's name {issuer[:64]!r}... is longer than 64 characters")
    text = bstr(issuer.encode())
    return b"\xa5\x01" + bytes((text[0] + 0x20,)) + text[1:]


def usual_claims(payload: bytes, beginning: bytes) -> UsualClaims | None:
    """The claims of a payload that is written as nearly every one is: no device key, texts under 24 bytes.

    `beginning` is the `issuer_claim` of the key that signed it. None: not exactly so, byte for byte; whether it is a
    ticket all the same is a question for the general decoder, which this one agrees with wherever it answers.
    """
    if not payload.startswith(beginning):
        return None
    try:
        at = len(beginning)
        exp, expires_s, nbf, not_before_s, cti, ticket_id, private = _TIMES_AND_ID.unpack_from(payload, at)
        if (exp, nbf, cti, private) != _FRAME or expires_s < _LONG_TIME_MIN or not_before_s < _LONG_TIME_MIN:
            return None
        product, at = _take_text(payload, at + _TIMES_AND_ID.size)
        status_list, at = take_uint(payload, at)
        status_index, at = take_uint(payload, at)
        networks, at = _take_texts(payload, at)
        concession, at = (None, at + 1) if payload[at] == 0xF6 else _take_text(payload, at)
    except (struct.error, ValueError, IndexError):
        return None
    if at != len(payload) or status_list >= _NUMBER_END or status_index >= _NUMBER_END:
        return None
    return UUID(bytes=ticket_id), product, not_before_s, expires_s, networks, status_list, status_index, concession


def _take_text(data: bytes, at: int) -> tuple[str, int]:
    """The text of less than 24 bytes at a place, and where it ends."""
    size = data[at] - 0x60
    end = at + 1 + size
    if not 0 <= size < 24 or end > len(data):
        raise ValueError("no short text where one belongs")
    return data[at + 1 : end].decode(), end


def _take_texts(data: bytes, at: int) -> tuple[tuple[str, ...], int]:
    """The array of less than 24 such texts at a place, and where it ends."""
    count = data[at] - 0x80
    if not 0 <= count < 24:
        raise ValueError("no short array where one belongs")
    at += 1
    texts = []
    for _ in range(count):
        text, at = _take_text(data, at)
        texts.append(text)
    return tuple(texts), at
