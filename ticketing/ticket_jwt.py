"""Tickets as JWT (RFC 7519), for HTTP: the same claims as in the CWT, and the status list by its address."""

from __future__ import annotations

import json
from collections.abc import Mapping
from uuid import UUID

from cryptography.exceptions import InvalidSignature

from ticketing.claims import TIME_MAX, Claims, Credential, checked, malformed
from ticketing.device_key import DeviceKey, device_key_from_jwk
from ticketing.errors import CredentialError
from ticketing.keyset import IssuerKey, KeySet
from ticketing.proof import check_proof, proof_message
from ticketing.signing import Signer, b64url_decode, sign_jwt
from ticketing.statuslist import list_number

_JOSE_MEMBERS = {"alg", "kid", "typ"}
_JWT_CLAIMS = {"iss", "jti", "nbf", "exp", "product", "networks", "concession", "status", "cnf"}


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
    return sign_jwt(body, "ticket+jwt", signer)


def read_jwt(token: str, keys: KeySet) -> Credential:
    """The genuine credential in a compact JWT, with or without a proof; CredentialError says why there is none."""
    signed, tilde, proof = token.partition("~")
    parts = signed.split(".")
    if len(parts) != 3:
        raise malformed("no compact JWT")
    header, body, signature_text = parts
    signature, payload, stamp = _b64(signature_text), _b64(body), _b64(proof)
    if len(signature) != 64:
        raise malformed("no Ed25519 signature of 64 bytes")
    proof_s = int.from_bytes(stamp[:8])
    if tilde and (len(stamp) != 72 or proof_s > TIME_MAX):
        raise malformed("no proof of 72 bytes after the tilde")
    # The whole form comes first: what is malformed is so whoever's key it names.
    key = keys.by_jose_header.get(header) or _jose_key(header, keys)
    try:
        key.public.verify(signature, f"{header}.{body}".encode("ascii"))
    except InvalidSignature:
        raise CredentialError("bad_signature", "the issuer's key did not sign this") from None
    claims = _jwt_claims(payload, key)
    if not tilde:
        return Credential(claims, key.kid, None)
    check_proof(claims, stamp[8:], proof_message(signed.encode("ascii"), proof_s))
    return Credential(claims, key.kid, proof_s)


def _jose_key(header: str, keys: KeySet) -> IssuerKey:
    """The key of a JOSE header that is not written as we write it; anything that could steer the check is refused.

    `none`, HS256 with a public key as its secret, crit, jku, x5u, x5c and embedded keys all end here.
    """
    members = _strict_json(_b64(header))
    if set(members) - _JOSE_MEMBERS:
        raise malformed(f"a JOSE header with {sorted(set(members) - _JOSE_MEMBERS)[0]!r}"[:80])
    if members.get("alg") not in ("EdDSA", "Ed25519"):
        raise malformed("an algorithm other than EdDSA")
    if members.get("typ") != "ticket+jwt":
        raise malformed("a token that is no ticket")
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
        raise malformed("claims that no ticket has")
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
                raise malformed("claims are missing")
        device = _confirmation(body["cnf"]) if "cnf" in body else None
        concession = body.get("concession")
        if concession is not None and not isinstance(concession, str):
            raise malformed("a concession that is no text")
        claims = Claims(iss, UUID(jti), product, nbf, exp, tuple(nets), number, index, concession, device)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise malformed("claims of wrong types") from None
    return checked(claims, key)


def _confirmation(cnf: object) -> DeviceKey:
    """The device key that a ticket is bound to; one bound to something else must not pass as bound to nothing."""
    match cnf:
        case {"jwk": dict(jwk), **rest} if not rest:
            return device_key_from_jwk(jwk)
    raise malformed("a confirmation that is no device key")


def _strict_json(data: bytes) -> Mapping[str, object]:
    """A JSON object without doubled names, exotic numbers or deep nesting."""

    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        members = dict(pairs)
        if len(members) != len(pairs):
            raise malformed("a name twice in one object")
        return members

    def no_constant(name: str) -> object:
        raise malformed(f"{name} is no JSON number")

    if data.count(b"{") + data.count(b"[") > 16:
        raise malformed("JSON nested too deep")
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=once, parse_constant=no_constant)
    except (ValueError, RecursionError):
        raise malformed("no JSON") from None
    if not isinstance(value, dict):
        raise malformed("no JSON object")
    return value


def _b64(text: str) -> bytes:
    try:
        return b64url_decode(text)
    except ValueError as error:
        raise malformed(str(error)) from None
