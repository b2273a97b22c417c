"""A made-up morning through `takt backtest`, with the truth beside it: what is matched, to which trip, and when."""

import datetime as dt

import numpy as np
import pytest

from deploy.commands import backtest
from dispatch.feed import read_feed
from simulators.city import make_city
from tests.fixtures import drives

MONDAY = dt.date(2026, 7, 13)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """An hour and a half of a small city's service: feed, recording and truth."""
    folder = tmp_path_factory.mktemp("drives")
    feed, positions = folder / "city.zip", folder / "positions.csv.gz"
    feed.write_bytes(make_city(7, MONDAY))
    network = read_feed(str(feed)).network
    made = drives.make(network, MONDAY, (7.0, 8.5), drives.Conditions(), seed=3, routes=[0, 1])
    drives.write(made, positions)
    return feed, positions, made


def test_what_vehicles_say_is_followed_to_every_stop(recorded):
    feed, positions, made = recorded
    report = backtest.run(str(feed), positions)
    assert report["matching"]["matched_share"] >= 0.92
    assert report["matching"]["offset_m_p50"] < 8
    assert report["passages"]["observed"] == pytest.approx(len(made.passages), rel=0.05)


def test_without_their_word_most_trips_are_found(recorded):
    """On streets that lines share, with two of the lines recorded; the bounds are what stands."""
    feed, positions, _ = recorded
    report = backtest.run(str(feed), positions, ignore_trips=True)
    assert report["matching"]["matched_share"] >= 0.88
    assert report["assignment"]["route_agreement"] >= 0.88
    assert report["assignment"]["trip_agreement"] >= 0.75


def test_the_drives_are_what_they_say(recorded):
    made = recorded[2]
    assert len(made.rows) > 500
    stood_s = np.array([departure - arrival for arrival, departure in made.passages.values()])
    assert np.nanmin(stood_s) >= 0
