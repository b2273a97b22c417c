"""A key is published before it signs, and retired when its last ticket has ended."""

from __future__ import annotations

import json
import os
from pathlib import Path
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ticketing.claims import Claims
from ticketing.credential import read_credential
from ticketing.errors import CredentialError, KeyFileError
from ticketing.keys import load_issuer_keys
from ticketing.keyset import key_set_from_cose, key_set_from_jwks
from ticketing.private_files import write_private
from ticketing.rotation import PUBLISHED_S_MIN, State, find_key, list_keys, publish_key, retire_key, use_key
from ticketing.ticket_cwt import issue_qr
from ticketing.ticket_jwt import issue_jwt

NOW_S = 1_771_257_482.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_private(tmp_path / "20200101-first.pem", pem)
    os.utime(tmp_path / "20200101-first.pem", (NOW_S - 1e6, NOW_S - 1e6))
    return tmp_path


def ticket(keys) -> tuple[str, str]:
    claims = Claims("takt", UUID(int=7), "single", int(NOW_S), int(NOW_S) + 86400, ("*",), 1, 5)
    return issue_qr(claims, keys.signer), issue_jwt(claims, keys.signer, "https://example.org/status-lists")


def states(folder: Path) -> list[State]:
    return [key.state for key in list_keys(folder)]


def test_a_published_key_is_in_both_key_sets_and_does_not_sign(folder):
    keys = load_issuer_keys(folder, "takt")
    first = keys.signer.kid
    new = publish_key(folder, NOW_S)
    assert keys.refresh()
    assert keys.signer.kid == first
    assert states(folder) == [State.SIGNING, State.NEXT]
    assert new.kid in [key["kid"] for key in keys.key_set.jwks()["keys"]]
    assert bytes.fromhex(new.kid) in key_set_from_cose(keys.key_set.cose_keys()).by_kid


def test_a_key_is_not_used_before_validators_can_have_fetched_it(folder):
    new = publish_key(folder, NOW_S)
    with pytest.raises(KeyFileError, match=r"published 2.0 h ago.*in 22.0 h, or now with --now"):
        use_key(folder, new.kid, NOW_S + 7200)
    assert use_key(folder, new.kid, NOW_S + PUBLISHED_S_MIN).state is State.SIGNING
    assert states(folder) == [State.OLD, State.SIGNING]


def test_old_tickets_stay_good_until_their_key_is_retired_and_then_are_refused(folder):
    keys = load_issuer_keys(folder, "takt")
    old = ticket(keys)
    old_kid = keys.signer.kid.hex()
    use_key(folder, publish_key(folder, NOW_S).kid, NOW_S, published_s_min=0)
    keys.refresh()
    new = ticket(keys)
    for token in (*old, *new):
        assert read_credential(token, keys.key_set).claims.product == "single"
    with pytest.raises(KeyFileError, match="are good until 2026-02-17"):
        retire_key(folder, old_kid, NOW_S + 60, NOW_S + 86400)
    retire_key(folder, old_kid, NOW_S + 86400, NOW_S + 86400)
    keys.refresh()
    for token in old:
        with pytest.raises(CredentialError) as refused:
            read_credential(token, keys.key_set)
        assert refused.value.verdict == "unknown_key"
    for token in new:
        read_credential(token, keys.key_set)


def test_a_validator_offline_since_before_the_change_reads_old_tickets_and_after_a_refresh_new_ones(folder):
    keys = load_issuer_keys(folder, "takt")
    fetched_before = key_set_from_jwks(json.dumps(keys.key_set.jwks()))
    old = ticket(keys)[0]
    use_key(folder, publish_key(folder, NOW_S).kid, NOW_S, published_s_min=0)
    keys.refresh()
    new = ticket(keys)[0]
    read_credential(old, fetched_before)
    with pytest.raises(CredentialError):
        read_credential(new, fetched_before)
    read_credential(new, key_set_from_jwks(json.dumps(keys.key_set.jwks())))


def test_the_signing_key_is_not_retired_and_two_are_not_published_at_once(folder):
    with pytest.raises(KeyFileError, match="signs: publish another"):
        retire_key(folder, list_keys(folder)[0].kid, NOW_S, None)
    publish_key(folder, NOW_S)
    with pytest.raises(KeyFileError, match="has not been used"):
        publish_key(folder, NOW_S)
    with pytest.raises(KeyFileError, match="no such issuer key; there are"):
        find_key(folder, "../../etc/passwd")


def test_nothing_new_is_nothing_read(folder):
    keys = load_issuer_keys(folder, "takt")
    assert not keys.refresh()


def test_broken_states_and_a_lost_signing_key_are_told(folder):
    publish_key(folder, NOW_S)
    (folder / "20200101-first.pem").rename(folder / "elsewhere")
    with pytest.raises(KeyFileError, match=r"signing key 20200101-first.pem is missing"):
        list_keys(folder)
    write_private(folder / "states.json", b"[1")
    with pytest.raises(KeyFileError, match="no file of key states"):
        load_issuer_keys(folder, "takt")
