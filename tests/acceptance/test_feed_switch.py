"""Another version of the feed at noon: a bad one is refused whole, a good one taken over without losing a vehicle."""

from __future__ import annotations

import csv
import io
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.product import Product, product, takt

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]

Rows = list[dict[str, str]]


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A demo of its own, since the feed of all is changed."""
    running = product(tmp_path_factory.mktemp("switched") / "data", "demo")
    running.start()
    try:
        running.ready()
        yield running
    finally:
        if running.process.poll() is None:
            running.stop()


def changed(source: Path, target: Path, **edits: Callable[[Rows], Rows]) -> Path:
    """A copy of a feed in which the tables named have been edited."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            edit = edits.get(name.removesuffix(".txt"))
            if edit is not None:
                rows = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"))))
                out = io.StringIO()
                edited = edit(rows)
                writer = csv.DictWriter(out, edited[0].keys())
                writer.writeheader()
                writer.writerows(edited)
                data = out.getvalue().encode()
            new.writestr(name, data)
    return target


def version(name: str) -> Callable[[Rows], Rows]:
    return lambda rows: [{**row, "feed_version": name} for row in rows]


def feed_of(city: Product) -> Path:
    return city.data_dir / "city-1.zip"


def driving(city: Product) -> set[str]:
    return {row["vehicle_id"] for row in city.http("/api/v1/vehicles").json["vehicles"] if row["trip_id"]}


def test_a_bad_version_is_refused_whole_and_the_old_one_stays(city: Product, tmp_path: Path) -> None:
    before = city.http("/api/v1/feed").json

    def break_times(rows: Rows) -> Rows:
        rows[5] = {**rows[5], "arrival_time": "noon"}
        return rows[:6]

    bad = {
        "missing.zip": tmp_path / "missing.zip",
        "text.zip": tmp_path / "text.zip",
        "times.zip": changed(feed_of(city), tmp_path / "times.zip", stop_times=break_times),
        "zone.zip": changed(
            feed_of(city),
            tmp_path / "zone.zip",
            agency=lambda rows: [{**row, "agency_timezone": "America/New_York"} for row in rows],
        ),
        "old.zip": changed(
            feed_of(city),
            tmp_path / "old.zip",
            calendar=lambda rows: [{**row, "start_date": "20200106", "end_date": "20200112"} for row in rows],
        ),
        "column.zip": changed(
            feed_of(city),
            tmp_path / "column.zip",
            stop_times=lambda rows: [{k: v for k, v in row.items() if k != "stop_sequence"} for row in rows],
        ),
    }
    bad["text.zip"].write_text("this is no zip")
    for name, path in bad.items():
        reply = city.http("/api/v1/feed", {"source": str(path)}, "admin")
        assert reply.status == 422, (name, reply.body)
        assert "stays as it is" in reply.json["detail"]
        status = city.http("/api/v1/feed").json
        assert status["refused"]["source"] == str(path)
        assert (status["feed_version"], status["next"]) == (before["feed_version"], None)
    assert driving(city)
    assert city.http("/readyz").status == 200


def test_only_an_admin_may_change_the_feed(city: Product) -> None:
    assert city.http("/api/v1/feed", {"source": str(feed_of(city))}, "dispatcher").status == 403
    assert city.http("/api/v1/feed", {"source": str(feed_of(city))}).status == 401


def test_a_version_that_waits_can_be_taken_back(city: Product, tmp_path: Path) -> None:
    path = changed(feed_of(city), tmp_path / "later.zip", feed_info=version("later"))
    said = takt("feed", "switch", str(path), "--at", "03:30", "--data-dir", str(city.data_dir)).stdout
    assert "next     later" in said
    assert city.http("/api/v1/feed").json["next"]["at"] > time.time()
    assert city.http("/api/v1/feed/next", role="admin", method="DELETE").json["next"] is None
    assert city.http("/api/v1/feed/next", role="admin", method="DELETE").status == 404


def test_a_good_version_is_taken_over_at_its_time_and_kept_across_a_restart(city: Product, tmp_path: Path) -> None:
    city.wait("vehicles with trips", lambda: len(driving(city)) > 20)
    route = city.http("/api/v1/routes").json["routes"][0]["route_id"]
    path = changed(
        feed_of(city),
        tmp_path / "winter.zip",
        feed_info=version("winter"),
        routes=lambda rows: [{**row, "route_short_name": "W1"} if row["route_id"] == route else row for row in rows],
    )
    before = driving(city)
    at = time.time() + 12  # reading it takes a while on a busy machine
    reply = city.http("/api/v1/feed", {"source": str(path), "at": at}, "admin")
    assert reply.status == 200, reply.body
    assert reply.json["next"]["trips_kept"] == reply.json["trips"]
    city.wait("the switch", lambda: city.http("/api/v1/feed").json["feed_version"] == "winter")
    status = city.http("/api/v1/feed").json
    assert status["vehicles_kept"] >= len(before) * 0.9
    city.wait(
        "the new version in the positions", lambda: city.http("/api/v1/vehicles").json["feed_version"] == "winter"
    )
    assert len(driving(city) & before) >= len(before) * 0.9
    named = {row["route_id"]: row["short_name"] for row in city.http("/api/v1/routes").json["routes"]}
    assert named[route] == "W1"
    assert city.http("/api/v1/instance").json["feed_version"] == "winter"
    now_s = time.time()
    played = f"/api/v1/playback/stream?from={now_s - 60}&to={now_s}&speed=60"
    assert b'"feed_version":"winter"' in city.http(played, role="dispatcher").body
    headways = city.wait("headways", lambda: city.http("/api/v1/headways").json["headways"])
    assert any(row["headway_s"] is not None for row in headways)
    city.stop()
    city.start()
    city.ready()
    assert city.http("/api/v1/feed").json["feed_version"] == "winter"
