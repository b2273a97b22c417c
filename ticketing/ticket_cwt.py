"""Tickets as CWT (RFC 8392), in base45 for QR codes.

COSE_Sign1, tagged (18, also 61 before it) or not, protected {1: -8, 4: kid}, signature Ed25519. Claims:
    1 iss, 4 exp, 5 nbf, 7 cti (16 bytes), 8 cnf {1: COSE_Key}, -65537 [product, list, index, networks, concession].
"""

from __future__ import annotations

from uuid import UUID

import cbor2
from cryptography.exceptions import InvalidSignature

from ticketing import base45
from ticketing.cbor import bstr, decode, take_bstr, take_uint, usual_claims
from ticketing.claims import TIME_MAX, Claims, Credential, checked, malformed
from ticketing.device_key import device_key_from_cose
from ticketing.errors import CredentialError
from ticketing.keyset import IssuerKey, KeySet
from ticketing.proof import check_proof, proof_message
from ticketing.signing import Signer, cose_header, cose_signed, sign_cose

_BEGIN, _PAYLOAD, _FRAME = 13, 15, 15 + 66
"""Where the payload's head and the payload stand when the kid has 4 bytes, as ours have, and all bytes around it."""
_SIGNATURE = b"\x58\x40"
_PRIVATE = -65537


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
    return sign_cose(cose_header(signer.kid), payload, signer)


def issue_qr(claims: Claims, signer: Signer) -> str:
    """The text of the QR code: base45 of the CWT."""
    return base45.encode(issue_cwt(claims, signer))


def read_qr(token: str, keys: KeySet) -> Credential:
    """The genuine credential in the text of a QR code; CredentialError says why there is none."""
    try:
        data = base45.decode(token)
        if data[:1] != b"\x83":
            return Credential(*_read_cwt(data, keys), None)
        cwt, at = take_bstr(data, 1)
        proof_s, at = take_uint(data, at)
        signature, at = take_bstr(data, at)
    except (ValueError, IndexError) as error:
        raise malformed(str(error)) from None
    if at != len(data) or len(signature) != 64 or proof_s > TIME_MAX:
        raise malformed("no [CWT, time, signature]")
    claims, kid = _read_cwt(cwt, keys)
    check_proof(claims, signature, proof_message(cwt, proof_s))
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
    return cwt_claims(payload, key), key.kid


def _split_cose(data: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """Protected header, unprotected header, payload and signature of a COSE_Sign1, each in its shortest encoding."""
    try:
        at = 2 if data[:2] == b"\xd8\x3d" else 0
        at += data[at : at + 1] == b"\xd2"
        if data[at] != 0x84:
            raise malformed("no COSE_Sign1")
        protected, at = take_bstr(data, at + 1)
        unprotected = data[at : at + 1]
        if unprotected == b"\xa1":  # the one thing allowed there is a kid of at most 23 bytes
            unprotected = data[at : at + 3 + (data[at + 2] & 0x1F)]
        at += len(unprotected)
        payload, at = take_bstr(data, at)
        signature, at = take_bstr(data, at)
    except (ValueError, IndexError):
        raise malformed("no COSE_Sign1") from None
    if at != len(data) or len(signature) != 64:
        raise malformed("no COSE_Sign1 with a signature of 64 bytes")
    return protected, unprotected, payload, signature


def _cose_key(protected: bytes, unprotected: bytes, keys: KeySet) -> IssuerKey:
    """The key that a header names when it is not written as we write it: kid in either header, alg always protected."""
    if protected[:3] == b"\xa2\x01\x27" and protected[3:4] == b"\x04" and unprotected == b"\xa0":
        kid_field = protected[4:]
    elif protected == b"\xa1\x01\x27" and unprotected[:2] == b"\xa1\x04":
        kid_field = unprotected[2:]
    else:
        raise malformed("a COSE header other than {alg: EdDSA, kid}")
    if not kid_field or kid_field[0] & 0xE0 != 0x40 or len(kid_field) != 1 + (kid_field[0] & 0x1F):
        raise malformed("a kid that is no short byte string")
    key = keys.by_kid.get(kid_field[1:])
    if key is None:
        raise CredentialError("unknown_key", f"no key {kid_field[1:].hex()}")
    return key


def cwt_claims(payload: bytes, key: IssuerKey) -> Claims:
    """The claims of a payload whose signature was checked, so it is our own writing; still nothing loose passes."""
    usual = usual_claims(payload, key.claims_begin)  # holds every check that the general way makes
    return general_claims(payload, key) if usual is None else Claims(key.issuer, *usual)


def general_claims(payload: bytes, key: IssuerKey) -> Claims:
    """The same item by item: device keys, long texts, and whatever another issuer may write."""
    try:
        body = decode(payload)
        iss, exp, nbf, cti, (product, number, index, nets, cls) = body[1], body[4], body[5], body[7], body[_PRIVATE]
        cnf = body.get(8)
        if len(body) != (6 if cnf else 5) or (cnf is not None and (type(cnf) is not dict or list(cnf) != [1])):
            raise malformed("claims that no ticket has")
        if type(iss) is not str or type(cti) is not bytes or type(nets) is not list:
            raise malformed("claims of wrong types")
        device = device_key_from_cose(cnf[1]) if cnf else None
        claims = Claims(iss, UUID(bytes=cti), product, nbf, exp, tuple(nets), number, index, cls, device)
    except (LookupError, ValueError, TypeError, AttributeError) as error:
        raise malformed(f"claims: {error}"[:80]) from None
    return checked(claims, key)
