"""The data folder of an instance: where things lie in it, and whether a folder may be used as one."""

from __future__ import annotations

import os
import re
from pathlib import Path

from deploy.errors import UserError

IDENTITY = "instance.json"
"""Written last at set-up: a folder without it was never finished."""
UNFINISHED = {"lock", "keys", "logs", "network", "nats", "postgres", "secrets.json"}
"""What a set-up that was cut short may have left."""
_HALF_WRITTEN = re.compile(r"\.(?:secrets|instance)\.json\.\d+\.[0-9a-f]{8}")
"""So may it these, which were never put in place (deploy.private_files)."""


class DataFolder:
    """Where things lie."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.identity_path = folder / IDENTITY
        self.lock_path = folder / "lock"
        self.gateway_lock_path = folder / "gateway.lock"
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


def check_usable(folder: Path) -> None:
    """Raises UserError where a folder is no folder, somebody else's, or one that we may not write to."""
    if not folder.is_dir():
        raise UserError(f"{folder}: is a file, not a folder; choose another --data-dir")
    status = folder.stat()
    if status.st_uid != os.geteuid():
        raise UserError(
            f"{folder}: belongs to user {status.st_uid}, not to you ({os.geteuid()}); "
            "run takt as its owner or choose another --data-dir"
        )
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise UserError(f"{folder}: cannot be written; give yourself the right or choose another --data-dir")


def check_kinds(place: DataFolder) -> None:
    """Raises UserError for a file where a folder should be or the other way round, which would show much later."""
    folders = (
        place.keys_dir,
        place.issuer_keys_dir,
        place.postgres_dir,
        place.nats_dir,
        place.network_dir,
        place.logs_dir,
    )
    files = (
        place.identity_path,
        place.lock_path,
        place.runtime_path,
        place.secrets_path,
        place.devices_path,
        place.users_path,
        place.ended_tokens_path,
        place.card_keys_path,
        place.token_key_path,
    )
    for wrong, what in (
        (next((path for path in folders if os.path.lexists(path) and not path.is_dir()), None), "folder"),
        (next((path for path in files if path.is_dir()), None), "file"),
    ):
        if wrong is not None:
            raise UserError(f"{wrong}: is no {what}; move it away, or restore the instance with: takt restore")


def check_empty(folder: Path) -> None:
    """Raises UserError where a folder without an instance holds anything but what a set-up has left."""
    names = sorted(path.name for path in folder.iterdir())
    if strange := [name for name in names if name not in UNFINISHED and not _HALF_WRITTEN.fullmatch(name)]:
        raise UserError(
            f"{folder}: holds other things ({strange[0]}) and no instance; name an empty folder with --data-dir"
        )


def holds_other_things(folder: Path) -> bool:
    """Whether a folder is somebody else's: there is something in it, and no instance."""
    try:
        return folder.is_dir() and not (folder / IDENTITY).exists() and any(folder.iterdir())
    except OSError:
        return True


def nothing_here(folder: Path) -> str:
    """The sentence for a folder in which there is no instance, with what to do about it."""
    demo = folder.with_name("takt-demo")
    if demo != folder and (demo / IDENTITY).exists():
        return f"{folder}: there is no instance here, but a demo's beside it: add --data-dir {demo}"
    if holds_other_things(folder):
        return f"{folder}: holds other things and no instance; name an instance's data folder with --data-dir"
    return f"{folder}: there is no instance here; make one with: takt run --data-dir {folder}"
