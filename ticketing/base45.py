"""Base45 (RFC 9285): bytes as the 45 characters that a QR code packs tightest."""

import struct

_ALPHABET = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
_INVALID = 255
_VALUES = bytes(_ALPHABET.index(octet) if octet in _ALPHABET else _INVALID for octet in range(256))


def encode(data: bytes) -> str:
    """The base45 text of some bytes: three characters for two bytes, two for a last odd one."""
    out = bytearray()
    for high, low in zip(data[::2], data[1::2], strict=False):
        rest, first = divmod(high * 256 + low, 45)
        third, second = divmod(rest, 45)
        out += bytes((_ALPHABET[first], _ALPHABET[second], _ALPHABET[third]))
    if len(data) % 2:
        second, first = divmod(data[-1], 45)
        out += bytes((_ALPHABET[first], _ALPHABET[second]))
    return out.decode("ascii")


def decode(text: str) -> bytes:
    """The bytes of a base45 text; ValueError for a foreign character, a dangling one, or a group that is too large."""
    values = text.encode("ascii").translate(_VALUES)
    if _INVALID in values:
        raise ValueError("a character outside the base45 alphabet")
    whole, tail = divmod(len(values), 3)
    if tail == 1:
        raise ValueError("a dangling character at the end")
    groups = [a + 45 * b + 2025 * c for a, b, c in zip(values[0::3], values[1::3], values[2::3], strict=False)]
    try:
        data = struct.pack(f">{whole}H", *groups)
    except struct.error:
        raise ValueError("a group above 65535") from None
    if tail:
        last = values[-2] + 45 * values[-1]
        if last > 255:
            raise ValueError("a last group above 255")
        data += bytes((last,))
    return data
