"""What a validator takes for a list, from a network that may be anybody's: signed, in force, no older than the last."""

from __future__ import annotations

import json
import random
import zlib
from uuid import UUID

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from simulators.validator_library.decision import Scan, decide
from simulators.validator_library.lists import ListError, Lists
from simulators.validator_library.memory import Memory
from simulators.validator_library.rules import ProductRule, Rules
from ticketing.claims import Claims
from ticketing.keys import FileSigner
from ticketing.keyset import IssuerKey, KeySet, kid_of
from ticketing.signing import b64url, jose_header
from ticketing.statuslist import BYTES_MAX, INVALID, SUSPENDED, VALID, StatusList, issue_list_cwt, issue_list_jwt, pack
from ticketing.ticket_cwt import issue_qr
from ticketing.ticket_jwt import issue_jwt

NOW_S = 1_800_000_000
APPLICATION = 3
URI = "https://takt.example/status-lists/1"
PRIVATE, STRANGER = (Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2))


def signer_of(private: Ed25519PrivateKey) -> FileSigner:
    return FileSigner(kid_of(private.public_key().public_bytes_raw()), private)


SIGNER, OTHER = signer_of(PRIVATE), signer_of(STRANGER)
KEYS = KeySet([IssuerKey(SIGNER.kid, "takt", PRIVATE.public_key())])
CLAIMS = {"sub": URI, "iat": NOW_S, "exp": NOW_S + 3_600, "ttl": 15}
LST = {"bits": 2, "lst": b64url(zlib.compress(pack([(8, INVALID)], 100)))}


def lists() -> Lists:
    made = Lists()
    made.take_keys(KEYS.cose_keys(), NOW_S)
    return made


def status_list(*statuses: tuple[int, int], now_s: int = NOW_S, size: int = 100, bits: int = 2) -> str:
    return issue_list_jwt(StatusList(URI, pack(statuses, size, bits), now_s, 15, life_s=3_600, bits=bits), SIGNER)


def signed(claims: object, typ: str = "statuslist+jwt", signer: FileSigner = SIGNER) -> str:
    body = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    text = f"{jose_header(signer.kid, typ)}.{b64url(body)}"
    return f"{text}.{b64url(signer.sign(text.encode()))}"


def verdict(known: Lists, index: int = 8, at_s: float = NOW_S + 10, expires_s: int = NOW_S + 86_400) -> str:
    claims = Claims("takt", UUID(int=7), "day", NOW_S - 60, expires_s, ("*",), 1, index)
    rules = Rules(1, {"day": ProductRule(None, 0.0, proof=False)})
    return decide(Scan("qr", issue_qr(claims, SIGNER), "town/7", at_s), rules, known, Memory()).verdict.value


# --- what a status says ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "said"), [(VALID, "accepted"), (INVALID, "revoked"), (SUSPENDED, "suspended"), (APPLICATION, "revoked")]
)
def test_each_of_the_four_statuses(status, said):
    """Draft section 7.1: what an application means by its own status is not known here, so it opens no gate."""
    known = lists()
    known.take_status_list(status_list((8, status)), NOW_S)
    assert verdict(known) == said
    assert verdict(known, expires_s=NOW_S) == "expired", "whatever its bits say"


@pytest.mark.parametrize(("bits", "size"), [(1, 104), (2, 100), (4, 100), (8, 100)])
def test_lists_of_every_width_and_their_last_index(bits, size):
    known = lists()
    known.take_status_list(status_list((size - 1, INVALID), size=size, bits=bits), NOW_S)
    assert [verdict(known, index) for index in (0, size - 1, size, 2**39)] == ["accepted", "revoked", *["unknown"] * 2]


def test_suspended_and_valid_again():
    known = lists()
    said = []
    for number, status in enumerate((VALID, SUSPENDED, VALID, INVALID)):
        known.take_status_list(status_list((8, status), now_s=NOW_S + number), NOW_S + number)
        said.append(verdict(known))
    assert said == ["accepted", "suspended", "accepted", "revoked"]


# --- when a list counts ---------------------------------------------------------------------------------------------


