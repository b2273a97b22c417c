"""Base45 (RFC 9285): bytes as the 45 characters that a QR code packs tightest."""

_ALPHABET = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
_INVALID = 255
_VALUES = bytes(_ALPHABET.index(octet) if octet in _ALPHABET else _INVALID for octet in range(256))
_GROUPS = 1024
_LOW = int.from_bytes(b"\x00\x00\xff" * _GROUPS)


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
    """The bytes of a base45 text; ValueError for a foreign character, a dangling one, or a group that is too large.

    The text is read as one long number with 24 bits for every group of three characters: a step on such numbers is a
    step on all groups at once, and no group runs over into its neighbour, since none is above 44 + 44 * 45 + 44 * 2025.
    """
    values = text.encode("ascii").translate(_VALUES)
    if _INVALID in values:
        raise ValueError("a character outside the base45 alphabet")
    whole, tail = divmod(len(values), 3)
    if tail == 1:
        raise ValueError("a dangling character at the end")
    low = _LOW if whole <= _GROUPS else int.from_bytes(b"\x00\x00\xff" * whole)
    lanes = int.from_bytes(values[: 3 * whole])
    groups = (lanes >> 16 & low) + 45 * (lanes >> 8 & low) + 2025 * (lanes & low)
    if groups & low << 16:
        raise ValueError("a group above 65535")
    octets = groups.to_bytes(3 * whole)
    data = bytearray(2 * whole)
    data[0::2], data[1::2] = octets[1::3], octets[2::3]
    if tail:
        last = values[-2] + 45 * values[-1]
        if last > 255:
            raise ValueError("a last group above 255")
        data.append(last)
    return bytes(data)
