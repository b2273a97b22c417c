"""The data folder: who may use it, and what is left after the worst moments."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from deploy.errors import UserError
from deploy.instance import Instance
from deploy.private_files import write_private
from deploy.runtime import Runtime

HOLD = """
import sys
from pathlib import Path
from deploy.instance import Instance
with Instance.open(Path(sys.argv[1])).locked():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the instance in tmp_path/data."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "data")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_everything_in_a_new_folder_is_its_owners_alone(tmp_path: Path) -> None:
    instance = Instance.open(tmp_path / "data")

    assert stat.S_IMODE(instance.folder.stat().st_mode) == 0o700
    for path in instance.folder.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_opening_again_finds_the_same_instance(tmp_path: Path) -> None:
    first, second = (Instance.open(tmp_path / "data") for _ in range(2))

    assert first.id == second.id
    assert first.secrets == second.secrets


def test_passwords_are_long_different_and_never_shown(tmp_path: Path) -> None:
    one, other = Instance.open(tmp_path / "one").secrets, Instance.open(tmp_path / "other").secrets
    values = {getattr(secrets, name) for secrets in (one, other) for name in one.__struct_fields__}

    assert len(values) == 2 * len(one.__struct_fields__)
    assert all(len(value) >= 32 for value in values)
    assert not any(value in repr(one) + repr(other) for value in values)


def test_keys_are_made_once_and_can_be_read(tmp_path: Path) -> None:
    instance = Instance.open(tmp_path / "data")
    (issuer,) = instance.issuer_keys_dir.glob("*.pem")
    before = issuer.read_bytes(), instance.token_key_path.read_bytes()
    instance.ensure_keys()

    assert before == (issuer.read_bytes(), instance.token_key_path.read_bytes())
    assert all(isinstance(load_pem_private_key(pem, None), Ed25519PrivateKey) for pem in before)


def test_a_set_up_that_was_killed_is_finished(tmp_path: Path) -> None:
    instance = Instance.open(tmp_path / "data")
    passwords = instance.secrets
    (instance.folder / "instance.json").unlink()
    instance.token_key_path.unlink()

    again = Instance.open(tmp_path / "data")

    assert again.secrets == passwords
    assert again.token_key_path.exists()


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda folder: folder.write_text("x"), "is a file, not a folder"),
        (lambda folder: (folder.mkdir(), (folder / "thesis.doc").touch()), "holds other things (thesis.doc)"),
    ],
)
def test_a_folder_that_is_something_else_is_left_alone(tmp_path: Path, make: object, sentence: str) -> None:
    folder = tmp_path / "data"
    make(folder)  # type: ignore[operator]

    with pytest.raises(UserError) as error:
        Instance.open(folder)

    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_nothing_is_made_where_only_looking_is_asked(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no instance here"):
        Instance.open(tmp_path / "data", create=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_somebody_elses_folder_is_refused(tmp_path: Path) -> None:
    Instance.open(tmp_path / "data")
    os.chown(tmp_path / "data", 12345, 12345)

    with pytest.raises(UserError, match="belongs to user 12345, not to you"):
        Instance.open(tmp_path / "data")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_the_right_to_write_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o500)

    with pytest.raises(UserError, match="cannot be written"):
        Instance.open(folder)


def test_a_folder_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    identity_path = Instance.open(tmp_path / "data").folder / "instance.json"
    identity = json.loads(identity_path.read_bytes())
    identity_path.write_text(json.dumps({**identity, "format": 99, "takt_version": "9.1"}))

    with pytest.raises(UserError, match=r"was made by Takt 9\.1, which is newer"):
        Instance.open(tmp_path / "data")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"id": 3}', "\x00" * 20])
def test_a_damaged_file_is_named(tmp_path: Path, content: str) -> None:
    instance = Instance.open(tmp_path / "data")
    instance.secrets_path.write_text(content)

    with pytest.raises(UserError, match=r"secrets\.json: is damaged"):
        _ = Instance.open(tmp_path / "data").secrets


def test_the_postgresql_version_is_written_down_and_another_one_refused(tmp_path: Path) -> None:
    instance = Instance.open(tmp_path / "data")
    instance.note_postgres_major(17)
    instance.note_postgres_major(17)

    with pytest.raises(UserError, match="belongs to PostgreSQL 17 and this Takt brings 18"):
        instance.note_postgres_major(18)


def test_a_second_instance_is_told_who_runs_the_first(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    instance = Instance.open(tmp_path / "data")

    assert instance.is_running()
    with pytest.raises(UserError, match=f"process {holder.pid}"), instance.locked():
        pass


def test_a_killed_holder_lets_go(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    instance = Instance.open(tmp_path / "data")
    instance.write_runtime(Runtime(holder.pid, "http://x", 1883, "postgresql://x"))
    assert instance.read_runtime() is not None

    holder.kill()
    holder.wait()

    assert instance.read_runtime() is None
    with instance.locked():
        assert (tmp_path / "data" / "lock").read_text() == f"{os.getpid()}\n"


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_private(path, b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_private(path, b"new")

    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["keys", "keys/issuer", "postgres", "nats", "network", "logs"])
def test_a_file_in_a_folders_place_is_named(tmp_path, name):
    folder = Instance.open(tmp_path / "data").folder
    shutil.rmtree(folder / name, ignore_errors=True)
    (folder / name).write_text("")
    with pytest.raises(UserError, match=rf"{name}: is no folder; move it away"):
        Instance.open(folder, create=False)


@pytest.mark.parametrize("name", ["instance.json", "lock", "runtime.json", "secrets.json", "users.json"])
def test_a_folder_in_a_files_place_is_named(tmp_path, name):
    folder = Instance.open(tmp_path / "data").folder
    (folder / name).unlink(missing_ok=True)
    (folder / name).mkdir()
    with pytest.raises(UserError, match=rf"{name}: is no file; move it away"):
        Instance.open(folder)


def test_folders_that_hold_nothing_of_worth_are_made_again(tmp_path):
    instance = Instance.open(tmp_path / "data")
    shutil.rmtree(instance.logs_dir)
    assert Instance.open(instance.folder, create=False).logs_dir.is_dir()


def test_one_gateway_of_an_instance_runs_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`takt run gateway` beside `takt run` would take the other's place at the broker, again and again."""
    monkeypatch.setattr("deploy.locks.LOCK_WAIT_S_MAX", 0.0)
    instance = Instance.open(tmp_path / "data")
    with instance.gateway_locked():
        told = rf"another gateway runs from here \(process {os.getpid()}\); stop it"
        with pytest.raises(UserError, match=told), instance.gateway_locked():
            pass
        with instance.locked():
            pass
    with instance.gateway_locked():
        pass
