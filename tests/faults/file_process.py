"""Changes of private files, each made again and again by a process that is killed one call to the kernel later.

It forks for each, which is why it is a process of its own: what is killed is exactly where the change is by then.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from deploy.auth import Claims
from deploy.devices import Registry
from deploy.ended_tokens import EndedTokens
from deploy.errors import UserError
from deploy.instance import Instance
from ticketing.card import CardKeys
from ticketing.errors import KeyFileError
from ticketing.keys import ensure_card_keys, import_card_keys, load_card_keys, load_issuer_keys
from ticketing.rotation import State, list_keys, publish_key, retire_key, use_key

NOW_S = 2_000_000_000.0  # after every file here was made
KERNEL = {"open", "write", "fsync", "replace", "rename", "link", "unlink", "mkdir", "chmod", "flock"}
WRITES = ("BufferedWriter.write", "BufferedWriter.flush", "FileIO.write")
SECOND = CardKeys(2, bytes(16), bytes(range(16)))
OLD, NEW = (
    Claims("takt", "takt-api", subject, "cashier", int(NOW_S), int(NOW_S) + 10**9, f"jti-{subject}")
    for subject in ("boris", "anna")
)


@dataclass(frozen=True)
class Change:
    """What stands before, what is done, and what must be true after a death and after the same was asked again."""

    before: Callable[[Path], None]
    done: Callable[[Path], Any]
    check: Callable[[Path], None]
    refused: tuple[type[Exception], ...] = ()


def instance(folder: Path) -> Instance:
    return Instance.open(folder / "data")


def issuer(folder: Path) -> Path:
    return instance(folder).issuer_keys_dir


def states(folder: Path) -> list[State]:
    """Of the issuer keys; whoever sells can sign, and whoever checks has the keys."""
    keys = list_keys(issuer(folder))
    loaded = load_issuer_keys(issuer(folder), "takt")
    assert sum(key.state is State.SIGNING for key in keys) == 1
    assert len(loaded.key_set.keys) == len(keys)
    return [key.state for key in keys]


def usable(folder: Path) -> None:
    """As a death has left it, nothing stops the instance: it signs, and reads who may come in."""
    here = instance(folder)
    states(folder)
    EndedTokens(here).read()
    Registry(here).standing()
    if here.card_keys_path.exists():
        load_card_keys(here.card_keys_path)


def made(folder: Path) -> None:
    instance(folder)


def publish(folder: Path) -> None:
    publish_key(issuer(folder), NOW_S)


def published(folder: Path) -> None:
    made(folder)
    publish(folder)


def use_next(folder: Path) -> None:
    newest = max(list_keys(issuer(folder)), key=lambda key: key.published_s)
    use_key(issuer(folder), newest.name, NOW_S + 9e4)


def used(folder: Path) -> None:
    published(folder)
    use_next(folder)


def retire(folder: Path) -> None:
    old = [key for key in list_keys(issuer(folder)) if key.state is State.OLD]
    for key in old:
        retire_key(issuer(folder), key.name, NOW_S + 9e6, None)


def is_published(folder: Path) -> None:
    assert states(folder) == [State.SIGNING, State.NEXT]


def is_used(folder: Path) -> None:
    assert states(folder) == [State.OLD, State.SIGNING]


def is_retired(folder: Path) -> None:
    assert states(folder) == [State.SIGNING]


def with_card_keys(folder: Path) -> None:
    ensure_card_keys(instance(folder).card_keys_path)


def import_keys(folder: Path) -> None:
    import_card_keys(instance(folder).card_keys_path, SECOND)


def has_card_keys(folder: Path) -> None:
    assert {keys.version for keys in load_card_keys(instance(folder).card_keys_path)} == {1, 2}


def some_ended(folder: Path) -> None:
    EndedTokens(instance(folder), lambda: NOW_S).end(OLD)


def end_token(folder: Path) -> None:
    EndedTokens(instance(folder), lambda: NOW_S).end(NEW)


def end_all(folder: Path) -> None:
    EndedTokens(instance(folder), lambda: NOW_S).end_all("anna", "cashier")


def are_ended(folder: Path) -> None:
    ended = EndedTokens(instance(folder)).read()
    assert ended.why_refused(OLD), "what was revoked before stays revoked"
    assert ended.why_refused(NEW)


def with_device(folder: Path) -> None:
    registry = Registry(instance(folder))
    registry.add_many([one.device for one in registry.list()])
    registry.add("validator", "town", "1")


def revoke_device(folder: Path) -> None:
    Registry(instance(folder)).revoke("validator", "town", "1")


def is_revoked(folder: Path) -> None:
    registry = Registry(instance(folder))
    assert registry.list() == []
    assert "validator.town.1" in registry.standing()[1]
    assert "validator.town.1" not in registry.broker_users_path.read_text(), "the broker lets nobody in any more"


def is_made(folder: Path) -> None:
    assert states(folder) == [State.SIGNING]
    assert instance(folder).secrets.broker_password


CHANGES = {
    "set-up": Change(lambda _: None, made, is_made),
    "publish": Change(made, publish, is_published, (KeyFileError,)),
    "use": Change(published, use_next, is_used),
    "retire": Change(used, retire, is_retired),
    "card keys": Change(with_card_keys, import_keys, has_card_keys, (KeyFileError,)),
    "token revoke": Change(some_ended, end_token, are_ended),
    "token revoke, all": Change(some_ended, end_all, are_ended),
    "device revoke": Change(with_device, revoke_device, is_revoked, (UserError,)),
}


def strike_everywhere(name: str, folder: Path) -> int:
    """A change killed at one call after the other, each time with what was there before; how many calls there are."""
    change = CHANGES[name]
    first = folder / "before"
    first.mkdir()
    change.before(first)
    for number in range(1, 10_000):
        again = folder / f"{number}"
        shutil.copytree(first, again)
        died = _fork(lambda at=again: change.done(at), number)  # type: ignore[misc]
        if died:
            usable(again)
            with contextlib.suppress(*change.refused):  # where it had been done
                change.done(again)
        change.check(again)
        shutil.rmtree(again)
        if not died:
            return number - 1
    raise AssertionError


def _fork(act: Callable[[], Any], number: int) -> bool:
    """Act in a child that is killed before its so many-th call to the kernel; whether it was."""
    child = os.fork()
    if child == 0:
        try:
            _die_at(number)
            act()
        finally:
            sys.setprofile(None)
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def _die_at(number: int) -> None:
    left = number

    def before_call(_frame: FrameType, event: str, called: Any) -> None:
        nonlocal left
        if event != "c_call":
            return
        to_kernel = called.__module__ in ("posix", "fcntl") and called.__name__ in KERNEL
        if to_kernel or called.__qualname__ in WRITES:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(before_call)


def run_changes(name: str, folder: Path, seconds: float = 120.0) -> int:
    """Strike in a process of its own; how many calls there were.

    Raises:
        AssertionError: something was not as it must be; says what.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.faults.file_process"])
    process = context.Process(target=_main, args=(name, folder), daemon=True)
    process.start()
    process.join(seconds)
    process.kill()
    said = (folder / "said").read_text() if (folder / "said").exists() else f"nothing was said for {seconds:g} s"
    assert said.isdigit(), said
    return int(said)


def _main(name: str, folder: Path) -> None:
    began_s = time.monotonic()
    try:
        said = str(strike_everywhere(name, folder))
    except BaseException:
        said = f"{name}, after {time.monotonic() - began_s:.1f} s\n{traceback.format_exc()}"
    (folder / "said").write_text(said)
