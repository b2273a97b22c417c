"""Tokens: ours pass, everything else does not, and roles allow what the table says."""

import base64
import hashlib
import hmac
import json

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from deploy.auth import (
    NOBODY,
    PERMISSIONS,
    ROLES,
    TOKEN_CHARS_MAX,
    BearerGate,
    Principal,
    TokenError,
    Tokens,
    demand,
    permissions_of,
)
from deploy.problems import Problem

NOW_S = 1_780_000_000.0
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
TOKENS = Tokens(KEY, "takt:one")
GOOD = TOKENS.issue("dispatcher", "desk1", NOW_S, 3600)


def encode(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def parts_of(token: str) -> tuple[dict[str, object], dict[str, object], str]:
    header, claims, signature = token.split(".")
    read = lambda text: json.loads(base64.urlsafe_b64decode(text + "=="))  # noqa: E731
    return read(header), read(claims), signature


HEADER, CLAIMS, SIGNATURE = parts_of(GOOD)


def signed(header: dict[str, object], claims: dict[str, object]) -> str:
    """A token that our own key signs, whatever is in it."""
    text = f"{encode(header)}.{encode(claims)}"
    return f"{text}.{encode(KEY.sign(text.encode()))}"


def with_hs256() -> str:
    """HS256 with our public key as its secret: the confusion of RFC 8725, section 2.1."""
    secret = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    text = f"{encode({**HEADER, 'alg': 'HS256'})}.{encode(CLAIMS)}"
    return f"{text}.{encode(hmac.new(secret, text.encode(), hashlib.sha256).digest())}"


FORGED = {
    "empty": "",
    "words": "not a token",
    "two parts": GOOD.rpartition(".")[0],
    "four parts": GOOD + ".AAAA",
    "alg none": f"{encode({**HEADER, 'alg': 'none'})}.{encode(CLAIMS)}.",
    "alg none with a signature": f"{encode({**HEADER, 'alg': 'none'})}.{encode(CLAIMS)}.{SIGNATURE}",
    "hs256 with the public key": with_hs256(),
    "kid is a path": signed({**HEADER, "kid": "../../keys/api-token.pem"}, CLAIMS),
    "kid is SQL": signed({**HEADER, "kid": "' OR 1=1 --"}, CLAIMS),
    "kid is missing": signed({k: v for k, v in HEADER.items() if k != "kid"}, CLAIMS),
    "jku": signed({**HEADER, "jku": "https://evil.example/keys"}, CLAIMS),
    "x5u": signed({**HEADER, "x5u": "https://evil.example/cert"}, CLAIMS),
    "jwk": signed({**HEADER, "jwk": {"kty": "OKP"}}, CLAIMS),
    "crit": signed({**HEADER, "crit": ["exp"]}, CLAIMS),
    "typ": signed({**HEADER, "typ": "at+jwt"}, CLAIMS),
    "r and s are zero": f"{GOOD.rpartition('.')[0]}.{encode(bytes(64))}",
    "signature is short": f"{GOOD.rpartition('.')[0]}.{encode(bytes(32))}",
    "another key": Tokens(Ed25519PrivateKey.generate(), "takt:one").issue("admin", "eve", NOW_S, 60),
    "another issuer": Tokens(KEY, "takt:two").issue("admin", "eve", NOW_S, 60),
    "another audience": Tokens(KEY, "takt:one", "takt-console").issue("admin", "eve", NOW_S, 60),
    "a role there is not": signed(HEADER, {**CLAIMS, "role": "root"}),
    "no expiry": signed(HEADER, {k: v for k, v in CLAIMS.items() if k != "exp"}),
    "expiry is text": signed(HEADER, {**CLAIMS, "exp": "9999999999"}),
    "nested": signed(HEADER, {**CLAIMS, "sub": GOOD, "role": {"role": "admin"}}),
    "a token in a token": f"{encode(HEADER)}.{encode(GOOD.encode())}.{SIGNATURE}",
    "100 KB": GOOD + "A" * 100_000,
    "deep": f"{encode(b'[' * 1000)}.{encode(CLAIMS)}.{SIGNATURE}",
    "padding": GOOD + "==",
    "a line break": GOOD + "\n",
    "letters that are none": GOOD.replace(".", ".é", 1),
    "lone surrogate": GOOD + "\udc80",
    "standard base64": GOOD[:-2] + "+/",
}


def test_our_token_says_who_and_what() -> None:
    claims = TOKENS.verify(GOOD, NOW_S + 10)
    assert (claims.iss, claims.aud, claims.sub, claims.role) == ("takt:one", "takt-api", "desk1", "dispatcher")
    assert claims.exp == NOW_S + 3600
    assert len(claims.jti) == 32


def test_another_library_reads_our_token() -> None:
    read = jwt.decode(GOOD, KEY.public_key(), algorithms=["EdDSA"], audience="takt-api", options={"verify_exp": False})
    assert read["role"] == "dispatcher"


@pytest.mark.parametrize("token", FORGED.values(), ids=FORGED.keys())
def test_a_forged_token_is_refused(token: str) -> None:
    with pytest.raises(TokenError):
        TOKENS.verify(token, NOW_S)


@given(st.integers(0, len(GOOD) - 1), st.characters(min_codepoint=32, max_codepoint=126))
def test_no_letter_can_be_changed(at: int, letter: str) -> None:
    changed = GOOD[:at] + letter + GOOD[at + 1 :]
    if changed != GOOD:
        with pytest.raises(TokenError):
            TOKENS.verify(changed, NOW_S)


@given(st.text(max_size=200))
def test_any_text_is_refused_in_words(text: str) -> None:
    with pytest.raises(TokenError):
        TOKENS.verify(text, NOW_S)


def test_every_last_letter_but_ours_is_refused() -> None:
    """The last letter of 64 bytes in base64 carries two bits: fifteen other letters would decode to the same."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for letter in letters.replace(GOOD[-1], ""):
        with pytest.raises(TokenError):
            TOKENS.verify(GOOD[:-1] + letter, NOW_S)


def test_time_ends_a_token_even_one_that_was_verified_before() -> None:
    TOKENS.verify(GOOD, NOW_S)
    with pytest.raises(TokenError, match="expired"):
        TOKENS.verify(GOOD, NOW_S + 3600)
    with pytest.raises(TokenError, match="not valid yet"):
        TOKENS.verify(GOOD, NOW_S - 60)


def test_doubled_claims_cannot_be_signed_in_after_the_fact() -> None:
    claims = json.dumps(CLAIMS)[:-1] + ', "role": "admin"}'
    header = GOOD.split(".")[0]
    with pytest.raises(TokenError, match="signature"):
        TOKENS.verify(f"{header}.{encode(claims.encode())}.{SIGNATURE}", NOW_S)


@pytest.mark.parametrize(
    ("role", "subject", "lifetime_s"),
    [("root", "a", 60), ("admin", "", 60), ("admin", "a b", 60), ("admin", "a" * 129, 60), ("admin", "a", 0)],
)
def test_a_token_that_cannot_be_is_not_made(role: str, subject: str, lifetime_s: float) -> None:
    with pytest.raises(ValueError, match=r"role|subject|lives"):
        TOKENS.issue(role, subject, NOW_S, lifetime_s)


def test_the_longest_token_of_ours_fits() -> None:
    token = TOKENS.issue("dispatcher", "x" * 128, NOW_S, 60)
    assert len(token) < TOKEN_CHARS_MAX
    assert TOKENS.verify(token, NOW_S).sub == "x" * 128


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic YTpi", "bearer x", f"Token {GOOD}", GOOD])
def test_the_gate_refuses_and_counts(header: str) -> None:
    gate = BearerGate(TOKENS, lambda: NOW_S)
    with pytest.raises(Problem) as caught:
        gate.identify(header)
    assert caught.value.status == 401
    assert "WWW-Authenticate" in caught.value.headers
    assert gate.refused == 1
    assert GOOD not in caught.value.detail


def test_the_gate_lets_ours_in() -> None:
    principal = BearerGate(TOKENS, lambda: NOW_S).identify(f"Bearer {GOOD}")
    assert principal == Principal("desk1", "dispatcher", "bearer")


@pytest.mark.parametrize("permission", sorted(PERMISSIONS))
def test_nobody_has_a_permission(permission: str) -> None:
    with pytest.raises(Problem) as caught:
        demand(NOBODY, permission)
    assert caught.value.status == 401


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("permission", sorted(PERMISSIONS))
def test_a_role_has_what_the_table_says(role: str, permission: str) -> None:
    principal = Principal("somebody", role, "bearer")
    if role in PERMISSIONS[permission] or role == "admin":
        demand(principal, permission)
    else:
        with pytest.raises(Problem) as caught:
            demand(principal, permission)
        assert caught.value.status == 403


@pytest.mark.parametrize("role", ["", "root", "Admin", "dispatcher "])
def test_a_role_that_is_none_has_nothing(role: str) -> None:
    assert permissions_of(role) == frozenset()


def test_an_unknown_permission_is_nobodys() -> None:
    with pytest.raises(Problem):
        demand(Principal("root", "admin", "bearer"), "no:such")
