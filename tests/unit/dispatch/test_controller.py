"""A bunched pair on a straight line: what is advised, by whom it is decided, and what is kept of it."""

from __future__ import annotations

from itertools import count
from typing import Any

import msgspec
import numpy as np
import pytest

from dispatch.advice import Advice
from dispatch.control import ControlTable, LineControl
from dispatch.controller import Controller
from dispatch.engine import Engine
from dispatch.history_rows import Decision
from dispatch.holding import LAWS
from dispatch.instructions import Instruction

LENGTH_M = 6000
STOPS = tuple(range(0, LENGTH_M + 1, 500))  # every 50 s by the timetable; held at every third
ROAD = ((0, 0), (LENGTH_M, 0))
BEGIN_S = 36_000
EVERY_S = 300.0


class Line:
    """Vehicles that drive 10 m/s on a straight road, an engine with its controller, and what comes out of it."""

    def __init__(self, road: Any, pattern: Any, **late_s: float) -> None:
        trips = {f"t{n}": BEGIN_S + EVERY_S * n for n in range(4)}
        self.road = road(pattern(ROAD, STOPS, trips, stops=[f"s{n}" for n in range(len(STOPS))]))
        self.engine = Engine(self.road.network)
        self.decisions: list[Decision] = []
        ids = count(1)
        self.controller = Controller(self.decisions.append, lambda: f"id{next(ids)}")
        self.begins_s = {f"{n}": BEGIN_S + EVERY_S * n + late_s.get(f"v{n}", 0.0) for n in range(4)}
        self.held_s = dict.fromkeys(self.begins_s, 0.0)
        self.silent: set[str] = set()
        self.at_s = float(BEGIN_S)

    @property
    def now_s(self) -> float:
        return float(self.road.zero_s + self.at_s)

    def run(self, until_s: float, step_s: float = 5.0) -> None:
        while self.at_s < until_s:
            self.at_s += step_s
            rows = []
            for vehicle, begins_s in self.begins_s.items():
                driven_s = self.at_s - begins_s - self.held_s[vehicle]
                if driven_s >= -350 and vehicle not in self.silent:
                    rows.append((vehicle, f"t{vehicle}", self.at_s, np.clip(10.0 * driven_s, 0, LENGTH_M), 0))
            if rows:
                self.engine.ingest(self.road.fixes(*rows))
            self.controller.observe(self.engine, self.engine.tick(self.now_s))

    def switch(self, mode: Any, law: str | None = None) -> None:
        line = self.controller.set_mode("R", mode, law, "desk1", self.now_s)
        assert not isinstance(line, str)

    def advice(self, *stops: str) -> list[Advice]:
        found = msgspec.json.decode(self.controller.published.advice, type=list[Advice])
        return [one for one in found if one.stop_id in (stops or ("s3",))]

    def instructions(self) -> list[Instruction]:
        return msgspec.json.decode(self.controller.published.instructions, type=list[Instruction])

    def at_stop_3(self, vehicle: int) -> float:
        """Shortly before a vehicle comes to the first control stop."""
        return self.begins_s[f"{vehicle}"] + 150 - 30


@pytest.fixture
def line(road, pattern):
    """Vehicle 1 follows 0 after 80 s instead of 300 s; 2 and 3 are on time."""
    made = Line(road, pattern, v0=220.0)
    made.run(BEGIN_S + 320)
    return made


def test_a_line_that_is_off_gets_no_advice(line) -> None:
    line.run(line.at_stop_3(1) + 30)
    assert line.advice() == []
    assert line.decisions == []