def test_a_list_whose_end_is_over_is_not_taken():
    """Else yesterday's list, replayed to a validator that has just been switched on, would look fresh."""
    text = status_list()
    for at_s in (NOW_S + 3_600, NOW_S + 86_400):
        known = lists()
        with pytest.raises(ListError, match="end is over"):
            known.take_status_list(text, at_s)
        assert known.ages_s(at_s)["status"] == float("inf")
        assert known.refused == 1
    known = lists()
    assert known.take_status_list(text, NOW_S + 3_599) == 1
    assert lists().take_status_list(signed({**CLAIMS, "status_list": LST, "exp": None}), NOW_S) == 1, "exp is optional"


def test_a_list_that_is_held_is_of_use_beyond_its_end():
    known = lists()
    known.take_status_list(status_list((8, INVALID)), NOW_S)
    assert verdict(known, at_s=NOW_S + 7_200) == "revoked"
    assert known.ages_s(NOW_S + 7_200)["status"] == 7_200


def test_nothing_older_replaces_something_newer():
    known = lists()
    known.take_status_list(status_list((8, INVALID), now_s=NOW_S), NOW_S)
    with pytest.raises(ListError, match="older"):
        known.take_status_list(status_list(now_s=NOW_S - 1), NOW_S)
    known.take_status_list(status_list((8, SUSPENDED), now_s=NOW_S), NOW_S)
    assert verdict(known) == "suspended", "as old is good enough: within a second two lists may be signed"


def test_a_list_from_the_future_does_not_hold_up_those_that_come():
    """A desk whose clock stood a day ahead for a minute signs lists that are newer than all of the next day's."""
    known = lists()
    known.take_status_list(status_list(now_s=NOW_S + 86_400), NOW_S)
    assert verdict(known) == "accepted"
    known.take_status_list(status_list((8, INVALID), now_s=NOW_S + 1), NOW_S + 1)
    assert verdict(known) == "revoked"


# --- what is no list ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "claims",
    [
        b"",
        b"[]",
        b"null",
        b'{"a":' * 10_000,
        CLAIMS,
        *(CLAIMS | {"status_list": LST} | {"sub": sub} for sub in ("", "x", "https://x/", "x/-1", "x/+1", "x/1_0", 5)),
        *(CLAIMS | {"status_list": LST} | {"iat": iat} for iat in (True, "1", 1.5, None)),
        *(CLAIMS | {"status_list": LST} | {"exp": exp} for exp in (True, "9999999999", 1e300, -1, 0)),
        *(CLAIMS | {"status_list": LST | {"bits": bits}} for bits in (0, 3, 16, -1, True, "2", None)),
        *(CLAIMS | {"status_list": LST | {"lst": lst}} for lst in ("", "AAAA", LST["lst"] + "=", LST["lst"][:-4], 5)),
        CLAIMS | {"status_list": {"bits": 2, "lst": b64url(zlib.compress(bytes(BYTES_MAX + 1), 9))}},
        CLAIMS | {"status_list": {"bits": 2, "lst": b64url(zlib.compress(b""))}},
    ],
)
def test_what_the_issuer_would_never_write_is_refused_even_when_signed(claims):
    known = lists()
    known.take_status_list(status_list((8, INVALID)), NOW_S)
    with pytest.raises(ListError):
        known.take_status_list(signed(claims), NOW_S)
    assert verdict(known) == "revoked"


def test_lists_of_others_and_other_things_of_ours_are_refused():
    ticket = Claims("takt", UUID(int=7), "day", NOW_S, NOW_S + 9, ("*",), 1, 8)
    good = CLAIMS | {"status_list": LST}
    stranger = FileSigner(SIGNER.kid, STRANGER)
    hostile = [
        signed(good, signer=OTHER),  # a key that is not held
        signed(good, signer=stranger),  # under the name of one that is
        signed(good, typ="ticket+jwt"),
        signed(good, typ="JWT"),
        issue_jwt(ticket, SIGNER, "https://takt.example/status-lists"),
        issue_list_cwt(StatusList(URI, pack([], 100), NOW_S, 15), SIGNER).hex(),
        status_list() + ".x",
        "x." + status_list(),
        *("", ".", "..", "a.b.c", "Ж", "\ud800", "\x00" * 100, "x" * (8 * 1024 * 1024 + 1)),
    ]
    for text in hostile:
        known = lists()
        with pytest.raises(ListError):
            known.take_status_list(text, NOW_S)
        assert known.refused == 1


