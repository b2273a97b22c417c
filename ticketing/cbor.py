"""The few items of CBOR (RFC 8949) that a ticket is made of, cut from its bytes without a general decoder.

Everything here takes the shortest form alone: what is written the long way or cut off is refused, so there is one way
to write a ticket, and a stranger's bytes cost no more than their own length.
"""

from __future__ import annotations

import struct
from typing import Any
from uuid import UUID

_TIMES_AND_ID = struct.Struct(">2sI2sI2s16s6s")
_FRAME = (b"\x04\x1a", b"\x05\x1a", b"\x07\x50", b"\x3a\x00\x01\x00\x00\x85")
_LONG_TIME_MIN = 2**16
_NUMBER_END = 2**32
_DEPTH_MAX = 4
"""Claims go no deeper than the device's key: a map in a map in a map."""
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
    if data[at] > 0x1B:
        raise ValueError("no number where one belongs")
    return _take_argument(data, at)


def decode(data: bytes) -> Any:
    """The one item that some bytes are: integers, byte strings, texts, arrays, maps and null, and nothing else.

    No tags, floats, booleans or indefinite lengths: their decoders are where general ones are fooled, and `true` and
    1.0 are equal to 1 as keys. ValueError also for a key twice, keys that are no integer or text, and deep nesting.
    """
    try:
        item, end = _take_item(data, 0, 0)
    except IndexError:
        raise ValueError("CBOR that is cut off") from None
    if end != len(data):
        raise ValueError("more behind the end of the CBOR")
    return item


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


def _take_argument(data: bytes, at: int) -> tuple[int, int]:
    """The number in the head at a place, a length or a value, and where it ends."""
    info = data[at] & 0x1F
    if info < 24:
        return info, at + 1
    if info > 27:
        raise ValueError("an indefinite length or a reserved one")
    end = at + 1 + (1 << info - 24)
    value = int.from_bytes(data[at + 1 : end])
    if end > len(data) or value < _SHORTEST[info - 24]:
        raise ValueError("a number that is cut off or written the long way")
    return value, end


def _take_item(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    if depth > _DEPTH_MAX:
        raise ValueError("CBOR nested too deep")
    if data[at] == 0xF6:
        return None, at + 1
    major = data[at] >> 5
    number, at = _take_argument(data, at)
    match major:
        case 0:
            return number, at
        case 1:
            return -1 - number, at
        case 2 | 3:
            end = at + number
            if end > len(data):
                raise ValueError("a string that is cut off")
            return (data[at:end] if major == 2 else data[at:end].decode()), end
        case 4:
            items = []
            for _ in range(number):
                item, at = _take_item(data, at, depth + 1)
                items.append(item)
            return items, at
        case 5:
            return _take_map(data, at, number, depth + 1)
    raise ValueError("a tag, a float or another item that no ticket has")


def _take_map(data: bytes, at: int, count: int, depth: int) -> tuple[dict[int | str, Any], int]:
    found: dict[int | str, Any] = {}
    for _ in range(count):
        key, at = _take_item(data, at, depth)
        if not isinstance(key, int | str) or key in found:
            raise ValueError("a key twice, or one that is no integer or text")
        found[key], at = _take_item(data, at, depth)
    return found, at


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
