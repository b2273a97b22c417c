"""Tokens made by people with bad intentions, from one genuine ticket and what is public."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
from collections.abc import Iterator

import cbor2
import jwt as pyjwt

from ticketing import base45
from ticketing.keyset import IssuerKey
from ticketing.signing import b64url

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
JWT_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~"


def hostile_tokens(qr: str, jwt: str, key: IssuerKey) -> dict[str, str]:
    """By name, tokens of which none may pass: every known trick against JWT and COSE, and mere garbage."""
    header, payload, signature = jwt.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    kid, public = key.kid.hex(), key.x

    def forged(header_fields: dict[str, object], mac: bytes | None = None, body: str = payload) -> str:
        head = b64url(json.dumps(header_fields).encode())
        tail = b64url(hmac.new(mac, f"{head}.{body}".encode(), hashlib.sha256).digest()) if mac else signature
        return f"{head}.{body}.{tail}"

    usual: dict[str, object] = {"alg": "EdDSA", "kid": kid, "typ": "ticket+jwt"}
    steering = {
        "jku": "http://127.0.0.1:1/keys",
        "x5u": "http://127.0.0.1:1/cert",
        "x5c": ["MIIB"],
        "jwk": {"kty": "OKP", "crv": "Ed25519", "x": b64url(bytes(32))},
        "crit": ["exp"],
        "b64": False,
        "zip": "DEF",
    }
    tokens = {f"header {name}": forged(usual | {name: value}) for name, value in steering.items()}
    for alg in ("none", "None", "NONE", "", "HS256", "RS256", "ES256", "eddsa", "EdDSA "):
        tokens[f"alg {alg!r}"] = forged(usual | {"alg": alg})
    tokens["none, unsigned"] = pyjwt.encode(claims, None, algorithm="none", headers={"kid": kid, "typ": "ticket+jwt"})
    for secret in (public, public.hex().encode(), b64url(public).encode()):
        tokens[f"HS256 with the public key {len(secret)}"] = forged(usual | {"alg": "HS256"}, secret)
    for bad in ("../../etc/passwd", "' OR 1=1 --", "http://127.0.0.1:1/", "\x00", "x" * 1000, "", kid.upper() + "00"):
        tokens[f"kid {bad[:20]!r}"] = forged(usual | {"kid": bad})
    for kind in (None, 1, [], {}, True):
        tokens[f"kid {kind!r}"] = forged(usual | {"kid": kind})
    tokens["no kid"] = forged({"alg": "EdDSA", "typ": "ticket+jwt"})
    tokens["another typ"] = forged(usual | {"typ": "JWT"})
    doubled = f'{{"alg":"none","alg":"EdDSA","kid":"{kid}","typ":"ticket+jwt"}}'
    tokens["doubled header member"] = f"{b64url(doubled.encode())}.{payload}.{signature}"
    tokens["r = s = 0"] = f"{header}.{payload}.{b64url(bytes(64))}"
    tokens["s = 0"] = f"{header}.{payload}.{b64url(base64.urlsafe_b64decode(signature + '==')[:32] + bytes(32))}"
    tokens["short signature"] = f"{header}.{payload}.{signature[:20]}"
    later = b64url(json.dumps(claims | {"exp": claims["exp"] + 10**6}).encode())
    tokens["other claims"] = f"{header}.{later}.{signature}"
    doubled_claims = base64.urlsafe_b64decode(payload + "==")[:-1] + b',"exp":9999999999}'
    tokens["doubled claims"] = f"{header}.{b64url(doubled_claims)}.{signature}"
    tokens["nested"] = forged(usual | {"cty": "JWT"}, body=b64url(jwt.encode()))
    tokens["depth 10,000"] = f"{b64url(b'[' * 10_000 + b']' * 10_000)}.{payload}.{signature}"
    tokens["100 KB"] = forged(usual, body="A" * 100_000)
    tokens["five parts"] = jwt + ".a.b"
    tokens["twice"] = jwt + jwt
    tokens["padding"] = jwt + "="
    tokens["proof of nobody"] = jwt + "~" + b64url(bytes(72))
    return tokens | _hostile_cwts(qr, key)


def _hostile_cwts(qr: str, key: IssuerKey) -> dict[str, str]:
    cwt = base45.decode(qr)
    protected, _, payload, signature = cbor2.loads(cwt).value
    kid = key.kid

    def cose(head: object, body: bytes = payload, tail: bytes = signature, unprotected: object = None) -> str:
        encoded = head if isinstance(head, bytes) else cbor2.dumps(head)
        return base45.encode(cbor2.dumps(cbor2.CBORTag(18, [encoded, unprotected or {}, body, tail])))

    usual = {1: -8, 4: kid}
    tag, nested = cbor2.CBORTag, payload
    for _ in range(6):
        nested = cbor2.dumps(tag(18, [protected, {}, nested, signature]))
    heads: dict[str, object] = {
        "HMAC 256": {1: 5, 4: kid},
        "ES256": {1: -7, 4: kid},
        "alg 0": {1: 0, 4: kid},
        "crit": usual | {2: [4]},
        "embedded key": usual | {-1: {1: 1, -1: 6, -2: bytes(32)}},
        "x5u": usual | {35: "http://127.0.0.1:1/"},
        "no kid": {1: -8},
        "kid path": {1: -8, 4: b"../../key"},
        "kid huge": {1: -8, 4: bytes(1_000)},
        "kid text": {1: -8, 4: "' OR 1=1 --"},
        "no header": b"",
    }
    tokens = {f"cwt {name}": cose(head) for name, head in heads.items()}
    tokens["cwt r = s = 0"] = cose(protected, tail=bytes(64))
    tokens["cwt nested"] = cose(protected, body=nested)
    tokens["cwt empty payload"] = cose(protected, body=b"")
    tokens["cwt as COSE_Mac0"] = base45.encode(cbor2.dumps(tag(17, [protected, {}, payload, signature])))
    tokens["cwt of a million items"] = base45.encode(b"\x9b" + (10**6).to_bytes(8) + bytes(50))
    tokens["cwt indefinite"] = base45.encode(b"\xd2\x9f" + cwt[2:] + b"\xff")
    tokens["cwt with more behind"] = base45.encode(cwt + b"\x00")
    tokens["cwt proof of nobody"] = base45.encode(cbor2.dumps([cwt, 1, bytes(64)]))
    tokens["cbor depth"] = base45.encode(b"\x81" * 900 + b"\x00")
    tokens["100 KB of base45"] = "A" * 100_000
    tokens |= {f"garbage {n}": text for n, text in enumerate(("", " ", "\u0000", "ЮЮЮ", "ey", "ey..", "...", "%%%"))}
    return tokens


def mutations(token: str, rng: random.Random, count: int) -> Iterator[str]:
    """The token changed in one place or several, never the token itself."""
    alphabet = JWT_ALPHABET if token.startswith("ey") else ALPHABET
    made = 0
    while made < count:
        text = token
        for _ in range(rng.choice((1, 1, 1, 2, 5))):
            place = rng.randrange(len(text))
            kind = rng.randrange(6)
            letter = rng.choice(alphabet)
            if kind <= 2:
                text = text[:place] + letter + text[place + 1 :]
            elif kind == 3:
                text = text[:place] + text[place + 1 :] or letter
            elif kind == 4:
                text = text[:place] + letter + text[place:]
            else:
                other = rng.randrange(len(text))
                text = text[: min(place, other)] + text[max(place, other) :] or letter
        # A proof cut off whole leaves the ticket that it was made for: that one is genuine.
        if text != token and text != token.partition("~")[0]:
            made += 1
            yield text
