"""Tickets that are genuine, and everything that only looks so."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from uuid import UUID

import cbor2
import cwt
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given, settings
from hypothesis import strategies as st

from ticketing import base45
from ticketing.claims import Claims
from ticketing.credential import TOKEN_CHARACTERS_MAX, read_credential
from ticketing.device_key import DeviceKey, device_key_from_jwk, new_device_key
from ticketing.errors import CredentialError
from ticketing.keys import FileSigner
from ticketing.keyset import IssuerKey, KeySet, key_set_from_cose, key_set_from_jwks, kid_of
from ticketing.proof import ProofLimits, plain_token, proof_message, stale, with_proof
from ticketing.signing import b64url
from ticketing.ticket_cwt import issue_cwt, issue_qr
from ticketing.ticket_jwt import issue_jwt

# RFC 8032 section 7.1, test 1 and 2: keys that are public and so sign nothing that matters.
PRIVATE = Ed25519PrivateKey.from_private_bytes(
    bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
)
DEVICE = Ed25519PrivateKey.from_private_bytes(
    bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
)
PUBLIC = PRIVATE.public_key()
SIGNER = FileSigner(kid_of(PUBLIC.public_bytes_raw()), PRIVATE)
KEYS = KeySet([IssuerKey(SIGNER.kid, "takt", PUBLIC)])
DEVICE_KEY = DeviceKey("Ed25519", DEVICE.public_key().public_bytes_raw())
NOW = 1771257482
URI = "https://takt.example/status-lists"
BARE = Claims("takt", UUID(int=7), "single", NOW, NOW + 86400, ("*",), 1, 123456)
BOUND = Claims("takt", UUID(int=8), "mobile", NOW, NOW + 86400, ("city",), 1, 99, "student", DEVICE_KEY)
QR = issue_qr(BARE, SIGNER)
JWT = issue_jwt(BARE, SIGNER, URI)
BOUND_QR = issue_qr(BOUND, SIGNER)
BOUND_JWT = issue_jwt(BOUND, SIGNER, URI)


def proven(token: str, at_s: int = NOW, key: Ed25519PrivateKey = DEVICE) -> str:
    return with_proof(token, at_s, key.sign(proof_message(plain_token(token), at_s)))


def refusal(token: str, keys: KeySet = KEYS) -> str:
    with pytest.raises(CredentialError) as refused:
        read_credential(token, keys)
    return refused.value.verdict


def signed_cwt(payload: bytes, protected: bytes | None = None, unprotected: object = None) -> str:
    """A COSE_Sign1 by the issuer's own key around anything at all."""
    header = cbor2.dumps({1: -8, 4: SIGNER.kid}) if protected is None else protected
    signature = PRIVATE.sign(cbor2.dumps(["Signature1", header, b"", payload]))
    return base45.encode(cbor2.dumps(cbor2.CBORTag(18, [header, unprotected or {}, payload, signature])))


def signed_jwt(payload: object, **header: object) -> str:
    """A JWT by the issuer's own key around anything at all."""
    members = {"alg": "EdDSA", "kid": SIGNER.kid.hex(), "typ": "ticket+jwt"} | header
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    signed = b64url(json.dumps(members).encode()) + "." + b64url(body)
    return signed + "." + b64url(PRIVATE.sign(signed.encode()))


def body_of(token: str) -> dict[str, object]:
    return json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))


# --- what is genuine ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("claims", [BARE, BOUND])
def test_both_encodings_carry_the_same_claims(claims):
    assert read_credential(issue_qr(claims, SIGNER), KEYS).claims == claims
    assert read_credential(issue_jwt(claims, SIGNER, URI), KEYS).claims == claims


def test_it_fits_the_qr_codes_it_should():
    import segno

    assert len(issue_cwt(BARE, SIGNER)) <= 144
    assert segno.make(QR, error="m", boost_error=False).version <= 8
    assert segno.make(proven(BOUND_QR), error="m", boost_error=False).version <= 14


def test_untagged_and_twice_tagged_are_the_same_ticket():
    data = issue_cwt(BARE, SIGNER)
    assert read_credential(base45.encode(data[1:]), KEYS).claims == BARE
    assert read_credential(base45.encode(b"\xd8\x3d" + data), KEYS).claims == BARE