@pytest.mark.parametrize("law", ["forward", "two-way", "even", "prediction", "optimal"])
def test_the_follower_of_a_bunched_pair_is_to_be_held(line, law) -> None:
    line.switch("advise", law)
    line.run(line.at_stop_3(1))
    (advice,) = [one for one in line.advice() if one.vehicle_id == "1"]
    assert (advice.kind, advice.state, advice.law) == ("hold", "open", law)
    assert 30 <= advice.hold_s <= 90
    assert advice.hold_s % 10 == 0
    assert advice.effect.headway_s == pytest.approx(80, abs=15)
    assert advice.effect.headway_after_s == advice.effect.headway_s + advice.hold_s
    assert advice.effect.behind_s == pytest.approx(300, abs=20)
    assert advice.effect.riders_wait_saved_s is not None
    assert advice.effect.riders_wait_saved_s > 0
    together = advice.effect.joint
    assert together is not None
    assert together.vehicles == 2
    assert together.excess_wait_after_s < together.excess_wait_s
    assert f"from {round(together.excess_wait_s)} to {round(together.excess_wait_after_s)} s" in advice.reason["en"]
    assert advice.expires_at == pytest.approx(line.now_s + 30, abs=15)
    assert "vehicle 0" in advice.reason["en"]
    assert "машини 0" in advice.reason["uk"]
    assert {one.vehicle_id for one in line.advice()} == {"1"}
    assert line.instructions() == []


def test_who_keeps_his_distance_is_not_held(road, pattern) -> None:
    line = Line(road, pattern)
    line.run(BEGIN_S + 10)
    line.switch("advise", "forward")
    line.run(BEGIN_S + 1500)
    assert line.advice() == []


def test_the_first_vehicle_has_nobody_ahead_and_that_is_said(road, pattern) -> None:
    line = Line(road, pattern)
    line.run(BEGIN_S + 10)
    line.switch("advise", "forward")
    line.run(line.begins_s["0"] + 300)
    assert line.controller.counters["advice_none.no_vehicle_ahead"] >= 1


def test_an_applied_advice_is_an_instruction_and_a_decision(line) -> None:
    line.switch("advise", "prediction")
    line.run(line.at_stop_3(1))
    (advice,) = line.advice()
    done = line.controller.apply(advice.id, None, "desk1", line.now_s)
    assert isinstance(done, Advice)
    (order,) = line.controller.orders
    assert (order.vehicle_id, order.kind, order.stop_id, order.hold_s) == ("1", "hold", "s3", advice.hold_s)
    assert order.until_ts == pytest.approx(advice.expires_at + advice.hold_s + 30, abs=2)
    assert (order.by, order.automatic, order.advice_id, order.state) == ("desk1", False, advice.id, "sent")
    mode, decision = line.decisions
    assert (mode.kind, mode.state, mode.decided_by) == ("mode", "advise", "desk1")
    assert (decision.id, decision.kind, decision.state, decision.vehicle) == (advice.id, "hold", "applied", "op/1")
    assert decision.known["situation"]["scheduled_headway_s"] == 300
    assert decision.known["law"] == "prediction"
    assert decision.known["gains"]["alpha_forward"] == 0.2
    assert msgspec.json.encode(decision.known)
    assert line.controller.apply(advice.id, None, "desk1", line.now_s) == "closed"
    assert line.controller.apply("id999", None, "desk1", line.now_s) == "unknown"
    assert [one.state for one in line.advice()] == ["applied"]


def test_what_becomes_of_the_instruction_is_added_to_the_decision(line) -> None:
    line.switch("advise", "prediction")
    line.run(line.at_stop_3(1))
    (advice,) = line.advice()
    line.controller.apply(advice.id, 60.0, "desk1", line.now_s)
    (order,) = line.controller.orders
    line.controller.progress(order.id, True, line.now_s)
    line.held_s["1"] = 60.0
    for kind in ("instruction_read", "instruction_done"):
        event = {"vehicle_key": "op/1", "event": kind, "instruction_id": order.id}
        line.controller.event(event, line.now_s)
        line.controller.event(event, line.now_s)
        line.run(line.at_s + 30)
    assert [one.state for one in line.instructions()] == ["done"]
    last = line.decisions[-1]
    assert (last.id, last.state, last.known["hold_s"]) == (advice.id, "changed", 60.0)
    assert last.known["instruction"]["state"] == "done"
    assert last.known["instruction"]["read_at"] <= last.known["instruction"]["done_at"]


