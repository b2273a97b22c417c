"""Public keys that verify tickets: one key, one algorithm, looked up by the exact header that its issuer writes."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicNumbers as EcNumbers
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from ticketing.cbor import bstr, decode, issuer_claim

KEYS_MAX = 64
KID_BYTES_MAX = 23
"""What a header holds with a length of one byte, and more than anyone's look-up needs."""
_P = 2**255 - 19
_D = -121665 * pow(121666, -1, _P) % _P
# The y coordinates of Curve25519's points of small order (RFC 7748 section 7 warns of them): with such a key one
# constant signature fits any message. Sign bit aside, also in their two non-canonical spellings.
_SMALL_ORDER_Y = frozenset(
    {
        0,
        1,
        _P - 1,
        _P,
        _P + 1,
        0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
        0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7,
    }
)


class Signer(Protocol):
    """What issues: a private key in a file, or a module in a rack that never shows it."""

    @property
    def kid(self) -> bytes:
        """The short name of the key, as its credentials carry it."""

    def sign(self, message: bytes) -> bytes:
        """The 64-byte Ed25519 signature of a message (RFC 8032)."""


@dataclass(frozen=True, slots=True)
class DeviceKey:
    """The public key that a passenger's device proves to hold: Ed25519 (32 bytes) or P-256 (64 bytes, x then y)."""

    curve: str
    point: bytes

    def verify(self, signature: bytes, message: bytes) -> bool:
        """True when this key made the 64-byte signature (Ed25519, or ES256 as r then s)."""
        try:
            if self.curve == "Ed25519":
                Ed25519PublicKey.from_public_bytes(self.point).verify(signature, message)
            else:
                r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
                self._p256().verify(encode_dss_signature(r, s), message, ECDSA(SHA256()))
        except (InvalidSignature, ValueError):
            return False
        return True

    def cose(self) -> dict[int, object]:
        """As a COSE_Key (RFC 9052 section 7)."""
        if self.curve == "Ed25519":
            return {1: 1, -1: 6, -2: self.point}
        return {1: 2, -1: 1, -2: self.point[:32], -3: self.point[32:]}

    def jwk(self) -> dict[str, str]:
        """As a JWK (RFC 7517, RFC 8037)."""
        if self.curve == "Ed25519":
            return {"crv": "Ed25519", "kty": "OKP", "x": b64url(self.point)}
        return {"crv": "P-256", "kty": "EC", "x": b64url(self.point[:32]), "y": b64url(self.point[32:])}

    def _p256(self) -> EllipticCurvePublicKey:
        x, y = int.from_bytes(self.point[:32]), int.from_bytes(self.point[32:])
        return EcNumbers(x, y, SECP256R1()).public_key()


def device_key_from_jwk(jwk: Mapping[str, object]) -> DeviceKey:
    """The device key of a JWK; ValueError as for `checked_device_key`, and for another type or a private part."""
    if "d" in jwk:
        raise ValueError("device_key holds a private key: send the public part alone (kty, crv, x)")
    match jwk.get("kty"), jwk.get("crv"):
        case "OKP", "Ed25519":
            point = _member(jwk, "x")
        case "EC", "P-256":
            point = _member(jwk, "x") + _member(jwk, "y")
        case _:
            raise ValueError("device_key must be a JWK of kty OKP with crv Ed25519, or of kty EC with crv P-256")
    return checked_device_key("P-256" if jwk["kty"] == "EC" else "Ed25519", point)


def new_device_key(jwk: Mapping[str, object]) -> DeviceKey:
    """The same where a ticket is sold for it; ValueError also for a point that Ed25519 does not have.

    With such a key nobody can ever prove anything: its owner learns it at the sale and not at the gate. Where tickets
    are read, their signatures tell, and to look would cost more than they do.
    """
    key = device_key_from_jwk(jwk)
    if key.curve == "Ed25519" and not _on_edwards_curve(int.from_bytes(key.point, "little") & (2**255 - 1)):
        raise ValueError("device_key is no point of Ed25519, so that nobody can hold its private part")
    return key


def device_key_from_cose(key: object) -> DeviceKey:
    """The device key of a COSE_Key; ValueError as for a JWK."""
    match key:
        case {1: 1, -1: 6, -2: bytes(point), **rest} if not rest:
            return checked_device_key("Ed25519", point)
        case {1: 2, -1: 1, -2: bytes(x), -3: bytes(y), **rest} if not rest and len(x) == 32:
            return checked_device_key("P-256", x + y)
    raise ValueError("the device's key is no COSE_Key of Ed25519 or P-256")


def checked_device_key(curve: str, point: bytes) -> DeviceKey:
    """A device key of its curve's size; ValueError for a point of small order, or one that P-256 does not have."""
    key = DeviceKey(curve, point)
    if len(point) != (32 if curve == "Ed25519" else 64):
        raise ValueError(f"device_key has {len(point)} bytes, which no {curve} key has")
    if curve == "Ed25519":
        if int.from_bytes(point, "little") & (2**255 - 1) in _SMALL_ORDER_Y:
            raise ValueError("device_key is a point of small order, which proves nothing")
        Ed25519PublicKey.from_public_bytes(point)
    else:
        key._p256()
    return key


def _on_edwards_curve(y: int) -> bool:
    """Whether -x^2 + y^2 = 1 + d x^2 y^2 has an x (RFC 8032 section 5.1.3): x^2 = u/v is a square when u v is one."""
    u, v = y * y - 1, _D * y * y + 1
    return pow(u * v % _P, (_P - 1) // 2, _P) in (0, 1)


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


def cose_header(kid: bytes) -> bytes:
    """The protected header that our credentials carry: {1: -8 (EdDSA), 4: kid}."""
    return b"\xa2\x01\x27\x04" + bytes((0x40 + len(kid),)) + kid


def cose_signed(protected: bytes) -> bytes:
    """Sig_structure of RFC 9052 section 4.4 but the payload: ["Signature1", protected, external data (none), ...]."""
    return b"\x84\x6aSignature1" + bstr(protected) + b"\x40"


def jose_header(kid: bytes, typ: str, alg: str = "EdDSA") -> str:
    """The base64url of the one JOSE header that a key writes for a kind of token."""
    return b64url(json.dumps({"alg": alg, "kid": kid.hex(), "typ": typ}, separators=(",", ":")).encode())


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
    point = checked_device_key("Ed25519", _member(jwk, "x")).point
    return IssuerKey(bytes.fromhex(kid), name, Ed25519PublicKey.from_public_bytes(point))


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


def _member(jwk: Mapping[str, object], name: str) -> bytes:
    value = jwk.get(name)
    if not isinstance(value, str) or len(value) != 43:
        raise ValueError(f"{name} of a key is the base64url of 32 bytes, 43 characters")
    return b64url_decode(value)
