"""Tickets as signed credentials: one set of claims as CWT in base45 for QR codes and as JWT for HTTP.

A token comes from a stranger's screen, so the order of work is the defence: length first, then the fixed frame by
slicing, then the key by its exact header, then the signature, and only then the claims. Nothing a stranger wrote is
parsed by a general decoder, so a hostile token costs microseconds and no allocation beyond its own length.

CWT (RFC 8392): COSE_Sign1, tagged (18, also 61 before it) or not, protected {1: -8, 4: kid}, signature Ed25519.
    1 iss, 4 exp, 5 nbf, 7 cti (16 bytes), 8 cnf {1: COSE_Key}, -65537 [product, list, index, networks, concession].
With the device's proof it is the array [CWT, time, signature]: Unix seconds, and the device key's signature over
    "takt-proof-v1" NUL, then the CBOR of [CWT, time]. A proof on a JWT follows a tilde: base64url of time (8 bytes,
    big-endian) and signature over "takt-proof-v1" NUL, JWT in ASCII, time (8 bytes).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

import cbor2
import msgspec
from cryptography.exceptions import InvalidSignature

from ticketing import base45
from ticketing.cbor import bstr, decode, take_bstr, take_uint, usual_claims
from ticketing.errors import CredentialError
from ticketing.keyset import (
    DeviceKey,
    IssuerKey,
    KeySet,
    Signer,
    b64url,
    b64url_decode,
    cose_header,
    cose_signed,
    device_key_from_cose,
    device_key_from_jwk,
    jose_header,
)
from ticketing.statuslist import list_number

TOKEN_CHARACTERS_MAX = 1600
"""More than a JWT with a P-256 device key and its proof; a QR of version 20 at level M holds 970."""
PROOF_PREFIX = b"takt-proof-v1\x00"
_BEGIN, _PAYLOAD, _FRAME = 13, 15, 15 + 66
"""Where the payload's head and the payload stand when the kid has 4 bytes, as ours have, and all bytes around it."""
_SIGNATURE = b"\x58\x40"
_PRIVATE = -65537
_TIME_MAX = 2**40
_JOSE_MEMBERS = {"alg", "kid", "typ"}
_JWT_CLAIMS = {"iss", "jti", "nbf", "exp", "product", "networks", "concession", "status", "cnf"}


class Claims(msgspec.Struct, frozen=True):
    """What a ticket says of itself: half-open validity [not_before_s, expires_s) in Unix seconds, and no name, ever."""

    issuer: str
    ticket_id: UUID
    product: str
    not_before_s: int
    expires_s: int
    networks: tuple[str, ...]
    status_list: int
    status_index: int
    concession: str | None = None
    device_key: DeviceKey | None = None


class Credential(msgspec.Struct, frozen=True):
    """A genuine credential: its claims, and the time (Unix seconds) of the device's proof where one was given."""

    claims: Claims
    kid: bytes
    proof_s: int | None


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


# --- issuing ---------------------------------------------------------------------------------------------------------


def issue_cwt(claims: Claims, signer: Signer) -> bytes:
    """The tagged COSE_Sign1 of the claims."""
    body: dict[int, object] = {
        1: claims.issuer,
        4: claims.expires_s,
        5: claims.not_before_s,
        7: claims.ticket_id.bytes,
        _PRIVATE: [claims.product, claims.status_list, claims.status_index, list(claims.networks), claims.concession],
    }
    if claims.device_key:
        body[8] = {1: claims.device_key.cose()}
    payload = cbor2.dumps(body, canonical=True)
    protected = cose_header(signer.kid)
    signature = signer.sign(cose_signed(protected) + bstr(payload))
    return b"\xd2\x84" + bstr(protected) + b"\xa0" + bstr(payload) + bstr(signature)


def issue_qr(claims: Claims, signer: Signer) -> str:
    """The text of the QR code: base45 of the CWT."""
    return base45.encode(issue_cwt(claims, signer))


