"""Bearer tokens ended before their time: one, or all of somebody's; by command and over the API, in every process."""

from __future__ import annotations

import asyncio
import json
import time

import pytest
import typer
from typer.testing import CliRunner

from deploy.auth import BearerGate, Tokens, issuer_of, read_key
from deploy.commands import token as token_command
from deploy.devices import Registry
from deploy.ended_tokens import FORGOTTEN_AFTER_S, EndedTokens
from deploy.errors import UserError
from deploy.instance import Instance
from deploy.problems import Problem
from deploy.revoked import LOOK_EVERY_S, Revocations
from deploy.tokens_api import Revocation, TokensApi


@pytest.fixture
def instance(tmp_path):
    return Instance.open(tmp_path / "data")


class Door:
    """A process with a gate of its own, at a monotonic time that the test sets."""

    def __init__(self, instance: Instance) -> None:
        self.now_s = 0.0
        self.tokens = Tokens(read_key(instance.token_key_path), issuer_of(instance.id))
        revocations = Revocations(Registry(instance), EndedTokens(instance), lambda: self.now_s)
        self.gate = BearerGate(self.tokens, time.time, revocations.why_refused)

    def opens(self, token: str) -> bool:
        self.now_s += LOOK_EVERY_S
        try:
            self.gate.identify(f"Bearer {token}")
        except Problem as problem:
            return (problem.status, "revoked" in problem.detail) != (401, True)
        return True


def run(instance: Instance, *arguments: str, typed: str = "") -> dict:
    app = typer.Typer()
    token_command.register(app)
    app.command("other")(lambda: None)
    result = CliRunner().invoke(app, ["token", *arguments, "--data-dir", str(instance.folder), "--json"], input=typed)
    if isinstance(result.exception, UserError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.parametrize("role", ["cashier", "inspector", "validator", "admin"])
def test_one_token_is_ended_in_every_process_and_no_other_is(instance, role):
    doors = [Door(instance), Door(instance)]
    lost, kept = (run(instance, "--role", role, "--subject", "kpt:anna")["token"] for _ in range(2))
    assert all(door.opens(token) for door in doors for token in (lost, kept))
    said = run(instance, "revoke", "-", typed=f"{lost}\n")
    assert (said["subject"], said["role"]) == ("kpt:anna", role)
    for door in (*doors, Door(instance)):
        assert (door.opens(lost), door.opens(kept)) == (False, True)


def test_all_tokens_of_somebody_are_ended_and_new_ones_count(instance):
    door = Door(instance)
    cashier, inspector = (run(instance, "--role", role, "--subject", "anna") for role in ("cashier", "inspector"))
    other = run(instance, "--role", "cashier", "--subject", "petro")
    run(instance, "revoke", "--subject", "anna", "--role", "cashier")
    assert [door.opens(one["token"]) for one in (cashier, inspector, other)] == [False, True, True]
    run(instance, "revoke", "--subject", "anna")
    assert [door.opens(one["token"]) for one in (cashier, inspector, other)] == [False, False, True]
    assert door.opens(run(instance, "--role", "cashier", "--subject", "anna")["token"])


def test_over_the_api_as_by_command(instance):
    door = Door(instance)
    api = TokensApi(door.tokens, EndedTokens(instance))
    made = [run(instance, "--role", "cashier", "--subject", "anna")["token"] for _ in range(2)]
    ended = asyncio.run(api.revoke(body=Revocation(token=made[0]), subject="admin"))
    assert (ended.subject, ended.role, ended.jti is not None) == ("anna", "cashier", True)
    assert [door.opens(token) for token in made] == [False, True]
    assert asyncio.run(api.revoke(body=Revocation(subject="anna"), subject="admin")).jti is None
    assert not door.opens(made[1])


@pytest.mark.parametrize(
    "body",
    [{}, {"token": "a.b.c"}, {"token": "x", "subject": "anna"}, {"token": "x", "role": "cashier"},
     {"subject": "a b"}, {"subject": "anna", "role": "boss"}],
)  # fmt: skip
def test_what_names_nobodys_token_is_refused(instance, body):
    api = TokensApi(Door(instance).tokens, EndedTokens(instance))
    with pytest.raises(Problem) as refused:
        asyncio.run(api.revoke(body=Revocation(**body), subject="admin"))
    assert refused.value.status == 422
    assert EndedTokens(instance).read().tokens == {}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "name one TOKEN"),
        (("a.b.c",), "nothing was revoked"),
        (("a.b.c", "--subject", "anna"), "name one TOKEN"),
        (("--subject", "anna", "--role", "boss"), "there is no such role"),
    ],
)
def test_a_command_that_names_nobodys_token_is_refused(instance, arguments, says):
    with pytest.raises(UserError, match=says):
        run(instance, "revoke", *arguments)


def test_tokens_that_have_expired_are_forgotten(instance):
    now = [time.time()]
    ended, tokens = EndedTokens(instance, lambda: now[0]), Door(instance).tokens
    ended.end(tokens.verify(tokens.issue("cashier", "anna", now[0], 60), now[0]))
    now[0] += 61 + FORGOTTEN_AFTER_S
    ended.end_all("petro")
    assert (ended.read().tokens, len(ended.read().subjects) > 0) == ({}, True)


@pytest.mark.parametrize("damage", [b"", b"{", b'{"tokens": 7}', b"\xff" * 9])
def test_a_file_that_cannot_be_read_lets_no_ended_token_in_again(instance, damage):
    door = Door(instance)
    token = run(instance, "--role", "cashier")["token"]
    run(instance, "revoke", token)
    assert not door.opens(token)
    EndedTokens(instance).path.write_bytes(damage)
    assert not door.opens(token)
    with pytest.raises(UserError, match="is damaged"):
        run(instance, "revoke", "--subject", "anna")
