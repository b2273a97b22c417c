"""Ending bearer tokens over HTTP, for whoever keeps an instance and is not at its machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
import structlog
from msgspec import Meta

from deploy.auth import SUBJECT, TOKEN_CHARS_MAX, TokenError, Tokens
from deploy.ended_tokens import EndedTokens
from deploy.errors import UserError
from deploy.problems import Problem

log = structlog.get_logger("tokens")


class Revocation(msgspec.Struct, forbid_unknown_fields=True):
    """Either one token, or a subject: all its tokens so far, of one role or (null) of any."""

    token: Annotated[str, Meta(min_length=1, max_length=TOKEN_CHARS_MAX)] | None = None
    subject: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    role: str | None = None


class Revoked(msgspec.Struct, frozen=True):
    """Whose tokens count no longer; jti: which one, null for all made until `until` (Unix seconds)."""

    subject: str
    role: str | None
    jti: str | None
    until: float


class TokensApi:
    """The operation; it changes what every process reads again within two seconds."""

    def __init__(self, tokens: Tokens, ended: EndedTokens, clock: Callable[[], float] = time.time) -> None:
        self._tokens = tokens
        self._ended = ended
        self._clock = clock

    def routes(self) -> list[tuple[Any, ...]]:
        """The operation."""
        return [("POST", "/api/v1/tokens/revoke", "tokens:revoke", self.revoke)]

    async def revoke(self, *, body: Revocation, subject: str) -> Revoked:
        """End a bearer token before its time, or all that somebody has. Admins only."""
        if (body.token is None) == (body.subject is None) or (body.token is not None and body.role is not None):
            raise Problem(422, "Name either token, or subject (and role where only that one's are meant).")
        revoked = self._one(body.token) if body.token is not None else self._all(body.subject or "", body.role)
        log.info("tokens_revoked", by=subject, subject=revoked.subject, role=revoked.role, jti=revoked.jti)
        return revoked

    def _one(self, token: str) -> Revoked:
        try:
            claims = self._tokens.verify(token, self._clock())
        except TokenError as error:
            raise Problem(422, f"token: {error}; nothing was revoked.") from None
        self._ended.end(claims)
        return Revoked(claims.sub, claims.role, claims.jti, float(claims.exp))

    def _all(self, subject: str, role: str | None) -> Revoked:
        if not SUBJECT.fullmatch(subject):
            raise Problem(422, "subject: it is 1 to 128 letters, digits and @ . _ : / + -")
        try:
            return Revoked(subject, role, None, self._ended.end_all(subject, role))
        except UserError as error:
            raise Problem(422, f"role: {error}") from None
