"""Columns: what was said stands in its row, what was not is nan or None."""

import numpy as np

from gateway.batch import build, describe
from gateway.position import Position


def test_columns_hold_what_was_said() -> None:
    said = Position(5.0, 50.0, 30.0, 8.0, 121.0, 4.0, 1000.0, "t", "r", 1, "20260711", "25:10:00", "b", "EMPTY")
    batch = build(["op/1", "op/2"], [said, Position(6.0, 51.0, 31.0)], 7.0)
    assert len(batch) == 2
    assert (batch.ts_s.tolist(), batch.lat_deg.tolist(), batch.lon_deg.tolist()) == ([5, 6], [50, 51], [30, 31])
    assert batch.received_s.tolist() == [7, 7]
    assert (batch.speed_mps[0], batch.bearing_deg[0], batch.accuracy_m[0], batch.odometer_m[0]) == (8, 121, 4, 1000)
    assert np.isnan([batch.speed_mps[1], batch.bearing_deg[1], batch.accuracy_m[1], batch.odometer_m[1]]).all()
    assert batch.descriptor == [("t", "r", 1, "20260711", "25:10:00", "b"), None]
    assert batch.occupancy == ["EMPTY", None]


def test_what_cannot_be_true_is_unknown_and_the_place_stays() -> None:
    odd = Position(5.0, 50.0, 30.0, speed_mps=-1.0, bearing_deg=361.0, accuracy_m=-5.0, odometer_m=float("nan"))
    batch = build(["op/1", "op/1"], [odd, Position(6.0, 50.0, 30.0, speed_mps=101.0)], 7.0)
    assert np.isnan(batch.speed_mps).all()
    assert np.isnan([batch.bearing_deg[0], batch.accuracy_m[0], batch.odometer_m[0]]).all()
    assert batch.lat_deg.tolist() == [50, 50]


def test_a_claim_without_a_trip_route_or_block_is_none() -> None:
    assert describe(Position(5.0, 50.0, 30.0, direction_id=1, start_date="20260711")) is None


def test_a_date_time_or_direction_that_is_none_is_left_out_of_the_claim() -> None:
    fix = Position(5.0, 50.0, 30.0, route_id="r", direction_id=7, start_date="11.07.2026", start_time="noon")
    assert describe(fix) == (None, "r", None, None, None, None)


def test_where_takes_the_marked_rows() -> None:
    batch = build(["op/1", "op/2", "op/3"], [Position(float(ts), 50.0, 30.0) for ts in range(3)], 7.0)
    some = batch.where(np.array([True, False, True]))
    assert (some.vehicle_key, some.ts_s.tolist()) == (["op/1", "op/3"], [0, 2])
    assert batch.where(np.ones(3, bool)) is batch


def test_a_service_date_from_a_clock_that_is_days_off_is_left_out_of_the_claim() -> None:
    said = [Position(ts, 50.0, 30.0, trip_id="t", start_date="20260710") for ts in (5.0, 600.0, 90_000.0)]
    batch = build(["op/1", "op/2", "op/3"], said, 7.0).at_times(np.full(3, 5.0))
    assert batch.ts_s.tolist() == [5, 5, 5]
    assert [claim and claim[3] for claim in batch.descriptor] == ["20260710", "20260710", None]
