"""A status list as CWT says the same as the JWT, in the fields that the draft gives them, under the issuer's key."""

from __future__ import annotations

import json

import cbor2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ticketing.keys import FileSigner
from ticketing.keyset import kid_of
from ticketing.signing import b64url_decode
from ticketing.statuslist import (
    INVALID,
    SUSPENDED,
    StatusList,
    inflate,
    issue_list_cwt,
    issue_list_jwt,
    pack,
    status_at,
)

PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SIGNER = FileSigner(kid_of(PRIVATE.public_key().public_bytes_raw()), PRIVATE)
URI = "https://example.com/statuslists/1"
NOW_S = 1_686_920_170
ARRAY = pack([(3, INVALID), (9, SUSPENDED)], 16)
# The claims of the draft's example, section 5.2: sub, iat, exp, ttl, status_list.
CLAIMS = {2, 6, 4, 65534, 65533}


def test_the_claims_are_those_of_the_draft():
    tag = cbor2.loads(issue_list_cwt(StatusList(URI, ARRAY, NOW_S, 15, life_s=3600), SIGNER))
    protected, unprotected, payload, signature = tag.value
    assert tag.tag == 18
    assert unprotected == {}
    assert cbor2.loads(protected) == {1: -8, 4: SIGNER.kid, 16: "application/statuslist+cwt"}
    claims = cbor2.loads(payload)
    assert set(claims) == CLAIMS
    assert (claims[2], claims[6], claims[4], claims[65534]) == (URI, NOW_S, NOW_S + 3600, 15)
    assert claims[65533]["bits"] == 2
    PRIVATE.public_key().verify(signature, cbor2.dumps(["Signature1", protected, b"", payload]))


def test_both_forms_say_the_same():
    cwt = cbor2.loads(cbor2.loads(issue_list_cwt(StatusList(URI, ARRAY, NOW_S, 15), SIGNER)).value[2])
    jwt = json.loads(b64url_decode(issue_list_jwt(StatusList(URI, ARRAY, NOW_S, 15), SIGNER).split(".")[1]))
    one, other = inflate(cwt[65533]["lst"]), inflate(b64url_decode(jwt["status_list"]["lst"]))
    assert one == other == ARRAY
    assert [status_at(one, index) for index in (2, 3, 9)] == [0, INVALID, SUSPENDED]
    assert (cwt[6], cwt[4], cwt[65534]) == (jwt["iat"], jwt["exp"], jwt["ttl"])


def test_the_published_example_reads_the_same_way(shared):
    text = (shared / "data/ticket-vectors/token-status-list/status_list_cwt.md").read_text()
    digits = "".join(text.split("```")[1].split()) if "```" in text else "".join(text.split())
    tag = cbor2.loads(bytes.fromhex(digits))
    claims = cbor2.loads(tag.value[2])
    assert set(claims) == CLAIMS
    assert inflate(claims[65533]["lst"])[:2] == bytes.fromhex("b9a3")
