"""Base45 (RFC 9285): bytes as the 45 characters that a QR code packs tightest."""

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
    first, second, third = (_lanes(values[place : 3 * whole : 3]) for place in range(3))
    groups = (first + 45 * second + 2025 * third).to_bytes(4 * whole)
    if any(groups[1::4]):
        raise ValueError("a group above 65535")
    data = bytearray(2 * whole)
    data[0::2], data[1::2] = groups[2::4], groups[3::4]
    if tail:
        last = values[-2] + 45 * values[-1]
        if last > 255:
            raise ValueError("a last group above 255")
        data.append(last)
    return bytes(data)


def _lanes(values: bytes) -> int:
    """Each value in 32 bits of one long number: adding such numbers adds all their values in one step."""
    lanes = bytearray(4 * len(values))
    lanes[3::4] = values
    return int.from_bytes(lanes)
