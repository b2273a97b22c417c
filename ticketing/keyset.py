"""Public keys that verify tickets: one key, one algorithm, looked up by the exact header that its issuer writes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import cbor2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ticketing.cbor import bstr, decode, issuer_claim
from ticketing.device_key import checked_device_key, jwk_member
from ticketing.signing import b64url, cose_header, cose_signed, jose_header

KEYS_MAX = 64
KID_BYTES_MAX = 23
"""What a header holds with a length of one byte, and more than anyone's look-up needs."""


@dataclass(frozen=True, slots=True)
class IssuerKey:
    """A public Ed25519 key of an issuer."""

    kid: bytes
    issuer: str
    public: Ed25519PublicKey
    claims_begin: bytes = field(init=False, repr=False, compare=False)
    """How the payloads of most of its tickets begin."""
    signed_begin: bytes = field(init=False, repr=False, compare=False)
    """How what it signs for a ticket begins, up to the payload."""

    def __post_init__(self) -> None:
        if not 1 <= len(self.kid) <= KID_BYTES_MAX:
            raise ValueError(f"a kid of {len(self.kid)} bytes: 1 to {KID_BYTES_MAX} name a key")
        object.__setattr__(self, "claims_begin", issuer_claim(self.issuer))
        object.__setattr__(self, "signed_begin", cose_signed(cose_header(self.kid)))

    @property
    def x(self) -> bytes:
        """The 32 bytes of the key."""
        return self.public.public_bytes_raw()


def kid_of(public: bytes) -> bytes:
    """The name of a key: the first four bytes of its RFC 7638 thumbprint, short for the QR's sake."""
    return hashlib.sha256(f'{{"crv":"Ed25519","kty":"OKP","x":"{b64url(public)}"}}'.encode()).digest()[:4]


class KeySet:
    """The keys that a validator trusts. `kid` is a look-up in this table and nothing else."""

    def __init__(self, keys: Iterable[IssuerKey]) -> None:
        """At most KEYS_MAX keys, each under its own kid."""
        self.keys = tuple(keys)
        if len(self.keys) > KEYS_MAX or len({key.kid for key in self.keys}) < len(self.keys):
            raise ValueError(f"a key set holds at most {KEYS_MAX} keys, each under its own kid")
        self.by_kid = {key.kid: key for key in self.keys}
        # A header is a constant of its key, so the usual one is found whole; others are read with care.
        self.by_cwt_begin = {b"\xd2\x84" + bstr(cose_header(key.kid)) + b"\xa0": key for key in self.keys}
        self.by_cose_header = {(cose_header(key.kid), b"\xa0"): key for key in self.keys}
        self.by_jose_header = {jose_header(key.kid, "ticket+jwt"): key for key in self.keys}

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """As a JWK set (RFC 7517)."""
        return {
            "keys": [
                {"kty": "OKP", "crv": "Ed25519", "x": b64url(key.x), "kid": key.kid.hex(), "alg": "EdDSA", "use": "sig"}
                | {"iss": key.issuer}
                for key in self.keys
            ]
        }

    def cose_keys(self) -> bytes:
        """As a COSE_KeySet (RFC 9052 section 7): the CBOR array of the keys."""
        keys = [{1: 1, 2: key.kid, 3: -8, -1: 6, -2: key.x} for key in self.keys]
        return bytes(cbor2.dumps(keys, canonical=True))


def key_set_from_jwks(text: bytes | str, issuer: str = "takt") -> KeySet:
    """The key set of a JWKS document; ValueError names what is wrong with it. `iss` beside a key names its issuer."""
    try:
        keys = json.loads(text)["keys"]
    except (KeyError, TypeError, RecursionError, ValueError):
        keys = None
    if not isinstance(keys, list) or not keys or not all(isinstance(jwk, dict) for jwk in keys):
        raise ValueError('no JWK set: expected {"keys": [{"kty": "OKP", "crv": "Ed25519", "x", "kid"}]}')
    return _key_set(keys, issuer)


def key_set_from_cose(data: bytes, issuer: str = "takt") -> KeySet:
    """The key set of a COSE_KeySet file; ValueError names what is wrong with it."""
    try:
        keys = decode(data)
    except ValueError:
        keys = None
    if not isinstance(keys, list) or not keys:
        raise ValueError("no COSE key set of Ed25519 keys")
    return _key_set([_jwk(key) for key in keys], issuer)


def _jwk(key: object) -> Mapping[str, object]:
    """A COSE_Key as JWK; ValueError for another kind."""
    match key:
        case {1: 1, -1: 6, -2: bytes(point), 2: bytes(kid), **rest} if rest.get(3, -8) == -8:
            return {"kty": "OKP", "crv": "Ed25519", "x": b64url(point), "kid": kid.hex()}
    raise ValueError("no COSE key set of Ed25519 keys")


def _key_set(jwks: list[Mapping[str, object]], issuer: str) -> KeySet:
    if len(jwks) > KEYS_MAX:
        raise ValueError(f"a key set of {len(jwks)} keys: {KEYS_MAX} at most")
    return KeySet([_issuer_key(jwk, issuer) for jwk in jwks])


def _issuer_key(jwk: Mapping[str, object], issuer: str) -> IssuerKey:
    kid, name = jwk.get("kid"), jwk.get("iss", issuer)
    if (jwk.get("kty"), jwk.get("crv")) != ("OKP", "Ed25519") or jwk.get("alg", "EdDSA") not in ("EdDSA", "Ed25519"):
        raise ValueError(f"key {kid!r} is not an Ed25519 key, and tickets are signed with nothing else")
    if jwk.get("use", "sig") != "sig":
        raise ValueError(f"key {kid!r} is for another use than signatures")
    if type(kid) is not str or type(name) is not str:
        raise ValueError(f"key {kid!r} needs a kid of hex digits, and an iss that is a text where there is one")
    point = checked_device_key("Ed25519", jwk_member(jwk, "x")).point
    return IssuerKey(bytes.fromhex(kid), name, Ed25519PublicKey.from_public_bytes(point))
