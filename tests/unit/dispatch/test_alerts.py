"""Alerts open and close by their table: hysteresis, one for each cause, bounded."""

import pytest

from dispatch.alerts import TRANSITIONS, AlertDesk, AlertLimits, Condition, Sighting, Stage


def bunched(vehicle="op/1", condition=Condition.ON):
    return Sighting("bunched", vehicle, condition, "R", 0, "9", "S", 30.0, 300.0, 0.1)


@pytest.fixture
def desk():
    return AlertDesk(AlertLimits(open_s=60, close_s=60, open_max=2, closed_max=3, closed_kept_s=600))


def watch(desk, from_s, to_s, *sightings, step_s=10):
    for now_s in range(from_s, to_s + 1, step_s):
        desk.watch(list(sightings), float(now_s))


def test_the_table_has_an_answer_for_every_stage_that_can_go_on():
    live = [stage for stage in Stage if stage is not Stage.CLOSED]
    assert set(TRANSITIONS) == {(stage, condition) for stage in live for condition in Condition}
    assert all(wait == "at_once" or hasattr(AlertLimits(), wait) for _, wait in TRANSITIONS.values())


def test_it_opens_once_when_it_has_lasted(desk):
    watch(desk, 0, 50, bunched())
    assert desk.alerts() == []
    watch(desk, 60, 300, bunched())
    (alert,) = desk.alerts()
    assert (alert.id, alert.state, alert.opened_at, alert.updated_at) == ("bunched.op.1.60", "open", 60, 300)


def test_a_moment_is_no_alert(desk):
    watch(desk, 0, 50, bunched())
    desk.watch([], 55.0)
    watch(desk, 60, 110, bunched())
    assert desk.alerts() == []


def test_it_holds_while_things_are_not_yet_well_and_closes_when_they_are(desk):
    watch(desk, 0, 60, bunched())
    watch(desk, 70, 600, bunched(condition=Condition.HOLD))
    assert desk.alerts()[0].state == "open"
    watch(desk, 610, 660)
    assert desk.alerts()[0].state == "open"
    watch(desk, 670, 680)
    assert (desk.alerts()[0].state, desk.alerts()[0].closed_at) == ("closed", 670)


def test_what_comes_back_while_it_clears_stays_the_same_alert(desk):
    watch(desk, 0, 60, bunched())
    watch(desk, 70, 100)
    watch(desk, 110, 200, bunched())
    assert [alert.id for alert in desk.alerts()] == ["bunched.op.1.60"]


def test_who_acknowledged_first_and_when_stays(desk):
    watch(desk, 0, 60, bunched())
    desk.acknowledge("bunched.op.1.60", "anna", 100.0)
    alert = desk.acknowledge("bunched.op.1.60", "borys", 200.0)
    assert (alert.state, alert.acknowledged_by, alert.acknowledged_at) == ("acknowledged", "anna", 100)
    assert desk.acknowledge("no-such-alert", "anna", 100.0) is None


def test_who_acknowledges_what_is_closed_changes_nothing(desk):
    watch(desk, 0, 60, bunched())
    watch(desk, 70, 140)
    alert = desk.acknowledge("bunched.op.1.60", "anna", 150.0)
    assert (alert.state, alert.acknowledged_by, alert.acknowledged_at) == ("closed", None, None)


def test_a_flood_is_bounded_and_counted(desk):
    watch(desk, 0, 60, *(bunched(f"op/{i}") for i in range(5)))
    assert len(desk.alerts()) == 2
    assert desk.counts["flood"] == 3


def test_what_is_over_is_forgotten_in_time(desk):
    watch(desk, 0, 60, bunched())
    watch(desk, 70, 140)
    desk.watch([], 800.0)
    assert desk.alerts() == []


def test_an_alarm_opens_at_once_and_stays_until_it_has_been_seen(desk):
    alarm = Sighting("alarm", "op/1", Condition.ON)
    desk.alarm(alarm, 0.0)
    desk.alarm(alarm, 5.0)
    watch(desk, 10, 9000, step_s=500)
    (alert,) = desk.alerts()
    assert (alert.kind, alert.state) == ("alarm", "open")
    desk.acknowledge(alert.id, "anna", 9000.0)
    desk.watch([], 9000.0 + desk.limits.alarm_kept_s)
    assert desk.alerts()[0].state == "closed"


def test_no_more_than_so_many_open_in_ten_minutes_but_alarms_always_do():
    desk = AlertDesk(AlertLimits(open_s=0, opened_max=3))
    watch(desk, 0, 60, *(bunched(f"op/{i}") for i in range(5)))
    assert (desk.opened_lately, desk.counts["flood"] > 0) == (3, True)
    desk.alarm(Sighting("alarm", "op/9", Condition.ON), 70.0)
    assert len(desk.alerts()) == 4
    watch(desk, 610, 640, *(bunched(f"op/{i}") for i in range(5)))
    assert len(desk.alerts()) == 6  # the first three have left the window


def test_who_shelves_puts_it_aside_for_a_time(desk):
    watch(desk, 0, 60, bunched())
    desk.acknowledge("bunched.op.1.60", "anna", 70.0)
    alert = desk.shelve("bunched.op.1.60", "borys", 300.0, 100.0)
    assert (alert.state, alert.shelved_by, alert.shelved_until) == ("shelved", "borys", 300)
    watch(desk, 110, 290, bunched())
    assert desk.alerts()[0].state == "shelved"
    watch(desk, 300, 310, bunched())
    assert desk.alerts()[0].state == "acknowledged"
    assert desk.shelve("no-such-alert", "anna", 300.0, 100.0) is None


def test_nobody_shelves_for_longer_than_a_shift(desk):
    watch(desk, 0, 60, bunched())
    assert desk.shelve("bunched.op.1.60", "anna", 1e9, 100.0).shelved_until == 100.0 + 8 * 3600


def test_what_a_person_has_closed_does_not_come_back_while_it_lasts(desk):
    watch(desk, 0, 60, bunched())
    alert = desk.close("bunched.op.1.60", "anna", "road works", 100.0)
    assert (alert.state, alert.closed_by, alert.close_reason, alert.closed_at) == ("closed", "anna", "road works", 100)
    watch(desk, 110, 400, bunched())
    assert [alert.state for alert in desk.alerts()] == ["closed"]
    watch(desk, 410, 480)
    watch(desk, 490, 560, bunched())
    assert [alert.state for alert in desk.alerts()] == ["open", "closed"]


def test_closing_twice_changes_nothing(desk):
    watch(desk, 0, 60, bunched())
    desk.close("bunched.op.1.60", "anna", "seen", 100.0)
    assert desk.close("bunched.op.1.60", "borys", "again", 110.0).closed_by == "anna"
    assert desk.open == 0
