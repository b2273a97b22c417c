"""Our feeds beside the static feed, read by a program that nobody here wrote (gtfsr-kit): a recorded hour of a city."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from zoneinfo import ZoneInfo

import gtfs_kit
import numpy as np
import pytest

from dispatch.engine import Engine
from dispatch.feed import read_feed
from dispatch.notices import Known, Notice, NoticeRequest, write
from dispatch.realtime import notice_entities
from dispatch.service import Publisher
from simulators.replay import read_recording

reader = pytest.importorskip("gtfsr_kit", reason="needs the package gtfsr-kit, a reader of GTFS-Realtime")

TICKS = 60
STEP_S = 30.0


def test_another_program_finds_our_predictions_at_its_own_stop_times(shared: Path, tmp_path: Path) -> None:
    folder = shared / "data" / "washington"
    network = read_feed(folder / "gtfs.zip").network
    engine = Engine(network)
    fixes = read_recording(folder / "positions.csv")
    instants = float(fixes.ts_s[0]) + STEP_S * np.arange(1, TICKS + 1)
    done = 0
    for now_s, end in zip(instants.tolist(), np.searchsorted(fixes.ts_s, instants, side="right").tolist(), strict=True):
        engine.ingest(fixes.take(np.arange(done, end)))
        snapshot, done = engine.tick(now_s), end
    made = Publisher().publication(snapshot)
    known = Known(network.route_id, network.stop_id, network.trip_id)
    asked = NoticeRequest("detour_accident", route_ids=[network.route_id[0]], values={"place": "Main Street"})
    notice = write(asked, known, "n1", "dispatcher", now_s)
    assert isinstance(notice, Notice)
    feeds = {}
    for name, message in {
        "trip-updates": made.pb_trip_updates,
        "vehicle-positions": made.pb_vehicle_positions,
        "alerts": made.pb_alerts + notice_entities([notice]),
    }.items():
        (tmp_path / name).write_bytes(message)
        feeds[name] = reader.read_feed(tmp_path / name)
    date = dt.datetime.fromtimestamp(now_s, ZoneInfo(network.timezone)).strftime("%Y%m%d")
    times = reader.build_augmented_stop_times(
        [feeds["trip-updates"]], gtfs_kit.read_feed(folder / "gtfs.zip", dist_units="km"), date
    )
    found = times[times["arrival_delay"].notna()]
    ours = {
        (update.trip_id, stop.stop_sequence): stop.arrival_at - stop.scheduled_at
        for update in snapshot.trip_updates
        for stop in update.stops
        if update.start_date == date
    }
    rows = zip(found["trip_id"], found["stop_sequence"], found["arrival_delay"], strict=True)
    off_s = [abs(delay_s - ours[trip_id, int(sequence)]) for trip_id, sequence, delay_s in rows]
    assert len(off_s) > 300
    assert len(off_s) >= 0.95 * len(ours)
    assert max(off_s) < 5.0  # whole seconds, and each stop later than the one before
    assert {"vehicle", "id"} <= set(reader.feed_to_dict(feeds["vehicle-positions"])["entity"][0])
    (told,) = [one for one in reader.feed_to_dict(feeds["alerts"])["entity"] if one["id"] == "n:n1"]
    languages = [one["language"] for one in told["alert"]["headerText"]["translation"]]
    assert sorted(languages) == ["en", "uk"]
