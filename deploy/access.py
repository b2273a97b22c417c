"""Who is let in, put together from the instance's files: bearer tokens, console sessions, and one clock for both."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deploy.auth import AUDIENCE, BearerGate, Tokens, issuer_of, read_key
from deploy.sessions import Sessions
from deploy.users import Users

CONSOLE_AUDIENCE = "takt-console"  # a cookie is no bearer token, nor the other way round


@dataclass(frozen=True, slots=True)
class Access:
    """Bearer tokens, console sessions, and the clock that both are judged by; without either nobody is let in."""

    bearer: BearerGate | None = None
    sessions: Sessions | None = None
    clock: Callable[[], float] = time.time


def open_access(
    instance_id: str, token_key_path: Path, users_path: Path, clock: Callable[[], float] = time.time
) -> Access:
    """The access of one instance.

    Raises:
        UserError: the signing key or the file of users is missing or broken.
    """
    key = read_key(token_key_path)
    issuer = issuer_of(instance_id)
    users = Users(users_path)
    users.list()
    return Access(
        BearerGate(Tokens(key, issuer, AUDIENCE), clock),
        Sessions(users, Tokens(key, issuer, CONSOLE_AUDIENCE), clock),
        clock,
    )
