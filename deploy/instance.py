"""The data folder of one instance: who may use it, where things lie in it, and the secrets made at set-up.

Everything here is readable by its owner alone (folders 0700, files 0600) and every file is replaced as a whole: a kill
at any moment leaves the old text or the new one. `instance.json` is written last at set-up, so a folder without it was
never finished and is finished by the next start.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TypeVar

import msgspec

from deploy.errors import UserError

FORMAT = 1  # of the folder's layout; a folder with a higher number was made by a newer Takt
LOCK_WAIT_S_MAX = 3.0  # children of a killed instance may need a moment to notice
SECRET_BYTES = 24  # 192 bits, twice what anybody can try

T = TypeVar("T")


class Secrets(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Passwords made at set-up; they never leave the folder but in an encrypted backup.

    `mqtt_client_suffix` ends the client ids of our own MQTT sessions: a client id is the name of a session, and whoever
    knows it could take the session over.
    """

    postgres_admin_password: str
    postgres_password: str
    broker_password: str
    mqtt_client_suffix: str

    def __repr__(self) -> str:
        return "Secrets(...)"


class Runtime(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a running instance is reached; there is none while it is stopped.

    `database_url` and `nats_url` hold passwords, hence the file's rights. The certificates are those that the
    instance was started with, wherever it was told of them, as whole paths; None: no TLS there. `mqtt_host` is where
    this machine reaches the broker, `mqtt_listens` the address that it was told to listen on.
    """

    pid: int
    http_url: str
    mqtt_port: int
    database_url: str
    nats_url: str = ""
    mqtt_host: str = "127.0.0.1"
    http_certificate: str | None = None
    mqtt_certificate: str | None = None
    mqtt_listens: str | None = None


class _Identity(msgspec.Struct):
    id: str
    created: str
    takt_version: str
    format: int = FORMAT
    postgres_major: int | None = None  # unknown until the embedded PostgreSQL is first started


class Instance:
    """One opened data folder; `Instance.open` makes or checks it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock_path = folder / "lock"
        self.runtime_path = folder / "runtime.json"
        self.secrets_path = folder / "secrets.json"
        self.devices_path = folder / "devices.json"
        self.users_path = folder / "users.json"
        self.ended_tokens_path = folder / "ended-tokens.json"
        self.keys_dir = folder / "keys"
        self.issuer_keys_dir = folder / "keys" / "issuer"
        self.card_keys_path = folder / "keys" / "card-keys.json"
        self.token_key_path = folder / "keys" / "api-token.pem"
        self.postgres_dir = folder / "postgres"
        self.nats_dir = folder / "nats"
        self.network_dir = folder / "network"
        self.logs_dir = folder / "logs"
        self._identity_path = folder / "instance.json"

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
        identity = instance._identity
        identity.postgres_major = None
        identity.format = FORMAT
        instance._write_identity(identity)
        return instance

    def _prepare(self, create: bool) -> None:
        folder = self.folder
        if not folder.exists():
            if not create:
                raise UserError(_nothing_here(folder))
            folder.mkdir(mode=0o700, parents=True)
        if not folder.is_dir():
            raise UserError(f"{folder}: is a file, not a folder; choose another --data-dir")
        _refuse_strangers(folder)
        self._refuse_wrong_kinds()
        if self._identity_path.exists():
            self._check_format()
            self._make_folders()
            return
        if not create:
            raise UserError(_nothing_here(folder))
        known = {"lock", "keys", "logs", "network", "nats", "postgres", "secrets.json"}
        if strange := sorted(path.name for path in folder.iterdir() if path.name not in known):
            raise UserError(
                f"{folder}: holds other things ({strange[0]}) and no instance; name an empty folder with --data-dir"
            )
        folder.chmod(0o700)
        with self.locked():
            self._set_up()

    def _set_up(self) -> None:
        if self._identity_path.exists():  # another process was quicker
            return
        self._complete()
        identity = _Identity(secrets.token_hex(8), datetime.now(UTC).isoformat(timespec="seconds"), takt_version())
        self._write_identity(identity)

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

    def _refuse_wrong_kinds(self) -> None:
        """A file where a folder should be or the other way round would end in a traceback much later."""
        folders = (
            self.keys_dir,
            self.issuer_keys_dir,
            self.postgres_dir,
            self.nats_dir,
            self.network_dir,
            self.logs_dir,
        )
        files = (
            self._identity_path,
            self.lock_path,
            self.runtime_path,
            self.secrets_path,
            self.devices_path,
            self.users_path,
            self.ended_tokens_path,
            self.card_keys_path,
            self.token_key_path,
        )
        for wrong, what in (
            (next((path for path in folders if os.path.lexists(path) and not path.is_dir()), None), "folder"),
            (next((path for path in files if path.is_dir()), None), "file"),
        ):
            if wrong is not None:
                raise UserError(f"{wrong}: is no {what}; move it away, or restore the instance with: takt restore")

    def _check_format(self) -> None:
        if self._identity.format > FORMAT:
            raise UserError(
                f"{self.folder}: was made by Takt {self._identity.takt_version}, which is newer than this one "
                f"({takt_version()}); update Takt or restore a backup into another folder"
            )

    @property
    def _identity(self) -> _Identity:
        return read_json(self._identity_path, _Identity)

    def _write_identity(self, identity: _Identity) -> None:
        write_private(self._identity_path, msgspec.json.format(msgspec.json.encode(identity)))

    @property
    def id(self) -> str:
        """A name that stays with the folder: 16 hex digits."""
        return self._identity.id

    @property
    def postgres_major(self) -> int | None:
        """The PostgreSQL version that wrote the database here; None before its first start."""
        return self._identity.postgres_major

    def note_postgres_major(self, major: int) -> None:
        """Write down which PostgreSQL the database belongs to, or refuse one that it does not belong to.

        Raises:
            UserError: the database was made by another major version.
        """
        identity = self._identity
        if identity.postgres_major is None:
            identity.postgres_major = major
            self._write_identity(identity)
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
        with self._held(self.lock_path, "another instance is running here (process {})"):
            yield

    @contextlib.contextmanager
    def gateway_locked(self) -> Iterator[None]:
        """Hold the gateway's name at the broker, which is the instance's: two of one name put each other out.

        Raises:
            UserError: another process holds it; says which.
        """
        with self._held(self.folder / "gateway.lock", "another gateway runs from here (process {})"):
            yield

    @contextlib.contextmanager
    def _held(self, path: Path, sentence: str) -> Iterator[None]:
        with os.fdopen(_open_private(path, os.O_RDWR | os.O_CREAT), "r+") as file:
            deadline = time.monotonic() + LOCK_WAIT_S_MAX
            while not _try_lock(file.fileno(), fcntl.LOCK_EX):
                if time.monotonic() > deadline:
                    file.seek(0)
                    holder = sentence.format(file.read().strip() or "unknown")
                    raise UserError(f"{self.folder}: {holder}; stop it or choose another --data-dir")
                time.sleep(0.05)
            file.seek(0)
            file.truncate()
            file.write(f"{os.getpid()}\n")
            file.flush()
            yield

    def is_set_up(self) -> bool:
        """Whether the folder holds an instance."""
        return self._identity_path.exists()

    def is_running(self) -> bool:
        """Whether a process holds the instance now."""
        try:
            with self.lock_path.open() as file:
                return not _try_lock(file.fileno(), fcntl.LOCK_SH)
        except FileNotFoundError:
            return False

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


def new_secrets() -> Secrets:
    """Fresh passwords; also for a restored instance, whose old ones may be known to others."""
    return Secrets(*(secrets.token_urlsafe(SECRET_BYTES) for _ in Secrets.__struct_fields__))


def new_key_pem() -> bytes:
    """A fresh Ed25519 private key as PKCS 8 PEM."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def takt_version() -> str:
    """The version of this installation; "0" where it runs without one."""
    try:
        return version("takt")
    except PackageNotFoundError:
        return "0"


def write_private(path: Path, data: bytes) -> None:
    """Replace a file as a whole, readable by its owner alone, and on the disk when this returns."""
    new = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(_open_private(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read_json(path: Path, kind: type[T]) -> T:
    """A JSON file of the data folder as a value of its type.

    Raises:
        UserError: it is missing, unreadable or not what it should be; names the file.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        raise UserError(f"{path}: is missing; restore the instance from a backup with: takt restore") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: is damaged ({error}); restore the instance with: takt restore") from None


def _nothing_here(folder: Path) -> str:
    demo = folder.with_name("takt-demo")
    if demo != folder and (demo / "instance.json").exists():
        return f"{folder}: there is no instance here, but a demo's beside it: add --data-dir {demo}"
    if holds_other_things(folder):
        return f"{folder}: holds other things and no instance; name an instance's data folder with --data-dir"
    return f"{folder}: there is no instance here; make one with: takt run --data-dir {folder}"


def holds_other_things(folder: Path) -> bool:
    """Whether a folder is somebody else's: there is something in it, and no instance."""
    try:
        return folder.is_dir() and not (folder / "instance.json").exists() and any(folder.iterdir())
    except OSError:
        return True


def _open_private(path: Path, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _refuse_strangers(folder: Path) -> None:
    status = folder.stat()
    if status.st_uid != os.geteuid():
        raise UserError(
            f"{folder}: belongs to user {status.st_uid}, not to you ({os.geteuid()}); "
            "run takt as its owner or choose another --data-dir"
        )
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise UserError(f"{folder}: cannot be written; give yourself the right or choose another --data-dir")
