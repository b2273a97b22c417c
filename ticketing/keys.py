"""Key files: issuer keys as PEM files in a folder, card keys as one JSON file, all readable by their owner alone."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ticketing.card import VERSIONS_MAX, CardKeys
from ticketing.errors import KeyFileError
from ticketing.keyset import IssuerKey, KeySet, kid_of
from ticketing.private_files import read_private, write_private
from ticketing.rotation import State, fingerprint, list_keys, read_key
from ticketing.signing import Signer


@dataclass(frozen=True, slots=True)
class FileSigner:
    """A private key that was read from a file."""

    kid: bytes
    _private: Ed25519PrivateKey

    def sign(self, message: bytes) -> bytes:
        """The Ed25519 signature."""
        return self._private.sign(message)


@dataclass(slots=True)
class IssuerKeys:
    """The key that signs today, and all the public keys whose tickets are still good; refreshed in place."""

    signer: Signer
    key_set: KeySet
    read: Callable[[], tuple[Signer, KeySet] | None] | None = None
    """What is there now, None where nothing has changed; KeyFileError where it cannot be read."""

    def refresh(self) -> bool:
        """Take up keys that were published, used or retired; whether there was anything new."""
        found = self.read() if self.read is not None else None
        if found is None:
            return False
        self.signer, self.key_set = found
        return True


def load_issuer_keys(folder: Path, issuer: str) -> IssuerKeys:
    """The issuer's keys from the .pem files (PKCS 8, Ed25519) of a folder: all verify, and one of them signs.

    KeyFileError for a folder without keys, a file that others may read, or one that holds something else.
    """
    seen: list[object] = [None]

    def read() -> tuple[Signer, KeySet] | None:
        now = fingerprint(folder)
        if now == seen[0]:
            return None
        found = _read_issuer_keys(folder, issuer)
        seen[0] = now
        return found

    first = read()
    assert first is not None  # nothing has been seen before
    return IssuerKeys(*first, read)


def _read_issuer_keys(folder: Path, issuer: str) -> tuple[Signer, KeySet]:
    keys = []
    signer: Signer | None = None
    for info in list_keys(folder):
        private = read_key(folder / f"{info.name}.pem")
        public = private.public_key()
        kid = kid_of(public.public_bytes_raw())
        keys.append(IssuerKey(kid, issuer, public))
        if info.state is State.SIGNING:
            signer = FileSigner(kid, private)
    assert signer is not None  # list_keys sees to it
    return signer, KeySet(keys)


def load_card_keys(file: Path) -> tuple[CardKeys, ...]:
    """The card key versions of a file, newest first; KeyFileError when it is missing, open to others or broken."""
    try:
        versions = json.loads(read_private(file))["versions"]
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
    write_private(file, json.dumps({"versions": versions}, indent=2).encode("ascii"))
