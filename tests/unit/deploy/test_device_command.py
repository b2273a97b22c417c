"""`takt device` as it is typed."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from deploy.commands import device as device_command
from deploy.errors import UsageError, UserError
from deploy.instance import Instance
from deploy.runtime import Runtime


@pytest.fixture
def data_dir(tmp_path: Path) -> str:
    return str(Instance.open(tmp_path / "data").folder)


def run(*words: str) -> Result:
    app = typer.Typer()
    device_command.register(app)
    return CliRunner().invoke(app, ["device", *words])


def sentence(*words: str) -> str:
    """What a person is told."""
    error = run(*words).exception
    assert isinstance(error, UserError), error
    assert "\n" not in str(error)
    return str(error)


def test_add_tells_a_program_all_that_a_device_needs(data_dir: str) -> None:
    shown = json.loads(run("add", "vehicle", "kpt", "4582", "--data-dir", data_dir, "--json").stdout)
    assert shown["username"] == "vehicle.kpt.4582"
    assert len(shown["password"]) == 48
    assert shown["topics"] == {
        "publish": [f"fleet/v1/kpt/4582/{kind}" for kind in ("position", "event", "status")],
        "subscribe": ["fleet/v1/kpt/4582/instruction"],
    }
    assert (shown["host"], shown["port"], shown["tls"]) == ("127.0.0.1", 1883, False)


def test_add_shows_a_person_the_password_once(data_dir: str) -> None:
    shown = run("add", "validator", "kpt", "7", "--data-dir", data_dir).stdout
    assert "user name   validator.kpt.7" in shown
    assert "password    " in shown
    assert "password" not in run("list", "--data-dir", data_dir).stdout
    assert "has credentials already" in sentence("add", "validator", "kpt", "7", "--data-dir", data_dir)


def test_a_fleet_is_added_from_a_file(data_dir: str, tmp_path: Path) -> None:
    fleet = tmp_path / "fleet.csv"
    fleet.write_text("\ufeffkind,operator,id,note\nvehicle,kpt,1,old\nvalidator,kpt,1,new\n", encoding="utf-8")
    rows = list(csv.DictReader(io.StringIO(run("add", "--many", str(fleet), "--data-dir", data_dir).stdout)))

    assert [row["username"] for row in rows] == ["vehicle.kpt.1", "validator.kpt.1"]
    assert all(len(row["password"]) == 48 for row in rows)
    assert len(json.loads(run("list", "--data-dir", data_dir, "--json").stdout)["devices"]) == 2


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"", "fleet.csv:1: the column kind is missing"),
        (b"kind,operator\n", "fleet.csv:1: the column id is missing"),
        (b"kind,operator,id\n", "names no device"),
        (b"kind,operator,id\nvehicle,kpt,1\nvehicle,kpt,a b\n", "fleet.csv:3: 'a b'"),
        (b"kind,operator,id\nvehicle,kpt\n", "fleet.csv:2: ''"),
        (b"kind,operator,id\ntram,kpt,1\n", "fleet.csv:2: 'tram'"),
        (b"kind,operator,id\nvehicle,kpt,1\nvehicle,kpt,1\n", "vehicle.kpt.1: is named twice"),
        (b"kind,operator,id\nvehicle,kpt,\xff\n", "is no csv file in UTF-8"),
        (b"kind,operator,id\n" + b'"' + b"x" * 200_000, "is no csv file"),
    ],
)
def test_a_wrong_line_is_named_and_nothing_is_added(data_dir: str, tmp_path: Path, text: bytes, told: str) -> None:
    fleet = tmp_path / "fleet.csv"
    fleet.write_bytes(text)
    assert told in sentence("add", "--many", str(fleet), "--data-dir", data_dir)
    run("add", "vehicle", "other", "1", "--data-dir", data_dir)
    assert len(json.loads(run("list", "--data-dir", data_dir, "--json").stdout)["devices"]) == 1


def test_half_a_name_is_wrong_usage(data_dir: str) -> None:
    assert run("add", "vehicle", "kpt", "--data-dir", data_dir).exit_code == 2
    assert run("add", "--data-dir", data_dir).exit_code == 2


def test_a_revoked_device_is_gone(data_dir: str) -> None:
    run("add", "vehicle", "kpt", "1", "--data-dir", data_dir)
    assert run("revoke", "vehicle", "kpt", "1", "--data-dir", data_dir).exit_code == 0
    assert "has no credentials" in sentence("revoke", "vehicle", "kpt", "1", "--data-dir", data_dir)


@pytest.mark.parametrize("words", [("list",), ("add", "vehicle", "kpt", "1"), ("revoke", "vehicle", "kpt", "1")])
def test_a_mistyped_folder_makes_no_instance(tmp_path: Path, words: tuple[str, ...]) -> None:
    mistyped = tmp_path / "dtaa"
    assert "there is no instance here" in sentence(*words, "--data-dir", str(mistyped))
    assert not mistyped.exists()


@pytest.mark.parametrize("command", ["add", "revoke"])
@pytest.mark.parametrize(
    ("name", "told"),
    [
        (("bus", "kpt", "1"), "'bus': a device is a vehicle or a validator"),
        (("vehicle", "a b", "1"), "the id of an operator is 1 to 64"),
        (("vehicle", "kpt", "a b"), "the id of a vehicle is 1 to 64"),
        (("validator", "kpt", "all"), "choose another id"),
    ],
)
def test_a_name_that_cannot_be_is_wrong_usage(data_dir: str, command: str, name: tuple[str, ...], told: str) -> None:
    error = run(command, *name, "--data-dir", data_dir).exception
    assert isinstance(error, UsageError)
    assert told in str(error)


def test_a_device_is_told_the_door_that_the_running_instance_opened(data_dir: str) -> None:
    instance = Instance.open(Path(data_dir))
    runtime = Runtime(1, "", 8883, "", mqtt_certificate="/etc/takt/mqtt.pem", mqtt_listens="192.0.2.7")
    with instance.locked():
        instance.write_runtime(runtime)
        shown = json.loads(run("add", "vehicle", "kpt", "1", "--data-dir", data_dir, "--json").stdout)
    assert (shown["host"], shown["port"], shown["tls"]) == ("192.0.2.7", 8883, True)


def test_a_device_is_told_of_a_broker_of_your_own(data_dir: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAKT_BROKER_URL", "mqtts://takt:secret@broker.example")
    shown = json.loads(run("add", "vehicle", "kpt", "1", "--data-dir", data_dir, "--json").stdout)
    assert (shown["host"], shown["port"], shown["tls"]) == ("broker.example", 8883, True)


def test_an_export_is_for_its_owner_alone(data_dir: str, tmp_path: Path) -> None:
    run("add", "vehicle", "kpt", "1", "--data-dir", data_dir)
    shown = json.loads(run("export", "--out", str(tmp_path), "--data-dir", data_dir, "--json").stdout)

    assert [Path(file).stat().st_mode & 0o777 for file in shown["files"]] == [0o600, 0o600]
    assert "there is no such folder" in sentence("export", "--out", str(tmp_path / "none"), "--data-dir", data_dir)
    assert "there is only mosquitto" in sentence("export", "--format", "emqx", "--data-dir", data_dir)


def test_letters_are_of_a_device_or_an_operator_however_it_is_named(data_dir: str) -> None:
    for words in (["vehicle.kpt.4582"], ["vehicle", "kpt", "4582"], ["kpt"]):
        assert "is not running; start it with: takt run" in sentence("letters", *words, "--data-dir", data_dir)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["tram.kpt.1"], "a device is a vehicle or a validator"),
        (["kpt", "4582"], "name a device as vehicle.kpt.4582"),
        (["k p t"], "neither a device, such as vehicle.kpt.4582, nor an operator"),
        (["kpt", "--since", "yesterday"], "write how long ago, such as 2h"),
        (["kpt", "--since", "0001-01-01"], "write how long ago, such as 2h"),
    ],
)
def test_letters_of_nobody_are_wrong_usage(words: list[str], said: str, data_dir: str) -> None:
    error = run("letters", *words, "--data-dir", data_dir).exception
    assert isinstance(error, UsageError)
    assert said in str(error)
