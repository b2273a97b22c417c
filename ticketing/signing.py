"""Signatures as tokens carry them: COSE_Sign1 (RFC 9052) and compact JWS (RFC 7515), with Ed25519 and nothing else."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Protocol

import cbor2

from ticketing.cbor import bstr


class Signer(Protocol):
    """What issues: a private key in a file, or a module in a rack that never shows it."""

    @property
    def kid(self) -> bytes:
        """The short name of the key, as its credentials carry it."""

    def sign(self, message: bytes) -> bytes:
        """The 64-byte Ed25519 signature of a message (RFC 8032)."""


def cose_header(kid: bytes) -> bytes:
    """The protected header that our credentials carry: {1: -8 (EdDSA), 4: kid}."""
    return b"\xa2\x01\x27\x04" + bytes((0x40 + len(kid),)) + kid


def cose_signed(protected: bytes) -> bytes:
    """Sig_structure of RFC 9052 section 4.4 but the payload: ["Signature1", protected, external data (none), ...]."""
    return b"\x84\x6aSignature1" + bstr(protected) + b"\x40"


def jose_header(kid: bytes, typ: str, alg: str = "EdDSA") -> str:
    """The base64url of the one JOSE header that a key writes for a kind of token."""
    return b64url(json.dumps({"alg": alg, "kid": kid.hex(), "typ": typ}, separators=(",", ":")).encode())


def sign_cose(protected: bytes, payload: bytes, signer: Signer) -> bytes:
    """The tagged COSE_Sign1 of a payload; all that its header says is signed with it."""
    signature = signer.sign(cbor2.dumps(["Signature1", protected, b"", payload]))
    return bytes(cbor2.dumps(cbor2.CBORTag(18, [protected, {}, payload, signature])))


def sign_jwt(body: Mapping[str, object], typ: str, signer: Signer) -> str:
    """The compact JWT of a body, as a token of type `typ`."""
    payload = b64url(json.dumps(body, separators=(",", ":")).encode())
    signed = f"{jose_header(signer.kid, typ)}.{payload}"
    return f"{signed}.{b64url(signer.sign(signed.encode('ascii')))}"


def b64url(data: bytes) -> str:
    """Base64url without padding (RFC 7515 appendix C)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def b64url_decode(text: str) -> bytes:
    """Strict base64url: no padding, no foreign character, no spare bits; ValueError otherwise."""
    try:
        data = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise ValueError("no base64url") from None
    if b64url(data) != text:
        raise ValueError("base64url with padding or spare bits")
    return data
