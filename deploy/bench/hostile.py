"""What a hostile token costs: CPU time of one refusal, over tricks, mutations and garbage, beside a genuine one's.

Each token is refused by the very function that the judge calls. CPU time, not elapsed time, since machines are shared.
"""

from __future__ import annotations

import gc
import json
import random
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from deploy.errors import UserError
from ticketing import base45
from ticketing.card import CardKeys, read_card, sun_message
from ticketing.claims import Claims
from ticketing.credential import read_credential
from ticketing.device_key import DeviceKey
from ticketing.errors import CredentialError
from ticketing.keys import FileSigner
from ticketing.keyset import IssuerKey, KeySet, kid_of
from ticketing.proof import plain_token, proof_message, with_proof
from ticketing.signing import b64url
from ticketing.ticket_cwt import issue_qr
from ticketing.ticket_jwt import issue_jwt

SEED = 21
MS_MAX = 1.0
GENUINE_RUNS = 2_000
_QR_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
_JWT_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."


def run(gtfs: Path | None, seconds: float) -> dict[str, Any]:  # noqa: ARG001  # every benchmark is asked the same way
    """Figures in milliseconds of CPU, and how many were refused; UserError when one is accepted."""
    keys, tokens = _genuine()
    card_keys = CardKeys(1, bytes(range(16)), bytes(range(16, 32)))
    message = sun_message(card_keys, bytes(7), 5, b"12345")
    genuine_ms = _genuine_ms(tokens["jwt with proof"], keys)
    costs: list[float] = []
    gc.collect()
    gc.disable()  # a collection belongs to whatever made the garbage, not to the token it happens to meet
    try:
        deadline = time.perf_counter() + seconds
        for token in _hostile(tokens, keys, message):
            costs.append(_refuse(token, keys, card_keys))
            if time.perf_counter() > deadline:
                break
    finally:
        gc.enable()
    p50, p999 = np.percentile(costs, [50, 99.9])
    figures = {
        "hostile_tokens": len(costs),
        "refusal_p50_ms": round(float(p50), 4),
        "refusal_p999_ms": round(float(p999), 4),
        "refusal_max_ms": round(max(costs), 4),
        "genuine_p50_ms": round(genuine_ms, 4),
    }
    ratios = {"limit_to_refusal_p999": round(MS_MAX / float(p999), 2)}
    return {"figures": figures, "ratios": ratios}


def _genuine() -> tuple[KeySet, dict[str, str]]:
    private, device = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    public = private.public_key()
    signer = FileSigner(kid_of(public.public_bytes_raw()), private)
    point = DeviceKey("Ed25519", device.public_key().public_bytes_raw())
    now_s = int(time.time())
    bare = Claims("takt", uuid.uuid4(), "single", now_s, now_s + 3_600, ("*",), 1, 7)
    bound = Claims("takt", uuid.uuid4(), "single", now_s, now_s + 3_600, ("*",), 1, 7, None, point)

    def proven(token: str) -> str:
        return with_proof(token, now_s, device.sign(proof_message(plain_token(token), now_s)))

    lists = "https://tickets.example/status-lists"
    tokens = {
        "qr": issue_qr(bare, signer),
        "jwt": issue_jwt(bare, signer, lists),
        "qr with proof": proven(issue_qr(bound, signer)),
        "jwt with proof": proven(issue_jwt(bound, signer, lists)),
    }
    return KeySet([IssuerKey(signer.kid, "takt", public)]), tokens


def _genuine_ms(token: str, keys: KeySet) -> float:
    costs = []
    for _ in range(GENUINE_RUNS):
        begun = time.process_time_ns()
        read_credential(token, keys)
        costs.append((time.process_time_ns() - begun) / 1e6)
    return float(np.median(costs))


def _refuse(token: str, keys: KeySet, card_keys: CardKeys) -> float:
    begun = time.process_time_ns()
    try:
        if token.startswith("p="):
            read_card(token, (card_keys,))
        else:
            read_credential(token, keys)
    except CredentialError:
        return (time.process_time_ns() - begun) / 1e6
    raise UserError(f"a hostile token was accepted: {token[:200]!r}")


def _hostile(tokens: dict[str, str], keys: KeySet, message: str) -> Iterator[str]:
    """The tricks over and over, and between them mutations of everything genuine; never a genuine one."""
    rng = random.Random(SEED)  # noqa: S311  # the same tokens each time, not secrets
    tricks = _tricks(tokens, keys)
    forms = [*tokens.values(), message]
    while True:
        for trick in tricks:
            yield trick
            token = rng.choice(forms)
            mutated = _mutated(token, rng)
            proofless = token.partition("~")[0]
            if mutated not in (token, proofless) and mutated.lower() != message.lower():
                yield mutated


def _mutated(token: str, rng: random.Random) -> str:
    letters = _JWT_LETTERS if token.startswith("ey") else _QR_LETTERS
    for _ in range(rng.choice((1, 1, 2, 5))):
        place = rng.randrange(len(token))
        letter = rng.choice((rng.choice(letters), ""))
        token = token[:place] + letter + token[place + rng.randrange(2) :]
    return token


def _tricks(tokens: dict[str, str], keys: KeySet) -> list[str]:
    """One of each kind that is meant to cost most: long, deep, nested, many items, headers that steer, proofs."""
    (key,) = keys.keys
    header, payload, signature = tokens["jwt"].split(".")
    cwt = base45.decode(tokens["qr"])

    def headed(**members: object) -> str:
        fields = {"alg": "EdDSA", "kid": key.kid.hex(), "typ": "ticket+jwt"} | members
        return f"{b64url(json.dumps(fields).encode())}.{payload}.{signature}"

    deep = b"[" * 700
    return [
        headed(alg="none"),
        headed(alg="HS256"),
        headed(kid="../../etc/passwd"),
        headed(kid="x" * 900),
        headed(jku="https://evil.example"),
        headed(x5u="https://evil.example"),
        headed(crit=["exp"]),
        headed(**{f"m{number}": number for number in range(60)}),
        f"{b64url(deep)}.{payload}.{signature}",
        f"{header}.{payload}.{b64url(bytes(64))}",
        f"{header}.{'A' * 1_400}.{signature}",
        f"{header}.{payload}.{signature}~{b64url(bytes(72))}",
        tokens["jwt with proof"][:-8] + "AAAAAAAA",
        "ey" + "." * 1_500,
        "ey" + "A" * 100_000,
        "A" * 100_000,
        "A" * 1_599,
        base45.encode(b"\xd2\x84" + b"\x81" * 900),
        base45.encode(b"\x9b" + bytes(8) + bytes(900)),
        base45.encode(b"\xbb" + b"\xff" * 8 + bytes(900)),
        base45.encode(cwt[:-64] + bytes(64)),
        base45.encode(b"\x83" + bytes((0x59, len(cwt) >> 8, len(cwt) & 255)) + cwt + b"\x01\x58\x40" + bytes(64)),
        "p=" + "0" * 32 + "&c=" + "0" * 16,
        "p=" + "G" * 32 + "&c=" + "0" * 16,
    ]
