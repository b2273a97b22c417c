"""What vehicles write is what the gateway reads."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from dispatch.network import Network
from gateway.position import decode_position
from gateway.refusal import Refusal
from gateway.wire import decode_vehicle_event
from simulators.drivers import Note
from simulators.duties import plan_duties
from simulators.frames import frame_of
from simulators.onboard import Onboard, obey
from simulators.vehicles import Fleet, VehicleSettings

DAY = dt.date(2026, 7, 13)
MakeLine = Callable[..., Network]


def on_the_road(network: Network) -> tuple[Fleet, Onboard, float]:
    now_s = network.day_start_s(DAY) + 28_800 + 400
    duties = plan_duties(network, now_s - 3_600, now_s + 3_600)
    fleet = Fleet(network, duties, VehicleSettings(), rng=np.random.default_rng(1), now_s=now_s)
    return fleet, Onboard(network, duties, "b1"), now_s


def test_a_position_says_everything_a_dispatcher_needs(line: MakeLine) -> None:
    fleet, onboard, now_s = on_the_road(line())
    frame = frame_of(fleet, np.array([0]), now_s)

    ((vehicle, payload),) = onboard.positions(frame, [now_s])
    fix = decode_position(payload)

    assert vehicle == 0
    assert not isinstance(fix, Refusal)
    assert (fix.trip_id, fix.route_id, fix.direction_id, fix.block_id) == ("T0", "R", 0, "B.0")
    assert (fix.start_date, fix.start_time) == ("20260713", "08:00:00")
    assert (fix.lat, fix.lon) == pytest.approx((frame.lat_deg[0], frame.lon_deg[0]), abs=1e-6)
    assert fix.ts == pytest.approx(now_s)
    assert fix.occupancy is not None
    assert json.loads(payload)["seq"] == 1


def test_no_trip_no_claim(line: MakeLine) -> None:
    fleet, onboard, now_s = on_the_road(line())
    frame = frame_of(fleet, np.array([0]), now_s)
    onboard.positions(frame, [now_s])

    ((_, payload),) = onboard.positions(replace(frame, run=np.array([-1])), [now_s])

    assert json.loads(payload).keys().isdisjoint({"trip_id", "route_id", "block_id"})


def test_a_departure_of_a_frequency_names_its_own_start(line: MakeLine) -> None:
    fleet, onboard, now_s = on_the_road(line(blocks=False, frequency=True, headway_s=300))

    fixes = [
        decode_position(payload) for _, payload in onboard.positions(frame_of(fleet, np.array([1]), now_s), [now_s])
    ]

    assert [(fix.trip_id, fix.start_time, fix.block_id) for fix in fixes if not isinstance(fix, Refusal)] == [
        ("T0", "08:05:00", None)
    ]


def test_trips_after_midnight_keep_their_day(line: MakeLine) -> None:
    network = line(first_s=25 * 3600)
    now_s = network.day_start_s(DAY) + 25 * 3600 + 400
    duties = plan_duties(network, now_s - 3_600, now_s + 600)
    fleet = Fleet(network, duties, VehicleSettings(), rng=np.random.default_rng(1), now_s=now_s)

    ((_, payload),) = Onboard(network, duties, "b").positions(frame_of(fleet, np.array([0]), now_s), [now_s])

    assert json.loads(payload)["start_time"] == "25:00:00"
    assert json.loads(payload)["start_date"] == "20260713"


def test_every_event_is_one_that_the_gateway_knows(line: MakeLine) -> None:
    fleet, onboard, now_s = on_the_road(line())
    payloads = [
        onboard.sign_on(0, fleet, now_s),
        onboard.sign_off(now_s),
        onboard.alarm(now_s),
        onboard.answer(Note(0, now_s, "instruction_read", "i-1")),
        onboard.answer(Note(0, now_s, "instruction_done", "i-1")),
    ]
    events = [decode_vehicle_event(payload, "city/B-0", now_s) for payload in payloads]

    assert not [event for event in events if isinstance(event, Refusal)]


@pytest.mark.parametrize(
    "payload", [b"", b"{", b"[]", b'{"id": 3, "kind": "hold"}', b'{"kind": "hold", "until_ts": 1}']
)
def test_garbage_is_no_instruction(line: MakeLine, payload: bytes) -> None:
    fleet, _, now_s = on_the_road(line())

    assert not obey(fleet, 0, payload, now_s)
    assert fleet.drivers.due(now_s + 60.0) == []


@pytest.mark.parametrize("until", ["null", '"soon"', "1e400"])
def test_a_hold_without_a_time_is_only_read(line: MakeLine, until: str) -> None:
    fleet, _, now_s = on_the_road(line())

    obey(fleet, 0, f'{{"id": "i-1", "kind": "hold", "until_ts": {until}}}'.encode(), now_s)

    assert not fleet.drivers.ordered()