def test_a_kid_in_the_unprotected_header_is_found():
    payload = cbor2.loads(issue_cwt(BARE, SIGNER)).value[2]
    token = signed_cwt(payload, cbor2.dumps({1: -8}), {4: SIGNER.kid})
    assert read_credential(token, KEYS).claims == BARE


def test_an_independent_library_reads_our_cwt():
    key = cwt.COSEKey.new({1: 1, 2: SIGNER.kid, 3: -8, -1: 6, -2: PUBLIC.public_bytes_raw()})
    payload = cwt.COSE.new().decode(issue_cwt(BARE, SIGNER), key)
    assert cbor2.loads(payload)[7] == UUID(int=7).bytes


def test_an_independent_library_reads_our_jwt():
    claims = jwt.decode(JWT, PUBLIC, algorithms=["EdDSA"], options={"verify_nbf": False, "verify_exp": False})
    assert claims["jti"] == str(UUID(int=7))


def test_the_name_of_rfc_9864_is_taken():
    assert read_credential(signed_jwt(body_of(JWT), alg="Ed25519"), KEYS).claims == BARE


def test_key_sets_travel_both_ways():
    for keys in (key_set_from_jwks(json.dumps(KEYS.jwks())), key_set_from_cose(KEYS.cose_keys())):
        assert read_credential(QR, keys).claims == BARE
        assert read_credential(JWT, keys).claims == BARE


# --- the device's proof ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", [BOUND_QR, BOUND_JWT])
def test_a_proof_tells_its_time(token):
    assert read_credential(proven(token), KEYS).proof_s == NOW
    assert read_credential(token, KEYS).proof_s is None


def test_a_proof_by_a_p_256_key():
    private = ec.derive_private_key(12345, ec.SECP256R1())
    numbers = private.public_key().public_numbers()
    key = device_key_from_jwk(
        {"kty": "EC", "crv": "P-256", "x": b64url(numbers.x.to_bytes(32)), "y": b64url(numbers.y.to_bytes(32))}
    )
    token = issue_qr(Claims("takt", UUID(int=9), "mobile", NOW, NOW + 9, (), 1, 2, device_key=key), SIGNER)
    r, s = decode_dss_signature(private.sign(proof_message(plain_token(token), NOW), ec.ECDSA(SHA256())))
    assert read_credential(with_proof(token, NOW, r.to_bytes(32) + s.to_bytes(32)), KEYS).proof_s == NOW
    assert refusal(with_proof(token, NOW, bytes(64))) == "bad_signature"


@pytest.mark.parametrize("token", [BOUND_QR, BOUND_JWT])
def test_a_proof_by_another_key_or_for_another_time_is_refused(token):
    assert refusal(proven(token, key=PRIVATE)) == "bad_signature"
    late = with_proof(token, NOW + 1, DEVICE.sign(proof_message(plain_token(token), NOW)))
    assert refusal(late) == "bad_signature"
    assert refusal(with_proof(token, NOW, bytes(64))) == "bad_signature"


def test_a_proof_on_another_ticket_is_refused():
    stolen = DEVICE.sign(proof_message(plain_token(BOUND_JWT), NOW))
    assert refusal(with_proof(BOUND_QR, NOW, stolen)) == "bad_signature"


def test_a_proof_without_a_key_is_malformed():
    assert refusal(proven(QR)) == "malformed"
    assert refusal(proven(JWT)) == "malformed"


@pytest.mark.parametrize(
    ("age_s", "expected"), [(-11, True), (-10, False), (0, False), (40, False), (41, True), (86400, True)]
)
def test_a_proof_is_stale_after_its_window(age_s, expected):
    limits = ProofLimits(window_s=30, clock_error_s=10)
    assert stale(read_credential(proven(BOUND_QR), KEYS), NOW + age_s, True, limits) is expected


def test_a_missing_proof_is_stale_only_where_one_is_demanded():
    credential = read_credential(BOUND_QR, KEYS)
    assert stale(credential, NOW, True, ProofLimits())
    assert not stale(credential, NOW, False, ProofLimits())


def test_device_keys_of_small_order_prove_nothing_and_are_refused():
    prime = 2**255 - 19
    for y in (0, 1, prime - 1, prime, prime + 1):
        for sign in (0, 1 << 255):
            with pytest.raises(ValueError, match="small order"):
                device_key_from_jwk({"kty": "OKP", "crv": "Ed25519", "x": b64url((y | sign).to_bytes(32, "little"))})


