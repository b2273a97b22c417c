"""`takt ticket verify`: offline, by a key set file, with an exit status that scripts can use."""

import json
import time
import uuid

import msgspec
import pytest
import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

from deploy.commands import ticket
from deploy.errors import UsageError, UserError
from ticketing.claims import Claims
from ticketing.device_key import DeviceKey
from ticketing.keys import FileSigner
from ticketing.keyset import IssuerKey, KeySet, kid_of
from ticketing.proof import plain_token, proof_message, with_proof
from ticketing.ticket_cwt import issue_qr
from ticketing.ticket_jwt import issue_jwt

PRIVATE = Ed25519PrivateKey.generate()
PUBLIC = PRIVATE.public_key()
SIGNER = FileSigner(kid_of(PUBLIC.public_bytes_raw()), PRIVATE)
KEYS = KeySet([IssuerKey(SIGNER.kid, "takt", PUBLIC)])
NOW = int(time.time())
CLAIMS = Claims("takt", uuid.uuid4(), "single", NOW - 60, NOW + 3600, ("*",), 1, 7)
APP = typer.Typer()
ticket.register(APP)


@pytest.fixture(params=["jwks", "cose"])
def keys(request, tmp_path):
    path = tmp_path / "keys"
    path.write_bytes(json.dumps(KEYS.jwks()).encode() if request.param == "jwks" else KEYS.cose_keys())
    return str(path)


def run(*words, given=None):
    return CliRunner().invoke(APP, ["ticket", "verify", *words], input=given)


@pytest.mark.parametrize(
    "token", [issue_qr(CLAIMS, SIGNER), issue_jwt(CLAIMS, SIGNER, "https://takt.example/lists")], ids=["qr", "jwt"]
)
def test_a_genuine_ticket(keys, token):
    result = run("-", "--keys", keys, "--json", given=token + "\n")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["id"] == str(CLAIMS.ticket_id)


@pytest.mark.parametrize(
    ("at", "verdict"), [(NOW - 61, "not_yet_valid"), (NOW + 3600, "expired")], ids=["before", "after"]
)
def test_a_ticket_out_of_its_time(keys, at, verdict):
    result = run(issue_qr(CLAIMS, SIGNER), "--keys", keys, "--json", "--at", str(at))
    assert result.exit_code == 1
    assert json.loads(result.stdout)["verdict"] == verdict


def test_a_forged_ticket_is_one_sentence(keys):
    result = run(issue_qr(CLAIMS, FileSigner(SIGNER.kid, Ed25519PrivateKey.generate())), "--keys", keys)
    assert isinstance(result.exception, UserError)
    assert str(result.exception).startswith("the ticket is refused: bad_signature")


@pytest.mark.parametrize("content", [None, b"", b"{}", b'{"keys": [{"kty": "RSA"}]}', b"\xff\x00", b"\x81\xa0"])
def test_a_file_that_is_no_key_set_is_one_sentence(tmp_path, content):
    path = tmp_path / "keys"
    if content is not None:
        path.write_bytes(content)
    result = run("x", "--keys", str(path))
    assert isinstance(result.exception, UserError)
    assert str(path) in str(result.exception)


@pytest.mark.parametrize("at", ["nan", "inf", "-inf"])
def test_an_instant_that_is_none_makes_no_ticket_good(keys, at):
    result = run(issue_qr(CLAIMS, SIGNER), "--keys", keys, "--at", at)
    assert isinstance(result.exception, UsageError)
    assert "--at" in str(result.exception)


def test_a_copy_of_a_code_is_told_from_the_phone_that_it_was_sold_to(keys):
    """A screenshot without the phone's proof must not read like the fresh code."""
    device = DeviceKey("Ed25519", PUBLIC.public_bytes_raw())
    copy = issue_qr(msgspec.structs.replace(CLAIMS, device_key=device), SIGNER)
    fresh = with_proof(copy, NOW, PRIVATE.sign(proof_message(plain_token(copy), NOW)))
    shown = run(copy, "--keys", keys)
    assert shown.exit_code == 0
    assert "may be a copy" in shown.stdout
    refused = run(copy, "--keys", keys, "--proof", "--json")
    assert (refused.exit_code, json.loads(refused.stdout)["verdict"]) == (1, "stale_proof")
    proven = run(fresh, "--keys", keys, "--proof", "--at", str(NOW + 5))
    assert (proven.exit_code, "own device, 5 s old" in proven.stdout) == (0, True)


