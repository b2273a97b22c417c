"""The same bytes said another way, and bytes changed: of a credential's forms the known ones pass and no other."""

from __future__ import annotations

import random
import struct
from collections import Counter
from collections.abc import Iterator
from uuid import UUID

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ticketing import base45
from ticketing.card import CardKeys, CardTap, read_card, sun_message
from ticketing.cbor import bstr
from ticketing.claims import Claims
from ticketing.credential import read_credential
from ticketing.device_key import DeviceKey
from ticketing.errors import CredentialError
from ticketing.keys import FileSigner
from ticketing.keyset import IssuerKey, KeySet, kid_of
from ticketing.proof import plain_token, proof_message
from ticketing.proof import with_proof as shown
from ticketing.signing import b64url, b64url_decode, cose_header, cose_signed
from ticketing.ticket_cwt import issue_cwt, issue_qr
from ticketing.ticket_jwt import issue_jwt

SEED = 20260714
NOW_S = 1_800_000_000
ORDER = 2**252 + 27742317777372353535851937790883648493
PRIVATE, DEVICE, OTHER = (Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (5, 6, 7))


def signer_of(private: Ed25519PrivateKey) -> FileSigner:
    return FileSigner(kid_of(private.public_key().public_bytes_raw()), private)


SIGNER, SECOND = signer_of(PRIVATE), signer_of(OTHER)
KEYS = KeySet(IssuerKey(one.kid, "takt", private.public_key()) for one, private in ((SIGNER, PRIVATE), (SECOND, OTHER)))
CLAIMS = ("takt", UUID(int=9), "single", NOW_S, NOW_S + 86_400, ("*",), 1, 70_000, None)
BARE = Claims(*CLAIMS)
BOUND = Claims(*CLAIMS, DeviceKey("Ed25519", DEVICE.public_key().public_bytes_raw()))
CWT, BOUND_CWT = issue_cwt(BARE, SIGNER), issue_cwt(BOUND, SIGNER)
JWT = issue_jwt(BARE, SIGNER, "https://takt.example/status-lists")
PROOF = DEVICE.sign(proof_message(BOUND_CWT, NOW_S))
HEADS = bytes.fromhex("0017181b1f203f40585f60789fa0bfc0d2d8f4f6f7f9fbff")
CARD_KEYS = CardKeys(1, bytes(range(16)), bytes(range(16, 32)))
UID = bytes.fromhex("04de5f1eacc040")


def verdict(token: str) -> str:
    try:
        read_credential(token, KEYS)
    except CredentialError as error:
        return error.verdict
    return "accepted"


def changed(data: bytes, rng: random.Random) -> bytes:
    """Bits flipped, bytes changed, cut out, doubled or put in, the end cut off."""
    made = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        first, last = sorted((rng.randrange(len(made)), rng.randrange(len(made))))
        match rng.randrange(6):
            case 0:
                made[first] ^= 1 << rng.randrange(8)
            case 1:
                made[first] = rng.choice(HEADS)
            case 2:
                made.insert(first, rng.randrange(256))
            case 3:
                made[first:first] = made[first:last]
            case 4 if last - first + 1 < len(made):
                del made[first : last + 1]
            case _:
                del made[max(1, first) :]
    return bytes(made)


def test_no_change_of_a_cwts_bytes_is_accepted():
    rng, said = random.Random(SEED), Counter[str]()
    for token in (CWT, BOUND_CWT, base45.decode(shown(issue_qr(BOUND, SIGNER), NOW_S, PROOF))):
        genuine = (token, token[1:], b"\xd8\x3d" + token)
        for _ in range(1_000):
            if (other := changed(token, rng)) not in genuine:
                said[verdict(base45.encode(other))] += 1
    assert set(said) == {"malformed", "unknown_key", "bad_signature"}


# --- the frame, which nobody signs ----------------------------------------------------------------------------------


def heads(major: int, number: int) -> list[bytes]:
    """All heads of a major type that say a number, the shortest first."""
    found = [bytes((major << 5 | number,))] if number < 24 else []
    widths = [(24, 1), (25, 2), (26, 4), (27, 8)]
    return found + [bytes((major << 5 | info,)) + number.to_bytes(w) for info, w in widths if number < 256**w]


def strings(data: bytes) -> list[bytes]:
    """All ways to write some bytes as a byte string, and two as something else; the right one first."""
    forms = [head + data for head in heads(2, len(data))]
    return [*forms, b"\x5f" + forms[0] + b"\xff", heads(3, len(data))[0] + data, b"\xd8\x18" + forms[0]]