def test_a_ticket_is_sold_for_no_key_that_nobody_can_hold():
    """y = 2 is on no point of the curve: half of all 32 bytes are like that."""
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": b64url((2).to_bytes(32, "little"))}
    with pytest.raises(ValueError, match="no point of Ed25519"):
        new_device_key(jwk)
    assert new_device_key(DEVICE_KEY.jwk()) == DEVICE_KEY
    off = Claims("takt", UUID(int=8), "mobile", NOW, NOW + 9, (), 1, 9, None, device_key_from_jwk(jwk))
    assert refusal(proven(issue_qr(off, SIGNER))) == "bad_signature"


def test_a_private_key_is_not_taken():
    with pytest.raises(ValueError, match="private key"):
        device_key_from_jwk({"kty": "OKP", "crv": "Ed25519", "x": "x" * 43, "d": "x" * 43})


# --- what is hostile ------------------------------------------------------------------------------------------------


@settings(max_examples=400, deadline=None)
@given(st.sampled_from([QR, JWT, proven(BOUND_QR), proven(BOUND_JWT)]), st.data())
def test_no_mutation_is_accepted(token, data):
    place = data.draw(st.integers(0, len(token) - 1))
    kind = data.draw(st.sampled_from(["change", "cut", "insert", "drop", "double"]))
    letter = data.draw(st.sampled_from("0A9Z $%*+-./:az_~="))
    mutated = {
        "change": token[:place] + letter + token[place + 1 :],
        "cut": token[:place],
        "insert": token[:place] + letter + token[place:],
        "drop": token[:place] + token[place + 1 :],
        "double": token + token[place:],
    }[kind]
    # A proof cut off whole leaves the ticket that it was made for.
    if mutated != token and mutated != token.partition("~")[0]:
        assert refusal(mutated) in ("malformed", "unknown_key", "bad_signature")


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 8 * len(issue_cwt(BARE, SIGNER)) - 1))
def test_no_flipped_bit_of_a_cwt_is_accepted(bit):
    data = bytearray(issue_cwt(BARE, SIGNER))
    data[bit // 8] ^= 1 << bit % 8
    verdict = refusal(base45.encode(bytes(data)))
    if bit // 8 >= 16:  # behind the header
        assert verdict in ("bad_signature", "malformed")
    if bit // 8 >= len(data) - 64:
        assert verdict == "bad_signature"


@pytest.mark.parametrize(
    "text", ["", " ", "A", "x", "ey", "ey.ey.ey", "hello", "Ї" * 20, "0" * 100_000, "ey" + "J" * 100_000]
)
def test_garbage_is_malformed(text):
    assert refusal(text) == "malformed"


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none"},
        {"alg": "HS256"},
        {"alg": "ES256"},
        {"alg": None},
        {"typ": "JWT"},
        {"typ": "statuslist+jwt"},
        {"crit": ["exp"]},
        {"jku": "https://evil.example/jwks.json"},
        {"x5u": "https://evil.example/cert"},
        {"x5c": ["MIIB"]},
        {"jwk": {"kty": "OKP"}},
        {"b64": False},
        {"zip": "DEF"},
    ],
)
def test_headers_that_would_steer_the_check_are_refused(header):
    assert refusal(signed_jwt(body_of(JWT), **header)) == "malformed"


@pytest.mark.parametrize(
    "kid", ["../../etc/passwd", "' OR 1=1 --", "https://evil.example", "", "zz", 7, None, "00" * 4]
)
def test_a_kid_is_a_look_up_and_nothing_else(kid):
    assert refusal(signed_jwt(body_of(JWT), kid=kid)) == "unknown_key"


def test_a_secret_made_of_the_public_key_signs_nothing():
    header = b64url(json.dumps({"alg": "HS256", "kid": SIGNER.kid.hex(), "typ": "ticket+jwt"}).encode())
    signed = f"{header}.{JWT.split('.')[1]}"
    mac = hmac.new(PUBLIC.public_bytes_raw(), signed.encode(), hashlib.sha256).digest()
    assert refusal(f"{signed}.{b64url(mac)}") == "malformed"


