"""Reading a feed, ours beside gtfs-kit's, each in fresh processes on the same machine in the same minute.

Both times are from the start of the import of the reader to its result, the interpreter's own start left out, and the
best of several runs is taken. gtfs-kit parses the tables; ours also checks references, places the stops along their
shapes and builds patterns, blocks and calendars. The peak is the resident memory of our reading process.
"""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from deploy.errors import UserError

RUNS = 3
TIMEOUT_S = 300.0
CITY_SEED, CITY_FIRST_DAY = 1, dt.date(2026, 1, 5)

OURS = """
import json, resource, sys, time
began = time.perf_counter()
from dispatch.feed import read_feed
network = read_feed(sys.argv[1]).network
seconds = time.perf_counter() - began
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
print(json.dumps({"s": seconds, "rss_mb": peak / unit, "trips": len(network.trip_id)}))
"""

THEIRS = """
import json, sys, time
began = time.perf_counter()
import gtfs_kit
feed = gtfs_kit.read_feed(sys.argv[1], dist_units="m")
seconds = time.perf_counter() - began
print(json.dumps({"s": seconds, "trips": len(feed.trips)}))
"""


def run(gtfs: Path | None, seconds: float) -> dict[str, Any]:  # noqa: ARG001  every benchmark is asked the same way
    """Measure with this feed or, without one, with the made-up city's."""
    if gtfs is not None:
        return measure(gtfs)
    from simulators.city import make_city

    with tempfile.TemporaryDirectory() as folder:
        feed = Path(folder) / "city.zip"
        feed.write_bytes(make_city(CITY_SEED, CITY_FIRST_DAY))
        return measure(feed)


def measure(feed: Path) -> dict[str, Any]:
    """Figures and ratios of reading `feed` (contract section 4); gtfs-kit is left out where it is not installed."""
    ours = [_run("takt", OURS, feed) for _ in range(RUNS)]
    figures: dict[str, float] = {
        "load_s": min(run["s"] for run in ours),
        "peak_rss_mb": max(run["rss_mb"] for run in ours),
        "trips": ours[0]["trips"],
    }
    ratios = {}
    if _installed("gtfs_kit"):
        theirs = [_run("gtfs-kit", THEIRS, feed) for _ in range(RUNS)]
        figures["gtfs_kit_load_s"] = min(run["s"] for run in theirs)
        ratios["gtfs_kit_to_load"] = figures["gtfs_kit_load_s"] / figures["load_s"]
    return {
        "figures": {name: round(value, 3) for name, value in figures.items()},
        "ratios": {name: round(value, 2) for name, value in ratios.items()},
    }


def _run(reader: str, program: str, feed: Path) -> dict[str, Any]:
    done = subprocess.run(  # noqa: S603  our own interpreter and program
        [sys.executable, "-c", program, str(feed)], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
        raise UserError(f"{reader} could not read {feed} for the benchmark: {last[0]}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def _installed(package: str) -> bool:
    from importlib.util import find_spec

    return find_spec(package) is not None
