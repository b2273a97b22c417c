"""The quota of dead letters: a device's own, all devices' together, anew in every window."""

from gateway.letters import Quota


def test_each_device_has_its_quota() -> None:
    quota = Quota(2, 100, 60.0)
    assert [quota.allows("a", 0.0) for _ in range(3)] == [True, True, False]
    assert quota.allows("b", 0.0)


def test_all_devices_together_have_one() -> None:
    quota = Quota(2, 3, 60.0)
    assert [quota.allows(f"v{number}", 0.0) for number in range(5)] == [True] * 3 + [False] * 2


def test_a_new_window_begins_anew() -> None:
    quota = Quota(1, 100, 60.0)
    assert [quota.allows("a", at_s) for at_s in (0.0, 59.0, 60.0, 61.0)] == [True, False, True, False]


def test_a_clock_that_steps_back_does_not_close_the_window_for_ever() -> None:
    quota = Quota(1, 100, 60.0)
    quota.allows("a", 7200.0)
    assert quota.allows("a", 3600.0)