def test_no_mutation_of_a_status_list_is_taken():
    rng = random.Random(8)
    text = status_list((8, INVALID))
    for _ in range(2_000):
        changed, place = list(text), rng.randrange(len(text))
        match rng.randrange(4):
            case 0:
                changed[place] = rng.choice("ABCxyz019-_.=+/ \nЖ")
            case 1:
                del changed[place:]
            case 2:
                del changed[place]
            case _:
                changed.insert(place, rng.choice("A9-_.= "))
        if "".join(changed) == text:
            continue
        with pytest.raises(ListError):
            lists().take_status_list("".join(changed), NOW_S)


def changes(sequence: int, *entries: tuple[int, int, bool]) -> bytes:
    told = [
        {"seq": seq, "kind": "ticket", "medium": str(UUID(int=n)), "removed": removed, "at": 1.5}
        for seq, n, removed in entries
    ]
    return json.dumps({"sequence": sequence, "entries": told}).encode()


def test_changes_of_the_deny_list_follow_one_another_unless_it_is_another_list():
    known, media = Lists(), [UUID(int=n) for n in range(4)]

    def denied() -> list[int]:
        return [number for number, medium in enumerate(media) if known.denies_ticket(medium)]

    known.take_deny_list(changes(3, (2, 1, False), (1, 0, False), (3, 0, True)), NOW_S)
    assert (denied(), known.deny_sequence) == ([1], 3)
    known.take_deny_list(changes(3), NOW_S)
    known.take_deny_list(changes(5, (5, 2, False)), NOW_S)
    assert (denied(), known.deny_sequence) == ([1, 2], 5)
    with pytest.raises(ListError, match="older"):
        known.take_deny_list(changes(4), NOW_S)
    assert denied() == [1, 2]
    known.take_deny_list(changes(2, (1, 3, False), (2, 0, False)), NOW_S)
    assert (denied(), known.deny_sequence) == ([0, 3], 2), "a backup was restored: all of the other list"


# --- keys and deny list, which are not signed -----------------------------------------------------------------------


def test_no_bytes_of_a_key_set_or_deny_list_do_more_than_be_refused():
    """What fetches lists must live through every reply: else one bad one, and nothing is fetched any more."""
    rng = random.Random(9)
    entry = {"seq": 5, "kind": "ticket", "medium": str(UUID(int=7)), "removed": False, "at": 1.5}
    deny = json.dumps({"sequence": 5, "entries": [entry]}).encode()
    bombs = [
        *(bytes.fromhex(text) for text in ("c4821b7f7f7f7f7f7f7f7f01", "c5821affffffff01", "d81c81d81d00", "d8236128")),
        *(b"[" * 100_000, b'{"entries":' * 50_000, b'{"sequence": ' + b"9" * 5_000 + b"}", b"\x81" * 100_000),
        *(cbor2.dumps(what) for what in ([], {}, [{}], [None], [[1]], "x", 5, 1.5)),
    ]
    known = lists()
    known.take_deny_list(deny, NOW_S)
    for good in (KEYS.cose_keys(), deny):
        for number in range(2_000):
            changed = bytearray(good)
            for _ in range(rng.choice((1, 1, 3))):
                changed[rng.randrange(len(changed))] = rng.randrange(256)
            data = (
                bombs[number] if number < len(bombs) else bytes(changed[: rng.choice((len(good), number % len(good)))])
            )
            for take in (known.take_keys, Lists().take_deny_list):
                try:
                    take(data, NOW_S)
                except ListError:
                    continue
    known.take_keys(KEYS.cose_keys(), NOW_S)
    assert verdict(known) == "denied"