def test_how_old_a_proof_may_be_is_a_setting(keys, tmp_path):
    copy = issue_qr(msgspec.structs.replace(CLAIMS, device_key=DeviceKey("Ed25519", PUBLIC.public_bytes_raw())), SIGNER)
    fresh = with_proof(copy, NOW, PRIVATE.sign(proof_message(plain_token(copy), NOW)))
    (tmp_path / "takt.toml").write_text("[ticketing]\nproof_window_s = 20\nproof_clock_error_s = 5\n")
    strict = ["--config", str(tmp_path / "takt.toml")]

    def exit_code(age_s: int, *words: str) -> int:
        return run(fresh, "--keys", keys, "--proof", "--at", str(NOW + age_s), *words).exit_code

    assert [exit_code(age_s, *strict) for age_s in (25, 26, -5, -6)] == [0, 1, 0, 1]
    assert [exit_code(age_s) for age_s in (40, 41, -10, -11)] == [0, 1, 0, 1]


def test_a_ticket_on_a_card_has_no_code_to_write(tmp_path):
    words = ["ticket", "issue", "day", "--card", "04de5f1eacc040", "--qr", str(tmp_path / "code.svg")]
    result = CliRunner().invoke(APP, words)
    assert isinstance(result.exception, UsageError)


def test_a_refund_tells_how_often_the_ticket_was_used(monkeypatch):
    asked = []

    class Answering:
        def __init__(self, *_):
            pass

        def once(self, path, body):
            asked.append((path, body))
            return {
                "id": "7c0c", "status": "revoked", "reason": "rain", "price_minor": 800, "currency": "UAH",
                "uses": 1, "uses_allowed": 1, "last_used_at": float(NOW), "last_place": "town/4582",
                "refunded_minor": 500,
            }  # fmt: skip

    monkeypatch.setattr("deploy.client.Client", Answering)
    result = CliRunner().invoke(APP, ["ticket", "refund", "7c0c/..", "--reason", "rain"])
    assert asked == [("/api/v1/tickets/7c0c%2F../refund", {"reason": "rain"})]
    assert "5.00 UAH, of 8.00 UAH" in result.stdout
    assert "used     1 of 1" in result.stdout
    CliRunner().invoke(APP, ["ticket", "refund", "7c0c", "--reason", "rain", "--override"])
    assert asked[1][1] == {"reason": "rain", "override": True}


def test_what_a_bank_would_not_take_back_is_listed_and_paid_out(monkeypatch):
    asked = []
    owed = {
        "ticket_id": "7c0c", "amount_minor": 800, "currency": "UAH", "state": "owed", "reason": "card_closed",
        "since": float(NOW), "what_to_do": {"uk": "Виплатіть", "en": "Pay it out"},
    }  # fmt: skip

    class Answering:
        def __init__(self, *_):
            pass

        def get(self, path):
            assert path == "/api/v1/refunds-owed"
            return {"refunds": [owed]}

        def in_city(self, _):
            return "2026-03-04 08:00 EET"

        def once(self, path, body):
            asked.append((path, body))
            return {"id": "7c0c", "currency": "UAH"}

    monkeypatch.setattr("deploy.client.Client", Answering)
    listed = CliRunner().invoke(APP, ["ticket", "refunds-owed"]).stdout
    assert listed == "7c0c  8.00 UAH  owed since 2026-03-04 08:00 EET (card_closed)\n  Pay it out\n"
    assert "8.00 UAH paid out" in CliRunner().invoke(APP, ["ticket", "pay-out", "7c0c"]).stdout
    assert (
        "3.00 UAH paid out" in CliRunner().invoke(APP, ["ticket", "pay-out", "7c0c", "--bank-returned", "500"]).stdout
    )
    assert asked == [("/api/v1/tickets/7c0c/pay-out", body) for body in ({}, {"bank_returned_minor": 500})]


@pytest.mark.parametrize(
    ("status", "uses", "allowed", "told"),
    [
        ("valid", 1, 1, "used up"),
        ("valid", 9, 10, "valid"),
        ("valid", 40, None, "valid"),
        ("revoked", 1, 1, "revoked"),
    ],
)
def test_a_ticket_without_rides_left_is_told_to_be_used_up(monkeypatch, status, uses, allowed, told):
    class Answering:
        def __init__(self, *_):
            pass

        def get(self, _):
            return {
                "id": "7c0c", "status": status, "reason": None, "product_id": "single", "price_minor": 800,
                "currency": "UAH", "sold_by": "desk1", "valid_from": NOW, "valid_until": NOW + 60, "uses": uses,
                "uses_allowed": allowed, "last_used_at": None, "last_place": None,
            }  # fmt: skip

    monkeypatch.setattr("deploy.client.Client", Answering)
    assert f"ticket   7c0c, {told}\n" in CliRunner().invoke(APP, ["ticket", "show", "7c0c"]).stdout
