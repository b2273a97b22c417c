"""What a data folder says of itself: its name, who made it, and which PostgreSQL wrote its database."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from deploy.errors import UserError
from deploy.private_files import read_json, write_private
from deploy.version import takt_version

FORMAT = 1  # of the folder's layout; a folder with a higher number was made by a newer Takt


class Identity(msgspec.Struct):
    """instance.json; `id` is 16 hex digits, `created` an ISO 8601 time."""

    id: str
    created: str
    takt_version: str
    format: int = FORMAT
    postgres_major: int | None = None  # unknown until the embedded PostgreSQL is first started


def new_identity() -> Identity:
    """That of a folder which is set up now."""
    return Identity(secrets.token_hex(8), datetime.now(UTC).isoformat(timespec="seconds"), takt_version())


def read_identity(path: Path) -> Identity:
    """What the folder of this file says.

    Raises:
        UserError: the file is missing or damaged, or a newer Takt made the folder.
    """
    identity = read_json(path, Identity)
    if identity.format > FORMAT:
        raise UserError(
            f"{path.parent}: was made by Takt {identity.takt_version}, which is newer than this one "
            f"({takt_version()}); update Takt or restore a backup into another folder"
        )
    return identity


def write_identity(path: Path, identity: Identity) -> None:
    """Write it down as a whole."""
    write_private(path, msgspec.json.format(msgspec.json.encode(identity)))
