"""Console logins in users.json: names, roles and argon2 hashes, readable by the owner alone."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from pathlib import Path

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from deploy.auth import ROLES
from deploy.errors import UserError

NAME = re.compile(r"[A-Za-z0-9@._+-]{1,64}")
PASSWORD_CHARS_MIN = 10
PASSWORD_CHARS_MAX = 256

# The memory-bound choice of the OWASP password storage sheet: 19 MiB, two passes, one lane.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)


class User(msgspec.Struct, frozen=True):
    """One login."""

    name: str
    role: str
    password_hash: str

    @property
    def version(self) -> str:
        """Changes with the password: a session made with the old one ends."""
        return hashlib.sha256(self.password_hash.encode()).hexdigest()[:16]


class _File(msgspec.Struct):
    users: list[User] = []


class Users:
    """The file of logins; what another process changes in it is seen at the next look."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._by_name: dict[str, User] = {}
        # Checked for names that do not exist, so that an answer's time does not say which do.
        self._decoy = _HASHER.hash(secrets.token_hex(16))

    def list(self) -> list[User]:
        """All logins by name."""
        self._refresh()
        return sorted(self._by_name.values(), key=lambda user: user.name)

    def find(self, name: str) -> User | None:
        """A login, or None."""
        self._refresh()
        return self._by_name.get(name)

    def add(self, name: str, role: str, password: str) -> User:
        """Write a new login.

        Raises:
            UserError: the name is taken or impossible, there is no such role, or the password is too short or long.
        """
        if not NAME.fullmatch(name):
            raise UserError(f"{name!r}: a name is 1 to 64 letters, digits and @ . _ + -")
        if role not in ROLES:
            raise UserError(f"--role {role}: there is no such role; there are {', '.join(ROLES)}")
        if not PASSWORD_CHARS_MIN <= len(password) <= PASSWORD_CHARS_MAX:
            raise UserError(f"a password has {PASSWORD_CHARS_MIN} to {PASSWORD_CHARS_MAX} characters")
        if self.find(name) is not None:
            raise UserError(f"{name}: there is such a user already; remove it first: takt user remove {name}")
        user = User(name, role, _HASHER.hash(password))
        self._write({**self._by_name, name: user})
        return user

    def remove(self, name: str) -> None:
        """Take a login away; its sessions end with it.

        Raises:
            UserError: there is no such user.
        """
        if self.find(name) is None:
            raise UserError(f"{name}: there is no such user; takt user list shows those there are")
        self._write({key: user for key, user in self._by_name.items() if key != name})

    def verify(self, name: str, password: str) -> User | None:
        """The user whose password this is, or None; takes tens of milliseconds, so call it in a thread."""
        user = self.find(name)
        try:
            _HASHER.verify(user.password_hash if user else self._decoy, password)
        except (VerificationError, InvalidHashError):
            return None
        return user

    def _refresh(self) -> None:
        try:
            info = self._path.stat()
        except FileNotFoundError:
            self._stamp, self._by_name = None, {}
            return
        stamp = (info.st_mtime_ns, info.st_ino)
        if stamp == self._stamp:
            return
        try:
            content = msgspec.json.decode(self._path.read_bytes(), type=_File)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UserError(f"{self._path}: not a file of users ({error}); restore it or remove it") from None
        self._by_name = {user.name: user for user in content.users}
        self._stamp = stamp

    def _write(self, users: dict[str, User]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        content = msgspec.json.format(msgspec.json.encode(_File(list(users.values()))))
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)
        self._stamp = None
        self._refresh()
