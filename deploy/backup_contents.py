"""What is in a backup, and under which names.

Inside the encryption (backup_file.py) is a tar stream: `backup.json` first, then the files of the data folder under
`files/`, then the database as pg_dump's custom format in parts, `database/00000001` and so on, and `end` last. Left out
on purpose: the passwords of database and broker, which a restored instance makes anew, the broker's sessions, which
devices make anew, where vehicles were a moment ago, and caches. Nothing unencrypted is written outside the data folder.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

PART_BYTES = 4 << 20
FILE_BYTES_MAX = 1 << 30  # a country's network
MEMBERS_MAX = 1_000_000  # four terabytes of database
FILES = (  # of the data folder
    "instance.json",
    "devices.json",
    "users.json",
    "ended-tokens.json",
    "control.json",
    "orders.json",
    "running-times.bin",
    "feed.json",
    "network/in-use.network",
    "keys/**/*",
)
SETTINGS = ("takt.toml", "tariff.toml")
FILE_NAME = re.compile(
    r"files/(?:settings/(?:takt|tariff)\.toml|(?:instance|devices|users|ended-tokens|control|orders|feed)\.json|"
    r"running-times\.bin|network/in-use\.network|keys(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*){1,3})"
)
PART_NAME = re.compile(r"database/\d{8}")

Progress = Callable[[int], None]
"""Gets the bytes written or read so far."""


class Manifest(msgspec.Struct, frozen=True):
    """What a backup says of itself."""

    format: int
    takt_version: str
    instance_id: str
    created: str


@dataclass(frozen=True)
class Result:
    """What was written or restored."""

    manifest: Manifest
    files: int
