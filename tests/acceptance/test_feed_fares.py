"""A feed with fares and a tariff of three lines, given to `takt run`: taps cost what the feed says."""

from __future__ import annotations

import itertools
import json
import time
import uuid
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.product import Product, product, takt
from ticketing.card import CardKeys, sun_message

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]

UID = "04de5f1eacc040"
FEED = {
    "agency": "agency_id,agency_name,agency_url,agency_timezone\na,Town,https://example.org,America/Los_Angeles\n",
    "stops": "stop_id,stop_name,stop_lat,stop_lon,location_type,parent_station\nhub,Hub,45.50,-122.60,1,\n"
    "hub-1,Hub 1,45.50,-122.60,0,hub\nmid,Middle,45.51,-122.60,0,\nend,End,45.52,-122.60,0,\n",
    "routes": "route_id,agency_id,route_short_name,route_type\nr1,a,1,3\n",
    "trips": "route_id,service_id,trip_id\nr1,daily,t1\n",
    "stop_times": "trip_id,arrival_time,departure_time,stop_id,stop_sequence\nt1,08:00:00,08:00:00,hub-1,1\n"
    "t1,08:10:00,08:10:00,mid,2\nt1,08:20:00,08:20:00,end,3\n",
    "calendar": "service_id,monday,tuesday,wednesday,thursday,friday,saturday,sunday,start_date,end_date\n"
    "daily,1,1,1,1,1,1,1,20200101,20401231\n",
    "fare_media": "fare_media_id,fare_media_name,fare_media_type\nmetro,Metro Card,2\ncash,Cash,0\n",
    "rider_categories": "rider_category_id,rider_category_name,is_default_fare_category\n"
    "adult,Adult,1\nyouth,Youth,0\n",
    "fare_products": "fare_product_id,fare_product_name,rider_category_id,fare_media_id,amount,currency\n"
    "centre,Centre,adult,metro,2.75,USD\ncentre,Centre,youth,metro,1.25,USD\ncentre,Centre,,cash,3.00,USD\n"
    "outer,Outer,adult,metro,2.00,USD\nouter,Outer,youth,metro,1.00,USD\n",
    "areas": "area_id,area_name\nC,Centre\nO,Outer\n",
    "stop_areas": "area_id,stop_id\nC,hub\nO,mid\nO,end\n",
    "fare_leg_rules": "leg_group_id,from_area_id,fare_product_id\nc,C,centre\no,O,outer\n",
    "fare_transfer_rules": "from_leg_group_id,to_leg_group_id,duration_limit,duration_limit_type,fare_transfer_type\n"
    "c,o,5400,1,0\n",
}


def settings(folder: Path, **changed: str) -> Path:
    """Settings with the feed, some of its files changed, and a tariff that adds nothing to it."""
    with zipfile.ZipFile(folder / "feed.zip", "w") as file:
        for name, text in (FEED | changed).items():
            file.writestr(f"{name}.txt", text)
    (folder / "own.toml").write_text('version = 1\ncurrency = "USD"\ntimezone = "America/Los_Angeles"\n')
    config = folder / "takt.toml"
    config.write_text(f'feed = "{folder / "feed.zip"}"\n[ticketing]\ntariff = "{folder / "own.toml"}"\n')
    return config


@pytest.fixture
def city(tmp_path: Path) -> Iterator[Product]:
    running = product(tmp_path / "data", "run", "--config", str(settings(tmp_path)))
    running.start()
    try:
        running.ready()
        yield running
    finally:
        if running.process.poll() is None:
            running.stop()


def test_a_tap_costs_what_the_feed_says_and_the_receipt_tells_why(city: Product) -> None:
    def card(*words: str) -> str:
        return takt("card", *words, "--data-dir", str(city.data_dir), "--config", city.options[2]).stdout

    made = json.loads(card("enrol", UID, "--top-up", "1000", "--json"))["cards"][0]
    keys = CardKeys(
        made["key_version"],
        bytes.fromhex(made["meta_read_key"]),
        bytes.fromhex(made["file_read_key"]),
        diversified=False,
    )
    numbers = itertools.count(1)

    def tap(stop: str) -> Any:
        number = next(numbers)
        token = sun_message(keys, bytes.fromhex(UID), number, b"12345")
        body = {"id": str(uuid.uuid4()), "boot": "a1", "seq": number, "ts": time.time(), "medium": "card"}
        reply = city.http("/api/v1/validations", body | {"token": token, "stop_id": stop}, "validator")
        assert (reply.status, reply.json["verdict"]) == (200, "accepted"), reply.body
        return reply.json["charged_minor"], reply.json["currency"]

    # A platform of the centre's station; free from the centre; nothing is agreed between two rides outside.
    assert [tap(stop) for stop in ("hub-1", "end", "mid")] == [(275, "USD"), (0, "USD"), (200, "USD")]

    def receipt() -> str:
        words = ("receipt", UID, "--lang", "en", "--data-dir", str(city.data_dir), "--config", city.options[2])
        return takt(*words).stdout

    said = city.wait("the day to be rated", lambda: "4.75" in (text := receipt()) and text)
    assert "Fare “Centre”: US$2.75" in said
    assert "Transfer “Centre – Outer”: the first ride was at" in said
    assert ": -US$2.00" in said
    assert "Total: US$4.75" in said
    card("category", UID, "youth")
    assert tap("hub") == (125, "USD")


def test_fares_that_are_wrong_are_told_before_anything_starts(tmp_path: Path) -> None:
    rules = "leg_group_id,from_area_id,fare_product_id\nc,C,centre\no,X,outer\n"
    config = settings(tmp_path, fare_leg_rules=rules)
    done = takt("run", "--config", str(config), "--data-dir", str(tmp_path / "data"), check=False)
    assert done.returncode != 0
    assert "fare_leg_rules.txt line 3, from_area_id: 'X' is not in areas.txt: add it there" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
