"""`takt simulate` as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from deploy.commands import simulate as simulate_command
from deploy.errors import UserError

SHORT = 'kind = "loop"\nwarmup_s = 600\nduration_s = 3600\n'


def run(*words: str) -> Result:
    app = typer.Typer()
    simulate_command.register(app)
    return CliRunner().invoke(app, list(words))


def sentence(*words: str) -> str:
    error = run(*words).exception
    assert isinstance(error, UserError), error
    assert "\n" not in str(error)
    return str(error)


@pytest.fixture
def short(tmp_path: Path) -> str:
    path = tmp_path / "short.toml"
    path.write_text(SHORT)
    return str(path)


def test_a_program_gets_one_document_in_the_order_asked_for(short: str) -> None:
    report = json.loads(run(short, "--control", "forward, none,forward", "--seeds", "2", "--json").stdout)
    assert list(report) == ["scenario", "seeds", "parameters", "laws"]
    assert (report["scenario"], report["seeds"]) == (short, 2)
    assert report["parameters"]["segment_noise_variance_s2"] == pytest.approx(144.0)
    assert [law["law"] for law in report["laws"]] == ["forward", "none"]
    assert list(report["laws"][0]) == [
        "law",
        "ewt_s",
        "c_vh",
        "mean_hold_s",
        "hold_s_p95",
        "mean_wait_s",
        "mean_ride_s",
        "denied_boardings",
        "headway_variance_s2_by_stop",
    ]


def test_a_person_gets_a_table_that_compares(short: str) -> None:
    shown = run(short, "--control", "none,optimal", "--seeds", "1").stdout
    assert "10 vehicles every 360 s on a loop of 40 stops" in " ".join(shown.split())
    assert "optimal" in shown
    assert "%" in shown


def test_a_timetable_that_cannot_be_driven_is_said(tmp_path: Path) -> None:
    path = tmp_path / "tight.toml"
    path.write_text(SHORT + "vehicles = 9\n")
    assert "80 s a round shorter" in " ".join(run(str(path), "--control", "none", "--seeds", "1").stdout.split())


def test_linear_has_null_where_it_has_no_figure() -> None:
    report = json.loads(run("linear", "--seeds", "1", "--json").stdout)
    assert [law["law"] for law in report["laws"]] == ["none", "forward", "two-way", "simple"]
    assert {law["ewt_s"] for law in report["laws"]} == {None}
    assert len(report["laws"][0]["headway_variance_s2_by_stop"]) == 30


def test_linear_shows_how_near_it_is_to_the_closed_form() -> None:
    shown = run("linear", "--seeds", "1", "--control", "simple").stdout
    assert "closed form" in " ".join(shown.split())
    assert "(+" in shown or "(-" in shown


def test_what_is_wrong_is_one_sentence(tmp_path: Path) -> None:
    assert "choose one of frequent, linear" in sentence("rare")
    assert "No such file" in sentence(str(tmp_path / "none.toml"))
    assert "no law 'magic'" in sentence("frequent", "--control", "magic")
    assert "no law 'optimal'" in sentence("linear", "--control", "optimal")
    assert "no law ''" in sentence("frequent", "--control", "none,")
    (tmp_path / "folder.toml").mkdir()
    assert "directory" in sentence(str(tmp_path / "folder.toml"))
    for content, said in (
        (b"\xff\xfe", "not UTF-8"),
        (b"#" * 70_000, "at most 65,536 bytes"),
        (b'kind = "loop"\nvehicles = -1', "vehicles: Expected `int` >= 1"),
    ):
        path = tmp_path / "bad.toml"
        path.write_bytes(content)
        assert said in sentence(str(path))
        assert str(path) in sentence(str(path))


def test_wrong_usage_is_status_2() -> None:
    assert run("frequent", "--seeds", "0").exit_code == 2
    assert run().exit_code == 2