def frames() -> Iterator[tuple[bytes, bool]]:
    """One COSE_Sign1 said in many ways, and whether it is one of the known ones."""
    protected, _, payload, signature = cbor2.loads(CWT).value
    kid = b"\xa1\x04" + bstr(SIGNER.kid)
    unprotected = [
        b"\xa0",
        b"\xb8\x00",
        b"\xbf\xff",
        b"\xf6",
        b"\x80",
        kid,
        b"\xa1\x01\x27",
        b"\xa1\x02\x81\x04",
        b"\x40",
    ]
    right = [strings(protected)[0], b"\xa0", strings(payload)[0], strings(signature)[0]]
    for place, forms in ((0, strings(protected)), (1, unprotected), (2, strings(payload)), (3, strings(signature))):
        for number, form in enumerate(forms):
            items = [*right[:place], form, *right[place + 1 :]]
            yield b"\xd2\x84" + b"".join(items), number == 0
    body = b"".join(right)
    tags = [
        "",
        "d2",
        "d83d",
        "d83dd2",
        "d812",
        "d90012",
        "d2d2",
        "d2d83d",
        "d83dd83dd2",
        "d1",
        "d862",
        "d0",
        "c2",
        "d9d9f7",
    ]
    for number, tag in enumerate(tags):
        yield bytes.fromhex(tag) + b"\x84" + body, number < 4
    for array, end in ((b"\x98\x04", b""), (b"\x9f", b"\xff"), (b"\x85", b"\xf6"), (b"\x83", b""), (b"\x84", b"\x00")):
        yield b"\xd2" + array + body + end, False
    for order in ([1, 0, 2, 3], [0, 1, 3, 2], [2, 1, 0, 3], [0, 0, 1, 2, 3]):
        yield b"\xd2\x84" + b"".join(right[place] for place in order), False


def test_a_cwt_has_four_spellings_and_no_more():
    """With the tags 18, 61 and 18, 61, or none, as RFC 8392 has it; everything within in its shortest form."""
    known = [data for data, is_known in frames() if is_known]
    assert len(set(known)) == 4
    for data, is_known in frames():
        assert (verdict(base45.encode(data)) == "accepted") is is_known, data.hex()


def test_a_proof_has_one_spelling():
    times = heads(0, NOW_S) + [b"\xfb" + struct.pack(">d", at) for at in (NOW_S, float("nan"))]
    times += [b"\xc1" + times[0], b"\xc2\x44" + NOW_S.to_bytes(4), b"\x20", b"\xf5", b"\xf6", b"\x1b" + b"\xff" * 8]
    times += [cbor2.dumps(NOW_S + 1), cbor2.dumps(NOW_S - 1), cbor2.dumps(str(NOW_S)), b"\x00"]
    s = int.from_bytes(PROOF[32:], "little") + ORDER
    signatures = [*strings(PROOF), bstr(PROOF[:32] + s.to_bytes(32, "little")), bstr(bytes(64)), bstr(PROOF + b"\x00")]
    again = base45.decode(shown(issue_qr(BOUND, SIGNER), NOW_S, PROOF))
    tokens = [*strings(BOUND_CWT), bstr(BOUND_CWT[1:]), bstr(b"\xd8\x3d" + BOUND_CWT), bstr(CWT), bstr(again), b"\x40"]
    right, said = b"\x83" + tokens[0] + times[0] + signatures[0], Counter[str]()
    assert verdict(base45.encode(right)) == "accepted"
    for token, at, signature in [
        *((token, times[0], signatures[0]) for token in tokens[1:]),
        *((tokens[0], at, signatures[0]) for at in times[1:]),
        *((tokens[0], times[0], signature) for signature in signatures[1:]),
    ]:
        said[verdict(base45.encode(b"\x83" + token + at + signature))] += 1
    for array, end in ((b"\x98\x03", b""), (b"\x9f", b"\xff"), (b"\x82", b""), (b"\x84", b""), (b"\xd2\x83", b"")):
        said[verdict(base45.encode(array + right[1:] + end))] += 1
    said[verdict(base45.encode(right + b"\x00"))] += 1
    assert set(said) == {"malformed", "bad_signature"}


@pytest.mark.parametrize("token", [issue_qr(BARE, SIGNER), JWT], ids=["cwt", "jwt"])
def test_a_signature_has_one_spelling(token):
    """S and S + L are the same number to those who do not look (RFC 8032 section 8.4); R of small order is none."""
    plain = b64url_decode(token.rpartition(".")[2]) if token is JWT else base45.decode(token)[-64:]
    point, s = plain[:32], int.from_bytes(plain[32:], "little")
    others = [s + n * ORDER for n in range(1, 15)] + [ORDER - s, 0, 1, ORDER, 2**256 - 1]
    others += [s ^ 1 << bit for bit in range(256)]
    forged = [point + other.to_bytes(32, "little") for other in others]
    forged += [y.to_bytes(32, "little") + plain[32:] for y in (0, 1, 2**255 - 20, 2**255 - 19, 2**255 - 18, 2**255)]
    for signature in forged:
        made = f"{token.rpartition('.')[0]}.{b64url(signature)}"
        made = made if token is JWT else base45.encode(base45.decode(token)[:-64] + signature)
        assert verdict(made) == "bad_signature"


