"""`takt network` and the benchmark of reading, as a person meets them."""

import json
import zipfile
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from deploy.bench import feed as bench
from deploy.commands import network
from deploy.errors import UserError

TABLES = {
    "agency.txt": "agency_name,agency_timezone\nA,Europe/Kyiv\n",
    "calendar.txt": "service_id,monday,tuesday,wednesday,thursday,friday,saturday,sunday,start_date,end_date\n"
    "d,1,1,1,1,1,0,0,20260105,20260130\n",
    "feed_info.txt": "feed_version,feed_start_date\n[bold]v1,20260105\n",
    "routes.txt": "route_id,route_type\nR,0\n",
    "stops.txt": "stop_id,stop_lat,stop_lon\na,50.4,30.5\nb,50.5,30.5\n",
    "trips.txt": "route_id,service_id,trip_id,direction_id\nR,d,x_1,0\nR,d,x_2,[red]7\n",
    "stop_times.txt": "trip_id,arrival_time,departure_time,stop_id,stop_sequence\n"
    "x_1,8:00:00,8:00:00,a,1\nx_1,8:30:00,8:30:00,b,2\nx_2,9:00:00,9:00:00,a,1\nx_2,9:30:00,9:30:00,b,2\n",
}


def write(path: Path, tables: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in tables.items():
            archive.writestr(name, text)
    return path


@pytest.fixture
def feed(tmp_path: Path) -> Path:
    return write(tmp_path / "gtfs.zip", TABLES)


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    network.register(app)
    return app


def test_json_is_one_document_with_the_contracts_keys(app: typer.Typer, feed: Path) -> None:
    done = CliRunner().invoke(app, [str(feed), "--block-pattern", "^(x)_", "--json"])
    assert done.exit_code == 0
    report = json.loads(done.stdout)
    names = "feed_version timezone agencies routes trips stops shapes patterns blocks stop_times"
    assert list(report) == [*names.split(), "services_on", "load_s", "problems"]
    assert report["blocks"] == 1
    assert report["services_on"]["2026-01-05"] == {"trips": 2, "blocks": 1}
    assert report["services_on"]["2026-01-10"] == {"trips": 0, "blocks": 0}
    assert list(report["services_on"])[-1] == "2026-01-18"
    (problem,) = report["problems"]
    assert (problem["file"], problem["line"], problem["code"], problem["count"]) == ("trips.txt", 3, "bad_direction", 1)


def test_tables_for_people_take_no_markup_from_the_feed(app: typer.Typer, feed: Path) -> None:
    done = CliRunner().invoke(app, [str(feed)], env={"COLUMNS": "200"})
    assert done.exit_code == 0
    assert "[bold]v1" in done.stdout
    assert "direction_id [red]7; it counts as 0" in done.stdout
    assert "2026-01-05" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere.zip"], "nowhere.zip: there is no such file or folder"),
        (["FEED", "--block-pattern", "("], "block pattern"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(app: typer.Typer, feed: Path, arguments: list[str], words: str) -> None:
    done = CliRunner().invoke(app, [str(feed) if argument == "FEED" else argument for argument in arguments])
    assert isinstance(done.exception, UserError)
    assert words in str(done.exception)


def test_help_has_an_example(app: typer.Typer) -> None:
    assert "takt network gtfs.zip" in CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"}).stdout


def test_the_benchmark_measures_both_readers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = TABLES | {"trips.txt": TABLES["trips.txt"].replace("[red]7", "1")}
    feed = write(tmp_path / "good.zip", good)
    monkeypatch.setattr(bench, "RUNS", 1)
    result = bench.measure(feed)
    assert result["figures"]["load_s"] > 0
    assert result["figures"]["gtfs_kit_load_s"] > 0
    assert result["ratios"]["gtfs_kit_to_load"] > 0
    with pytest.raises(UserError, match=r"takt could not read .*other\.zip for the benchmark: .*no such file"):
        bench.measure(feed.with_name("other.zip"))
