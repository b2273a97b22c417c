"""The public key that a passenger's device proves to hold: read from a JWK or a COSE_Key, and checked to be one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicNumbers as EcNumbers
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from ticketing.signing import b64url, b64url_decode

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
            point = jwk_member(jwk, "x")
        case "EC", "P-256":
            point = jwk_member(jwk, "x") + jwk_member(jwk, "y")
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


def jwk_member(jwk: Mapping[str, object], name: str) -> bytes:
    """The 32 bytes of a JWK's member; ValueError where it holds anything else."""
    value = jwk.get(name)
    if not isinstance(value, str) or len(value) != 43:
        raise ValueError(f"{name} of a key is the base64url of 32 bytes, 43 characters")
    return b64url_decode(value)
