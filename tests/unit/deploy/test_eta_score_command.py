"""`takt eta-score` as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from deploy.commands import eta_score as eta_command
from deploy.errors import UserError

HEADER = "predicted_at,predicted_arrival,actual_arrival\n"


def run(*words: str) -> Result:
    app = typer.Typer()
    eta_command.register(app)
    return CliRunner().invoke(app, list(words))


def written(tmp_path: Path, text: str) -> str:
    path = tmp_path / "p.csv"
    path.write_text(text)
    return str(path)


def sentence(tmp_path: Path, text: str) -> str:
    error = run(written(tmp_path, text)).exception
    assert isinstance(error, UserError), error
    assert "\n" not in str(error)
    return str(error)


def row(left_s: float, error_s: float) -> str:
    """A prediction made `left_s` before the arrival that came `error_s` later than predicted."""
    return f"1000,{1000 + left_s - error_s},{1000 + left_s}\n"


def score(tmp_path: Path, *rows: str) -> dict[str, object]:
    shown = run(written(tmp_path, HEADER + "".join(rows)), "--json").stdout
    return json.loads(shown)  # type: ignore[no-any-return]


def test_bounds_of_the_benchmark_are_inclusive_and_buckets_half_open(tmp_path: Path) -> None:
    good = [row(0, -30), row(179, 90), row(180, -60), row(359, 150), row(360, 210), row(600, 270), row(899, -90)]
    bad = [row(179, 91), row(180, -61), row(599, 211), row(600, -91)]
    report = score(tmp_path, *good, *bad)
    assert report["n"] == 11
    assert report["buckets"] == [
        {"from_s": 0, "to_s": 180, "n": 3, "within": 0.6667},
        {"from_s": 180, "to_s": 360, "n": 3, "within": 0.6667},
        {"from_s": 360, "to_s": 600, "n": 2, "within": 0.5},
        {"from_s": 600, "to_s": 900, "n": 3, "within": 0.6667},
    ]
    assert report["score"] == pytest.approx((3 * 2 / 3 + 0.5) / 4, abs=1e-4)


def test_what_lies_outside_every_bucket_is_counted_but_not_scored(tmp_path: Path) -> None:
    report = score(tmp_path, row(900, 0), row(-5, 0))
    assert (report["n"], report["score"]) == (2, None)


def test_columns_are_found_by_name_whatever_else_the_file_holds(tmp_path: Path) -> None:
    text = "\ufefftrip_id,actual_arrival, predicted_at ,predicted_arrival\r\na,1060,1000,1050\r\n\r\n"
    assert json.loads(run(written(tmp_path, text), "--json").stdout)["buckets"][0]["within"] == 1.0


def test_a_person_gets_a_table(tmp_path: Path) -> None:
    shown = run(written(tmp_path, HEADER + row(60, 0))).stdout
    assert "1 predictions, score 100.0%" in shown


def test_what_is_wrong_names_file_line_and_field(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    assert sentence(tmp_path, HEADER + row(60, 0) + "1000,soon,1060\n") == (
        f"{path}, line 3, predicted_arrival: 'soon' is not a time in Unix seconds."
    )
    assert "line 2, actual_arrival: ''" in sentence(tmp_path, HEADER + "1000,1060\n")
    assert "line 2, predicted_at: 'nan'" in sentence(tmp_path, HEADER + "nan,1,1\n")
    assert "line 2, predicted_at: '1771257482000'" in sentence(tmp_path, HEADER + "1771257482000,1,1\n")
    assert "line 1: there is no column actual_arrival" in sentence(tmp_path, "predicted_at,predicted_arrival\n1,2\n")
    assert "not one prediction" in sentence(tmp_path, HEADER)
    assert "there is no column predicted_at" in sentence(tmp_path, "")
    assert len(sentence(tmp_path, HEADER + "x" * 100_000 + ",1,1\n")) < 300


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    for path, said in ((tmp_path / "none.csv", "No such file"), (tmp_path, "directory")):
        error = run(str(path)).exception
        assert isinstance(error, UserError)
        assert said in str(error)
    binary = tmp_path / "b.csv"
    binary.write_bytes(b"\xff\xfe\x00")
    assert "not UTF-8" in str(run(str(binary)).exception)