def test_a_declined_advice_does_not_come_back_at_that_stop(line) -> None:
    line.switch("advise", "prediction")
    line.run(line.at_stop_3(1))
    (advice,) = line.advice()
    assert isinstance(line.controller.decline(advice.id, "desk1", "a wheelchair is boarding", line.now_s), Advice)
    line.run(line.at_s + 25)
    assert [one.state for one in line.advice()] == ["declined"]
    assert line.decisions[-1].state == "declined"
    assert line.decisions[-1].known["decline_reason"] == "a wheelchair is boarding"
    assert not line.controller.orders
    assert line.controller.decline(advice.id, "desk1", None, line.now_s) == "closed"


def test_what_nobody_decides_expires_when_the_vehicle_has_left(line) -> None:
    line.switch("advise", "prediction")
    line.run(line.at_stop_3(1))
    line.run(line.at_s + 60)
    assert [one.state for one in line.advice()] == ["expired"]
    assert [d.state for d in line.decisions if d.kind == "hold"] == ["expired"]
    assert line.decisions[-1].decided_by == ""


def test_an_automatic_line_sends_by_itself(line) -> None:
    line.switch("automatic", "prediction")
    line.run(line.at_stop_3(1) + 20)
    (order,) = line.controller.orders
    assert (order.automatic, order.by, order.vehicle_id) == (True, "automatic", "1")
    assert [d.state for d in line.decisions if d.kind == "hold"] == ["automatic"]
    assert [d.known["switched_by"] for d in line.decisions if d.kind == "hold"] == ["desk1"]
    assert [(one.decided_by, one.switched_by) for one in line.advice()] == [("automatic", "desk1")]
    (row,) = msgspec.json.decode(line.controller.published.control)
    assert (row["mode"], row["law"], row["by"], row["advised"], row["applied"]) == (
        "automatic",
        "prediction",
        "desk1",
        1,
        1,
    )


def test_a_vehicle_that_is_offline_is_sent_nothing_by_itself(line) -> None:
    line.controller.event({"vehicle_key": "op/1", "event": "offline"}, line.now_s)
    line.switch("automatic", "prediction")
    line.run(line.at_stop_3(1) + 20)
    assert not line.controller.orders
    assert line.controller.counters["advice_none.offline"] == 1
    line.controller.event({"vehicle_key": "op/1", "event": "online"}, line.now_s)
    line.run(line.at_s + 5)
    assert len(line.controller.orders) == 1


def test_a_silent_vehicle_gets_no_advice(line) -> None:
    line.switch("advise", "prediction")
    line.run(line.at_stop_3(1))
    line.silent.add("1")
    line.run(line.at_s + 120)
    assert [one.state for one in line.advice()] == ["withdrawn"]


def test_switching_off_withdraws_what_is_open(line) -> None:
    line.switch("advise", "prediction")
    line.run(line.at_stop_3(1))
    line.switch("off")
    assert [one.state for one in line.advice()] == ["withdrawn"]


def test_a_mode_or_law_that_there_is_not_is_refused(line) -> None:
    assert line.controller.set_mode("X", "advise", None, "desk1", line.now_s) == "unknown_route"
    assert line.controller.set_mode("R", "advise", "magic", "desk1", line.now_s) == "unknown_law"
    assert line.controller.set_mode("R", "advise", "none", "desk1", line.now_s) == "unknown_law"


def test_a_terminal_departure_is_regulated(road, pattern) -> None:
    line = Line(road, pattern, v0=240.0)  # it leaves just before the next one is due
    line.run(BEGIN_S + 10)
    line.switch("advise", "prediction")
    line.run(BEGIN_S + EVERY_S - 20)
    (advice,) = [one for one in line.advice("s0") if one.vehicle_id == "1"]
    assert (advice.kind, advice.stop_id) == ("depart", "s0")
    assert advice.depart_at == pytest.approx(line.road.zero_s + BEGIN_S + EVERY_S + advice.hold_s, abs=10)
    line.controller.apply(advice.id, None, "desk1", line.now_s)
    (order,) = line.controller.orders
    assert (order.kind, order.depart_at) == ("depart", pytest.approx(advice.depart_at, abs=1))
    assert order.text is not None
    assert "відправлення о" in order.text