def issue_jwt(claims: Claims, signer: Signer, list_uri: str) -> str:
    """The claims as a compact JWT; list_uri is the address under which the status lists lie, without the number."""
    body: dict[str, object] = {
        "iss": claims.issuer,
        "jti": str(claims.ticket_id),
        "nbf": claims.not_before_s,
        "exp": claims.expires_s,
        "product": claims.product,
        "networks": list(claims.networks),
        "status": {"status_list": {"idx": claims.status_index, "uri": f"{list_uri}/{claims.status_list}"}},
    }
    if claims.concession is not None:
        body["concession"] = claims.concession
    if claims.device_key:
        body["cnf"] = {"jwk": claims.device_key.jwk()}
    signed = jose_header(signer.kid, "ticket+jwt") + "." + b64url(json.dumps(body, separators=(",", ":")).encode())
    return signed + "." + b64url(signer.sign(signed.encode("ascii")))


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


# --- reading ---------------------------------------------------------------------------------------------------------


def read_credential(token: str, keys: KeySet) -> Credential:
    """The genuine credential in a scanned text; CredentialError says which verdict refuses it and why.

    Whether it is valid now, revoked or used is another question: this one needs no clock, list or database.
    """
    if not 0 < len(token) <= TOKEN_CHARACTERS_MAX:
        raise _malformed("empty" if not token else f"longer than {TOKEN_CHARACTERS_MAX} characters")
    if not token.isascii():
        raise _malformed("characters outside ASCII")
    # base45 has no lower-case letters and every JWT starts with the base64url of '{"', which is "ey".
    return _read_jwt(token, keys) if token.startswith("ey") else _read_qr(token, keys)


def _read_qr(token: str, keys: KeySet) -> Credential:
    try:
        data = base45.decode(token)
        if data[:1] != b"\x83":
            return Credential(*_read_cwt(data, keys), None)
        cwt, at = take_bstr(data, 1)
        proof_s, at = take_uint(data, at)
        signature, at = take_bstr(data, at)
    except (ValueError, IndexError) as error:
        raise _malformed(str(error)) from None
    if at != len(data) or len(signature) != 64 or proof_s > _TIME_MAX:
        raise _malformed("no [CWT, time, signature]")
    claims, kid = _read_cwt(cwt, keys)
    _check_proof(claims, signature, proof_message(cwt, proof_s))
    return Credential(claims, kid, proof_s)


def _read_cwt(data: bytes, keys: KeySet) -> tuple[Claims, bytes]:
    key = keys.by_cwt_begin.get(data[:_BEGIN])
    size = len(data) - _FRAME
    if (
        key is not None
        and 24 <= size < 256
        and data[_BEGIN:_PAYLOAD] == bytes((0x58, size))
        and data[-66:-64] == _SIGNATURE
    ):
        # As we write nearly every ticket: header, payload and signature stand where they always do.
        payload, signature = data[_PAYLOAD:-66], data[-64:]
        signed = key.signed_begin + data[_BEGIN:-66]
    else:
        protected, unprotected, payload, signature = _split_cose(data)
        key = keys.by_cose_header.get((protected, unprotected)) or _cose_key(protected, unprotected, keys)
        signed = cose_signed(protected) + bstr(payload)
    try:
        key.public.verify(signature, signed)
    except InvalidSignature:
        raise CredentialError("bad_signature", "the issuer's key did not sign this") from None
    return _cwt_claims(payload, key), key.kid


