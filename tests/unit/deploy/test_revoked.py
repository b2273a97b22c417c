"""Tokens of revoked devices: refused from then on, also once the device is back, and nobody else's are."""

from __future__ import annotations

import time

import pytest

from deploy.auth import BearerGate, Claims, Tokens, issuer_of, read_key
from deploy.devices import Registry
from deploy.ended_tokens import EndedTokens
from deploy.instance import Instance
from deploy.problems import Problem
from deploy.revoked import Revocations, Standing

NOW_S = 1_780_000_000.0


def claims(subject: str, role: str = "validator", made_s: float = NOW_S) -> Claims:
    return Claims("takt:one", "takt-api", subject, role, int(made_s), int(made_s) + 3600, "1")


@pytest.mark.parametrize(
    ("subject", "role", "made_s", "refused"),
    [
        ("kpt:door-1", "validator", NOW_S - 60, True),  # gone
        ("kpt:door-1", "validator", NOW_S + 60, True),
        ("kpt:door-2", "validator", NOW_S - 60, True),  # back, and the token is an old one
        ("kpt:door-2", "validator", NOW_S + 60, False),
        ("kpt:door-3", "validator", NOW_S - 60, False),  # never revoked
        ("kpt:gate", "validator", NOW_S - 60, False),  # never registered
        ("validator", "validator", NOW_S - 60, False),
        ("kpt:door-1", "cashier", NOW_S - 60, False),  # a person's name is no device
        ("kpt:x:door-1", "validator", NOW_S - 60, False),
    ],
)
def test_what_was_made_before_a_revocation_counts_no_longer(subject, role, made_s, refused):
    known = frozenset({"validator.kpt.door-2", "validator.kpt.door-3"})
    standing = Standing(known, {"validator.kpt.door-1": NOW_S, "validator.kpt.door-2": NOW_S})
    assert (standing.why_refused(claims(subject, role, made_s)) is not None) == refused


def test_the_register_is_followed_while_it_changes(tmp_path):
    instance = Instance.open(tmp_path / "data")
    registry, now = Registry(instance), [0.0]
    tokens = Tokens(read_key(instance.token_key_path), issuer_of(instance.id))
    revocations = Revocations(registry, EndedTokens(instance), lambda: now[0])
    gate = BearerGate(tokens, time.time, revocations.why_refused)
    old = tokens.issue("validator", "kpt:door-1", time.time() - 2, 3600)
    assert gate.identify(f"Bearer {old}").subject == "kpt:door-1"
    registry.add("validator", "kpt", "door-1")
    registry.add("validator", "kpt", "door-2")
    now[0] += 1
    assert gate.identify(f"Bearer {old}").role == "validator"
    registry.revoke("validator", "kpt", "door-1")
    now[0] += 1
    with pytest.raises(Problem) as refused:
        gate.identify(f"Bearer {old}")
    assert (refused.value.status, "was revoked" in refused.value.detail, gate.refused) == (401, True, 1)
    registry.add("validator", "kpt", "door-1")
    now[0] += 1
    with pytest.raises(Problem, match="make a new one"):
        gate.identify(f"Bearer {old}")
    new = tokens.issue("validator", "kpt:door-1", time.time() + 1, 3600)
    assert gate.identify(f"Bearer {new}").subject == "kpt:door-1"


def test_new_credentials_end_the_tokens_that_came_with_the_old(tmp_path):
    registry = Registry(Instance.open(tmp_path / "data"))
    registry.add("validator", "kpt", "door-1")
    assert registry.standing()[1] == {}
    registry.add("validator", "kpt", "door-1", replace=True)
    assert list(registry.standing()[1]) == ["validator.kpt.door-1"]


def test_a_register_that_cannot_be_read_changes_nothing(tmp_path):
    instance = Instance.open(tmp_path / "data")
    registry, now = Registry(instance), [0.0]
    revocations = Revocations(registry, EndedTokens(instance), lambda: now[0])
    registry.add("validator", "kpt", "door-1")
    registry.revoke("validator", "kpt", "door-1")
    assert revocations.why_refused(claims("kpt:door-1"))
    for damage in (b"", b"{", b'{"devices": 7}', b"\xff" * 100):
        registry.path.write_bytes(damage)
        now[0] += 1
        assert revocations.why_refused(claims("kpt:door-1"))
    registry.path.unlink()
    now[0] += 1
    assert revocations.why_refused(claims("kpt:door-1"))
