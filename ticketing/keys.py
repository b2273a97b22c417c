"""Key files: issuer keys as PEM files in a folder, card keys as one JSON file, all readable by their owner alone."""

from __future__ import annotations

import json
import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from ticketing.card import VERSIONS_MAX, CardKeys
from ticketing.errors import KeyFileError
from ticketing.keyset import IssuerKey, KeySet, Signer, kid_of


@dataclass(frozen=True, slots=True)
class FileSigner:
    """A private key that was read from a file."""

    kid: bytes
    _private: Ed25519PrivateKey

    def sign(self, message: bytes) -> bytes:
        """The Ed25519 signature."""
        return self._private.sign(message)


@dataclass(frozen=True, slots=True)
class IssuerKeys:
    """The key that signs today, and all the public keys whose tickets are still good."""

    signer: Signer
    key_set: KeySet


def load_issuer_keys(folder: Path, issuer: str) -> IssuerKeys:
    """The issuer's keys from the .pem files (PKCS 8, Ed25519) of a folder; the last by name signs, all verify.

    KeyFileError for a folder without keys, a file that others may read, or one that holds something else.
    """
    files = sorted(folder.glob("*.pem"))
    if not files:
        raise KeyFileError(
            f"{folder}: holds no issuer key (*.pem); restore it from a backup, or set the instance up anew"
        )
    privates = []
    for file in files:
        try:
            key = load_pem_private_key(_read_private(file), password=None)
        except (ValueError, TypeError):
            key = None
        if not isinstance(key, Ed25519PrivateKey):
            raise KeyFileError(f"{file}: is no Ed25519 private key in PEM; restore it from a backup")
        privates.append(key)
    publics = [key.public_key() for key in privates]
    key_set = KeySet(IssuerKey(kid_of(public.public_bytes_raw()), issuer, public) for public in publics)
    return IssuerKeys(FileSigner(kid_of(publics[-1].public_bytes_raw()), privates[-1]), key_set)


def load_card_keys(file: Path) -> tuple[CardKeys, ...]:
    """The card key versions of a file, newest first; KeyFileError when it is missing, open to others or broken."""
    try:
        versions = json.loads(_read_private(file))["versions"]
        keys = [
            CardKeys(
                int(version),
                bytes.fromhex(fields["meta_read_key"]),
                bytes.fromhex(fields["file_read_key"]),
                fields["diversified"],
            )
            for version, fields in versions.items()
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise KeyFileError(f"{file}: is no file of card keys ({error}); restore it from a backup") from None
    if len(keys) > VERSIONS_MAX:
        raise KeyFileError(
            f"{file}: holds {len(keys)} versions; every one costs time at each tap, so at most {VERSIONS_MAX}"
        )
    return tuple(sorted(keys, key=lambda key: -key.version))


def ensure_card_keys(file: Path) -> tuple[CardKeys, ...]:
    """The card keys of a file, which gets a first random version when there is none yet."""
    if not file.exists():
        first = CardKeys(1, secrets.token_bytes(16), secrets.token_bytes(16))
        _write_card_keys(file, (first,))
    return load_card_keys(file)


def import_card_keys(file: Path, keys: CardKeys) -> tuple[CardKeys, ...]:
    """Add a version of card keys to the file; KeyFileError when the version is there already with other keys."""
    present = ensure_card_keys(file)
    same = [old for old in present if old.version == keys.version]
    if same and same[0] != keys:
        raise KeyFileError(f"{file}: version {keys.version} is there with other keys; choose another --version")
    if not same:
        if len(present) >= VERSIONS_MAX:
            raise KeyFileError(f"{file}: holds {VERSIONS_MAX} versions already, and every one costs time at each tap")
        _write_card_keys(file, (*present, keys))
    return load_card_keys(file)


def _write_card_keys(file: Path, keys: tuple[CardKeys, ...]) -> None:
    versions = {
        str(key.version): {
            "meta_read_key": key.meta_read.hex(),
            "file_read_key": key.file_read.hex(),
            "diversified": key.diversified,
        }
        for key in sorted(keys, key=lambda key: key.version)
    }
    new = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as handle:
        json.dump({"versions": versions}, handle, indent=2)
        handle.flush()
        os.fsync(handle.fileno())
    new.replace(file)


def _read_private(file: Path) -> bytes:
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
        data = file.read_bytes()
    except OSError as error:
        raise KeyFileError(f"{file}: cannot be read ({error.strerror}); restore it from a backup") from None
    if mode & 0o077:
        raise KeyFileError(f"{file}: others may read it (mode {mode:04o}); change that with: chmod 600 {file}")
    return data