@pytest.mark.parametrize("signature", [bytes(64), b"\x01" + bytes(63), b"\xff" * 64])
def test_empty_signatures_are_bad(signature):
    assert refusal(JWT.rpartition(".")[0] + "." + b64url(signature)) == "bad_signature"
    assert refusal(base45.encode(issue_cwt(BARE, SIGNER)[:-64] + signature)) == "bad_signature"


def test_a_ticket_of_another_issuer():
    stranger = Ed25519PrivateKey.generate()
    signer = FileSigner(kid_of(stranger.public_key().public_bytes_raw()), stranger)
    assert refusal(issue_qr(BARE, signer)) == "unknown_key"
    assert refusal(issue_jwt(BARE, signer, URI)) == "unknown_key"
    pretender = FileSigner(SIGNER.kid, stranger)
    assert refusal(issue_qr(BARE, pretender)) == "bad_signature"
    assert refusal(issue_jwt(BARE, pretender, URI)) == "bad_signature"


def test_a_key_may_not_speak_for_another_issuer():
    other = Claims("other", UUID(int=7), "single", NOW, NOW + 9, ("*",), 1, 1)
    assert refusal(issue_qr(other, SIGNER)) == "unknown_key"


@pytest.mark.parametrize(
    "protected",
    [
        b"",
        b"\xa0",
        cbor2.dumps({1: -7, 4: SIGNER.kid}),
        cbor2.dumps({1: 5}),
        cbor2.dumps({1: -8}),
        b"\xa2\x01\x27\x01\x27",
        cbor2.dumps({1: -8, 4: SIGNER.kid, 2: [3]}),
        cbor2.dumps({1: -8, 33: b"cert"}),
        cbor2.dumps({1: -8, 4: "text"}),
    ],
)
def test_cose_headers_that_would_steer_the_check_are_refused(protected):
    payload = cbor2.loads(issue_cwt(BARE, SIGNER)).value[2]
    assert refusal(signed_cwt(payload, protected)) == "malformed"


def test_other_cose_structures_are_no_ticket():
    data = cbor2.loads(issue_cwt(BARE, SIGNER)).value
    for tag in (17, 96, 97, 98, 998):
        assert refusal(base45.encode(cbor2.dumps(cbor2.CBORTag(tag, data)))) == "malformed"
    nested = issue_cwt(BARE, SIGNER)
    assert refusal(signed_cwt(nested)) == "malformed"


def test_payloads_that_the_issuer_would_never_write_are_refused_even_when_signed():
    good = cbor2.loads(cbor2.loads(issue_cwt(BARE, SIGNER)).value[2])
    doubled = b"\xa6" + cbor2.dumps(good, canonical=True)[1:] + b"\x01\x64takt"
    long_form = cbor2.dumps(good, canonical=True).replace(b"\x01\x64takt", b"\x01\x78\x04takt")
    hostile = [
        b"",
        doubled,
        long_form,
        cbor2.dumps(good, canonical=True) + b"\x00",
        b"\x9b\x00\x00\x00\x01\x00\x00\x00\x00",  # an array of 2^32 items, of which none follows
        b"\x81" * 200,  # nested
        cbor2.dumps(good | {9: 1}, canonical=True),
        cbor2.dumps(good | {4: 1.5}, canonical=True),
        cbor2.dumps(good | {4: -1}, canonical=True),
        cbor2.dumps(good | {4: 2**70}, canonical=True),
        cbor2.dumps(good | {7: b"short"}, canonical=True),
        cbor2.dumps(good | {8: {1: {1: 1, -1: 6, -2: bytes(32)}}}, canonical=True),
        cbor2.dumps(good | {8: {1: {1: 4, -1: b"secret"}}}, canonical=True),
        cbor2.dumps(good | {-65537: ["single", 1, 1, ["*"] * 3, 7]}, canonical=True),
        *(cbor2.dumps(good | {-65537: ["single", 1, 1, ["*"], cls]}) for cls in (False, 0, "x" * 65, b"", [], {}, 0.0)),
        *(cbor2.dumps(good | {-65537: ["single", 1, 1, nets, None]}) for nets in ("*", None, {}, [0], [["*"]], [b"*"])),
        # true and 1.0 are equal to 1, and 7.0 to 7, wherever keys are compared by their value.
        *(
            cbor2.dumps({other if key == is_ else key: good[key] for key in good})
            for is_, other in ((1, True), (7, 7.0))
        ),
        cbor2.dumps(good | {4: True}),
        cbor2.dumps(good | {8: {True: BOUND.device_key.cose()}}),
        bytes.fromhex("c4821b7f7f7f7f7f7f7f7f01"),  # a decimal fraction whose exponent no machine can hold
        bytes.fromhex("c5821affffffff01"),  # a bigfloat of that kind
        bytes.fromhex("d81c81d81d00"),  # an array that contains itself (tags 28 and 29)
        bytes.fromhex("d8236128"),  # a regular expression to be compiled (tag 35)
    ]
    for payload in hostile:
        assert refusal(signed_cwt(payload)) == "malformed", payload.hex()


