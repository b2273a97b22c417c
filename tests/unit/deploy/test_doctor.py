"""The doctor: what is wrong is found, and every finding that needs work says what to do."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from deploy.commands import doctor as doctor_command
from deploy.config import read_settings
from deploy.doctor import examination, machine
from deploy.doctor.doors import check_http
from deploy.doctor.examination import examine
from deploy.doctor.patient import Finding, Patient
from deploy.errors import UserError
from deploy.instance import Instance
from deploy.runtime import Runtime


def look(data_dir: Path, **options: object) -> dict[str, Finding]:
    """The gravest finding of each check."""
    gravest: dict[str, Finding] = {}
    for finding in examine(read_settings(data_dir=data_dir, http__port=0, mqtt__port=0, **options)):
        if finding.check not in gravest or finding.state == "fail":
            gravest[finding.check] = finding
    return gravest


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    return Instance.open(tmp_path / "data")


def test_a_healthy_folder_has_nothing_that_fails(instance: Instance) -> None:
    found = look(instance.folder)
    assert not [finding for finding in found.values() if finding.state == "fail"]
    assert set(found) >= {"data folder", "python", "disk", "rights", "keys", "postgresql", "broker", "ports", "clock"}


def test_a_machine_without_an_instance_is_examined_as_well(tmp_path: Path) -> None:
    found = look(tmp_path / "none")
    assert found["data folder"].state == "warn"
    assert found["python"].state == "ok"
    assert not (tmp_path / "none").exists()


def test_a_readable_secret_is_found_with_the_command_that_closes_it(instance: Instance) -> None:
    instance.secrets_path.chmod(0o644)
    finding = look(instance.folder)["rights"]
    assert (finding.state, finding.next_step) == ("fail", f"chmod 600 {instance.secrets_path}")


def test_an_open_folder_is_found(instance: Instance) -> None:
    instance.folder.chmod(0o755)
    assert look(instance.folder)["rights"].next_step == f"chmod 700 {instance.folder}"


@pytest.mark.parametrize("content", [b"", b"nonsense", None])
def test_a_broken_or_missing_key_is_named(instance: Instance, content: bytes | None) -> None:
    instance.token_key_path.unlink()
    if content is not None:
        instance.token_key_path.write_bytes(content)
        instance.token_key_path.chmod(0o600)
    finding = look(instance.folder)["keys"]
    assert finding.state == "fail"
    assert "api-token.pem" in finding.detail


def test_lost_issuer_keys_are_found(instance: Instance) -> None:
    for key in instance.issuer_keys_dir.iterdir():
        key.unlink()
    assert "no issuer key" in look(instance.folder)["keys"].detail


def test_a_taken_port_names_who_has_it(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        settings = read_settings(data_dir=tmp_path / "none", http__port=other.getsockname()[1], mqtt__port=0)
        (taken,) = (finding for finding in examine(settings) if finding.check == "ports" and finding.state == "warn")
    assert f"process {os.getpid()}" in taken.detail


def test_an_unreachable_database_is_found_and_its_password_not_shown(instance: Instance) -> None:
    finding = look(instance.folder, database_url="postgresql://u:hidden@127.0.0.1:1/x")["postgresql"]
    assert finding.state == "fail"
    assert "hidden" not in finding.detail


def test_a_clock_behind_the_data_is_found(instance: Instance) -> None:
    os.utime(instance.secrets_path, (time.time() + 86_400, time.time() + 86_400))
    assert look(instance.folder)["clock"].state == "fail"


def test_a_full_disk_is_found(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "DISK_FREE_FAIL_BYTES", 1 << 62)
    assert look(instance.folder)["disk"].state == "fail"


def test_a_database_of_another_version_is_found(instance: Instance) -> None:
    instance.note_postgres_major(16)
    assert "version 16's" in look(instance.folder)["postgresql"].detail


def test_a_tariff_that_the_next_start_would_refuse_is_found_before_it(instance: Instance, tmp_path: Path) -> None:
    city = tmp_path / "city.toml"
    city.write_text("version = 1\nprcie = 3\n")
    found = look(instance.folder, ticketing__tariff=city)["tariff"]
    assert found.state == "fail"
    assert "city.toml" in found.detail
    assert "prcie" in found.detail
    assert look(instance.folder)["tariff"].state == "ok"


def test_a_check_that_fails_by_itself_hides_no_other(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    def check_luck(_: object) -> list[Finding]:
        raise ValueError("no luck")

    monkeypatch.setattr(examination, "CHECKS", (check_luck, machine.check_python))
    found = look(instance.folder)
    assert found["luck"].state == "fail"
    assert found["python"].state == "ok"


def run(*words: str) -> Result:
    app = typer.Typer()
    doctor_command.register(app)
    return CliRunner().invoke(app, words)


def test_the_command_exits_with_1_when_something_fails(instance: Instance) -> None:
    well = run("--data-dir", str(instance.folder), "--json")
    instance.secrets_path.chmod(0o666)
    ill = run("--data-dir", str(instance.folder), "--json")

    assert (well.exit_code, json.loads(well.stdout)["ok"]) == (0, True)
    assert (ill.exit_code, json.loads(ill.stdout)["ok"]) == (1, False)
    assert "chmod 600" in run("--data-dir", str(instance.folder)).stdout


def test_a_folder_of_something_else_gets_one_clear_sentence(tmp_path):
    (tmp_path / "hosts").touch()
    with pytest.raises(UserError, match="holds other things and no instance; name an instance's data folder"):
        examine(read_settings(None, data_dir=tmp_path))


def test_what_a_running_instance_warns_of_is_a_finding(instance: Instance) -> None:
    warning = "3 vehicles tell times that are 1 h 0 min ahead of ours"

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"ready": True, "reasons": [], "warnings": [warning]}).encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server, instance.locked():
        threading.Thread(target=server.serve_forever).start()
        instance.write_runtime(Runtime(os.getpid(), f"http://127.0.0.1:{server.server_address[1]}", 0, ""))
        patient = Patient(read_settings(data_dir=instance.folder), instance, instance.read_runtime())
        found = [(finding.check, finding.state, finding.detail) for finding in check_http(patient)]
        server.shutdown()
    assert found[0][:2] == ("http", "ok")
    assert found[1:] == [("running", "warn", warning)]
