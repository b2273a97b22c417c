"""`takt ticket verify`: offline, by a key set file, with an exit status that scripts can use."""

import json
import time
import uuid

import pytest
import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

from deploy.commands import ticket
from deploy.errors import UserError
from ticketing.credential import Claims, issue_jwt, issue_qr
from ticketing.keys import FileSigner
from ticketing.keyset import IssuerKey, KeySet, kid_of

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


@pytest.mark.parametrize("token", [issue_qr(CLAIMS, SIGNER), issue_jwt(CLAIMS, SIGNER, "https://takt.example/lists")])
def test_a_genuine_ticket(keys, token):
    result = run("-", "--keys", keys, "--json", given=token + "\n")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["id"] == str(CLAIMS.ticket_id)


@pytest.mark.parametrize(("at", "verdict"), [(NOW - 61, "not_yet_valid"), (NOW + 3600, "expired")])
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
