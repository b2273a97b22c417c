"""Token status lists (IETF draft-ietf-oauth-status-list-20): two bits a ticket that say whether it still counts.

A list is an array of 1, 2, 4 or 8 bits a status, the first status in the lowest bits of the first byte, zlib-deflated.
An index beyond the list is refused; what lies within says 0 valid, 1 invalid, 2 suspended, 3 application's own.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass

import cbor2

from ticketing.signing import Signer, b64url, sign_cose, sign_jwt

VALID, INVALID, SUSPENDED = 0, 1, 2
CWT_TYPE = "application/statuslist+cwt"
_SUB, _EXP, _IAT, _TTL, _STATUS_LIST = 2, 4, 6, 65534, 65533
BYTES_MAX = 4 * 1024 * 1024
"""What a list may unfold to: enough for 16 million tickets, and the end of a zip bomb."""


@dataclass(frozen=True, slots=True)
class StatusList:
    """A list as it is published: its address and array, when it was issued, and how long it is of use.

    Ask again after ttl_s; without another word it counts for life_s, or four times ttl_s where that is None.
    """

    uri: str
    array: bytes
    issued_s: int
    ttl_s: int
    life_s: int | None = None
    bits: int = 2

    @property
    def expires_s(self) -> int:
        """When it counts no more (Unix seconds)."""
        return self.issued_s + (self.life_s or 4 * self.ttl_s)


def pack(statuses: Iterable[tuple[int, int]], size: int, bits: int = 2) -> bytes:
    """The array of `size` statuses, zero but for the given (index, status) pairs."""
    _check_bits(bits)
    per_byte = 8 // bits
    array = bytearray(-(-size // per_byte))
    for index, status in statuses:
        if not (0 <= index < size and 0 <= status < 1 << bits):
            raise ValueError(f"status {status} at index {index} does not fit a list of {size} with {bits} bits")
        array[index // per_byte] |= status << (index % per_byte * bits)
    return bytes(array)


def deflate(array: bytes) -> bytes:
    """The array as it travels: zlib format, level 9."""
    return zlib.compress(array, 9)


def inflate(data: bytes) -> bytes:
    """The array again; ValueError for what is no zlib stream, is cut off, or unfolds beyond BYTES_MAX."""
    unfold = zlib.decompressobj()
    try:
        array = unfold.decompress(data, BYTES_MAX)
    except zlib.error as error:
        raise ValueError(f"no status list: {error}") from None
    if not unfold.eof or unfold.unused_data:
        raise ValueError(f"no status list of at most {BYTES_MAX} bytes")
    return array


def status_at(array: bytes, index: int, bits: int = 2) -> int:
    """The status at an index; ValueError for an index that the list does not have."""
    _check_bits(bits)
    per_byte = 8 // bits
    if not 0 <= index < len(array) * per_byte:
        raise ValueError(f"index {index} lies outside this list of {len(array) * per_byte}")
    return array[index // per_byte] >> (index % per_byte * bits) & ((1 << bits) - 1)


def list_number(uri: str) -> int:
    """The number of a list by its address, whose last part it is; ValueError for an address of something else."""
    digits = uri.rpartition("/")[2]
    if not (digits.isascii() and digits.isdecimal()):
        raise ValueError(f"{uri[:80]!r} is no address of a status list")
    return int(digits)


def issue_list_jwt(statuses: StatusList, signer: Signer) -> str:
    """The signed list as a JWT of type statuslist+jwt (draft section 5.1)."""
    body = {
        "sub": statuses.uri,
        "iat": statuses.issued_s,
        "exp": statuses.expires_s,
        "ttl": statuses.ttl_s,
        "status_list": {"bits": statuses.bits, "lst": b64url(deflate(statuses.array))},
    }
    return sign_jwt(body, "statuslist+jwt", signer)


def issue_list_cwt(statuses: StatusList, signer: Signer) -> bytes:
    """The signed list as a CWT, a tagged COSE_Sign1 (draft section 5.2); the kid stands where it is signed as well."""
    claims = {
        _SUB: statuses.uri,
        _IAT: statuses.issued_s,
        _EXP: statuses.expires_s,
        _TTL: statuses.ttl_s,
        _STATUS_LIST: {"bits": statuses.bits, "lst": deflate(statuses.array)},
    }
    protected = cbor2.dumps({1: -8, 4: signer.kid, 16: CWT_TYPE}, canonical=True)
    return sign_cose(protected, cbor2.dumps(claims, canonical=True), signer)


def _check_bits(bits: int) -> None:
    if bits not in (1, 2, 4, 8):
        raise ValueError(f"a status has 1, 2, 4 or 8 bits, not {bits}")
