"""Console logins: what is written, what is refused, and that a password is never in the file."""

from pathlib import Path

import pytest

from deploy.errors import UserError
from deploy.users import Users


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "users.json"


def test_a_user_logs_in_with_the_password_and_no_other(path: Path) -> None:
    users = Users(path)
    users.add("desk1", "dispatcher", "correct horse")
    assert users.verify("desk1", "correct horse") is not None
    assert users.verify("desk1", "correct horsf") is None
    assert users.verify("nobody", "correct horse") is None


def test_the_file_is_its_owners_and_holds_no_password(path: Path) -> None:
    Users(path).add("desk1", "dispatcher", "correct horse")
    assert path.stat().st_mode & 0o777 == 0o600
    text = path.read_text()
    assert "correct horse" not in text
    assert "$argon2id$" in text


def test_another_process_sees_a_change_at_once(path: Path) -> None:
    one, other = Users(path), Users(path)
    one.add("desk1", "dispatcher", "correct horse")
    assert [user.name for user in other.list()] == ["desk1"]
    other.remove("desk1")
    assert one.find("desk1") is None


@pytest.mark.parametrize(
    ("name", "role", "password", "says"),
    [
        ("", "dispatcher", "long enough", "a name is"),
        ("a b", "dispatcher", "long enough", "a name is"),
        ("x" * 65, "dispatcher", "long enough", "a name is"),
        ("desk1", "root", "long enough", "no such role"),
        ("desk1", "dispatcher", "short", "10 to 256"),
        ("desk1", "dispatcher", "x" * 257, "10 to 256"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(path: Path, name: str, role: str, password: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        Users(path).add(name, role, password)
    assert not path.exists()


def test_a_taken_name_and_a_missing_one_are_refused(path: Path) -> None:
    users = Users(path)
    users.add("desk1", "dispatcher", "correct horse")
    with pytest.raises(UserError, match="such a user already"):
        users.add("desk1", "admin", "another password")
    with pytest.raises(UserError, match="no such user"):
        users.remove("petro")


def test_a_new_password_is_a_new_version(path: Path) -> None:
    users = Users(path)
    before = users.add("desk1", "dispatcher", "correct horse").version
    users.remove("desk1")
    assert users.add("desk1", "dispatcher", "correct horse").version != before


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"users": [{"name": 1}]}', b"\xff"])
def test_a_broken_file_is_named(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"users\.json"):
        Users(path).list()
