"""The Washington recording through the engine: what it follows, and what an independent count of its fixes says."""

import json
from itertools import islice

import numpy as np
import pytest
from typer.testing import CliRunner

from deploy.commands import backtest
from deploy.errors import UserError
from dispatch.feed import read_feed
from simulators.replay import read_recording


@pytest.fixture(scope="module")
def washington(shared):
    folder = shared / "data" / "washington"
    return folder / "gtfs.zip", folder / "positions.csv"


@pytest.fixture(scope="module")
def report(washington):
    return backtest.run(str(washington[0]), washington[1])


def test_the_report_has_the_shape_of_the_contract(report):
    assert set(report) == {
        *("positions", "matching", "assignment", "passages", "headway", "punctuality", "eta", "elapsed_s")
    }
    assert json.loads(json.dumps(report)) == report
    assert report["positions"] == {"read": 14_092, "admitted": 14_092, "rejected": {}}
    assert [(row["from_s"], row["to_s"]) for row in report["eta"]["horizons"]] == [
        *((0, 60), (60, 180), (180, 300), (300, 600), (600, 900))
    ]


def test_the_fixes_are_matched_where_they_are(report):
    matching = report["matching"]
    assert matching["matched_share"] > 0.95
    assert matching["offset_m_p50"] < 1
    assert matching["offset_m_p90"] < 20


def test_passages_agree_with_a_count_that_knows_nothing_of_the_engine(report, washington):
    counted = count_passages(*washington)
    assert report["passages"]["observed"] > 3300
    assert report["passages"]["observed"] == pytest.approx(counted, rel=0.05)


def test_every_route_and_direction_that_was_recorded_is_measured(report):
    assert {(row["route_id"], row["direction_id"]) for row in report["headway"]} == {
        *(("C53", 0), ("C53", 1), ("D96", 0), ("D96", 1))
    }
    for row in report["headway"]:
        assert row["ewt_s"] == pytest.approx(row["awt_s"] - row["swt_s"], abs=0.11)
        assert 0 < row["c_vh"] < 1
        assert row["los"] is None  # every headway is longer than ten minutes


def test_predictions_are_no_worse_than_the_baseline(report):
    for row in report["eta"]["horizons"]:
        assert row["n"] > 1000
        assert row["mae_s"] <= row["baseline_mae_s"]
    assert report["eta"]["score"] >= report["eta"]["baseline_score"]


def test_without_claims_the_trips_are_found(washington):
    hidden = backtest.run(str(washington[0]), washington[1], ignore_trips=True)
    assert hidden["assignment"]["given"] == 0
    assert hidden["matching"]["matched_share"] >= 0.92
    assert hidden["assignment"]["route_agreement"] >= 0.97
    assert hidden["assignment"]["trip_agreement"] >= 0.75


def test_a_file_that_is_none_gets_one_sentence(tmp_path, washington):
    with pytest.raises(UserError, match="there is no such file"):
        backtest.run(str(washington[0]), tmp_path / "none.csv")
    empty = tmp_path / "empty.csv"
    empty.write_text("timestamp,vehicle_id,latitude,longitude\n")
    with pytest.raises(UserError, match="not one position"):
        backtest.run(str(washington[0]), empty)


def test_positions_from_anywhere_else_are_said_to_be(tmp_path, washington):
    elsewhere = tmp_path / "elsewhere.csv"
    elsewhere.write_text("timestamp,vehicle_id,latitude,longitude\n1771257482,a,50.45,30.52\n1771257490,a,95,300\n")
    with pytest.raises(UserError, match=r"not one of 2 positions is fit to use \(off_map .*\); is .* their feed"):
        backtest.run(str(washington[0]), elsewhere)


def test_the_command_prints_one_document(washington, tmp_path):
    import typer

    app = typer.Typer()
    backtest.register(app)
    app.command("other")(lambda: None)
    feed, positions = washington
    first = tmp_path / "first.csv"  # the whole is read above
    with positions.open() as lines:
        first.write_text("".join(islice(lines, 3_001)))
    done = CliRunner().invoke(app, ["backtest", "--gtfs", str(feed), "--positions", str(first), "--json"])
    assert done.exit_code == 0
    report = json.loads(done.stdout)
    assert report["positions"]["read"] == 3_000
    assert report["passages"]["observed"] > 300


def count_passages(feed, positions):
    """Stops between two consecutive fixes of one vehicle on one trip, by plain projection, one fix after the other."""
    import shapely

    network, fixes = read_feed(str(feed)).network, read_recording(positions)
    x_m, y_m = network.project(fixes.lat_deg, fixes.lon_deg)
    points = np.column_stack((network.point_x_m, network.point_y_m))
    trips = {name: i for i, name in enumerate(network.trip_id)}
    tracks = {}
    for i, (key, claim) in enumerate(zip(fixes.vehicle_key, fixes.descriptor, strict=True)):
        tracks.setdefault((key, claim[0]), []).append(i)
    count = 0
    for (_, name), rows in tracks.items():
        pattern = network.trip_pattern[trips[name]]
        path = network.pattern_path[pattern]
        line = shapely.LineString(points[network.path_start[path] : network.path_start[path + 1]])
        stops_m = network.pattern_stop_along_m[
            network.pattern_stop_start[pattern] : network.pattern_stop_start[pattern + 1]
        ]
        where = shapely.points(x_m[rows], y_m[rows])
        along_m, near = shapely.line_locate_point(line, where), shapely.distance(line, where) <= 60
        seen = set()
        for a, b in zip(range(len(rows)), range(1, len(rows)), strict=False):
            if near[a] and near[b] and fixes.ts_s[rows[b]] - fixes.ts_s[rows[a]] <= 120 and along_m[b] > along_m[a]:
                seen.update(np.flatnonzero((stops_m > along_m[a]) & (stops_m <= along_m[b])).tolist())
        count += len(seen)
    return count
