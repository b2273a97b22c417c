"""Issuer keys come and go: the next is published, then used, and the old one retired when its last ticket has ended.

The state of a key lies in a file beside the keys; a folder without it has one signing key, the last by name.
    next      in the key sets, so that validators have it before the first ticket that it signs
    signing   signs everything that is issued
    old       its tickets are still good
A retired key leaves the key sets: nothing that it signed is accepted any more.
"""

from __future__ import annotations

import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from msgspec.structs import replace

from ticketing.errors import KeyFileError
from ticketing.keyset import KEYS_MAX, kid_of
from ticketing.private_files import alone_in, read_private, sync_folder, write_private

STATES_FILE = "states.json"
PUBLISHED_S_MIN = 86_400.0
"""A key is in the key sets for so long before it signs: time for every validator to fetch it, also one in a depot."""


class _States(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file: which key signs, and when each was published and replaced, by name in Unix seconds."""

    signing: str | None = None
    published: dict[str, float] = {}
    replaced: dict[str, float] = {}


class State(StrEnum):
    """What a key does."""

    NEXT = "next"
    SIGNING = "signing"
    OLD = "old"


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """One issuer key; times in Unix seconds, replaced_s None while it has not been replaced."""

    name: str
    kid: str
    state: State
    published_s: float
    replaced_s: float | None


def list_keys(folder: Path) -> list[KeyInfo]:
    """The keys of a folder in the order of their publication; KeyFileError where one cannot be read."""
    files = sorted(folder.glob("*.pem"))
    if not files:
        raise KeyFileError(
            f"{folder}: holds no issuer key (*.pem); restore it from a backup, or set the instance up anew"
        )
    states = _read_states(folder)
    signing = states.signing
    if signing is None:
        signing = files[-1].stem
    elif not (folder / f"{signing}.pem").exists():
        raise KeyFileError(
            f"{folder / STATES_FILE}: the signing key {signing}.pem is missing; restore it from a backup"
        )
    replaced, published = states.replaced, states.published
    keys = []
    for file in files:
        name = file.stem
        # Before there were states, the keys before the last had been replaced at an unknown time: by the last at most.
        at_s = published[name] if name in published else _modified_s(file)
        state = (
            State.SIGNING
            if name == signing
            else State.NEXT
            if name in published and name not in replaced
            else State.OLD
        )
        replaced_s = None
        if state is State.OLD:
            replaced_s = replaced[name] if name in replaced else _modified_s(folder / f"{signing}.pem")
        keys.append(
            KeyInfo(name, kid_of(read_key(file).public_key().public_bytes_raw()).hex(), state, at_s, replaced_s)
        )
    return sorted(keys, key=lambda key: (key.published_s, key.name))


def find_key(folder: Path, named: str) -> KeyInfo:
    """The key of a name or kid; KeyFileError lists those that there are."""
    keys = list_keys(folder)
    found = [key for key in keys if named in (key.name, key.kid)]
    if not found:
        known = ", ".join(f"{key.kid} ({key.state})" for key in keys)
        raise KeyFileError(f"{named!r}: there is no such issuer key; there are {known}")
    return found[0]


def publish_key(folder: Path, now_s: float) -> KeyInfo:
    """Make the next key and put it into the key sets; the one that signs goes on signing."""
    with alone_in(folder):
        keys = list_keys(folder)
        if len(keys) >= KEYS_MAX:
            raise KeyFileError(f"{folder}: holds {KEYS_MAX} keys, and a key set no more; retire one first")
        waiting = [key for key in keys if key.state is State.NEXT]
        if waiting:
            raise KeyFileError(
                f"key {waiting[0].kid} is published already and has not been used: takt key use {waiting[0].kid}"
            )
        private = Ed25519PrivateKey.generate()
        name = f"{time.strftime('%Y%m%d', time.gmtime(now_s))}-{secrets.token_hex(4)}"
        signing = next(key for key in keys if key.state is State.SIGNING)
        # The states first: without them the new file, being the last by name, would sign at once.
        states = _read_states(folder)
        published = {**states.published, name: now_s}
        _write_states(folder, replace(states, signing=signing.name, published=published))
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        write_private(folder / f"{name}.pem", pem)
        return find_key(folder, name)


def use_key(folder: Path, named: str, now_s: float, published_s_min: float = PUBLISHED_S_MIN) -> KeyInfo:
    """Sign with a published key from now on; KeyFileError where it has not been published for long enough."""
    with alone_in(folder):
        key = find_key(folder, named)
        if key.state is State.SIGNING:
            return key
        left_s = key.published_s + published_s_min - now_s
        if key.state is State.NEXT and left_s > 0 < published_s_min:
            raise KeyFileError(
                f"key {key.kid} was published {max(0.0, now_s - key.published_s) / 3600:.1f} h ago: validators that"
                f" have not fetched it would refuse new tickets; use it in {left_s / 3600:.1f} h, or now with --now"
            )
        states = _read_states(folder)
        before = next(key for key in list_keys(folder) if key.state is State.SIGNING)
        replaced = {name: at for name, at in states.replaced.items() if name != key.name}
        # It signed at least until this one was published, wherever a clock that was put back stands now.
        at_s = max(now_s, key.published_s, before.published_s)
        _write_states(folder, replace(states, signing=key.name, replaced={**replaced, before.name: at_s}))
        return find_key(folder, key.name)


def retire_key(folder: Path, named: str, now_s: float, needed_until_s: float | None) -> KeyInfo:
    """Take a key out of the key sets for good; KeyFileError for the signing key, or while its tickets are good.

    needed_until_s is when the last ticket that it may have signed ends, None where that does not matter.
    """
    with alone_in(folder):
        key = find_key(folder, named)
        if key.state is State.SIGNING:
            raise KeyFileError(f"key {key.kid} signs: publish another and use that before this one is retired")
        if needed_until_s is not None and needed_until_s > now_s:
            until = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(needed_until_s))
            raise KeyFileError(
                f"key {key.kid}: tickets that it signed are good until {until}; retire it then, or with --now if it is"
                " compromised: those tickets are refused from then on"
            )
        # Kept under another name: what it signed can still be told from a forgery, and nothing loads it.
        (folder / f"{key.name}.pem").rename(folder / f"{key.name}.retired")
        sync_folder(folder)
        return key


def read_key(file: Path) -> Ed25519PrivateKey:
    """The private key of a PEM file; KeyFileError where it is open to others or something else."""
    try:
        key = load_pem_private_key(read_private(file), password=None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(f"{file}: is no Ed25519 private key in PEM; restore it from a backup")
    return key


def fingerprint(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """What changes when the keys or their states do, without reading them."""
    files = [*folder.glob("*.pem"), *folder.glob(STATES_FILE)]
    found = []
    for file in sorted(files):
        with suppress(FileNotFoundError):  # retired between the look at the folder and the look at the file
            stat = file.stat()
            found.append((file.name, stat.st_mtime_ns, stat.st_size))
    return tuple(found)


def _modified_s(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except FileNotFoundError:
        raise KeyFileError(f"{file}: is gone; try again, or restore it from a backup") from None


def _read_states(folder: Path) -> _States:
    file = folder / STATES_FILE
    if not file.exists():
        return _States()
    try:
        return msgspec.json.decode(read_private(file), type=_States)
    except msgspec.DecodeError as error:
        raise KeyFileError(f"{file}: is no file of key states ({error}); restore it from a backup") from None


def _write_states(folder: Path, states: _States) -> None:
    write_private(folder / STATES_FILE, msgspec.json.format(msgspec.json.encode(states)))
