"""Who may connect to the broker, and what each may say and hear there: the register of devices, the broker's users.

`devices.json` is the source; the broker's users file is written from it. A device's password is a random key of 192
bits that is shown once and kept only as hashes: bcrypt at its lowest cost, since nobody can try 2^192 keys however fast
each try is, and 1,500 devices that come back at once must not wait for slow hashes. The second hash (PBKDF2) is for
Mosquitto.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, get_args

import bcrypt
import msgspec

from deploy.embedded_reload import reload_broker
from deploy.errors import UserError
from deploy.instance import Instance
from deploy.private_files import read_json, write_private
from gateway import topics

Kind = Literal["vehicle", "validator"]
KINDS: tuple[Kind, ...] = get_args(Kind)

BCRYPT_COST = 4  # the lowest there is
MOSQUITTO_ROUNDS = 101  # Mosquitto's own default
PASSWORD_BYTES = 24
INTERNAL_USER = "takt"

_PUBLISHES = {
    "vehicle": (topics.position, topics.vehicle_event, topics.vehicle_status),
    "validator": (topics.tap, topics.validator_event, topics.validator_status),
}
_SUBSCRIBES = {"vehicle": (topics.instruction,), "validator": (topics.verdict, topics.receipt)}


@dataclass(frozen=True)
class DeviceId:
    """One vehicle or validator; `operator` and `id` as they stand in its topics.

    Raises:
        UserError: a part that no topic may hold.
    """

    kind: Kind
    operator: str
    id: str

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UserError(f"{self.kind!r}: a device is a vehicle or a validator")
        for what, text in (("an operator", self.operator), (f"a {self.kind}", self.id)):
            if not topics.is_id(text):
                raise UserError(f"{text!r}: the id of {what} is 1 to 64 letters, digits, '_' or '-'")
        if self.kind == "validator" and self.id == "all":
            raise UserError("'all': names the topic for all validators of an operator; choose another id")

    @property
    def username(self) -> str:
        """Its name at the broker. Dots, since no id holds one and a Mosquitto password file takes no colon."""
        return f"{self.kind}.{self.operator}.{self.id}"

    @property
    def publishes(self) -> tuple[str, ...]:
        """The topics it may publish on."""
        return tuple(topic(self.operator, self.id) for topic in _PUBLISHES[self.kind])

    @property
    def subscribes(self) -> tuple[str, ...]:
        """The topics it may subscribe to."""
        own = tuple(topic(self.operator, self.id) for topic in _SUBSCRIBES[self.kind])
        return own if self.kind == "vehicle" else (*own, topics.lists(self.operator))


@dataclass(frozen=True)
class Credential:
    """What a device needs to connect; the password exists nowhere else."""

    device: DeviceId
    username: str
    password: str

    def __repr__(self) -> str:
        return f"Credential({self.username})"


class Device(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of the register."""

    kind: Kind
    operator: str
    id: str
    created: str
    bcrypt: str
    mosquitto: str

    @property
    def device(self) -> DeviceId:
        """Its name."""
        return DeviceId(self.kind, self.operator, self.id)


class _File(msgspec.Struct, forbid_unknown_fields=True):
    devices: list[Device] = []
    revoked: dict[str, float] = {}  # user name -> when its last credentials ended, Unix seconds


