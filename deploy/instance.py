"""One instance: its data folder set up, opened and held, with its secrets and where it is reached while it runs.

Everything here is readable by its owner alone (folders 0700, files 0600) and every file is replaced as a whole: a kill
at any moment leaves the old text or the new one. `instance.json` is written last at set-up, so a folder without it was
never finished and is finished by the next start.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import msgspec

from deploy.data_folder import DataFolder, check_empty, check_kinds, check_usable, nothing_here
from deploy.errors import UserError
from deploy.identity import FORMAT, new_identity, read_identity, write_identity
from deploy.instance_secrets import Secrets, new_key_pem, new_secrets
from deploy.locks import held, is_held
from deploy.private_files import read_json, write_private
from deploy.runtime import Runtime


class Instance(DataFolder):
    """One opened data folder; `Instance.open` makes or checks it."""

    @classmethod
    def open(cls, data_dir: Path, create: bool = True) -> Instance:
        """The instance of a folder, set up first where there is none yet and `create` allows it.

        Raises:
            UserError: not a folder, no right to it, somebody else's, of another kind or of a newer version.
        """
        instance = cls(Path(os.path.abspath(data_dir)))  # noqa: PTH100  # a link in the path stays as the user wrote it
        try:
            instance._prepare(create)
        except PermissionError as error:
            raise UserError(f"{error.filename}: no right to use it; choose another --data-dir") from None
        except OSError as error:
            where = error.filename or instance.folder
            raise UserError(f"{where}: {error.strerror}; free space or choose another --data-dir") from None
        return instance

    @classmethod
    def adopt(cls, folder: Path) -> Instance:
        """The instance of a folder that a restore has filled, with passwords of its own and no database yet."""
        instance = cls(folder)
        instance._complete()
        identity = read_identity(instance.identity_path)
        identity.postgres_major = None
        identity.format = FORMAT
        write_identity(instance.identity_path, identity)
        return instance

    def _prepare(self, create: bool) -> None:
        folder = self.folder
        if not folder.exists():
            if not create:
                raise UserError(nothing_here(folder))
            folder.mkdir(mode=0o700, parents=True)
        check_usable(folder)
        check_kinds(self)
        if self.is_set_up():
            read_identity(self.identity_path)
            self._make_folders()
            return
        if not create:
            raise UserError(nothing_here(folder))
        check_empty(folder)
        folder.chmod(0o700)
        with self.locked():
            self._set_up()

    def _set_up(self) -> None:
        if self.is_set_up():  # another process was quicker
            return
        self._complete()
        write_identity(self.identity_path, new_identity())

    def _complete(self) -> None:
        for part in (self.keys_dir, self.issuer_keys_dir):
            part.mkdir(mode=0o700, exist_ok=True)
        self._make_folders()
        if not self.secrets_path.exists():
            write_private(self.secrets_path, msgspec.json.encode(new_secrets()))
        self.ensure_keys()

    def _make_folders(self) -> None:
        """Those whose content can be made anew; keys and database cannot, and are missed where they are needed."""
        for part in (self.nats_dir, self.network_dir, self.logs_dir):
            part.mkdir(mode=0o700, exist_ok=True)

    @property
    def id(self) -> str:
        """A name that stays with the folder: 16 hex digits."""
        return read_identity(self.identity_path).id

    @property
    def postgres_major(self) -> int | None:
        """The PostgreSQL version that wrote the database here; None before its first start."""
        return read_identity(self.identity_path).postgres_major

    def note_postgres_major(self, major: int) -> None:
        """Write down which PostgreSQL the database belongs to, or refuse one that it does not belong to.

        Raises:
            UserError: the database was made by another major version.
        """
        identity = read_identity(self.identity_path)
        if identity.postgres_major is None:
            identity.postgres_major = major
            write_identity(self.identity_path, identity)
        elif identity.postgres_major != major:
            raise UserError(
                f"{self.postgres_dir}: belongs to PostgreSQL {identity.postgres_major} and this Takt brings {major}; "
                "make a backup with the Takt that made it and restore that with this one"
            )

    @cached_property
    def secrets(self) -> Secrets:
        """The passwords of this instance.

        Raises:
            UserError: the file is missing or broken.
        """
        return read_json(self.secrets_path, Secrets)

    def ensure_keys(self) -> None:
        """Make the API's token key and a first issuer key where there is none: Ed25519, PKCS 8, PEM.

        The file's name without its ending is the issuer key's id.
        """
        self.issuer_keys_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self.token_key_path.exists():
            write_private(self.token_key_path, new_key_pem())
        if not any(self.issuer_keys_dir.glob("*.pem")):
            name = f"{datetime.now(UTC):%Y%m%d}-{secrets.token_hex(4)}"
            write_private(self.issuer_keys_dir / f"{name}.pem", new_key_pem())

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the instance: one process at a time runs it. The kernel lets go when the holder dies, however it dies.

        Raises:
            UserError: another process holds it; says which.
        """
        with held(self.lock_path, "another instance is running here (process {})"):
            yield

    @contextlib.contextmanager
    def gateway_locked(self) -> Iterator[None]:
        """Hold the gateway's name at the broker, which is the instance's: two of one name put each other out.

        Raises:
            UserError: another process holds it; says which.
        """
        with held(self.gateway_lock_path, "another gateway runs from here (process {})"):
            yield

    def is_set_up(self) -> bool:
        """Whether the folder holds an instance."""
        return self.identity_path.exists()

    def is_running(self) -> bool:
        """Whether a process holds the instance now."""
        return is_held(self.lock_path)

    def write_runtime(self, runtime: Runtime) -> None:
        """Tell other commands where this instance is reached."""
        write_private(self.runtime_path, msgspec.json.format(msgspec.json.encode(runtime)))

    def clear_runtime(self) -> None:
        """Forget it at the end of a run."""
        self.runtime_path.unlink(missing_ok=True)

    def read_runtime(self) -> Runtime | None:
        """Where the running instance is reached; None when none is running (a file left by a killed one is no sign)."""
        if not self.runtime_path.exists() or not self.is_running():
            return None
        return read_json(self.runtime_path, Runtime)
