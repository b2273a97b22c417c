"""Trips of frequencies.txt through the whole chain, with and without exact_times, over midnight and changed clocks."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from google.transit import gtfs_realtime_pb2 as rt

from dispatch import realtime
from dispatch.claims import Timetable
from dispatch.engine import Engine

STRAIGHT = ((0, 0), (4000, 0))
STOPS = (0, 1000, 2000, 3000, 4000)
MIDNIGHT = 24 * 3600
KYIV = ZoneInfo("Europe/Kyiv")
FORWARD, BACK = dt.date(2026, 3, 29), dt.date(2026, 10, 25)  # clocks change in the night before the morning


@pytest.fixture
def line(road, pattern):
    """A road of 4 km at 10 m/s, a departure every five minutes from `start_s` to `end_s`."""

    def make(start_s, end_s, *, exact):
        return road(pattern(STRAIGHT, STOPS, {"f": 0}), frequencies=[("f", start_s, end_s, 300, exact)])

    return make


def drive(engine, line, starts, from_s, to_s, *, claim="f"):
    """Vehicles "0", "1", ... that set off at these seconds of the service day, a fix every ten seconds."""
    for now_s in range(from_s, to_s + 1, 10):
        rows = [
            (str(i), claim if isinstance(claim, str) else claim[i], now_s, min(max((now_s - start_s) * 10, 0), 4000), 0)
            for i, start_s in enumerate(starts)
        ]
        engine.ingest(line.fixes(*rows))
        snapshot = engine.tick(line.zero_s + now_s)
    return snapshot


def described(snapshot, network):
    """Start and relationship of each trip update and each vehicle position, and whether any stop has a delay."""
    place = realtime.Place(loose=realtime.place_of(network).loose)
    context = realtime.context_of(snapshot.vehicles, int(snapshot.as_of_s), place)
    updates, positions = rt.FeedMessage(), rt.FeedMessage()
    updates.ParseFromString(realtime.trip_updates(snapshot.trip_updates, context))
    positions.ParseFromString(realtime.vehicle_positions(snapshot.vehicles, context))
    told = [entity.trip_update for entity in updates.entity]
    return (
        sorted((one.trip.start_date, one.trip.start_time, one.trip.schedule_relationship) for one in told),
        sorted((e.vehicle.trip.start_date, e.vehicle.trip.start_time) for e in positions.entity),
        any(stop.arrival.HasField("delay") for one in told for stop in one.stop_time_update),
    )


def test_without_exact_times_a_departure_has_a_start_of_its_own_and_no_schedule(line):
    frequent = line(3600, 7200, exact=False)
    snapshot = drive(Engine(frequent.network), frequent, (3620, 3890), 3600, 3950)
    updates, positions, delayed = described(snapshot, frequent.network)
    assert updates == [(("20260713"), start, rt.TripDescriptor.UNSCHEDULED) for start in ("01:00:00", "01:05:00")]
    assert positions == [("20260713", "01:00:00"), ("20260713", "01:05:00")]
    assert not delayed
    follower = next(row for row in snapshot.headways if row.vehicle_id == "1")
    assert (follower.scheduled_headway_s, follower.leader_id) == (300, "0")
    assert follower.headway_s == pytest.approx(270, abs=2)


def test_with_exact_times_it_is_a_trip_like_any_other(line):
    frequent = line(3600, 7200, exact=True)
    claims = [("f", None, None, "20260713", start, None) for start in ("01:00:00", "01:10:00")]
    snapshot = drive(Engine(frequent.network), frequent, (3620, 4190), 3600, 4250, claim=claims)
    updates, positions, delayed = described(snapshot, frequent.network)
    assert (updates[-1], positions[-1]) == (
        ("20260713", "01:10:00", rt.TripDescriptor.SCHEDULED),
        ("20260713", "01:10:00"),
    )
    assert delayed
    follower = next(row for row in snapshot.headways if row.vehicle_id == "1")
    assert follower.scheduled_headway_s == 600  # of the two departures, not of the row


def test_only_exact_times_are_missed_or_left_late(line):
    """Of nine departures every second one is driven, and at the end one vehicle does not set off."""
    kinds = {}
    for exact in (True, False):
        frequent = line(3600, 7200, exact=exact)
        engine = Engine(frequent.network)
        starts = [3600 + 300 * i for i in (0, 1, 2, 4)]
        claims = [("f", None, None, "20260713", f"01:{5 * i:02d}:00", None) for i in (0, 1, 2, 4)]
        long = replace(
            frequent.network, arrival_s=frequent.network.arrival_s * 9, departure_s=frequent.network.departure_s * 9
        )
        engine = Engine(long)
        for now_s in range(3500, 5300, 20):
            rows = [
                (str(i), claims[i], now_s, min(max((now_s - start_s) * 10 / 9, 0), 4000) if i < 3 else 0, 0)
                for i, start_s in enumerate(starts)
            ]
            engine.ingest(frequent.fixes(*rows))
            snapshot = engine.tick(frequent.zero_s + now_s)
        kinds[exact] = {alert.kind for alert in snapshot.alerts if alert.kind in ("missing", "late_departure")}
    assert kinds == {True: {"missing", "late_departure"}, False: set()}


@pytest.mark.parametrize("exact", [True, False])
def test_a_departure_at_midnight_belongs_to_the_day_whose_timetable_it_is(line, exact):
    frequent = line(23 * 3600, MIDNIGHT + 3600, exact=exact)
    snapshot = drive(Engine(frequent.network), frequent, (MIDNIGHT, MIDNIGHT + 300), MIDNIGHT - 60, MIDNIGHT + 360)
    assert {(row.start_date, row.start_time) for row in snapshot.vehicles} == {
        ("20260713", "24:00:00"),
        ("20260713", "24:05:00"),
    }
    assert next(row for row in snapshot.headways if row.vehicle_id == "1").scheduled_headway_s == 300


def test_a_claim_of_the_day_before_keeps_its_date_where_both_days_have_the_departure(road, pattern):
    rows = [("f", 0, 3600, 300, False), ("f", 23 * 3600, MIDNIGHT + 3600, 300, False)]
    both = road(pattern(STRAIGHT, STOPS, {"f": 0}), frequencies=rows)
    engine = Engine(both.network)
    claims = [("f", None, None, "20260713", "24:00:00", None), ("f", None, None, "20260714", "00:05:00", None)]
    snapshot = drive(engine, both, (MIDNIGHT, MIDNIGHT + 300), MIDNIGHT - 60, MIDNIGHT + 400, claim=claims)
    found = {row.vehicle_id: (row.start_date, row.start_time) for row in snapshot.vehicles}
    assert found == {"0": ("20260713", "24:00:00"), "1": ("20260714", "00:05:00")}


def test_a_trip_that_is_cancelled_says_which_departure(line):
    frequent = line(3600, 7200, exact=False)
    engine = Engine(frequent.network)
    engine.cancel("f", ("20260713", "01:10:00"), "dispatcher", frequent.zero_s + 3700)
    snapshot = drive(engine, frequent, (3600,), 3600, 3700)
    context = realtime.context_of(snapshot.vehicles, int(snapshot.as_of_s), realtime.place_of(frequent.network))
    message = rt.FeedMessage()
    message.ParseFromString(realtime.trip_updates(snapshot.trip_updates, context, snapshot.cancelled))
    (gone,) = [e for e in message.entity if e.trip_update.trip.schedule_relationship == rt.TripDescriptor.CANCELED]
    assert (gone.trip_update.trip.start_date, gone.trip_update.trip.start_time) == ("20260713", "01:10:00")
    assert len(message.entity) == 2


def test_a_row_says_itself_whether_its_times_are_exact(road, pattern):
    rows = [("f", 7200, 9000, 600, True), ("f", 3600, 7200, 300, False)]
    mixed = Timetable(road(pattern(STRAIGHT, STOPS, {"f": 0}), frequencies=rows).network)
    zero_s = mixed.network.day_start_s(dt.date(2026, 7, 13))
    found = mixed.frequent_s(np.array([0, 0]), np.array([zero_s + 3900, zero_s + 7800]))
    assert (found[0], np.isnan(found[1])) == (300, True)


# -- nights ------------------------------------------------------------------------------------------------------------


def kyiv(network, around):
    """The network in Kyiv, with service from two days before a day."""
    return replace(network, timezone="Europe/Kyiv", first_date=around - dt.timedelta(days=2))


def at(date, hour, minute, fold=0):
    return dt.datetime(date.year, date.month, date.day, hour, minute, tzinfo=KYIV, fold=fold).timestamp()


@pytest.fixture
def night(road, pattern):
    """Plain trips at 00:15, 03:30 and 27:30, each of 400 s."""
    trips = {"early": 900, "three": 3 * 3600 + 1800, "late": 27 * 3600 + 1800}
    return road(pattern(STRAIGHT, STOPS, trips)).network


@pytest.mark.parametrize(
    ("around", "trip", "now", "date"),
    [
        # Noon less twelve hours is 23:00 of the evening before, when clocks go forward, and 01:00 when they go back.
        (FORWARD, "early", (FORWARD - dt.timedelta(days=1), 23, 16), FORWARD),
        (FORWARD, "three", (FORWARD, 4, 31), FORWARD - dt.timedelta(days=1)),
        (BACK, "early", (BACK, 1, 16), BACK),
        (BACK, "late", (BACK, 3, 31), BACK - dt.timedelta(days=1)),
        (
            FORWARD + dt.timedelta(days=3),
            "early",
            (FORWARD + dt.timedelta(days=3), 0, 16),
            FORWARD + dt.timedelta(days=3),
        ),
    ],
)
def test_runs_are_found_in_the_night_in_which_clocks_change(night, around, trip, now, date):
    timetable = Timetable(kyiv(night, around))
    now_s = at(*now)
    due = timetable.due_at(now_s)
    index = timetable.trip_by_id["late" if trip == "three" else trip]
    found = [
        timetable.start_date(int(one), float(due.day_start_s[day] + offset))
        for one, day, offset, start_s, end_s in zip(
            due.trip, due.day, due.offset_s, due.start_s, due.end_s, strict=True
        )
        if one == index and start_s <= now_s <= end_s
    ]
    assert found == [date.strftime("%Y%m%d")]
    claim = timetable.read_claim((timetable.network.trip_id[index], None, None, None, None, None), now_s, {})
    assert timetable.start_date(claim.trip, claim.zero_s) == date.strftime("%Y%m%d")


def test_the_first_trip_of_tomorrow_is_due_before_midnight(night):
    timetable = Timetable(kyiv(night, dt.date(2026, 7, 14)))
    due = timetable.due_at(at(dt.date(2026, 7, 14), 0, 6))
    assert "early" in {night.trip_id[i] for i in due.trip}
    timetable = Timetable(
        kyiv(replace(night, departure_s=night.departure_s - 600, arrival_s=night.arrival_s - 600), dt.date(2026, 7, 14))
    )
    due = timetable.due_at(at(dt.date(2026, 7, 13), 23, 56))
    assert "early" in {night.trip_id[i] for i in due.trip}


def test_a_block_signed_on_to_before_midnight_is_tomorrows(road, pattern):
    late = pattern(STRAIGHT, STOPS, {"a": 600, "b": 3600}, blocks={"a": "night", "b": "night"})
    timetable = Timetable(road(late).network)
    now_s = timetable.network.day_start_s(dt.date(2026, 7, 14)) - 300
    claim = timetable.read_claim((None, None, None, None, None, "night"), now_s, {})
    assert (timetable.network.trip_id[claim.trip], timetable.start_date(claim.trip, claim.zero_s)) == ("a", "20260714")
