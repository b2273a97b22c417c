"""Real feeds read as their publishers meant them; the counts were published beside the feeds or counted by hand."""

import datetime as dt
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dispatch.feed import Feed, read_feed
from dispatch.feed_problems import Problem
from dispatch.network import Network
from dispatch.timetable import blocks_on, busiest_weekday, running_at, runs_on, services_on, trips_on

KYIV_BLOCKS = "^([0-9]+_[0-9]+)_"


@pytest.fixture(scope="module")
def kyiv(shared: Path) -> Feed:
    return read_feed(shared / "data/kyiv/gtfs.zip", KYIV_BLOCKS)


@pytest.fixture(scope="module")
def washington(shared: Path) -> Network:
    return read_feed(shared / "data/washington/gtfs.zip").network


def check_places(network: Network) -> None:
    """Stops stand in their order within the path, and drawn paths pass near them."""
    starts = network.pattern_stop_start
    rising = np.diff(network.pattern_stop_along_m) >= 0
    rising[starts[1:-1] - 1] = True
    assert rising.all()
    length_m = network.point_along_m[network.path_start[1:] - 1][network.pattern_path]
    assert (network.pattern_stop_along_m[starts[1:] - 1] <= length_m + 0.01).all()
    assert (network.pattern_stop_along_m >= 0).all()


def test_kyiv(kyiv: Feed) -> None:
    network = kyiv.network
    assert kyiv.counts == {
        "agencies": 1, "routes": 160, "trips": 23_483, "stops": 1_464, "shapes": 2_054, "stop_times": 99_863,
    }  # fmt: skip
    assert (network.feed_version, network.timezone) == ("20260711", "Europe/Kyiv")
    assert len(network.block_id) == 2_328
    assert np.bincount(network.route_type, minlength=12)[[0, 3, 11]].tolist() == [17, 99, 44]
    assert len(network.trip_id) == 23_483
    assert network.pattern_drawn.all()
    check_places(network)
    # Depot runs carry a direction that GTFS does not have; nothing else is wrong.
    (only,) = kyiv.problems
    assert only == Problem(
        "trips.txt", 22_885, "bad_direction", "trip 1_174649_0_255 has the direction_id 255; it counts as 0", 26
    )


def test_kyiv_on_its_days(kyiv: Feed) -> None:
    network = kyiv.network
    monday, saturday = dt.date(2026, 7, 13), dt.date(2026, 7, 11)
    assert (len(trips_on(network, monday)), len(blocks_on(network, monday))) == (11_890, 1_261)
    assert (len(trips_on(network, saturday)), len(blocks_on(network, saturday))) == (10_373, 919)
    assert len(running_at(network, network.day_start_s(monday) + 8 * 3600 + 300)) == 600
    assert busiest_weekday(network, saturday) == monday


def test_kyivs_blocks_follow_one_another(kyiv: Feed) -> None:
    blocks = blocks_on(kyiv.network, dt.date(2026, 7, 13))
    runs = blocks.runs
    inner = np.ones(len(runs) - 1, dtype=bool)
    inner[blocks.start[1:-1] - 1] = False
    assert (runs.start_s[1:][inner] >= runs.end_s[:-1][inner]).all()


def test_washingtons_holiday_has_another_service(washington: Network) -> None:
    holiday, monday = dt.date(2026, 2, 16), dt.date(2026, 2, 9)
    assert [washington.service_id[i] for i in np.flatnonzero(services_on(washington, holiday))] == ["4"]
    assert [washington.service_id[i] for i in np.flatnonzero(services_on(washington, monday))] == ["9"]
    assert len(washington.trip_id) == 4_167
    assert washington.pattern_drawn.all()
    check_places(washington)


def test_sao_paulo_runs_by_frequency(shared: Path) -> None:
    feed = read_feed(shared / "data/sao_paulo/gtfs.zip")
    network = feed.network
    assert feed.counts["stops"] == 3_039
    assert len(network.frequency_trip) == 1_182
    assert len(runs_on(network, dt.date(2018, 6, 20))) > 50 * len(trips_on(network, dt.date(2018, 6, 20)))
    check_places(network)


def test_redding(shared: Path) -> None:
    feed = read_feed(shared / "data/redding/gtfs.zip")
    assert feed.problems == []
    assert feed.counts["trips"] == 282
    assert (feed.network.feed_version, feed.network.timezone) == ("20250421", "America/Los_Angeles")
    check_places(feed.network)


def test_the_command_reports_kyiv_within_its_limits(shared: Path) -> None:
    program = (
        "import sys, typer; from deploy.commands import network; app = typer.Typer(); network.register(app);"
        "app(sys.argv[1:], standalone_mode=False);"
        # Not ru_maxrss: that begins with the size of the process that started this one.
        "status = open('/proc/self/status').read();"
        "print(status.split('VmHWM:')[1].split()[0], file=sys.stderr)"
    )
    arguments = [str(shared / "data/kyiv/gtfs.zip"), "--block-pattern", KYIV_BLOCKS, "--json"]
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    assert report["shapes"] == 2_054
    assert report["blocks"] == 2_328
    assert report["services_on"]["2026-07-13"] == {"trips": 11_890, "blocks": 1_261}
    assert len(report["services_on"]) == 14
    assert int(done.stderr) < 500 * 1024  # kilobytes
