"""Which bearer tokens count no longer: revoked ones, those of revoked devices, and those made before a revocation."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

import structlog

from deploy.auth import Claims
from deploy.devices import Registry
from deploy.ended_tokens import Ended, EndedTokens
from deploy.errors import UserError

LOOK_EVERY_S = 1.0
T = TypeVar("T")

log = structlog.get_logger("devices")


@dataclass(frozen=True)
class Standing:
    """The devices that have credentials, and when (Unix seconds) those of others or older ones of theirs ended."""

    known: frozenset[str] = frozenset()
    revoked_s: Mapping[str, float] = field(default_factory=dict)

    def why_refused(self, claims: Claims) -> str | None:
        """Why a validator's token counts no longer; None where it does, or is no device's.

        A token without <operator>:<id> as its subject, or of a device that was never registered, is as good as its
        signature: a gate of a vendor may speak HTTP alone.
        """
        operator, colon, device = claims.sub.rpartition(":")
        if claims.role != "validator" or not colon:
            return None
        name = f"validator.{operator}.{device}"
        ended_s = self.revoked_s.get(name)
        if ended_s is None:
            return None
        if name not in self.known:
            return f"the device {name} was revoked; add it again and make a new token"
        if claims.iat <= ended_s:
            return f"it was made before the credentials of {name} were revoked; make a new one"
        return None


class _Followed(Generic[T]):
    """A file of the data folder that others change: read again when it is another one, as it was where it cannot be."""

    def __init__(self, path: Path, read: Callable[[], T], value: T) -> None:
        self.value = value
        self._path = path
        self._read = read
        self._seen: tuple[int, int] | None = None

    def look(self) -> None:
        """Take up what has changed."""
        try:
            status = self._path.stat()
            # It is replaced as a whole, so a changed one is another file; what cannot be read changes nothing.
            seen = (status.st_ino, status.st_mtime_ns)
            if seen != self._seen:
                self._seen = seen
                self.value = self._read()
        except FileNotFoundError:
            return
        except (OSError, UserError) as error:
            log.warning("register_unreadable", error=str(error))


class Revocations:
    """The registers as they stand, read again when they have changed; looked at no more than once a second."""

    def __init__(self, registry: Registry, ended: EndedTokens, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._looked_s = -LOOK_EVERY_S
        self._devices = _Followed(registry.path, lambda: Standing(*registry.standing()), Standing())
        self._ended = _Followed(ended.path, ended.read, Ended())

    def why_refused(self, claims: Claims) -> str | None:
        """Why a token counts no longer; None where it does."""
        now_s = self._clock()
        if now_s - self._looked_s >= LOOK_EVERY_S:
            self._looked_s = now_s
            self._devices.look()
            self._ended.look()
        return self._ended.value.why_refused(claims) or self._devices.value.why_refused(claims)