class Registry:
    """The devices of an instance; every change reaches the broker before the call returns, if one is running."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self.path = instance.devices_path
        self.broker_users_path = instance.nats_dir / "users.conf"

    def add(self, kind: Kind, operator: str, id: str, *, replace: bool = False) -> Credential:
        """Make credentials for one device.

        Raises:
            UserError: a bad id, or it has credentials and `replace` is false.
        """
        return self.add_many([DeviceId(kind, operator, id)], replace=replace)[0]

    def add_many(
        self,
        devices: Iterable[DeviceId],
        *,
        replace: bool = False,
        progress: Callable[[int], None] | None = None,
    ) -> list[Credential]:
        """Make credentials for many devices, all or none, in their order.

        `replace` gives those that have credentials new ones; the old ones end at once.

        Raises:
            UserError: a device is named twice, or has credentials and `replace` is false.
        """
        wanted = list(devices)
        with self._changing() as (known, revoked):
            seen: set[str] = set()
            for device in wanted:
                if device.username in seen:
                    raise UserError(f"{device.username}: is named twice")
                if device.username in known and not replace:
                    raise UserError(f"{device.username}: has credentials already; revoke them first, or use --replace")
                seen.add(device.username)
            given = []
            for number, device in enumerate(wanted, 1):
                credential, line = _credential(device)
                if device.username in known:
                    revoked[device.username] = time.time()
                known[device.username] = line
                given.append(credential)
                if progress is not None:
                    progress(number)
        return given

    def revoke(self, kind: Kind, operator: str, id: str) -> None:
        """End a device's credentials; a running broker ends its connection too, and HTTP refuses its tokens.

        Raises:
            UserError: it has none.
        """
        device = DeviceId(kind, operator, id)
        with self._changing() as (known, revoked):
            if known.pop(device.username, None) is None:
                # It may be that who revoked it was killed before the broker was told.
                self._write_users(known)
                reload_broker(self._instance)
                raise UserError(f"{device.username}: has no credentials; see them with: takt device list")
            revoked[device.username] = time.time()

    def list(self) -> list[Device]:
        """All devices, by name."""
        return [known for _, known in sorted(self._read()[0].items())]

    def standing(self) -> tuple[frozenset[str], dict[str, float]]:
        """The user names that have credentials, and when (Unix seconds) revoked ones ended.

        Raises:
            UserError: the register cannot be read.
        """
        known, revoked = self._read()
        return frozenset(known), revoked

    def write_broker_users(self) -> None:
        """Write the broker's users from the register, for a broker about to start."""
        with self._locked():
            self._write_users(self._read()[0])

    def _read(self) -> tuple[dict[str, Device], dict[str, float]]:
        if not self.path.exists():
            return {}, {}
        file = read_json(self.path, _File)
        return {device.device.username: device for device in file.devices}, file.revoked

    @contextlib.contextmanager
    def _changing(self) -> Iterator[tuple[dict[str, Device], dict[str, float]]]:
        """The register, to be changed by one process at a time; written only if the block ends well."""
        with self._locked():
            known, revoked = self._read()
            yield known, revoked
            file = _File([device for _, device in sorted(known.items())], dict(sorted(revoked.items())))
            write_private(self.path, msgspec.json.encode(file))
            self._write_users(known)
            reload_broker(self._instance)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        path = self.path.with_suffix(".lock")
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _write_users(self, known: dict[str, Device]) -> None:
        text = broker_users(self._instance.secrets.broker_password, known.values())
        write_private(self.broker_users_path, text.encode())


def broker_users(internal_password: str, devices: Iterable[Device]) -> str:
    """The broker's users and their rights, in NATS's configuration language.

    A device is held to the MQTT door: over NATS's own protocol the same rights would mean other things (an MQTT
    session's inner subjects, for one). What it may not publish is dropped and logged by the broker, a QoS 1 message is
    acknowledged all the same; what it may not hear is refused with 0x80 in the SUBACK.
    """
    hashed = bcrypt.hashpw(internal_password.encode(), bcrypt.gensalt(BCRYPT_COST)).decode()
    lines = ["# Written from devices.json; changes here are lost.", "authorization {"]
    # Seconds until a login must be complete: on a busy machine the last of a fleet that comes back at once is slow.
    lines += ["  timeout: 20", "  users = ["]
    lines.append(f'    {{user: "{INTERNAL_USER}", password: "{hashed}"}}')
    for device in devices:
        name = device.device
        publish, subscribe = (json.dumps([_subject(t) for t in ts]) for ts in (name.publishes, name.subscribes))
        lines.append(
            f'    {{user: "{name.username}", password: "{device.bcrypt}", allowed_connection_types: ["MQTT"], '
            f"permissions: {{publish: {publish}, subscribe: {subscribe}}}}}"
        )
    return "\n".join([*lines, "  ]", "}", ""])


def mosquitto_passwords(devices: Iterable[Device]) -> str:
    """The password file of a Mosquitto broker (2.0 or later)."""
    return "".join(f"{device.device.username}:{device.mosquitto}\n" for device in devices)


def mosquitto_rights(devices: Iterable[Device]) -> str:
    """The ACL file of a Mosquitto broker; the user `takt`, for our own services, is for its keeper to add."""
    blocks = [f"# Takt's own services.\nuser {INTERNAL_USER}\ntopic readwrite #\n"]
    for device in devices:
        name = device.device
        rights = [f"topic write {topic}\n" for topic in name.publishes]
        rights += [f"topic read {topic}\n" for topic in name.subscribes]
        blocks.append(f"user {name.username}\n{''.join(rights)}")
    return "\n".join(blocks)


def _subject(topic: str) -> str:
    """MQTT's topic as NATS's subject; ids hold neither dots nor wildcards, so nothing needs escaping."""
    return topic.replace("/", ".")


def _credential(device: DeviceId) -> tuple[Credential, Device]:
    password = secrets.token_hex(PASSWORD_BYTES)  # no sign that a shell or a form would trip over
    line = Device(
        kind=device.kind,
        operator=device.operator,
        id=device.id,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        bcrypt=bcrypt.hashpw(password.encode(), bcrypt.gensalt(BCRYPT_COST)).decode(),
        mosquitto=_mosquitto_hash(password),
    )
    return Credential(device, device.username, password), line


def _mosquitto_hash(password: str) -> str:
    """`$7$rounds$salt$hash`, PBKDF2 with SHA-512, as mosquitto_passwd writes it."""
    salt = secrets.token_bytes(12)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, MOSQUITTO_ROUNDS)
    return f"$7${MOSQUITTO_ROUNDS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"
