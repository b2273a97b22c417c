"""The device's proof: a signature over the ticket and the time, so that a screenshot of a ticket is worth nothing soon.

On a CWT it makes the array [CWT, time, signature]: Unix seconds, and the device key's signature over "takt-proof-v1"
NUL, then the CBOR of [CWT, time]. On a JWT it follows a tilde: base64url of time (8 bytes, big-endian) and signature
over "takt-proof-v1" NUL, JWT in ASCII, time (8 bytes).
"""

from __future__ import annotations

from dataclasses import dataclass

import cbor2

from ticketing import base45
from ticketing.cbor import bstr
from ticketing.claims import Claims, Credential, malformed
from ticketing.errors import CredentialError
from ticketing.signing import b64url

PROOF_PREFIX = b"takt-proof-v1\x00"


@dataclass(frozen=True, slots=True)
class ProofLimits:
    """How old a device's proof may be, and how far its clock may run ahead, in seconds."""

    window_s: float = 30.0
    clock_error_s: float = 10.0


def stale(credential: Credential, at_s: float, demanded: bool, limits: ProofLimits) -> bool:
    """A credential is stale when its proof is missing where the product demands one, or was made too long ago.

    A proof from the future beyond the tolerated clock error is as worthless as an old one.
    """
    if credential.proof_s is None:
        return demanded
    age_s = at_s - credential.proof_s
    return age_s > limits.window_s + limits.clock_error_s or age_s < -limits.clock_error_s


def proof_message(token: bytes, time_s: int) -> bytes:
    """What the device signs to show that it holds the ticket now: token is the CWT's bytes, or a JWT in ASCII."""
    if token[:2] == b"ey":
        return PROOF_PREFIX + token + time_s.to_bytes(8)
    return PROOF_PREFIX + b"\x82" + bstr(token) + bytes(cbor2.dumps(time_s))


def with_proof(token: str, time_s: int, signature: bytes) -> str:
    """The token together with the device's proof, as it goes into the QR code or over HTTP."""
    if token.startswith("ey"):
        return token + "~" + b64url(time_s.to_bytes(8) + signature)
    return base45.encode(b"\x83" + bstr(base45.decode(token)) + bytes(cbor2.dumps(time_s)) + bstr(signature))


def plain_token(token: str) -> bytes:
    """The bytes that a proof is made over: a JWT's own characters, or the CWT inside a base45 text."""
    return token.encode("ascii") if token.startswith("ey") else base45.decode(token)


def check_proof(claims: Claims, signature: bytes, message: bytes) -> None:
    """CredentialError unless the key that the ticket is bound to signed the message of its proof."""
    if claims.device_key is None:
        raise malformed("a proof on a ticket that names no device key")
    if not claims.device_key.verify(signature, message):
        raise CredentialError("bad_signature", "the device's key did not sign the proof")
