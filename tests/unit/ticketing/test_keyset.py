"""Key sets as strangers may send them: taken as a whole with every key pinned, or refused with ValueError."""

from __future__ import annotations

import json

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from ticketing.keyset import KEYS_MAX, KID_BYTES_MAX, IssuerKey, KeySet, key_set_from_cose, key_set_from_jwks, kid_of
from ticketing.signing import b64url

# RFC 8032 section 7.1, test 1.
PUBLIC = Ed25519PublicKey.from_public_bytes(
    bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
)
X = PUBLIC.public_bytes_raw()
KEY = IssuerKey(kid_of(X), "takt", PUBLIC)
JWK = {"kty": "OKP", "crv": "Ed25519", "x": b64url(X), "kid": KEY.kid.hex(), "alg": "EdDSA", "use": "sig"}
COSE = {1: 1, 2: KEY.kid, 3: -8, -1: 6, -2: X}
TWO = KeySet([KEY, IssuerKey(b"next", "takt", Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key())])


def test_the_thumbprint_of_rfc_8037():
    """Appendix A.3: the SHA-256 thumbprint of this key begins with the bytes that name it here."""
    thumbprint = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    assert thumbprint.startswith(b64url(kid_of(X))[:5])


@pytest.mark.parametrize(
    "changed",
    [
        *({"iss": iss} for iss in ([], {}, 5, None, True, "\ud800", "i" * 65)),
        *({"kid": kid} for kid in ("", "00" * 24, "00" * 200, "zz", 5, None, [])),
        *({"x": x} for x in (None, 5, "", "A" * 43, "A" * 42 + "B", b64url(X) + "=", b64url(X)[:-1])),
        *({"alg": alg} for alg in ("none", "HS256", "ES256", "", None, 5, [])),
        *({"kty": kty} for kty in ("EC", "oct", None, [], 1)),
        *({"crv": crv} for crv in ("X25519", "Ed448", None, {})),
        {"use": "enc"},
    ],
)
def test_a_jwk_that_is_not_quite_right_spoils_the_set(changed):
    with pytest.raises(ValueError, match=r"."):
        key_set_from_jwks(json.dumps({"keys": [JWK | changed]}))


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "5", '"x"', "null", "{}", '{"keys": 5}', '{"keys": {}}', '{"keys": []}', '{"keys": "abc"}'),
        *('{"keys": [5]}', '{"keys": ["x"]}', '{"keys": [[]]}', '{"keys": [null]}', "[" * 100_000),
        '{"keys": ' + "9" * 5_000 + "}",
        b"\xff",
    ],
)
def test_what_is_no_jwk_set(text):
    with pytest.raises(ValueError, match="no JWK set"):
        key_set_from_jwks(text)


@pytest.mark.parametrize(
    "changed",
    [
        *({1: kty} for kty in (2, True, 1.0, None, "OKP")),
        *({-1: crv} for crv in (4, 6.0, None)),
        *({3: alg} for alg in (-7, 5, -8.0, None, [], "EdDSA")),
        *({2: kid} for kid in ("abcd", b"", bytes(24), bytes(200), 1.5, 7, None)),
        *({-2: x} for x in ("x" * 32, bytes(31), bytes(33), [1] * 32, None, bytes(32))),
    ],
)
def test_a_cose_key_that_is_not_quite_right_spoils_the_set(changed):
    with pytest.raises(ValueError, match=r"."):
        key_set_from_cose(cbor2.dumps([COSE | changed]))


@pytest.mark.parametrize(
    "digits",
    [
        *("", "80", "a0", "f6", "00", "81" * 5_000, "9b0000001000000000", "5b0000010000000000", "f97e00"),
        "c4821b7f7f7f7f7f7f7f7f01",  # a decimal fraction whose exponent no machine can hold
        "c5821affffffff01",
        "d81c81d81d00",  # an array that contains itself
        "d8236128",  # a regular expression
        "c1fb7ff0000000000000",
        "81a1a000",
        "9f" + cbor2.dumps(COSE).hex() + "ff",
        cbor2.dumps([COSE]).hex() + "00",
        cbor2.dumps([COSE, COSE]).hex(),
    ],
)
def test_what_is_no_cose_key_set(digits):
    """Whatever a general decoder would do with it: nothing but ValueError, which leaves the keys that are held."""
    with pytest.raises(ValueError, match=r"."):
        key_set_from_cose(bytes.fromhex(digits))


@given(st.data())
def test_a_changed_key_set_is_one_of_ed25519_keys_or_none(data):
    changed = bytearray(TWO.cose_keys())
    for _ in range(data.draw(st.integers(1, 3))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = key_set_from_cose(bytes(changed))
    except ValueError:
        return
    assert all(1 <= len(key.kid) <= KID_BYTES_MAX and len(key.x) == 32 for key in found.keys)


def test_a_set_has_so_many_keys_and_no_more():
    def keys(count: int) -> list[dict[int, object]]:
        return [COSE | {2: number.to_bytes(4)} for number in range(count)]

    assert len(key_set_from_cose(cbor2.dumps(keys(KEYS_MAX))).keys) == KEYS_MAX
    for make in (
        lambda: key_set_from_cose(cbor2.dumps(keys(KEYS_MAX + 1))),
        lambda: key_set_from_jwks(json.dumps({"keys": [JWK | {"kid": f"{n:08x}"} for n in range(KEYS_MAX + 1)]})),
    ):
        with pytest.raises(ValueError, match="at most"):
            make()


def test_both_forms_come_back_as_they_were():
    for found in (key_set_from_cose(TWO.cose_keys()), key_set_from_jwks(json.dumps(TWO.jwks()))):
        assert [(key.kid, key.issuer, key.x) for key in found.keys] == [
            (key.kid, key.issuer, key.x) for key in TWO.keys
        ]