def test_a_message_by_hand_is_followed_too(line) -> None:
    order = Instruction("m1", "op", "1", None, None, "message", "Hello", None, None, None, "sent", line.now_s, "desk1")
    line.controller.note(order, line.now_s)
    assert [(one.id, one.route_id, one.trip_id) for one in line.instructions()] == [("m1", "R", "t1")]
    line.controller.event({"vehicle_key": "op/1", "event": "instruction_read", "instruction_id": "m1"}, line.now_s)
    line.run(line.at_s + 5)
    assert line.decisions[-1].known["instruction"]["state"] == "read"


def test_what_is_controlled_survives_in_a_file(line) -> None:
    line.switch("automatic", "even")
    table = ControlTable()
    assert table.restore(line.controller.table.to_bytes()) == 1
    assert (table.mode_of("R"), table.lines["R"].law, table.lines["R"].by) == ("automatic", "even", "desk1")


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"version": 2, "lines": []}', b"\xff\x00", b"[" * 100_000])
def test_a_spoiled_file_is_refused(data) -> None:
    with pytest.raises(ValueError, match="controlled lines"):
        ControlTable().restore(data)


def test_a_file_with_an_unknown_law_is_refused(line) -> None:
    line.switch("automatic", "even")
    with pytest.raises(ValueError, match="names a law"):
        ControlTable().restore(line.controller.table.to_bytes().replace(b"even", b"odd"))


def test_every_law_can_be_asked(line) -> None:
    for law in LAWS:
        if law != "none":
            line.switch("advise", law)
            line.run(line.at_s + 60)


def test_switching_the_feed_withdraws_and_goes_on(line) -> None:
    line.switch("advise", "prediction")
    line.run(line.at_stop_3(1))
    line.engine.switch(line.road.network)
    assert line.engine.network is line.road.network
    line.run(line.at_s + 400)


def test_a_route_is_advised_at_the_stops_that_somebody_has_listed(line) -> None:
    line.switch("advise", "prediction")
    listed = line.controller.set_stops("R", ["s4"], "desk1", line.now_s)
    assert [stop.stop_id for stop in listed.stops] == ["s0", "s4"]
    line.run(line.at_stop_3(1))
    assert line.advice("s3") == []
    line.run(line.at_stop_3(1) + 50)
    assert [one.vehicle_id for one in line.advice("s4")] == ["1"]


def test_listed_stops_survive_in_the_file_even_of_a_line_that_is_off(line) -> None:
    line.controller.set_stops("R", ["s4", "s2"], "desk1", line.now_s)
    kept = ControlTable()
    kept.restore(line.controller.table.to_bytes())
    assert kept.own_stops() == {"R": frozenset({"s2", "s4"})}
    assert line.controller.set_stops("R", ["s4", "elsewhere"], "desk1", line.now_s) == "unknown_stop:elsewhere"
    assert line.controller.set_stops("Q", [], "desk1", line.now_s) == "unknown_route"
    line.controller.table.lines["Q"] = LineControl("Q", "Q")  # of another version of the feed
    assert line.controller.stops("Q") == line.controller.set_stops("Q", [], "desk1", line.now_s) == "unknown_route"


def test_taps_are_counted_between_ticks_and_those_of_nobody_are_counted_as_such(line) -> None:
    line.controller.taps.extend([("op/1", line.now_s, 2), ("nobody", line.now_s, 1)])
    line.run(line.at_s + 5)
    assert not line.controller.taps
    assert line.controller.counters["taps_unplaced"] == 1


def test_more_taps_than_a_tick_can_take_push_out_the_oldest(line) -> None:
    line.controller.taps.extend(("op/1", float(n), 1) for n in range(30_000))
    assert len(line.controller.taps) == 20_000
    assert line.controller.taps[0][1] == 10_000.0