def test_json_that_the_issuer_would_never_write_is_refused_even_when_signed():
    good = body_of(JWT)
    text = json.dumps(good)
    hostile = [
        b"",
        b"[]",
        b"null",
        (text[:-1] + ', "exp": 9999999999}').encode(),
        text.replace(str(good["exp"]), "NaN").encode(),
        text.replace(str(good["exp"]), "1e400").encode(),
        text.replace(str(good["exp"]), "9" * 400).encode(),
        b'{"a":' * 300 + b"1" + b"}" * 300,
        b"\xff\xfe" + text.encode(),
        json.dumps(good | {"aud": "somebody else"}).encode(),
        json.dumps(good | {"exp": True}).encode(),
        json.dumps(good | {"jti": "7"}).encode(),
        json.dumps(good | {"cnf": {"kid": "x"}}).encode(),
        *(
            json.dumps(good | {"cnf": cnf}).encode()
            for cnf in (None, 0, "x", [], ["jwk"], {}, {"jwk": "d"}, {"jwk": []})
        ),
        json.dumps(good | {"cnf": {"jwk": BOUND.device_key.jwk(), "jku": "https://evil.example"}}).encode(),
        json.dumps(good | {"concession": False}).encode(),
        *(
            json.dumps(good | {"status": {"status_list": {"idx": index, "uri": f"{URI}/{number}"}}}).encode()
            for index, number in (
                (True, 1),
                (1.0, 1),
                ("1", 1),
                (1, "+1"),
                (1, " 1"),
                (1, "1_0"),
                (1, "\u0661"),
                (1, -1),
            )
        ),
        json.dumps(good | {"product": "x" * 65}).encode(),
        json.dumps({name: value for name, value in good.items() if name != "exp"}).encode(),
    ]
    for payload in hostile:
        assert refusal(signed_jwt(payload)) == "malformed", payload


@pytest.mark.parametrize("token", [BOUND_QR, BOUND_JWT])
def test_what_is_malformed_is_so_whoevers_key_it_names(token):
    """The contract's order: malformed comes before unknown_key."""
    nobody = KeySet([])
    assert refusal(proven(token), nobody) == "unknown_key"
    if token is BOUND_JWT:
        head, _, signature = token.rpartition(".")
        hostile = [f"{head}.{signature[:-4]}", f"{head}.{signature}=", f"{token}~", f"{token}~AAAA"]
        hostile.append(f"{token}~" + b64url(b"\xff" * 72))
    else:
        cwt_bytes = base45.decode(token)
        hostile = [base45.encode(cwt_bytes[:-1]), base45.encode(cwt_bytes + b"\x00")]
        hostile.append(base45.encode(cbor2.dumps([cwt_bytes, 2**40 + 1, bytes(64)])))
        hostile.append(base45.encode(cbor2.dumps([cwt_bytes, NOW, bytes(63)])))
    for text in hostile:
        assert refusal(text, nobody) == "malformed", text


def test_base64_has_one_spelling():
    head, _, signature = JWT.rpartition(".")
    assert refusal(f"{head}.{signature}=") == "malformed"
    assert refusal(f"{head}.{signature}\n") == "malformed"
    assert refusal(f"{head}.{signature[:-1]}{chr(ord(signature[-1]) + 1)}") in ("malformed", "bad_signature")


def test_hostile_tokens_cost_little():
    """Their length is looked at first: a megabyte costs no more than a kilobyte."""
    hostile = ["ey" + "A" * 10**6, "9" * 10**6, "ey." * 10**5, base45.encode(b"\x81" * 700), "~" * TOKEN_CHARACTERS_MAX]
    for token in hostile * 20:
        refusal(token)
