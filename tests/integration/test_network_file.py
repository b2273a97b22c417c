"""Networks on disk: whole, shared, and never trusted."""

import dataclasses
import datetime as dt
import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from dispatch.feed_cache import CACHED_MAX, load_feed_cached
from dispatch.feed_problems import FeedError
from dispatch.network import Network
from dispatch.network_blocks import BlockRuleError
from dispatch.network_file import MAGIC, NetworkFileError, load_network, save_network

TABLES = {
    "agency.txt": "agency_name,agency_timezone\nA,Europe/Kyiv\n",
    "calendar_dates.txt": "service_id,date,exception_type\nd,20260105,1\n",
    "routes.txt": "route_id,route_type\nМаршрут,0\n",
    "stops.txt": "stop_id,stop_name,stop_lat,stop_lon\na,Площа,50.4,30.5\nb,🚋 Depot,50.5,30.5\n",
    "trips.txt": "route_id,service_id,trip_id,trip_headsign\nМаршрут,d,x_1,Депо\nМаршрут,d,y_1,Депо\n",
    "stop_times.txt": "trip_id,arrival_time,departure_time,stop_id,stop_sequence\n"
    "x_1,8:00:00,8:00:00,a,1\nx_1,8:30:00,8:30:00,b,2\ny_1,9:00:00,9:00:00,a,1\ny_1,9:30:00,9:30:00,b,2\n",
}


def feed(**changes: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in (TABLES | {f"{table}.txt": text for table, text in changes.items()}).items():
            archive.writestr(name, text)
    return file.getvalue()


@pytest.fixture
def network(tmp_path: Path) -> Network:
    return load_feed_cached(feed(), tmp_path / "made", "^([xy])_")


def same(one: Network, other: Network) -> bool:
    pairs = ((getattr(one, field.name), getattr(other, field.name)) for field in dataclasses.fields(Network))
    return all(np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b for a, b in pairs)


def test_comes_back_as_it_was_and_read_only(network: Network, tmp_path: Path) -> None:
    moved = dataclasses.replace(network, shift_s=1.5, feed_start_date=dt.date(2026, 1, 5))
    save_network(moved, tmp_path / "a.network")
    loaded = load_network(tmp_path / "a.network")
    assert same(loaded, moved)
    assert loaded.stop_name == ["Площа", "🚋 Depot"]
    assert loaded.block_id == ["x", "y"]
    assert not loaded.departure_s.flags.writeable
    assert loaded.service_runs.dtype == np.bool_
    assert list(tmp_path.glob("*.draft")) == []


@pytest.mark.parametrize(
    "content",
    [b"", b"x", b"not a network at all", MAGIC + b"\xff" * 8, MAGIC + (2).to_bytes(8, "little") + b"{}"],
    ids=["empty", "short", "other", "absurd header", "empty header"],
)
def test_refuses_what_is_no_network(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.network"
    path.write_bytes(content)
    with pytest.raises(NetworkFileError, match=r"bad\.network is"):
        load_network(path)


def test_refuses_a_file_that_is_cut_short(network: Network, tmp_path: Path) -> None:
    path = tmp_path / "cut.network"
    save_network(network, path)
    os.truncate(path, path.stat().st_size - 64)
    with pytest.raises(NetworkFileError, match="cut short"):
        load_network(path)


def test_reads_a_feed_once_and_again_after_damage_or_other_options(tmp_path: Path) -> None:
    first = load_feed_cached(feed(), tmp_path, "^([xy])_")
    (path,) = tmp_path.iterdir()
    inode = path.stat().st_ino
    assert same(load_feed_cached(feed(), tmp_path, "^([xy])_"), first)
    assert path.stat().st_ino == inode
    path.unlink()  # what is mapped keeps its pages
    path.write_bytes(b"damaged")
    assert same(load_feed_cached(feed(), tmp_path, "^([xy])_"), first)
    assert load_feed_cached(feed(), tmp_path).block_id == []
    assert len(list(tmp_path.iterdir())) == 2


def test_keeps_only_the_latest_networks(tmp_path: Path) -> None:
    other = tmp_path / "demo.network"
    other.touch()
    for number in range(CACHED_MAX + 2):
        load_feed_cached(feed(feed_info=f"feed_version\nv{number}\n"), tmp_path)
    assert len(list(tmp_path.iterdir())) == CACHED_MAX + 1
    assert other.exists()


def test_the_readers_refusal_reaches_the_caller(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match=r"^agency\.txt, line 2: agency_timezone 'Nowhere' is no time zone") as refusal:
        load_feed_cached(feed(agency="agency_timezone\nNowhere\n"), tmp_path)
    assert (refusal.value.file, refusal.value.line) == ("agency.txt", 2)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FeedError, match="there is no such file or folder"):
        load_feed_cached(tmp_path / "nowhere.zip", tmp_path)
    with pytest.raises(BlockRuleError):
        load_feed_cached(feed(), tmp_path, "(")


def test_the_caller_never_loads_the_reader(tmp_path: Path) -> None:
    path = tmp_path / "feed.zip"
    path.write_bytes(feed())
    program = (
        "import sys; from pathlib import Path; from dispatch.feed_cache import load_feed_cached; "
        "load_feed_cached(sys.argv[1], Path(sys.argv[2])); print('polars' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path), str(tmp_path / "cache")], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
