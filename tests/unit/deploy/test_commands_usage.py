"""The command as it is typed: exit status 2 where it was typed wrongly, and nothing is made on the way there."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from deploy import __main__ as program
from deploy.instance import Instance


def typed(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """The exit status of `takt` with these words."""
    monkeypatch.setattr(sys, "argv", ["takt", *words])
    with pytest.raises(SystemExit) as left:
        program.main()
    return int(left.value.code or 0)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TAKT_DATA_DIR", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        "token --role king",
        "user add desk1 --role king --generate",
        "device add vehicle kpt a\tb",
        "device add bus a b",
        "run bogus",
        "run --http-port 70000",
        "run --mqtt-port -1",
        "run --feed x --block-pattern (",
        "bench nope",
        "demo --http-port 70000",
        "demo --at 99:99",
        "demo --block-pattern (",
        "network x --block-pattern (",
        "network x --block-pattern abc",
        "nonsense",
        "ticket nonsense",
        "--nonsense",
    ],
)
def test_wrong_usage_exits_with_2_and_makes_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], elsewhere: Path, words: str
) -> None:
    assert typed(monkeypatch, *words.split(" ")) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("token --role admin", "there is no instance here"),
        ("device add vehicle kpt 1", "there is no instance here"),
        ("device list", "there is no instance here"),
        ("user add desk1 --role admin --generate", "there is no instance here"),
        ("user list", "there is no instance here"),
        ("migrate", "there is no instance here"),
        ("migrate --check", "there is no instance here"),
        ("backup out.backup", "there is no instance here"),
        ("card list-nothing", ""),
        ("card key list", "there is no instance here"),
        ("key list", "there is no instance here"),
        ("ticket show 1", "there is no instance here"),
        ("run", "there is no feed"),
        ("run --feed nowhere.zip", "nowhere.zip: there is no such file or folder"),
        ("run --feed http://[", "the address of the feed: is none"),
        ("run dispatch", "there is no instance here"),
        ("run web --feed x", "there is no instance here"),
        ("demo --gtfs nowhere.zip", "nowhere.zip: there is no such file or folder"),
        ("restore nofile", "nofile: there is no such file"),
        ("network http://[", "the address of the feed: is none"),
        ("network http://", "the address of the feed: names no host"),
        ("network http://127.0.0.1:99999/x.zip", "the address of the feed: is none"),
        ("network http://user:secret@127.0.0.1:1/x.zip", "http://127.0.0.1:1/x.zip: cannot be fetched"),
    ],
)
def test_what_fails_makes_nothing_and_says_why(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], elsewhere: Path, words: str, told: str
) -> None:
    assert typed(monkeypatch, *words.split(" ")) in ((1,) if told else (2,))
    said = capsys.readouterr().err
    assert told in said
    assert "secret" not in said
    assert list(elsewhere.iterdir()) == []


def pages(command: Any, words: str = "takt") -> Iterator[tuple[str, str]]:
    """The help page of every command and group of commands, by what is typed for it."""
    yield words, command.get_help(command.make_context(words, [], resilient_parsing=True))
    for name, part in getattr(command, "commands", {}).items():
        yield from pages(part, f"{words} {name}")


def test_every_help_page_has_an_example() -> None:
    without = [words for words, page in pages(typer.main.get_command(program.app)) if "Example: " not in page]
    assert without == []


def test_a_help_page_is_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert typed(monkeypatch, "shift", "--help") == 0
    assert "Example: takt shift open" in capsys.readouterr().out


def test_the_version_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert typed(monkeypatch, "--version") == 0
    assert capsys.readouterr().out.startswith("takt ")


def test_a_folder_where_a_file_should_be_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], elsewhere: Path
) -> None:
    instance = Instance.open(elsewhere / "takt-data")
    instance.devices_path.with_suffix(".lock").mkdir()
    assert typed(monkeypatch, "device", "add", "vehicle", "kpt", "1") == 1
    assert "devices.lock: Is a directory; " in capsys.readouterr().err
