"""The GTFS-Realtime feeds of a recorded hour, checked by an independent validator against the recorded city's feed."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
from gtfs_rt_validator import api as validator

from dispatch.engine import Engine
from dispatch.feed import read_feed
from dispatch.service import Publisher
from simulators.replay import read_recording

STEP_S = 30.0
CHECK_EVERY = 40  # steps


def test_the_feeds_of_a_recorded_hour_have_no_error(shared: Path, tmp_path: Path) -> None:
    folder = shared / "data" / "washington"
    engine, publisher = Engine(read_feed(folder / "gtfs.zip").network), Publisher()
    fixes = read_recording(folder / "positions.csv")
    fixes = fixes.take(np.argsort(fixes.ts_s, kind="stable"))
    static = validator.prepare_feed(folder / "gtfs.zip", mode=validator.Mode.MODERN)
    start_s, done, predicted = float(fixes.ts_s[0]), 0, 0
    for step in range(1, 121):
        now_s = start_s + step * STEP_S
        end = int(np.searchsorted(fixes.ts_s, now_s, side="right"))
        engine.ingest(fixes.take(np.arange(done, end)))
        done = end
        snapshot = engine.tick(now_s)
        if step % CHECK_EVERY:
            continue
        made = publisher.publication(snapshot)
        predicted += len(snapshot.trip_updates)
        feeds = {"tu": made.pb_trip_updates, "vp": made.pb_vehicle_positions, "sa": made.pb_alerts}
        for role, message in feeds.items():
            (tmp_path / role).write_bytes(message)
        inputs = validator.resolve_roles({role: str(tmp_path / role) for role in feeds})
        at = dt.datetime.fromtimestamp(now_s + 1, dt.UTC)
        found = validator.validate(validator.Request(validator.Mode.MODERN, static, inputs, at=at))
        assert found.error_ids() == ()
        # A trip that follows in its block has no vehicle yet (W003); active_period is what readers know (S025).
        assert set(found.run.notices.rule_ids()) <= {"W003", "S025"}
    assert predicted > 20
