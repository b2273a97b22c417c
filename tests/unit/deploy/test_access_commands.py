"""`takt token` and `takt user`: what they print, and the one sentence for what cannot be."""

import json
import time
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from deploy.auth import Tokens, issuer_of, read_key
from deploy.commands import token, user
from deploy.devices import Registry
from deploy.ended_tokens import EndedTokens
from deploy.errors import UserError
from deploy.instance import Instance
from deploy.revoked import Revocations
from deploy.users import Users


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Instance:
    return Instance.open(tmp_path_factory.mktemp("instance") / "data")


def run(instance: Instance, *arguments: str, typed: str = "") -> str:
    """What a command prints; a refusal is raised."""
    app = typer.Typer()
    token.register(app)
    user.register(app)
    result = CliRunner().invoke(app, [*arguments, "--data-dir", str(instance.folder)], input=typed)
    if isinstance(result.exception, UserError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_token_opens_the_api_of_its_instance(instance: Instance) -> None:
    made = json.loads(run(instance, "token", "--role", "cashier", "--subject", "desk-3", "--days", "2", "--json"))
    tokens = Tokens(read_key(instance.token_key_path), issuer_of(instance.id))
    claims = tokens.verify(made["token"], time.time())
    assert (claims.role, claims.sub, claims.exp) == ("cashier", "desk-3", made["expires_at"])
    assert run(instance, "token", "--role", "admin").count(".") == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--role", "boss"), "there is no such role"),
        (("--role", "admin", "--days", "0"), "lives for more than nothing"),
        (("--role", "admin", "--days", "nan"), "lives for more than nothing"),
        (("--role", "admin", "--days", "100000"), "ten years"),
        (("--role", "admin", "--subject", "a b"), "a subject is"),
    ],
)
def test_a_token_that_cannot_be_is_refused(instance: Instance, arguments: tuple[str, ...], says: str) -> None:
    with pytest.raises(UserError, match=says):
        run(instance, "token", *arguments)


def test_a_folder_without_an_instance_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no instance here"):
        run(Instance(tmp_path / "none"), "token", "--role", "admin")


@pytest.mark.parametrize(
    "content", [b"", b"not a key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_a_broken_key_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "api-token.pem"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"api-token\.pem"):
        read_key(path)


def test_a_login_is_made_listed_and_removed(instance: Instance) -> None:
    made = json.loads(run(instance, "user", "add", "desk1", "--role", "dispatcher", "--generate", "--json"))
    assert Users(instance.users_path).verify("desk1", made["password"]) is not None
    assert "petro may log in as cashier" in run(
        instance, "user", "add", "petro", "--role", "cashier", typed="correct horse\n"
    )
    assert Users(instance.users_path).verify("petro", "correct horse") is not None
    listed = json.loads(run(instance, "user", "list", "--json"))
    assert listed == {"users": [{"user": "desk1", "role": "dispatcher"}, {"user": "petro", "role": "cashier"}]}
    run(instance, "user", "remove", "petro")
    with pytest.raises(UserError, match="no such user"):
        run(instance, "user", "remove", "petro")


def test_no_password_at_all_is_refused(instance: Instance) -> None:
    with pytest.raises(UserError, match="no password came"):
        run(instance, "user", "add", "nobody", "--role", "cashier")


def test_no_token_is_made_for_a_revoked_device_and_one_for_it_once_it_is_back(instance: Instance) -> None:
    registry = Registry(instance)
    registry.add("validator", "kpt", "door-1")
    registry.revoke("validator", "kpt", "door-1")
    with pytest.raises(UserError, match="was revoked"):
        run(instance, "token", "--role", "validator", "--subject", "kpt:door-1")
    registry.add("validator", "kpt", "door-1")
    made = run(instance, "token", "--role", "validator", "--subject", "kpt:door-1").strip()
    claims = Tokens(read_key(instance.token_key_path), issuer_of(instance.id)).verify(made, time.time() + 2)
    assert Revocations(registry, EndedTokens(instance)).why_refused(claims) is None