def test_a_key_signs_under_its_own_name_alone():
    for kid, private in ((SIGNER.kid, OTHER), (SECOND.kid, PRIVATE)):
        pretender = FileSigner(kid, private)
        for token in (issue_qr(BARE, pretender), issue_jwt(BARE, pretender, "https://x")):
            assert verdict(token) == "bad_signature"
    for kid in (b"", b"nope", SIGNER.kid[:3], SIGNER.kid + b"\x00", bytes(23)):
        assert verdict(issue_qr(BARE, FileSigner(kid, PRIVATE))) == "unknown_key"


# --- what the issuer's own key signed, and no ticket is ---------------------------------------------------------------


def signed(payload: bytes) -> str:
    protected = cose_header(SIGNER.kid)
    signature = SIGNER.sign(cose_signed(protected) + bstr(payload))
    return base45.encode(b"\xd2\x84" + bstr(protected) + b"\xa0" + bstr(payload) + bstr(signature))


def test_signed_claims_of_every_kind_are_read_with_their_types_or_not_at_all():
    rng, read = random.Random(SEED), Counter[str]()
    good: dict[object, object] = {1: "takt", 4: NOW_S + 9, 5: NOW_S, 7: bytes(16)}
    private = ["single", 1, 7, ["*"], None]
    odd = [0, -1, 2**32, 2**40 - 1, 2**40, 2**64, -(2**63), 2**200, 1.0, float("nan"), float("inf"), float(NOW_S), True]
    odd += [False, None, "", "7", "x" * 65, "ї" * 64, b"", b"x" * 16, [], {}, ["*", 5], [["*"]], [b"*"], {1: 2}]
    odd += [cbor2.undefined, cbor2.CBORSimpleValue(99), cbor2.CBORTag(1, 5), cbor2.CBORTag(1000, "x"), "takt", ["*"]]
    for _ in range(1_500):
        body, own = dict(good), list(private)
        for _ in range(rng.choice((1, 1, 2))):
            match rng.randrange(4):
                case 0:
                    body[rng.choice((1, 4, 5, 7, 8, 9, True, 5.0, "1"))] = rng.choice(odd)
                case 1:
                    body.pop(rng.choice([*body]))
                case _:
                    own[rng.randrange(5)] = rng.choice(odd)
        payload = cbor2.dumps(body | {-65537: own}, canonical=rng.random() < 0.8)
        try:
            claims = read_credential(signed(payload), KEYS).claims
        except CredentialError as error:
            read[error.verdict] += 1
            continue
        read["accepted"] += 1
        numbers = (claims.not_before_s, claims.expires_s, claims.status_list, claims.status_index)
        texts = [claims.issuer, claims.product, *claims.networks, *([claims.concession] if claims.concession else [])]
        assert all(type(number) is int and 0 <= number < 2**40 for number in numbers)
        assert all(type(text) is str and len(text) <= 64 for text in texts)
        assert claims.concession is None or type(claims.concession) is str
        assert [key for key in cbor2.loads(payload) if type(key) is not int] == []
    assert set(read) == {"accepted", "malformed", "unknown_key"}


# --- city cards -----------------------------------------------------------------------------------------------------


def test_no_change_of_a_cards_message_is_accepted():
    rng, message = random.Random(SEED), sun_message(CARD_KEYS, UID, 77, b"12345")
    assert read_card(message, [CARD_KEYS]) == CardTap(UID, 77, 1)
    data, said = bytes.fromhex(message[2:34] + message[37:]), Counter[str]()
    for number in range(2_000):
        other = changed(data, rng)
        if len(other) < 24 and number % 2:
            other += data[len(other) :]  # as long as it should be, half of the time
        if other == data:
            continue
        text = f"p={other[:16].hex()}&c={other[16:].hex()}"
        with pytest.raises(CredentialError) as refused:
            read_card(text, [CARD_KEYS])
        said[refused.value.verdict] += 1
    assert set(said) == {"malformed", "bad_signature"}
    for strange in (" ", "\t", "\n", "_", "+", "\u00a0", "\uff11", "\x00"):
        with pytest.raises(CredentialError, match="malformed"):
            read_card(message[:5] + strange + message[6:], [CARD_KEYS])


def test_a_proof_of_another_ticket_or_device_is_refused():
    qr = issue_qr(BOUND, SIGNER)
    twin = issue_qr(Claims(*CLAIMS[:1], UUID(int=10), *CLAIMS[2:], BOUND.device_key), SIGNER)
    for token, key in ((twin, DEVICE), (qr, OTHER), (qr, PRIVATE)):
        assert verdict(shown(qr, NOW_S, key.sign(proof_message(plain_token(token), NOW_S)))) == "bad_signature"
    assert verdict(shown(qr, NOW_S + 1, PROOF)) == "bad_signature"
    assert verdict(shown(qr, NOW_S, PROOF)) == "accepted"
