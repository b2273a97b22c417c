"""Bearer tokens that were ended before their time: single ones by their id, and all that somebody had until an instant.

They stand in `ended-tokens.json` of the data folder, which every process with a door reads again when it changes
(deploy.revoked). A single token is forgotten once it has expired by itself.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator

import msgspec

from deploy.auth import ROLES, Claims
from deploy.errors import UserError
from deploy.instance import Instance
from deploy.private_files import read_json, write_private

FORGOTTEN_AFTER_S = 3600.0  # beyond its expiry: what clocks may differ by


class Ended(msgspec.Struct):
    """When (Unix seconds) ended tokens expire, by id; and until when those of "<role> <subject>" were ended."""

    tokens: dict[str, float] = {}
    subjects: dict[str, float] = {}

    def why_refused(self, claims: Claims) -> str | None:
        """Why a token counts no longer; None where it does. Tokens are dated to the second."""
        if claims.jti in self.tokens:
            return "it was revoked; make a new one"
        ended_s = self.subjects.get(f"{claims.role} {claims.sub}")
        if ended_s is not None and claims.iat <= ended_s:
            return f"all tokens of {claims.sub} were revoked; make a new one"
        return None


class EndedTokens:
    """The file; every change is whole on the disk before the call returns."""

    def __init__(self, instance: Instance, clock: Callable[[], float] = time.time) -> None:
        self.path = instance.ended_tokens_path
        self._clock = clock

    def read(self) -> Ended:
        """What has been ended.

        Raises:
            UserError: the file cannot be read.
        """
        return read_json(self.path, Ended) if self.path.exists() else Ended()

    def end(self, claims: Claims) -> None:
        """End one token."""
        with self._changing() as ended:
            ended.tokens[claims.jti] = float(claims.exp)

    def end_all(self, subject: str, role: str | None = None) -> float:
        """End all tokens made so far for a subject, of one role or of any; until when (Unix seconds).

        Raises:
            UserError: there is no such role.
        """
        if role is not None and role not in ROLES:
            raise UserError(f"{role!r}: there is no such role; there are {', '.join(ROLES)}")
        until_s = self._clock()
        with self._changing() as ended:
            for one in ROLES if role is None else (role,):
                ended.subjects[f"{one} {subject}"] = until_s
        return until_s

    @contextlib.contextmanager
    def _changing(self) -> Iterator[Ended]:
        lock = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            ended = self.read()
            yield ended
            kept_s = self._clock() - FORGOTTEN_AFTER_S
            ended.tokens = {jti: exp_s for jti, exp_s in ended.tokens.items() if exp_s > kept_s}
            write_private(self.path, msgspec.json.encode(ended))
        finally:
            os.close(lock)