def _split_cose(data: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """Protected header, unprotected header, payload and signature of a COSE_Sign1, each in its shortest encoding."""
    try:
        at = 2 if data[:2] == b"\xd8\x3d" else 0
        at += data[at : at + 1] == b"\xd2"
        if data[at] != 0x84:
            raise _malformed("no COSE_Sign1")
        protected, at = take_bstr(data, at + 1)
        unprotected = data[at : at + 1]
        if unprotected == b"\xa1":  # the one thing allowed there is a kid of at most 23 bytes
            unprotected = data[at : at + 3 + (data[at + 2] & 0x1F)]
        at += len(unprotected)
        payload, at = take_bstr(data, at)
        signature, at = take_bstr(data, at)
    except (ValueError, IndexError):
        raise _malformed("no COSE_Sign1") from None
    if at != len(data) or len(signature) != 64:
        raise _malformed("no COSE_Sign1 with a signature of 64 bytes")
    return protected, unprotected, payload, signature


def _cose_key(protected: bytes, unprotected: bytes, keys: KeySet) -> IssuerKey:
    """The key that a header names when it is not written as we write it: kid in either header, alg always protected."""
    if protected[:3] == b"\xa2\x01\x27" and protected[3:4] == b"\x04" and unprotected == b"\xa0":
        kid_field = protected[4:]
    elif protected == b"\xa1\x01\x27" and unprotected[:2] == b"\xa1\x04":
        kid_field = unprotected[2:]
    else:
        raise _malformed("a COSE header other than {alg: EdDSA, kid}")
    if not kid_field or kid_field[0] & 0xE0 != 0x40 or len(kid_field) != 1 + (kid_field[0] & 0x1F):
        raise _malformed("a kid that is no short byte string")
    key = keys.by_kid.get(kid_field[1:])
    if key is None:
        raise CredentialError("unknown_key", f"no key {kid_field[1:].hex()}")
    return key


def _cwt_claims(payload: bytes, key: IssuerKey) -> Claims:
    """The claims of a payload whose signature was checked, so it is our own writing; still nothing loose passes."""
    usual = usual_claims(payload, key.claims_begin)  # holds every check that the general way makes
    return _any_claims(payload, key) if usual is None else Claims(key.issuer, *usual)


def _any_claims(payload: bytes, key: IssuerKey) -> Claims:
    """The same item by item: device keys, long texts, and whatever another issuer may write."""
    try:
        body = decode(payload)
        iss, exp, nbf, cti, (product, number, index, nets, cls) = body[1], body[4], body[5], body[7], body[_PRIVATE]
        cnf = body.get(8)
        if len(body) != (6 if cnf else 5) or (cnf is not None and (type(cnf) is not dict or list(cnf) != [1])):
            raise _malformed("claims that no ticket has")
        if type(iss) is not str or type(cti) is not bytes or type(nets) is not list:
            raise _malformed("claims of wrong types")
        device = device_key_from_cose(cnf[1]) if cnf else None
        claims = Claims(iss, UUID(bytes=cti), product, nbf, exp, tuple(nets), number, index, cls, device)
    except (LookupError, ValueError, TypeError, AttributeError) as error:
        raise _malformed(f"claims: {error}"[:80]) from None
    return _checked(claims, key)


def _read_jwt(token: str, keys: KeySet) -> Credential:
    signed, tilde, proof = token.partition("~")
    parts = signed.split(".")
    if len(parts) != 3:
        raise _malformed("no compact JWT")
    header, body, signature_text = parts
    signature, payload, stamp = _b64(signature_text), _b64(body), _b64(proof)
    if len(signature) != 64:
        raise _malformed("no Ed25519 signature of 64 bytes")
    proof_s = int.from_bytes(stamp[:8])
    if tilde and (len(stamp) != 72 or proof_s > _TIME_MAX):
        raise _malformed("no proof of 72 bytes after the tilde")
    # The whole form comes first: what is malformed is so whoever's key it names.
    key = keys.by_jose_header.get(header) or _jose_key(header, keys)
    try:
        key.public.verify(signature, f"{header}.{body}".encode("ascii"))
    except InvalidSignature:
        raise CredentialError("bad_signature", "the issuer's key did not sign this") from None
    claims = _jwt_claims(payload, key)
    if not tilde:
        return Credential(claims, key.kid, None)
    _check_proof(claims, stamp[8:], proof_message(signed.encode("ascii"), proof_s))
    return Credential(claims, key.kid, proof_s)


def _jose_key(header: str, keys: KeySet) -> IssuerKey:
    """The key of a JOSE header that is not written as we write it; anything that could steer the check is refused.

    `none`, HS256 with a public key as its secret, crit, jku, x5u, x5c and embedded keys all end here.
    """
    members = _strict_json(_b64(header))
    if set(members) - _JOSE_MEMBERS:
        raise _malformed(f"a JOSE header with {sorted(set(members) - _JOSE_MEMBERS)[0]!r}"[:80])
    if members.get("alg") not in ("EdDSA", "Ed25519"):
        raise _malformed("an algorithm other than EdDSA")
    if members.get("typ") != "ticket+jwt":
        raise _malformed("a token that is no ticket")
    kid = members.get("kid")
    try:
        key = keys.by_kid.get(bytes.fromhex(kid)) if isinstance(kid, str) and len(kid) <= 46 else None
    except ValueError:
        key = None
    if key is None:
        raise CredentialError("unknown_key", "no key of that kid")
    return key


def _jwt_claims(payload: bytes, key: IssuerKey) -> Claims:
    body = _strict_json(payload)
    if set(body) - _JWT_CLAIMS:
        raise _malformed("claims that no ticket has")
    try:
        match body:
            case {
                "iss": str(iss),
                "jti": str(jti),
                "nbf": int(nbf),
                "exp": int(exp),
                "product": str(product),
                "networks": list(nets),
                "status": {"status_list": {"idx": index, "uri": str(uri)}},
            }:
                number = list_number(uri)
            case _:
                raise _malformed("claims are missing")
        device = _confirmation(body["cnf"]) if "cnf" in body else None
        concession = body.get("concession")
        if concession is not None and not isinstance(concession, str):
            raise _malformed("a concession that is no text")
        claims = Claims(iss, UUID(jti), product, nbf, exp, tuple(nets), number, index, concession, device)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise _malformed("claims of wrong types") from None
    return _checked(claims, key)


def _confirmation(cnf: object) -> DeviceKey:
    """The device key that a ticket is bound to; one bound to something else must not pass as bound to nothing."""
    match cnf:
        case {"jwk": dict(jwk), **rest} if not rest:
            return device_key_from_jwk(jwk)
    raise _malformed("a confirmation that is no device key")


def _checked(claims: Claims, key: IssuerKey) -> Claims:
    """The claims when every one has its type and range and the issuer is the key's own."""
    for number in (claims.not_before_s, claims.expires_s, claims.status_list, claims.status_index):
        if type(number) is not int or not 0 <= number < _TIME_MAX:
            raise _malformed("a number out of range among the claims")
    for text in (claims.product, *claims.networks, "" if claims.concession is None else claims.concession):
        if type(text) is not str or len(text) > 64:
            raise _malformed("a text of wrong type or length among the claims")
    if claims.issuer != key.issuer:
        raise CredentialError("unknown_key", "the key belongs to another issuer")
    return claims


def _check_proof(claims: Claims, signature: bytes, message: bytes) -> None:
    if claims.device_key is None:
        raise _malformed("a proof on a ticket that names no device key")
    if not claims.device_key.verify(signature, message):
        raise CredentialError("bad_signature", "the device's key did not sign the proof")


def _strict_json(data: bytes) -> Mapping[str, object]:
    """A JSON object without doubled names, exotic numbers or deep nesting."""

    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        members = dict(pairs)
        if len(members) != len(pairs):
            raise _malformed("a name twice in one object")
        return members

    def no_constant(name: str) -> object:
        raise _malformed(f"{name} is no JSON number")

    if data.count(b"{") + data.count(b"[") > 16:
        raise _malformed("JSON nested too deep")
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=once, parse_constant=no_constant)
    except (ValueError, RecursionError):
        raise _malformed("no JSON") from None
    if not isinstance(value, dict):
        raise _malformed("no JSON object")
    return value


def _b64(text: str) -> bytes:
    try:
        return b64url_decode(text)
    except ValueError as error:
        raise _malformed(str(error)) from None


def _malformed(reason: str) -> CredentialError:
    return CredentialError("malformed", reason)
