"""Keys come and go while commands are killed, clocks are put back, two people do it at once, or a module signs."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from simulators.validator_library.lists import Lists
from ticketing import private_files
from ticketing.claims import Claims
from ticketing.credential import read_credential
from ticketing.errors import CredentialError, KeyFileError
from ticketing.keys import IssuerKeys, load_issuer_keys
from ticketing.keyset import IssuerKey, KeySet, kid_of
from ticketing.private_files import write_private
from ticketing.rotation import PUBLISHED_S_MIN, State, fingerprint, list_keys, publish_key, retire_key, use_key
from ticketing.signing import Signer
from ticketing.statuslist import INVALID, StatusList, issue_list_jwt, pack
from ticketing.ticket_cwt import issue_qr
from ticketing.ticket_jwt import issue_jwt

NOW_S = 1_771_257_482.0
URI = "https://example.org/status-lists"
FILE_EVENTS = ("open", "os.rename", "os.remove")
STEPS_MAX = 60

FORK = multiprocessing.get_context("fork")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "keys"
    made.mkdir(mode=0o700)
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_private(made / "20200101-first.pem", pem)
    os.utime(made / "20200101-first.pem", (NOW_S - 1e6, NOW_S - 1e6))
    return made


def ticket(signer: Signer) -> tuple[str, str]:
    claims = Claims("takt", UUID(int=7), "single", int(NOW_S), int(NOW_S) + 86400, ("*",), 1, 5)
    return issue_qr(claims, signer), issue_jwt(claims, signer, URI)


def states(folder: Path) -> list[State]:
    return [key.state for key in list_keys(folder)]


# --- killed at every step -------------------------------------------------------------------------------------------


def killed_at(step: int, act: Callable[[], object]) -> bool:
    """Do something in a process that dies by SIGKILL before its nth touch of a file; whether it came to that."""

    def work() -> None:
        left = step

        def count(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal left
            if event in FILE_EVENTS:
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sync = os.fsync

        def counted_sync(descriptor: int) -> None:
            count("open", ())
            sync(descriptor)

        os.fsync = counted_sync
        sys.addaudithook(count)
        act()
        os._exit(0)

    process = FORK.Process(target=work)
    process.start()
    process.join()
    return process.exitcode == -signal.SIGKILL


COMMANDS: dict[str, Callable[[Path], object]] = {
    "publish": lambda folder: publish_key(folder, NOW_S),
    "use": lambda folder: use_key(folder, list_keys(folder)[-1].kid, NOW_S + PUBLISHED_S_MIN),
    "retire": lambda folder: retire_key(folder, list_keys(folder)[0].kid, NOW_S + 1e7, NOW_S + 1e6),
}


@pytest.mark.parametrize("command", list(COMMANDS))
def test_a_command_killed_at_any_step_has_happened_or_not(folder, tmp_path, command):
    """Old tickets stay good, nothing unpublished signs, and the same command again does what was wanted."""
    for before in list(COMMANDS)[: list(COMMANDS).index(command)]:
        COMMANDS[before](folder)
    keys = load_issuer_keys(folder, "takt")
    sold, known = ticket(keys.signer), {key.kid for key in keys.key_set.keys}
    whole = states(folder)
    for step in range(1, STEPS_MAX):
        copy = tmp_path / f"step-{step}"
        shutil.copytree(folder, copy)
        done = not killed_at(step, lambda copy=copy: COMMANDS[command](copy))
        after = load_issuer_keys(copy, "takt")
        assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in copy.iterdir())
        for token in (*sold, *ticket(after.signer)):
            assert read_credential(token, after.key_set).claims.product == "single"
        assert after.signer.kid in known, "no key signs that nobody was told of"
        assert states(copy).count(State.SIGNING) == 1
        if states(copy) == whole:
            COMMANDS[command](copy)
        assert states(copy) != whole
        assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in copy.iterdir())
        if done:
            break
    assert done
    assert step > 5, "it was killed before, between and behind its writes"


def test_what_is_changed_is_on_disk_before_anyone_is_told(folder, monkeypatch):
    """A power cut brings no retired key back: the folder itself is synced, after the last change."""
    told: list[str] = []
    sync, rename = os.fsync, os.rename
    monkeypatch.setattr(
        private_files.os,
        "fsync",
        lambda descriptor: (
            (told.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")) or sync(descriptor)
        ),
    )
    monkeypatch.setattr(os, "replace", lambda *paths: told.append("renamed") or rename(*paths))
    monkeypatch.setattr(os, "rename", lambda *paths: told.append("renamed") or rename(*paths))
    publish_key(folder, NOW_S)
    assert told == ["file", "renamed", "folder"] * 2
    use_key(folder, list_keys(folder)[-1].kid, NOW_S + PUBLISHED_S_MIN)
    assert told[6:] == ["file", "renamed", "folder"]
    retire_key(folder, list_keys(folder)[0].kid, NOW_S, None)
    assert told[9:] == ["renamed", "folder"]


def test_a_disk_that_is_full_leaves_what_was_there(folder, monkeypatch):
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    before = load_issuer_keys(folder, "takt").signer.kid
    with monkeypatch.context() as patch:
        patch.setattr(private_files.os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            publish_key(folder, NOW_S)
    assert [file.name for file in folder.iterdir()] == ["20200101-first.pem"]
    assert load_issuer_keys(folder, "takt").signer.kid == before


# --- again and again, at once, and with a wrong clock ---------------------------------------------------------------


def test_keys_follow_one_another_for_years(folder):
    keys = load_issuer_keys(folder, "takt")
    tokens: list[tuple[str, str]] = [ticket(keys.signer)]
    now_s = NOW_S
    for _ in range(5):
        new = publish_key(folder, now_s)
        now_s += PUBLISHED_S_MIN
        use_key(folder, new.kid, now_s)
        assert keys.refresh()
        assert keys.signer.kid.hex() == new.kid
        tokens.append(ticket(keys.signer))
    assert states(folder) == [State.OLD] * 5 + [State.SIGNING]
    for pair in tokens:
        for token in pair:
            read_credential(token, keys.key_set)
    for number, old in enumerate(list_keys(folder)[:-1]):
        assert old.replaced_s == NOW_S + (number + 1) * PUBLISHED_S_MIN
        retire_key(folder, old.kid, now_s, old.replaced_s)
        assert keys.refresh()
        for token in tokens[number]:
            with pytest.raises(CredentialError, match="unknown_key"):
                read_credential(token, keys.key_set)
    assert states(folder) == [State.SIGNING]
    for token in tokens[-1]:
        read_credential(token, keys.key_set)


def test_back_to_the_key_before_and_forth_again(folder):
    first, second = list_keys(folder)[0].kid, publish_key(folder, NOW_S).kid
    for number, kid in enumerate((second, first, second, second)):
        assert use_key(folder, kid, NOW_S + PUBLISHED_S_MIN + number).state is State.SIGNING
        assert [key.kid for key in list_keys(folder) if key.state is State.SIGNING] == [kid]
    old = list_keys(folder)[0]
    assert (old.kid, old.replaced_s) == (first, NOW_S + PUBLISHED_S_MIN + 2), "its last tickets are of then"


def test_a_clock_that_was_put_back_retires_no_key_too_soon(folder):
    """It stood right when the key was published and is a day behind when it is used: nothing was replaced before."""
    new = publish_key(folder, NOW_S)
    with pytest.raises(KeyFileError, match=r"published 0.0 h ago.*use it in 48.0 h"):
        use_key(folder, new.kid, NOW_S - 86_400)
    use_key(folder, new.kid, NOW_S - 86_400, published_s_min=0)
    assert list_keys(folder)[0].replaced_s == NOW_S


def test_of_many_who_publish_at_once_one_does(folder):
    gate, told = FORK.Event(), FORK.SimpleQueue()

    def work() -> None:
        gate.wait()
        try:
            told.put(publish_key(folder, NOW_S).kid)
        except KeyFileError as error:
            told.put("published already" if "published already" in str(error) else str(error))

    people = [FORK.Process(target=work) for _ in range(8)]
    for person in people:
        person.start()
    gate.set()
    for person in people:
        person.join()
    said = sorted(told.get() for _ in people)
    assert said.count("published already") == 7
    assert states(folder) == [State.SIGNING, State.NEXT]


def test_a_key_that_vanishes_meanwhile_is_told_and_not_raised(folder):
    """A file that is listed and then is not there: as one that is retired at the moment it is looked at."""
    (folder / "20200102-gone.pem").symlink_to(folder / "nowhere")
    assert [name for name, _, _ in fingerprint(folder)] == ["20200101-first.pem"]
    with pytest.raises(KeyFileError, match="is gone"):
        list_keys(folder)
    with pytest.raises(KeyFileError, match="cannot be read"):
        publish_key(folder / "not there", NOW_S)


# --- a module that keeps its key ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Module:
    """A signer whose key lies in another process: all that is seen of it here are signatures."""

    kid: bytes
    line: Connection

    def sign(self, message: bytes) -> bytes:
        self.line.send_bytes(message)
        return self.line.recv_bytes()


def guard(line: Connection) -> None:
    """The module: makes its key, tells the public part, signs what it is asked to until nobody asks."""
    private = Ed25519PrivateKey.generate()
    line.send_bytes(private.public_key().public_bytes_raw())
    while message := line.recv_bytes():
        line.send_bytes(private.sign(message))


@pytest.fixture
def module():
    here, there = FORK.Pipe()
    process = FORK.Process(target=guard, args=(there,))
    process.start()
    public = Ed25519PublicKey.from_public_bytes(here.recv_bytes())
    yield Module(kid_of(public.public_bytes_raw()), here), public
    here.send_bytes(b"")
    process.join()


def test_a_module_that_never_shows_its_key_sells_tickets_and_signs_lists(folder, module):
    """And takes over from a key in a file, which stays good: `read` says which keys there are from then on."""
    files = load_issuer_keys(folder, "takt")
    old = ticket(files.signer)
    signer, public = module
    both = KeySet([*files.key_set.keys, IssuerKey(signer.kid, "takt", public)])
    news: list[tuple[Signer, KeySet]] = [(signer, both)]
    keys = IssuerKeys(files.signer, files.key_set, lambda: news.pop() if news else None)
    assert keys.refresh()
    assert not keys.refresh()
    new = ticket(keys.signer)
    assert new[0] != old[0]
    for token in (*old, *new):
        assert read_credential(token, keys.key_set).claims.status_index == 5
    validator = Lists()
    validator.take_keys(keys.key_set.cose_keys(), NOW_S)
    validator.take_status_list(
        issue_list_jwt(StatusList(f"{URI}/1", pack([(5, INVALID)], 10), int(NOW_S), 15), keys.signer), NOW_S
    )
    assert validator.status(1, 5) == INVALID
